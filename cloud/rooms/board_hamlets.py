"""The signal of each hamlet as boards show it: what its modem said last, where that is of now.

A hamlet whose modem is silent gives no point: a blank on a board is "not measured".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.clock import hanoi
from cloud.coverage.hamlets import hamlets
from cloud.coverage.scale import Scale
from cloud.panels.coverage import STATES, coded
from cloud.store import Shown
from cloud.stream.latest import Latest

if TYPE_CHECKING:
    from cloud.coverage.hamlets import HamletRow
    from cloud.registry import HamletNow, Registry
    from cloud.store import Store


def signal(store: Store, registry: Registry, now_ms: int) -> list[Shown]:
    """Return a point for each hamlet, of the time at which it was measured. Raises Retry."""
    latest, today = Latest(), hanoi(now_ms).date()
    latest.fill(store)
    rows = hamlets(registry, latest, now_ms, Scale(), {})
    return [
        _shown(row, hamlet)
        for row in rows
        if row.state in STATES and (hamlet := registry.hamlet(row.code, today)) is not None
    ]


def _shown(row: HamletRow, hamlet: HamletNow) -> Shown:
    figures = {"state": float(coded(row.state)), "lat": hamlet.lat, "lon": hamlet.lon}
    if row.rsrp_dbm is not None:
        figures["rsrp"] = row.rsrp_dbm
    return Shown("hamlet", {"hamlet": row.name}, (row.time_ms or 0) * 10**6, figures, {"commune": row.commune})
