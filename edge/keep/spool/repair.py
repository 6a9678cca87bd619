"""A spool always opens: what is damaged is set aside for a person to look at, what is intact in it is salvaged.

Salvaged batches keep their identity; numbers that nothing accounts for any more are declared. What the cloud had
already may be declared with them: harmless, as the cloud knows that it has it.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from edge.keep.spool import rows
from edge.keep.spool.file import FIRST_META, File
from edge.keep.spool.rows import Kept

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Salvage(msgspec.Struct):
    """What could be saved of a damaged file: batches under their old identities, and holes (first, n) of its epoch."""

    epoch: str
    batches: list[Kept]
    holes: list[tuple[int, int]]


def damage(path: Path, own: str) -> str | None:
    """Return why a file cannot be gone on with, None where it can; rows are checked as they are read.

    Only damage is damage: a file that is locked or a disk that fails raises sqlite3.OperationalError. A file of
    another machine (`own` says which this is) is a copy: its numbers are that one's to give.
    """
    try:
        db = sqlite3.connect(path, isolation_level=None)
        try:
            words = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if words == "ok" and db.execute("PRAGMA user_version").fetchone()[0]:
                db.execute("SELECT count(*) FROM batch").fetchone()
                meta = db.execute("SELECT key, value, crc FROM meta").fetchall()
                if len(meta) != len(FIRST_META) + 2 or any(crc != rows.crc32(key, value) for key, value, crc in meta):
                    return "the table `meta` fails its CRC"
                if {key: value for key, value, _ in meta}["machine"] != own:
                    return "it was copied from another machine"
        finally:
            db.close()
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)  # text that is no UTF-8 has no code
        if code & 0xFF not in _DAMAGE:
            raise
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
            saved.append(pack.batch(epoch, None, urgent=False))  # noqa: PERF401 - reads as a step
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


def take_over(file: File, aside: Path) -> list[str]:
    """Salvage a file that was set aside, once (the mark is part of the transaction); return words for a person."""
    if file.one("SELECT count(*) FROM taken_over WHERE file = ?", aside.name):
        return []
    saved = salvage(aside)
    with file.transaction():
        file.db.execute("INSERT INTO taken_over VALUES (?)", (aside.name,))
        for one in saved.batches:
            file.insert(one)
        for first, n in saved.holes:
            file.declare(saved.epoch, first, n, "damage")
    readings, lost = (sum(n for *_, n in part) for part in ([one.identity for one in saved.batches], saved.holes))
    return [f"salvaged {readings} readings of {aside.name}, declared {lost} as damaged"]


def try_again(file: File) -> None:
    """Bring back what was set aside as never answered: another start or an upgraded cloud may do better."""
    if not file.one("SELECT count(*) FROM batch WHERE aside = 1"):
        return
    with file.transaction():
        file.db.execute(
            "DELETE FROM batch WHERE aside = 0 AND kind = 2 AND (epoch, first, n) IN"
            " (SELECT epoch, first, n FROM batch WHERE aside = 1)"
        )
        file.db.execute("UPDATE batch SET aside = 0, refusals = 0 WHERE aside = 1")


def lose(file: File, number: int, epoch: str, acquired: int) -> None:
    """Forget a row that cannot be trusted, and declare every number that no row accounts for any more."""
    of = file.one("SELECT epoch FROM batch WHERE id = ?", number)
    with file.transaction():
        file.db.execute("DELETE FROM batch WHERE id = ?", (number,))
        if of != epoch and file.one("SELECT count(*) FROM batch WHERE epoch = ?", of):
            _declare_holes(file, of, file.one("SELECT min(first) FROM batch WHERE epoch = ?", of), 0)
        end = file.one("SELECT min(first) FROM fresh") or acquired + 1
        _declare_holes(file, epoch, file.meta("floor"), end)


def _declare_holes(file: File, epoch: str, start: int, end: int) -> None:
    held = file.db.execute("SELECT first, n FROM batch WHERE epoch = ? ORDER BY first", (epoch,)).fetchall()
    for first, n in _holes(held, start, end):
        file.declare(epoch, first, n, "damage")
