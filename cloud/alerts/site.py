"""Where the journal is: in its file, or in memory while the file takes nothing.

A disk that is full or read-only, a file that is damaged or held by somebody else must not keep smoke from being told.
Then what the journal holds, all but its history, moves into memory, and judging and telling go on there as if nothing
had happened: nobody is told again what was told. The file is tried again and again, and what has changed is written
back in one transaction; a damaged file is set aside. If the process ends before, what was decided in memory is lost:
the ledger brings the readings again, and people are told once more.
"""

from __future__ import annotations

import errno
import fcntl
import itertools
import logging
import os
import sqlite3
import threading
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from disk.form import DAMAGED, is_damaged, last, set_aside
from disk.lock import is_held, lock_of, take_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

LOG = logging.getLogger(__name__)
BUSY_S = 5.0  # for whoever else holds the file
AGAIN_S = 1.0  # the same, when it is only tried whether it takes something again
_TAKES_NOTHING = DAMAGED | {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
}
_NO_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
# Rows that name each other's: what is known of sensors says which incidents go on, so without these all is seen anew.
_GOES_ON = ("incident", "intent", "step", "series", "node")
_TOLD = ("letter", "about")  # and these name incidents
_episodes = itertools.count(1)


class Site:
    """Shared by the threads of one process, each with a connection of its own; whoever writes holds `lock`.

    `lay_out` brings a database to the present version. `why` says what keeps the file from taking anything, and is
    empty while the journal is there.
    """

    def __init__(self, path: Path, lay_out: Callable[[sqlite3.Connection], None]) -> None:
        self._path, self._lay_out = path, lay_out
        self.lock = threading.RLock()
        self.uri = self._file = path.absolute().as_uri()
        self.moves = 0  # how often it has moved: a file that is there again may be another one
        self.why = ""
        self._held: int | None = None
        self._mark: int | None = None
        self._memory: sqlite3.Connection | None = None
        self._was: sqlite3.Connection | None = None  # what memory began with: what others change in the file stays
        self._was_named = ""
        self._damaged = self._complete = False

    def open(self, timeout_s: float = BUSY_S, *, joins: bool = False) -> sqlite3.Connection:
        """Return a connection for writing; the first one holds and lays out the file, others join it.

        Raises Taken where another process writes the file or a newer gocche has written it, sqlite3.Error, OSError.
        """
        if not joins and self.uri == self._file:
            self._hold()
        db = sqlite3.connect(self.uri, timeout_s, isolation_level=None, check_same_thread=False, uri=True)
        db.text_factory = as_far_as_it_reads
        try:
            last(db)
            db.execute("PRAGMA recursive_triggers=ON")  # so that REPLACE cannot delete journal rows either
            if not joins:
                self._lay_out(db)
        except UnicodeDecodeError as fault:  # SQLite's own words quote what is damaged
            db.close()
            damaged = sqlite3.DatabaseError(f"the form of the file cannot be read: {fault}")
            damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise damaged from fault
        except BaseException:
            db.close()
            raise
        return db

    def leave(self, fault: Exception, moves: int) -> bool:
        """Move into memory where `fault` shows that the file takes nothing; tell whether it is worth trying again.

        It was met after so many `moves`: the journal may have moved since.
        """
        with self.lock:
            if self.moves != moves:
                return True
            if self.why or not _takes_nothing(fault):
                return False
            name = _memory_named()
            memory = _connected(name)
            self._lay_out(memory)
            self._complete = self._fill(memory)
            self._was_named = _memory_named()
            self._was = _connected(self._was_named)
            memory.backup(self._was)
            self._memory, self.uri, self.moves = memory, name, self.moves + 1
            self._show(fcntl.LOCK_EX)
            self._damaged = is_damaged(fault)
            self.why = str(fault)
            LOG.error("journal-in-memory file=%s complete=%s why=%r", self._path, self._complete, self.why)
            return True

    def come_back(self) -> bool:
        """Write what has changed in memory to the file and go on there; tell whether it took it."""
        with self.lock:
            if not self.why or self._memory is None:
                return False
            memory, self.uri = self.uri, self._file
            try:
                if self._damaged:
                    self._set_aside()
                with closing(self.open(AGAIN_S)) as db:
                    if self._complete:
                        self._write_back(db, memory)
            except (sqlite3.Error, OSError) as fault:
                self.uri, self.why = memory, str(fault)
                self._damaged |= is_damaged(fault)
                self._show(fcntl.LOCK_EX)  # again: whoever was just looking kept it from being shown
                return False
            LOG.warning("journal-in-its-file-again file=%s was=%r", self._path, self.why)
            for one in filter(None, (self._memory, self._was)):
                one.close()
            self._was = None
            self._memory, self.why, self.moves = None, "", self.moves + 1
            self._show(fcntl.LOCK_UN)
            return True

    def close(self) -> None:
        """Let go of the file; what is in memory is written there if it can be. May be called twice."""
        if self.why and not self.come_back():
            LOG.error("journal-lost-what-was-in-memory file=%s why=%r", self._path, self.why)
        for lock in (self._held, self._mark):
            if lock is not None:
                os.close(lock)
        self._held = self._mark = None

    def _hold(self) -> None:
        if self._held is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._held = take_lock(lock_of(self._path), "cloud.config", "journal", path=self._path)
            self._show(fcntl.LOCK_UN)

    def _show(self, lock: int) -> None:
        """Let other processes see whether the journal is in its file, by a lock: that needs no room on a full disk."""
        with suppress(OSError):
            if self._mark is None:
                self._mark = os.open(_mark_of(self._path), os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._mark, lock | fcntl.LOCK_NB)

    def _fill(self, memory: sqlite3.Connection) -> bool:
        """Copy what can be read of the file, and of its history the newest row; tell whether that was all."""
        newest = _attached(memory, f"{self._file}?mode=ro&vfs=unix")  # not the memory's own
        # On a disk that is read-only nothing opens a file whose log is not folded in: then what stands without the log.
        version = newest if newest is not None else _attached(memory, f"{self._file}?immutable=1&vfs=unix")
        if version is None:
            return not self._path.exists()
        if version != _version(memory, "main"):
            return version == 0  # nothing was written yet
        found = _filled(memory, _GOES_ON)
        complete = found and _filled(memory, _TOLD) and (newest is not None or not _log_of(self._path))
        for table in _tables(memory):
            if table not in (*_GOES_ON, *_TOLD):
                complete &= _filled(memory, (table,))
        complete &= _filled(memory, ("sqlite_sequence",))
        with suppress(sqlite3.Error):  # so that its numbers go on
            memory.execute("INSERT INTO main.journal SELECT * FROM file.journal ORDER BY id DESC LIMIT 1")
        memory.execute("DETACH file")
        return complete

    def _write_back(self, db: sqlite3.Connection, memory: str) -> None:
        """Write what memory has changed; all that it holds into a file that is new."""
        db.execute("ATTACH ? AS memory", (memory,))
        since = "was" if self._was else "main"
        if self._was:
            db.execute("ATTACH ? AS was", (self._was_named,))
        db.execute("BEGIN IMMEDIATE")
        for table in _tables(db):
            keys = ", ".join(name for _, name, *_, key in db.execute(f"PRAGMA main.table_info({table})") if key)
            gone = f"({keys}) IN (SELECT {keys} FROM {since}.{table} EXCEPT SELECT {keys} FROM memory.{table})"
            news = f"SELECT * FROM memory.{table} EXCEPT SELECT * FROM {since}.{table}"
            db.execute(f"DELETE FROM main.{table} WHERE {gone}")
            db.execute(f"INSERT OR REPLACE INTO main.{table} SELECT * FROM ({news})")
        db.execute("DELETE FROM main.sqlite_sequence")
        db.execute("INSERT INTO main.sqlite_sequence SELECT * FROM memory.sqlite_sequence")
        past = "id > (SELECT coalesce(max(id), 0) FROM main.journal)"
        db.execute(f"INSERT INTO main.journal SELECT * FROM memory.journal WHERE {past} ORDER BY id")
        db.execute("COMMIT")

    def _set_aside(self) -> None:
        """Give a damaged file another name: a new one takes its place, with what was read of it."""
        aside = set_aside(self._path)
        LOG.error("journal-set-aside file=%s as=%s: read it with sqlite3 .recover", self._path, aside)
        self._damaged, self._complete, self._was = False, True, None


