"""A column of a table as a small SVG, drawn here: lowest to highest as a band, means as a line, gaps as gaps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup

from cloud.staff.figures import THERE
from cloud.staff.question import RAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.staff.figures import Column

WIDTH, HEIGHT, PAD = 600, 120, 4
BINS = 300  # places of a picture: what is more is drawn together, its lowest and highest kept


class Bin(NamedTuple):
    """What is drawn at one place."""

    at: int
    mean: float
    low: float
    high: float


def chart(column: Column) -> Markup:
    """Return the picture; nothing where there is no figure. Its numbers stand beside it as a table."""
    bins = list(_bins(column))
    if not bins:
        return Markup()
    low, high = min(one.low for one in bins), max(one.high for one in bins)
    if low == high:
        low, high = low - 1, high + 1
    size = len(column.values)
    step = WIDTH / -(-size // _together(size))

    def y(value: float) -> float:
        return PAD + (HEIGHT - 2 * PAD) * (high - value) / (high - low)

    if column.line.quantity == RAIN:
        rain = "".join(f"M{(one.at + 0.5) * step:.1f} {HEIGHT - PAD}V{y(one.high):.1f}" for one in bins if one.high)
        return _svg(f'<path class="band" stroke-width="{max(step * 0.8, 1):.1f}" d="{rain}"/>')
    band = "".join(f"M{(one.at + 0.5) * step:.1f} {y(one.low):.1f}V{y(one.high) - 0.5:.1f}" for one in bins)
    line, before = [], -2
    for one in bins:
        x, follows = (one.at + 0.5) * step, before == one.at - 1
        line.append(f"{'L' if follows else 'M'}{x:.1f} {y(one.mean):.1f}{'' if follows else 'h0'}")
        before = one.at
    return _svg(
        f'<path class="band" stroke-width="{max(step, 1):.1f}" d="{band}"/><path class="mean" d="{"".join(line)}"/>'
    )


def _bins(column: Column) -> Iterator[Bin]:
    size = len(column.values)
    each = _together(size)
    for number, start in enumerate(range(0, size, each)):
        own = [at for at in range(start, min(start + each, size)) if column.whys[at] == THERE]
        if own:
            mean = math.fsum(column.values[at] for at in own) / len(own)
            low, high = min(column.lows[at] for at in own), max(column.highs[at] for at in own)
            yield Bin(number, mean, low, high)


def _together(size: int) -> int:
    """Return how many figures stand at one place."""
    return max(1, -(-size // BINS))


def _svg(body: str) -> Markup:
    # numbers and words of our own: nothing of it was typed by anybody
    return Markup(  # noqa: S704
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">{body}</svg>'
    )
