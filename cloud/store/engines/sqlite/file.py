"""The file: its lock, its connections, and what SQLite says of it in words."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from cloud.store import Retry
from cloud.store.engines.sqlite.schema import MIGRATIONS
from disk.form import bring_forward, form_of
from disk.lock import lock_of, take_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WAL_BYTES = 16 * 2**20  # readers back to back keep SQLite from resetting its log: beyond this the writer insists


class Faults:
    """What went wrong last with each kind of work, until the same works again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._words: dict[str, str] = {}

    def __str__(self) -> str:
        return "; ".join(dict.fromkeys(self._words.values()))

    @contextmanager
    def guard(self, what: str) -> Iterator[None]:
        """Turn what SQLite and the system say into Retry."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            words, after_s = _words(error, self._path)
            self._words[what] = words
            raise Retry(words, after_s) from error
        self._words.pop(what, None)


class _Reader(NamedTuple):
    thread: threading.Thread
    db: sqlite3.Connection
    busy: threading.Lock


class Pen:
    """The connection that writes, held by one thread at a time; a transaction is whole or not at all."""

    def __init__(self, db: sqlite3.Connection, faults: Faults, undone: Callable[[], None]) -> None:
        self._db, self._faults, self._undone = db, faults, undone
        self._turn = threading.Lock()

    @contextmanager
    def held(self, what: str) -> Iterator[sqlite3.Connection]:
        """Give the connection, without a transaction."""
        with self._turn, self._faults.guard(what):
            yield self._db

    @contextmanager
    def transaction(self, what: str) -> Iterator[sqlite3.Connection]:
        """Give the connection within one transaction; `undone` is called where it does not come to its end."""
        with self.held(what) as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                yield db
                db.execute("COMMIT")
            except BaseException:
                self._undone()
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise


class Readers:
    """One read-only connection for each thread that asks."""

    def __init__(self, path: Path, faults: Faults) -> None:
        self._path = path
        self._faults = faults
        self._local = threading.local()
        self._guarded = threading.Lock()
        self._readers: list[_Reader] = []

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Give this thread's connection, in one short read transaction."""
        with self._faults.guard("read"):
            reader = self._own()
            with reader.busy:
                reader.db.execute("BEGIN")
                try:
                    yield reader.db
                finally:
                    if reader.db.in_transaction:
                        reader.db.execute("ROLLBACK")

    def connection(self) -> sqlite3.Connection:
        """Return this thread's connection, opened where it has none."""
        return self._own().db

    def _own(self) -> _Reader:
        reader: _Reader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = _Reader(threading.current_thread(), open_reader(self._path), threading.Lock())
            with self._guarded:
                for one in self._readers:
                    if not one.thread.is_alive():
                        one.db.close()
                self._readers = [one for one in self._readers if one.thread.is_alive()]
                self._readers.append(reader)
            self._local.reader = reader
        return reader

    def close(self) -> None:
        """Close all connections. A question that is under way in another thread is broken off: it ends as Retry."""
        with self._guarded:
            readers, self._readers, self._local = self._readers, [], threading.local()
        for reader in readers:
            reader.db.interrupt()
            with reader.busy:  # to close a connection in use crashes the process
                reader.db.close()


def writers_lock(path: Path) -> int:
    """Return the lock of the one that writes the file. Raises Taken, naming the other process."""
    return take_lock(lock_of(path), "cloud.config", "store", path=path)


def open_writer(path: Path) -> sqlite3.Connection:
    """Return a connection whose commits survive a power cut; the file is created or brought to the newest version."""
    db = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        bring_forward(db, path, MIGRATIONS)
        db.execute("PRAGMA cache_size = -16384")
        db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    except BaseException:
        db.close()
        raise
    return db


def open_reader(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot write. Raises sqlite3.OperationalError while nobody has prepared the file."""
    if not path.exists():
        raise sqlite3.OperationalError("the ingester, which alone may, has not made it yet")
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5, isolation_level=None, check_same_thread=False
    )
    try:
        _prepared(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _prepared(db: sqlite3.Connection, path: Path) -> None:
    if form_of(db, path, len(MIGRATIONS)) < len(MIGRATIONS):
        raise sqlite3.OperationalError("the ingester has not prepared this file yet")


def lacks_room(error: Retry) -> bool:
    """Tell whether a disk that is full, or a limit, stands behind it."""
    return getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}


def _words(error: Exception, path: Path) -> tuple[str, float]:
    """Return what an operator reads, and after how many seconds to try again."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return f"no room for {path}: make space on its disk ({error})", 30.0
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return f"{path} is held by another program ({error})", 1.0
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return f"{path} is damaged ({error}): stop gocche, keep the file, restore the last backup", 60.0
    if code == sqlite3.SQLITE_IOERR:
        return f"{path} cannot be written or read: look at the disk, its room and its limits ({error})", 30.0
    return f"{path}: {error}", 5.0


def size(path: Path) -> int:
    """Return the bytes of a file, 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
