"""registry.db: what the garden is, and who changed it when. One file, one truth; every write can be read and undone.

A write is an *act*: all of its changes or none, judged as a whole before it counts. Readers in other processes see it
at their next look (`Book.version`), without being told.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import msgspec

from cloud.registry.draft import Draft, Rejected, every, one
from cloud.registry.kinds import KINDS, Record
from cloud.registry.sql import table
from cloud.registry.trail import Act, Change, change_of, refuse, text_of
from disk.form import form_of, last, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

NAME = "registry.db"
PHOTOS = "photos"  # the folder beside it
FORM = 1  # of the tables act and change; those of the kinds grow by themselves
BUSY_S = 5.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS act (
  id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, undoes INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS change (
  id INTEGER PRIMARY KEY, act INTEGER NOT NULL REFERENCES act, kind TEXT NOT NULL, key TEXT NOT NULL,
  before TEXT, after TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS change_of ON change (kind, key, id);
CREATE INDEX IF NOT EXISTS change_in ON change (act);
CREATE INDEX IF NOT EXISTS act_said ON act (what);
CREATE INDEX IF NOT EXISTS change_gone ON change (kind, key) WHERE after IS NULL;
"""
_APPEND_ONLY = (
    "CREATE TRIGGER IF NOT EXISTS {table}_kept_{verb} BEFORE {verb} ON {table} "
    "BEGIN SELECT RAISE(ABORT, 'what was done stays said'); END"
)


class Held(msgspec.Struct, frozen=True):
    """A record and the change that made it: who edits it says what they saw."""

    record: Record
    seen: int


