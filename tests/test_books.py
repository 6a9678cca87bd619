"""The books: they start from a kept summary, follow the ledger whoever writes it, and lose nothing to a crash."""

from __future__ import annotations

import random
import threading
import time

import pytest

from cloud.ingest.audit import Books
from cloud.ingest.bookkeeper import FOLLOW_S, KEEP_MS, TRAIL_MS, Bookkeeper, accounts_of
from cloud.store import LedgerRow, Mark, Refusal, Retry, StatusRow, Tallied, each_row, open_store
from tests.build import EPOCH, START_MS, batch, soil
from wire.batch import RENAMED, Gap, Status

MINUTE_MS = 60_000
DAY_MS = 86_400_000


class Clock:
    def __init__(self):
        self.now_ms = START_MS + DAY_MS

    def utc_ms(self):
        return self.now_ms

    def monotonic(self):
        return self.now_ms / 1000

    def wait(self, event, seconds):
        self.now_ms += round(seconds * 1000)
        return event.is_set()


class World:
    """One store that keeps its file over restarts; ledger rows are gap records, cheap to make."""

    def __init__(self, folder, **keys):
        self.table = {"path": str(folder / "store.db"), **keys}
        self.clock = Clock()
        self.start()

    def start(self):
        self.store = open_store(self.table, writer=True)
        self.store.setup()
        self.books = Books()
        self.keeper = Bookkeeper(self.store, self.books, self.clock)
        self.asked = []
        ledger = self.store.ledger
        self.store.ledger = lambda since_ms=0, at_most=0: self.asked.append(since_ms) or ledger(since_ms, at_most)

    def restart(self):
        """As after kill -9: nothing is said to anybody."""
        self.store.close()
        self.start()
        self.keeper.open()

    def sums(self):
        return {
            (one.gateway, one.epoch): (one.stored, one.quarantined, one.declared, one.expired, one.unknown)
            for one in self.books.accounts()
        }

    def truth(self):
        """What the whole ledger adds up to."""
        anew = Books()
        for row in open_store(self.table, writer=False).ledger():
            anew.row(row)
        for status in self.store.statuses():
            anew.status(status)
        return {
            (one.gateway, one.epoch): (one.stored, one.quarantined, one.declared, one.expired, one.unknown)
            for one in anew.accounts()
        }


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.store.close()


def test_a_start_reads_the_summary_and_the_rows_after_it(world):
    world.keeper.open()
    for number in range(50):
        world.store.commit([Gap("sg-01", EPOCH, 1 + 10 * number, 10, "quota")], world.clock.now_ms)
        world.clock.now_ms += MINUTE_MS
        world.keeper.step()
    world.restart()
    assert world.sums() == {("sg-01", EPOCH): (0, 0, 500, 0, 0)} == world.truth()
    assert world.asked[0] >= world.clock.now_ms - KEEP_MS - MINUTE_MS - TRAIL_MS
    assert world.keeper.ready


def test_what_another_ingester_writes_is_followed(world):
    world.keeper.open()
    world.store.write_status("sg-01", Status(1, "online", epoch=EPOCH, acquired=20), world.clock.now_ms)
    world.store.commit([batch(rows=soil(20))], world.clock.now_ms)  # nobody told these books
    world.clock.now_ms += MINUTE_MS
    world.keeper.step()
    assert world.sums() == {("sg-01", EPOCH): (20, 0, 0, 0, 0)}


