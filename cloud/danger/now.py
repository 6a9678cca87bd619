"""The level of a zone now, for who looks for smoke more closely where it is dry: unknown wherever it is doubtful."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING

from cloud.clock import hanoi
from cloud.danger.book import newest
from cloud.danger.levels import verdict
from settings.words import Taken

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.clock import Clock
    from cloud.registry import Current

AGAIN_MS = 600_000
FRESH = timedelta(days=1)  # a day is computed after its noon


class Now:
    """Reads the book at most each ten minutes a zone."""

    def __init__(self, path: Path, current: Current, clock: Clock) -> None:
        self._path, self._current, self._clock = path, current, clock
        self._known: dict[str, tuple[int, int | None]] = {}

    def level(self, area: str) -> int | None:
        """Return the level, 1 to 5, of an area as zone:code.

        None where nobody knows it: no table of the province, no weather, a day that is old, or a level below IV that
        may be higher; and where the book cannot be read.
        """
        now_ms = self._clock.utc_ms()
        known = self._known.get(area)
        if known is None or not known[0] <= now_ms < known[0] + AGAIN_MS:
            known = self._known[area] = now_ms, self._read(area, now_ms)
        return known[1]

    def _read(self, area: str, now_ms: int) -> int | None:
        kind, _, code = area.partition(":")
        zone = self._current.now.zones.get(code) if kind == "zone" else None
        if zone is None:
            return None
        try:
            day = newest(self._path, [code], hanoi(now_ms).date()).get(code)
        except (sqlite3.Error, OSError, Taken):
            return None
        if day is None or hanoi(now_ms).date() - day.day > FRESH:
            return None
        level = verdict(day, self._current.now.danger_tables.on(zone, day.day)).level
        if level is None or (level.at_least and level.number < 4):
            return None
        return level.number
