"""danger.db: every day of every zone, with the inputs, the start and the flags that its numbers follow from.

One room writes it, others read it while it does. A row is a `Day` as JSON, packed: a person who doubts a number
reads there what it was made of, and `gocche danger --recompute` makes each of them again.
"""

from __future__ import annotations

import logging
import sqlite3
import zlib
from contextlib import closing, contextmanager, suppress
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from cloud.danger import course
from cloud.danger.course import FIRST, Day
from cloud.danger.ground import Ground
from disk import form
from disk.form import form_of, is_damaged, set_aside, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)
NAME = "danger.db"
_STEPS = (
    """CREATE TABLE day (zone TEXT NOT NULL, day TEXT NOT NULL, limit_mm REAL NOT NULL, p REAL, fwi REAL,
    row BLOB NOT NULL, PRIMARY KEY (zone, day)) WITHOUT ROWID;
    CREATE TABLE seen (only INTEGER PRIMARY KEY CHECK (only = 1), ledger_ms INTEGER NOT NULL)""",
    """CREATE TABLE before (zone TEXT NOT NULL, day TEXT NOT NULL, until_ms INTEGER NOT NULL, why TEXT NOT NULL,
    row BLOB NOT NULL, PRIMARY KEY (zone, day, until_ms)) WITHOUT ROWID;
    CREATE TABLE ground (zone TEXT PRIMARY KEY, row BLOB NOT NULL) WITHOUT ROWID""",
)
_KEYS = {"day": ("zone", "day"), "before": ("zone", "day", "until_ms"), "ground": ("zone",)}
_PUT = "INSERT OR REPLACE INTO day VALUES (?, ?, ?, ?, ?, ?)"
_RANK = """SELECT count(fwi), sum(fwi <= :fwi) FROM day WHERE zone = :zone AND day <= :day"""
_json = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Day)
_ground = msgspec.json.Decoder(Ground)
_WHOLE = b"{"  # a row of before they were packed begins so
REASONS = ("late", "registry", "table")  # late readings, what the registry says of sensors, the limit of rain


class Rotten(sqlite3.DatabaseError):
    """A row is no day: it rotted, or somebody else wrote it."""


class Rank(NamedTuple):
    """Where an FWI stands among all days of its own site until then."""

    days: int
    at_most: int  # on so many of them it was no higher

    @property
    def percentile(self) -> int:
        """Return the share in per cent, rounded down."""
        return 100 * self.at_most // self.days if self.days else 0


class Checked(NamedTuple):
    """What came of making every kept number again."""

    days: int
    differ: list[tuple[str, date]]


class Before(NamedTuple):
    """What a day said of its zone until it was made anew, and why it was: of REASONS, apart by blanks."""

    day: Day
    until_ms: int
    why: str


