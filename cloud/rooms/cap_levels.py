"""Zones whose fire danger is a warning today: level IV or V, which is only one by the table of a province."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from cloud.cap.course import Danger, Sender, danger_notice, danger_subject
from cloud.cap.message import Area
from cloud.clock import DAY_MS, hanoi, midnight_ms
from cloud.danger.book import NAME as DANGER
from cloud.danger.book import newest
from cloud.danger.levels import verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from cloud.cap.course import Notice
    from cloud.danger.levels import Verdict
    from cloud.registry import Registry
    from cloud.registry.kinds import Zone

ISSUED_MS = 14 * 3_600_000  # of a day: when its bulletin is read
ZONE_KM = 1.0
__all__ = ["DANGER", "levels"]


def levels(
    book: Path, registry: Registry, sender: Sender, now_ms: int, going: Collection[str], pages: str
) -> Iterator[Notice]:
    """Yield what is to be said of danger: zones at level IV or V, from 14:00 until that of the next day.

    Also of zones that are so no more, where that is one of the subjects that are `going`; of a day that is not known
    any more nothing is said. `pages` is where the world reads of it. Raises sqlite3.Error, Taken.
    """
    for code, day in newest(book, list(registry.zones), hanoi(now_ms - ISSUED_MS).date()).items():
        zone = registry.zones[code]
        issued_ms = midnight_ms(day.day) + ISSUED_MS
        if not issued_ms <= now_ms < issued_ms + DAY_MS:
            continue
        found = verdict(day, registry.danger_tables.on(zone, day.day))
        level = _level(found)
        if level is None or (not level and danger_subject(code, day.day) not in going):
            continue
        told = Danger(
            code,
            {"vi": zone.name_vi, "en": zone.name_en},
            level,
            issued_ms,
            issued_ms + DAY_MS,
            day.after.p,
            found.level.table.decision if found.level else "",
            _zone_area(zone),
            web=f"{pages}/nguy-co/{code}" if pages else "",
            lapsed=found.why == "no_table",
        )
        yield danger_notice(told, sender)


def _level(found: Verdict) -> Literal["IV", "V", ""] | None:
    """Return the level that is a warning, "" for one that is none or has no law any more; None where nobody knows."""
    if found.level is None:
        return "" if found.why == "no_table" else None
    return {4: "IV", 5: "V"}.get(found.level.number, "")  # type: ignore[return-value]


def _zone_area(zone: Zone) -> Area:
    """Return where a zone is: its outline, closed, or a circle around its point."""
    if len(zone.outline) >= 3:
        return Area(polygons=((*zone.outline, zone.outline[0]),))
    return Area(circles=((zone.lat, zone.lon, ZONE_KM),))
