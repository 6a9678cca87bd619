"""Ingest: the acknowledgement follows the commit, and what cannot be stored is kept with its reason."""

from __future__ import annotations

import msgspec
import pytest

from cloud.audit import Books, books
from cloud.ingest.ingester import Ingester
from cloud.ingest.quarantine import Quarantine
from cloud.store import LedgerRow, Refused, Retry, StatusRow, open_store
from cloud.stream import Arrival
from tests.build import EPOCH, START_MS, packet, soil
from wire import codec, topics
from wire.batch import Status, Verdict

NOW = START_MS + 3_600_000


class Clock:
    def utc_ms(self):
        return NOW

    def monotonic(self):
        return 0.0

    def wait(self, event, seconds):
        return event.is_set()


class Room:
    """A real SQLite store, a real quarantine; what is published is kept as it would cross the wire."""

    def __init__(self, folder) -> None:
        self.store = open_store({"engine": "sqlite", "path": str(folder / "store.db")}, writer=True)
        self.store.setup()
        self.quarantine = Quarantine(folder / "quarantine.db")
        self.books = Books()
        self.published = []
        self.ingester = Ingester(
            self.store, self.quarantine, self.books, Clock(), lambda *said: self.published.append(said)
        )

    def take(self, *payloads, gateway="sg-01", kind="up", retained=False):
        self.published.clear()
        self.ingester.step([Arrival(gateway, kind, payload, NOW, retained) for payload in payloads])
        return [
            (topic, [(item.epoch.hex(), item.first, item.n, item.code) for item in codec.decode_ack(payload).items])
            for topic, payload in self.published
        ]

    def close(self):
        self.store.close()
        self.quarantine.close()


@pytest.fixture
def room(tmp_path):
    made = Room(tmp_path)
    yield made
    made.close()


def good(first=1, n=3, **keys):
    return packet(first=first, rows=soil(n), **keys)


def test_stored_then_acknowledged_and_twice_is_harmless(room):
    want = [(topics.ack("sg-01"), [(EPOCH, 1, 3, Verdict.STORED)])]
    assert room.take(good()) == want
    assert room.take(good()) == want
    assert [(row.verdict, row.first, row.n) for row in room.store.ledger()] == [("stored", 1, 3)]
    assert len(room.store.batch_readings(room.store.ledger()[0])) == 3
    (account,) = room.books.accounts()
    assert (account.acquired, account.stored, account.unknown) == (3, 3, 0)


def test_several_gateways_in_one_commit_each_get_their_own_answer(room):
    arrivals = [Arrival(gw, "up", packet(rows=soil(2)), NOW, False) for gw in ("sg-01", "sg-02")]
    room.ingester.step(arrivals)
    assert sorted(topic for topic, _ in room.published) == [topics.ack("sg-01"), topics.ack("sg-02")]


def test_damaged_bytes_are_counted_kept_once_and_not_acknowledged(room):
    bad = bytearray(good())
    bad[10] ^= 1
    assert room.take(bytes(bad), bytes(bad)) == []
    assert room.ingester.counts["damaged"] == 2
    assert [(case.epoch, case.payload) for case in room.quarantine.cases()] == [("", bytes(bad))]


def test_what_is_unknown_here_is_quarantined_whole_and_acknowledged_as_such(room):
    envelope = msgspec.msgpack.decode(codec._open(good()))
    envelope[1] = 7
    strange = codec._seal(msgspec.msgpack.encode(envelope))
    assert room.take(strange) == [(topics.ack("sg-01"), [(EPOCH, 1, 3, Verdict.QUARANTINED)])]
    (case,) = room.quarantine.cases()
    assert (case.first, case.n, case.payload) == (1, 3, strange)
    assert "kind 7 is unknown" in case.reason
    assert [row.verdict for row in room.store.ledger()] == ["quarantined"]
    (account,) = room.books.accounts()
    assert (account.quarantined, account.unknown) == (3, 0)


def test_undated_is_answered_with_the_time_and_not_stored(room):
    assert room.take(packet(rows=soil(2), dated=False)) == [(topics.ack("sg-01"), [(EPOCH, 1, 2, Verdict.UNDATED)])]
    assert room.store.ledger() == []


def test_a_gap_record_is_declared(room):
    gap = codec.encode_message(
        codec.Envelope(1, 2, bytes.fromhex(EPOCH), 4, 90, bytes(8), None, 0, 0, codec.encode_gap("quota"))
    )
    assert room.take(gap) == [(topics.ack("sg-01"), [(EPOCH, 4, 90, Verdict.STORED)])]
    (account,) = room.books.accounts()
    assert (account.acquired, account.declared, account.unknown) == (93, 90, 3)


def test_when_the_store_takes_nothing_nothing_is_acknowledged_and_it_says_why(room):
    broken = room.ingester._store = Full()
    assert room.take(good()) == [(topics.ack("sg-01"), [(EPOCH, 1, 3, Verdict.LATER)])]
    assert room.ingester.health()["why"] == "disk full"
    assert codec.decode_ack(room.published[0][1]).items[0].seconds == 30
    room.ingester._store = room.store
    assert broken.asked == 1
    assert room.take(good())[0][1][0][3] == Verdict.STORED
    assert room.ingester.health()["why"] == ""


