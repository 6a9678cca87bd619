"""reports.db as others read it, while it is written; nothing where there is no book.

Each function raises sqlite3.Error.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from disk.form import form_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_COLUMNS = (
    "id", "code", "kind", "got_ms", "last_ms", "place", "hamlet", "lat", "lon", "measured", "text", "phone", "state",
    "head", "n", "reason", "done_ms", "told",
)  # fmt: skip
_NAMED = ", ".join(f"report.{name}" for name in _COLUMNS)
ROW = f"SELECT {_NAMED} FROM report"  # noqa: S608 - names of ours
_JUDGED = f"SELECT {_NAMED}, act.who FROM act JOIN report ON report.id = act.report WHERE act.who != ''"  # noqa: S608
FORM = 1


class Kept(msgspec.Struct, frozen=True):
    """A report as it is kept. `place` is kind:code, `head` the number of the one that it is a part of."""

    id: int
    code: str
    kind: str
    got_ms: int
    last_ms: int
    place: str
    hamlet: str
    lat: float | None
    lon: float | None
    measured: bool
    text: str
    phone: str
    state: str
    head: int | None
    n: int
    reason: str
    done_ms: int | None
    told: int  # how many of it the alerts' room knows


class Answered(msgspec.Struct, frozen=True):
    """When a report of a hamlet was sent, and when somebody had judged it; None: not yet."""

    hamlet: str
    got_ms: int
    done_ms: int | None


def kept(row: Sequence[Any]) -> Kept:
    """Return the report of a row of ROW."""
    return Kept(**dict(zip(_COLUMNS, row, strict=True)) | {"measured": bool(row[9])})


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    if not path.exists():
        yield None
        return
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)) as db:
        yield db if form_of(db, path, FORM) else None


def by_receipt(path: Path, code: str) -> tuple[Kept, Kept] | None:
    """Return a report and its head (itself, where it is one) by its receipt; None of none."""
    with _reading(path) as db:
        row = db.execute(f"{ROW} WHERE code = ?", (code,)).fetchone() if db else None
        if db is None or row is None:
            return None
        one = kept(row)
        above = db.execute(f"{ROW} WHERE id = ?", (one.head,)).fetchone() if one.head else row
    return one, kept(above or row)


def waiting(path: Path, most: int) -> list[Kept]:
    """Return the heads that nobody has judged: fires first, the newest first of each."""
    query = f"{ROW} WHERE head IS NULL AND state = 'new' ORDER BY kind != 'fire', last_ms DESC LIMIT ?"
    with _reading(path) as db:
        return [kept(row) for row in db.execute(query, (most,))] if db else []


def count_waiting(path: Path) -> int:
    """Return how many heads nobody has judged."""
    query = "SELECT count(*) FROM report WHERE head IS NULL AND state = 'new'"
    with _reading(path) as db:
        return int(db.execute(query).fetchone()[0]) if db else 0


def judged(path: Path, most: int) -> list[tuple[Kept, str]]:
    """Return what was judged last, and by whom, the newest first."""
    with _reading(path) as db:
        rows = db.execute(f"{_JUDGED} ORDER BY act.id DESC LIMIT ?", (most,)).fetchall() if db else []
    return [(kept(row[:-1]), str(row[-1])) for row in rows]


def answered(path: Path, since_ms: int) -> list[Answered]:
    """Return the heads of a time and when each was judged; what was withdrawn asks for no answer."""
    query = """SELECT hamlet, got_ms, done_ms FROM report
    WHERE head IS NULL AND hamlet != '' AND state != 'withdrawn' AND got_ms >= ?"""
    with _reading(path) as db:
        return [Answered(*row) for row in db.execute(query, (since_ms,))] if db else []
