"""What must not stop judging: rows that cannot be read, a store that hangs, a clock put right, numbers met twice."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cloud.alerts.decide.pace import refuse
from cloud.alerts.decide.progress import Watched, read_node
from cloud.alerts.decide.series import Series, read_series
from cloud.alerts.listing import events
from cloud.alerts.rules import open_rules
from cloud.clock import SystemClock
from cloud.store.intervals import Intervals
from tests.rules.garden import SMOKE, START_MS, Bench, batch, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloud.alerts.decide.progress import Progress

FIRE = [(60.0 * n, 80.0) for n in range(6)]
DAY_S = 86_400


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, [SMOKE], None)
    made.step()
    yield made
    made.close()


class _Store:
    """The real store, with one thing that goes wrong."""

    def __init__(self, store: Any, **wrong: Any) -> None:
        self._store, self._wrong = store, wrong

    def __getattr__(self, name: str) -> Any:
        return self._wrong.get(name) or getattr(self._store, name)


def test_an_unreadable_row_costs_itself_and_is_said_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [SMOKE], None)
    real = bench.store.batch_readings

    def bad(row: Any) -> Any:
        if row.first == 1:
            raise ValueError("99 is not a valid Reason")
        return real(row)

    bench.store = _Store(bench.store, batch_readings=bad)  # type: ignore[assignment]
    bench.restart()
    now_ms = bench.clock.utc_ms()
    bench.store.commit([batch(1, [(now_ms - 5_000, 5.0)])], now_ms)
    bench.store.commit([batch(2, [(now_ms - 300_000 + 60_000 * n, 90.0) for n in range(6)])], now_ms + 1)
    bench.idle(240, 60)
    assert [incident.rule for incident in bench.alerts.incidents()] == ["smoke"]
    assert bench.alerts.health()["unreadable"] == 1
    assert [row[1:4:2] for row in events(bench.path, 0)] == [("unreadable", "ValueError: 99 is not a valid Reason")]
    assert bench.alerts._progress.cursor() == now_ms + 1
    bench.close()


def test_a_message_that_cannot_be_judged_costs_itself(bench: Bench) -> None:
    bench.clock.advance(301)
    whole = batch(10, [(bench.at(at_s), value) for at_s, value in FIRE])
    broken = batch(1, [(bench.at(0), 5.0)])
    broken.blocks[0].columns[0][0] = "no number"
    other = batch(20, [(bench.at(at_s), value) for at_s, value in FIRE], channel="smoke-2")
    for made in (whole, broken, other, broken):  # what was judged before it is undone, and judged again from its start
        bench.alerts.offer(made, bench.clock.utc_ms())
    bench.step()
    assert len(bench.alerts.incidents()) == 2
    assert (bench.alerts.health()["poisoned"], bench.alerts.health()["faults"]) == (2, 0)


def test_a_hundred_messages_are_one_commit_and_one_state(bench: Bench) -> None:
    bench.clock.advance(301)
    said: list[str] = []
    bench.alerts._journal.db.set_trace_callback(said.append)
    for n in range(100):
        bench.alerts.offer(batch(1 + n, [(bench.at(3.0 * n), 10.0)]), bench.clock.utc_ms())
    bench.step()
    bench.alerts._journal.db.set_trace_callback(None)
    assert list(bench.alerts._progress.processed("sg-01", batch(1, []).epoch)) == [(1, 101)]
    assert said.count("COMMIT") <= 5  # listening, judging, silence, and the cursor of the ledger
    assert sum("INTO series" in one for one in said) == sum("FROM series WHERE rule" in one for one in said) == 1


def test_one_that_cannot_be_judged_among_a_hundred_costs_few_commits(bench: Bench) -> None:
    bench.clock.advance(301)
    made = [batch(1 + n, [(bench.at(3.0 * n), 10.0)]) for n in range(100)]
    made[61].blocks[0].columns[0][0] = "no number"
    said: list[str] = []
    bench.alerts._journal.db.set_trace_callback(said.append)
    for one in made:
        bench.alerts.offer(one, bench.clock.utc_ms())
    bench.step()
    bench.alerts._journal.db.set_trace_callback(None)
    assert list(bench.alerts._progress.processed("sg-01", made[0].epoch)) == [(1, 62), (63, 101)]
    assert bench.alerts.health()["poisoned"] == 1
    assert said.count("COMMIT") + said.count("ROLLBACK") < 25


def test_a_store_that_hangs_holds_up_nothing(tmp_path: Path) -> None:
    clock, hanging = SystemClock(), threading.Event()
    bench = Bench(tmp_path, [SMOKE], None, clock=clock, ledger_s=0.1)
    release = threading.Event()

    def hang(*_: Any) -> list[Any]:
        hanging.set()
        release.wait(30)
        return []

    bench.store = _Store(bench.store, ledger=hang)  # type: ignore[assignment]
    bench.restart()
    stop = threading.Event()
    thread = threading.Thread(target=bench.alerts.run, args=(stop,), name="alerts")
    thread.start()
    assert hanging.wait(10)
    now_ms = clock.utc_ms()
    bench.alerts.offer(batch(1, [(now_ms - 240_000 + 60_000 * n, 80.0) for n in range(5)]), now_ms)
    until(bench.alerts.incidents, within_s=5)
    release.set()
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    bench.close()


def test_smoke_under_the_numbers_of_a_copied_card_alerts(bench: Bench) -> None:
    bench.live([(60.0 * n, 5.0) for n in range(8)])
    bench.seq = 1
    bench.live([(600 + 60.0 * n, 300.0) for n in range(8)])
    (incident,) = bench.alerts.incidents()
    assert (incident.since_ms, incident.state) == (bench.at(600), "open")


def test_two_gateways_with_the_same_numbers_at_once_are_both_judged(bench: Bench) -> None:
    for n in range(8):
        bench.live([(60.0 * n, 5.0)])
        bench.seq -= 1
        bench.live([(60.0 * n + 7.0, 300.0)], channel="smoke-2")
    assert [incident.channel for incident in bench.alerts.incidents()] == ["smoke-2"]


def test_a_guessed_time_gives_way_to_the_real_one(bench: Bench) -> None:
    """Bad for two minutes by its own dates; the guess must not lengthen it to the three that make an alert."""
    bench.clock.advance(300)
    boot_ms = [0, 60_000, 120_000]
    guessed = batch(1, [(ms + 5_000, 80.0) for ms in boot_ms], undated=True)
    bench.alerts.offer(guessed, bench.clock.utc_ms())  # guessed at 180, 240 and 300 s
    bench.step()
    bench.store.commit([batch(1, [(bench.at(100) + ms, 80.0) for ms in boot_ms])], bench.clock.utc_ms())
    bench.alerts.offer(batch(1, [(bench.at(100) + ms, 80.0) for ms in boot_ms]), bench.clock.utc_ms())
    bench.idle(65, 65)
    bench.seq = 4
    bench.send([(290.0, 10.0)])
    assert bench.alerts.incidents() == []
    lane = bench.alerts._progress.series("smoke", "sg-01", "smoke-1").live
    assert [(point[0], point[1]) for point in lane.points[:3]] == [
        (bench.at(100) + ms, 1 + n) for n, ms in enumerate(boot_ms)
    ]
    assert lane.guessed == []


@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_put_right_by_a_day_stops_nothing(bench: Bench, days: int) -> None:
    """Gateways dated by the server went wrong with it; from then on all is dated rightly."""
    bench.live([(60.0 * n, 5.0) for n in range(20)])
    bench.clock.step(days * DAY_S)
    start_s = days * DAY_S + 1_200.0
    bench.live([(start_s + 60.0 * n, 80.0) for n in range(6)])
    (incident,) = bench.alerts.incidents()
    assert (incident.state, incident.since_ms) == ("open", bench.at(start_s))


def test_what_is_held_back_is_not_held_longer_when_the_clock_is_put_back(bench: Bench) -> None:
    bench.clock.advance(400)
    bench.send([*FIRE, (360, 10)])
    assert bench.alerts.incidents() == []
    bench.clock.step(-DAY_S)
    bench.idle(10)
    assert len(bench.alerts.incidents()) == 1


def test_the_ledger_is_followed_after_the_clock_is_put_back(bench: Bench) -> None:
    bench.store.commit([batch(1, [(bench.clock.utc_ms(), 10.0)])], bench.clock.utc_ms())
    bench.idle(65, 65)
    bench.clock.step(-DAY_S)
    bench.idle(65, 65)
    now_ms = bench.clock.utc_ms()
    bench.store.commit([batch(2, [(now_ms - 300_000 + 60_000 * n, 90.0) for n in range(6)])], now_ms)
    bench.idle(130, 65)
    assert len(bench.alerts.incidents()) == 1


def _boot(bench: Bench, wrong_s: float, n: int, *, says: bool = True) -> None:
    """Let one boot tell of heavy smoke once a minute, its date wrong by so much."""
    for _ in range(n):
        bench.clock.advance(60)
        mono_ms = round(1000 * (bench.clock.monotonic() - 100))
        if says:
            bench.alerts.lives("sg-01", "b0", mono_ms)
        offset_ms = START_MS + round(1000 * wrong_s)
        made = batch(bench.seq, [(offset_ms + mono_ms, 300.0)], offset_ms=offset_ms)
        bench.seq += 1
        bench.alerts.offer(made, bench.clock.utc_ms())
        bench.step()


@pytest.mark.parametrize("wrong_s", [12 * 60, 40 * DAY_S])
def test_smoke_that_is_dated_in_the_future_is_judged_by_arrival(bench: Bench, wrong_s: float) -> None:
    """This server's clock is slow, or the gateway's is fast: in both cases it burns now."""
    _boot(bench, 1_100 + wrong_s, 6, says=False)
    (incident,) = bench.alerts.incidents()
    assert (incident.state, incident.undated) == ("open", True)
    assert bench.at(0) < incident.since_ms < bench.clock.utc_ms()


def test_smoke_of_a_boot_that_a_slow_server_dated_is_not_late(bench: Bench) -> None:
    """The date of a boot never changes: it was an hour slow, and the server's clock has been put right since."""
    _boot(bench, -3_600 - 900, 6)
    (incident,) = bench.alerts.incidents()
    assert (incident.state, incident.undated) == ("open", True)


