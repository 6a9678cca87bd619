"""What is intact in a damaged file is taken over, under its old identities; the rest is declared.

Whatever its size, it passes in small transactions, each of which says how far it came: memory stays small, and what
is cut off goes on at the next start. What the cloud had already may be declared with the rest: harmless, as the cloud
knows that it has it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from edge.keep.spool import repair, rows
from edge.keep.spool.file import connect
from wire.codec import MAX_SEQ

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.keep.spool.file import File

AT_ONCE = 200  # rows in one transaction, and in memory
ONE_BY_ONE = 256  # numbers that are tried after a row that cannot be read, before the steps grow
_UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)  # the latter: words of SQLite that quote what is damaged
MAX_ROW_BYTES = 1024 * 1024  # no row of ours is longer, whatever a damaged length says


def take_over(file: File, aside: Path, make_room: Callable[[], None], *, intact: bool = False) -> list[str]:
    """Take over what a file that was set aside holds, once; return words for a person. An `intact` one lost nothing.

    Raises SpoolFull where the disk has no room: what was taken over until then is kept, and the next start goes on.
    """
    at, readings, done = _how_far(file, aside)
    if done:
        return []
    with closing(connect(aside)) as db:
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_ROW_BYTES)
        meta = _meta(db)
        whole = ((row[0], rows.kept(0, row[1:])) for row in _rows(db, "batch", "id", rows.COLUMNS, at))
        found = ((number, one) for number, one in whole if one is not None)
        epoch = str(meta.get("epoch") or "")
        while some := list(islice(found, AT_ONCE)):
            make_room()
            with file.transaction():
                readings += sum(one.identity[2] for _, one in some if file.insert(one))
                _came(file, aside, some[-1][0], readings)
            epoch = str(meta.get("epoch") or some[-1][1].identity[0])
        make_room()
        with file.transaction():
            uncut, end = _uncut(file, db, epoch)
            end = max(end, int(meta.get("acquired") or 0) + 1)
            sure = intact or not epoch
            lost = 0 if sure else repair.declare_holes(file, epoch, int(meta.get("floor") or 1), end)
            if intact:  # it may be written to again, where it cannot be removed
                file.db.execute("DELETE FROM taken_over WHERE file = ?", (aside.name,))
            else:
                file.db.execute("INSERT OR REPLACE INTO taken_over(file) VALUES (?)", (aside.name,))
    return [f"salvaged {readings + uncut} readings of {aside.name}, declared {lost} as damaged"]


def take_in(file: File, other: Path, make_room: Callable[[], None]) -> None:
    """Take over what an intact file holds, if it is there, and remove it. Raises SpoolFull as `take_over` does."""
    if not other.exists():
        return
    take_over(file, other, make_room, intact=True)
    for part in repair.parts(other):
        part.unlink(missing_ok=True)


def _how_far(file: File, aside: Path) -> tuple[int, int, int]:
    sql = "SELECT at, readings, done FROM taken_over WHERE file = ?"
    row = file.db.execute(sql, (aside.name,)).fetchone()
    return (0, 0, 0) if row is None else row


def _came(file: File, aside: Path, at: int, readings: int) -> None:
    file.db.execute("INSERT OR REPLACE INTO taken_over VALUES (?, ?, ?, 0)", (aside.name, at, readings))


def _uncut(file: File, db: sqlite3.Connection, epoch: str) -> tuple[int, int]:
    """Cut what was uncut; return how many readings these were, and the number after the last."""
    fresh = sorted(
        {row[1:] for row in _rows(db, "fresh", "first", "first, n, boot, crc, bytes") if rows.is_fresh(row[1:])}
    )
    readings, end = 0, 0
    for pack in rows.packs(fresh) if epoch else ():
        if file.insert(pack.batch(epoch, None, urgent=False)):
            readings += len(pack.readings)
        end = pack.end
    return readings, max(end, rows.end(fresh))


def _meta(db: sqlite3.Connection) -> dict[str, Any]:
    told: list[tuple[str, Any, int]] = []
    with suppress(*_UNREADABLE):
        told.extend(db.execute("SELECT key, value, crc FROM meta"))
    return {key: value for key, value, crc in told if crc == rows.crc32(key, value)}


def _rows(db: sqlite3.Connection, table: str, key: str, columns: str, after: int = 0) -> Iterator[tuple[Any, ...]]:
    """Yield key and columns of what can be read of a damaged table behind a key, past what cannot.

    A page that is damaged hides its own rows only: what lies behind is looked up through the pages above. Where those
    are damaged too the steps grow, and what they passed over is sought from the other end: it may come twice.
    """
    sql = f"SELECT {key}, {columns} FROM {table}"
    misses, before, passed_over = 0, MAX_SEQ, False
    while after < MAX_SEQ:
        try:
            for row in db.execute(f"{sql} WHERE {key} > ? ORDER BY {key}", (after,)):
                if row[0] <= after:  # its pages go round in a circle
                    passed_over = True
                    break
                after, misses = row[0], 0
                yield row
            break
        except _UNREADABLE:
            misses += 1
            passed_over |= misses > ONE_BY_ONE
            after += 2 ** max(misses - ONE_BY_ONE, 0)
    with suppress(*_UNREADABLE):
        for row in db.execute(f"{sql} ORDER BY {key} DESC") if passed_over else ():
            if row[0] >= before:
                return
            before = row[0]
            yield row