class Book:
    """The file as its one writer has it, in one thread."""

    def __init__(self, path: Path) -> None:
        self._db = form.opened_anew(path, _STEPS)

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._db.close()

    @property
    def ledger_ms(self) -> int:
        """Return until when the store's ledger has been looked at for late data, 0 before the first time."""
        row = self._db.execute("SELECT ledger_ms FROM seen").fetchone()
        return int(row[0]) if row else 0

    def put(
        self,
        days: Iterable[Day],
        ledger_ms: int | None = None,
        *,
        before: Iterable[Before] = (),
        grounds: Mapping[str, Ground] | None = None,
    ) -> None:
        """Keep days, what they said before, what they stand on, and how far the ledger was read: all or nothing."""
        with whole(self._db):
            self._db.executemany(_PUT, map(_row, days))
            told = ((one.day.zone, one.day.day.isoformat(), one.until_ms, one.why, _encode(one.day)) for one in before)
            self._db.executemany("INSERT OR REPLACE INTO before VALUES (?, ?, ?, ?, ?)", told)
            stand = ((zone, _json(ground)) for zone, ground in (grounds or {}).items())
            self._db.executemany("INSERT OR REPLACE INTO ground VALUES (?, ?)", stand)
            if ledger_ms is not None:
                self._db.execute("INSERT OR REPLACE INTO seen VALUES (1, ?)", (ledger_ms,))

    def end(self, zone: str, until: date) -> date | None:
        """Return the newest day of a zone that is not after another: those are of a clock that was ahead."""
        query = "SELECT max(day) FROM day WHERE zone = ? AND day <= ?"
        (day,) = self._db.execute(query, (zone, until.isoformat())).fetchone()
        return date.fromisoformat(day) if day else None

    def forget_ahead(self, zone: str, last: date) -> None:
        """Forget the days of a zone after another that are without any number: a clock that was ahead made them."""
        ahead = "FROM day WHERE zone = ? AND day > ? AND p IS NULL AND fwi IS NULL"
        if self._db.execute(f"SELECT 1 {ahead} LIMIT 1", (zone, last.isoformat())).fetchone():
            self._db.execute(f"DELETE {ahead}", (zone, last.isoformat()))

    def unknown(self, zone: str, first: date, last: date) -> set[date]:
        """Return the days of a zone between two, both included, that there are not, or are without any number."""
        query = "SELECT day FROM day WHERE zone = ? AND day BETWEEN ? AND ? AND (p IS NOT NULL OR fwi IS NOT NULL)"
        known = {
            date.fromisoformat(day) for (day,) in self._db.execute(query, (zone, first.isoformat(), last.isoformat()))
        }
        return {first + timedelta(n) for n in range((last - first).days + 1)} - known

    def first(self, zone: str) -> date | None:
        """Return the oldest day of a zone."""
        (day,) = self._db.execute("SELECT min(day) FROM day WHERE zone = ?", (zone,)).fetchone()
        return date.fromisoformat(day) if day else None

    def grounds(self) -> dict[str, Ground]:
        """Return what the days of each zone stand on; one that cannot be read is left out, as those of before were."""
        found: dict[str, Ground] = {}
        for zone, row in self._db.execute("SELECT zone, row FROM ground"):
            with suppress(msgspec.MsgspecError, UnicodeDecodeError):
                found[zone] = _ground.decode(row)
        return found

    def limits(self, zone: str) -> list[tuple[date, float]]:
        """Return the limit of rain that each day of a zone was summed with, the oldest first."""
        rows = self._db.execute("SELECT day, limit_mm FROM day WHERE zone = ? ORDER BY day", (zone,))
        return [(date.fromisoformat(day), limit) for day, limit in rows]

    def days(self, zone: str, first: date, last: date) -> list[Day]:
        """Return the days of a zone from one to another, those that there are."""
        return days_of(self._db, zone, first, last)

    def forget_rotten(self, zone: str) -> set[date]:
        """Forget the days of a zone that cannot be read, which is logged; return them: they are to be made anew."""
        lost = set[date]()
        for day, row in self._db.execute("SELECT day, row FROM day WHERE zone = ?", (zone,)):
            try:
                _decode(row)
            except Rotten:
                lost.add(date.fromisoformat(day))
        for day in sorted(lost):
            log.error("danger-day-rotten zone=%s day=%s: it is made anew", zone, day)
            self._db.execute("DELETE FROM day WHERE zone = ? AND day = ?", (zone, day.isoformat()))
        return lost


def rescue(path: Path, error: sqlite3.Error) -> bool:
    """Set a file aside that turned out to be damaged, and begin a new one with what can be read of it.

    A damaged page ends a read: what lies before it is read forwards, what lies behind it backwards. False, and nothing
    is done, where an error says no such thing. Raises OSError, sqlite3.Error.
    """
    if not is_damaged(error):
        return False
    aside = set_aside(path)
    kept = 0
    new, old = form.opened(path, _STEPS), sqlite3.connect(f"file:{aside}?mode=ro", uri=True)
    with closing(new), closing(old), whole(new):
        for row, into in _readable(old):
            kept += new.execute(into, row).rowcount
    log.error("danger-book-damaged set_aside=%s rows_kept=%d why=%r", aside, kept, str(error))
    return True


