"""Where to walk next: cells near households that nobody has measured, that are uncertain, or visited long ago."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import h3.api.basic_int as h3
import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cloud.coverage.seam import Judged
    from cloud.registry import HamletNow

NEAR_M = 2_000.0  # farther from a hamlet nobody is sent
DECAY_M = 700.0  # households count half at about 500 m
WHOLE_DAYS = 365.0  # a visit of a year ago weighs as much as none at all
UNCERTAIN_DAYS = 180.0  # a visit that left it open is worth as little as one half a year ago
LATELY_DAYS = 30.0
_DAY_MS = 86_400_000


class Next(msgspec.Struct, frozen=True):
    """One cell to visit: why (unmeasured, few moments, uncertain, old), how urgent (1 is the first), from which hamlet.

    `distance_m` and `bearing` (degrees from north) lead from the hamlet's point to the middle of the cell, as the crow
    flies. `households` is the hamlet's number, None where nobody has counted: it weighs as one household then.
    """

    cell: int
    why: str
    score: float
    hamlet: str
    distance_m: int
    bearing: int
    households: int | None
    last_ms: int | None


def walk_next(
    cells: Sequence[Judged], hamlets: Iterable[HamletNow], now_ms: int, res: int = 9, most: int = 20
) -> list[Next]:
    """Return up to `most` cells of a resolution, the most urgent first.

    The score is the age of the last visit in days (at most a year, which is also that of no visit) times the households
    around, each weighed by exp(-distance / 700 m). `cells` are the sheet of now in that resolution. Cells that were
    visited within a month and are decided are left out.
    """
    judged = {one.cell: one for one in cells}
    weight: dict[int, float] = {}
    nearest: dict[int, tuple[float, HamletNow]] = {}
    rings = math.ceil(NEAR_M / (math.sqrt(3) * h3.average_hexagon_edge_length(res, "m")))
    for hamlet in hamlets:
        for cell in h3.grid_disk(h3.latlng_to_cell(hamlet.lat, hamlet.lon, res), rings):
            away_m = _away_m(hamlet, cell)
            if away_m > NEAR_M:
                continue
            weight[cell] = weight.get(cell, 0.0) + (hamlet.households or 1) * math.exp(-away_m / DECAY_M)
            if cell not in nearest or away_m < nearest[cell][0]:
                nearest[cell] = away_m, hamlet
    found = []
    for cell, households in weight.items():
        why, days = _lacks(judged.get(cell), now_ms)
        if days < LATELY_DAYS:
            continue
        away_m, hamlet = nearest[cell]
        seen = judged.get(cell)
        found.append(
            Next(
                cell, why, days * households, hamlet.code, round(away_m), _bearing(hamlet, cell), hamlet.households,
                seen.last_ms if seen and seen.last_ms else None,
            )
        )  # fmt: skip
    found.sort(key=lambda one: (-one.score, one.cell))
    first = found[0].score if found else 1.0
    return [msgspec.structs.replace(one, score=round(one.score / first, 3)) for one in found[:most]]


def _lacks(seen: Judged | None, now_ms: int) -> tuple[str, float]:
    """Return why a cell should be visited, and how many days its last visit counts as old."""
    if seen is None or seen.state == "unmeasured":  # somebody may have been there, for too short a time
        return "few" if seen and seen.moments else "unmeasured", WHOLE_DAYS
    days = min(max(now_ms - seen.last_ms, 0) / _DAY_MS, WHOLE_DAYS)
    return ("uncertain", max(days, UNCERTAIN_DAYS)) if seen.state == "uncertain" else ("old", days)


def _away_m(hamlet: HamletNow, cell: int) -> float:
    return float(h3.great_circle_distance((hamlet.lat, hamlet.lon), h3.cell_to_latlng(cell), "m"))


def _bearing(hamlet: HamletNow, cell: int) -> int:
    lat, lon = h3.cell_to_latlng(cell)
    north, east = lat - hamlet.lat, (lon - hamlet.lon) * math.cos(math.radians(lat))
    return round(math.degrees(math.atan2(east, north))) % 360
