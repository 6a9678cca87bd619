"""A small map of the garden as SVG: its trees where the world may know them, this one marked, a scale and north."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup, escape

from cloud.pages.readings import rounded
from cloud.registry.map import METRES_A_DEGREE, Point, distance_m, flat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.registry import Registry
    from cloud.registry.kinds import Tree

WIDTH, HEIGHT, MARGIN = 320, 220, 26
SHOWN = 60  # trees: more are dots on dots
NEAR = 4
_BLUR_M = 80.0  # by so much rounding to three decimals moves a tree; who is hidden better may be missed
_POINTS = ("n", "ne", "e", "se", "s", "sw", "w", "nw")
_BARS_M = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)


class Frame(NamedTuple):
    """How places become points of a picture: `scale` units a metre around an origin, shifted."""

    origin: Point
    scale: float
    shift_x: float
    shift_y: float

    def at(self, place: Point) -> tuple[float, float]:
        """Return where a place is drawn."""
        x, y = flat(place, self.origin)
        return self.shift_x + self.scale * x, self.shift_y - self.scale * y

    def area(self, outline: Sequence[Point]) -> str:
        """Return the path around an outline."""
        return f"M{'L'.join('{:.0f} {:.0f}'.format(*self.at(corner)) for corner in outline)}z"

    @property
    def bar_m(self) -> int:
        """Return how many metres the scale bar stands for."""
        return next((one for one in reversed(_BARS_M) if one * self.scale <= WIDTH / 3), _BARS_M[0])

    @property
    def ruler(self) -> str:
        """Return the scale bar, and an arrow to the north."""
        return (
            f'<path class="ruler" d="M14 {HEIGHT - 18}v6h{self.bar_m * self.scale:.0f}v-6"/>'
            f'<path class="ruler" d="M{WIDTH - 20} 34V14l-5 7m5-7l5 7"/>'
        )


def framed(places: Sequence[Point], origin: Point, least_m: tuple[float, float] = (60, 40)) -> Frame:
    """Return the frame that shows all these places, and no less than so many metres in width and height."""
    spots = [flat(place, origin) for place in places]
    left, right = min(x for x, _ in spots), max(x for x, _ in spots)
    low, high = min(y for _, y in spots), max(y for _, y in spots)
    room = WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN - 12
    scale = min(room[0] / max(right - left, least_m[0]), room[1] / max(high - low, least_m[1]))
    return Frame(origin, scale, WIDTH / 2 - scale * (left + right) / 2, HEIGHT / 2 - 4 + scale * (low + high) / 2)


class Neighbour(NamedTuple):
    """Another tree nearby: how far in metres, and in which of eight directions; None where one of both is coarse."""

    tree: Tree
    away_m: int | None
    towards: str


def public(tree: Tree) -> tuple[float, float]:
    """Return where the world may know a tree to be: degrees to the tree's own number of decimals."""
    return round(tree.lat, tree.precision), round(tree.lon, tree.precision)


def nearest(registry: Registry, own: Point, n: int) -> list[Tree]:
    """Return the nearest trees that have a page, nearest first, by what is public of their places.

    Of tens of thousands only those are looked at that are no farther north or south than the n-th that was found.
    """
    trees = registry.northward
    south = bisect_left(trees, own[0], key=lambda one: one.lat)
    north = south
    found: list[tuple[float, str, Tree]] = []
    while south > 0 or north < len(trees):
        below = own[0] - trees[south - 1].lat if south > 0 else math.inf
        above = trees[north].lat - own[0] if north < len(trees) else math.inf
        if len(found) >= n and min(below, above) * METRES_A_DEGREE > found[n - 1][0] + _BLUR_M:
            break
        one = trees[south - 1] if below < above else trees[north]
        south, north = (south - 1, north) if below < above else (south, north + 1)
        insort(found, (distance_m(own, public(one)), one.code, one))
    return [one for _, _, one in found[:n]]


def neighbours(registry: Registry, tree: Tree) -> list[Neighbour]:
    """Return the nearest trees that have a page, nearest first, by what is public of their places."""
    own = public(tree)
    near = [one for one in nearest(registry, own, NEAR + 1) if one.code != tree.code][:NEAR]
    return [
        Neighbour(
            one,
            None if tree.coarse or one.coarse else rounded(distance_m(own, public(one))),
            _towards(own, public(one)),
        )
        for one in near
    ]


def plan(registry: Registry, tree: Tree) -> tuple[Markup, int]:
    """Return the map around a tree, and how many metres its scale bar stands for."""
    own = public(tree)
    trees = nearest(registry, own, SHOWN)
    frame = framed([public(one) for one in trees], own)
    at = [frame.at(public(one)) for one in trees]
    outlines = "".join(
        f'<path class="area" d="{frame.area(zone.outline)}"/>' for zone in registry.zones.values() if zone.outline
    )
    dots = "".join(
        _dot(one, x, y, here=one.code == tree.code) for one, (x, y) in reversed(list(zip(trees, at, strict=True)))
    )
    body = f"{outlines}{dots}{frame.ruler}"
    drawn = Markup(f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">{body}</svg>')  # noqa: S704 - escaped
    return drawn, frame.bar_m


def _dot(tree: Tree, x: float, y: float, *, here: bool) -> str:
    kind, size = ("here", 9) if here else ("dot" if tree.state == "alive" else "off", 5)
    mark = f'<circle class="{kind}" cx="{x:.0f}" cy="{y:.0f}" r="{size}"/>'
    if not tree.label_no:
        return mark
    return f'{mark}<text x="{x:.0f}" y="{y - size - 4:.0f}">{escape(tree.label_no)}</text>'


def _towards(own: tuple[float, float], other: tuple[float, float]) -> str:
    east, north = flat(other, own)
    return _POINTS[round(math.degrees(math.atan2(east, north)) / 45) % 8]