def _readable(db: sqlite3.Connection) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Yield rows of a damaged file, each with the statement that puts it into another."""
    for table, key in _KEYS.items():
        for order in ("", " DESC"):
            with suppress(sqlite3.Error):
                for row in db.execute(f"SELECT * FROM {table} ORDER BY {', '.join(of + order for of in key)}"):  # noqa: S608
                    yield row, f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(row))})"  # noqa: S608


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield the file for reading. Raises sqlite3.Error, Taken for one of a newer gocche."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)) as db:
        form_of(db, path, len(_STEPS))
        try:
            yield db
        except sqlite3.Error as error:
            error.add_note(str(path))
            raise


def days_of(db: sqlite3.Connection, zone: str, first: date, last: date) -> list[Day]:
    """Return the days of a zone from one to another, those that there are."""
    query = "SELECT row FROM day WHERE zone = ? AND day BETWEEN ? AND ? ORDER BY day"
    return [_decode(row) for (row,) in db.execute(query, (zone, first.isoformat(), last.isoformat()))]


def newest(path: Path, zones: Sequence[str], until: date) -> dict[str, Day]:
    """Return the newest day of each zone that has one until a day; none where there is no book yet.

    A zone whose newest day cannot be read is left out, until that day is made anew: it costs no other zone anything.
    """
    if not path.exists():
        return {}
    query = "SELECT row FROM day WHERE zone = ? AND day <= ? ORDER BY day DESC LIMIT 1"
    found: dict[str, Day] = {}
    with reading(path) as db:
        for zone in zones:
            row = db.execute(query, (zone, until.isoformat())).fetchone()
            with suppress(Rotten):
                found |= {zone: _decode(row[0])} if row else {}
    return found


def past(path: Path, zone: str, days: int, until: date) -> tuple[list[Day], Rank | None]:
    """Return the newest days of a zone until a day, the oldest first, and where the newest FWI stands among all."""
    if not path.exists():
        return [], None
    query = "SELECT row FROM day WHERE zone = ? AND day <= ? ORDER BY day DESC LIMIT ?"
    with reading(path) as db:
        found = [_decode(row) for (row,) in db.execute(query, (zone, until.isoformat(), days))][::-1]
        told = next((one for one in reversed(found) if one.indices), None)
        return found, rank(db, told) if told else None


def rank(db: sqlite3.Connection, day: Day) -> Rank:
    """Return where a day's FWI stands among all days of its zone until then."""
    assert day.indices is not None
    asked = {"zone": day.zone, "day": day.day.isoformat(), "fwi": day.indices.fwi}
    count, at_most = db.execute(_RANK, asked).fetchone()
    return Rank(count, at_most or 0)


def changes(path: Path, zone: str = "") -> Iterator[tuple[Before, Day | None]]:
    """Yield what days of a zone, or of all, said before, and what they say now, in order of time."""
    if not path.exists():
        return
    query = "SELECT zone, day, until_ms, why, row FROM before WHERE :zone IN ('', zone) ORDER BY zone, day, until_ms"
    with reading(path) as db:
        for of, on, until_ms, why, row in db.execute(query, {"zone": zone}) if _has_before(db) else ():
            now = db.execute("SELECT row FROM day WHERE zone = ? AND day = ?", (of, on)).fetchone()
            yield Before(_decode(row), until_ms, why), _decode(now[0]) if now else None


def _has_before(db: sqlite3.Connection) -> bool:
    """Tell whether the file has that table: one of an older form that nobody has written to yet has not."""
    return bool(db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'before'").fetchone()[0])


def recompute(path: Path) -> Checked:
    """Make every kept day again from its kept inputs, and its start from the day before; return which differ.

    What days said before is made again as well. What differs was written by other formulas, or not by gocche: nothing
    is mended here.
    """
    differ: list[tuple[str, date]] = []
    count = 0
    with reading(path) as db:
        if _has_before(db):
            for zone, on, row in db.execute("SELECT zone, day, row FROM before"):
                count += 1
                if not _comes_again(row):
                    differ.append((zone, date.fromisoformat(on)))
        before: Day | None = None
        for zone, on, row in db.execute("SELECT zone, day, row FROM day ORDER BY zone, day"):
            count += 1
            try:
                kept = _decode(row)
            except Rotten:
                differ.append((zone, date.fromisoformat(on)))
                before = None
                continue
            follows = before is not None and (before.zone, before.day) == (kept.zone, kept.day - timedelta(1))
            start = before.after if follows and before else FIRST
            if kept != course.day(kept.zone, kept.day, start, kept.inputs, kept.limit_mm):
                differ.append((kept.zone, kept.day))
            before = kept
    return Checked(count, differ)


def _comes_again(row: bytes) -> bool:
    try:
        kept = _decode(row)
    except Rotten:
        return False
    return kept == course.day(kept.zone, kept.day, kept.before, kept.inputs, kept.limit_mm)


def _encode(day: Day) -> bytes:
    """Return a day as it is kept: below a thousand bytes, from which on SQLite gives each row a page of its own."""
    return zlib.compress(_json(day), 1)


def _decode(row: bytes) -> Day:
    try:
        return _decoder.decode(row if row[:1] == _WHOLE else zlib.decompress(row))
    except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
        raise Rotten(f"a row of {NAME} cannot be read: {error}") from error


def _row(day: Day) -> tuple[str, str, float, float | None, float | None, bytes]:
    p = day.after.p if day.has_p else None
    fwi = day.indices.fwi if day.indices else None
    return day.zone, day.day.isoformat(), day.limit_mm, p, fwi, _encode(day)
