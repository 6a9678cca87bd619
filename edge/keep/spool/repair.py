"""A spool always opens: what is damaged is set aside for a person to look at, and a row that is damaged is declared."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from disk.flush import flush
from edge.keep.spool import rows, schema
from edge.keep.spool.file import connect, spans
from edge.keep.spool.names import aside, parts
from edge.words import note, why
from wire.batch import RENAMED
from wire.codec import GAP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from edge.keep.spool.file import File
    from settings.words import Sentence
    from wire.batch import Identity

_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
SET_ASIDE_AFTER = 20  # vain sendings while others were answered


def mend(path: Path, own: str) -> list[Sentence]:
    """Leave at `path` a file that can be gone on with, or none; return words for a person.

    Raises sqlite3.OperationalError for a file that is locked or a disk that fails: that is no damage.
    """
    _finish(path)
    notes = _bring_back(path)
    broken = damage(path, own) if path.exists() else None
    if broken:
        notes.append(_unusable(path, broken))
    return notes


def _unusable(path: Path, broken: Sentence) -> Sentence:
    """Set a file aside; return words for a person."""
    return note("unusable", file=path.name, why=broken, aside=set_aside(path).name)


def surely(opened: Callable[[], None], path: Path, file: Callable[[], File | None], notes: list[Sentence]) -> None:
    """Open a file; where its damage shows only when it is worked with, set it aside, say so, and open another.

    Two rows of one identity are damage too: we write none. Raises what is no damage.
    """
    try:
        opened()
    except sqlite3.DatabaseError as error:
        half = file()
        if half is None or not (is_damage(error) or isinstance(error, sqlite3.IntegrityError)):
            raise
        half.db.close()
        notes.append(_unusable(path, why("page", words=error)))
        opened()


def damage(path: Path, own: str) -> Sentence | None:
    """Return why a file cannot be gone on with, None where it can; rows are checked as they are read.

    A file of another machine (`own` says which this is) is a copy: its numbers are that one's to give.
    """
    try:
        db = connect(path)
        try:
            words = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if words == "ok" and (
                version < 0 or (not version and db.execute("SELECT 1 FROM sqlite_schema").fetchone())
            ):
                return why("version", version=version)
            if words == "ok" and version > 0:
                if (table := schema.strange(db, version)) is not None:
                    return why("table", table=table)
                db.execute("SELECT count(*) FROM batch WHERE aside = 1").fetchone()
                told = db.execute("SELECT key, value, crc FROM meta").fetchall()
                meta = {key: value for key, value, crc in told if crc == rows.crc32(key, value)}
                if len(meta) != len(told) or not schema.whole(meta, version):
                    return why("crc")
                if meta["machine"] != own:
                    return why("copied")
        finally:
            db.close()
    except (UnicodeDecodeError, MemoryError) as error:  # words that quote what is damaged; a length that nobody has
        return why("page", words=repr(error))
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return why("page", words=error)
    return None if words == "ok" else why("page", words=words)


def is_damage(error: Exception) -> bool:
    """Tell whether SQLite says that the file itself is damaged; of a full or failing disk it does not."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def set_aside(path: Path) -> Path:
    """Rename a damaged file and its companions; return its new name.

    The file itself goes last: a power cut in between leaves it where it was, and `_finish` sends it after the others.
    """
    there = aside(path)
    for part, renamed in zip(parts(path), parts(there), strict=True):
        if part.exists():
            part.rename(renamed)
            flush(path.parent)
    return there


def _finish(path: Path) -> None:
    """Go on with a `set_aside` that was cut off between two renames."""
    for wal in path.parent.glob(f"{path.stem}.damaged-*[0-9]-wal"):
        there = wal.with_name(wal.name.removesuffix("-wal"))
        if not there.exists() and path.exists():
            path.rename(there)
            flush(path.parent)


def _bring_back(path: Path) -> list[Sentence]:
    """Give an empty or missing file beside a WAL one page of zeros: SQLite writes it anew from the WAL.

    Without that page SQLite takes it for a new file and deletes the WAL, where all that was committed still lies.
    """
    wal = path.with_name(path.name + "-wal")
    if not wal.exists() or not wal.stat().st_size or (path.exists() and path.stat().st_size):
        return []
    with path.open("wb") as file:
        file.write(bytes(4096))
    flush(path)
    flush(path.parent)
    return [note("brought_back", file=path.name)]


def give_up(file: File, number: int, get: Callable[[int], rows.Kept | None]) -> bool:
    """Count that a batch was sent in vain; after 20 set it aside, declare it, and return True."""
    with file.transaction():
        file.db.execute("UPDATE batch SET refusals = refusals + 1 WHERE id = ?", (number,))
        row = file.db.execute("SELECT refusals, kind FROM batch WHERE id = ?", (number,)).fetchone()
        kept = get(number)
        if kept is None or row[0] < SET_ASIDE_AFTER or row[1] == GAP:
            return False
        file.put_aside(number)
        file.declare(*kept.identity, "set-aside")
    return True