class Full:
    asked = 0

    def commit(self, entries, arrival_ms):
        self.asked += 1
        raise Retry("disk full", 30)


def test_a_full_quarantine_answers_later(room, tmp_path):
    room.ingester._quarantine = Quarantine(tmp_path / "small.db", limit_bytes=10)
    envelope = msgspec.msgpack.decode(codec._open(good()))
    envelope[1] = 7
    answer = room.take(codec._seal(msgspec.msgpack.encode(envelope)))
    assert answer == [(topics.ack("sg-01"), [(EPOCH, 1, 3, Verdict.LATER)])]
    assert "quarantine holds" in room.ingester.health()["why"]
    room.ingester._quarantine.close()


class Picky:
    """A database that refuses one reading for good and breaks on another batch altogether."""

    def __init__(self, store) -> None:
        self._store = store

    def commit(self, entries, arrival_ms):
        if any(getattr(entry, "first", 0) == 100 and hasattr(entry, "blocks") for entry in entries):
            raise ZeroDivisionError("a fault of ours")
        self._store.commit(entries, arrival_ms)
        return [[Refused(entry.first, "the line", "type conflict")] if entry.first == 1 else [] for entry in entries]


def test_one_poisoned_batch_does_not_cost_its_neighbours(room):
    room.ingester._store = Picky(room.store)
    ((_, answers),) = room.take(good(1), good(100), good(200))
    assert sorted((first, code) for _, first, _, code in answers) == [
        (1, Verdict.STORED), (100, Verdict.QUARANTINED), (200, Verdict.STORED),
    ]  # fmt: skip
    reasons = {case.first: case.reason for case in room.quarantine.cases()}
    assert "type conflict" in reasons[1]
    assert "ZeroDivisionError" in reasons[100]
    (account,) = room.books.accounts()
    assert (account.stored, account.quarantined) == (5, 4)


def status(**keys):
    return msgspec.json.encode(
        Status(v=1, **({"state": "online", "epoch": EPOCH, "acquired": 10, "spooled": 4} | keys))
    )


def test_a_birth_is_answered_with_the_time_and_a_retained_one_counts_for_nothing_else(room):
    assert room.take(status(), kind="status") == [(topics.ack("sg-01"), [])]
    assert room.books.accounts()[0].acquired == 10
    assert room.take(status(acquired=99), kind="status", retained=True) == [(topics.ack("sg-01"), [])]
    assert room.books.accounts()[0].acquired == 10
    assert room.take(b"not json", kind="status") == []
    assert room.ingester.counts["status unreadable"] == 1


def test_two_gateways_under_one_id_are_noticed(room):
    for epoch in ("aa" * 8, "bb" * 8):
        room.take(status(epoch=epoch), kind="status")
    assert room.ingester.health()["clones"] == []
    room.take(status(epoch="aa" * 8), kind="status")
    assert room.ingester.health()["clones"] == ["sg-01"]


def test_two_copies_of_one_sd_card_are_noticed_by_their_boots(room):
    for boot in ("01" * 8, "02" * 8, "01" * 8):
        assert room.ingester.health()["clones"] == []
        room.take(status(boot=boot), kind="status")
    assert room.ingester.health()["clones"] == ["sg-01"]


def row(first, n, verdict="stored", refused=0, epoch=EPOCH):
    return LedgerRow("sg-01", epoch, first, n, verdict, NOW, refused)


def told(acquired, spooled, epoch=EPOCH, arrival_ms=NOW):
    return StatusRow("sg-01", arrival_ms, Status(v=1, state="online", epoch=epoch, acquired=acquired, spooled=spooled))


@pytest.mark.parametrize(
    ("rows", "statuses", "want"),
    [
        ([row(1, 10)], [told(10, 0)], (10, 10, 0, 0, 0, 0)),
        ([row(1, 10)], [told(15, 5)], (15, 10, 0, 0, 5, 0)),
        ([row(1, 10)], [told(15, 2)], (15, 10, 0, 0, 2, 3)),  # three were freed and never arrived
        ([row(1, 10), row(16, 5)], [told(10, 0)], (20, 15, 0, 0, 5, 0)),  # newest first: the middle is on its way
        ([row(1, 10), row(5, 20, "declared")], [told(24, 0)], (24, 10, 0, 14, 0, 0)),
        ([row(1, 10), row(1, 10), row(11, 5, "quarantined")], [told(15, 0)], (15, 10, 5, 0, 0, 0)),
        ([row(1, 10, refused=2)], [told(10, 0)], (10, 8, 2, 0, 0, 0)),
    ],
)
def test_the_sum_of_the_audit(rows, statuses, want):
    (one,) = books(rows, statuses).accounts()
    assert (one.acquired, one.stored, one.quarantined, one.declared, one.spooled, one.unknown) == want
    assert one.acquired == one.stored + one.quarantined + one.declared + one.spooled + one.unknown


def test_a_new_epoch_closes_the_old_one():
    old, new = books([row(1, 8, epoch="aa" * 8)], [told(10, 2, "aa" * 8, NOW - 1), told(1, 1, "bb" * 8)]).accounts()
    assert (old.live, old.unknown) == (False, 2)
    assert (new.live, new.unknown) == (True, 0)
