"""The spool file's tables, and the steps from each older shape to this one.

Pages of 1 KiB: a commit writes one page, so a day at the default settings costs a card half of what SQLite's 4 KiB cost
(measured, docs/decisions/0011-rows-of-the-spool.md).
"""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from disk.form import form_of
from edge.keep.spool import rows

if TYPE_CHECKING:
    from pathlib import Path

VERSION = 4
PAGE_BYTES = 1024
SMALL_BYTES = 2 * 1024 * 1024  # a file that holds no more is quickly written anew in pages of another size

TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE boot(number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL,
  offset_ms INTEGER, source INTEGER, uncertainty_ms INTEGER, heard_ms INTEGER, date_crc INTEGER,
  rtc_utc_ms INTEGER, rtc_error_ms INTEGER, rtc_doubted INTEGER);
CREATE TABLE fresh(first INTEGER PRIMARY KEY, n INTEGER NOT NULL, boot TEXT NOT NULL,
  crc INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE batch(id INTEGER PRIMARY KEY AUTOINCREMENT,
  epoch TEXT NOT NULL, first INTEGER NOT NULL, n INTEGER NOT NULL,
  kind INTEGER NOT NULL, boot TEXT NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
  offset_ms INTEGER, source INTEGER NOT NULL, uncertainty_ms INTEGER NOT NULL, date_crc INTEGER NOT NULL,
  urgent INTEGER NOT NULL, refusals INTEGER NOT NULL DEFAULT 0, aside INTEGER NOT NULL DEFAULT 0,
  crc INTEGER NOT NULL, bytes BLOB NOT NULL, UNIQUE(epoch, first, n, aside));
CREATE INDEX undated ON batch(boot) WHERE offset_ms IS NULL;
CREATE TABLE taken_over(file TEXT PRIMARY KEY, at INTEGER NOT NULL DEFAULT 0, readings INTEGER NOT NULL DEFAULT 0,
  done INTEGER NOT NULL DEFAULT 1) WITHOUT ROWID;
"""
# 1 → 2: rows stay as they are (deflated ones come beside them), so that a full card migrates without room for a copy.
# Dates of boots gained a CRC: those without one are not believed. 2 → 3: whose numbers these are. 3 → 4:
# where epochs before began and ended, as far as they began since.
_STEPS = {
    1: """
ALTER TABLE boot ADD COLUMN heard_ms INTEGER;
ALTER TABLE boot ADD COLUMN date_crc INTEGER;
ALTER TABLE boot ADD COLUMN rtc_utc_ms INTEGER;
ALTER TABLE boot ADD COLUMN rtc_error_ms INTEGER;
ALTER TABLE boot ADD COLUMN rtc_doubted INTEGER;
ALTER TABLE taken_over ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE taken_over ADD COLUMN readings INTEGER NOT NULL DEFAULT 0;
ALTER TABLE taken_over ADD COLUMN done INTEGER NOT NULL DEFAULT 1;
""",
    2: "",
    3: "",
}
# `floor`: what is below it has all been freed; `uncut`: the first number that is in no batch yet; `acquired`: the last
# number that was given when something was cut or declared, uncut rows lie above it
FIGURES = {"acquired": 0, "dropped": 0, "dated_until": 0, "floor": 1, "uncut": 1}
# `ended`: of epochs before, the lowest number that is still here and the one after the last
_WORDS = {
    1: ("epoch", "machine"),
    2: ("epoch", "machine", "boot"),
    3: ("epoch", "machine", "boot", "gateway"),
    4: ("epoch", "machine", "boot", "gateway", "ended"),
}


def whole(meta: dict[str, object], version: int) -> bool:
    """Tell whether `meta` has all keys of its version."""
    return meta.keys() == FIGURES.keys() | set(_WORDS.get(version, meta))


def strange(db: sqlite3.Connection, version: int) -> str | None:
    """Return the table whose columns are not those of a version: the text that declares them has no checksum either."""
    with closing(sqlite3.connect(":memory:")) as model:
        model.executescript(TABLES)
        ours, found = _columns(model), _columns(db)
    for table, columns in ours.items():
        if not found.get(table, set()) <= columns or (version == VERSION and found.get(table) != columns):
            return table
    return None


def _columns(db: sqlite3.Connection) -> dict[str, set[str]]:
    sql = "SELECT s.name, c.name FROM sqlite_schema s, pragma_table_info(s.name) c WHERE s.type = 'table'"
    found: dict[str, set[str]] = {}
    for table, column in db.execute(sql):
        found.setdefault(table, set()).add(column)
    return found


def prepare(db: sqlite3.Connection, path: Path, machine: str) -> None:
    """Bring an open file to this version: create it, or go the steps from its own; one transaction each.

    Raises Taken for a file of a newer version.
    """
    version = form_of(db, path, VERSION)
    if version == 0:
        words = dict.fromkeys(_WORDS[VERSION], "") | {"epoch": secrets.token_hex(8), "machine": machine}
        _run(db, TABLES, {**FIGURES, **words})
    for step in range(version or VERSION, VERSION):
        _run(db, _STEPS[step], {key: "" for key in _WORDS[step + 1] if key not in _WORDS[step]}, step + 1)


def _run(db: sqlite3.Connection, script: str, meta: dict[str, object], version: int = VERSION) -> None:
    db.execute("BEGIN IMMEDIATE")
    for statement in filter(str.strip, script.split(";")):
        db.execute(statement)
    db.executemany("INSERT INTO meta VALUES (?, ?, ?)", [(k, v, rows.crc32(k, v)) for k, v in meta.items()])
    db.execute(f"PRAGMA user_version = {version}")
    db.execute("COMMIT")


def pages() -> dict[int, bytes]:
    """Return the pages, by number, that say which tables a file of this version has: in each such file the same ones.

    The first one's header says of the file that it has a WAL, and nothing of its length.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
        model.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        _run(model, TABLES, {})
        whole = model.serialize()
    first = bytearray(whole[:PAGE_BYTES])
    first[18:20], first[28:32] = b"\2\2", bytes(4)  # of the file format: in WAL mode; its length, 0 where unknown
    cells = (int.from_bytes(first[at : at + 2]) for at in range(112, 112 + 2 * int.from_bytes(first[103:105]), 2))
    leaves = [int.from_bytes(first[at : at + 4]) for at in (108, *cells)]
    return {1: bytes(first)} | {leaf: whole[PAGE_BYTES * (leaf - 1) : PAGE_BYTES * leaf] for leaf in leaves}


def repage(db: sqlite3.Connection) -> None:
    """Give a small file of an older version the pages of this one; a large one keeps its own until it is small."""
    page, pages, free = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_size", "page_count", "freelist_count")
    )
    if page == PAGE_BYTES or (pages - free) * page > SMALL_BYTES:
        return
    with suppress(sqlite3.OperationalError):  # no room: it goes on with the pages that it has
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        db.execute("VACUUM")
    db.execute("PRAGMA journal_mode = WAL")
