"""The keeper between samplers and uplink: nothing is freed but what the cloud says is stored, whatever fails."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.board import Board, Channel
from edge.clock import Anchor, Judged
from edge.clock.dating import Dating
from edge.config import SpoolConfig
from edge.keep.held import ROOM, Held
from edge.keep.inbox import Inbox
from edge.keep.keeper import Keeper
from edge.keep.spool import Spool, SpoolFull
from edge.send import courier
from edge.send.courier import Courier
from edge.send.heartbeat import Heartbeat
from edge.send.window import LEAST
from edge.status import Own, compose
from tests.edge.clock import HandClock
from wire import beat, codec
from wire.batch import AckItem, Gap, Source, Status, Unstored, Verdict
from wire.reading import Reading

UTC = 1_790_000_000_000
DAY_MS = 86_400_000


class Cloud:
    """The far end of the wire: decodes what is published with the real codec and answers when told to."""

    def __init__(self) -> None:
        self.up, self.idle, self.sent, self.statuses, self.beats, self.bytes = True, True, [], [], [], 0

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, waits: bool = False) -> bool:
        if not self.up:
            return False
        if not topic.endswith("/up"):
            self.bytes += len(topic) + len(payload) + 6  # what MQTT sends
        if topic.endswith("/status"):
            assert retain
            self.statuses.append(msgspec.json.decode(payload, type=Status))
        elif topic.endswith("/beat"):
            assert not retain
            self.beats.append(beat.decode(payload))
        else:
            self.sent.append(codec.decode_message("sg-01", payload, 2 * UTC))
        return True

    def take(self):
        sent, self.sent = self.sent, []
        return sent


class World:
    def __init__(self, tmp_path, *, boot="a1" * 8, lost=0, spool=None, **config) -> None:
        self.clock, self.cloud, self.board = HandClock(boot), Cloud(), Board()
        self.spool = spool or Spool(tmp_path / "spool.db", 1 << 22)
        settings = SpoolConfig(**{"commit_s": 1.0, "batch_s": 2.0, "resend_s": 5.0} | config)
        self.inbox, dating = Inbox(self.clock, settings.commit_s), Dating(self.clock, self.spool.dates, self.board)
        self._own = Own(boot, settings.commit_s, settings.batch_s, "1", "c")
        heartbeat = Heartbeat(self.cloud, "sg-01", self.board, self.status, dating.asked)
        way_out = Courier(self.spool, self.cloud, heartbeat, self.board, boot, "sg-01", settings.resend_s)
        self.keeper = Keeper(self.inbox, self.spool, way_out, dating, settings, self.clock, self.board, lost)

    def status(self, state="online"):
        return compose(self.board, self._own, self.clock.now, state)

    def fill_disk(self, pages=0) -> int:
        """Leave no room but for some pages; return how many readings it took to fill what is there."""
        used = self.spool._db.execute("PRAGMA page_count").fetchone()[0]
        self.spool._db.execute(f"PRAGMA max_page_count = {used}")
        before = self.spool.acquired
        for n in (50, 5, 1):
            with contextlib.suppress(SpoolFull):
                while True:
                    self.spool.append([Reading("filler", self.clock.now, {"soil_ph": 500}, {})] * n, self.clock.boot)
        self.spool._db.execute(f"PRAGMA max_page_count = {used + pages}")
        return self.spool.acquired - before

    def free_disk(self):
        self.spool._db.execute("PRAGMA max_page_count = 100000")

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

    def read_noise(self, n):
        """Read what does not deflate to nothing."""
        for _ in range(n):
            self.read(soil_ec=random.randrange(20_000), soil_moisture=random.randrange(10_000))

    def cut_many(self, readings):
        """Bring each reading into a batch of its own, on a connection that takes nothing."""
        self.inbox.linked(True)
        self.cloud.up = False
        for values in readings:
            self.read(**values)
            self.go(2.5)
        self.inbox.linked(False)
        self.go(0)
        self.cloud.up = True

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
    world.cut_many([{"soil_ec": 5}] * 30)
    world.connect()
    newest, *backlog = [batch.first for batch in world.cloud.take()]
    assert newest == 30
    assert backlog == list(range(1, LEAST))
    world.read()
    world.go(2.5)
    assert world.cloud.take()[0].first == 31, "the newest does not wait for room"


def test_on_a_link_that_is_not_clear_only_what_is_urgent_goes_past_the_window(world):
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.cut_many([{"soil_ec": 5}] * 10)
    world.connect()
    assert len(world.cloud.take()) == LEAST
    world.cloud.idle = False  # the broker has not got them yet
    for _ in range(10):
        world.read()
        world.go(2.5)
    assert world.cloud.take() == [], "none is sent again, and what nobody waits for lies in no queue before smoke"
    world.read(pm2_5=300)
    world.go(0)
    (smoke,) = world.cloud.take()
    assert smoke.n == 1
    world.cloud.idle = True
    world.go(1)
    assert world.cloud.take()[0].first == smoke.first - 1, "then the newest, before the backlog"


def test_after_an_outage_recent_urgent_batches_do_not_wait_for_the_backlog(world):
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.cut_many([{"pm2_5": 300 if number in {20, 21} else 10} for number in range(30)])
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


@pytest.mark.parametrize("reconnects", [False, True])
def test_an_answer_may_be_to_the_first_of_several_sendings(world, reconnects):
    for _ in range(2):  # what has no date is not sent again; a device's is believed when it is said twice
        world.inbox.put(Anchor(UTC, Source.MODEM, 50_000))
    world.connect()
    world.read()
    world.go(3)
    (batch,) = world.cloud.take()
    told_ms = UTC + world.clock.now
    world.go(15)
    if reconnects:
        world.inbox.linked(False)
        world.connect()
        world.go(1)
    assert world.cloud.take(), "sent again"
    items = [AckItem(bytes.fromhex(batch.epoch), batch.first, batch.n, Verdict.STORED, "")]
    late_ms = world.clock.now + UTC - told_ms
    world.inbox.acknowledged(codec.encode_ack(told_ms, items))
    world.keeper.step(0)
    world.go(2)
    clock = world.status().clock
    assert clock["source"] == "ack"
    assert clock["uncertainty_ms"] >= late_ms


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


@pytest.mark.parametrize("days", [60, -60, None])
def test_what_no_clock_but_the_batterys_dates_is_told_undated_and_then_dated_by_the_answer(world, days):
    """Months off although it was right before: what was cut at the connection went out in the future."""
    if days:
        only_battery(world, days)
    world.cut_many([{"pm2_5": 300 if number in {20, 21} else 10} for number in range(30)])
    world.read()
    world.go(2)  # it is uncut when the connection comes
    world.connect()
    assert world.status().clock["source"] == ("rtc" if days else "none")
    told = world.cloud.take()
    assert [(batch.first, batch.offset_ms) for batch in told] == [(31, None), (21, None)], "and where smoke began"
    world.inbox.acknowledged(codec.encode_ack(UTC + world.clock.now, []))
    world.go(1)
    sent = []
    while batches := world.cloud.take():
        sent += batches
        world.answer(batches)
        world.go(1)
    assert {batch.offset_ms for batch in sent} == {UTC}
    assert [batch.first for batch in sent[:4]] == [31, 21, 1, 2]
    assert {batch.first for batch in sent} == set(range(1, 32))
    assert world.spool.spooled()[0] == 0


def test_smoke_leaves_at_once_while_only_the_battery_clock_dates_it(world):
    only_battery(world, 60)
    world.connect()
    world.read(pm2_5=400)
    world.go(0)
    (smoke,) = world.cloud.take()
    assert smoke.offset_ms is None, "the cloud judges it by its arrival, and answers with the time"
    world.answer([smoke], Verdict.UNDATED)
    world.go(1)
    assert world.cloud.take()[0].offset_ms == UTC


def test_what_waits_of_a_boot_that_only_its_battery_clock_dated_is_as_old_as_that_says(tmp_path):
    before = World(tmp_path)
    only_battery(before, 60)
    before.read(3)
    before.connect()
    before.go(3)
    before.spool.close()
    world = World(tmp_path, boot="b7" * 8)
    only_battery(world, 61)
    assert abs(world.status().oldest_s - 86_400) < 60


def only_battery(world, days):
    """Have a battery clock, right once and so many days off by now, date this boot."""
    world.spool.dates.judge(Judged("00" * 8, UTC - 90 * DAY_MS, 100))
    world.clock.battery = Anchor(UTC + days * DAY_MS, Source.RTC, 1_000, world.clock.now)
    world.go(11)
    assert world.status().clock["source"] == "rtc"


def test_an_answer_to_what_an_agent_before_this_one_sent_dates_nothing(world, tmp_path):
    """It was on its way while the agent was started anew, and came after that had sent the batch again."""
    world.connect()
    world.read()
    world.go(3)
    (batch,) = world.cloud.take()
    told_ms = UTC + world.clock.now
    world.keeper.finish()
    world.spool.close()
    again = World(tmp_path)
    again.clock.now = world.clock.now + 50_000
    again.connect()
    assert [one.first for one in again.cloud.take()] == [batch.first]
    again.inbox.acknowledged(
        codec.encode_ack(told_ms, [AckItem(bytes.fromhex(batch.epoch), batch.first, batch.n, Verdict.UNDATED, "")])
    )
    again.keeper.step(0)
    assert again.status().clock["source"] == "none"
    again.read()
    again.go(3)
    again.answer(again.cloud.take(), Verdict.UNDATED)
    assert again.status().clock["source"] == "ack", "what it cut itself nobody sent before"


def test_an_answer_to_what_was_put_off_and_sent_again_may_be_one_to_its_first_sending(world):
    world.connect()
    world.read()
    world.go(3)
    world.answer(world.cloud.take(), Verdict.UNDATED)
    world.go(0.5)
    (batch,) = world.cloud.take()
    world.answer([batch], Verdict.LATER, 1)
    world.go(10)
    assert {one.first for one in world.cloud.take()} == {batch.first}, "it was sent again"
    again = AckItem(bytes.fromhex(batch.epoch), batch.first, batch.n, Verdict.LATER, "", 1)
    assert world.keeper._out.trip_ms([again], world.clock.now) >= 10_000


def test_of_sendings_that_nobody_answers_for_months_not_every_one_is_remembered(world, monkeypatch):
    """A late answer to one that is forgotten dates nothing."""
    monkeypatch.setattr(courier, "MOST_ASKS", 10)
    world.connect()
    told_ms = UTC + world.clock.now
    for _ in range(30):
        world.read()
        world.keeper._cut_due.hurry()
        world.keeper._commit_due.hurry()
        world.keeper.step(0)
        world.clock.now += 60_000
    (first, *_), way_out = world.cloud.take(), world.keeper._out
    assert len(way_out._asks) <= courier.MOST_ASKS
    way_out._launch(world.spool.get(1), world.clock.now)
    answer = AckItem(bytes.fromhex(first.epoch), first.first, first.n, Verdict.UNDATED, "")
    assert way_out.trip_ms([answer], world.clock.now) is None
    world.inbox.acknowledged(codec.encode_ack(told_ms, [answer]))
    world.keeper.step(0)
    assert world.status().clock["source"] == "none", "it is half an hour old"


def test_that_nobody_answers_is_told_too_where_nothing_has_a_date_yet(world):
    """What is undated is sent but once: the oldest in flight is never old."""
    world.connect()
    for _ in range(31):
        world.read()
        world.go(10)
    assert "the cloud has answered none" in world.status().why
    world.answer(world.cloud.take()[-1:], Verdict.UNDATED)
    world.go(20)
    assert "the cloud has answered none" not in world.status().why


def test_an_answer_about_numbers_that_nobody_gave_is_as_unreadable_and_holds_nothing_up(world):
    world.connect()
    world.read(3)
    world.go(3)
    (batch,) = world.cloud.take()
    world.read(2)
    for first, n in ((2**63, 1), (1, 2**63), (2**53, 1), (0, 3)):
        items = [AckItem(bytes.fromhex(batch.epoch), first, n, Verdict.STORED, "")]
        world.inbox.acknowledged(codec.encode_ack(UTC + world.clock.now, items))
    world.keeper.step(0)
    assert "4 acknowledgements were unreadable" in world.status().why
    world.answer([batch])
    assert (world.status().spooled, world.status().acquired) == (0, 3)


def test_unreadable_answers_are_counted_where_an_operator_looks(world):
    world.inbox.acknowledged(b"nonsense")
    world.go(1)
    assert "1 acknowledgements were unreadable" in world.status().why


def test_a_damaged_answer_is_forgotten_with_the_next_good_one(world):
    world.inbox.acknowledged(b"nonsense")
    world.go(1)
    world.inbox.acknowledged(codec.encode_ack(UTC + world.clock.now, []))
    world.go(1)
    assert world.status().why == ""


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


@pytest.mark.parametrize("code", [Verdict.LATER, Verdict.UNDATED, 9])
def test_no_answer_lets_the_gateway_send_in_a_circle(world, code):
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.connect()
    world.read()
    world.go(3)
    sent = 0
    for _ in range(2_000):
        batches = world.cloud.take()
        sent += len(batches)
        world.clock.now += 10
        world.answer(batches, code)
    assert 3 <= sent <= 21, "in 20 s, with a peer that answers within 10 ms"


def test_the_keeper_wakes_when_the_cloud_s_wait_is_over(world):
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.connect()
    world.read()
    world.go(3)
    world.answer(world.cloud.take(), Verdict.LATER, seconds=12)
    asked_ms, publish, sent_ms = world.clock.now, world.cloud.publish, []

    def publish_when(topic, payload, **how):
        if topic.endswith("/up"):
            sent_ms.append(world.clock.now - asked_ms)
        return publish(topic, payload, **how)

    world.cloud.publish = publish_when
    world.keeper.run(Awhile(world.clock, 14))
    assert sent_ms
    assert 12_000 <= sent_ms[0] <= 12_100


def test_no_wait_that_the_cloud_asks_for_lasts_for_years(world):
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.connect()
    world.read()
    world.go(3)
    world.answer(world.cloud.take(), Verdict.LATER, seconds=2**62)
    world.clock.now += 3_500_000
    world.go(1)
    assert world.cloud.take() == []
    world.clock.now += 150_000
    world.go(1)
    assert len(world.cloud.take()) == 1


def test_a_cloud_that_answers_nothing_is_said_until_it_does(world):
    """Brokers confirm what they drop because it is forbidden: link and sensors are well, and nothing ever arrives."""
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.connect()
    world.go(900)
    assert world.status().why == "", "nothing was sent, nothing is missed"
    world.read()
    world.go(40)
    assert world.status().why == ""
    world.go(20)
    assert "the cloud has answered none" in world.status().why, "before whoever installs has gone"
    assert "máy chủ không trả lời" in world.status().why_vi
    assert "gocche/v1/sg-01/up" in world.status().why
    world.answer(world.cloud.take()[-1:], Verdict.LATER, seconds=3_000)
    world.go(2_900)
    assert world.status().why.startswith("cloud asks to wait")
    world.go(380)
    assert world.status().why == "", "after its wait it has its time again"
    world.go(60)
    assert "the cloud has answered none" in world.status().why
    world.answer(world.cloud.take()[-1:])
    world.go(20)
    assert world.status().why == ""


def test_answers_that_come_twice_set_aside_no_batch_that_waits(world):
    """Only answers to others, while this one got none, tell that it is this one's fault."""
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.connect()
    world.read()
    world.go(3)
    answered = world.cloud.take()
    world.answer(answered)
    world.read()
    world.go(3)
    for _ in range(60):
        world.answer(answered)
        world.clock.now += 1_300_000
    world.go(1)
    assert world.spool.dropped == 0
    assert len(world.cloud.take()) > 20, "it was sent all the time"


