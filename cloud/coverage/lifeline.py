"""From where somebody of a hamlet can call, as far as anybody has measured: by network, the nearest place. Pure.

Nothing is claimed beyond the cells that were judged to have service: no model, no neighbour's cell. Distances are as
the crow flies, from the hamlet's point to the middle of a cell: a path in the hills is longer, and nobody knows by how
much. A cell of the sheet of all networks counts only where it is nearer than each network's own: there somebody's
network answers, and be it emergency calls alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import h3.api.basic_int as h3

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloud.coverage.seam import Judged
    from cloud.coverage.shelf import Sheet

COVERED = frozenset({"good", "fair", "weak", "served"})
FAR_M = 25_000.0  # farther away nobody goes to call
OLD_MS = 180 * 86_400_000  # after which what was measured is said to be old
NEARER_M = 300.0  # by which a cell of nobody's network must be nearer to be told of
_A_DEGREE_M = 111_195.0


class Lifeline(NamedTuple):
    """The nearest cell with service of a network (0: of some network). `bearing` is in degrees from north.

    `nr` tells that 5G was measured there, too; what else the cell has (2G, 3G, 4G) the map does not say.
    """

    plmn: int
    state: str
    distance_m: int
    bearing: int
    last_ms: int
    moments: int
    rsrp_dbm: float | None
    within: bool  # the cell is the hamlet's own
    nr: bool = False

    def old(self, now_ms: int) -> bool:
        """Tell whether nobody has been there for half a year."""
        return now_ms - self.last_ms > OLD_MS


def lifelines(lat: float, lon: float, sheets: Iterable[Sheet]) -> list[Lifeline]:
    """Return the nearest covered cell of each network, the nearest first; `sheets` are those of now."""
    of_phones: dict[int, list[Judged]] = {}
    nr: set[int] = set()
    for sheet in sheets:
        if sheet.layer == "phone":
            of_phones.setdefault(sheet.plmn, []).extend(sheet.cells)
        elif sheet.layer == "5g":
            nr |= {one.cell for one in sheet.cells if one.state in COVERED}
    found = {plmn: line for plmn, cells in of_phones.items() if (line := _nearest(lat, lon, plmn, cells, nr))}
    anybody = found.pop(0, None)
    lines = sorted(found.values(), key=lambda one: (one.distance_m, one.plmn))
    if anybody and (not lines or anybody.distance_m < lines[0].distance_m - NEARER_M):
        lines.insert(0, anybody)
    return lines


def measured(lat: float, lon: float, sheets: Iterable[Sheet]) -> bool:
    """Tell whether anybody has measured within two kilometres at all: without, nothing is known of the hamlet."""
    return any(
        one.state != "unmeasured" and _away(lat, lon, one.cell)[0] <= 2_000 for sheet in sheets for one in sheet.cells
    )


def _nearest(lat: float, lon: float, plmn: int, cells: Iterable[Judged], nr: set[int]) -> Lifeline | None:
    covered = ((*_away(lat, lon, one.cell), one) for one in cells if one.state in COVERED)
    best = min(covered, key=lambda one: (one[0], one[2].cell), default=None)
    if best is None or best[0] > FAR_M:
        return None
    away_m, bearing, one = best
    within = h3.latlng_to_cell(lat, lon, h3.get_resolution(one.cell)) == one.cell
    return Lifeline(
        plmn, one.state, _rounded(away_m), bearing, one.last_ms, one.moments, one.rsrp_dbm, within, one.cell in nr
    )


def _away(lat: float, lon: float, cell: int) -> tuple[float, int]:
    there = h3.cell_to_latlng(cell)
    north, east = there[0] - lat, (there[1] - lon) * math.cos(math.radians(lat))
    return math.hypot(north, east) * _A_DEGREE_M, round(math.degrees(math.atan2(east, north))) % 360


def _rounded(metres: float) -> int:
    """Return a distance no finer than it is known: the cell is some 350 m wide."""
    return round(metres / 100) * 100
