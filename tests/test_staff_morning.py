"""What a morning begins with, gathered from a store and a registry: whose gaps of yesterday are told."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cloud.clock import hanoi, midnight_ms
from cloud.registry.kinds import Binding
from cloud.staff.day.today import Gatherer
from cloud.store import Hour, Past, open_store
from tests.build import batch
from tests.staffroom import NOW_MS, StaffWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = hanoi(NOW_MS).date()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StaffWorld]:
    """Soil at a tree: half of yesterday was measured."""
    store = open_store({"engine": "sqlite"}, writer=True, folder=tmp_path)
    store.setup()
    start_ms = midnight_ms(DAY - timedelta(1))
    hours = [Hour(start_ms + at * 3_600_000, 5, 20.0 + at, 19.0 + at, 21.0 + at) for at in range(12)]
    store.write_hours([Past("sg-01", "soil-1", "soil_moisture", hours)])
    store.commit([batch(start_ms=NOW_MS - 60_000, rows=[{"soil-1": {"soil_moisture": 30.0}}], now_ms=NOW_MS)], NOW_MS)
    made = StaffWorld(tmp_path, store=store)
    yield made
    made.close()
    store.close()


@pytest.mark.parametrize(
    ("ended", "told"),
    [(DAY, [12]), (DAY - timedelta(1), [12]), (DAY - timedelta(2), [])],
    ids=["replaced today", "replaced yesterday", "hung nowhere before"],
)
def test_a_probe_that_was_replaced_has_its_gaps_of_yesterday(world: StaffWorld, ended: date, told: list[int]) -> None:
    old = next(one for one in world.shelf.rows("binding") if isinstance(one, Binding) and one.channel == "soil-1")
    since = max(ended, DAY - timedelta(1))
    with world.shelf.act("test", "replace") as draft:
        draft.put([replace(old, valid_to=ended), replace(old, valid_from=since, valid_to=None)])
    gatherer = Gatherer(world.shelf, world.staff.store, list, world.clock)
    gatherer.look()
    assert gatherer.now is not None, gatherer.why
    assert [one.hours for one in gatherer.now.gaps()] == told
    assert gatherer.now.complete == (50.0 if told else None)
