"""Points of boards: a day of danger, and the signal of each hamlet as its modem said it last, where that is of now.

A hamlet whose modem is silent gives no point: a blank on a board is "not measured".
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from cloud.clock import hanoi, midnight_ms
from cloud.coverage.hamlets import hamlets
from cloud.danger.levels import coded as coded_level
from cloud.danger.levels import verdict
from cloud.panels.coverage import STATES, coded
from cloud.store import Shown
from cloud.stream.latest import Latest

if TYPE_CHECKING:
    from cloud.coverage.hamlets import HamletRow
    from cloud.coverage.scale import Scale
    from cloud.danger.course import Day
    from cloud.registry import HamletNow, Registry
    from cloud.registry.kinds import Zone
    from cloud.store import Store

NOON_MS = 13 * 3_600_000  # of the day: a level is of 13:00


def of_day(day: Day, zone: Zone, registry: Registry) -> Shown:
    """Return the point of a day of a zone; a figure that the day lacks is left out."""
    told = {
        "p": day.after.p if day.has_p else None,
        "fwi": day.indices.fwi if day.indices else None,
        "ffmc_peak": day.peak,
        "level": coded_level(verdict(day, registry.danger_tables.on(zone, day.day))),
    }
    figures = {name: value for name, value in told.items() if value is not None}
    at_ns = (midnight_ms(day.day) + NOON_MS) * 10**6
    return Shown("danger", {"zone": zone.code}, at_ns, figures, {"name": zone.name_vi})


def signal(store: Store, registry: Registry, now_ms: int, scale: Scale) -> list[Shown]:
    """Return a point for each hamlet, of the time at which it was measured. Raises Retry."""
    latest, today = Latest(), hanoi(now_ms).date()
    latest.fill(store)
    rows = hamlets(registry, latest, now_ms, scale, {})
    named = Counter(row.name for row in rows)
    return [
        _shown(row, hamlet, row.name if named[row.name] == 1 else f"{row.name} ({row.commune}, {row.code})")
        for row in rows
        if row.state in STATES and (hamlet := registry.hamlet(row.code, today)) is not None
    ]


def _shown(row: HamletRow, hamlet: HamletNow, name: str) -> Shown:
    figures = {"state": float(coded(row.state)), "lat": hamlet.lat, "lon": hamlet.lon}
    if row.rsrp_dbm is not None:
        figures["rsrp"] = row.rsrp_dbm
    return Shown("hamlet", {"hamlet": name}, (row.time_ms or 0) * 10**6, figures, {"commune": row.commune})
