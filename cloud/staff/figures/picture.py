"""A column of a table as a small picture: lowest to highest as a band, means as a line, gaps as gaps; rain as bars.

A `Plot` is what is drawn, without a size; a page draws it as SVG, a report on paper by the strokes of `strokes`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from markupsafe import Markup

from cloud.staff.figures.question import RAIN
from cloud.staff.figures.table import THERE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.staff.figures.table import Column

WIDTH, HEIGHT, PAD = 600, 120, 4
BINS = 300  # places of a picture: what is more is drawn together, its lowest and highest kept


class Bin(NamedTuple):
    """What is drawn at one place."""

    at: int
    mean: float
    low: float
    high: float


class Plot(msgspec.Struct, frozen=True):
    """What is drawn: some of `size` places, from `low` at the bottom to `high` at the top."""

    size: int
    bins: list[Bin]
    rain: bool

    @property
    def low(self) -> float:
        """Return what stands at the bottom: of rain nothing."""
        return 0.0 if self.rain else min(one.low for one in self.bins)

    @property
    def high(self) -> float:
        """Return what stands at the top."""
        return max(one.high for one in self.bins)


class Strokes(NamedTuple):
    """A plot in a frame, from its upper left corner: upright strokes (x, from, to) of one width, and lines."""

    width: float
    bars: list[tuple[float, float, float]]
    lines: list[list[tuple[float, float]]]


def plot(column: Column, together: int = 0) -> Plot | None:
    """Return what is drawn of a column, None where there is no figure; so many figures `together`, 0 for what fits.

    Rain that is told together is what fell in all of it; where only the picture puts hours together, their highest.
    """
    size, rain = len(column.values), column.line.quantity == RAIN
    each = together or max(1, -(-size // BINS))
    bins = list(_bins(column, each, total=rain and together > 0))
    return Plot(-(-size // each), bins, rain) if bins else None


def strokes(drawn: Plot, width: float, height: float, pad: float) -> Strokes:
    """Return how a plot is drawn in a frame."""
    low, high = drawn.low, drawn.high
    if low == high:
        low, high = (low, high + 1) if drawn.rain else (low - 1, high + 1)
    step = width / drawn.size

    def y(value: float) -> float:
        return pad + (height - 2 * pad) * (high - value) / (high - low)

    def x(at: int) -> float:
        return (at + 0.5) * step

    if drawn.rain:
        return Strokes(step * 0.8, [(x(one.at), height - pad, y(one.high)) for one in drawn.bins if one.high], [])
    lines: list[list[tuple[float, float]]] = []
    before = -2
    for one in drawn.bins:
        if before != one.at - 1:
            lines.append([])
        lines[-1].append((x(one.at), y(one.mean)))
        before = one.at
    return Strokes(step, [(x(one.at), y(one.low), y(one.high) - 0.5) for one in drawn.bins], lines)


def svg(drawn: Plot | None) -> Markup:
    """Return the picture; nothing where there is no figure. Its numbers stand beside it as a table."""
    if drawn is None:
        return Markup()
    width, bars, lines = strokes(drawn, WIDTH, HEIGHT, PAD)
    band = "".join(f"M{x:.1f} {start:.1f}V{end:.1f}" for x, start, end in bars)
    mean = "".join(_path(points) for points in lines)
    line = f'<path class="mean" d="{mean}"/>' if lines else ""
    # numbers and words of our own: nothing of it was typed by anybody
    return Markup(  # noqa: S704
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'<path class="band" stroke-width="{max(width, 1):.1f}" d="{band}"/>{line}</svg>'
    )


def _path(points: list[tuple[float, float]]) -> str:
    """Return a line as SVG has it; of one point a dot."""
    (x, y), *others = points
    return f"M{x:.1f} {y:.1f}h0" + "".join(f"L{x:.1f} {y:.1f}" for x, y in others)


def _bins(column: Column, each: int, *, total: bool) -> Iterator[Bin]:
    size = len(column.values)
    for number, start in enumerate(range(0, size, each)):
        own = [at for at in range(start, min(start + each, size)) if column.whys[at] == THERE]
        if own:
            values = math.fsum(column.values[at] for at in own)
            low, high = min(column.lows[at] for at in own), max(column.highs[at] for at in own)
            yield Bin(number, values, 0.0, values) if total else Bin(number, values / len(own), low, high)