def test_a_backlog_of_a_boot_that_lives_stays_late(bench: Bench) -> None:
    """Its beat and its date agree: what is old is old."""
    bench.clock.advance(7_200)
    bench.alerts.lives("sg-01", "b0", round(1000 * bench.clock.monotonic()))
    offset_ms = bench.clock.utc_ms() - round(1000 * bench.clock.monotonic())
    made = batch(1, [(bench.at(60.0 * n), 300.0) for n in range(6)], offset_ms=offset_ms)
    bench.alerts.offer(made, bench.clock.utc_ms())
    bench.step()
    assert [incident.late for incident in bench.alerts.incidents()] == [True]


@pytest.mark.parametrize("hours", [-30, 30])
def test_undated_smoke_is_now_although_the_clock_was_put_right_in_between(bench: Bench, hours: int) -> None:
    for n in range(10):
        bench.clock.advance(60)
        made = batch(1 + n, [(60_000 * n, 5.0 if n < 4 else 80.0)], undated=True)
        bench.alerts.offer(made, bench.clock.utc_ms())
        bench.step()
        if n == 2:
            bench.clock.step(3_600 * hours)
    (incident,) = bench.alerts.incidents()
    assert (incident.state, incident.late) == ("open", False)


def test_a_row_that_is_seen_later_than_those_after_it_is_read(tmp_path: Path) -> None:
    """A cluster shows what is durable within `settle_s`, and an ingester's clock is three minutes slow."""
    bench = Bench(tmp_path, [SMOKE], None)
    bench.alerts.step()
    start_ms, hidden = bench.clock.utc_ms(), [True]
    real = bench.store.ledger

    def ledger(since_ms: int = 0, at_most: int = 0) -> list[Any]:
        return [row for row in real(since_ms, at_most) if not (hidden[0] and row.first == 1)]

    bench.store.commit([batch(1, [(start_ms - 300_000 + 60_000 * n, 90.0) for n in range(6)])], start_ms - 180_000)
    bench.store = _Store(bench.store, ledger=ledger, settle_s=200.0)  # type: ignore[assignment]
    bench.restart()
    bench.store.commit([batch(7, [(start_ms, 90.0)], channel="smoke-2")], start_ms)
    bench.idle(180, 60)
    assert bench.alerts._progress.cursor() == start_ms
    assert bench.alerts.incidents() == []
    hidden[0] = False
    bench.idle(120, 60)
    assert [incident.channel for incident in bench.alerts.incidents()] == ["smoke-1"]
    read = list(bench.alerts._progress.processed("sg-01", batch(1, []).epoch))
    assert read == [(1, 8)], "each once"
    bench.close()


