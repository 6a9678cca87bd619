"""The invented valley of the sample: alive at the first start, the same every day, and said to be invented."""

from __future__ import annotations

import time
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING

import h3.api.basic_int as h3
import pytest

from cloud.coverage import shelf
from cloud.coverage.book import NAME, Book
from cloud.coverage.months import day_of
from cloud.coverage.scale import Scale
from cloud.coverage.seam import MONTH_NOW
from cloud.coverage.sheets import Sheets
from cloud.pages.app import build
from cloud.registry import Registry
from cloud.registry.kinds import Team
from gocche.garden import valley
from tests.visitors import Visitor, World

if TYPE_CHECKING:
    from pathlib import Path

NOW_MS = 1_795_773_600_000  # 2026-11-27 10:00 in Hà Nội


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("valley")
    began = time.process_time()
    valley.first_start(made, NOW_MS)
    assert time.process_time() - began < 10  # a second and a half where nothing else runs
    book = Book(made / NAME)
    sheets = Sheets(book, Scale())
    while sheets.make(list(valley.PLACES.values()), NOW_MS):
        pass
    book.close()
    return made


def test_every_class_of_the_map_is_there_and_five_months_of_it(folder: Path) -> None:
    sheet = shelf.sheet(folder / NAME, "phone", 0, MONTH_NOW, 9)
    assert sheet is not None
    of = Counter(one.state for one in sheet.cells)
    assert {"good", "fair", "none", "uncertain", "unmeasured"} <= of.keys()
    months = {month for _, _, month, _, _ in shelf.sheets(folder / NAME)} - {MONTH_NOW}
    assert len(months) >= 5
    assert max(months) == day_of(NOW_MS).month


def test_a_mast_brought_the_first_hamlet_its_service(folder: Path) -> None:
    home = h3.latlng_to_cell(*valley.PLACES["hang-tay"], 8)

    def state(month: int) -> str:
        sheet = shelf.sheet(folder / NAME, "phone", valley.FIRST, month, 8)
        assert sheet is not None
        return next(one.state for one in sheet.cells if one.cell == home)

    assert state(202607) == "none"
    assert state(202611) == "good"
    assert state(MONTH_NOW) in {"good", "fair"}


def test_it_says_that_it_is_invented_by_networks_that_nobody_has(folder: Path) -> None:
    assert shelf.invented(folder / NAME)
    assert set(shelf.networks(folder / NAME)) == {valley.FIRST, valley.SECOND}
    assert {team for team, _, _ in shelf.effort(folder / NAME, 0)} == valley.PLACES.keys()
    assert not shelf.invented(folder / "elsewhere.db")


@pytest.mark.parametrize("path", ["/phu-song", "/khan-cap", "/khan-cap/h01", "/doi"])
def test_every_page_that_shows_it_says_so(folder: Path, tmp_path: Path, path: str) -> None:
    world = World(tmp_path)
    team = Team(code="hang-tay", name="Đội Háng Tày", hamlet="h01", valid_from=date(2025, 1, 1))
    world.registry = Registry({kind: list(own) for kind, own in world.registry._records.items()} | {"team": [team]})
    shown = Visitor(build(world.garden(surveyed=folder / NAME))).get(path)
    assert shown.status_code == 200
    assert "do máy bịa ra, không ai đo" in shown.text
    world.store.close()


def test_it_is_the_same_for_the_same_day_and_ends_before_now() -> None:
    told = valley.invented(NOW_MS)
    assert told == valley.invented(NOW_MS + 3_600_000)
    assert max(one.checked(NOW_MS).time_ms for one in told) < NOW_MS
    assert 10_000 < len(told) < 30_000


def test_what_is_measured_already_is_left_alone(tmp_path: Path) -> None:
    book = Book(tmp_path / NAME)
    book.keep("mine", "yes")
    book.close()
    valley.first_start(tmp_path, NOW_MS)
    assert not shelf.invented(tmp_path / NAME)
