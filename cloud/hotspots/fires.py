"""Hotspots to fires, and where these are: one fire that several satellites saw, or several pixels, is one. Pure.

Pixels belong together where they lie within a kilometre and half a day of each other: as far apart as two passes of
the satellites, and as MODIS is coarse. It is a chain, so a front that has moved on is still one fire.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from cloud.hotspots.firms import Hotspot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


EARTH_KM = 6371.0088  # IUGG's mean radius
TOGETHER_KM = 1.0
TOGETHER_MS = 12 * 3_600_000
_ORDER = ("low", "nominal", "high")
_CELL = TOGETHER_KM / 111.0  # degrees of latitude


class Fire(msgspec.Struct, frozen=True):
    """Hotspots that are one fire. Where it is told as one point, that is its newest and surest pixel."""

    hotspots: tuple[Hotspot, ...]

    @property
    def at(self) -> Hotspot:
        """The newest of its pixels, the surest of these."""
        return max(self.hotspots, key=lambda one: (one.seen_ms, _ORDER.index(one.confidence), one.frp_mw or 0.0))

    @property
    def first_ms(self) -> int:
        """When it was seen first."""
        return min(one.seen_ms for one in self.hotspots)

    @property
    def last_ms(self) -> int:
        """When it was seen last."""
        return max(one.seen_ms for one in self.hotspots)

    @property
    def satellites(self) -> tuple[str, ...]:
        """Who saw it."""
        return tuple(sorted({one.satellite for one in self.hotspots}))

    @property
    def confidence(self) -> str:
        """The best that any of them says."""
        return _ORDER[max(_ORDER.index(one.confidence) for one in self.hotspots)]


class Near(msgspec.Struct, frozen=True):
    """Which place is nearest, and how far away."""

    place: str
    km: float


def distance_km(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    """Return how far two points are from each other, on the sphere."""
    north, east = math.radians(other_lat - lat), math.radians(other_lon - lon)
    chord = math.sin(north / 2) ** 2
    chord += math.cos(math.radians(lat)) * math.cos(math.radians(other_lat)) * math.sin(east / 2) ** 2
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(chord)))


def nearest(lat: float, lon: float, places: Mapping[str, tuple[float, float]]) -> Near | None:
    """Return the nearest of some places (code → latitude, longitude); None where there are none."""
    found = [Near(code, distance_km(lat, lon, *point)) for code, point in places.items()]
    return min(found, key=lambda one: (one.km, one.place), default=None)


def fires(hotspots: Iterable[Hotspot]) -> list[Fire]:
    """Return the fires that hotspots are, the newest first; each hotspot is in one."""
    own = sorted(set(hotspots), key=lambda one: (one.seen_ms, one.lat, one.lon, one.satellite, one.instrument))
    parents = list(range(len(own)))

    def root(at: int) -> int:
        while parents[at] != at:
            parents[at] = parents[parents[at]]
            at = parents[at]
        return at

    cells: dict[tuple[int, int], list[int]] = defaultdict(list)
    for at, one in enumerate(own):
        for other in _around(cells, one):
            if _together(own[other], one):
                parents[root(other)] = root(at)
        cells[_cell(one)].append(at)
    groups: dict[int, list[Hotspot]] = defaultdict(list)
    for at, one in enumerate(own):
        groups[root(at)].append(one)
    found = [Fire(tuple(group)) for group in groups.values()]
    return sorted(found, key=lambda fire: (-fire.last_ms, fire.at.lat, fire.at.lon))


def _together(one: Hotspot, other: Hotspot) -> bool:
    soon = abs(one.seen_ms - other.seen_ms) <= TOGETHER_MS
    return soon and distance_km(one.lat, one.lon, other.lat, other.lon) <= TOGETHER_KM


def _cell(one: Hotspot) -> tuple[int, int]:
    """Return a square of at least a kilometre; its width follows from its row, so that rows are even."""
    row = math.floor(one.lat / _CELL)
    return row, math.floor(one.lon / _width(row))


def _width(row: int) -> float:
    """Return how many degrees of longitude a square of a row has: those of its narrower edge, or of any near a pole."""
    edge = min(89.0, max(abs(row), abs(row + 1)) * _CELL)
    return _CELL / math.cos(math.radians(edge))


def _around(cells: Mapping[tuple[int, int], Sequence[int]], one: Hotspot) -> list[int]:
    middle = _cell(one)[0]
    found: list[int] = []
    for row in (middle - 1, middle, middle + 1):
        column = math.floor(one.lon / _width(row))
        for beside in (column - 1, column, column + 1):
            found += cells.get((row, beside), ())
    return found
