"""Ingest: the acknowledgement follows the commit, and what cannot be stored is kept with its reason."""

from __future__ import annotations

import threading

import msgspec
import pytest

from cloud.ingest import arrivals
from cloud.ingest.audit import Books, books
from cloud.ingest.bookkeeper import Bookkeeper
from cloud.ingest.ingester import Ingester
from cloud.ingest.quarantine import Quarantine, Unstorable, opened
from cloud.store import Committed, LedgerRow, Refused, Retry, StatusRow, open_store
from cloud.stream.connection import Arrival
from tests.build import EPOCH, START_MS, packet, soil
from wire import beat, codec, topics
from wire.batch import Status, Verdict

NOW = START_MS + 3_600_000


class Clock:
    now_s = 0.0

    def utc_ms(self):
        return NOW

    def monotonic(self):
        return self.now_s

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
        self.clock = Clock()
        self.ingester = self.ingests_into(self.store, self.quarantine)

    def ingests_into(self, store, quarantine, inbox=None):
        """Let another ingester take over, as after a start."""
        self.ingester = Ingester(store, quarantine, self.books, self.clock, self.publish, inbox)
        return self.ingester

    def publish(self, topic, payload):
        self.published.append((topic, payload))

    def kept(self):
        """Everything in quarantine, with its bytes."""
        return [(case, self.quarantine.payload(case.id)) for case in self.quarantine.cases()]

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
    assert [(case.epoch, payload) for case, payload in room.kept()] == [("", bytes(bad))]


def test_what_is_unknown_here_is_quarantined_whole_and_acknowledged_as_such(room):
    envelope = msgspec.msgpack.decode(codec._open(good()))
    envelope[1] = 7
    strange = codec._seal(msgspec.msgpack.encode(envelope))
    assert room.take(strange) == [(topics.ack("sg-01"), [(EPOCH, 1, 3, Verdict.QUARANTINED)])]
    ((case, payload),) = room.kept()
    assert (case.first, case.n, payload) == (1, 3, strange)
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
    db = room.store._writer._db
    db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0]}")
    assert room.take(good(n=300)) == [(topics.ack("sg-01"), [(EPOCH, 1, 300, Verdict.LATER)])]
    assert "make space on its disk" in room.ingester.health()["why"]
    assert codec.decode_ack(room.published[0][1]).items[0].seconds == 30
    assert room.store.ledger() == []
    db.execute("PRAGMA max_page_count = 1000000")
    assert room.take(good(n=300))[0][1][0][3] == Verdict.STORED
    assert room.ingester.health()["why"] == ""


def test_a_full_quarantine_answers_later(room, tmp_path):
    small = Quarantine(tmp_path / "small.db", limit_bytes=10)
    room.ingests_into(room.store, small)
    envelope = msgspec.msgpack.decode(codec._open(good()))
    envelope[1] = 7
    answer = room.take(codec._seal(msgspec.msgpack.encode(envelope)))
    assert answer == [(topics.ack("sg-01"), [(EPOCH, 1, 3, Verdict.LATER)])]
    assert "quarantine holds" in room.ingester.health()["why"]
    small.close()


class Picky:
    """A database that refuses one reading for good and breaks on another batch altogether."""

    def __init__(self, store) -> None:
        self._store, self.pack = store, store.pack

    def commit(self, entries, arrival_ms):
        return self.begin(entries, arrival_ms).end()

    def begin(self, entries, arrival_ms):
        if any(getattr(entry, "first", 0) == 100 and hasattr(entry, "blocks") for entry in entries):
            raise ZeroDivisionError("a fault of ours")
        self._store.commit(entries, arrival_ms)
        bad = Refused(1, "the line", "type conflict")
        return Committed([[bad] if entry.first == 1 else [] for entry in entries])


def test_one_poisoned_batch_does_not_cost_its_neighbours(room):
    room.ingests_into(Picky(room.store), room.quarantine)
    ((_, answers),) = room.take(good(1), good(100), good(200))
    assert sorted((first, code) for _, first, _, code in answers) == [
        (1, Verdict.STORED), (100, Verdict.QUARANTINED), (200, Verdict.STORED),
    ]  # fmt: skip
    cases = {case.first: (case.n, case.reason, payload) for case, payload in room.kept()}
    assert cases == {
        1: (3, "the database refuses 1 of 3 readings, first 1: type conflict", good(1)),
        100: (3, "store failed on it: ZeroDivisionError: a fault of ours", good(100)),
    }, "as it came, so that `gocche quarantine --retry` can read it again"
    assert room.ingester.counts["refused by the database"] == 1
    (account,) = room.books.accounts()
    assert (account.stored, account.quarantined) == (5, 4)


