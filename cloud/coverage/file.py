"""coverage.db as its one writer has it: opened when needed, whole transactions, begun anew where it is damaged."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cloud.coverage.rows import STEPS
from cloud.store import Retry
from disk import form
from disk.form import whole

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = logging.getLogger(__name__)
BUSY_S = 5.0


class File:
    """Raises Retry for what the disk refuses now, Taken for the file of a newer gocche.

    A file that turns out to be damaged is set aside, which is logged, and begun anew. One that was taken away, or has
    another put in its place, is let go, which is logged: nothing is written into what nobody finds any more.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._inode = 0
        self._tellers: dict[tuple[str, str], int] = {}
        self.compacted: set[int] = set()  # months of which samples were let go

    def close(self) -> None:
        """Close the file. May be called twice."""
        if self._db is not None:
            self._db.close()
            self._db = None

    @contextmanager
    def using(self) -> Iterator[sqlite3.Connection]:
        """Give the file, opened when it is first needed."""
        try:
            yield self._db if self._db is not None and self._in_place(self._db) else self._opened()
        except sqlite3.Error as error:
            if form.is_damaged(error):
                self.close()
                if form.gone(self._path, error):
                    raise Retry(f"{self._path.name} was damaged and is begun anew", 1) from error
            raise Retry(f"{self._path.name}: {error}", BUSY_S) from error

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Give the file in one transaction: all is written or nothing; so is each one within another."""
        try:
            if self._db is not None and self._db.in_transaction:
                with _part(self._db):
                    yield self._db
            else:
                with self.using() as db, whole(db):
                    yield db
        except BaseException:
            self._tellers.clear()  # some may have been named in what was taken back
            raise

    def _in_place(self, db: sqlite3.Connection) -> bool:
        """Tell whether the open file still has its name. Raises Retry where it has not: what was read of it is void."""
        if db.in_transaction or self._inode == _inode(self._path):
            return True
        log.error("book-taken-away file=%s: what is there now is gone on with, or a new one begun", self._path)
        self.close()
        raise Retry(f"{self._path.name} was taken away while it was in use", 1)

    def _opened(self) -> sqlite3.Connection:
        db = self._db = form.opened_anew(self._path, STEPS)
        self._inode = _inode(self._path)
        db.execute("PRAGMA cache_size = -32000")
        self._tellers.clear()
        self.compacted = {month for (month,) in db.execute("SELECT month FROM compacted")}
        return db

    def teller(self, db: sqlite3.Connection, source: str, name: str) -> int:
        """Return the number of a gateway or a team; within `changing`."""
        if (known := self._tellers.get((source, name))) is None:
            db.execute("INSERT OR IGNORE INTO teller (source, name) VALUES (?, ?)", (source, name))
            found = db.execute("SELECT id FROM teller WHERE source = ? AND name = ?", (source, name)).fetchone()
            known = self._tellers[source, name] = int(found[0])
        return known

    def kept(self, name: str) -> str:
        """Return what was noted under a name, "" where nothing was."""
        with self.using() as db:
            found = db.execute("SELECT value FROM kept WHERE name = ?", (name,)).fetchone()
        return str(found[0]) if found else ""

    def keep(self, name: str, value: str) -> None:
        """Note something under a name."""
        with self.changing() as db:
            db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (name, value))


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


@contextmanager
def _part(db: sqlite3.Connection) -> Iterator[None]:
    """Take back what the body did where it raises, and leave the transaction around it as it was."""
    db.execute("SAVEPOINT part")
    try:
        yield
    except BaseException:
        if db.in_transaction:  # a disk that refuses may have ended it
            db.execute("ROLLBACK TO part")
        raise
    finally:
        if db.in_transaction:
            db.execute("RELEASE part")
