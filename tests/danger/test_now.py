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
from cloud.registry.fire import LEVELS, OfficialLevel
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


def level(
    folder: Path,
    told: Day | None,
    tables: list[DangerTable],
    area: str = f"zone:{ZONE}",
    official: tuple[OfficialLevel, ...] = (),
) -> int | None:
    if told is not None:
        book = Book(folder / "danger.db")
        book.put([told])
        book.close()
    garden = Registry({"zone": list(registry().zones.values()), "danger_table": tables, "official_level": official})
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


@pytest.mark.parametrize(
    ("told", "published", "expected"),
    [
        (day(500), 5, 5), (day(20_000), 2, 5), (None, 4, 4), (day(6_000, ago=2), 3, 3), (day(6_000, missing=9), 1, 1),
        (day(1_500, settled=False), 3, 3), (day(1_500, settled=False), 1, None), (day(6_000, settled=False), 2, 4),
    ],
)  # fmt: skip
def test_of_ours_and_the_published_level_the_higher_counts(
    tmp_path: Path, told: Day | None, published: int, expected: int | None
) -> None:
    assert level(tmp_path, told, [law()], official=(official(LEVELS[published - 1]),)) == expected


def test_a_published_level_counts_in_its_days_alone(tmp_path: Path) -> None:
    over = official("V", since=TODAY - timedelta(3), until=TODAY)
    to_come = official("V", since=TODAY + timedelta(1), until=TODAY + timedelta(2))
    assert level(tmp_path, day(500), [law()], official=(over, to_come)) == 1


def official(roman: str, since: date = TODAY, until: date = TODAY + timedelta(1)) -> OfficialLevel:
    return OfficialLevel(place="zone", code=ZONE, level=roman, source="kiểm lâm", valid_from=since, valid_to=until)


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
