"""Charts as small SVG, drawn here: no script, no library, nothing where nothing was measured.

Each is a picture of numbers that stand beside it as words and on its own page as a table, so it is hidden from who
listens. Colours are classes of the style sheet; those of the ribbon belong to temperatures and are their own.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cloud.pages.past import Day
    from cloud.store import Hour

HOUR_MS = 3_600_000
WIDTH, HEIGHT, SPARK = 300, 72, 40
_PAD = 6
# from frost to heat, after ColorBrewer's RdYlBu: told apart by the colour-blind, too
_RIBBON = ("#313695", "#4575b4", "#74add1", "#abd9e9", "#d9eef4", "#fdf3bf", "#fee090", "#fdae61", "#f46d43", "#d73027")


class Scale(NamedTuple):
    """From values to heights in a chart."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Scale:
        """Return a scale that holds some values, and is no line."""
        own = list(values)
        low, high = min(own), max(own)
        return cls(low, high) if high > low else cls(low - 1, high + 1)

    def y(self, value: float, height: int = HEIGHT) -> float:
        """Return how far below the top a value stands."""
        return _PAD + (height - 2 * _PAD) * (self.high - value) / (self.high - self.low)


def spark(hours: Sequence[Hour], end_ms: int) -> Markup:
    """Return the 24 hours before a time as a small line of their means; an hour that is missing is a gap."""
    first = end_ms // HOUR_MS - 24
    points = [(hour.start_ms // HOUR_MS - first, hour) for hour in hours if hour.start_ms // HOUR_MS >= first]
    if len(points) < 2:
        return Markup()
    scale = Scale.of(hour.mean for _, hour in points)
    line = _line([(at, round((at + 0.5) * WIDTH / 24), scale.y(one.mean, SPARK)) for at, one in points])
    return _svg(SPARK, f'<path class="mean" d="{line}"/>')


def day(hours: Sequence[Hour], end_ms: int, scale: Scale) -> Markup:
    """Return the 24 hours before a time as bars from their lowest to their highest, with a line of their means."""
    first = end_ms // HOUR_MS - 24
    at = {hour.start_ms // HOUR_MS - first: hour for hour in hours}
    return _bars([at.get(place) for place in range(24)], scale)


def month(days: Sequence[Day | None], scale: Scale) -> Markup:
    """Return days as bars from their lowest to their highest, with a line of their means."""
    return _bars(days, scale)


def ribbon(means: Sequence[float | None], scale: Scale) -> Markup:
    """Return the means of pentads as stripes, the coldest blue, the warmest red; a gap is empty."""
    at, strips = 0, dict[str, list[str]]()
    for colour, own in itertools.groupby(_colour(mean, scale) for mean in means):
        length = len(list(own))
        strips.setdefault(colour, []).append(f"M{at} 18h{length}")
        at += length
    paths = "".join(f'<path stroke="{colour}" d="{"".join(own)}"/>' for colour, own in strips.items())
    return _svg(36, f'<g stroke-width="36" shape-rendering="crispEdges">{paths}</g>', len(means))


def danger_course(values: Sequence[float | None], rain_mm: Sequence[float | None]) -> Markup:
    """Return days as a line from nought, and beside it their rain as bars; nothing without two days that are known."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return Markup()
    step, scale = WIDTH / len(values), Scale(0.0, max(*known, 1e-9))
    wettest = max((mm for mm in rain_mm if mm), default=1.0)
    fallen = "".join(
        f"M{(at + 0.5) * step:.1f} {HEIGHT}v-{max(HEIGHT / 2 * mm / wettest, 1):.1f}"
        for at, mm in enumerate(rain_mm)
        if mm
    )
    points = [(at, round((at + 0.5) * step, 1), scale.y(one)) for at, one in enumerate(values) if one is not None]
    return _svg(HEIGHT, f'<path class="rain" d="{fallen}"/><path class="mean" d="{_line(points)}"/>')


def _colour(mean: float | None, scale: Scale) -> str:
    if mean is None:
        return "none"
    return _RIBBON[min(int(len(_RIBBON) * (mean - scale.low) / (scale.high - scale.low)), len(_RIBBON) - 1)]


def _bars(spans: Sequence[Hour | Day | None], scale: Scale) -> Markup:
    step = WIDTH / len(spans)
    known = [(at, round((at + 0.5) * step), one) for at, one in enumerate(spans) if one]
    bars = "".join(f"M{x} {scale.y(one.low):.0f}V{scale.y(one.high) - 0.5:.0f}" for _, x, one in known)
    line = _line([(at, x, scale.y(one.mean)) for at, x, one in known])
    return _svg(HEIGHT, f'<path class="band" d="{bars}"/><path class="mean" d="{line}"/>')


def _line(points: list[tuple[int, float, float]]) -> str:
    """Return a path through (place, x, y): it is broken where a place is missing, a single one is a dot."""
    parts, before = [], None
    for at, x, y in points:
        parts.append(f"{'L' if before == at - 1 else 'M'}{x:g} {y:.0f}{'' if before == at - 1 else 'h0'}")
        before = at
    return "".join(parts)


def _svg(height: int, body: str, width: int = WIDTH) -> Markup:
    # numbers and words of our own: nothing of it was typed by anybody
    return Markup(  # noqa: S704
        f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" aria-hidden="true">{body}</svg>'
    )