class Working:
    """A database that works on each commit until its end is asked for. `said` is what it was asked, in order."""

    def __init__(self, store, at_begin=lambda n: None) -> None:
        self._store, self.pack, self._at_begin = store, store.pack, at_begin
        self.said, self.away = [], False

    def begin(self, entries, arrival_ms):
        firsts = [entry.first for entry in entries]
        self.said.append(("begin", *firsts))
        self._at_begin(len(self.said))
        return UnderWay(self, entries, arrival_ms)

    def end(self, entries, arrival_ms):
        self.said.append(("end", *[entry.first for entry in entries]))
        if self.away:
            raise Retry("away")
        return self._store.commit(entries, arrival_ms)

    def write_status(self, *told):
        self.said.append(("status",))
        self._store.write_status(*told)


class UnderWay:
    is_over = False

    def __init__(self, store, *what) -> None:
        self.end = lambda: store.end(*what)


def up(first):
    return Arrival("sg-01", "up", good(first), NOW, False)


def test_the_next_group_is_read_while_the_database_works_and_nothing_is_acknowledged_before_its_commit(room):
    store = Working(room.store)
    ingester = room.ingests_into(store, room.quarantine)
    ingester.step([up(1)], ahead=True)
    assert (store.said, room.published) == ([("begin", 1)], [])
    ingester.step([up(4)], ahead=True)
    assert store.said[1:] == [("end", 1), ("begin", 4)]
    assert [[item.first for item in codec.decode_ack(payload).items] for _, payload in room.published] == [[1]]
    ingester.step([up(7), Arrival("sg-01", "status", status(), NOW, False)], ahead=True)
    assert store.said[3:] == [("end", 4), ("begin", 7), ("end", 7), ("status",)], "a status is heard after its batches"
    assert [row.first for row in room.store.ledger()] == [1, 4, 7]


def test_a_commit_that_fails_at_its_end_is_asked_for_again(room):
    store = Working(room.store)
    ingester = room.ingests_into(store, room.quarantine)
    ingester.step([up(1), up(4)], ahead=True)
    store.away = True
    ((_, answers),) = room.take(good(7))
    assert sorted((first, code) for _, first, _, code in answers) == [(first, Verdict.LATER) for first in (1, 4, 7)]
    assert room.store.ledger() == []
    store.away = False
    room.take(good(1), good(4), good(7))
    assert [row.first for row in room.store.ledger()] == [1, 4, 7]


def test_who_stops_ends_the_commit_that_is_under_way(room, monkeypatch):
    monkeypatch.setattr(arrivals, "GROUP", 1)
    monkeypatch.setattr(arrivals, "GROUP_BYTES", 1)
    stop = threading.Event()
    store = Working(room.store, lambda asked: asked > 1 and stop.set())
    store.setup = room.store.setup
    ingester = room.ingests_into(store, room.quarantine)
    for first in (1, 4, 7):
        ingester.offer(up(first))
    ingester.run(stop)
    assert store.said == [("begin", 1), ("end", 1), ("begin", 4), ("end", 4)]
    assert [row.first for row in room.store.ledger()] == [1, 4]


def test_a_stop_ends_in_order_whatever_befalls_the_commit_under_way(room, monkeypatch, caplog):
    """A quarantine that fails in this very moment ended the room with exit status 1, as if it had died of a fault."""

    def broken(items):
        raise OSError(5, "Input/output error")

    stop = threading.Event()
    store = Working(room.store, lambda asked: stop.set())
    store.setup = room.store.setup
    monkeypatch.setattr(room.store, "commit", lambda *of: [[Refused(1, "", "no")]])
    monkeypatch.setattr(room.quarantine, "keep", broken)
    monkeypatch.setattr(arrivals, "GROUP", 1)
    monkeypatch.setattr(arrivals, "GROUP_BYTES", 1)
    ingester = room.ingests_into(store, room.quarantine)
    ingester.offer(up(1))
    ingester.offer(up(4))
    ingester.run(stop)
    assert store.said[:2] == [("begin", 1), ("end", 1)]
    assert room.published == []
    assert told_once(caplog, "ingest stumbled")


def status(**keys):
    return msgspec.json.encode(
        Status(v=1, **({"state": "online", "epoch": EPOCH, "acquired": 10, "spooled": 4} | keys))
    )