class Book:
    """The registry. Not for two threads at once.

    A reader opens a file that a writer has made; a writer makes it; without a path it is in memory. A reader sees a
    file that an earlier gocche made as one of ours, and is `bridged` then: it sees no more than that file had, also
    once a writer has brought it forward. Raises Taken when the file is a newer gocche's, and sqlite3.Error where it
    cannot be read.
    """

    def __init__(self, path: Path | None, *, writer: bool) -> None:
        where = "file::memory:" if path is None else path.absolute().as_uri()
        self._db = sqlite3.connect(
            f"{where}?mode={'memory' if path is None else 'rwc' if writer else 'ro'}",
            uri=True,
            timeout=BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )
        self.bridged = False
        try:
            form_of(self._db, path, FORM)
            if writer:
                self._found()
            else:
                self._bridge()
        except BaseException:
            self._db.close()
            raise

    def _found(self) -> None:
        last(self._db)
        with whole(self._db):
            for statement in filter(str.strip, _SCHEMA.split(";")):
                self._db.execute(statement)
            for name in ("act", "change"):
                for verb in ("UPDATE", "DELETE"):
                    self._db.execute(_APPEND_ONLY.format(table=name, verb=verb))
            for kind in KINDS:
                for statement in table(kind).found(self._columns(kind)):
                    self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {FORM}")

    def _bridge(self) -> None:
        """Put a view of this connection alone before each table that is an earlier gocche's, or is not there."""
        self._db.execute("PRAGMA temp_store = MEMORY")
        for kind in KINDS:
            if view := table(kind).bridged(self._columns(kind)):
                self._db.execute(view)
                self.bridged = True

    def _columns(self, kind: str) -> set[str]:
        return {row[1] for row in self._db.execute(f'PRAGMA main.table_info("{kind}")')}

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def version(self) -> int:
        """Return a number that changes when another process or connection has written."""
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])

    @property
    def empty(self) -> bool:
        """Return whether nobody has ever written anything, or its tables are just being made."""
        return form_of(self._db, None, FORM) == 0 or self._db.execute("SELECT 1 FROM act LIMIT 1").fetchone() is None

    def rows(self, kind: str) -> list[Record]:
        """Return all records of a kind, by key."""
        return every(self._db, kind)

    def lying(self, kind: str) -> Iterator[tuple[Any, ...]]:
        """Return the row that each record of a kind lies as (`sql.Table.record`), in no order: to see what is new."""
        return self._db.execute(table(kind).any)

    def held(self, kind: str, key: tuple[Any, ...]) -> Held | None:
        """Return a record and the change that made it, or None."""
        record = one(self._db, kind, key)
        if record is None:
            return None
        query = "SELECT max(id) FROM change WHERE kind = ? AND key = ?"
        return Held(record, self._db.execute(query, (kind, text_of(key))).fetchone()[0] or 0)

    @property
    def gone(self) -> frozenset[str]:
        """Return the codes of trees and tags that were taken away: plates with them may hang outside all the same."""
        query = "SELECT DISTINCT key FROM change WHERE after IS NULL AND kind IN ('tree', 'tag')"
        ever = {str(msgspec.json.decode(row[0])[0]) for row in self._db.execute(query)}
        there = "SELECT 1 FROM tree WHERE code = ? UNION ALL SELECT 1 FROM tag WHERE code = ?"
        return frozenset(code for code in ever if self._db.execute(there, (code, code)).fetchone() is None)

    @property
    def newest(self) -> int:
        """Return the newest change: who reads rows after that knows of all up to it."""
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM change").fetchone()[0])

    def shut_out_ms(self, code: str) -> int:
        """Return when (UTC ms) somebody was last let in no more, their access or their row taken; 0 if never."""
        query = (
            "SELECT at_ms FROM change JOIN act ON act.id = act WHERE kind = 'person' AND key = ? "
            "AND coalesce(json_extract(before, '$.access'), '') != '' "
            "AND coalesce(json_extract(after, '$.access'), '') = '' ORDER BY change.id DESC LIMIT 1"
        )
        row = self._db.execute(query, (text_of((code,)),)).fetchone()
        return int(row[0]) if row else 0

    def touched(self, kinds: Iterable[str], since: int) -> bool:
        """Tell whether somebody has written into one of some tables after a change."""
        query = "SELECT 1 FROM change WHERE id > ? AND kind IN (SELECT value FROM json_each(?)) LIMIT 1"
        return self._db.execute(query, (since, text_of(list(kinds)))).fetchone() is not None

    def acts(self, limit: int, before: int | None = None) -> list[Act]:
        """Return what was done, newest first; `before` is the id of an act to go on from."""
        query = (
            "SELECT id, at_ms, who, what, undoes, (SELECT count(*) FROM change WHERE act = act.id) FROM act "
            "WHERE id < ? ORDER BY id DESC LIMIT ?"
        )
        return [Act(*row) for row in self._db.execute(query, (2**62 if before is None else before, limit))]

    def changes(self, act: int) -> list[Change]:
        """Return what an act changed, in its order."""
        query = "SELECT id, kind, before, after FROM change WHERE act = ? ORDER BY id"
        return [change_of(*row) for row in self._db.execute(query, (act,))]

    def history(self, kind: str, key: tuple[Any, ...], limit: int) -> list[tuple[Act, Change]]:
        """Return what was done to one record, newest first."""
        query = (
            "SELECT act.id, at_ms, who, what, undoes, 1, change.id, kind, before, after FROM change "
            "JOIN act ON act.id = act WHERE kind = ? AND key = ? ORDER BY change.id DESC LIMIT ?"
        )
        rows = self._db.execute(query, (kind, text_of(key), limit))
        return [(Act(*row[:6]), change_of(*row[6:])) for row in rows]

    @contextmanager
    def writing(
        self, who: str, what: str, at_ms: int, *, undoes: int | None = None, dry: bool = False
    ) -> Iterator[Draft]:
        """Let the body change records, then judge all of it: it is all written when the body ends, or nothing is.

        An act that changes nothing is not written; a `dry` one is judged and then forgotten. Raises Rejected with every
        fault, Bad from the body's own writes.
        """
        with whole(self._db):
            draft = Draft(self._db)
            yield draft
            faults = draft.faults()
            if faults:
                raise Rejected(faults)
            if dry:
                self._db.execute("ROLLBACK")
            elif draft.changes:
                row = (at_ms, who, what, undoes)
                act = self._db.execute("INSERT INTO act (at_ms, who, what, undoes) VALUES (?, ?, ?, ?)", row).lastrowid
                self._db.executemany(
                    "INSERT INTO change (act, kind, key, before, after) VALUES (?, ?, ?, ?, ?)",
                    ((act, *change) for change in draft.changes),
                )

    def undo(self, act: int, who: str, at_ms: int) -> None:
        """Take an act back, as an act of its own. Raises Bad where one of its rows is no longer as it left it.

        What was changed afterwards and taken back is as it was: so one goes back step by step.
        """
        with self.writing(who, f"undo {act}", at_ms, undoes=act) as draft:
            query = (
                "SELECT max(later.id), later.kind, later.before, later.after, who, at_ms FROM change AS mine "
                "JOIN change AS later ON later.kind = mine.kind AND later.key = mine.key AND later.act > mine.act "
                "JOIN act ON act.id = later.act WHERE mine.act = ? GROUP BY later.kind, later.key ORDER BY 1 DESC"
            )
            left = {(change.kind, change.key): change.after for change in self.changes(act)}
            for meanwhile in self._db.execute(query, (act,)).fetchall():
                now = change_of(*meanwhile[:4])
                if now.after != left[now.kind, now.key]:
                    refuse(meanwhile)
            changes = self.changes(act)[::-1]  # of a row that it changed twice, what was before the first counts
            for change in changes:
                if change.before is None:
                    draft.remove(change.kind, change.key)
            draft.put(change.before for change in changes if change.before is not None)