def try_again(file: File) -> None:
    """Bring back what was set aside as never answered: another start or an upgraded cloud may do better."""
    found = file.db.execute("SELECT id, epoch, first, n FROM batch WHERE aside = 1").fetchall()
    if not found:
        return
    with file.transaction():
        for number, *identity in found:
            sql = "SELECT id FROM batch WHERE (epoch, first, n, aside, kind) = (?, ?, ?, 0, 2)"
            gap = file.one(sql, *identity)
            if gap is not None:
                file.forget(gap)
            file.db.execute("UPDATE batch SET aside = 0, refusals = 0 WHERE id = ?", (number,))
            file.held[identity[0]] = file.held.get(identity[0], 0) + identity[2]


def renamed(known: str, gateway: str) -> bool:
    """Tell whether two ids of a gateway are told and differ."""
    return bool(known and gateway) and known != gateway


def name(file: File, gateway: str) -> None:
    """Remember whose numbers these are from now on; what waits goes out under the new id."""
    known = file.meta("gateway")
    if gateway and known != gateway:
        with file.transaction():
            if renamed(known, gateway):
                disown(file, held_of_earlier(file))
            file.set_meta("gateway", gateway)


def held_of_earlier(file: File) -> dict[str, Iterable[tuple[int, int]]]:
    """Return (first, n) of what lies here of each earlier epoch, in order, as it is read: there may be millions."""
    sql = "SELECT first, n FROM batch WHERE epoch = ? ORDER BY first"
    own = file.meta("epoch")
    return {epoch: file.db.execute(sql, (epoch,)) for epoch in file.held if epoch != own}


def disown(file: File, held: Mapping[str, Iterable[tuple[int, int]]]) -> None:
    """Declare what of these epochs the cloud has under another id: under this one it would be missing for ever.

    `held`: (first, n) of what still waits, in order. Nothing is lost by that, so nothing is counted as dropped.
    """
    for epoch, waiting in held.items():
        for first, n in list(holes(waiting, 1, 0)):  # and not while they are read
            file.insert(rows.gap(epoch, first, n, RENAMED))


def lose(file: File, number: int) -> None:
    """Forget a row that cannot be trusted, and declare its numbers.

    They stand in the row and in the index. Where the two agree they are right; else every number of the epoch is
    declared that no row accounts for any more.
    """
    _lose(file, number, _agreed(file, number))


def _agreed(file: File, number: int) -> Identity | None:
    """Return the identity of a row where its index has the same."""
    epoch, first, n = file.db.execute("SELECT epoch, first, n FROM batch WHERE id = ?", (number,)).fetchone()
    sql = "SELECT id FROM batch INDEXED BY sqlite_autoindex_batch_1 WHERE epoch = ? AND first = ? AND n = ?"
    return (epoch, first, n) if file.one(sql, epoch, first, n) == number else None


def _lose(file: File, number: int, identity: Identity | None) -> None:
    with file.transaction():
        try:
            file.forget(number)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            file.db.execute("REINDEX batch")  # SQLite refuses to delete a row that one of its indexes does not know
            file.forget(number)
        if identity is not None:
            file.declare(*identity, "damage")
            return
        file.db.execute("REINDEX batch")
        own = file.meta("epoch")
        declare_holes(file, own, file.meta("floor"), file.meta("uncut"))
        declare_earlier(file, spans(file.meta("ended")), own)


def fit_indexes(file: File) -> None:
    """Write the indexes anew where they do not fit their rows: SQLite would for ever refuse to delete such a row.

    One flipped bit is enough, and the quota would wedge there. Before, each row that is wrong itself is declared by
    what its index says.
    """
    if file.one("PRAGMA integrity_check(1)") == "ok":
        return
    found = file.db.execute(f"SELECT id, {rows.COLUMNS} FROM batch NOT INDEXED")
    lost = [row[0] for row in found if rows.kept(row[0], row[1:]) is None]
    told = [(number, _agreed(file, number)) for number in lost]  # of all, before an index is written anew
    for number, identity in told:
        _lose(file, number, identity)
    with file.transaction():
        file.db.execute("REINDEX")


def declare_holes(file: File, epoch: str, start: int, end: int) -> int:
    """Declare the numbers from `start` to before `end` that no row of the epoch has; return how many.

    Without a `start` it is the first number that a row has.
    """
    sql = "SELECT first, n FROM batch WHERE epoch = ? ORDER BY first"
    missing = list(holes(file.db.execute(sql, (epoch,)), start, end))
    for first, n in missing:
        file.declare(epoch, first, n, "damage")
    return sum(n for _, n in missing)


def declare_earlier(file: File, ended: Mapping[str, tuple[int, int]], *but: str) -> int:
    """Declare what no row has of the epochs before, `but` for some: between its rows, and up to where they `ended`."""
    epochs = (file.held.keys() | ended.keys()) - {*but}
    return sum(declare_holes(file, epoch, *ended.get(epoch, (0, 0))) for epoch in epochs)


def holes(held: Iterable[tuple[int, int]], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield (first, n) of what lies between the ranges `held`, in order, and up to `end`."""
    for first, n in held:
        if start and first > start:
            yield start, first - start
        start = max(start, first + n)
    if start and end > start:
        yield start, end - start
