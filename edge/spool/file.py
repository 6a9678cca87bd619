"""The spool's file: opened whatever its state, one connection, one transaction at a time.

WAL with synchronous=FULL lost nothing in 2,000 explored power cuts, where NORMAL lost acknowledged commits in 1,228
(docs/decisions/0003-spool.md). One connection and one owner thread: SQLite's WAL-reset fault needs two. A damaged
file is set aside for a person to look at; what is intact in it is salvaged under its old identity.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import msgspec

from edge.spool import rows
from edge.spool.rows import Kept

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA_VERSION = 1
BALLAST_BYTES = 1024 * 1024  # freed when the disk is full: a full disk wedges WAL, even DELETE fails

_SCHEMA = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE boot(number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL,
  offset_ms INTEGER, source INTEGER, uncertainty_ms INTEGER);
CREATE TABLE fresh(first INTEGER PRIMARY KEY, n INTEGER NOT NULL, boot TEXT NOT NULL,
  crc INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE batch(id INTEGER PRIMARY KEY AUTOINCREMENT,
  epoch TEXT NOT NULL, first INTEGER NOT NULL, n INTEGER NOT NULL,
  kind INTEGER NOT NULL, boot TEXT NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
  offset_ms INTEGER, source INTEGER NOT NULL, uncertainty_ms INTEGER NOT NULL, date_crc INTEGER NOT NULL,
  urgent INTEGER NOT NULL, refusals INTEGER NOT NULL DEFAULT 0, crc INTEGER NOT NULL, bytes BLOB NOT NULL,
  UNIQUE(epoch, first, n));
CREATE INDEX undated ON batch(boot) WHERE offset_ms IS NULL;
CREATE TABLE aside(epoch TEXT, first INTEGER, n INTEGER, why TEXT, bytes BLOB);
"""
# `floor`: what is below it has all been freed; `uncut`: the first number that is in no batch yet
_FIRST_META = {"acquired": 0, "dropped": 0, "dated_until": 0, "floor": 1, "uncut": 1}


class SpoolFull(Exception):
    """The disk or the file's limit leaves no room: nothing was kept, what was kept before still is."""


class File:
    """One open spool file and its ballast."""

    def __init__(self, path: Path, quota_bytes: int) -> None:
        self._path, self._ballast = path, path.with_suffix(".ballast")
        self.db = _connect(path, quota_bytes)
        self._load_ballast()

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
        """Add a batch or gap record; return its id."""
        row = rows.row(one)
        marks = ",".join("?" * len(row))
        return int(self.db.execute(f"INSERT INTO batch({rows.COLUMNS}) VALUES ({marks})", row).lastrowid or 0)

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

    def _load_ballast(self) -> None:
        if self._ballast.exists() and self._ballast.stat().st_size == BALLAST_BYTES:
            return
        free = os.statvfs(self._path.parent)
        if free.f_bavail * free.f_frsize > 4 * BALLAST_BYTES:
            with suppress(OSError):
                self._ballast.write_bytes(bytes(BALLAST_BYTES))


class Salvage(msgspec.Struct):
    """What could be saved of a damaged file: batches under their old identities, and holes (first, n) of its epoch."""

    epoch: str
    batches: list[Kept]
    holes: list[tuple[int, int]]


def damage(path: Path) -> str | None:
    """Return what is wrong with a file as such, None where it can be used; rows are checked as they are read."""
    try:
        db = sqlite3.connect(path, isolation_level=None)
        try:
            words = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if words == "ok" and db.execute("PRAGMA user_version").fetchone()[0]:
                db.execute("SELECT count(*) FROM batch").fetchone()
                meta = db.execute("SELECT key, value, crc FROM meta").fetchall()
                if len(meta) != len(_FIRST_META) + 1 or any(crc != rows.crc32(key, value) for key, value, crc in meta):
                    return "the table `meta` fails its CRC"
        finally:
            db.close()
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if words == "ok" else str(words)


def set_aside(path: Path) -> Path:
    """Rename a damaged file and its companions; return its new name."""
    aside = next(p for i in range(1, 10_000) if not (p := path.with_suffix(f".damaged-{i}")).exists())
    for suffix in ("", "-wal", "-shm"):
        part = path.with_name(path.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    return aside


def salvage(path: Path) -> Salvage:
    """Return what is intact in a damaged file, read from both ends of each table."""
    db = sqlite3.connect(path, isolation_level=None)
    try:
        meta = {
            key: value
            for key, value, crc in _rows(db, "meta", "key", "key, value, crc")
            if crc == rows.crc32(key, value)
        }
        saved = [one for row in _rows(db, "batch", "id", rows.COLUMNS) if (one := rows.kept(0, row))]
        epoch = str(meta.get("epoch") or (saved[-1].identity[0] if saved else ""))
        fresh = [r for r in _rows(db, "fresh", "first", "first, n, boot, crc, bytes") if isinstance(r[4], bytes)]
        whole = sorted(row for row in fresh if isinstance(row[0], int))
        for pack in rows.packs(whole):
            saved.append(pack.batch(epoch, rows.date(pack.boot, None), urgent=False))  # noqa: PERF401 - reads as a step
    finally:
        db.close()
    own = sorted(one.identity[1:] for one in saved if one.identity[0] == epoch)
    end = max([int(meta.get("acquired") or 0) + 1, *(first + n for first, n in own)])
    return Salvage(epoch, saved, list(_holes(own, int(meta.get("floor") or 1), end)) if epoch else [])


def _holes(own: list[tuple[int, int]], start: int, end: int) -> Iterator[tuple[int, int]]:
    for first, n in [*own, (end, 0)]:
        if first > start:
            yield start, first - start
        start = max(start, first + n)


def _rows(db: sqlite3.Connection, table: str, key: str, columns: str) -> Iterator[tuple[Any, ...]]:
    """Yield what can be read of a damaged table, from both ends."""
    seen: set[object] = set()
    for order in ("ASC", "DESC"):
        with suppress(sqlite3.DatabaseError):
            for row in db.execute(f"SELECT {key}, {columns} FROM {table} ORDER BY {key} {order}"):
                if row[0] not in seen:
                    seen.add(row[0])
                    yield row[1:]


def _connect(path: Path, quota_bytes: int) -> sqlite3.Connection:
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
    if version == 0:
        meta = _FIRST_META | {"epoch": secrets.token_hex(8)}
        db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION};")
        db.executemany("INSERT INTO meta VALUES (?, ?, ?)", [(k, v, rows.crc32(k, v)) for k, v in meta.items()])
        db.execute("COMMIT")
    return db