@pytest.mark.parametrize("seed", range(4))
def test_whatever_comes_and_whenever_it_dies_the_sum_is_that_of_the_whole_ledger(tmp_path, seed):
    chance = random.Random(seed)
    world = World(tmp_path)
    world.keeper.open()
    for _ in range(150):
        event = chance.choice(
            ["commit", "commit", "commit", "tell", "step", "step", "keep", "kill", "set back", "ahead", "status"]
        )
        now = world.clock.now_ms
        if event in ("commit", "tell"):
            gateway, first = chance.choice(["sg-01", "sg-02"]), 1 + 3 * chance.randrange(60)
            entry = chance.choice(
                [
                    Gap(gateway, EPOCH, first, 3, "quota"),
                    Refusal(gateway, EPOCH, first, 3, "unknown"),
                    batch(gateway=gateway, first=first, rows=soil(3)),
                ]
            )
            world.store.commit([entry], now)
            if event == "tell":
                for row in world.store.ledger(now):
                    world.books.row(row)
        elif event == "step":
            world.clock.now_ms += MINUTE_MS
            world.keeper.step()
        elif event == "keep":
            world.keeper.keep()
        elif event == "kill":
            world.restart()
        elif event == "set back":
            world.clock.now_ms -= chance.choice([1_000, MINUTE_MS, 10 * DAY_MS])
        elif event == "status":
            epoch = chance.choice([EPOCH, "0a" * 8, "0b" * 8])
            earlier = {one: chance.randrange(9) for one in ("0a" * 8, "0b" * 8) if chance.random() < 0.5}
            state = chance.choice(["online", "online", "offline"])
            said = Status(
                1, state, epoch=epoch, acquired=chance.randrange(200), spooled=chance.randrange(9), earlier=earlier
            )
            world.store.write_status("sg-01", said, now)
            world.books.status(StatusRow("sg-01", now, said))
        elif event == "ahead":
            world.clock.now_ms += chance.choice([1_000, MINUTE_MS, DAY_MS])
        if chance.random() < 0.1:
            told, accounts = world.books.total(), world.books.accounts()
            world.books._stale |= world.books._tallies.keys()
            assert world.books.accounts() == accounts, "made anew they are the same"
            assert told == {name: sum(getattr(one, name) for one in world.books.accounts()) for name in told}
    world.restart()
    assert world.sums() == world.truth()
    world.store.close()


def test_an_audit_beside_a_gateway_that_sends_finds_nothing_unknown(tmp_path):
    """Whatever is stored and said between two of its questions."""
    store = open_store({"path": str(tmp_path / "store.db")}, writer=True)
    store.setup()
    first = 1

    def goes_on(ask):
        times = iter(range(3))  # else a reader of pages never comes to the end

        def asked(*of, **more):
            nonlocal first
            if next(times, None) is None:
                return ask(*of, **more)
            store.commit([batch(first=first, rows=soil(3))], START_MS + first)
            first += 3
            store.write_status("sg-01", Status(v=1, state="online", epoch=EPOCH, acquired=first - 1), START_MS + first)
            return ask(*of, **more)

        return asked

    live = open_store({"path": str(tmp_path / "store.db")}, writer=False)
    for name in ("statuses", "summary", "ledger"):
        setattr(live, name, goes_on(getattr(live, name)))
    (account,) = accounts_of(live, Clock())
    assert (account.acquired > 3, account.unknown) == (True, 0)
    live.close()
    store.close()


def test_a_total_of_many_epochs_costs_what_changed():
    books = Books()
    for number in range(5_000):
        books.add("sg-01", f"{number:016x}", '{"high":20,"stored":[[1,11]],"declared":[[11,21]]}')
    want = {"acquired": 100_000, "stored": 50_000, "declared": 50_000}
    assert {name: n for name, n in books.total().items() if n} == want
    started = time.process_time()
    for number in range(100):
        books.high("sg-01", f"{number:016x}", 21)
        assert books.total()["unknown"] == number + 1
    assert time.process_time() - started < 0.3, "each of them took 15 ms when all were added up"


@pytest.mark.parametrize("lost", [0, 1])
def test_what_waited_when_an_id_was_changed_is_not_unknown_under_the_old_one_which_another_gateway_has_now(lost):
    """What is in no store and that the gateway did not hold any more it calls renamed, too: that stays unknown."""
    old, new, other = ("sg-01", EPOCH), ("sg-02", EPOCH), ("sg-01", "44" * 8)
    books = Books()
    books.high(*old, 10)
    books.row(LedgerRow(*old, 1, 4 - lost, "stored", 1))
    books.status(StatusRow("sg-02", 2, Status(1, "online", "22" * 8, "11" * 8, earlier={EPOCH: 6})))
    books.status(StatusRow("sg-01", 3, Status(1, "online", "33" * 8, other[1])))
    assert unknown(books) == {old: 6 + lost}, "nobody has said yet whose they are"
    books.row(LedgerRow(*new, 1, 4, "declared", 4, words=RENAMED))
    assert unknown(books) == ({old: lost} if lost else {})
    for first, verdict in enumerate(["stored", "quarantined", "declared", "stored", "stored", "stored"], 5):
        books.row(LedgerRow(*new, first, 1, verdict, 4, words="quota" if verdict == "declared" else ""))
        books.status(StatusRow("sg-02", first, Status(1, "online", "22" * 8, "11" * 8, earlier={EPOCH: 10 - first})))
        assert unknown(books) == ({old: lost} if lost else {})
    kept = Books()
    for row in books.changed():
        kept.add(*row)
    assert {account.epoch: account.unknown for account in kept.accounts() if account.gateway == "sg-01"}[EPOCH] == lost