def _memory_named() -> str:
    """Return the name of a new database in memory, one for all threads and no file."""
    return f"file:/gocche-alerts-{os.getpid()}-{next(_episodes)}?vfs=memdb"


def _connected(name: str) -> sqlite3.Connection:
    return sqlite3.connect(name, isolation_level=None, check_same_thread=False, uri=True)


def is_elsewhere(path: Path) -> bool:
    """Tell, from any process, whether what is decided now is not in this file: its room has moved into memory."""
    return is_held(_mark_of(path))


def _mark_of(path: Path) -> Path:
    return lock_of(path.with_name(f"{path.name}.elsewhere"))


def as_far_as_it_reads(text: bytes) -> str:
    """Return a text of the file; a damaged letter in it is shown as one, and costs nothing else."""
    return text.decode("utf-8", "replace")


def _log_of(path: Path) -> int:
    """Return how many bytes of a file stand in its log alone."""
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size
    except OSError:
        return 0


def _attached(memory: sqlite3.Connection, file: str) -> int | None:
    """Have a file beside memory and return its version; None where it cannot be read so."""
    try:
        memory.execute("ATTACH ? AS file", (file,))
        return _version(memory, "file")
    except (sqlite3.Error, UnicodeDecodeError):
        with suppress(sqlite3.Error):
            memory.execute("DETACH file")
        return None


def _filled(memory: sqlite3.Connection, tables: Sequence[str]) -> bool:
    """Copy tables of the file whole, all of them or none; tell whether they could be read."""
    try:
        memory.execute("BEGIN")
        for table in tables:
            memory.execute(f"DELETE FROM main.{table}")
            # LIMIT: or else SQLite copies a row as the bytes that it is, and damage with it
            memory.execute(f"INSERT INTO main.{table} SELECT * FROM file.{table} LIMIT -1")
        memory.execute("COMMIT")
    except (sqlite3.Error, UnicodeDecodeError) as fault:
        memory.execute("ROLLBACK")
        LOG.error("journal-part-lost tables=%s why=%r", ",".join(tables), str(fault))  # noqa: TRY400
        return False
    return True


def _takes_nothing(fault: Exception) -> bool:
    return _code(fault) in _TAKES_NOTHING or (isinstance(fault, OSError) and fault.errno in _NO_DISK)


def _code(fault: Exception) -> int:
    """Return the primary code of SQLite, 0 for another fault."""
    return getattr(fault, "sqlite_errorcode", 0) & 0xFF if isinstance(fault, sqlite3.Error) else 0


def _version(db: sqlite3.Connection, schema: str) -> int:
    return int(db.execute(f"PRAGMA {schema}.user_version").fetchone()[0])


def _tables(db: sqlite3.Connection) -> Iterator[str]:
    """Give the tables that are written back as they are: history only grows, and has a way of its own."""
    kept = "type = 'table' AND name NOT IN ('journal', 'sqlite_sequence')"
    return iter([name for (name,) in db.execute(f"SELECT name FROM main.sqlite_master WHERE {kept}")])
