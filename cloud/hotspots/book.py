"""hotspots.db: every hotspot once, however often it is listed; and when FIRMS was asked last, and what it said.

The alerts room writes it, and `gocche hotspots import` beside it; others read it while they do.
"""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from cloud.hotspots.fires import distance_km
from cloud.hotspots.firms import Hotspot
from disk import form
from disk.form import form_of, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

NAME = "hotspots.db"
KEPT_MS = 400 * 86_400_000
_STEPS = (
    """CREATE TABLE hotspot (seen_ms INTEGER NOT NULL, lat REAL NOT NULL, lon REAL NOT NULL, satellite TEXT NOT NULL,
    instrument TEXT NOT NULL, confidence TEXT NOT NULL, frp_mw REAL, day INTEGER, got_ms INTEGER NOT NULL,
    PRIMARY KEY (seen_ms, lat, lon, satellite, instrument)) WITHOUT ROWID;
    CREATE TABLE asked (source TEXT PRIMARY KEY, ok_ms INTEGER NOT NULL, tried_ms INTEGER NOT NULL, why TEXT NOT NULL)
    WITHOUT ROWID""",
)
_PUT = "INSERT OR IGNORE INTO hotspot VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_SINCE = """SELECT lat, lon, seen_ms, satellite, instrument, confidence, frp_mw, day FROM hotspot
WHERE seen_ms >= ? AND lat BETWEEN ? AND ? AND lon BETWEEN ? AND ? ORDER BY seen_ms DESC LIMIT ?"""
_ASKED = """INSERT INTO asked VALUES (:source, :ok_ms, :tried_ms, :why) ON CONFLICT DO UPDATE SET
ok_ms = max(ok_ms, excluded.ok_ms), tried_ms = excluded.tried_ms, why = excluded.why"""
MOST = 5_000  # that are read at once


class Asked(NamedTuple):
    """When a source was asked: the last time with success (0: never), the last time at all, and why not."""

    source: str
    ok_ms: int
    tried_ms: int
    why: str


class Book:
    """The file as a writer has it, in one thread."""

    def __init__(self, path: Path) -> None:
        self._db = form.opened_anew(path, _STEPS)

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._db.close()

    def put(self, source: str, hotspots: Iterable[Hotspot], now_ms: int, known_ms: int | None = None) -> int:
        """Keep what a source said, all or nothing; return how many of it are new.

        `known_ms` is up to when it knows anything, now where it has just been asked.
        """
        rows = [
            (one.seen_ms, one.lat, one.lon, one.satellite, one.instrument, one.confidence, one.frp_mw, one.day, now_ms)
            for one in hotspots
        ]
        with whole(self._db):
            before = self._db.total_changes
            self._db.executemany(_PUT, rows)
            new = self._db.total_changes - before
            self._db.execute("DELETE FROM hotspot WHERE seen_ms < ?", (now_ms - KEPT_MS,))
            self._db.execute(_ASKED, {"source": source, "ok_ms": known_ms or now_ms, "tried_ms": now_ms, "why": ""})
        return new

    def failed(self, source: str, why: str, now_ms: int) -> None:
        """Keep that a source could not be asked, and why."""
        with whole(self._db):
            self._db.execute(_ASKED, {"source": source, "ok_ms": 0, "tried_ms": now_ms, "why": why})


class Box(NamedTuple):
    """Degrees within which somebody asks."""

    south: float = -90.0
    north: float = 90.0
    west: float = -180.0
    east: float = 180.0


def since(path: Path, since_ms: int, box: Box = Box(), *, most: int = MOST, wait_s: float = 1.0) -> list[Hotspot]:  # noqa: B008 - it is frozen
    """Return the hotspots since a time, the newest first; none where there is no book. Raises sqlite3.Error.

    What others hold the book for is waited for as long as is said.
    """
    with closing(_reading(path, wait_s)) as db:
        rows = db.execute(_SINCE, (since_ms, *box, most)).fetchall() if db else []
    return [
        Hotspot(lat, lon, seen_ms, satellite, instrument, confidence, frp_mw, None if day is None else bool(day))
        for lat, lon, seen_ms, satellite, instrument, confidence, frp_mw, day in rows
    ]


def near(
    path: Path, lat: float, lon: float, km: float, since_ms: int, *, wait_s: float = 1.0
) -> list[tuple[float, Hotspot]]:
    """Return (km away, hotspot) of those around a point since a time, the nearest first. Raises sqlite3.Error."""
    around = since(path, since_ms, around_point(lat, lon, km), wait_s=wait_s)
    found = [(distance_km(lat, lon, one.lat, one.lon), one) for one in around]
    return sorted((one for one in found if one[0] <= km), key=lambda one: (one[0], -one[1].seen_ms))


def around_point(lat: float, lon: float, km: float) -> Box:
    """Return what holds all that is so near; all the way round where it would pass a pole or the date line."""
    span = math.degrees(km / 6371.0) + 1e-6
    widest = abs(lat) + span
    wide = span / math.cos(math.radians(widest)) if widest < 90 else 360.0
    if abs(lon) + wide > 180:
        return Box(lat - span, lat + span)
    return Box(lat - span, lat + span, lon - wide, lon + wide)


def asked(path: Path) -> Sequence[Asked]:
    """Return when each source was asked. Raises sqlite3.Error."""
    with closing(_reading(path, 1.0)) as db:
        rows = db.execute("SELECT source, ok_ms, tried_ms, why FROM asked ORDER BY source").fetchall() if db else []
    return [Asked(*row) for row in rows]


class _Nothing:
    """What is read where there is no book yet."""

    def __bool__(self) -> bool:
        return False

    def execute(self, *_: object) -> sqlite3.Cursor:
        raise LookupError("there is no book")

    def close(self) -> None:
        pass


def _reading(path: Path, wait_s: float) -> sqlite3.Connection | _Nothing:
    if not path.exists():
        return _Nothing()
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=wait_s)
    try:
        return db if form_of(db, path, len(_STEPS)) else _closed(db)
    except BaseException:
        db.close()
        raise


def _closed(db: sqlite3.Connection) -> _Nothing:
    db.close()
    return _Nothing()
