"""Whether a satellite saw something hot where smoke is suspected: asked while an incident is judged.

So it waits for nothing and raises nothing: a book that is not there, is held by somebody or is damaged says that
nothing was seen, which raises no incident; that it could not be read is counted and said.

What counts is `RECENT_MS` old at most, by when the satellite passed and not by when the list came: the satellites pass
in two bunches a day, so half a day holds one of them, and pixels as far apart are one fire in every list of ours. FIRMS
knows of a pass some three hours later, and is asked each half hour: what was seen is rarely younger than that. A pixel
of low confidence does not count: by day these are mostly the sun's glint (FIRMS FAQ).
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from cloud.hotspots.book import near, since
from cloud.hotspots.fires import TOGETHER_MS
from settings.words import Refused

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)
RADIUS_KM = 3.0
RECENT_MS = TOGETHER_MS
FAR_MS = 2**60  # no satellite has seen anything since


class Sight(msgspec.Struct, frozen=True):
    """What a satellite saw: how far from the point that was asked about, which satellite, when it passed (UTC)."""

    km: float
    satellite: str
    instrument: str
    seen_ms: int
    confidence: str
    lat: float
    lon: float


class Lookout:
    """Asks the book, from any thread. `why` says what keeps it from being read, `failed` how often it could not."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.failed = 0
        self.why = ""

    def near(self, lat: float, lon: float, now_ms: int) -> Sight | None:
        """Return what was seen nearest to a point within RADIUS_KM and RECENT_MS, the newest of these; else None."""
        try:
            found = near(self._path, lat, lon, RADIUS_KM, now_ms - RECENT_MS, wait_s=0.0)
        except (sqlite3.Error, OSError, Refused) as error:
            self._lost(f"{self._path.name}: {error}")
            return None
        self._readable()
        sure = [(km, one) for km, one in found if one.confidence != "low"]
        if not sure:
            return None
        km, one = sure[0]
        return Sight(round(km, 2), one.satellite, one.instrument, one.seen_ms, one.confidence, one.lat, one.lon)

    def still(self) -> str:
        """Return what keeps the book from being read, tried anew: the next suspicion may be months away."""
        if self.why:
            with suppress(sqlite3.Error, OSError, Refused):
                since(self._path, FAR_MS, wait_s=0.0)
                self._readable()
        return self.why

    def _readable(self) -> None:
        if self.why:
            log.info("hotspots-readable failed=%d", self.failed)
            self.why = ""

    def _lost(self, why: str) -> None:
        self.failed += 1
        if not self.why:
            log.warning("hotspots-unreadable why=%r", why)
        self.why = why
