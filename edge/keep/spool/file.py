"""The spool's file: opened whatever its state, one connection, one transaction at a time.

WAL with synchronous=FULL lost nothing in 2,000 explored power cuts, where NORMAL lost acknowledged commits in 1,228
(docs/decisions/0003-spool.md). One connection and one owner thread: SQLite's WAL-reset fault needs two.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.keep.spool import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.keep.spool.rows import Kept

SCHEMA_VERSION = 2
BALLAST_BYTES = 1024 * 1024  # freed when the disk is full: a full disk wedges WAL, even DELETE fails

_SCHEMA = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE boot(number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL,
  offset_ms INTEGER, source INTEGER, uncertainty_ms INTEGER, heard_ms INTEGER, date_crc INTEGER,
  rtc_utc_ms INTEGER, rtc_error_ms INTEGER);
CREATE TABLE fresh(first INTEGER PRIMARY KEY, n INTEGER NOT NULL, boot TEXT NOT NULL,
  crc INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE batch(id INTEGER PRIMARY KEY AUTOINCREMENT,
  epoch TEXT NOT NULL, first INTEGER NOT NULL, n INTEGER NOT NULL,
  kind INTEGER NOT NULL, boot TEXT NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
  offset_ms INTEGER, source INTEGER NOT NULL, uncertainty_ms INTEGER NOT NULL, date_crc INTEGER NOT NULL,
  urgent INTEGER NOT NULL, refusals INTEGER NOT NULL DEFAULT 0, aside INTEGER NOT NULL DEFAULT 0,
  crc INTEGER NOT NULL, bytes BLOB NOT NULL, UNIQUE(epoch, first, n, aside));
CREATE INDEX undated ON batch(boot) WHERE offset_ms IS NULL;
CREATE TABLE taken_over(file TEXT PRIMARY KEY) WITHOUT ROWID;
"""
# What brings a file from a schema to the next one. Dates of boots gained a CRC: those without one are not believed.
_STEPS = {
    1: "ALTER TABLE boot ADD COLUMN heard_ms INTEGER; ALTER TABLE boot ADD COLUMN date_crc INTEGER;"
    " ALTER TABLE boot ADD COLUMN rtc_utc_ms INTEGER; ALTER TABLE boot ADD COLUMN rtc_error_ms INTEGER;"
}
# `floor`: what is below it has all been freed; `uncut`: the first number that is in no batch yet
FIRST_META = {"acquired": 0, "dropped": 0, "dated_until": 0, "floor": 1, "uncut": 1}


class SpoolFull(Exception):
    """The disk or the file's limit leaves no room: nothing was kept, what was kept before still is."""


class File:
    """One open spool file and its ballast."""

    def __init__(self, path: Path, quota_bytes: int, machine: str) -> None:
        self._path, self._ballast = path, path.with_suffix(".ballast")
        self.db = _connect(path, quota_bytes, machine)
        self.load_ballast()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what happens inside, durably, or nothing of it. Raises SpoolFull where there is no room."""
        if self.db.in_transaction:  # already inside one: the outer one commits
            yield
            return
        try:
            self.db.execute("BEGIN IMMEDIATE")
            yield
            self.db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._roll_back()
            raise SpoolFull(f"{self._path}: {error}") from error
        except BaseException:
            self._roll_back()
            raise

    def one(self, sql: str, *values: object) -> Any:
        """Return the first column of the first row, None where there is no row."""
        row = self.db.execute(sql, values).fetchone()
        return None if row is None else row[0]

    def meta(self, key: str) -> Any:
        """Return one of the file's own figures."""
        return self.one("SELECT value FROM meta WHERE key = ?", key)

    def set_meta(self, key: str, value: int) -> None:
        """Change one of the file's own figures."""
        self.db.execute("UPDATE meta SET value = ?, crc = ? WHERE key = ?", (value, rows.crc32(key, value), key))

    def insert(self, one: Kept) -> int:
        """Add a batch or gap record, unless its identity is already there; return its id."""
        row = rows.row(one)
        marks = ",".join("?" * len(row))
        return int(self.db.execute(f"INSERT OR IGNORE INTO batch({rows.COLUMNS}) VALUES ({marks})", row).lastrowid or 0)

    def declare(self, epoch: str, first: int, n: int, reason: str) -> None:
        """Add a gap record for numbers that will never come, and count them."""
        self.insert(rows.gap(epoch, first, n, reason))
        self.count_dropped(n)

    def count_dropped(self, n: int) -> None:
        """Count readings that are lost."""
        self.set_meta("dropped", self.meta("dropped") + n)

    def relieve(self) -> None:
        """The disk is full: give SQLite the ballast's room, so that what is stored can at least be freed."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """Checkpoint and close. May be called twice."""
        with suppress(sqlite3.Error):
            self.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.db.close()

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            self.db.execute("ROLLBACK")

    def load_ballast(self) -> None:
        """Take the room again that `relieve` gave, once there is plenty."""
        if self._ballast.exists() and self._ballast.stat().st_size == BALLAST_BYTES:
            return
        free = os.statvfs(self._path.parent)
        if free.f_bavail * free.f_frsize > 4 * BALLAST_BYTES:
            with suppress(OSError):
                self._ballast.write_bytes(bytes(BALLAST_BYTES))


def machine() -> str:
    """Return what tells this machine from another that runs a copy of its SD card."""
    told = []
    for name in ("/proc/device-tree/serial-number", "/etc/machine-id"):
        with suppress(OSError):
            told.append(Path(name).read_text(encoding="ascii", errors="replace").strip("\0\n "))
    return "/".join(told)


def lock(path: Path) -> int:
    """Make the spool ours alone; return the descriptor that holds it. Raises RuntimeError when it is somebody's."""
    held = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(held)
        raise RuntimeError(
            f"{path} belongs to a running agent; stop that one first (systemctl stop gocche-agent)"
        ) from error
    return held


def _connect(path: Path, quota_bytes: int, machine: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA wal_autocheckpoint = 64")  # keeps the room that a full disk must still offer small
    db.execute(f"PRAGMA max_page_count = {max(quota_bytes * 2 // 4096, 256)}")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        db.close()
        raise RuntimeError(
            f"{path} was written by a newer gocche (schema {version}, this one knows {SCHEMA_VERSION});"
            " install that version again"
        )
    for step in range(version, SCHEMA_VERSION) if version else ():
        db.executescript(f"BEGIN; {_STEPS[step]} PRAGMA user_version = {step + 1}; COMMIT;")
    if version == 0:
        meta = FIRST_META | {"epoch": secrets.token_hex(8), "machine": machine}
        db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION};")
        db.executemany("INSERT INTO meta VALUES (?, ?, ?)", [(k, v, rows.crc32(k, v)) for k, v in meta.items()])
        db.execute("COMMIT")
    return db
