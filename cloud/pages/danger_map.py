"""A map of zones with their level of fire danger: Roman numeral, colour, and shape; ours round, the rangers' square.

The five colours are those that Decision 18/2021/QĐ-TTg, article 4.3, gives the five levels of a disaster's risk on
maps: light blue, light yellow, orange, red, purple; it is not read which shades. Levels of fire danger have no colours
of their own (`cloud/danger/sign.py`), and are no levels of risk: the legend says whose colours they are. What the map
shows stands in the table beside it. Nothing of alarms is known here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup, escape

from cloud.danger.levels import ROMAN
from cloud.pages.plan import HEIGHT, WIDTH, framed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.pages.dial import Seen
    from cloud.pages.plan import Frame

MOST = 200  # zones: more are dots on dots; the highest levels are drawn
LEAST_M = (1_200.0, 800.0)  # that a map shows
FILLS = ("#cfe7fb", "#fff2a8", "#f59b3d", "#c8202a", "#6d2a8f")  # I to V
INKS = ("#1b1b1b", "#1b1b1b", "#1b1b1b", "#ffffff", "#ffffff")  # on them
R = 11.0
NAMED, LETTERS = 12, 24  # zones that have their names on the map, and letters of one
NONE, BLANK = "–", "#ffffff"
RIM = 'stroke="currentColor" stroke-width="1.5"'  # attributes: other pages need no style for it, and no style is inline
TEXT = 'text-anchor="middle" font-family="system-ui,sans-serif" font-weight="700"'


class Chart(NamedTuple):
    """The map, how many metres its bar stands for, and the marks of its legend by level, 0 for none."""

    picture: Markup
    bar_m: int
    marks: dict[int, Markup]
    square: Markup
    old: Markup
    left_out: int


def chart(lines: Sequence[Seen], lang: str) -> Chart | None:
    """Return the map; None where there is no zone. Few zones are called by their names, many by the table alone."""
    if not lines:
        return None
    shown = sorted(lines, key=_rank)[-MOST:]
    places = [(seen.zone.lat, seen.zone.lon) for seen in shown]
    frame = framed([*places, *(corner for seen in shown for corner in seen.zone.outline)], places[0], LEAST_M)
    areas = "".join(
        f'<path {RIM} fill="{_fill(_ours(seen))}" fill-opacity=".55" d="{frame.area(seen.zone.outline)}"/>'
        for seen in shown
        if seen.zone.outline
    )
    marks = "".join(_marks(seen, *frame.at(place)) for seen, place in zip(shown, places, strict=True))
    if len(shown) <= NAMED:
        marks += "".join(_name(seen, lang, frame) for seen in shown)
    body = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">{areas}{marks}{frame.ruler}</svg>'
    return Chart(
        Markup(body),  # noqa: S704 - numbers, numerals and classes of our own, and names that are escaped
        frame.bar_m,
        {level: _alone(_mark(level, R + 1, R + 1, square=False)) for level in range(len(ROMAN) + 1)},
        _alone(_mark(4, R + 1, R + 1, square=True)),
        _alone(_mark(4, R + 1, R + 1, square=False, old=True)),
        len(lines) - len(shown),
    )


def _ours(seen: Seen) -> int:
    return seen.level.number if seen.level else 0


def _rank(seen: Seen) -> int:
    return max(_ours(seen), seen.official.number if seen.official else 0)


def _marks(seen: Seen, x: float, y: float) -> str:
    """Return our level as a disc, and the rangers' as a square beside it: of one zone neither covers the other.

    It stands at the right, or where the picture ends there, at the left.
    """
    ours, beside = _mark(_ours(seen), x, y, square=False, old=seen.stale), 2 * R + 2
    at = x + beside if x + beside + R <= WIDTH else x - beside
    return ours + (_mark(seen.official.number, at, y, square=True) if seen.official else "")


def _name(seen: Seen, lang: str, frame: Frame) -> str:
    """Return a zone's name below its mark and its outline: ours are readable on the map's own ground alone."""
    x, y = frame.at((seen.zone.lat, seen.zone.lon))
    y = max([y + R, *(frame.at(corner)[1] for corner in seen.zone.outline)])
    name = seen.zone.name_vi if lang == "vi" else seen.zone.name_en
    cut = name if len(name) <= LETTERS else f"{name[: LETTERS - 1].rstrip()}…"
    at = min(max(x, LETTERS * 2.8), WIDTH - LETTERS * 2.8)  # its middle, so that none of it is outside
    return f'<text x="{at:.0f}" y="{y + 11:.0f}" {TEXT} font-size="9.5" fill="currentColor">{escape(cut)}</text>'


def _mark(level: int, x: float, y: float, *, square: bool, old: bool = False) -> str:
    ink, roman = (INKS[level - 1], ROMAN[level - 1]) if level else (INKS[0], NONE)
    kind = f'{RIM} stroke-dasharray="3 2.5"' if old else RIM
    side = R * 1.8
    shape = (
        f'<rect {kind} fill="{_fill(level)}" x="{x - side / 2:.1f}" y="{y - side / 2:.1f}" width="{side:.1f}" '
        f'height="{side:.1f}"/>'
        if square
        else f'<circle {kind} fill="{_fill(level)}" cx="{x:.1f}" cy="{y:.1f}" r="{R:.0f}"/>'
    )
    return f'{shape}<text x="{x:.1f}" y="{y:.1f}" dy=".36em" {TEXT} font-size="12" fill="{ink}">{roman}</text>'


def _fill(level: int) -> str:
    return FILLS[level - 1] if level else BLANK


def _alone(mark: str) -> Markup:
    size = 2 * R + 2
    svg = f'<svg viewBox="0 0 {size:.0f} {size:.0f}" width="{size:.0f}" height="{size:.0f}" aria-hidden="true">'
    return Markup(f"{svg}{mark}</svg>")  # noqa: S704 - as above
