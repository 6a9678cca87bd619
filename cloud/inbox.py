"""What one room asks of another: a durable row that the other takes when it can, never a call.

One SQLite file for each room that is asked, `inbox-<room>.db` in the data folder. Any process on the machine may ask: a
command, another room. Each writes one row in one short transaction, and SQLite lets one write at a time; the room alone
takes and answers, and holds a lock while it lives, so a question is never in two hands. A question that was taken and
not answered, because the room died, is taken again: what is asked must bear being done twice.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from cloud.store import Retry
from disk.form import is_damaged, last, set_aside, whole
from disk.lock import is_held, lock_of, take_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloud.clock import Clock

log = logging.getLogger(__name__)
MOST_OPEN = 1_000  # questions that wait: beyond it nobody takes them
MAX_BYTES = 128 * 1024  # of a question: of 64 KiB that a network posted, escaped
KEPT_MS = 86_400_000  # an answered one, for whoever asked
BUSY_S = 5.0
ROOM_BUSY_S = 1.0  # the room comes again in a moment, and has other things to do meanwhile

_SCHEMA = """
CREATE TABLE IF NOT EXISTS question(
    id INTEGER PRIMARY KEY AUTOINCREMENT, asked_ms INTEGER NOT NULL, kind TEXT NOT NULL, body BLOB NOT NULL,
    done_ms INTEGER, outcome BLOB
);
CREATE INDEX IF NOT EXISTS waiting ON question(id) WHERE done_ms IS NULL;
"""


class Question(msgspec.Struct, frozen=True):
    """What is asked, and when."""

    id: int
    kind: str
    body: dict[str, Any]
    asked_ms: int


def path_of(folder: Path, room: str) -> Path:
    """Return the file of a room's inbox in a data folder."""
    return folder / f"inbox-{room}.db"


class Asker:
    """Asks a room. May be used from any thread; raises Retry where SQLite cannot now, or too much waits already."""

    def __init__(self, folder: Path, room: str, clock: Clock) -> None:
        self._path, self._clock = path_of(folder, room), clock
        self._db: _File | None = None

    def attended(self) -> bool:
        """Tell whether the room runs on this machine now. It answers what waits at its next start too."""
        return is_held(lock_of(self._path))

    def ask(self, kind: str, body: dict[str, Any]) -> int:
        """Leave a question, durably; return the number under which its outcome will be found."""
        packed = msgspec.json.encode(body)
        if len(packed) > MAX_BYTES:
            raise ValueError(f"a question of {len(packed)} bytes, more than {MAX_BYTES}")
        with self._file().changing() as db:
            waiting = db.execute("SELECT count(*) FROM question WHERE done_ms IS NULL").fetchone()[0]
            if waiting >= MOST_OPEN:
                raise Retry(f"{self._path}: {waiting} questions wait already; does the room run?", 60)
            row = (self._clock.utc_ms(), kind, packed)
            added = db.execute("INSERT INTO question(asked_ms, kind, body) VALUES (?, ?, ?)", row)
            return int(added.lastrowid or 0)

    def outcome(self, number: int) -> dict[str, Any] | None:
        """Return what became of a question, or None while it waits. Raises LookupError for one that is forgotten."""
        with self._file().changing() as db:
            row = db.execute("SELECT outcome FROM question WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise LookupError(f"{self._path}: question {number} is not there; answers are kept for a day")
        return None if row[0] is None else dict(msgspec.json.decode(row[0]))

    def _file(self) -> _File:
        """Open the file when it is first needed, and anew where the room has set it aside: the room alone makes it.

        Raises Retry where it never ran here.
        """
        if self._db is not None and not self._db.is_at(self._path):
            self._db.close()
            self._db = None
        if self._db is None:
            if not self._path.exists():
                raise Retry(f"{self._path} is not there: the room has never run with this data folder", 5)
            self._db = _File(self._path)
        return self._db

    def close(self) -> None:
        """Close the file. May be called twice."""
        if self._db is not None:
            self._db.close()


class Inbox:
    """The room's own side: takes and answers.

    Raises Taken where another process takes from it already, Retry or OSError where the file cannot be opened.
    """

    def __init__(self, folder: Path, room: str, clock: Clock) -> None:
        self._path, self._clock = path_of(folder, room), clock
        self._lock = take_lock(lock_of(self._path), "cloud.config", "inbox", path=self._path)
        try:
            self._file = _found(self._path)
        except BaseException:
            os.close(self._lock)
            raise

    def take(self, at_most: int = 1) -> list[Question]:
        """Return the oldest questions that wait; they wait until they are done. Raises Retry.

        One that cannot be read is answered with that, and costs nobody else.
        """
        query = "SELECT id, kind, body, asked_ms FROM question WHERE done_ms IS NULL ORDER BY id LIMIT ?"
        with self._file.changing() as db:
            rows = db.execute(query, (at_most,)).fetchall()
        questions = []
        for number, kind, body, asked_ms in rows:
            try:
                questions.append(Question(number, kind, dict(msgspec.json.decode(body)), asked_ms))
            except (ValueError, TypeError, RecursionError) as error:
                self.done(number, {"error": f"unreadable question: {error}"})
        return questions

    def done(self, number: int, outcome: dict[str, Any]) -> None:
        """Note what became of a question, durably, and forget old ones. Raises Retry."""
        now = self._clock.utc_ms()
        with self._file.changing() as db:
            row = (now, msgspec.json.encode(outcome), number)
            db.execute("UPDATE question SET done_ms = ?, outcome = ? WHERE id = ?", row)
            db.execute("DELETE FROM question WHERE abs(done_ms - ?) > ?", (now, KEPT_MS))

    def close(self) -> None:
        """Close the file and let the lock go. May be called twice."""
        self._file.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _found(path: Path) -> _File:
    """Return the file with its tables; a damaged one is set aside: questions can be asked again, readings cannot."""
    try:
        return _File(path, _SCHEMA, ROOM_BUSY_S)
    except Retry as fault:
        if fault.__cause__ is None or not is_damaged(fault.__cause__):
            raise
        log.exception("inbox was damaged and is set aside: ask again file=%s", set_aside(path))
        return _File(path, _SCHEMA, ROOM_BUSY_S)


class _File:
    """A connection whose commits survive a power cut, for any thread. Raises Retry for what SQLite says."""

    def __init__(self, path: Path, schema: str = "", busy_s: float = BUSY_S) -> None:
        self._path, self._turn = path, threading.Lock()
        db = None
        try:
            self._db = db = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
            last(db)
            db.executescript(schema)
            self._inode = path.stat().st_ino
        except (sqlite3.Error, OSError) as error:
            if db is not None:
                db.close()
            raise Retry(f"{path}: {error}", BUSY_S) from error

    def is_at(self, path: Path) -> bool:
        """Tell whether it is still the file of that name."""
        try:
            return path.stat().st_ino == self._inode
        except OSError:
            return False

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Give the connection in one transaction. Raises Retry for what SQLite says."""
        with self._turn:
            try:
                with whole(self._db) as db:
                    yield db
            except sqlite3.Error as error:
                raise Retry(f"{self._path}: {error}", BUSY_S) from error

    def close(self) -> None:
        self._db.close()