def test_what_waited_when_an_id_was_changed_does_not_wait_under_the_old_one_for_ever():
    """Nobody speaks under that id any more, so its last word of what waits is never taken back."""
    old, new = ("sg-01", EPOCH), ("sg-02", EPOCH)
    books = Books()
    books.row(LedgerRow(*old, 1, 4, "stored", 1))
    books.status(StatusRow("sg-01", 1, Status(1, "online", "22" * 8, EPOCH, acquired=10, spooled=6)))
    books.status(StatusRow("sg-02", 2, Status(1, "online", "22" * 8, "11" * 8, earlier={EPOCH: 10})))
    books.row(LedgerRow(*new, 1, 4, "declared", 3, words=RENAMED))
    assert [(one.gateway, one.spooled) for one in books.accounts() if one.epoch == EPOCH] == [
        ("sg-01", 6),
        ("sg-02", 0),
    ]
    books.row(LedgerRow(*new, 5, 5, "stored", 3))
    books.status(StatusRow("sg-02", 4, Status(1, "online", "22" * 8, "11" * 8)))
    ends = [one for one in books.accounts() if one.epoch == EPOCH]
    told = {one.gateway: (one.stored, one.declared, one.spooled, one.unknown) for one in ends}
    assert told == {"sg-01": (4, 5, 0, 1), "sg-02": (5, 4, 0, 0)}, "the tenth came to no end anywhere"


def unknown(books):
    return {(one.gateway, one.epoch): one.unknown for one in books.accounts() if one.unknown}


def test_a_mark_of_a_clock_that_was_ahead_hides_nothing(world):
    world.store.commit([Gap("sg-01", EPOCH, 1, 10, "quota")], world.clock.now_ms)
    world.store.keep_summary([Tallied("sg-01", EPOCH, "{}")], Mark(world.clock.now_ms + 9 * DAY_MS))
    world.restart()
    assert world.sums() == {("sg-01", EPOCH): (0, 0, 10, 0, 0)}


@pytest.mark.parametrize("text", ["", "[]", '{"stored":[[1]]}', '{"late":{"x":[]}}', "\x00" * 9])
def test_a_summary_that_rotted_costs_a_reading_of_the_ledger_and_nothing_else(world, text):
    world.store.commit([Gap("sg-01", EPOCH, 1, 10, "quota"), Gap("sg-02", EPOCH, 1, 7, "quota")], world.clock.now_ms)
    world.clock.now_ms += DAY_MS
    sound = Tallied("sg-02", EPOCH, '{"high":7,"declared":[[1,8]]}')
    world.store.keep_summary([Tallied("sg-01", EPOCH, text), sound], Mark(world.clock.now_ms))
    world.restart()
    assert world.sums() == {("sg-01", EPOCH): (0, 0, 10, 0, 0), ("sg-02", EPOCH): (0, 0, 7, 0, 0)}