def test_a_page_of_the_ledger_that_is_short_of_a_row_is_not_the_last(tmp_path: Path) -> None:
    """A row that nobody can read: what stands behind its page comes all the same."""
    bench = Bench(tmp_path, [SMOKE], None)
    real = bench.store.ledger

    def ledger(since_ms: int = 0, at_most: int = 0) -> list[Any]:
        return [row for row in real(since_ms, at_most) if row.first != 1]

    bench.store = _Store(bench.store, ledger=ledger)  # type: ignore[assignment]
    bench.restart()
    bench.alerts._ledger._rows_a_page = 3
    now_ms = bench.clock.utc_ms()
    for n in range(12):
        bench.store.commit([batch(1 + n, [(now_ms - 5_000 + n, 5.0)])], now_ms + n)
    bench.idle(65, 5)
    assert list(bench.alerts._progress.processed("sg-01", batch(1, []).epoch)) == [(2, 13)]
    bench.close()


def test_processed_numbers_are_a_set(bench: Bench) -> None:
    chance = random.Random(7)
    progress: Progress = bench.alerts._progress
    kept = Intervals()
    with bench.alerts._journal.transaction():
        for _ in range(2_000):
            first, n = chance.randint(1, 3_000), chance.randint(1, 6)
            progress.add_processed("sg-01", "aa", first, n, START_MS)
            kept.add(first, first + n)
    assert list(progress.processed("sg-01", "aa")) == list(kept)
    for _ in range(500):
        first, n = chance.randint(1, 3_000), chance.randint(1, 9)
        seen = progress.processed("sg-01", "aa", first, n)
        assert all((number in seen) == (number in kept) for number in range(first, first + n))


