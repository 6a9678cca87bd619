"""Maintenance: what a sensor says while it is cleaned wakes nobody; beside it and afterwards everything does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cloud.clock import hanoi
from cloud.registry.book import Book
from cloud.registry.kinds import KINDS, Maintenance
from cloud.registry.live import Live
from tests.rules.garden import SIGNAL, SILENT, SMOKE, START_MS, Bench, HandClock, registry
from tests.staffroom import NOW_MS, StaffWorld
from tests.visitors import GARDEN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRE = [(60.0 * n, 80.0) for n in range(6)]
HOUR_S = 3_600
GUARD: dict[str, Any] = {"name": "guard", "kind": "sensor", "quantity": "pm2_5", "after_s": 1_800, "stuck_s": 1_800}


class Cleaned(Bench):
    """An alerts room that reads a registry in which somebody writes."""

    def __init__(self, folder: Path) -> None:
        clock = HandClock()
        self.book = Book(folder / "registry.db", writer=True)
        garden = registry(way_out=True)
        with self.book.writing("test", "garden", 0) as draft:
            for kind in KINDS:
                draft.put(garden._of(kind, KINDS[kind]))
        self.live_registry = Live(folder / "registry.db", folder, clock, private=True)
        rules = [SMOKE, SILENT, SIGNAL, GUARD]
        super().__init__(folder, rules, None, registry=self.live_registry, clock=clock, tells=False)
        self.alerts.listening(True)

    def maintain(self, channel: str, start_s: float, end_s: float) -> None:
        """Say that a channel is worked at; the room's next look sees it."""
        starts, ends = hanoi(self.at(start_s)), hanoi(self.at(end_s))
        with self.book.writing("test", "maintenance", 0) as draft:
            draft.put([Maintenance(gateway="sg-01", channel=channel, starts=starts, ends=ends)])
        assert self.live_registry.look()

    def told(self) -> list[tuple[str, str]]:
        rules = {incident.id: incident.rule for incident in self.alerts.incidents()}
        return [(rules[one.incident], one.tell) for one in self.alerts._journal.intents(0)]

    def close(self) -> None:
        super().close()
        self.live_registry.close()
        self.book.close()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Cleaned]:
    made = Cleaned(tmp_path)
    yield made
    made.close()


def test_smoke_of_a_sensor_that_is_cleaned_wakes_nobody_and_after_the_end_it_does(bench: Cleaned) -> None:
    bench.maintain("smoke-1", 0, 1_200)
    bench.live([(60.0 * n, 80.0 + n) for n in range(20)])
    assert bench.alerts.incidents() == []
    bench.live([(1_200.0 + 60 * n, 80.0 + n) for n in range(4)])
    (smoke,) = bench.alerts.incidents()
    assert (smoke.rule, smoke.since_ms) == ("smoke", bench.at(1_200)), "what it said before the end is no part of it"
    assert bench.told() == [("smoke", "onset")]


def test_another_sensor_of_the_same_gateway_wakes_all_the_same(bench: Cleaned) -> None:
    bench.maintain("smoke-1", 0, HOUR_S)
    bench.live(FIRE, channel="smoke-2")
    assert [(one.rule, one.channel) for one in bench.alerts.incidents()] == [("smoke", "smoke-2")]


def test_what_arrives_later_is_judged_by_its_own_time(bench: Cleaned) -> None:
    bench.maintain("smoke-1", 0, 300)
    bench.clock.advance(2 * HOUR_S)
    bench.send(FIRE[:5])
    assert bench.alerts.incidents() == [], "measured while it was cleaned, brought two hours later"
    bench.send([(300.0 + 60 * n, 80.0) for n in range(6)])
    assert [one.since_ms for one in bench.alerts.incidents()] == [bench.at(300)]


@pytest.mark.parametrize("unplugged", [True, False])
def test_a_sensor_that_is_worked_at_need_not_live(bench: Cleaned, *, unplugged: bool) -> None:
    bench.live([(0.0, 10.0)])
    bench.maintain("smoke-1", 0, 2 * HOUR_S)
    if unplugged:
        bench.hear(HOUR_S, 120)
    else:
        bench.live([(300.0 * n, 12.0) for n in range(1, 13)])
    assert bench.told() == []


def test_a_sensor_that_stays_silent_after_its_maintenance_is_told(bench: Cleaned) -> None:
    bench.live([(0.0, 10.0), (60.0, 11.0)])
    bench.maintain("smoke-1", 60, HOUR_S)
    bench.hear(2 * HOUR_S, 120)
    (dead,) = [one for one in bench.alerts.incidents() if one.rule == "guard"]
    assert bench.at(HOUR_S + 1_800) <= dead.opened_ms < bench.at(HOUR_S + 2_200)


def test_a_gateway_whose_modem_is_exchanged_wakes_nobody_until_it_is_due(bench: Cleaned) -> None:
    bench.send([(0.0, 1.0)], quantity="registration", channel="modem-1")
    bench.maintain("modem-1", 0, HOUR_S)
    bench.idle(HOUR_S + 200, 60)
    assert bench.told() == []
    bench.idle(300, 60)
    assert bench.told() == [("signal", "onset")]


def test_set_on_a_telephone_it_quiets_the_sensor_until_its_end(tmp_path: Path) -> None:
    """The form, the registry's file, the room's next look: smoke under maintenance is none, after its end it is."""
    world = StaffWorld(tmp_path)
    world.clock.step((START_MS - NOW_MS) / 1000)
    live = Live(tmp_path / "registry.db", GARDEN, world.clock, private=True)
    bench = Bench(tmp_path, [SMOKE], None, registry=live, clock=world.clock, tells=False)
    try:
        sent = world.visitor("editor").post("/bao-tri", o="sg-01/smoke-1", why="cleaning", **{"bao-lau": "30"})
        assert sent.status_code == 303
        assert live.look()
        bench.live([(60.0 * n, 80.0 + n) for n in range(30)])
        assert bench.alerts.incidents() == []
        bench.live([(60.0 * n, 80.0 + n) for n in range(30, 35)])
        assert [one.since_ms for one in bench.alerts.incidents()] == [bench.at(1_800)]
        shown = world.visitor("viewer").get("/bao-tri").text
        assert "Không cảm biến nào đang bảo trì." in shown
    finally:
        bench.close()
        live.close()
        world.close()
