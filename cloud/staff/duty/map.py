"""A map of zones, nodes and incidents, drawn here: no tiles, no script, a few kilobytes, north up.

What it shows stands beside it in words. Distances are right to a percent over a commune.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cloud.registry.kinds import Zone
    from cloud.staff.duty.nodes import Node
    from cloud.staff.duty.seen import Seen

WIDTH, HEIGHT, PAD = 600.0, 360.0, 22.0
NEAR_M, LEAST_M = 1_500.0, 800.0  # how far around an incident is shown what is there; the least that a map shows
MOST = 200  # nodes and zones that are drawn
M_LAT = 111_195.0  # of a degree
_STEPS = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)


class _Frame(NamedTuple):
    """What is drawn: metres from a middle, and how many units one is."""

    lat: float
    lon: float
    east: float
    north: float
    per_m: float

    def at(self, lat: float, lon: float) -> tuple[float, float]:
        """Return where a place is drawn."""
        x, y = _metres(lat, lon, self.lat, self.lon)
        return WIDTH / 2 + (x - self.east) * self.per_m, HEIGHT / 2 - (y - self.north) * self.per_m


def drawn(zones: Iterable[Zone], nodes: Sequence[Node], incidents: Sequence[Seen], now_ms: int) -> Markup:
    """Return the picture; nothing where no place is known. An incident has the number that its card has."""
    zones = list(zones)
    frame = _frame(zones, nodes, incidents)
    if frame is None:
        return Markup()
    parts = [_zone(frame, one) for one in zones if one.outline and _in_sight(frame, one)][:MOST]
    for node in nodes[:MOST]:
        if node.lat is not None and node.lon is not None:
            x, y = frame.at(node.lat, node.lon)
            if not (0 <= x <= WIDTH and 0 <= y <= HEIGHT):
                continue
            kind = "node" if node.watches(now_ms) else "node blind"
            parts.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')
    for one in reversed(incidents):
        if one.lat is None or one.lon is None:
            continue
        x, y = frame.at(one.lat, one.lon)
        radius = max(14.0, (one.radius_m or 0) * frame.per_m)
        parts.append(f'<circle class="reach" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>')
        parts.append(f'<circle class="fire s-{one.stage}" cx="{x:.1f}" cy="{y:.1f}" r="13"/>')
        parts.append(f'<text class="no" x="{x:.1f}" y="{y + 5:.1f}">{one.number}</text>')
    body = "".join(parts) + _scale(frame)
    # numbers and names of classes of our own: nothing of it was typed by anybody
    return Markup(  # noqa: S704
        f'<svg class="map" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" aria-hidden="true" focusable="false">{body}</svg>'
    )


def _frame(zones: Sequence[Zone], nodes: Sequence[Node], incidents: Sequence[Seen]) -> _Frame | None:
    fires = [(one.lat, one.lon) for one in incidents if one.lat is not None and one.lon is not None]
    known = [(zone.lat, zone.lon) for zone in zones] + [corner for zone in zones for corner in zone.outline]
    known += [(one.lat, one.lon) for one in nodes if one.lat is not None and one.lon is not None]
    if not (fires or known):
        return None
    lat, lon = (fires or known)[0]
    spots = [_metres(*spot, lat, lon) for spot in fires or known]
    if fires:  # what is far from all that burns would only make it small
        spots += [at for at in (_metres(*spot, lat, lon) for spot in known) if _near(at, spots)]
    west, east = min(x for x, _ in spots), max(x for x, _ in spots)
    south, north = min(y for _, y in spots), max(y for _, y in spots)
    wide, high = max(east - west, LEAST_M), max(north - south, LEAST_M / 2)
    per_m = min((WIDTH - 2 * PAD) / wide, (HEIGHT - 2 * PAD) / high)
    return _Frame(lat, lon, (west + east) / 2, (south + north) / 2, per_m)


def _near(at: tuple[float, float], fires: Sequence[tuple[float, float]]) -> bool:
    return any(math.dist(at, fire) <= NEAR_M for fire in fires)


def _metres(lat: float, lon: float, lat0: float, lon0: float) -> tuple[float, float]:
    return (lon - lon0) * math.cos(math.radians(lat0)) * M_LAT, (lat - lat0) * M_LAT


def _in_sight(frame: _Frame, zone: Zone) -> bool:
    spots = [frame.at(*corner) for corner in zone.outline]
    east, west = max(x for x, _ in spots), min(x for x, _ in spots)
    south, north = max(y for _, y in spots), min(y for _, y in spots)
    return west <= WIDTH and east >= 0 and north <= HEIGHT and south >= 0


def _zone(frame: _Frame, zone: Zone) -> str:
    corners = " ".join("{:.1f},{:.1f}".format(*frame.at(*corner)) for corner in zone.outline)
    return f'<polygon class="zone" points="{corners}"/>'


def _scale(frame: _Frame) -> str:
    """Return a bar of round length with its words, and north."""
    metres = next((step for step in _STEPS if step * frame.per_m >= 60), _STEPS[-1])
    x, y, long = PAD, HEIGHT - 10, metres * frame.per_m
    words = f"{metres // 1000} km" if metres >= 1_000 else f"{metres} m"
    return (
        f'<path class="bar" d="M{x:.0f} {y:.0f}h{long:.1f}m0 -4v8m{-long:.1f} -8v8"/>'
        f'<text class="words" x="{x + long + 8:.1f}" y="{y + 5:.0f}">{words}</text>'
        f'<path class="bar" d="M{WIDTH - 20:.0f} 40v-26m-5 8l5 -8l5 8"/>'
        f'<text class="words north" x="{WIDTH - 6:.0f}" y="62">B/N</text>'
    )
