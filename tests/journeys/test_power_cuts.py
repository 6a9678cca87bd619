"""Two hundred power cuts: whatever the card had written of what was not flushed yet, nothing committed is lost.

A real spool is written to; after each transaction its files are compared with how they were. SQLite's order is known:
the WAL is flushed at the end of each transaction that is durable and before a checkpoint writes to the database, which
is flushed after it. Between two flushes each sector of 512 bytes may be there, not be there, or be torn, in any order.
Each such state is opened as after a power cut, by another boot.
"""

from __future__ import annotations

import random
import shutil
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from edge.clock import Anchor
from edge.keep.spool import Spool
from wire.batch import Gap, Source
from wire.codec import decode_message
from wire.reading import Reading

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

BOOT, NEXT_BOOT, UTC = "b1" * 8, "b2" * 8, 1_790_000_000_000
SECTOR = 512
STATES, BUDGET_S = 200, 120
QUOTA = 1 << 20


class Flushed(msgspec.Struct):
    """What is surely on the card, what may be there as well, and what the spool had promised by then."""

    files: dict[str, bytes]
    pending: list[tuple[str, int, bytes]]  # file, offset, sector
    promised: int
    freed: frozenset[int]
    epoch: str


class Recorder:
    """Plays a gateway and remembers each moment at which the power could fail."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "spool.db"
        self.spool = Spool(self.path, QUOTA, "this", BOOT)
        self.spool.dates.anchor(BOOT, Anchor(UTC, Source.NTP, 100))
        self.moments: list[Flushed] = []
        self._card = self._read()
        self._seen = dict(self._card)
        self._pending: list[tuple[str, int, bytes]] = []
        self._promised, self._freed = 0, set()

    def play(self, steps: int) -> None:
        """Append, cut, free: the second newest now and then, as answers come."""
        dice = random.Random(5)
        for step in range(steps):
            n = dice.randint(1, 30)
            seqs = range(self.spool.acquired + 1, self.spool.acquired + 1 + n)
            self.spool.append([Reading("soil-1", 1_000 + seq, {"soil_ec": seq % 20_000}, {}) for seq in seqs], BOOT)
            self._flushes(seqs[-1])
            if step % 6 == 5:
                self.spool.cut(urgent=step % 4 == 1)
                self._flushes(seqs[-1])
                if step % 12 == 11:
                    _, first, many = self.spool.get(self.spool.waiting(1)[0]).identity
                    self._freed |= set(range(first, first + many))
                    self.spool.free((self.spool.epoch, first, many))
                    self._waits()

    def _read(self) -> dict[str, bytes]:
        return {name: (self.path.parent / name).read_bytes() for name in ("spool.db", "spool.db-wal")}

    def _differences(self, name: str, now: bytes) -> list[tuple[str, int, bytes]]:
        before = self._seen[name]
        return [
            (name, at, now[at : at + SECTOR])
            for at in range(0, len(now), SECTOR)
            if now[at : at + SECTOR] != before[at : at + SECTOR]
        ]

    def _moment(self) -> None:
        self.moments.append(
            Flushed(dict(self._card), list(self._pending), self._promised, frozenset(self._freed), self.spool.epoch)
        )

    def _waits(self) -> None:
        """What was written now is flushed by a later transaction, unless a checkpoint came."""
        now = self._read()
        self._pending += self._differences("spool.db-wal", now["spool.db-wal"])
        self._moment()
        if now["spool.db"] != self._seen["spool.db"]:
            self._checkpointed(now)
        self._seen = now

    def _flushes(self, promised: int) -> None:
        """The WAL was flushed, then perhaps the database written and flushed."""
        assert self.spool._file.one("PRAGMA synchronous") == 2, "SQLite does not flush at the end of each transaction"
        now = self._read()
        self._pending += self._differences("spool.db-wal", now["spool.db-wal"])
        self._moment()
        self._card["spool.db-wal"], self._pending = now["spool.db-wal"], []
        self._promised = promised
        if now["spool.db"] != self._seen["spool.db"]:
            self._checkpointed(now)
        self._moment()
        self._seen = now

    def _checkpointed(self, now: dict[str, bytes]) -> None:
        self._card["spool.db-wal"] = now["spool.db-wal"]
        self._pending = self._differences("spool.db", now["spool.db"])
        self._moment()
        self._card, self._pending = dict(now), []


def cut_off(moment: Flushed, folder: Path, dice: random.Random) -> None:
    """Leave the files as a power cut may: of what was pending some sectors, in any order, the last one perhaps torn."""
    files = {name: bytearray(content) for name, content in moment.files.items()}
    share = dice.choice((0.0, 0.3, 0.7, 1.0))
    for name, at, sector in dice.sample(moment.pending, len(moment.pending)):
        if dice.random() <= share:
            whole = dice.random() < 0.9
            written = sector if whole else sector[: dice.randrange(len(sector))]
            file = files[name]
            file.extend(bytes(max(at + len(written) - len(file), 0)))
            file[at : at + len(written)] = written
    for name, content in files.items():
        (folder / name).write_bytes(content)


def survivors(folder: Path, epoch: str) -> tuple[dict[int, int], set[int]]:
    """Open what the power cut left, in another boot; return the old epoch's readings and declared numbers."""
    spool = Spool(folder / "spool.db", QUOTA, "this", NEXT_BOOT)
    assert spool.notes == []
    assert spool.epoch != epoch
    spool.dates.anchor(BOOT, Anchor(UTC, Source.NTP, 100))
    values, declared = {}, set()
    for number in spool.waiting(10_000):
        message = decode_message("sg-01", spool.get(number).packet(), 2 * UTC)
        assert message.epoch == epoch
        if isinstance(message, Gap):
            declared |= set(range(message.first, message.first + message.n))
        else:
            values |= {reading.seq: reading.values["soil_ec"] for reading in message.readings()}
    spool.append([Reading("soil-1", 5, {"soil_ec": 5}, {})], NEXT_BOOT)  # it goes on
    assert [kept.identity for kept in spool.cut()] == [(spool.epoch, 1, 1)]
    spool.close()
    return values, declared


def test_two_hundred_power_cuts_lose_nothing_that_was_committed(tmp_path):
    began = time.monotonic()
    (tmp_path / "card").mkdir()
    recorder = Recorder(tmp_path / "card")
    recorder.play(400)
    assert any(name == "spool.db" for moment in recorder.moments for name, *_ in moment.pending), "no checkpoint came"
    dice = random.Random(11)
    for number, moment in enumerate(dice.sample(recorder.moments, STATES)):
        folder = tmp_path / f"cut-{number}"
        folder.mkdir()
        cut_off(moment, folder, dice)
        values, declared = survivors(folder, moment.epoch)
        assert not declared
        assert all(value == seq % 20_000 for seq, value in values.items())
        lost = set(range(1, moment.promised + 1)) - values.keys() - moment.freed
        assert not lost, f"state {number}: {len(lost)} committed readings are gone"
        shutil.rmtree(folder)
    print(f"{STATES} power cuts: {time.monotonic() - began:.0f} s of a budget of {BUDGET_S} s")
