"""An SQLite file that lasts: a power cut takes nothing that was committed, and a number in it says which form it has.

A file of an older form is brought forward, step by step; one of a newer form is a newer gocche's and is left alone.
"""

from __future__ import annotations

import itertools
import logging
import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from settings.words import Taken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})  # primary codes of what a file may be ill with


def form_of(db: sqlite3.Connection, path: Path | None, known: int) -> int:
    """Return the form of a file, 0 before its tables are made. Raises Taken for a form beyond those `known`.

    What SQLite raises has the file as a note: its own words do not name it.
    """
    try:
        form = int(db.execute("PRAGMA user_version").fetchone()[0])
    except sqlite3.Error as error:
        error.add_note(str(path))
        raise
    if form > known:
        raise Taken("settings", "file", "newer", path=path, version=form, known=known)
    return form


def is_damaged(error: BaseException) -> bool:
    """Tell whether SQLite found that a file is none of its own, or no whole one."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGED


def set_aside(path: Path) -> Path:
    """Give a damaged file, with its log, another name for a person to read, and return it. Raises OSError."""
    aside = next(one for n in itertools.count(1) if not (one := path.with_name(f"{path.name}.damaged-{n}")).exists())
    for end in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + end).replace(f"{aside}{end}")
    return aside


def last(db: sqlite3.Connection) -> None:
    """Have every commit of this connection on the disk when it returns, and readers never wait for it."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")


@contextmanager
def whole(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Write all that the body does or, where it raises, nothing; a body may take its own work back (ROLLBACK)."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        if db.in_transaction:
            db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def opened(path: Path, steps: Sequence[str]) -> sqlite3.Connection:
    """Return a connection to a file that was brought forward, for one thread at a time.

    Raises Taken, and sqlite3.Error for what the disk refuses.
    """
    db = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    try:
        bring_forward(db, path, steps)
    except BaseException:
        db.close()
        raise
    return db


def opened_anew(path: Path, steps: Sequence[str]) -> sqlite3.Connection:
    """Return a connection as `opened` does; a file that is damaged is set aside, which is logged, and begun anew."""
    try:
        return opened(path, steps)
    except sqlite3.Error as error:
        if not gone(path, error):
            raise
        return opened(path, steps)


def gone(path: Path, error: sqlite3.Error) -> bool:
    """Set a file aside that an error says is damaged, which is logged; tell whether it is. Let go of it before.

    What is noted of another file says nothing of this one. Raises OSError.
    """
    if not is_damaged(error) or str(path) not in getattr(error, "__notes__", [str(path)]):
        return False
    log.error("book-damaged file=%s set_aside=%s why=%r", path, set_aside(path), str(error))
    return True


def rotten(words: str) -> sqlite3.DatabaseError:
    """Return the error that a row is none of ours: it rotted, or somebody else wrote it; its file is damaged."""
    error = sqlite3.DatabaseError(words)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def bring_forward(db: sqlite3.Connection, path: Path, steps: Sequence[str]) -> None:
    """Bring a file that `last`s from its form to the end of the `steps`, each whole or not at all. Raises Taken.

    Of several processes that do so at once each step is done by one; the others find it done.
    """
    form = form_of(db, path, len(steps))
    last(db)
    for number, script in enumerate(steps[form:], form + 1):
        try:
            db.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;")
        except BaseException as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            if not isinstance(error, sqlite3.Error) or form_of(db, path, len(steps)) < number:
                raise