def test_a_batch_that_the_spool_does_not_find_again_is_not_sent_with_every_answer(world, monkeypatch):
    """So it is where an index was damaged on the card: until a start mends it, the link must not be burnt with it."""
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    monkeypatch.setattr(world.spool, "free", lambda _: False)
    world.connect()
    world.read()
    world.go(3)
    sent = 0
    for _ in range(120):
        batches = world.cloud.take()
        sent += len(batches)
        world.answer(batches)
        world.go(1)
    assert 1 < sent < 10


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


def test_without_a_link_only_full_batches_are_cut_and_the_rest_at_once_when_it_is_back(tmp_path):
    world = World(tmp_path, commit_s=10.0, batch_s=60.0)
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    for _ in range(200):  # 1,200 readings of six values: 7,200 values
        world.read(
            6, soil_ec=5, soil_ph=500, soil_moisture=3000, soil_temperature=2000, soil_nitrogen=30, air_pressure=90_000
        )
        world.clock.now += 9_000
        world.go(1)
    numbers = world.spool.waiting(99)
    assert len(numbers) == 3, "of 333 readings each, whatever batch_s says"
    assert world.spool.uncut == 1_200 - 3 * 333
    assert world.status().oldest_s == pytest.approx(2_000, abs=20)
    world.connect()
    seen = {}
    for _ in range(20):
        for batch in world.cloud.take():
            assert not seen or batch.identity in seen or batch.n <= 333
            seen[batch.identity] = batch.n
            world.answer([batch])
        world.go(1)
    assert sorted(seen.values(), reverse=True) == [333, 333, 333, 201]
    assert sum(seen.values()) == 1_200


