"""Zones whose fire danger is a warning today: level IV or V, which is only one by the table of a province."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.cap.course import Danger, Sender, danger
from cloud.cap.message import Area
from cloud.clock import DAY_MS, hanoi, midnight_ms
from cloud.danger.book import NAME as DANGER
from cloud.danger.book import newest
from cloud.danger.levels import verdict

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.cap.message import Alert
    from cloud.registry import Registry
    from cloud.registry.kinds import Zone

ISSUED_MS = 14 * 3_600_000  # of a day: when its bulletin is read
ZONE_KM = 1.0
__all__ = ["DANGER", "levels"]


def levels(book: Path, registry: Registry, sender: Sender, now_ms: int) -> list[Alert]:
    """Return the warnings of danger that are in force: zones at level IV or V, from 14:00 until that of the next day.

    Raises sqlite3.Error.
    """
    found = []
    for code, day in newest(book, list(registry.zones), hanoi(now_ms - ISSUED_MS).date()).items():
        zone = registry.zones[code]
        issued_ms = midnight_ms(day.day) + ISSUED_MS
        level = verdict(day, registry.danger_tables.on(zone, day.day)).level
        if level is None or level.number < 4 or not issued_ms <= now_ms < issued_ms + DAY_MS:
            continue
        told = Danger(
            code,
            {"vi": zone.name_vi, "en": zone.name_en},
            "IV" if level.number == 4 else "V",
            issued_ms,
            issued_ms + DAY_MS,
            day.after.p,
            level.table.decision,
            _zone_area(zone),
        )
        found.append(danger(told, sender))
    return found


def _zone_area(zone: Zone) -> Area:
    """Return where a zone is: its outline, closed, or a circle around its point."""
    if len(zone.outline) >= 3:
        return Area(polygons=((*zone.outline, zone.outline[0]),))
    return Area(circles=((zone.lat, zone.lon, ZONE_KM),))
