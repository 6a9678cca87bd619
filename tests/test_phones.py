"""What telephones of teams say, from a real broker into the book of samples: nothing lost, nothing of anybody else."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from cloud.access import book, heard
from cloud.access.book import Known
from cloud.config import Broker
from cloud.coverage.book import Book as Samples
from cloud.coverage.phones import BURST, MOST_QUEUED, Phones
from cloud.store import Retry
from cloud.stream.connection import Arrival, Stream
from tests import sentinels, servers
from tests.rules.garden import HandClock
from tests.test_access import certified, guarded, invited, phone, said
from wire import topics

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cloud.coverage.sample import Sample
    from cloud.coverage.seam import Put

USER = "doi-hang-tay-1"


class Room:
    """The part of the room that hears telephones, with real books, turned by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock = folder, HandClock(sentinels.NOW_MS)
        self.known, self.heard = Known(folder / book.NAME), heard.Book(folder / heard.NAME)
        self.samples = Samples(folder / "coverage.db")
        self.phones = Phones(self.known, self.heard, self.clock)
        self.full = False

    def put(self, samples: Sequence[Sample], now_ms: int) -> Put:
        if self.full:
            raise Retry("the disk is full", 5)
        return self.samples.put(samples, now_ms)

    def say(self, payload: bytes, stream: str = "lte_message", user: str = USER, *, retained: bool = False) -> None:
        self.phones.arrived(Arrival(user, stream, payload, self.clock.utc_ms(), retained))

    def turn(self, seconds: float = 10.0) -> None:
        """A turn, time, and another one: whatever was open is over and kept."""
        self.phones.turn(self.put)
        self.clock.advance(seconds)
        self.phones.turn(self.put)
        self.clock.advance(seconds)
        self.phones.turn(self.put)

    @property
    def kept(self) -> list[Sample]:
        return list(self.samples.samples(0, 1 << 50))

    def close(self) -> None:
        self.known.close()
        self.heard.close()
        self.samples.close()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.close()


def moment(number: int, **fields: Any) -> bytes:
    """A moment of a telephone, ten seconds after the one before."""
    at = f"2026-11-27T10:{15 + number // 6:02}:{number % 6 * 10:02}.000+07:00"
    return sentinels.message("LteRecord", **sentinels.LTE | {"groupNumber": number, "deviceTime": at} | fields)


def test_a_moment_is_kept_under_the_teams_code_and_noted(room: Room) -> None:
    invited(room.folder / book.NAME)
    room.say(moment(0))
    room.say(sentinels.message("NrRecord", **sentinels.NR), "nr_message")
    room.turn(20)
    assert {(one.by, one.source) for one in room.kept} == {("hang-tay", "phone")}
    noted = heard.heard(room.folder / heard.NAME)[USER]
    assert (noted.messages, noted.samples, noted.refused) == (2, len(room.kept), {})
    assert sentinels.leaks(room.folder) == []


