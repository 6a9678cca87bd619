"""The spool's file: one connection, one transaction at a time, and what it weighs.

WAL with synchronous=FULL lost nothing in 2,000 explored power cuts, where NORMAL lost acknowledged commits in 1,228
(docs/decisions/0003-spool.md). One connection and one owner thread: SQLite's WAL-reset fault needs two. So the lock is
exclusive, and the index of the WAL lies in memory: as a file beside the spool it cost a card as much as the data.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import sqlite3
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from disk.lock import take_lock
from edge.keep.spool import names, rows, schema
from edge.words import note
from wire.codec import GAP

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from edge.keep.spool.rows import Kept
    from settings.words import Sentence

log = logging.getLogger(__name__)
BALLAST_BYTES = 1024 * 1024  # freed when the disk is full: a full disk wedges WAL, even DELETE fails
SPARE_BYTES = 1024 * 1024  # beyond the quota, for what is written before something else is forgotten
MOST_ENDS = 32  # epochs: they are written with each batch of them that is freed
CHECKPOINT_PAGES = 256  # keeps the room that a full disk must still offer small


class SpoolFull(OSError):
    """The disk or the file's limit leaves no room: nothing was kept, what was kept before still is."""


class File:
    """One open spool file and its ballast. `held` is how many numbers its batches and gap records have, by epoch."""

    def __init__(self, path: Path, quota_bytes: int, machine: str, notes: list[Sentence]) -> None:
        self._path, self._ballast, self._notes = path, ballast_of(path), notes
        self.db = _connect(path, quota_bytes, machine)
        self._node = names.node(path)
        self._copy: Path | None = None  # of all that is in here, made because it is at its name no more
        self._inside = False  # a transaction of ours
        self._page_bytes = int(self.one("PRAGMA page_size"))
        sql = "SELECT epoch, sum(n) FROM batch WHERE aside = 0 GROUP BY epoch ORDER BY min(id)"
        self.held: dict[str, int] = dict(self.db.execute(sql).fetchall())
        self.load_ballast()
        names.belong(path)

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[None]:
        """Commit what happens inside, or nothing of it. Raises SpoolFull where there is no room.

        What is not `durable` may be undone by a power cut, and is safe with the next one that is.
        """
        if self._inside:  # the outer one commits
            yield
            return
        if self._adrift():
            raise SpoolFull(f"{self._path}: removed or renamed while it was in use; {self._copy} has what was in it")
        held = self.held.copy()
        self._inside = True
        try:
            if self.db.in_transaction:  # there was no memory even to roll it back
                self.db.execute("ROLLBACK")
            self.db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self.db.execute("BEGIN IMMEDIATE")
            yield
            self.db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._roll_back(held)
            raise SpoolFull(f"{self._path}: {error}") from error
        except BaseException:
            self._roll_back(held)
            raise
        finally:
            self._inside = False

    def one(self, sql: str, *values: object) -> Any:
        """Return the first column of the first row, None where there is no row."""
        row = self.db.execute(sql, values).fetchone()
        return None if row is None else row[0]

    def meta(self, key: str) -> Any:
        """Return one of the file's own figures."""
        return self.one("SELECT value FROM meta WHERE key = ?", key)

    def set_meta(self, key: str, value: int | str) -> None:
        """Change one of the file's own figures."""
        self.db.execute("UPDATE meta SET value = ?, crc = ? WHERE key = ?", (value, rows.crc32(key, value), key))

    @property
    def used_bytes(self) -> int:
        """What its pages weigh that are in use; those that are free are written again before the file grows."""
        return int(self.one("PRAGMA page_count") - self.one("PRAGMA freelist_count")) * self._page_bytes

    # --- batches and gap records

    def insert(self, one: Kept, number: int | None = None) -> int:
        """Add a batch or gap record, unless its identity is already there; return its id, 0 where it was there."""
        row = (number, *rows.row(one))
        marks = ",".join("?" * len(row))
        done = self.db.execute(f"INSERT OR IGNORE INTO batch(id, {rows.COLUMNS}) VALUES ({marks})", row)
        if not done.rowcount:
            return 0
        epoch, _, n = one.identity
        self.held[epoch] = self.held.get(epoch, 0) + n
        return int(done.lastrowid or 0)

    def forget(self, number: int) -> None:
        """Take a row away."""
        row = self.db.execute("SELECT epoch, n, aside FROM batch WHERE id = ?", (number,)).fetchone()
        if row is not None:
            self.db.execute("DELETE FROM batch WHERE id = ?", (number,))
            self._let_go(*row)

    def put_aside(self, number: int) -> None:
        """Keep a batch without sending it again."""
        row = self.db.execute("SELECT epoch, n, aside FROM batch WHERE id = ?", (number,)).fetchone()
        self.db.execute("UPDATE batch SET aside = 1 WHERE id = ?", (number,))
        self._let_go(*row)

    def declare(self, epoch: str, first: int, n: int, reason: str, number: int | None = None) -> None:
        """Say that `n` numbers, if any, will never come, and count them: neighbouring records of a reason are one row.

        It stands where the oldest of them stood, `number` at the latest. What is only set aside keeps its own row: it
        is taken back when the batch is tried again.
        """
        if n <= 0:
            return
        self.set_meta("dropped", self.meta("dropped") + n)
        end = first + n
        for old, start, until in self._neighbours(epoch, first, end, reason) if reason != "set-aside" else ():
            self.forget(old)
            number = old if number is None else min(old, number)
            first, end = min(first, start), max(end, until)
        self.insert(rows.gap(epoch, first, end - first, reason), number)

    def _neighbours(self, epoch: str, first: int, end: int, reason: str) -> list[tuple[int, int, int]]:
        """Return (id, first, end) of the gap records of one reason that a range touches: two look-ups in the index."""
        sql = "SELECT id, first, first + n FROM batch WHERE epoch = ? AND first"
        body, found = rows.gap(epoch, first, 1, reason).body, []
        for around in ("< ? ORDER BY first DESC LIMIT 2", ">= ? ORDER BY first LIMIT 2"):
            for number, start, until in self.db.execute(f"{sql} {around}", (epoch, first)).fetchall():
                if start == end or until == first:
                    gap = self.one("SELECT bytes FROM batch WHERE id = ? AND kind = ? AND aside = 0", number, GAP)
                    found += [(number, start, until)] if gap == body else []
        return found

    def _let_go(self, epoch: str, n: int, aside: int) -> None:
        if not aside and epoch in self.held:
            self.held[epoch] -= n
            if self.held[epoch] <= 0:
                del self.held[epoch]

    def lowest(self, epoch: str) -> int | None:
        """Return the lowest number of an epoch that is cut and still here, None where there is none."""
        cut: int | None = self.one("SELECT min(first) FROM batch WHERE epoch = ?", epoch)
        return cut

    def note_ends(self, ends: Mapping[str, int] = MappingProxyType({})) -> None:
        """Keep of epochs before this one what is still here: from where, and up to which number they went.

        `ends` are those of more epochs. What damage takes at either edge of an epoch is declared by that.
        """
        known = {epoch: end for epoch, (_, end) in spans(self.meta("ended")).items()} | dict(ends)
        told = [f"{epoch}:{self.lowest(epoch)}:{end}" for epoch, end in known.items() if epoch in self.held]
        self.set_meta("ended", " ".join(told[-MOST_ENDS:]))

    def note_freed(self, epoch: str) -> None:
        """Something of an epoch before this one was freed: keep from where that is here now.

        Nothing changed with the others: to look at all of them, too, took a fifth of what a row costs a drain.
        """
        told = self.meta("ended").split()
        for at, one in enumerate(told):
            if one.startswith(f"{epoch}:"):
                end = one.rpartition(":")[2]
                told[at : at + 1] = [f"{epoch}:{self.lowest(epoch)}:{end}"] if epoch in self.held else []
                self.set_meta("ended", " ".join(told))
                return

    # --- room

    def relieve(self) -> None:
        """The disk is full: give SQLite the ballast's room, so that what is stored can at least be freed.

        On a card that is read-only by now (how most of them die) there is none to give.
        """
        with suppress(OSError):
            self._ballast.unlink(missing_ok=True)

    def load_ballast(self) -> None:
        """Take the room again that `relieve` gave, once there is plenty."""
        with suppress(OSError):
            if self._ballast.exists() and self._ballast.stat().st_size == BALLAST_BYTES:
                return
            free = os.statvfs(self._path.parent)
            if free.f_bavail * free.f_frsize > 4 * BALLAST_BYTES:
                self._ballast.write_bytes(bytes(BALLAST_BYTES))

    @property
    def has_room(self) -> bool:
        """Whether as much as the ballast can be written: pages that are free in the file are written first."""
        disk = os.statvfs(self._path.parent)
        free_pages = self.one("PRAGMA freelist_count") * self._page_bytes
        return bool(disk.f_bavail * disk.f_frsize + free_pages >= BALLAST_BYTES)

    @property
    def over(self) -> str:
        """Why only a new start can help a file that takes nothing, by the name of the fault; "" where it may yet."""
        return "left" if self._copy else "read_only" if self.read_only else ""

    @property
    def read_only(self) -> bool:
        """Whether the file system is read-only by now. Only an attempt tells: ext4 in trouble still says `rw`.

        The attempt is on the lock file: to close the spool's own would give its locks away.
        """
        try:
            os.close(os.open(_lock_of(self._path), os.O_RDWR))
        except OSError as error:
            return error.errno == errno.EROFS
        return False

    def close(self) -> None:
        """Checkpoint and close. May be called twice."""
        with suppress(sqlite3.ProgrammingError):  # it is closed
            if self._adrift():
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.db))  # SQLite would remove the log of whoever is there
                return
        with suppress(sqlite3.Error):
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.close()

    def _adrift(self) -> bool:
        """Tell whether this is at its name no more, and a copy of it is: then all that comes belongs elsewhere."""
        if self._copy is not None:
            return True
        try:
            if names.node(self._path) == self._node:
                return False
            self._copy = names.copied(self.db, self._path, self.used_bytes)
        except (OSError, sqlite3.Error) as error:  # no copy can be made: it goes on with what it has open, and says so
            told = note("adrift", file=self._path, why=error)
            if told not in self._notes:
                log.warning("spool note=%r", str(told))
                self._notes.append(told)
        return self._copy is not None

    def _roll_back(self, held: dict[str, int]) -> None:
        self.held = held
        with suppress(sqlite3.Error, MemoryError):
            self.db.execute("ROLLBACK")