def told_once(caplog, words):
    return sum(words in record.getMessage() for record in caplog.records) == 1


def test_a_birth_is_answered_with_the_time(room):
    assert room.take(status(), kind="status") == [(topics.ack("sg-01"), [])]
    assert room.take(status(), kind="status", retained=True) == [(topics.ack("sg-01"), [])]
    assert room.take(status(state="offline"), kind="status") == []


def test_of_a_retained_status_only_the_high_water_counts(room):
    """A server with a new store, or after an outage, knows from it what a gateway once had."""
    room.take(status(), kind="status")
    kept = room.store.statuses()
    room.take(status(acquired=99, spooled=99, boot="01" * 8), kind="status", retained=True)
    room.take(status(acquired=0, state="offline"), kind="status", retained=True)
    (account,) = room.books.accounts()
    assert (account.acquired, account.spooled, account.unknown) == (99, 93, 6), "six were freed and never arrived"
    assert room.store.statuses() == kept
    room.take(status(acquired=50, epoch="0d" * 8, state="offline"), kind="status", retained=True)
    assert room.books.accounts()[1].acquired == 50
    room.take(status(acquired=0, epoch="0e" * 8, state="offline"), kind="status", retained=True)
    assert len(room.books.accounts()) == 2


def test_a_last_will_lowers_nothing_and_may_raise_the_high_water(room):
    room.take(status(), kind="status")
    room.take(status(acquired=0, state="offline"), kind="status")
    assert room.books.accounts()[0].acquired == 10
    room.take(status(acquired=12, state="offline"), kind="status")
    (account,) = room.books.accounts()
    assert (account.acquired, account.live) == (12, True)
    (anew,) = books([], room.store.statuses()).accounts()  # what `gocche audit` reads
    assert (anew.acquired, anew.spooled, anew.unknown) == (12, 12, 0), "out of reach is not lost"
    room.take(status(acquired=1, spooled=1, epoch="0d" * 8), kind="status")
    old, new = books([], room.store.statuses()).accounts()
    assert (old.live, old.unknown, new.live, new.unknown) == (False, 12, True, 0), "a new epoch closes the old one"


def said(mono_ms, **keys):
    whole = {"boot": "b0" * 8, "epoch": EPOCH, "acquired": 10, "cut": 8, "spooled": 4, "mono_ms": mono_ms} | keys
    return Status(v=1, **({"state": "online", "clock": {"source": "ntp"}} | whole))


def beaten(mono_ms, **keys):
    return beat.encode(beat.beat_of(said(mono_ms, **keys)))


def test_a_beat_brings_the_figures_and_the_last_status_the_rest(room):
    channels = {"soil-1": {"why": "silence"}}
    room.take(msgspec.json.encode(said(60_000, channels=channels, why="disk full")), kind="status")
    room.take(beaten(120_000, acquired=30, spooled=2, oldest_s=7.0), kind="beat")
    (row,) = room.store.statuses()
    assert (row.status.acquired, row.status.spooled, row.status.oldest_s, row.status.mono_ms) == (30, 2, 7.0, 120_000)
    assert (row.status.channels, row.status.why, row.status.state) == (channels, "disk full", "online")
    room.take(beaten(180_000, boot="b1" * 8, acquired=31), kind="beat")
    (row,) = room.store.statuses()
    assert (row.status.acquired, row.status.channels) == (31, {}), "another boot: what the last one said is not of now"
    (account,) = room.books.accounts()
    assert (account.acquired, account.spooled) == (31, 4)


def test_a_server_that_starts_anew_joins_beats_to_the_status_that_the_broker_kept(room):
    channels = {"soil-1": {"why": "silence"}}
    room.take(msgspec.json.encode(said(60_000, channels=channels)), kind="status", retained=True)
    assert room.store.statuses() == [], "what the broker kept is no sign of life"
    room.take(msgspec.json.encode(said(60_000, state="offline", channels={})), kind="status", retained=True)
    room.take(beaten(120_000), kind="beat")
    (row,) = room.store.statuses()
    assert (row.status.channels, row.status.state) == (channels, "online")