def test_what_waits_to_be_cut_has_an_age_too(world):
    world.read()
    world.go(120)
    assert world.status().oldest_s == pytest.approx(120, abs=3)
    world.connect()
    world.go(3)
    world.answer(world.cloud.take())
    world.go(3)
    world.answer(world.cloud.take())
    world.go(3)
    assert world.status().oldest_s == 0


def test_a_power_cut_during_an_outage_costs_no_committed_reading_cut_or_not(tmp_path):
    world = World(tmp_path)
    for _ in range(70):
        world.read(10)
        world.go(2)
    assert 0 < world.spool.uncut < world.spool.acquired == 700
    world.spool._db.close()  # nothing in order: no stop, no cut
    os.close(world.spool._lock)
    again = World(tmp_path)
    again.clock.own = Anchor(UTC, Source.NTP, 100)
    again.connect()
    again.go(3)
    assert sum(batch.n for batch in again.cloud.take()) == 700


def test_smoke_during_an_outage_makes_its_batch_urgent_and_no_small_ones(world):
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.connect()
    world.inbox.linked(False)
    for n in range(300):
        world.read(2)
        world.read(pm2_5=900 if n == 10 else 300 if 10 < n < 20 else 5)
        world.go(1)
    assert world.spool.uncut <= 500
    numbers = world.spool.waiting(99)
    assert [world.spool.get(number).urgent for number in numbers] == [True]
    assert world.spool.get(numbers[0]).identity[2] == 500