def spans(ended: str) -> dict[str, tuple[int, int]]:
    """Return of each epoch that `note_ends` knew the first number that was still there, and the one after the last."""
    told = (one.split(":") for one in ended.split())
    return {epoch: (int(start), int(end)) for epoch, start, end in told}


def machine() -> str:
    """Return what tells this machine from another that runs a copy of its SD card."""
    told = []
    for name in ("/proc/device-tree/serial-number", "/etc/machine-id"):
        with suppress(OSError):
            told.append(Path(name).read_text(encoding="ascii", errors="replace").strip("\0\n "))
    return "/".join(told)


def lock(path: Path) -> int:
    """Make the spool ours alone; return the descriptor that holds it. Raises Taken when it is somebody's."""
    return take_lock(_lock_of(path), "settings", "file", path=path, unit="gocche-agent")


def ballast_of(path: Path) -> Path:
    """Return the file beside a spool that keeps some room of its disk."""
    return path.with_suffix(".ballast")


def _lock_of(path: Path) -> Path:
    return path.with_suffix(".lock")


def connect(path: Path) -> sqlite3.Connection:
    """Open a file for its one owner: without the index of the WAL beside it."""
    db = sqlite3.connect(path, timeout=1, isolation_level=None, check_same_thread=False)
    db.text_factory = _text
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    return db


def _has_room(folder: Path) -> bool:
    """Tell whether the disk has room for the ballast of a new spool, and for as much beside it."""
    free = os.statvfs(folder)
    return free.f_bavail * free.f_frsize > 2 * BALLAST_BYTES


def _text(raw: bytes) -> str:
    """Read damaged text too: its row then fails its CRC, and not the query."""
    return raw.decode("utf-8", "replace")


def _connect(path: Path, quota_bytes: int, machine: str) -> sqlite3.Connection:
    if not path.exists() and not _has_room(path.parent):
        raise SpoolFull(f"{path}: no room for a new spool")
    db = connect(path)
    try:
        db.execute(f"PRAGMA page_size = {schema.PAGE_BYTES}")  # of a file that is created now
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        schema.prepare(db, path, machine)
        schema.repage(db)
        db.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
        db.execute(f"PRAGMA journal_size_limit = {4 * CHECKPOINT_PAGES * schema.PAGE_BYTES}")
        page_bytes = db.execute("PRAGMA page_size").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {(quota_bytes + quota_bytes // 8 + SPARE_BYTES) // page_bytes}")
    except BaseException:
        db.close()
        raise
    return db