def test_an_old_word_that_waited_somewhere_never_overwrites_a_newer_one(room):
    room.take(beaten(120_000, acquired=30, spooled=2), kind="beat")
    kept = room.store.statuses()
    room.take(beaten(60_000, acquired=20, spooled=20), kind="beat")
    room.take(msgspec.json.encode(said(61_000, acquired=20, spooled=20)), kind="status")
    assert room.store.statuses() == kept
    (account,) = room.books.accounts()
    assert (account.acquired, account.spooled, account.unknown) == (30, 2, 28), "28 were freed and never arrived"
    room.take(msgspec.json.encode(said(59_000, state="offline")), kind="status")
    assert room.store.statuses()[0].status.state == "offline", "a last will is always older than what came before it"
    room.take(beaten(180_000, acquired=31), kind="beat")
    assert room.store.statuses()[0].status.state == "online"


def test_a_gateway_of_before_the_beat_still_works(room):
    """It sends its whole status each minute, without `mono_ms`."""
    for n in range(3):
        assert room.take(status(acquired=10 + n), kind="status") == [(topics.ack("sg-01"), [])]
    assert room.store.statuses()[0].status.acquired == 12


def test_a_beat_is_answered_with_the_time_where_the_gateway_has_no_better_clock(room):
    assert room.take(beaten(1_000), kind="beat") == []
    for source in ("none", "rtc", "ack"):
        assert room.take(beaten(1_000, clock={"source": source}), kind="beat") == [(topics.ack("sg-01"), [])]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        beaten(1_000)[:-1],
        beaten(1_000)[:-4] + b"abcd",
        beat.encode(beat.Beat(2, b"b" * 8, b"e" * 8, 1, 1, 0, 0, 0, 0, 1)),
        beat.encode(beat.Beat(1, b"b" * 7, b"e" * 8, 1, 1, 0, 0, 0, 0, 1)),
        beat.encode(beat.Beat(1, b"b" * 8, b"e" * 8, -1, 1, 0, 0, 0, 0, 1)),
        beat.encode(beat.Beat(1, b"b" * 8, b"e" * 8, 1, 2**53, 0, 0, 0, 0, 1)),
        beat.encode(beat.Beat(1, b"b" * 8, b"e" * 8, 1, 1, 2, 0, 0, 0, 1)),
        beat.encode(beat.Beat(1, b"b" * 8, b"e" * 8, 1, 1, 0, 0, 0, 0, 99)),
    ],
)
def test_a_beat_that_cannot_be_believed_is_counted_and_forgotten(room, payload):
    assert room.take(payload, kind="beat") == []
    assert room.ingester.counts["beat unreadable"] == 1
    assert room.books.accounts() == room.store.statuses() == []


@pytest.mark.parametrize(
    "payload",
    [
        b"not json",
        status(epoch="x" * 16),
        status(epoch="AA" * 8),
        status(epoch="aa" * 9),
        status(boot="b0"),
        status(boot="b0" * 8 + "\n"),
        status(acquired=-1),
        status(acquired=2**53),
        status(spooled=-5),
        status(channels={f"c-{n}": {"why": "x" * 300} for n in range(900)}),
    ],
)
def test_a_status_that_cannot_be_believed_is_counted_and_forgotten(room, payload):
    assert room.take(payload, kind="status") == []
    assert room.ingester.counts["status unreadable"] == 1
    assert room.books.accounts() == room.store.statuses() == []


def test_a_long_status_is_read_and_too_many_channels_are_cut(room):
    long = status(channels={f"c-{n}": {"why": "x" * 190} for n in range(300)})
    assert 60_000 < len(long) < 64 * 1024
    assert room.take(long, kind="status") == [(topics.ack("sg-01"), [])]
    assert len(room.store.statuses()[0].status.channels) == 256
    assert room.ingester.counts["status cut"] == 1


@pytest.mark.parametrize("body", [b'{"v":"old"}', b'{"state":"\xff"}'])
def test_a_status_that_rotted_in_the_store_is_written_anew(room, body):
    row = ("sg-01", EPOCH, NOW, body)
    room.store._writer._db.execute("INSERT INTO status VALUES (?, ?, ?, ?)", row)
    room.published.clear()
    room.ingester.step([
        Arrival("sg-01", "status", status(), NOW, False),
        Arrival("sg-02", "up", good(), NOW, False),
        Arrival("sg-02", "status", status(), NOW, False),
    ])  # fmt: skip
    answers = {topic: codec.decode_ack(payload).items for topic, payload in room.published}
    assert [item.code for item in answers[topics.ack("sg-02")]] == [Verdict.STORED]
    assert [row.gateway for row in room.store.ledger()] == ["sg-02"]
    assert room.ingester.counts["status not kept"] == 0
    assert [(row.gateway, row.status.acquired) for row in room.store.statuses()] == [("sg-01", 10), ("sg-02", 10)]


