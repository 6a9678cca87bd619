"""The level of a zone now, for who looks for smoke more closely where it is dry: unknown wherever it is doubtful.

It is the higher of ours and of that which the forest rangers published.
"""

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
    from cloud.danger.levels import Level
    from cloud.registry import Current, Registry
    from cloud.registry.kinds import Zone

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
        may be higher, unless the published level is as high; or where the book cannot be read; and nothing was
        published for it.
        """
        now_ms = self._clock.utc_ms()
        known = self._known.get(area)
        if known is None or not known[0] <= now_ms < known[0] + AGAIN_MS:
            known = self._known[area] = now_ms, self._read(area, now_ms)
        return known[1]

    def _read(self, area: str, now_ms: int) -> int | None:
        kind, _, code = area.partition(":")
        registry = self._current.now
        zone = registry.zones.get(code) if kind == "zone" else None
        if zone is None:
            return None
        official = registry.official_levels.on(zone, hanoi(now_ms).date())
        own = self._own(registry, zone, now_ms)
        if own is None or (official and official.number >= own.number):
            return official.number if official else None
        return None if own.at_least and own.number < 4 else own.number

    def _own(self, registry: Registry, zone: Zone, now_ms: int) -> Level | None:
        try:
            day = newest(self._path, [zone.code], hanoi(now_ms).date()).get(zone.code)
        except (sqlite3.Error, OSError, Taken):
            return None
        if day is None or hanoi(now_ms).date() - day.day > FRESH:
            return None
        return verdict(day, registry.danger_tables.on(zone, day.day)).level
