"""What is old goes: single readings first, then the ledger, hours never; and the audit's sum comes out all the while.

On real SQLite files with a simulated clock. InfluxDB lets go by itself: see `tests/contracts/test_store.py`.
"""

from __future__ import annotations

import random
import re
import resource
import sqlite3
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from cloud.config import load
from cloud.ingest.audit import Books
from cloud.ingest.bookkeeper import Bookkeeper
from cloud.store import Hour, Mark, Past, Retry, check_store, open_store
from cloud.store.engines.sqlite import history, upkeep
from cloud.store.ledger import LATE, TWICE
from settings.finding import ConfigError
from tests.build import EPOCH, START_MS, batch, soil
from wire.batch import Gap, Status

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
ALL = (0, 2**62)
SERIES = ("sg-01", "soil-1", "soil_moisture")


class Garden:
    """A server that lives through months: what it took in is remembered here as well, hour by hour."""

    def __init__(self, folder, keep_days=5, ledger_days=12):
        self.path = folder / "store.db"
        self.keep_days, self.ledger_days = keep_days, ledger_days
        self.now_ms = START_MS
        self.next_seq = 1
        self.truth = defaultdict(list)  # by hour: the values that were ever stored
        self.waiting = []
        self.start()

    def utc_ms(self):
        return self.now_ms

    def monotonic(self):
        return self.now_ms / 1000

    def start(self):
        self.store = open_store(
            {"path": str(self.path), "keep_days": self.keep_days, "ledger_days": self.ledger_days}, writer=True
        )
        self.store.setup()
        self.books = Books()
        self.keeper = Bookkeeper(self.store, self.books, self)
        self.keeper.open()

    def kill(self):
        self.store.close()
        self.start()

    def measure(self, n=2):
        """Make a batch of now; return it."""
        values = [round(20 + (self.next_seq + k) % 40 / 7, 2) for k in range(n)]
        made = batch(
            first=self.next_seq,
            start_ms=self.now_ms,
            step_ms=60_000,
            rows=[{"soil-1": {"soil_moisture": value}} for value in values],
            now_ms=self.now_ms + n * 60_000,
        )
        self.next_seq += n
        return made, values

    def commit(self, made, values, *, counts=True):
        self.store.commit([made], self.now_ms)
        for row in self.store.ledger(self.now_ms):
            self.books.row(row)
        if counts:
            (block,) = made.blocks
            for time_ms, value in zip(block.times_ms, values, strict=True):
                self.truth[time_ms // HOUR_MS].append(value)

    def beat(self):
        """As the ingester does each minute: the status, and a turn of the books."""
        held = sum(made.n for made, _ in self.waiting)
        status = Status(1, "online", epoch=EPOCH, acquired=self.next_seq - 1, spooled=held)
        self.store.write_status("sg-01", status, self.now_ms)
        self.books.high("sg-01", EPOCH, self.next_seq - 1)
        self.keeper.step()
        self.keeper.keep()

    def account(self):
        books = Books()
        Bookkeeper(self.store, books, self).open()  # as `gocche audit` does
        return next(one for one in books.accounts() if one.gateway == "sg-01")

    def rows(self, table):
        with sqlite3.connect(self.path) as db:
            found = db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        db.close()
        return found

    def check(self):
        """Compare all that the store tells with what it ever took in."""
        kept_ms = self.store.kept_since_ms(self.now_ms)
        assert kept_ms >= self.now_ms - self.keep_days * DAY_MS - 3 * DAY_MS
        assert kept_ms <= max(self.now_ms - self.keep_days * DAY_MS, 0)
        stored = [value for _, value in self.store.series(*SERIES, *ALL)]
        assert sorted(stored) == sorted(v for hour, own in self.truth.items() if hour * HOUR_MS >= kept_ms for v in own)
        hours = {hour.start_ms // HOUR_MS: hour for hour in self.store.hourly(*SERIES, 0, self.now_ms + DAY_MS)}
        assert {hour: found.n for hour, found in hours.items()} == {hour: len(own) for hour, own in self.truth.items()}
        for hour, own in self.truth.items():
            found = hours[hour]
            assert (found.low, found.high, round(found.mean, 6)) == (min(own), max(own), round(sum(own) / len(own), 6))
        account = self.account()
        assert account.unknown == 0, account
        parts = account.stored, account.quarantined, account.declared, account.expired, account.spooled
        assert account.acquired == self.next_seq - 1 == sum(parts), account
        return account


@pytest.fixture
def garden(tmp_path):
    made = Garden(tmp_path)
    yield made
    made.store.close()


def live(garden, days, seed=1):
    """Let days pass: a batch an hour, backlogs twice as old as is kept, kills, a clock that is wrong for a moment."""
    most_ms = 2 * garden.keep_days * DAY_MS
    chance = random.Random(seed)
    for hour in range(days * 24):
        garden.now_ms = START_MS + hour * HOUR_MS
        made, values = garden.measure()
        garden.waiting.append((made, values))
        if chance.random() < 0.7:  # the newest first; the rest may wait for days
            garden.commit(*garden.waiting.pop())
        if hour % 24 == 0 or chance.random() < 0.02:
            chance.shuffle(garden.waiting)
            while garden.waiting and chance.random() < 0.95:
                made, values = garden.waiting.pop()
                garden.commit(made, values)
                if chance.random() < 0.2:
                    garden.commit(made, values, counts=False)  # its acknowledgement was lost
        old = [one for one in garden.waiting if one[0].blocks[0].times_ms[0] < garden.now_ms - most_ms]
        garden.waiting = [one for one in garden.waiting if one not in old]
        for made, _ in old:  # the spool was full: declared lost
            garden.store.commit([Gap("sg-01", EPOCH, made.first, made.n, "quota")], garden.now_ms)
        if hour % 6 == 0:
            garden.beat()
        if chance.random() < 0.02:
            garden.kill()
        if chance.random() < 0.01:
            wrong = msgspec.structs.replace(batch(rows=soil(1)), gateway="sg-02", first=hour + 1)
            garden.store.commit([wrong], garden.now_ms + 3_650 * DAY_MS)
            garden.store.commit([wrong], garden.now_ms)


def test_readings_go_hours_stay_and_nothing_becomes_unknown(garden):
    for days in (3, 10, 20):
        grown(garden, days)
        garden.check()
    account = garden.account()
    assert (account.stored, account.expired) == (2 * (6 * 5 + 1), 2 * (6 * 15 - 1))
    assert 6 * 12 <= garden.rows("ledger") == len(garden.store.ledger()) <= 6 * 14


def grown(garden, days):
    """Let days pass, until so many are over, with a batch every four hours."""
    while garden.now_ms < START_MS + days * DAY_MS:
        garden.commit(*garden.measure())
        garden.now_ms += 4 * HOUR_MS
        if garden.next_seq % 12 == 1:
            garden.beat()
    garden.beat()


def test_what_comes_later_than_is_kept_is_counted_in_its_hours_and_expires(garden):
    made, values = garden.measure(3)
    grown(garden, 8)
    garden.commit(*garden.measure())
    garden.beat()
    before = garden.account()
    assert garden.store.commit([made], garden.now_ms) == [[]], "nothing is refused"
    garden.truth[START_MS // HOUR_MS] += values
    for _ in range(3):
        garden.store.commit([made], garden.now_ms + 1_000)
    other = msgspec.structs.replace(made, held=[msgspec.structs.replace(made.blocks[0], key=7)])
    garden.store.commit([other], garden.now_ms + 2_000)
    (row,) = [row for row in garden.store.ledger() if row.first == made.first]
    assert (row.verdict, row.words, garden.store.batch_readings(row)) == ("stored", LATE, [])
    garden.now_ms += 60_000
    garden.beat()
    account = garden.check()
    assert (account.stored, account.expired) == (before.stored, before.expired + 3)


def test_a_copied_card_adds_nothing_to_hours_that_are_gone(garden):
    made, values = garden.measure(3)
    copy = batch(start_ms=START_MS + 1_000, rows=[{"soil-1": {"soil_moisture": 99.0}}] * 3)
    grown(garden, 8)
    garden.commit(made, values)
    for _ in range(2):
        garden.store.commit([copy], garden.now_ms)
    (row,) = [row for row in garden.store.ledger() if row.first == made.first]
    assert row.words == TWICE
    garden.check()


def test_a_batch_that_straddles_the_horizon_is_kept_in_part(garden):
    grown(garden, 8)
    kept_ms = garden.store.kept_since_ms(garden.now_ms)
    made = batch(
        first=garden.next_seq,
        start_ms=kept_ms - 120_000,
        step_ms=60_000,
        rows=[{"soil-1": {"soil_moisture": 50.0 + k}} for k in range(4)],
    )
    garden.next_seq += 4
    garden.commit(made, [50.0, 51.0, 52.0, 53.0])
    (row,) = [row for row in garden.store.ledger() if row.first == made.first]
    assert [dated.values["soil_moisture"] for dated in garden.store.batch_readings(row)] == [52.0, 53.0]
    garden.beat()
    garden.check()


def test_what_is_older_than_the_ledger_is_never_added_twice(garden):
    made, values = garden.measure(3)
    grown(garden, 8)
    garden.commit(made, values)  # late: in its hours
    grown(garden, 30)
    garden.now_ms += HOUR_MS
    garden.commit(*garden.measure())
    assert made.first not in {row.first for row in garden.store.ledger()}
    assert garden.store.commit([made], garden.now_ms) == [[]]
    garden.beat()
    garden.check()


def test_a_clock_that_is_ten_years_ahead_for_a_moment_destroys_nothing(garden):
    grown(garden, 4)
    for minute in range(30):
        garden.store.commit(
            [Gap("sg-01", EPOCH, garden.next_seq, 1, "quota")], garden.now_ms + 3_650 * DAY_MS + minute * 60_000
        )
    garden.next_seq += 1
    garden.now_ms += 60_000
    garden.commit(*garden.measure())
    assert garden.store.kept_since_ms(garden.now_ms) <= START_MS
    assert garden.rows("reading") == 2 * 6 * 4 + 2


def test_after_a_pause_retention_goes_on(garden):
    grown(garden, 8)
    garden.kill()
    garden.now_ms += 10 * DAY_MS
    grown(garden, 19)
    assert garden.store.kept_since_ms(0) < START_MS + 8 * DAY_MS, "it does not believe a clock that leaps"
    grown(garden, 30)
    assert garden.store.kept_since_ms(0) == garden.now_ms - 5 * DAY_MS - 4 * HOUR_MS


def test_statuses_of_epochs_that_are_over_go_and_their_sum_stays(garden):
    grown(garden, 2)
    old = "0a" * 8
    garden.store.write_status("sg-01", Status(1, "online", epoch=old, acquired=9), START_MS)
    garden.store.write_status("sg-02", Status(1, "online", epoch=old, acquired=7), START_MS)
    garden.kill()
    garden.store.commit([Gap("sg-01", old, 1, 9, "quota"), Gap("sg-02", old, 1, 7, "quota")], garden.now_ms)
    garden.beat()
    for step in range(40):
        garden.now_ms += DAY_MS
        garden.store.commit([Gap("sg-02", old, 8 + step, 1, "quota")], garden.now_ms)
        garden.beat()
    assert [(row.gateway, row.status.epoch) for row in garden.store.statuses()] == [("sg-01", EPOCH), ("sg-02", old)]
    books = Books()
    Bookkeeper(garden.store, books, garden).open()
    assert {(one.gateway, one.epoch): one.unknown for one in books.accounts()} == {
        ("sg-01", EPOCH): 0,
        ("sg-01", old): 0,
        ("sg-02", old): 0,
    }


def test_the_ledger_is_not_pruned_while_nobody_keeps_its_summary(garden):
    for day in range(20):
        garden.now_ms = START_MS + day * DAY_MS
        garden.commit(*garden.measure())
    assert len(garden.store.ledger()) == 20
    garden.store.keep_summary([], Mark(garden.now_ms, START_MS + 3 * DAY_MS))
    for _ in range(3):
        garden.now_ms += HOUR_MS
        garden.commit(*garden.measure())
    assert len(garden.store.ledger()) == 20 + 3 - 3, "only what is counted as expired may go"


def test_a_full_disk_while_pruning_loses_nothing_and_pruning_goes_on(garden):
    grown(garden, 10)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = max(file.stat().st_size for file in garden.path.parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))  # the interpreter ignores SIGXFSZ
    undone = []
    try:
        for _ in range(80):
            garden.now_ms += 2 * HOUR_MS
            one = garden.measure()
            try:
                garden.commit(*one)
            except Retry:
                undone.append(one)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(undone) < 80
    for one in undone:
        garden.now_ms += 2_000
        garden.commit(*one)
    garden.beat()
    garden.check()
    with sqlite3.connect(garden.path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def test_a_step_of_pruning_is_small(garden, monkeypatch):
    """Months that are let go at once, as when `keep_days` is set for the first time, never hold up a commit."""
    garden.store.close()
    garden.keep_days = garden.ledger_days = None
    garden.start()
    for day in range(30):
        garden.now_ms = START_MS + day * DAY_MS
        rows = [{"soil-1": {"soil_moisture": 30 + k / 100}} for k in range(500)]
        made = batch(first=garden.next_seq, start_ms=garden.now_ms, rows=rows)
        garden.next_seq += 500
        garden.store.commit([made], garden.now_ms)
    garden.store.close()
    garden.keep_days = 5
    garden.start()
    left = [garden.rows("reading")]
    while left[-1] > 500 * 7:
        garden.now_ms += 5_000
        garden.store.commit([Gap("sg-01", EPOCH, garden.next_seq, 1, "quota")], garden.now_ms)
        garden.next_seq += 1
        left.append(garden.rows("reading"))
        assert len(left) < 60, left
    assert max(a - b for a, b in pairwise(left)) <= 2_000


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("keep_days = 30\nledger_days = 30", "[store] ledger_days: 30 is not more than keep_days (30); give more"),
        (
            "ledger_days = 30",
            "[store] ledger_days: 30 is not more than keep_days (-); give more than keep_days, or leave",
        ),
        ("keep_days = 0", "[store] keep_days"),
    ],
)
def test_a_ledger_shorter_than_its_readings_is_refused_in_words(tmp_path, lines, told):
    sample = (Path(__file__).parents[1] / "config" / "cloud.toml").read_text(encoding="utf-8")
    (tmp_path / "cloud.toml").write_text(sample.replace("[store]", f"[store]\n{lines}"), encoding="utf-8")
    config = load(tmp_path / "cloud.toml")
    with pytest.raises(ConfigError, match=re.escape(told)):
        check_store(config.file, config.store)


def test_a_whole_read_goes_in_slices(tmp_path, monkeypatch):
    store = open_store({"path": str(tmp_path / "store.db")}, writer=True)
    store.setup()
    monkeypatch.setattr(history, "sliced", lambda where, *_, whole=history.sliced: whole(where, 1))
    made = batch(rows=[{"soil-1": {"soil_moisture": 30 + k, "soil_ph": 4.5}} for k in range(50)], step_ms=600_000)
    store.commit([made], START_MS + DAY_MS)
    seen = []
    store._readers.connection().set_trace_callback(seen.append)
    assert [value for _, value in store.series(*SERIES, *ALL)] == [30 + k for k in range(50)]
    assert seen.count("BEGIN ") + seen.count("BEGIN") == 2 + 9
    (row,) = store.ledger()
    assert store.batch_readings(row) == list(made.readings())
    assert sum(hour.n for hour in store.hourly(*SERIES, 0, START_MS + DAY_MS)) == 50
    store.close()


def test_what_a_day_of_hours_costs_does_not_grow_with_the_years_that_are_kept(tmp_path):
    store = open_store({"path": str(tmp_path / "store.db")}, writer=True)
    store.setup()
    steps = []

    def of_a_day():
        db = store._readers.connection()
        db.set_progress_handler(lambda: steps.append(1), 100)
        found = store.hourly(*SERIES, START_MS, START_MS + DAY_MS)
        db.set_progress_handler(None, 100)
        taken = len(steps)
        steps.clear()
        return len(found), taken

    def keep(hours):
        store.write_hours([Past(*SERIES, [Hour(START_MS + at * HOUR_MS, 0, 5, 4, 6) for at in hours])])

    keep(range(24))
    day, steps_of_day = of_a_day()
    keep(range(24, 4_000))
    assert day == 24
    assert of_a_day() == (day, pytest.approx(steps_of_day, abs=3))
    store.close()


def test_the_log_is_short_again_after_a_reader_that_stayed(tmp_path, monkeypatch):
    monkeypatch.setattr(upkeep, "WAL_BYTES", 2**20)
    store = open_store({"path": str(tmp_path / "store.db")}, writer=True)
    store.setup()

    def fill(number):
        made = batch(first=1 + 250 * number, start_ms=START_MS + number * 250_000, rows=soil(250))
        store.commit([made], START_MS + number * 1_000)

    fill(0)
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN")
    other.execute("SELECT count(*) FROM reading").fetchone()
    number = 1
    while store.health()["wal_bytes"] <= 2 * 2**20:
        fill(number)
        number += 1
    other.execute("ROLLBACK")
    other.close()
    fill(number + 10)
    assert store.health()["wal_bytes"] < 2**19
    store.close()
