"""The signal of hamlets as boards show it: of the time of the reading, and nothing where nothing was measured."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from cloud.coverage.scale import Scale
from cloud.panels.coverage import coded, coverage
from cloud.registry import Registry
from cloud.registry.kinds import Binding, Commune, Hamlet
from cloud.rooms.boards import Showing
from cloud.rooms.points import signal
from cloud.store import Shown, open_store
from tests.build import batch
from tests.rules.garden import HandClock
from tests.servers import influx_table
from tests.test_boards import rows
from tests.test_coverage_room import BEGIN_MS, HAMLET, HUNG, HUNG_UP, PLACE, SEARCHING, SERVICE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloud.store import Store

NOW_MS = BEGIN_MS + 60_000


def registry(*more: Any) -> Registry:
    kinds: dict[str, list[Any]] = {}
    for one in (*HAMLET, HUNG_UP, *more):
        kinds.setdefault(type(one).__name__.lower(), []).append(one)
    return Registry(kinds)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_store({"path": str(tmp_path / "store.db")}, writer=True)
    made.setup()
    yield made
    made.close()


def tell(store: Store, said: dict[str, Any]) -> None:
    told = batch(start_ms=BEGIN_MS, rows=[{"modem": said}], now_ms=NOW_MS)
    assert store.commit([told], NOW_MS) == [[]]


def point(state: str, **figures: float) -> Shown:
    told = {"state": float(coded(state)), "lat": PLACE[0], "lon": PLACE[1], **figures}
    return Shown("hamlet", {"hamlet": "Thôn"}, BEGIN_MS * 10**6, told, {"commune": "Xã"})


@pytest.mark.parametrize(
    ("said", "shown"),
    [(SERVICE, point("fair", rsrp=-101.5)), (SEARCHING, point("none")), ({"registration": 1}, point("served"))],
)
def test_a_modem_that_answers_is_a_point(store: Store, said: dict[str, Any], shown: Shown) -> None:
    tell(store, said)
    assert signal(store, registry(), NOW_MS, Scale()) == [shown]


def test_boards_and_pages_have_the_same_limits(store: Store) -> None:
    tell(store, SERVICE)
    assert signal(store, registry(), NOW_MS, Scale(lte_fair_dbm=-101)) == [point("weak", rsrp=-101.5)]


def test_no_modem_and_an_old_word_are_no_point(store: Store) -> None:
    assert signal(store, registry(), NOW_MS, Scale()) == []
    tell(store, SEARCHING)
    assert signal(store, registry(), NOW_MS + 3_600_000, Scale()) == []


@pytest.mark.influx
def test_the_board_finds_what_was_copied_and_nothing_twice(tmp_path: Path, influxd1: Any) -> None:
    described = influx_table(influxd1, tmp_path)
    store = open_store(described, writer=True)
    store.setup()
    tell(store, SERVICE)
    for _ in range(2):  # each start copies again
        assert Showing(tmp_path, store, SimpleNamespace(now=registry()), HandClock(NOW_MS), Scale()).look()
    assert len(rows(influxd1, described["database"], 'SELECT * FROM "hamlet"')) == 1
    for panel in coverage()["panels"]:
        for target in panel.get("targets", []):
            if '"hamlet"' in target["query"]:
                query = target["query"].replace("$timeFilter", f"time >= {BEGIN_MS}ms and time <= {NOW_MS}ms")
                found = query.replace("$hamlet", ".*").replace("$__interval", "10m")
                assert rows(influxd1, described["database"], found), panel["title"]
    store.close()


def test_hamlets_of_one_name_stay_two_on_a_board(store: Store) -> None:
    commune, twin = Commune(code="x02", name="Xã kia", province="p01", valid_from=HUNG), "h02"
    other = Hamlet(code=twin, name="Thôn", commune="x02", lat=PLACE[0], lon=PLACE[1] + 0.2, valid_from=HUNG)
    hung = Binding(gateway="sg-01", channel="modem-2", place="hamlet", code=twin, valid_from=HUNG)
    told = batch(start_ms=BEGIN_MS, rows=[{"modem": SERVICE, "modem-2": SEARCHING}], now_ms=NOW_MS)
    assert store.commit([told], NOW_MS) == [[]]
    shown = signal(store, registry(commune, other, hung), NOW_MS, Scale())
    states = {one.tags["hamlet"]: one.figures["state"] for one in shown}
    assert states == {"Thôn (Xã, h01)": coded("fair"), "Thôn (Xã kia, h02)": coded("none")}