def test_a_full_disk_holds_in_memory_says_why_and_declares_what_memory_cannot_hold(world):
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.connect()
    world.read(10)
    world.go(3)
    filled = world.fill_disk()
    for _ in range(ROOM // 500 + 2):
        world.read_noise(500)
        world.go(2)
    assert "free room on the disk" in world.status().why
    world.free_disk()
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
    assert told == world.spool.acquired == 10 + filled + (ROOM // 500 + 2) * 500
    assert world.status().why == ""


def test_what_is_urgent_stays_so_while_the_disk_is_full(tmp_path):
    world = World(tmp_path, commit_s=600.0, batch_s=600.0)
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.connect()
    world.fill_disk()
    world.read(300, soil_ec=5)  # too few to be cut for their number alone
    world.read(pm2_5=300)
    world.go(3)
    assert world.cloud.take() == []
    world.free_disk()
    world.go(1)
    assert any("pm2_5" in reading.values for batch in world.cloud.take() for reading in batch.readings())


def test_smoke_that_the_disk_does_not_take_is_told_at_once_and_each_minute_until_it_is_safe(tmp_path):
    world = World(tmp_path, commit_s=600.0, batch_s=600.0)
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.connect()
    world.go(31)  # the first batch is cut early
    births = len(world.cloud.statuses)
    world.fill_disk()
    world.read(soil_ec=5)
    smoke_ms = world.clock.now
    world.read(pm2_5=300)
    world.go(0)
    (told,) = world.cloud.statuses[births:]
    assert told.urgent == [Unstored("soil-1", "pm2_5", 300.0, smoke_ms, UTC + smoke_ms)]
    assert "free room on the disk" in told.why
    for _ in range(8):
        world.go(59)
        world.read(pm2_5=290)
        world.go(1)
    later = world.cloud.statuses[births + 1 :]
    assert 7 <= len(later) <= 10
    assert [one.urgent[-1].value for one in later[1:]] == [290.0] * (len(later) - 1), "the newest of each series"
    assert {one.urgent[0].mono_ms for one in later} == {smoke_ms}, "and since when"
    world.read(pm2_5=400)
    world.go(0)
    assert world.cloud.statuses[-1].urgent[-1].value == 290.0, "no change of class: it waits for its minute"
    world.read(pm2_5=3)
    world.go(0)
    assert [one.value for one in world.cloud.statuses[-1].urgent] == [3.0], "nor does the end of it wait"
    world.free_disk()
    world.go(5)
    assert world.cloud.statuses[-1].urgent == []
    assert world.cloud.statuses[-1].why == ""
    stored = [reading for batch in world.cloud.take() for reading in batch.readings()]
    assert [r.values["pm2_5"] for r in stored if "pm2_5" in r.values] == [300.0, *[290.0] * 8, 400.0, 3.0]


def test_a_card_that_takes_seconds_for_a_write_is_told_and_smoke_does_not_wait_for_it(world, monkeypatch):
    append, told_ms = world.spool.append, []

    def slow(*given):
        told_ms.append([(one.quantity, one.value) for one in world.cloud.statuses[-1].urgent])
        world.clock.now += 8_000
        return append(*given)

    world.clock.own = Anchor(UTC, Source.NTP, 100)
    world.connect()
    with monkeypatch.context() as patched:
        patched.setattr(world.spool, "append", slow)
        world.read()
        world.go(3)
        assert "very slow" in world.status().why
        assert "ghi rất chậm" in world.status().why_vi
        world.read(pm2_5=300)
        world.go(0)
    assert told_ms == [[], [("pm2_5", 300.0)]], "before the card has it"
    world.read()
    world.go(3)
    assert world.status().why == ""
    assert world.status().urgent == []
    stored = {reading.seq: reading.values for batch in world.cloud.take() for reading in batch.readings()}
    assert stored[2] == {"pm2_5": 300.0}


def test_smoke_is_told_although_not_even_the_ballast_can_be_given_back(world, tmp_path):
    """A dying card becomes read-only: removing a file fails there, and must cost neither the word nor the keeper."""
    world.connect()
    (tmp_path / "spool.ballast").unlink()
    (tmp_path / "spool.ballast").mkdir()  # unlink() fails for root, too
    world.fill_disk()
    world.read(pm2_5=900)
    world.go(3)
    assert any("read-only" in said.why and [one.value for one in said.urgent] == [900] for said in world.cloud.statuses)
    world.free_disk()
    world.go(5)
    assert world.status().why == ""
    assert not world.status().urgent


def test_smoke_is_told_although_the_spool_was_damaged_while_it_ran(world, tmp_path):
    """The card rots under the agent: it says so and smoke at once, and asks for the new start that mends the spool."""
    world.connect()
    world.read(50)
    world.go(3)
    world.spool._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    world.spool._db.execute("PRAGMA cache_size = 0")
    world.spool._db.execute("PRAGMA shrink_memory")
    size = (tmp_path / "spool.db").stat().st_size
    with (tmp_path / "spool.db").open("r+b") as file:
        file.seek(1024)
        file.write(bytes(random.Random(1).randbytes(size - 1024)))
    world.read(pm2_5=900)
    world.go(5)
    assert "damaged" in world.keeper.broken
    assert [one.value for one in world.cloud.statuses[-1].urgent] == [900]
    assert "damaged" in world.cloud.statuses[-1].why
    world.keeper.finish()
    assert world.board.keeping.unkept == 1, "the next start declares it"


def test_without_a_date_what_is_told_carries_its_age(world):
    world.connect()
    world.fill_disk()
    world.read(pm2_5=300)
    world.go(3)
    (told,) = world.cloud.statuses[-1].urgent
    assert (told.utc_ms, told.mono_ms) == (None, 5_000)
    assert world.cloud.statuses[-1].mono_ms >= told.mono_ms


def test_memory_gives_up_the_least_urgent_first_oldest_first():
    held = Held()
    smoke = [Reading("smoke", at, {"pm2_5": 300 if at else 900}, {}) for at in range(50)]
    soil = [Reading("soil", at, {"soil_ec": at}, {}) for at in range(ROOM + 100)]
    for reading in smoke + soil:
        held.put(reading)
    assert held.lost == 150
    assert held.readings == smoke + soil[held.lost :]
    for at in range(ROOM):
        held.put(Reading("smoke", 60 + at, {"pm2_5": 900}, {}))
    assert not any("soil_ec" in reading.values for reading in held.readings)
    assert held.readings[0] == smoke[0], "where smoke began outlasts what is only as bad as it was"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([5, 300, 900]), max_size=60))
