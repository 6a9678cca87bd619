"""Distances on the ground of a garden: small enough that a degree is the same length everywhere in it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

METRES_A_DEGREE = 111_195.0  # of a great circle, on a sphere of 6,371.009 km (IUGG's mean radius)
Point = tuple[float, float]  # latitude, longitude, WGS 84 degrees


def flat(point: Point, origin: Point) -> tuple[float, float]:
    """Return (metres east, metres north) of an origin; right within 0.1 % over ten kilometres."""
    scale = math.cos(math.radians(origin[0])) * METRES_A_DEGREE
    return (point[1] - origin[1]) * scale, (point[0] - origin[0]) * METRES_A_DEGREE


def distance_m(one: Point, other: Point) -> float:
    """Return how far two points are from each other, in metres."""
    return math.hypot(*flat(one, other))


def away_m(lat: float, lon: float, outline: Sequence[Point]) -> float:
    """Return how far outside a polygon a point is, in metres; 0 inside it."""
    corners = [flat(corner, (lat, lon)) for corner in outline]
    edges = list(zip(corners, corners[1:] + corners[:1], strict=True))
    crossings = sum((y1 > 0) != (y2 > 0) and x1 + (x2 - x1) * -y1 / (y2 - y1) > 0 for (x1, y1), (x2, y2) in edges)
    return 0.0 if crossings % 2 else min(_to_edge(edge) for edge in edges)


def _to_edge(edge: tuple[tuple[float, float], tuple[float, float]]) -> float:
    (x1, y1), (x2, y2) = edge
    dx, dy = x2 - x1, y2 - y1
    length = dx * dx + dy * dy
    along = 0.0 if length == 0 else min(1.0, max(0.0, -(x1 * dx + y1 * dy) / length))
    return math.hypot(x1 + along * dx, y1 + along * dy)
