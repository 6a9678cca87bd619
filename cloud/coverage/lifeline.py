"""From where somebody of a hamlet can call, as far as anybody has measured: by network, the nearest place. Pure.

Nothing is claimed beyond the cells that were judged to have service: no model, no neighbour's cell. Distances are as
the crow flies, from the hamlet's point to the middle of a cell: a path in the hills is longer, and nobody knows by how
much. A cell of the sheet of all networks counts only where it is nearer than each network's own: there somebody's
network answers, and be it emergency calls alone.

Cells are sorted into larger ones once, so a hamlet looks at those around it and not at a whole province.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import h3.api.basic_int as h3

from cloud.coverage.seam import COVERED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloud.coverage.seam import Judged
    from cloud.coverage.shelf import Sheet

FAR_M = 25_000.0  # farther away nobody goes to call
AROUND_M = 2_000.0  # within which somebody must have measured to know anything of a hamlet
OLD_MS = 180 * 86_400_000  # after which what was measured is said to be old
NEARER_M = 300.0  # by which a cell of nobody's network must be nearer to be told of
_COARSE = 6  # H3 resolution of the larger cells, 6 km across; smaller ones stick out of them a little
_STEP_M = 3_500.0  # by which a ring of them leads further at least
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


class _Cells:
    """Judged cells by the larger cell that they lie in."""

    def __init__(self) -> None:
        self._by: dict[int, list[tuple[float, float, Judged]]] = {}

    def add(self, one: Judged) -> None:
        self._by.setdefault(h3.cell_to_parent(one.cell, _COARSE), []).append((*h3.cell_to_latlng(one.cell), one))

    def nearest(self, lat: float, lon: float, far_m: float) -> tuple[float, int, Judged] | None:
        """Return (metres, bearing, cell) of the one whose middle is nearest, None where all are farther away."""
        best: tuple[float, int, Judged] | None = None
        if not self._by:
            return None
        own = h3.latlng_to_cell(lat, lon, _COARSE)
        for ring in range(math.ceil(far_m / _STEP_M) + 2):
            if best is not None and best[0] <= (ring - 1) * _STEP_M:
                break  # whatever is in this ring is farther
            for larger in h3.grid_ring(own, ring):
                for there_lat, there_lon, one in self._by.get(larger, ()):
                    away_m, bearing = _away(lat, lon, there_lat, there_lon)
                    if away_m <= far_m and (best is None or (away_m, one.cell) < (best[0], best[2].cell)):
                        best = away_m, bearing, one
        return best


class Lifelines:
    """The sheets of now, ready to be asked about one hamlet after another. `invented`: some were measured by nobody."""

    def __init__(self, sheets: Iterable[Sheet], *, invented: bool = False) -> None:
        self.invented = invented
        self._covered: dict[int, _Cells] = {}
        self._measured = _Cells()
        self._nr: set[int] = set()
        self._asked: dict[tuple[float, float], tuple[list[Lifeline], bool]] = {}  # hamlets are few, and asked often
        for sheet in sheets:
            self._take(sheet)

    def _take(self, sheet: Sheet) -> None:
        for one in sheet.cells:
            if sheet.layer == "phone" and one.state != "unmeasured":
                self._measured.add(one)
            if one.state in COVERED and sheet.layer == "phone":
                self._covered.setdefault(sheet.plmn, _Cells()).add(one)
            elif one.state in COVERED and sheet.layer == "5g":
                self._nr.add(one.cell)

    def of(self, lat: float, lon: float) -> tuple[list[Lifeline], bool]:
        """Return the nearest covered cell of each network, the nearest first; and whether anybody has measured around.

        Without that nothing is known of a hamlet at all.
        """
        if (lat, lon) not in self._asked:
            measured = self._measured.nearest(lat, lon, AROUND_M) is not None
            self._asked[lat, lon] = self._lines(lat, lon), measured
        return self._asked[lat, lon]

    def _lines(self, lat: float, lon: float) -> list[Lifeline]:
        found = {plmn: line for plmn in self._covered if (line := self._nearest(lat, lon, plmn))}
        anybody = found.pop(0, None)
        lines = sorted(found.values(), key=lambda one: (one.distance_m, one.plmn))
        if anybody and (not lines or anybody.distance_m < lines[0].distance_m - NEARER_M):
            lines.insert(0, anybody)
        return lines

    def _nearest(self, lat: float, lon: float, plmn: int) -> Lifeline | None:
        found = self._covered[plmn].nearest(lat, lon, FAR_M)
        if found is None:
            return None
        away_m, bearing, one = found
        within = h3.latlng_to_cell(lat, lon, h3.get_resolution(one.cell)) == one.cell
        return Lifeline(
            plmn, one.state, _rounded(away_m), bearing, one.last_ms, one.moments, one.rsrp_dbm, within,
            one.cell in self._nr,
        )  # fmt: skip


def _away(lat: float, lon: float, there_lat: float, there_lon: float) -> tuple[float, int]:
    north, east = there_lat - lat, (there_lon - lon) * math.cos(math.radians(lat))
    return math.hypot(north, east) * _A_DEGREE_M, round(math.degrees(math.atan2(east, north))) % 360


def _rounded(metres: float) -> int:
    """Return a distance no finer than it is known: the cell is some 350 m wide."""
    return round(metres / 100) * 100
