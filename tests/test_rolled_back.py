"""A card that forgets its last writes in a power cut: numbers are not given twice, and the audit tells what is gone.

The spool, the packets, the ingester and the audit are the real ones; the card is a folder that is copied back.
"""

from __future__ import annotations

import os
import shutil
from itertools import count

import msgspec
import pytest

from cloud.stream.connection import Arrival
from edge.clock import Anchor
from edge.keep.spool import Spool
from tests.build import START_MS
from tests.test_ingest import NOW, Room
from wire.batch import Source, Status
from wire.codec import decode_ack
from wire.reading import Reading

BOOTS = ("b1" * 8, "b2" * 8)
MIB = 1 << 20
LATER = count(1)  # ms: no two statuses of a gateway come at once


class Gateway:
    """The spool of one gateway between two power cuts, and its talk with a real ingester."""

    def __init__(self, folder, room, boot) -> None:
        self.room, self.boot = room, boot
        self.spool = Spool(folder / "spool.db", 4 * MIB, "this machine", boot)
        self.spool.dates.anchor(boot, Anchor(START_MS, Source.NTP, 100))

    def read(self, n, start_ms):
        """Read and cut, as a keeper does each minute."""
        self.spool.append([Reading("soil-1", start_ms + i, {"soil_ec": i}, {}) for i in range(n)], self.boot)
        self.spool.cut()

    def send(self):
        """Send all that waits and free what is acknowledged."""
        for number in self.spool.waiting(1_000):
            for _, payload in self._publish(self.spool.get(number).packet()):
                for item in decode_ack(payload).items:
                    self.spool.free((item.epoch.hex(), item.first, item.n))

    def tell(self):
        """Send a status as the agent composes it."""
        spool = self.spool
        said = Status(v=1, state="online", boot=self.boot, epoch=spool.epoch, acquired=spool.acquired,
                      spooled=spool.spooled()[0], earlier=spool.earlier())  # fmt: skip
        heard = Arrival("sg-01", "status", msgspec.json.encode(said), NOW + next(LATER), retained=False)
        self.room.ingester.step([heard])

    def _publish(self, payload):
        self.room.take(payload)
        return self.room.published


@pytest.fixture
def room(tmp_path):
    made = Room(tmp_path)
    yield made
    made.close()


def sums(room):
    return {one.epoch: (one.acquired, one.stored, one.spooled, one.unknown) for one in room.books.accounts()}


def test_what_a_card_forgot_is_unknown_and_no_number_is_given_twice(tmp_path, room):
    before = Gateway(tmp_path / "card", room, BOOTS[0])
    before.read(10, 1_000)
    before.send()
    before.spool.close()
    shutil.copytree(tmp_path / "card", tmp_path / "old")
    before = Gateway(tmp_path / "card", room, BOOTS[0])  # started again within the boot: the same epoch
    before.read(10, 2_000)
    before.send()  # these the cloud has
    before.read(5, 3_000)
    before.tell()  # of these it knows, and the card forgets them
    before.spool.close()
    epoch = before.spool.epoch
    assert sums(room) == {epoch: (25, 20, 5, 0)}

    shutil.rmtree(tmp_path / "card")
    shutil.copytree(tmp_path / "old", tmp_path / "card")
    after = Gateway(tmp_path / "card", room, BOOTS[1])
    after.read(30, 100_000)
    after.tell()
    after.send()
    assert sums(room) == {epoch: (25, 20, 0, 5), after.spool.epoch: (30, 30, 0, 0)}
    rows = room.store.ledger()
    assert sum(len(room.store.batch_readings(row)) for row in rows) == 50
    assert not [row for row in rows if row.words]
    assert room.ingester.health()["clones"] == []


def test_after_a_power_cut_what_waits_of_the_boot_before_is_spooled_and_not_unknown(tmp_path, room):
    before = Gateway(tmp_path / "card", room, BOOTS[0])
    before.read(10, 1_000)
    before.send()
    before.read(7, 2_000)
    before.spool.append([Reading("soil-1", 3_000, {"soil_ec": 3_000}, {})], BOOTS[0])  # not even cut
    before.tell()
    before.spool.close()
    after = Gateway(tmp_path / "card", room, BOOTS[1])
    after.read(4, 100_000)
    after.tell()
    old, new = before.spool.epoch, after.spool.epoch
    assert old != new
    assert sums(room) == {old: (18, 10, 8, 0), new: (4, 0, 4, 0)}
    after.send()
    after.tell()
    assert sums(room) == {old: (18, 18, 0, 0), new: (4, 4, 0, 0)}
    assert room.ingester.health()["clones"] == []


def test_an_agent_that_is_killed_goes_on_in_its_epoch(tmp_path, room):
    one = Gateway(tmp_path / "card", room, BOOTS[0])
    one.read(10, 1_000)
    one.spool._db.close()  # as kill -9 does it: nothing is tidied
    os.close(one.spool._lock)
    again = Gateway(tmp_path / "card", room, BOOTS[0])
    again.read(10, 2_000)
    assert (again.spool.epoch, again.spool.acquired) == (one.spool.epoch, 20)
