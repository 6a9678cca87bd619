"""phones.db: when each account was heard last, and what was refused of it by reason. The coverage room writes it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from cloud.access.book import reading
from disk import form

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NAME = "phones.db"
_STEPS = (
    """CREATE TABLE heard (user TEXT PRIMARY KEY, last_ms INTEGER NOT NULL, messages INTEGER NOT NULL,
    samples INTEGER NOT NULL, refused TEXT NOT NULL) STRICT, WITHOUT ROWID""",
)
_ADD = """INSERT INTO heard VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET last_ms = max(last_ms, excluded.last_ms),
messages = messages + excluded.messages, samples = samples + excluded.samples, refused = excluded.refused"""


class Heard(NamedTuple):
    """What came of one account since the book began: the last time (UTC ms), messages, samples, refusals by reason."""

    user: str
    last_ms: int
    messages: int
    samples: int
    refused: dict[str, int]


class Book:
    """The file as its one writer has it. It can be made anew: one that is damaged is set aside."""

    def __init__(self, path: Path) -> None:
        self._db = form.opened_anew(path, _STEPS)

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._db.close()

    def add(self, news: Iterable[Heard]) -> None:
        """Add what came since the last time. Raises sqlite3.Error."""
        with form.whole(self._db) as db:
            for one in news:
                row = db.execute("SELECT refused FROM heard WHERE user = ?", (one.user,)).fetchone()
                before = _refused(row[0]) if row else {}
                now = {why: before.get(why, 0) + one.refused.get(why, 0) for why in before | one.refused}
                text = msgspec.json.encode(now, order="sorted").decode()
                db.execute(_ADD, (one.user, one.last_ms, one.messages, one.samples, text))


def heard(path: Path) -> dict[str, Heard]:
    """Return what came of each account; nothing where there is no book. Raises sqlite3.Error."""
    if not path.exists():
        return {}
    with closing(reading(path)) as db:
        if not form.form_of(db, path, len(_STEPS)):
            return {}
        rows = db.execute("SELECT user, last_ms, messages, samples, refused FROM heard").fetchall()
    return {row[0]: Heard(row[0], row[1], row[2], row[3], _refused(row[4])) for row in rows}


def _refused(text: str) -> dict[str, int]:
    try:
        return msgspec.json.decode(text, type=dict[str, int])
    except msgspec.DecodeError as error:
        raise form.rotten(f"refusals are none: {error}") from error