def test_an_older_tally_of_another_ingester_is_kept_over_before_the_mark_passes_what_it_lacks(world):
    """Of two, the one that did not see the newest row yet keeps its tally last, and is killed then."""
    world.keeper.open()
    world.store.commit([Gap("sg-01", EPOCH, 1, 10, "quota")], world.clock.now_ms)
    world.keeper.step()
    mark, older = world.store.summary()
    world.clock.now_ms += KEEP_MS
    world.store.commit([Gap("sg-01", EPOCH, 11, 10, "quota")], world.clock.now_ms)
    for row in world.store.ledger(world.clock.now_ms):
        world.books.row(row)
    world.keeper.keep()
    world.store.keep_summary(older, mark)
    for _ in range(2 * KEEP_MS // MINUTE_MS):  # the gateway says nothing more
        world.clock.now_ms += MINUTE_MS
        world.keeper.step()
    assert world.store.summary()[0].until_ms > mark.until_ms + KEEP_MS
    world.restart()
    assert world.sums() == {("sg-01", EPOCH): (0, 0, 20, 0, 0)} == world.truth()


def test_an_older_tally_of_another_ingester_hides_nothing_that_expired(world):
    keep = world.store.keep_summary
    world.store.kept_since_ms = lambda now_ms: now_ms - DAY_MS
    world.keeper.open()
    world.store.commit([batch(rows=soil(20))], world.clock.now_ms)
    world.keeper.step()
    older = world.store.summary()[1]
    world.clock.now_ms += DAY_MS + 1
    world.store.keep_summary = lambda tallies, mark, by: (keep(tallies, mark), keep(older, Mark()), keep([], mark))
    world.keeper.step()
    world.store.keep_summary = keep
    for _ in range(2 * KEEP_MS // MINUTE_MS):
        world.clock.now_ms += MINUTE_MS
        world.keeper.step()
    world.restart()
    assert world.sums() == {("sg-01", EPOCH): (0, 0, 0, 20, 0)}


def test_a_slow_store_is_no_stuck_loop(world, monkeypatch):
    """Of the whole ledger a page is a turn: two million rows of a database that takes its time are many minutes."""
    monkeypatch.setattr(each_row, "__defaults__", (10, *each_row.__defaults__[1:]))
    for number in range(95):
        world.store.commit([Gap("sg-01", EPOCH, 1 + 10 * number, 10, "quota")], START_MS + number)
    turns = []
    stop = threading.Event()
    monkeypatch.setattr(stop, "is_set", lambda: turns.append(1) and False)
    world.clock.wait = lambda *_: True
    world.keeper.run(stop)
    assert world.keeper.ready
    assert len(turns) == 10


def test_what_could_not_be_kept_is_kept_the_next_time(world):
    world.keeper.open()
    world.store.commit([Gap("sg-01", EPOCH, 1, 10, "quota")], world.clock.now_ms)
    world.keeper.step()
    world.store.commit([Gap("sg-01", EPOCH, 11, 10, "quota")], world.clock.now_ms)
    keep = world.store.keep_summary

    def refuse(*_):
        raise Retry("no room")

    world.store.keep_summary = refuse
    world.clock.now_ms += KEEP_MS
    with pytest.raises(Retry):
        world.keeper.step()
    world.store.keep_summary = keep
    world.keeper.step()
    assert [one.text for one in world.store.summary()[1]] == ['{"high":20,"declared":[[1,21]]}']


def test_books_that_were_never_read_overwrite_no_summary(world):
    world.keeper.open()
    world.store.commit([Gap("sg-01", EPOCH, 1, 10, "quota")], world.clock.now_ms)
    world.keeper.step()
    kept = world.store.summary()
    world.store.close()
    world.start()
    world.store.commit([Gap("sg-01", EPOCH, 11, 10, "quota")], world.clock.now_ms)
    for row in world.store.ledger(world.clock.now_ms):
        world.books.row(row)  # as the ingester tells it, before the summary is read
    world.store.summary = lambda: (_ for _ in ()).throw(Retry("out of reach"))
    stop = threading.Event()
    world.clock.wait = lambda *_: True
    world.keeper.run(stop)
    world.keeper.keep()
    del world.store.summary
    assert world.store.summary() == kept


def test_the_thread_waits_for_the_store_goes_on_and_keeps_at_the_end(world, caplog):
    world.store.commit([Gap("sg-01", EPOCH, 1, 10, "quota")], world.clock.now_ms)
    stop, tries = threading.Event(), []
    summary = world.store.summary

    def late():
        tries.append(1)
        if len(tries) < 3:
            raise Retry("not there yet")
        return summary()

    def follow(since_ms=0, at_most=0):
        if world.clock.now_ms > START_MS + DAY_MS + 20 * FOLLOW_S * 1000:
            stop.set()
        return ledger(since_ms, at_most)

    ledger, world.store.ledger = world.store.ledger, follow
    world.store.summary = late
    world.keeper.run(stop)
    assert (world.keeper.ready, world.keeper.why, len(tries)) == (True, "", 3)
    assert [record.getMessage() for record in caplog.records] == ["books are behind the ledger why='not there yet'"]
    assert summary()[0].until_ms >= world.clock.now_ms - TRAIL_MS - 2 * FOLLOW_S * 1000