def test_a_status_that_breaks_the_store_costs_only_itself(room, monkeypatch):
    def break_on(gateway, *rest, write=room.store.write_status):
        if gateway == "sg-01":
            raise ZeroDivisionError("a fault of ours")
        write(gateway, *rest)

    monkeypatch.setattr(room.store, "write_status", break_on)
    arrivals = [Arrival(gateway, "status", status(), NOW, False) for gateway in ("sg-01", "sg-02")]
    room.ingester.step(arrivals)
    assert room.ingester.counts["status not kept"] == 1
    assert [row.gateway for row in room.store.statuses()] == ["sg-02"]
    assert len(room.published) == 2, "both births are answered with the time"


def test_one_identity_with_other_readings_is_stored_and_raises_the_alarm(room, caplog):
    stored = [(topics.ack("sg-01"), [(EPOCH, 1, 3, Verdict.STORED)])]
    other = packet(first=1, rows=soil(3, base=80), start_ms=START_MS + 600_000)
    assert room.take(good()) == room.take(good()) == stored
    assert room.ingester.health()["clones"] == []
    for _ in range(2):
        assert room.take(other) == stored
    values = [value for _, value in room.store.series("sg-01", "soil-1", "soil_moisture", 0, 2**62)]
    assert values == [30.0, 30.01, 30.02, 80.0, 80.01, 80.02]
    Bookkeeper(room.store, room.books, room.clock).step()
    assert room.take(other) == stored
    assert room.ingester.health()["clones"] == ["sg-01"]
    assert room.ingester.counts["identity used twice"] == 1
    assert told_once(caplog, "two gateways under one id gateway=sg-01")


def test_what_this_version_cannot_store_raises_the_alarm_once(room, caplog):
    assert room.ingester.health()["quarantined_24h"] == 0
    for first in (1, 4):
        envelope = msgspec.msgpack.decode(codec._open(good(first)))
        envelope[0] = 2
        room.take(codec._seal(msgspec.msgpack.encode(envelope)))
    assert room.ingester.health()["quarantined_24h"] == 2
    assert told_once(caplog, "batches that this version cannot store gateway=sg-01 why='version 2 is unknown")
    room.quarantine.keep([Unstorable("sg-01", (EPOCH, 9, 1), "long ago", b"x", NOW - 25 * 3_600_000)])
    assert room.ingester.health()["quarantined_24h"] == 2


def test_damaged_bytes_take_a_small_share_and_a_line_a_minute(room, tmp_path, caplog):
    share = 3 * 500
    small = Quarantine(tmp_path / "small.db", limit_bytes=16 * share)
    room.ingests_into(room.store, small)
    room.take(*[b"%040d" % n for n in range(5)])
    assert len(small.cases()) == 3, "the bytes are 40, a row of them in two trees is ten times as much"
    assert room.ingester.counts["damaged"] == 5
    assert room.ingester.counts["damaged, not kept"] == 2
    assert room.ingester.health()["why"] == ""
    assert room.ingester.health()["quarantined_24h"] == 0
    assert told_once(caplog, "damaged gateway=sg-01")
    room.take(b"once more", gateway="sg-02")
    room.clock.now_s = 61.0
    room.take(b"and more")
    assert [r.getMessage()[:21] for r in caplog.records] == [f"damaged gateway=sg-0{n}" for n in (1, 2, 1)]
    small.close()


def test_the_quarantine_is_bounded_by_what_the_disk_holds(tmp_path):
    """Messages of five bytes once took seventeen times its limit, with a full commit each."""
    limit = 1_000_000
    file = tmp_path / "small.db"
    small = Quarantine(file, limit_bytes=limit)
    steps = [
        [Unstorable("sg-01", ("", 0, 0), "CRC", b"%05d" % (64 * step + n), NOW) for n in range(64)]
        for step in range(20)
    ]
    assert 100 < sum(sum(small.keep(step)) for step in steps) < 20 * 64
    small._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert file.stat().st_size < limit / 16 + 12 * 4096, "its share, and a page for each tree"
    whole = [Unstorable("sg-01", (EPOCH, n, 1), "strange", bytes([n]) * 60_000, NOW) for n in range(1, 40)]
    kept = small.keep(whole)
    assert 10 < sum(kept) == kept.index(False) < 16
    small._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert file.stat().st_size <= limit
    assert "its limit is 1000000" in small.full()
    small.release([case.id for case in small.cases(at_most=10_000) if case.epoch])
    assert all(small.keep(whole[:10])), "what was let go has left its room"
    small.close()


