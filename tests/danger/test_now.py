"""The level of a zone now, out of a real book: unknown wherever it is doubtful, so that nobody is deafer by it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from cloud.clock import hanoi
from cloud.danger.book import Book
from cloud.danger.course import Carried, Day, Inputs
from cloud.danger.now import AGAIN_MS, Now
from cloud.registry import Registry
from cloud.registry.kinds import DangerTable
from tests.rules.garden import HandClock, registry

if TYPE_CHECKING:
    from pathlib import Path

ZONE = "suoi-giang"
CLOCK = HandClock()
TODAY = hanoi(CLOCK.utc_ms()).date()


def law() -> DangerTable:
    bounds = {"up_to_1": 1_000.0, "up_to_2": 2_500.0, "up_to_3": 5_000.0, "up_to_4": 10_000.0}
    return DangerTable(decision="1/2025", place="zone", code=ZONE, valid_from=date(2025, 1, 1), **bounds)


def day(p: float, *, ago: int = 0, settled: bool = True, missing: int = 0, limit_mm: float = 5.0) -> Day:
    after = Carried(p=p, p_since=TODAY - timedelta(days=20), settled=settled, p_missing=missing)
    return Day(ZONE, TODAY - timedelta(days=ago), Inputs(lat=21.6), limit_mm, Carried(), after, has_p=True)


def level(folder: Path, told: Day | None, tables: list[DangerTable], area: str = f"zone:{ZONE}") -> int | None:
    if told is not None:
        book = Book(folder / "danger.db")
        book.put([told])
        book.close()
    garden = Registry({"zone": list(registry().zones.values()), "danger_table": tables})
    return Now(folder / "danger.db", garden, HandClock()).level(area)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (day(500), 1), (day(6_000), 4), (day(20_000), 5), (day(6_000, ago=1), 4), (day(6_000, ago=2), None),
        (day(500, settled=False), None), (day(6_000, settled=False), 4), (day(6_000, missing=9), None),
        (day(6_000, limit_mm=7.0), None), (None, None),
    ],
)  # fmt: skip
def test_a_level_that_is_doubtful_is_unknown(tmp_path: Path, told: Day | None, expected: int | None) -> None:
    assert level(tmp_path, told, [law()]) == expected


def test_without_law_or_place_there_is_none(tmp_path: Path) -> None:
    assert level(tmp_path, day(6_000), []) is None
    assert level(tmp_path, None, [law()], area="gateway:sg-01") is None
    assert level(tmp_path, None, [law()], area="zone:nowhere") is None


def test_a_book_that_cannot_be_read_is_no_level_and_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "danger.db").write_bytes(b"no database" * 100)
    clock = HandClock()
    garden = Registry({"zone": list(registry().zones.values()), "danger_table": [law()]})
    now = Now(tmp_path / "danger.db", garden, clock)
    assert now.level(f"zone:{ZONE}") is None
    (tmp_path / "danger.db").unlink()
    book = Book(tmp_path / "danger.db")
    book.put([day(6_000)])
    book.close()
    assert now.level(f"zone:{ZONE}") is None
    clock.advance(AGAIN_MS / 1000)
    assert now.level(f"zone:{ZONE}") == 4
