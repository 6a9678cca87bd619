"""The faults of `tests/edge/test_spool.py` that chance decides, with all the seeds that those have no time for."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.edge import test_spool as spool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

BUDGET_S = 60


@pytest.mark.parametrize(
    ("fault", "seeds"),
    [
        (spool.test_a_bit_flipped_in_an_index_neither_wedges_the_quota_nor_loses_a_reading, range(2, 14)),
        (spool.test_a_full_disk_keeps_nothing_half_and_recovers, range(13)),
        (spool.test_kill_9_loses_nothing_that_append_had_returned, range(1, 13)),
        (spool.test_a_damaged_file_always_opens_and_never_tells_a_wrong_value, range(18, 138)),
    ],
    ids=lambda given: given.__name__.removeprefix("test_") if callable(given) else str(len(given)),
)
def test_chance(fault: Callable[[Path, int], None], seeds: range, tmp_path: Path) -> None:
    began = time.monotonic()
    for seed in seeds:
        folder = tmp_path / str(seed)
        folder.mkdir()
        try:
            fault(folder, seed)
        except BaseException as error:
            error.add_note(f"with seed {seed}")
            raise
    print(f"{fault.__name__}: {len(seeds)} seeds, {time.monotonic() - began:.0f} s of a budget of {BUDGET_S} s")