def test_what_is_kept_in_one_step_is_one_commit(room):
    said = []
    room.quarantine._db.set_trace_callback(said.append)
    room.take(*[b"damaged %d" % n for n in range(64)])
    assert said.count("COMMIT") == 1
    assert len(room.quarantine.cases()) == 64


def test_a_quarantine_that_rots_is_set_aside_and_ingest_goes_on(tmp_path, caplog):
    file = tmp_path / "quarantine.db"
    for number in (1, 2):
        file.write_bytes(b"garbage" * 4_000)
        anew = opened(file)
        assert anew.keep([Unstorable("sg-01", (EPOCH, number, 1), "why", b"x", NOW)]) == [True]
        anew.close()
        assert (tmp_path / f"quarantine.db.damaged-{number}").read_bytes() == b"garbage" * 4_000
    again = opened(file)
    assert [case.first for case in again.cases()] == [2], "a good one is left as it is"
    again.close()
    assert "set aside" in caplog.text


class Halfway:
    """A ledger row that has the books read from another thread while it is being entered."""

    gateway, epoch, verdict, first, n, start_ns, end_ns, words = "sg-01", EPOCH, "stored", 11, 10, 0, 0, ""

    def __init__(self, made):
        self.told = []
        self.reader = threading.Thread(target=lambda: self.told.extend(made.accounts()))

    @property
    def refused(self):
        if not self.reader.ident:
            self.reader.start()
            self.reader.join(0.2)  # without a lock it ends in here
        return 0


def test_the_books_may_be_read_while_they_are_written():
    made = books([row(1, 10)], [told(10, 0)])
    halfway = Halfway(made)
    made.row(halfway)
    halfway.reader.join()
    (account,) = halfway.told
    assert (account.stored, account.acquired, account.unknown) == (20, 20, 0)


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


def test_two_under_one_id_are_found_after_a_start_too(room):
    """Process memory is gone, and with several ingesters there is more than one: the store's statuses know."""
    for boot in ("01" * 8, "02" * 8):
        room.take(status(boot=boot, epoch=boot), kind="status")
    room.ingests_into(room.store, room.quarantine).recall()
    room.take(status(boot="02" * 8, epoch="02" * 8), kind="status")
    assert room.ingester.health()["clones"] == [], "the newer boot goes on speaking"
    room.take(status(boot="01" * 8, epoch="01" * 8), kind="status")
    assert room.ingester.health()["clones"] == ["sg-01"]


def test_what_the_store_knew_comes_before_what_was_heard_since_the_start(room):
    room.take(status(boot="01" * 8, epoch="01" * 8), kind="status")
    ingester = room.ingests_into(room.store, room.quarantine)
    room.take(status(boot="02" * 8, epoch="02" * 8), kind="status")
    room.take(status(state="offline", boot="01" * 8, epoch="01" * 8), kind="status")
    ingester.recall()
    assert ingester.health()["clones"] == [], "a restart, and the last will of the life before it"


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


def test_a_server_whose_clock_is_behind_says_so_once_and_not_a_fault_for_each_gateway(room, caplog) -> None:
    """Of 30 gateways that bring what is true, none is at fault; of two among many, those two are."""
    two_days = 2 * 86_400_000
    names = [f"sg-{n:02d}" for n in range(30)]
    room.take(packet(rows=soil(3), start_ms=NOW + two_days), gateway="sg-00")
    assert "of the one gateway is ahead, or this server's behind: " in room.ingester.health()["why"]
    for gateway in names:
        room.take(packet(rows=soil(3), start_ms=NOW + two_days), gateway=gateway)
    assert room.ingester.health()["why"] == (
        "this server's clock seems to be behind: batches of 30 of 30 gateways lie in the future, 48.0 h; "
        "set it (timedatectl), then gocche quarantine --retry"
    )
    alarms = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
    assert [one for one in alarms if "clock seems" in one] == alarms[1:], "two lines: of the first one, and of all"
    for gateway in names[2:]:
        room.take(packet(rows=soil(3), first=9), gateway=gateway)
    assert room.ingester.health()["why"] == "", "two of thirty are wrong themselves"


def test_who_was_ahead_long_ago_accuses_nobody(room) -> None:
    for gateway in ("sg-01", "sg-02"):
        room.take(packet(rows=soil(3), start_ms=NOW + 86_400_000), gateway=gateway)
    assert "clock" in room.ingester.health()["why"]
    room.clock.now_s += 3_601
    assert room.ingester.health()["why"] == ""
