"""While all is calm nothing is written for every message: what a decision rests on is, and a kill costs nothing."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec
import pytest

from cloud.alerts.engine import CALM_S
from tests.build import packet
from tests.rules.garden import EPOCH, SMOKE, START_MS, Bench, batch
from wire.excerpt import decode_excerpt, excerpt_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CALM = [(10.0 * n, 5.0 + n) for n in range(4)]
ALL = [(1, 5)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, [SMOKE], None, tells=False)
    made.alerts.step()
    yield made
    made.close()


def written(bench: Bench) -> list[tuple[int, int]]:
    with closing(sqlite3.connect(bench.path)) as db:
        return db.execute("SELECT first, past FROM processed ORDER BY first").fetchall()


def test_what_is_calm_is_written_now_and_then(bench: Bench) -> None:
    bench.live(CALM[:2])
    assert not written(bench), "nor is a series that is new"
    bench.idle(CALM_S)
    assert written(bench) == [(1, 3)]


def test_a_decision_takes_along_all_that_it_rests_on(bench: Bench) -> None:
    bench.live(CALM[:2])
    bench.live([(11.0, 90.0)])
    assert written(bench) == [(1, 4)]
    with closing(sqlite3.connect(bench.path)) as db:
        assert len(db.execute("SELECT state FROM series").fetchone()[0]) > 50


@pytest.mark.parametrize("killed", [False, True])
def test_who_is_killed_while_all_is_calm_reads_it_again_from_the_ledger(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, *, killed: bool
) -> None:
    for at_s, value in CALM:
        bench.live([(at_s, value)])
        bench.store.commit([batch(bench.seq - 1, [(bench.at(at_s), value)])], bench.clock.utc_ms())
    if killed:
        monkeypatch.setattr(bench.alerts._progress, "close", lambda: None)
    lane = bench.alerts._progress.series("smoke", "sg-01", "smoke-1").live
    bench.restart()
    assert written(bench) == ([(1, 3)] if killed else ALL)
    bench.idle(5)
    assert list(bench.alerts._progress.processed("sg-01", EPOCH)) == written(bench) == ALL
    assert bench.alerts._progress.series("smoke", "sg-01", "smoke-1").live.points == lane.points


def test_what_cannot_be_judged_takes_back_nothing_that_was(bench: Bench) -> None:
    bench.live(CALM[:2])
    broken = batch(3, [(bench.at(11), 5.0)])
    broken.blocks[0].columns[0][0] = "no number"
    bench.alerts.offer(broken, bench.clock.utc_ms())
    bench.step()
    assert bench.alerts.health()["poisoned"] == 1
    assert list(bench.alerts._progress.processed("sg-01", EPOCH)) == [(1, 3)]
    assert len(bench.alerts._progress.series("smoke", "sg-01", "smoke-1").live.points) == 2


@pytest.mark.parametrize(("value", "at_once"), [(5.0, False), (55.0, False), (56.0, True)])
def test_what_is_bad_is_judged_at_once(bench: Bench, value: float, *, at_once: bool) -> None:
    bench.alerts._wake.clear()
    said = excerpt_of(batch(1, [(bench.at(0), 5.0), (bench.at(1), value)]), bench.alerts._judge.followed)
    bench.alerts.offer(said, bench.clock.utc_ms())
    assert bench.alerts._wake.is_set() is at_once


def test_what_one_gateway_sends_in_a_row_is_one_judgement_and_two_gateways_are_two(bench: Bench) -> None:
    """Smoke of which each message holds one reading, and the same under another name: two incidents, each whole."""
    bench.clock.advance(300)
    for n in range(5):
        for gateway in ("sg-01", "sg-02"):
            made = batch(1 + n, [(bench.at(60.0 * n), 90.0)], gateway=gateway)
            bench.alerts.offer(made, bench.clock.utc_ms())
    bench.step()
    told = sorted((one.gateway, one.since_ms, one.bad_ms) for one in bench.alerts.incidents())
    assert told == [(gateway, bench.at(0), bench.at(240)) for gateway in ("sg-01", "sg-02")]


SEEDS = 2
SENSOR = {"name": "watch", "kind": "sensor", "quantity": "pm2_5", "after_s": 600, "stuck_s": 1_200, "clear_s": 60}
QUICK = SMOKE | {"persist_s": 40, "clear_s": 60}


def stream(chance: random.Random) -> Iterator[tuple[int, bytes]]:
    """Yield seconds and messages of a day with smoke in it: rows vary, some come late, again, or by a wrong clock."""
    first, level, held, late = 1, 10.0, list[tuple[int, bytes]](), list[tuple[int, bytes]]()
    for minute in range(60):
        rows = chance.choice((1, 2, 6, 6, 6))
        if chance.random() < 0.2:
            level = chance.choice((10.0, 10.0, 30.0, 80.0))
        values = [round(level + chance.choice((0.0, chance.random())), 1) for _ in range(rows)]
        off_ms = chance.choice((0, 0, 0, 0, 0, -7_200_000, 1_800_000)) if chance.random() < 0.2 else 0
        said = packet(
            epoch=EPOCH,
            first=first,
            rows=[{"smoke-1": {"pm2_5": value}} for value in values],
            start_ms=START_MS + 60_000 * minute + off_ms,
            step_ms=chance.choice((10_000, 10_000, 10_000, -10_000)),
            uptime_ms=60_000 * (minute + 2),
        )
        first += rows
        (late if chance.random() < 0.3 else held).append((60 * (minute + 1), said))
        if minute > 30 and late and chance.random() < 0.7:  # a backlog, in some order
            held.append(late.pop(chance.choice((0, 0, 0, -1))))
        while held and chance.random() < 0.8:
            at = chance.choice((0, -1, chance.randrange(len(held))))
            again = held[at]
            if chance.random() < 0.9:
                del held[at]
            yield max(60 * (minute + 1), again[0]), again[1]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_what_stays_packed_is_judged_as_its_points_are(tmp_path: Path, seed: int) -> None:
    """The same messages to two rooms, of which one unpacks them all: the same journal, pace and sensor."""
    rooms, lanes, simple = [], [], 0
    for unpacks in (False, True):
        (tmp_path / str(unpacks)).mkdir()
        room = Bench(tmp_path / str(unpacks), [QUICK, SENSOR], None, tells=False)
        room.alerts.step()
        for at_s, message in stream(random.Random(seed)):
            room.clock.advance(max(0.0, (room.at(at_s) - room.clock.utc_ms()) / 1000))
            said = decode_excerpt("sg-01", message, room.alerts._judge.followed)
            if unpacks:
                said = msgspec.structs.replace(said, points=said.unpacked(), packed={})
            room.alerts.offer(said, room.clock.utc_ms())
            if at_s % 120:
                continue
            room.step()
            state = room.alerts._progress.series("smoke", "sg-01", "smoke-1")
            simple += bool(state.live.packed or state.late.packed)
        room.step()
        room.restart()
        room.alerts.step()
        state = room.alerts._progress.series("smoke", "sg-01", "smoke-1")
        sensor = room.alerts._progress.sensor("sg-01", "smoke-1", "pm2_5")
        room.close()
        with closing(sqlite3.connect(room.path)) as db:
            journal = db.execute("SELECT at_ms, incident, event, what, inputs FROM journal").fetchall()
            ranges = db.execute("SELECT first, past FROM processed ORDER BY first").fetchall()
        lanes += [state.live.points, state.late.points]
        rooms.append((journal, ranges, state.newest_ms, state.intervals, state.look_ms, sensor))
    assert simple, "something was passed by as it came"
    assert rooms[0] == rooms[1]
    for packed, points in (lanes[0::2], lanes[1::2]):
        assert points
        assert packed[-len(points) :] == points, "as much is kept, or a stretch more"