def test_difference_of_sets_is_the_difference_of_sets() -> None:
    chance = random.Random(5)
    for _ in range(200):
        left, right = ({chance.randint(0, 60) for _ in range(30)} for _ in range(2))
        minus = Intervals((n, n + 1) for n in left).minus(Intervals((n, n + 1) for n in right))
        assert {n for low, high in minus for n in range(low, high)} == left - right


def test_thirty_thousand_holes_cost_milliseconds(bench: Bench) -> None:
    db = bench.alerts._journal.db
    with bench.alerts._journal.transaction():
        rows = (("sg-01", batch(1, []).epoch, 100 + 20 * n, 110 + 20 * n, START_MS) for n in range(30_000))
        db.executemany("INSERT INTO processed VALUES (?, ?, ?, ?, ?)", rows)
    left, right = (Intervals((shift + 20 * n, shift + 10 + 20 * n) for n in range(30_000)) for shift in (0, 5))
    started = time.process_time()
    assert len(left.minus(right)) == 150_000
    for n in range(100):
        bench.alerts.offer(batch(300_111 + 20 * n, [(bench.clock.utc_ms(), 5.0)]), bench.clock.utc_ms())
    bench.step()
    assert time.process_time() - started < 1.0


def test_twenty_thousand_incidents_cost_a_step_nothing(bench: Bench) -> None:
    bench.live(FIRE)
    db = bench.alerts._journal.db
    columns = [row[1] for row in db.execute("PRAGMA table_info(incident)") if row[1] != "id"]
    with bench.alerts._journal.transaction():
        times = {
            name: f"since_ms - 600000 * k - {n}"
            for n, name in enumerate(("closed_ms", "ended_ms", "bad_ms", "since_ms"))
        }
        values = ", ".join(times.get(name, name) for name in columns)
        numbers = "WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < 20000)"
        db.execute(f"INSERT INTO incident ({', '.join(columns)}) {numbers} SELECT {values} FROM incident, n")
    started = time.process_time()
    for n in range(20):
        bench.clock.advance(60)
        bench.send([(400.0 + 60 * n, 10.0)])
        bench.alerts._journal.open_silences("sg-01")
    assert time.process_time() - started < 1.0, "a step looks at what is open, not at history"
    started = time.process_time()
    for _ in range(100):
        bench.alerts._journal.open_keys("smoke")
    assert time.process_time() - started < 0.1


def test_what_was_judged_long_ago_is_forgotten_and_history_is_kept(bench: Bench) -> None:
    bench.live(FIRE)
    bench.clock.advance(100 * DAY_S)
    bench.idle(10)
    assert list(bench.alerts._progress.processed("sg-01", batch(1, []).epoch)) == []
    assert bench.alerts._journal.intents(0) == []
    assert len(bench.alerts.incidents()) == 1
    assert "opened" in bench.events()


def test_a_state_that_cannot_be_read_costs_its_own_past_and_no_smoke(bench: Bench) -> None:
    bench.live(FIRE[:2])
    with bench.alerts._journal.transaction() as db:
        db.execute("UPDATE series SET state = '{'")
    bench.restart()
    refuse(bench.path, open_rules([SMOKE]), [SMOKE], bench.clock.utc_ms())
    bench.live([(120.0 + at_s, value) for at_s, value in FIRE])
    assert [incident.rule for incident in bench.alerts.incidents()] == ["smoke"]
    assert bench.alerts.health()["poisoned"] == 0


def test_what_was_remembered_and_rotted_is_learned_anew() -> None:
    series = msgspec.msgpack.encode(Series())
    assert read_series(series) == Series()
    assert read_series(series.replace(b"quiet", b"\xffuiet")) is None
    assert read_node(b"\x91\xa1n") == Watched("n")
    assert read_node(b"\x91\xa1\xff") is None