def test_nobody_else_is_heard_and_a_revoked_one_no_more(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    invited(room.folder / book.NAME)
    room.say(moment(0), user="doi-hang-tay-2")
    room.say(moment(1), user="sg-01")
    room.say(moment(2))
    room.turn()
    assert (len(room.kept), room.phones.refused) == (1, {"account": 2})
    with book.Book(room.folder / book.NAME) as accounts:
        accounts.revoke([USER], who="test", now_ms=sentinels.NOW_MS)
    room.say(moment(3))
    room.turn()
    assert (len(room.kept), room.phones.refused) == (1, {"account": 3})
    assert "telephone refused why=account account='doi-hang-tay-2' n=1" in caplog.text


def test_what_is_refused_is_counted_by_reason_and_by_account(room: Room) -> None:
    invited(room.folder / book.NAME)
    room.say(moment(0), retained=True)
    room.say(b"{", "nr_message")
    room.say(sentinels.message("BluetoothRecord"), "bluetooth_message")
    room.say(sentinels.message("WifiBeaconRecord"), "80211_beacon_message")
    room.say(b" " * 20_000)
    room.turn(20)
    assert room.phones.refused == {"retained": 1, "json": 1, "bluetooth": 1, "wifi": 1, "size": 1}
    assert heard.heard(room.folder / heard.NAME)[USER].refused == dict(room.phones.refused)
    room.say(b"{", "nr_message")
    room.turn(20)
    assert heard.heard(room.folder / heard.NAME)[USER].refused["json"] == 2
    assert room.kept == []


def test_one_telephone_that_shouts_takes_nothing_from_another(room: Room) -> None:
    """Not even a place in the queue, while the disk or a long piece of work holds the room up."""
    invited(room.folder / book.NAME, count=2)
    for number in range(MOST_QUEUED + 50):
        room.say(moment(number % 30))
    room.say(moment(31), user="doi-hang-tay-2")
    room.turn(20)
    assert room.phones.refused == {"rate": MOST_QUEUED + 50 - int(BURST)}
    assert len({one.time_ms for one in room.kept}) == 31
    noted = heard.heard(room.folder / heard.NAME)
    assert {user: one.refused for user, one in noted.items()} == {
        USER: dict(room.phones.refused),
        "doi-hang-tay-2": {},
    }
    room.say(moment(32))
    room.turn()
    assert len({one.time_ms for one in room.kept}) == 32, "after a while it is heard again"


def test_a_full_disk_loses_nothing_that_was_heard(room: Room) -> None:
    invited(room.folder / book.NAME)
    room.full = True
    for number in range(20):
        room.say(moment(number))
    room.phones.turn(room.put)
    room.clock.advance(10)
    with pytest.raises(Retry):
        room.phones.turn(room.put)
    room.say(moment(20))
    room.clock.advance(10)
    with pytest.raises(Retry):
        room.phones.turn(room.put)
    room.full = False
    room.turn()
    assert (len(room.kept), room.phones.kept["new"]) == (21, 21)


def test_a_room_that_does_not_follow_counts_what_it_lets_go(room: Room) -> None:
    for number in range(MOST_QUEUED + 7):
        room.say(b"{}", user=f"doi-a-{number}")
    assert room.phones.refused == {"full": 7}
    assert room.phones.more
    room.phones.turn(room.put, last=True)
    assert room.phones.refused == {"full": 7, "account": MOST_QUEUED}
    assert heard.heard(room.folder / heard.NAME) == {}, "who is no account is noted nowhere by name"


def test_what_is_open_is_kept_at_the_end(room: Room) -> None:
    invited(room.folder / book.NAME)
    for number in range(3):
        room.say(moment(number))
    room.phones.turn(room.put, last=True)
    assert len(room.kept) == 3
    assert heard.heard(room.folder / heard.NAME)[USER].messages == 3


def test_a_damaged_note_keeps_no_sample_away(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    invited(room.folder / book.NAME)
    room.heard.close()
    room.say(moment(0))
    room.turn(20)
    assert len(room.kept) == 1
    assert "telephones not noted" in caplog.text
    (room.folder / heard.NAME).write_bytes(b"no database at all, but long enough to look like one" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        heard.heard(room.folder / heard.NAME)
    heard.Book(room.folder / heard.NAME).close()
    assert heard.heard(room.folder / heard.NAME) == {}
    assert list(room.folder.glob("phones.db.damaged-*"))


@pytest.mark.mosquitto
def test_from_the_telephone_through_the_broker_into_the_book(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every moment that the broker took is kept, whatever else is said beside; and no identity is anywhere."""
    with guarded(tmp_path) as (server, (own, lost, far)), ExitStack() as held:
        room = Room(tmp_path)
        held.callback(room.close)
        keys = {name: f"{server.folder}/{file}" for name, file in (
            ("ca_file", "ca.pem"), ("cert_file", "gocche-cloud.pem"), ("key_file", "gocche-cloud.key"))}  # fmt: skip
        link = Stream(
            Broker(host="127.0.0.1", port=server.port, **keys), "gocche-phones", (topics.FROM_PHONES,),
            room.clock, room.phones.arrived, parse=topics.parse_phone,
        )  # fmt: skip
        link.start()
        held.callback(link.close)
        servers.until(lambda: link.connected, 20, "the room is connected")
        gateway = held.enter_context(certified(server, "sg-01"))
        mine, gone, theirs = (held.enter_context(phone(server, one)) for one in (own, lost, far))
        with book.Book(tmp_path / book.NAME) as accounts:
            accounts.revoke([lost.account.user], who="test", now_ms=sentinels.NOW_MS)
        gateway.say(topics.up("sg-01"), b"batch")
        for number in range(30):
            for client, one, pci in ((mine, own, 101), (gone, lost, 102), (theirs, far, 103)):
                client.say(said(one.account.user, "lte_message"), moment(number, pci=pci))
        mine.say(said(own.account.user, "bluetooth_message"), sentinels.message("BluetoothRecord"))
        servers.until(lambda: len(room.phones._queue) == 90, 20, "all has come")
        room.turn()
        assert Counter(one.by for one in room.kept) == {"hang-tay": 30, "ke-ca": 30}
        assert room.phones.refused == {"account": 30}, "the revoked one, though the broker still lets it through"
        assert link.strangers == 0
    assert sentinels.leaks(*tmp_path.glob("*.db*"), server.log, caplog.text) == []
    for one in (own, lost, far):
        assert one.password not in server.log + caplog.text
        assert not [file for file in tmp_path.glob("*.db*") if one.password.encode() in file.read_bytes()]
