"""How often a page was opened is a number, and nothing about whoever opened it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from cloud.pages.app import build
from cloud.pages.visits import KEPT_DAYS, MOST, NAME, SHOWN_DAYS, Visits
from tests.visitors import TREE, StandingClock, Visitor, World

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

DAY_MS = 86_400_000


def test_pages_that_were_opened_are_counted_and_shown_from_five_when_the_day_is_over(tmp_path: Path) -> None:
    (tmp_path / "world").mkdir()
    world = World(tmp_path / "world")
    visits = Visits(tmp_path / NAME, StandingClock())
    asked = Visitor(build(world.garden(visits=visits)))
    for path in (f"/T/{TREE}", f"/t/{TREE.lower()}", f"/T/{TREE}?lang=en", "/T/7K3-MQP"):
        assert asked.get(path, headers={"X-Forwarded-For": "203.0.113.9", "User-Agent": "nobody"}).status_code == 200
    for path in (f"/T/{TREE}.json", "/T/000000", "/", f"/T/{TREE}/hinh.svg", "/T/zzzzzz"):
        asked.get(path)
    asked.request("HEAD", f"/T/{TREE}")
    visits.look()
    clock = visits._clock
    assert isinstance(clock, StandingClock)
    clock.now_ms += DAY_MS
    visits.look()
    assert visits.of(TREE) is None, "four"
    assert "được mở" not in asked.get(f"/T/{TREE}").text
    visits.look()
    clock.now_ms += DAY_MS
    visits.look()
    assert visits.of(TREE) == 5
    assert "được mở 5 lần" in Visitor(build(world.garden(visits=visits))).get(f"/T/{TREE}").text
    visits.look()
    kept = b"".join(file.read_bytes() for file in tmp_path.glob(f"{NAME}*"))
    assert b"203.0.113.9" not in kept
    assert b"nobody" not in kept
    clock.now_ms += SHOWN_DAYS * DAY_MS
    visits.look()
    assert visits.of(TREE) is None
    clock.now_ms += KEPT_DAYS * DAY_MS
    visits.look()
    assert sqlite3.connect(tmp_path / NAME).execute("SELECT count(*) FROM visit").fetchone() == (0,)


def test_a_disk_that_takes_nothing_costs_no_page_and_no_count(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "away"
    visits = Visits(folder / NAME, StandingClock())
    for _ in range(5):
        visits.seen(f"/T/{TREE}")
    for _ in range(3):
        visits.look()
    assert sum("visits-not-written" in line for line in caplog.messages) == 1
    folder.mkdir()
    visits.look()
    clock = visits._clock
    assert isinstance(clock, StandingClock)
    clock.now_ms += DAY_MS
    visits.look()
    assert visits.of(TREE) == 5


def test_whoever_invents_addresses_fills_no_memory(tmp_path: Path) -> None:
    visits = Visits(tmp_path / NAME, StandingClock())
    for number in range(MOST + 10):
        visits.seen(f"/T/{number}")
    assert len(visits._new) == MOST