def test_what_memory_keeps_is_never_less_urgent_than_what_it_gives_up(values):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("edge.keep.held.ROOM", 10)
        held = Held()
        for at, value in enumerate(values):
            held.put(Reading("smoke", 60_000 * at, {"pm2_5": value}, {}))
    kept = [reading.mono_ms // 60_000 for reading in held.readings]
    assert kept == sorted(kept)
    assert len(kept) + held.lost == len(values)
    calm = [at for at, value in enumerate(values) if value == 5 and (at == 0 or values[at - 1] == 5)]
    if any(at in kept for at in calm):
        given_up = set(range(len(values))) - set(kept)
        assert given_up <= set(calm), "what is calm, and was before, goes first"


def test_an_ordered_stop_on_a_full_disk_keeps_what_is_urgent_and_declares_the_rest(world):
    world.read(3)
    world.go(3)
    before = 3 + world.fill_disk(pages=6)
    world.read_noise(4_000)
    world.read(pm2_5=300)
    world.keeper.finish()
    status = world.status("stopped")
    assert (status.acquired, status.dropped, status.unkept) == (before + 1 + 4_000, 4_000, 0)
    assert status.urgent == []
    assert status.spooled == status.acquired, "all of it will reach the cloud, as a value or as a gap"


def no_room(*_):
    raise SpoolFull("not even for a gap record")


def test_what_a_stop_could_not_even_declare_is_said_and_declared_at_the_next_start(tmp_path, monkeypatch):
    world = World(tmp_path)
    world.read(3)
    world.go(3)
    monkeypatch.setattr(world.spool, "append", no_room)
    monkeypatch.setattr(world.spool, "declare", no_room)
    world.read(7)
    world.keeper.finish()
    status = world.status("stopped")
    assert (status.acquired, status.dropped, status.unkept) == (3, 7, 7), "no number was ever taken for them"
    world.spool.close()
    again = World(tmp_path, lost=status.unkept)
    again.read(1)
    again.go(3)
    status = again.status()
    assert (status.acquired, status.dropped, status.unkept) == (3 + 7 + 1, 7, 0)


def test_what_is_said_on_a_quiet_day_fits_a_thin_link_and_a_beat_comes_each_minute(tmp_path):
    world = World(tmp_path, batch_s=600.0)
    world.clock.own = Anchor(UTC, Source.NTP, 100)
    for n in range(6):
        world.board.channels[f"sensor-{n}"] = Channel(5_000, "", None, {"model": "EC25", "firmware": "EC25EFAR06A09"})
    world.connect()
    for minute in range(480):
        world.board.channels["sensor-1"] = Channel(world.clock.now, "", None, {}, polls=6 * minute)
        world.read(6)
        world.clock.now += 58_000
        world.go(2)
        for batch in world.cloud.take():
            world.answer([batch])
    assert len(world.cloud.beats) + len(world.cloud.statuses) >= 479
    assert len(world.cloud.statuses) <= 8
    assert world.cloud.beats[-1].acquired == pytest.approx(6 * 480, abs=12)
    assert 3 * world.cloud.bytes <= 150_000


def test_a_probe_that_flaps_all_day_does_not_eat_a_thin_link(tmp_path):
    world = World(tmp_path, batch_s=600.0)
    world.connect()
    world.go(5)
    births = len(world.cloud.statuses)
    for minute in range(1440):
        why = "silence: 0 of 13 bytes" if minute % 2 else ""
        world.board.channels["soil-1"] = Channel(world.clock.now, why)
        world.clock.now += 58_000
        world.go(2)
        if minute == 3:
            assert len(world.cloud.statuses) >= births + 4, "the first changes go at once"
    assert len(world.cloud.statuses) > 20
    assert world.cloud.bytes <= 150_000


def test_a_new_connection_begins_with_the_whole_status_and_figures_alone_are_no_news(world):
    world.connect()
    world.go(30)
    assert len(world.cloud.statuses) == 1
    for n in range(30):
        world.read(5)
        own_clock = {"model": "u-blox", "utc": f"12:00:{n:02}", "time": f"2026-11-26T12:00:{n:02}Z"}
        world.board.channels["gnss-1"] = Channel(world.clock.now, "", texts=own_clock, polls=n)
        world.go(1)
    assert len(world.cloud.statuses) == 2, "a channel that was not there before; then nothing but figures"
    world.inbox.linked(False)
    world.connect()
    assert len(world.cloud.statuses) == 3
    assert world.cloud.statuses[-1].acquired == 150


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


class Awhile:
    """A stop that comes after some simulated seconds."""

    def __init__(self, clock, seconds: float) -> None:
        self._clock, self._end = clock, clock.now + seconds * 1000

    def is_set(self) -> bool:
        return self._clock.now >= self._end


class Garden:
    """Twenty probes that hand over what they read while the keeper waits; how long each reading then was not safe."""

    def __init__(self, world, seconds: int, values) -> None:
        self._world, self._append, self.late_ms = world, world.spool.append, []
        start = world.clock.now
        polls = sorted(start + random.randrange(1000 * seconds) for _ in range(2 * seconds))
        self.readings = [Reading("soil-1", at, values, {}) for at in polls]
        self._left = iter([*self.readings, None])
        self._next = next(self._left)
        world.clock.wait, world.spool.append = self.wait, self.append

    def wait(self, event, seconds: float) -> bool:
        clock = self._world.clock
        end = clock.now + round(1000 * seconds)
        while self._next is not None and self._next.mono_ms <= end and not event.is_set():
            clock.now = max(clock.now, self._next.mono_ms)
            self._world.inbox.put(self._next)
            self._next = next(self._left)
        if not event.is_set():
            clock.now = end
        return event.is_set()

    def append(self, readings, boot):
        self.late_ms += [self._world.clock.now - reading.mono_ms for reading in readings]
        return self._append(readings, boot)


@pytest.mark.parametrize("commit_s", [0.0, 0.3, 3.0, 10.0, 120.0])
def test_what_can_wait_does_not_wake_the_keeper_and_is_safe_in_time_all_the_same(tmp_path, commit_s):
    world = World(tmp_path, commit_s=commit_s, batch_s=60.0)
    garden = Garden(world, 120, {"soil_ec": 5})
    world.keeper.run(Awhile(world.clock, 120 + commit_s))
    assert len(garden.late_ms) == len(garden.readings) == 240
    assert max(garden.late_ms) <= 1000 * commit_s + 1
    if commit_s >= 3:
        assert world.keeper.turns < (120 + commit_s) * (1 / 5 + 2 / commit_s) + 15, (
            "as often as there is something to do"
        )


def test_what_is_urgent_wakes_the_keeper(tmp_path):
    world = World(tmp_path, commit_s=120.0, batch_s=600.0)
    garden = Garden(world, 10, {"pm2_5": 400})
    world.keeper.run(Awhile(world.clock, 5))
    assert garden.late_ms[0] <= 1


@pytest.mark.parametrize("link", ["none", "takes nothing"])
def test_without_a_way_out_the_keeper_sleeps_as_long_as_with_one(world, link):
    """What is due and cannot be done must not be tried a thousand times a second: the core belongs to others."""
    taken = world.inbox.taken

    def patient(patience_s=0.0):
        world.clock.now += max(round(patience_s * 1000), 1)  # what a real queue waits; an instant passes all the same
        return taken()

    world.inbox.taken = patient
    world.inbox.linked(link != "none")
    world.cloud.up = False
    for _ in range(60):
        world.read()
        world.keeper.run(Awhile(world.clock, 10))
    assert world.spool.acquired == 60
    assert world.keeper.turns < 60 * 40, "four a second at most: each second, each commit, each cut"
