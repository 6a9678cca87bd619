"""What is intact in a damaged file is taken over, under its old identities; the rest is declared.

Whatever its size, it passes in small transactions, each of which says how far it came: memory stays small, and what
is cut off goes on at the next start. What the cloud had already may be declared with the rest: harmless, as the cloud
knows that it has it.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from edge.keep.spool import repair, rows, schema
from edge.keep.spool.file import connect, spans
from edge.words import note
from wire.codec import MAX_SEQ

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.keep.spool.file import File
    from settings.words import Sentence

AT_ONCE = 200  # rows in one transaction, and in memory
ONE_BY_ONE = 256  # numbers that are tried after a row that cannot be read, before the steps grow
# Words of SQLite that quote what is damaged, and a damaged length for which there is no memory.
UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError, MemoryError)
MAX_ROW_BYTES = 1024 * 1024  # no row of ours is longer, whatever a damaged length says


def take_over(file: File, aside: Path, make_room: Callable[[], None]) -> list[Sentence]:
    """Take over what a file that was set aside holds, once; return words for a person.

    Raises SpoolFull where the disk has no room: what was taken over until then is kept, and the next start goes on.
    """
    at, readings, done = how_far(file, aside.name)
    if done:
        return []
    if not os.access(aside, os.R_OK | os.W_OK):
        return [note("unreadable", file=aside.name)]
    make_legible(aside)
    with closing(opened(aside)) as db:
        told, found = meta(db), whole(db, at)
        epoch = str(told.get("epoch") or "")
        while some := list(islice(found, AT_ONCE)):
            make_room()
            readings = pass_on(file, aside.name, some, readings)
            epoch = str(told.get("epoch") or some[-1][1].identity[0])
        make_room()
        with file.transaction():
            rest, end = cut(file, epoch, fresh_of(db))
            end = max(end, int(told.get("acquired") or 0) + 1)
            lost = repair.declare_holes(file, epoch, int(told.get("floor") or 1), end) if epoch else 0
            ended = spans(str(told.get("ended") or ""))
            lost += repair.declare_earlier(file, ended, epoch, file.meta("epoch"))
            file.note_ends({before: last for before, (_, last) in ended.items()} | {epoch: end})
            if repair.renamed(str(told.get("gateway") or ""), file.meta("gateway")):
                repair.disown(file, repair.held_of_earlier(file))
            file.db.execute("INSERT OR REPLACE INTO taken_over(file) VALUES (?)", (aside.name,))
    return [note("salvaged", n=readings + rest, file=aside.name, lost=lost)]


def opened(path: Path) -> sqlite3.Connection:
    """Open a file to read what can be read of it."""
    db = connect(path)
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_ROW_BYTES)
    with suppress(*UNREADABLE):
        db.execute("PRAGMA writable_schema = ON")  # else nothing is read of a file that is shorter than it says
    return db


def make_legible(path: Path) -> None:
    """Give a damaged file the pages again that name its tables, where they are what is damaged.

    All files of this version have the same, and without them nothing of the others can be read. A file that had other
    ones is none the worse: each row says by its CRC whether it is one.
    """
    with closing(opened(path)) as db, suppress(*UNREADABLE):
        for table, columns in (
            ("batch", rows.COLUMNS),
            ("fresh", "first, n, boot, crc, bytes"),
            ("meta", "key, value"),
        ):
            db.execute(f"SELECT {columns} FROM {table} WHERE 0")
        return
    with suppress(OSError), path.open("r+b") as file:
        head = file.read(18)
        if head.startswith(b"SQLite format 3") and int.from_bytes(head[16:]) != schema.PAGE_BYTES:
            return
        for number, page in schema.pages().items():
            file.seek(schema.PAGE_BYTES * (number - 1))
            file.write(page)


def whole(db: sqlite3.Connection, after: int) -> Iterator[tuple[int, rows.Kept]]:
    """Yield ids and batches of the rows behind an id that fail none of their CRCs."""
    for number, *row in _rows(db, "batch", "id", rows.COLUMNS, after):
        one = rows.kept(0, tuple(row))
        if one is not None:
            yield number, one


def pass_on(file: File, source: str, some: list[tuple[int, rows.Kept]], readings: int) -> int:
    """Add batches in one transaction that says how far it came; return how many readings came by now."""
    with file.transaction():
        readings += sum(one.identity[2] for _, one in some if file.insert(one))
        file.db.execute("INSERT OR REPLACE INTO taken_over VALUES (?, ?, ?, 0)", (source, some[-1][0], readings))
    return readings


def how_far(file: File, source: str) -> tuple[int, int, int]:
    """Return up to which id a file was taken over, how many readings that were, and whether it is done."""
    sql = "SELECT at, readings, done FROM taken_over WHERE file = ?"
    row = file.db.execute(sql, (source,)).fetchone()
    return (0, 0, 0) if row is None else row


def fresh_of(db: sqlite3.Connection) -> list[rows.FreshRow]:
    """Return what is uncut, in order."""
    found = {row[1:] for row in _rows(db, "fresh", "first", "first, n, boot, crc, bytes")}
    return sorted(row for row in found if rows.is_fresh(row))


def ranges(db: sqlite3.Connection, epoch: str, fresh: list[rows.FreshRow]) -> dict[str, list[tuple[int, int]]]:
    """Return (first, n) of what lies in a file, in order, by epoch; what is uncut is of this one."""
    held: dict[str, list[tuple[int, int]]] = {}
    for _, of, first, n in _rows(db, "batch", "id", "epoch, first, n"):
        held.setdefault(of, []).append((first, n))
    if fresh:
        held.setdefault(epoch, []).extend((first, n) for first, n, *_ in fresh)
    return {of: sorted(waiting) for of, waiting in held.items()}


def cut(file: File, epoch: str, fresh: list[rows.FreshRow]) -> tuple[int, int]:
    """Cut what was uncut; return how many readings these were, and the number after the last."""
    readings, end = 0, 0
    for pack in rows.packs(fresh) if epoch else ():
        if file.insert(pack.batch(epoch, None, urgent=False)):
            readings += len(pack.readings)
        end = pack.end
    return readings, max(end, rows.end(fresh))


def meta(db: sqlite3.Connection) -> dict[str, Any]:
    """Return what of a file's own figures passes its CRC."""
    told: list[tuple[str, Any, int]] = []
    with suppress(*UNREADABLE):
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
        except UNREADABLE:
            misses += 1
            passed_over |= misses > ONE_BY_ONE
            after += 2 ** max(misses - ONE_BY_ONE, 0)
    with suppress(*UNREADABLE):
        for row in db.execute(f"{sql} ORDER BY {key} DESC") if passed_over else ():
            if row[0] >= before:
                return
            before = row[0]
            yield row
