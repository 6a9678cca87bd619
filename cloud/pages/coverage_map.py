"""A map of coverage: cells of H3 by class, hamlets by name; each class has a colour, and a pattern that paper keeps.

The more signal, the more ink: where nobody measured, the ground of the map shows, so *not measured* costs no path and
nothing that was not measured can look like anything else. The map is drawn on paper of its own, by day and by night.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import h3.api.basic_int as h3
from markupsafe import Markup, escape

from cloud.pages.hexes import Grid
from cloud.registry.map import flat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cloud.registry.map import Point

WIDTH, LOWEST, HIGHEST, MARGIN = 1000, 480, 1100, 24  # of the picture, in its own units
MOST = 4_000  # cells: more make a page that no bad telephone loads
INK, PAPER, BLUE, RIM = "#1b1b1b", "#ffffff", "#0b4fb3", "#8a8f88"
LETTER, MARK, DISC = 30, 9, 20  # height of letters, radius of a hamlet's dot, of a number's
FONT = 'font-family="system-ui,sans-serif" font-weight="700"'
Box = tuple[float, float, float, float]
NAMED = 60  # hamlets that are asked for room for their names
CLASSES = ("good", "fair", "weak", "served", "none", "uncertain")  # those with a path, in the order of the legend
_BARS_M = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
_TILE = 24
_FILLS = {
    "good": "#11693f",
    "fair": "#8fcfa3",
    "weak": "#f3dd8c",
    "served": "#cfe3f6",
    "none": "#f3b6ae",
    "uncertain": "#ded3ee",
    "unmeasured": PAPER,
}
_STROKES = {  # within a tile, in units of the map; a class without is solid
    "fair": ("#0d5a35", 5, "M0 6H24M0 18H24"),
    "weak": ("#7a5200", 3, "M0 24L24 0M-3 3L3-3M21 27L27 21"),
    "served": ("#24547f", 3, "M4 8H14M14 20H24"),
    "none": ("#8c1420", 3.5, "M4 4L20 20M20 4L4 20"),
    "uncertain": ("#4a2f7d", 4, "M12 2V10M0 14V22M24 14V22"),
    "unmeasured": ("#6f756d", 3.5, "M10.5 12H14M-1 0H1.5M22.5 0H26M-1 24H1.5M22.5 24H26"),
}


class Place(NamedTuple):
    """A hamlet on the map."""

    name: str
    at: Point


class Ring(NamedTuple):
    """A circle around a place."""

    at: Point
    radius_m: float


class Drawn(NamedTuple):
    """A map without its frame, which says in words what it shows; and how many metres its bar stands for."""

    body: Markup
    height: int
    bar_m: int


class Frame:
    """How places become points of the picture, so that all cells and places are on it."""

    def __init__(self, cells: Iterable[int], places: Sequence[Point], least_m: float) -> None:
        spots = [*places, *map(h3.cell_to_latlng, cells)]
        self._origin = (sum(lat for lat, _ in spots) / len(spots), sum(lon for _, lon in spots) / len(spots))
        flats = [flat(spot, self._origin) for spot in spots]
        left, right = min(x for x, _ in flats), max(x for x, _ in flats)
        low, high = min(y for _, y in flats), max(y for _, y in flats)
        edge_m = least_m / 8
        wide, tall = max(right - left + 2 * edge_m, least_m), max(high - low + 2 * edge_m, least_m * LOWEST / WIDTH)
        self.scale = min((WIDTH - 2 * MARGIN) / wide, (HIGHEST - 2 * MARGIN) / tall)
        self.height = max(LOWEST, round(tall * self.scale) + 2 * MARGIN)
        self._shift = WIDTH / 2 - self.scale * (left + right) / 2, self.height / 2 + self.scale * (low + high) / 2

    def at(self, place: Point) -> tuple[float, float]:
        """Return where a place is drawn."""
        x, y = flat(place, self._origin)
        return self._shift[0] + self.scale * x, self._shift[1] - self.scale * y

    @property
    def bar_m(self) -> int:
        """Return how many metres the scale bar stands for."""
        return next((one for one in reversed(_BARS_M) if one * self.scale <= WIDTH / 4), _BARS_M[0])


def chart(
    frame: Frame,
    classes: Mapping[str, Sequence[int]],
    places: Sequence[Place] = (),
    walks: Sequence[int] = (),
    ring: Ring | None = None,
    letter: int = LETTER,
) -> Drawn:
    """Return the map of cells by class; `walks` are cells that get numbers, from 1 on."""
    grid = Grid(frame.at)
    areas = "".join(
        f'<path fill="url(#c-{kind})" d="{path}"/>' for kind in CLASSES if (path := grid.path(classes.get(kind, ())))
    )
    circle = "" if ring is None else _circle(frame, ring)
    names, taken = _names(frame, places, letter)
    body = (
        f'<rect fill="url(#c-unmeasured)" stroke="{RIM}" width="{WIDTH}" height="{frame.height}"/>'
        f'<g stroke="{INK}" stroke-width="1.5" stroke-linejoin="round">{areas}</g>{circle}'
        f"{_walks(grid, frame, walks, taken)}{names}{_ruler(frame)}"
    )
    return Drawn(Markup(body), frame.height, frame.bar_m)  # noqa: S704 - numbers of our own, and names that are escaped


def patterns() -> Markup:
    """Return what the classes of every map on a page are filled with: once on a page, before the first map."""
    made = "".join(
        f'<pattern id="c-{kind}" width="{_TILE}" height="{_TILE}" patternUnits="userSpaceOnUse">'
        f'<path fill="{fill}" d="M0 0H24V24H0z"/>{_strokes(kind)}</pattern>'
        for kind, fill in _FILLS.items()
    )
    return Markup(f'<svg width="0" height="0" aria-hidden="true" class="hide"><defs>{made}</defs></svg>')  # noqa: S704


def swatch(kind: str) -> Markup:
    """Return a piece of a class, as large as on the map, for the legend."""
    return Markup(  # noqa: S704 - a class of our own
        f'<svg class="bars" viewBox="0 0 72 72" aria-hidden="true"><rect fill="url(#c-{kind})" stroke="{INK}" '
        'stroke-width="3" x="1.5" y="1.5" width="69" height="69"/></svg>'
    )


def _strokes(kind: str) -> str:
    if kind not in _STROKES:
        return ""
    colour, width, path = _STROKES[kind]
    return f'<path fill="none" stroke="{colour}" stroke-width="{width}" d="{path}"/>'


def _circle(frame: Frame, ring: Ring) -> str:
    x, y = frame.at(ring.at)
    return (
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{ring.radius_m * frame.scale:.0f}" fill="none" stroke="{INK}" '
        'stroke-width="5" stroke-dasharray="18 12"/>'
    )


def _walks(grid: Grid, frame: Frame, cells: Sequence[int], named: Sequence[Box]) -> str:
    """Return rims around cells, and the number of each for which the names leave room."""
    taken, marks = list(named), []
    for number, cell in enumerate(cells, 1):
        x, y = frame.at(h3.cell_to_latlng(cell))
        box = (x - DISC, y - DISC, x + DISC, y + DISC)
        if any(_meet(box, other) for other in taken):
            continue
        taken.append(box)
        marks.append(
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{DISC}"/>'
            f'<text x="{x:.0f}" y="{y:.0f}" dy=".36em" fill="{PAPER}" stroke="none">{number}</text>'
        )
    rims = "".join(f'<path d="{grid.path([cell])}"/>' for cell in cells)
    return (
        f'<g fill="none" stroke="{BLUE}" stroke-width="5">{rims}</g><g fill="{BLUE}" stroke="{PAPER}" '
        f'stroke-width="2" {FONT} font-size="24" text-anchor="middle">{"".join(marks)}</g>'
    )


def _names(frame: Frame, places: Sequence[Place], letter: int) -> tuple[str, list[Box]]:
    """Return dots for all hamlets, the names of those for which there is room beside their dot, and what that takes."""
    spots = [frame.at(place.at) for place in places]
    dots = "".join(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{MARK}"/>' for x, y in spots)
    taken = [(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in spots]
    texts = []
    for place, (x, y) in list(zip(places, spots, strict=True))[:NAMED]:
        wide = len(place.name) * letter * 0.58
        right, left, mid = x + MARK + 6, x - MARK - 6 - wide, max(4.0, min(x - wide / 2, WIDTH - wide - 4))
        beside = y + letter / 3
        for start, base in ((right, beside), (left, beside), (mid, y + MARK + letter), (mid, y - MARK - 8)):
            box = (start, base - letter * 0.8, start + wide, base + letter * 0.25)
            inside = box[0] >= 2 and box[2] <= WIDTH - 2 and box[1] >= 2 and box[3] <= frame.height - 2
            if inside and not any(_meet(box, other) for other in taken):
                taken.append(box)
                texts.append(f'<text x="{start:.0f}" y="{base:.0f}">{escape(place.name)}</text>')
                break
    svg = (
        f'<g fill="{INK}" stroke="{PAPER}" stroke-width="4">{dots}</g>'
        f'<g fill="{INK}" stroke="{PAPER}" stroke-width="7" stroke-linejoin="round" paint-order="stroke" '
        f'{FONT} font-size="{letter}">{"".join(texts)}</g>'
    )
    return svg, taken


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _ruler(frame: Frame) -> str:
    """Return the scale bar and an arrow to the north, on paper of their own."""
    wide, low = round(frame.bar_m * frame.scale), frame.height - 20
    return (
        f'<path fill="{PAPER}" fill-opacity=".85" d="M10 {low - 26}h{wide + 20}v36H10zM{WIDTH - 62} 12h48v72h-48z"/>'
        f'<path fill="none" stroke="{INK}" stroke-width="5" d="M20 {low - 16}v16h{wide}v-16'
        f'M{WIDTH - 38} 76V24l-14 20m14-20l14 20"/>'
    )
