"""The keeper between samplers and uplink: nothing is freed but what the cloud says is stored, whatever fails."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest

from edge.board import Board
from edge.clock import Anchor
from edge.clock.dating import Dating
from edge.config import SpoolConfig
from edge.keep import held
from edge.keep.inbox import Inbox
from edge.keep.keeper import Keeper
from edge.keep.spool import Spool
from edge.send.courier import WINDOW, Courier
from edge.send.heartbeat import Heartbeat
from edge.status import Own, compose
from tests.edge.clock import HandClock
from wire import codec
from wire.batch import AckItem, Gap, Source, Status, Verdict
from wire.reading import Reading

UTC = 1_790_000_000_000


class Cloud:
    """The far end of the wire: decodes what is published with the real codec and answers when told to."""

    def __init__(self) -> None:
        self.up, self.sent, self.statuses = True, [], []

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        if not self.up:
            return False
        if topic.endswith("/status"):
            self.statuses.append(msgspec.json.decode(payload, type=Status))
        else:
            self.sent.append(codec.decode_message("sg-01", payload, 2 * UTC))
        return True

    def take(self):
        sent, self.sent = self.sent, []
        return sent


class World:
    def __init__(self, tmp_path, *, boot="a1" * 8, lost=0, **config) -> None:
        self.clock, self.cloud, self.board = HandClock(boot), Cloud(), Board()
        self.spool = Spool(tmp_path / "spool.db", 1 << 22)
        settings = SpoolConfig(**{"commit_s": 1.0, "batch_s": 2.0, "resend_s": 5.0} | config)
        self.inbox, dating = Inbox(self.clock), Dating(self.clock, self.spool.dates, self.board)
        self._own = Own(boot, settings.commit_s, settings.batch_s, "1", "c")
        heartbeat = Heartbeat(self.cloud, "sg-01", self.status, dating.asked)
        way_out = Courier(self.spool, self.cloud, heartbeat, self.board, boot, "sg-01", settings.resend_s)
        self.keeper = Keeper(self.inbox, self.spool, way_out, dating, settings, self.clock, self.board, lost)

    def status(self, state="online"):
        return compose(self.board, self._own, self.clock.now, state)

    def connect(self):
        self.inbox.linked(True)
        self.go(0)

    def go(self, seconds: float):
        for _ in range(max(round(seconds / 0.5), 1)):
            self.keeper.step(0)
            self.clock.now += 500 if seconds else 0
        self.keeper.step(0)

    def read(self, n=1, **values):
        for _ in range(n):
            self.inbox.put(Reading("soil-1", self.clock.now, values or {"soil_ec": 5}, {}))

    def answer(self, batches, code=Verdict.STORED, seconds=0):
        items = [AckItem(bytes.fromhex(b.epoch), b.first, b.n, code, "", seconds) for b in batches]
        self.inbox.acknowledged(codec.encode_ack(UTC + self.clock.now, items))
        self.keeper.step(0)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_a_reading_is_committed_cut_sent_and_freed_only_by_its_ack(world):
    world.connect()
    world.read(3)
    world.go(3)
    (batch,) = world.cloud.take()
    assert (batch.first, batch.n, batch.offset_ms) == (1, 3, None), "no clock yet: it goes out undated all the same"
    assert world.spool.spooled()[0] == 3
    world.answer([batch], Verdict.UNDATED)
    (dated,) = world.cloud.take()
    assert (dated.identity, dated.offset_ms, dated.source) == (batch.identity, UTC, Source.ACK)
    assert world.spool.spooled()[0] == 3
    world.answer([dated])
    assert world.spool.spooled()[0] == 0


def test_an_empty_ack_tells_the_time(world):
    world.connect()
    world.inbox.acknowledged(codec.encode_ack(UTC + world.clock.now, []))
    world.read()
    world.go(3)
    assert world.cloud.take()[0].offset_ms == UTC


def test_without_an_answer_it_is_sent_again_with_the_same_date(world):
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.connect()
    world.read()
    world.go(3)
    first = world.cloud.take()
    world.go(120)
    again = world.cloud.take()
    assert len(first) == 1
    assert 2 <= len(again) <= 5, "ever more seldom"
    assert {(b.identity, b.offset_ms) for b in first + again} == {(first[0].identity, UTC)}


def test_after_an_outage_newest_first_then_oldest_first_with_at_most_eight_in_flight(world):
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    for _ in range(30):
        world.read()
        world.go(2.5)
    world.connect()
    newest, *backlog = [batch.first for batch in world.cloud.take()]
    assert newest == 30
    assert backlog == list(range(1, WINDOW))
    world.read()
    world.go(2.5)
    assert world.cloud.take()[0].first == 31, "the newest does not wait for room"


def test_after_an_outage_recent_urgent_batches_do_not_wait_for_the_backlog(world):
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    for number in range(30):
        world.read(pm2_5=300 if number in {20, 21} else 10)
        world.go(2.5)
    world.connect()
    sent = [batch.first for batch in world.cloud.take()]
    assert sent[:2] == [30, 21], "the newest, then where smoke began"
    assert sent[2:] == list(range(1, 7))


def test_the_first_word_after_a_restart_is_urgent_when_it_is_bad(tmp_path):
    world = World(tmp_path, commit_s=600.0, batch_s=600.0)
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.connect()
    world.read(pm2_5=400)
    world.go(0)
    assert len(world.cloud.take()) == 1


def test_no_clock_gives_way_to_a_worse_one(world):
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.connect()
    for slow_ms in (0, -20_000, -30_000):
        world.inbox.acknowledged(codec.encode_ack(UTC + world.clock.now + slow_ms, []))
        world.read()
        world.go(3)
        batches = world.cloud.take()
        assert {batch.offset_ms for batch in batches} == {UTC}
        world.answer(batches)


def test_an_answer_that_was_long_on_its_way_or_absurd_dates_nothing(world):
    world.connect()
    world.go(90)
    world.inbox.acknowledged(codec.encode_ack(UTC, []))  # the birth's answer, ninety seconds late
    world.inbox.acknowledged(codec.encode_ack(1_000, []))
    world.go(1)
    assert world.status().clock["source"] == "none"
    world.go(60)  # the next heartbeat
    world.inbox.acknowledged(codec.encode_ack(UTC + world.clock.now, []))
    world.go(1)
    clock = world.status().clock
    assert clock["source"] == "ack"
    assert clock["uncertainty_ms"] < 60_000


def test_what_another_boot_left_undated_waits_for_a_date(tmp_path):
    before = World(tmp_path)
    before.read(3)
    before.go(3)
    before.spool.close()
    world = World(tmp_path, boot="b7" * 8)
    world.connect()
    world.go(5)
    assert world.cloud.take() == [], "sent now it would be judged as of now"
    world.inbox.acknowledged(codec.encode_ack(UTC + world.clock.now, []))
    world.go(1)
    (batch,) = world.cloud.take()
    assert batch.source is Source.BOUNDED
    assert all(reading.utc_ms <= UTC + world.clock.now for reading in batch.readings())


def test_unreadable_answers_are_counted_where_an_operator_looks(world):
    world.inbox.acknowledged(b"nonsense")
    world.go(1)
    assert "1 acknowledgements were unreadable" in world.status().why


def test_later_pauses_and_frees_nothing(world):
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.connect()
    world.read()
    world.go(3)
    world.answer(world.cloud.take(), Verdict.LATER, seconds=60)
    world.go(50)
    assert world.cloud.take() == []
    assert world.spool.spooled()[0] == 1
    assert "wait" in world.status().why
    world.go(15)
    assert len(world.cloud.take()) == 1


def test_a_quarantined_batch_is_freed_and_a_stranger_frees_nothing(world):
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.connect()
    world.read()
    world.go(3)
    (batch,) = world.cloud.take()
    world.inbox.acknowledged(
        codec.encode_ack(UTC, [AckItem(bytes(8), 1, 1, 0, ""), AckItem(bytes.fromhex(batch.epoch), 1, 2, 0, "")])
    )
    world.inbox.acknowledged(b"nonsense")
    world.go(1)
    assert world.spool.spooled()[0] == 1
    world.answer([batch], Verdict.QUARANTINED)
    assert world.spool.spooled()[0] == 0


def test_a_class_change_of_an_urgent_quantity_goes_out_at_once(tmp_path):
    world = World(tmp_path, commit_s=600.0, batch_s=600.0)
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.connect()
    world.read(pm2_5=12)
    world.go(1)
    world.read(pm2_5=13)
    world.go(1)
    assert world.cloud.take() == []
    world.read(pm2_5=80)
    world.go(0)
    (batch,) = world.cloud.take()
    assert [reading.values["pm2_5"] for reading in batch.readings()][-1] == 80


def test_a_value_that_hovers_at_a_boundary_does_not_chatter(tmp_path):
    world = World(tmp_path, commit_s=600.0, batch_s=600.0)
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.connect()
    for number in range(20):
        world.read(pm2_5=56 if number % 2 == 0 else 54)
        world.go(1)
    assert {batch.identity[1:] for batch in world.cloud.take()} == {(1, 1)}, "the first crossing, and nothing since"
    world.read(pm2_5=200)
    world.go(0)
    assert world.cloud.take()[0].identity[1:] == (2, 20)
    world.go(31)
    world.read(pm2_5=10)
    world.go(0)
    assert any(reading.values["pm2_5"] == 10 for batch in world.cloud.take() for reading in batch.readings())


def test_five_hundred_readings_are_cut_at_once(tmp_path):
    world = World(tmp_path, batch_s=600.0)
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.connect()
    world.go(1)
    world.read(500)
    world.go(2)
    assert [batch.n for batch in world.cloud.take()] == [500]


def test_a_full_disk_holds_in_memory_says_why_and_declares_what_memory_cannot_hold(world):
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.connect()
    world.read(10)
    world.go(3)
    pages = world.spool._db.execute("PRAGMA page_count").fetchone()[0]
    world.spool._db.execute(f"PRAGMA max_page_count = {pages}")
    for _ in range(held.ROOM // 500 + 2):
        world.read(500)
        world.go(2)
    assert "free room on the disk" in world.status().why
    world.spool._db.execute("PRAGMA max_page_count = 100000")
    world.go(5)
    seen = {}
    for _ in range(40):
        for batch in world.cloud.take():
            seen[batch.first] = batch
            world.answer([batch])
        world.go(1)
    declared = sum(batch.n for batch in seen.values() if isinstance(batch, Gap))
    told = sum(batch.n for batch in seen.values())
    assert world.spool.spooled()[0] == 0
    assert declared > 0
    assert told == world.spool.acquired == 10 + (held.ROOM // 500 + 2) * 500
    assert world.status().why == ""


def test_what_is_urgent_stays_so_while_the_disk_is_full(tmp_path):
    world = World(tmp_path, commit_s=600.0, batch_s=600.0)
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.connect()
    pages = world.spool._db.execute("PRAGMA page_count").fetchone()[0]
    world.spool._db.execute(f"PRAGMA max_page_count = {pages}")
    world.read(300, soil_ec=5)  # too few to be cut for their number alone
    world.read(pm2_5=300)
    world.go(3)
    assert world.cloud.take() == []
    world.spool._db.execute("PRAGMA max_page_count = 100000")
    world.go(1)
    assert any("pm2_5" in reading.values for batch in world.cloud.take() for reading in batch.readings())


def test_what_is_held_survives_an_ordered_stop(world):
    world.read(7)
    world.keeper.finish()
    assert world.spool.acquired == 7
    assert world.spool.uncut == 0


def test_a_stumble_in_the_database_is_not_counted_as_progress(world):
    world.read(1)
    world.spool._db.close()
    with pytest.raises(sqlite3.ProgrammingError):
        world.go(3)
