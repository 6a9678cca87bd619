"""bulletins.db: what was said of each zone at 14:00, word for word, and when; kept for good and never made anew.

A day's numbers change when late data come; what people were told does not. One thread writes the file, others read it.
"""

from __future__ import annotations

import logging
import sqlite3
import zlib
from contextlib import closing
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from cloud.clock import hanoi
from cloud.danger.bulletin import Bulletin
from disk import form
from disk.form import form_of, whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

log = logging.getLogger(__name__)
NAME = "bulletins.db"
_STEPS = (
    """CREATE TABLE issue (id INTEGER PRIMARY KEY AUTOINCREMENT, day TEXT NOT NULL, at_ms INTEGER NOT NULL,
    ahead INTEGER NOT NULL DEFAULT 0);
    CREATE UNIQUE INDEX issue_day ON issue (day) WHERE NOT ahead;
    CREATE TABLE said (issue INTEGER NOT NULL, zone TEXT NOT NULL, row BLOB NOT NULL, PRIMARY KEY (issue, zone))""",
)
DUE_H = 14  # of Vietnam
ON_TIME_MIN = 15  # minutes after it that are still called so
_ISSUE = "SELECT id, at_ms FROM issue WHERE day = ? AND NOT ahead"


class Rotten(sqlite3.DatabaseError):
    """A row is no bulletin: it rotted, or somebody else wrote it."""


class Published(msgspec.Struct, frozen=True):
    """The level, 1 to 5, that the forest rangers had published, and where it was read."""

    level: int
    source: str


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was said of a zone: its bulletin in both languages, and the one to be read aloud.

    `level` is 1 to 5, None where none was named; `at_least`: or higher.
    """

    zone: str
    name_vi: str
    name_en: str
    vi: Bulletin
    en: Bulletin
    aloud: str
    level: int | None = None
    at_least: bool = False
    todo_vi: tuple[str, ...] = ()
    todo_en: tuple[str, ...] = ()
    official: Published | None = None

    @property
    def worst(self) -> int:
        """Return the higher of both levels, 0 where there is none: what to do is said for it."""
        return max(self.level or 0, self.official.level if self.official else 0)


_decoder = msgspec.json.Decoder(Said)


def _encode(said: Said) -> bytes:
    return zlib.compress(msgspec.json.encode(said))


def _decode(row: bytes) -> Said:
    try:
        return _decoder.decode(zlib.decompress(row))
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
        raise Rotten(f"a row of {NAME} cannot be read: {error}") from error


class Issue(NamedTuple):
    """The bulletins of a day, by zone, and when they were made. Numbers only grow, as long as the file lasts."""

    number: int
    day: date
    at_ms: int
    said: dict[str, Said]

    @property
    def time(self) -> datetime:
        """Return the time of Vietnam that they bear."""
        return bears(self.at_ms)


def bears(at_ms: int) -> datetime:
    """Return the time that a bulletin bears: 14:00, where it was made hardly later."""
    made = hanoi(at_ms).replace(second=0, microsecond=0)
    return made.replace(minute=0) if made.hour == DUE_H and made.minute < ON_TIME_MIN else made


class Shelf:
    """The file as its one writer has it; one that is damaged is set aside, and a new one begun.

    Raises Taken, sqlite3.Error.
    """

    def __init__(self, path: Path) -> None:
        self._db = form.opened_anew(path, _STEPS)

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._db.close()

    def issued(self, most: int) -> list[tuple[date, int]]:
        """Return the newest days that were told, and when, the newest first."""
        query = "SELECT day, at_ms FROM issue WHERE NOT ahead ORDER BY day DESC LIMIT ?"
        return [(date.fromisoformat(day), at_ms) for day, at_ms in self._db.execute(query, (most,))]

    def has(self, day: date) -> bool:
        """Tell whether a day was told."""
        return self._db.execute(_ISSUE, (day.isoformat(),)).fetchone() is not None

    def was_ahead(self, today: date) -> None:
        """Note that what was told of days to come was told by a clock that was ahead: when they come, they are told."""
        self._db.execute("UPDATE issue SET ahead = 1 WHERE day > ? AND NOT ahead", (today.isoformat(),))

    def put(self, day: date, at_ms: int, said: Sequence[Said]) -> None:
        """Keep the bulletins of a day that was not told: all or none. What was told of later days `was_ahead`."""
        with whole(self._db):
            self.was_ahead(day)
            new = "INSERT INTO issue (day, at_ms) VALUES (?, ?)"
            number = self._db.execute(new, (day.isoformat(), at_ms)).lastrowid
            rows = [(number, one.zone, _encode(one)) for one in said]
            self._db.executemany("INSERT INTO said VALUES (?, ?, ?)", rows)


def of_day(path: Path, day: date) -> Issue | None:
    """Return what was said of a day, None where nothing was. Raises sqlite3.Error, Taken.

    A zone whose row cannot be read is left out, which is logged; Rotten where that is all of them.
    """
    if not path.exists():
        return None
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)) as db:
        if not form_of(db, path, len(_STEPS)):
            return None
        found = db.execute(_ISSUE, (day.isoformat(),)).fetchone()
        if found is None:
            return None
        rows = db.execute("SELECT zone, row FROM said WHERE issue = ? ORDER BY zone", (found[0],)).fetchall()
    said, rotten = dict[str, Said](), dict[str, Rotten]()
    for zone, row in rows:
        try:
            said[zone] = _decode(row)
        except Rotten as error:
            rotten[zone] = error
            log.error("bulletin-rotten day=%s zone=%s why=%r", day, zone, str(error))  # noqa: TRY400 - it is named
    if rotten and not said:
        raise next(iter(rotten.values()))
    return Issue(found[0], day, found[1], said)
