"""What is usual of a level in dB or dBm: an hour's median beside the same part of the day of the weeks before. Pure.

An hour counts with a few readings, by its median, which one stray value does not move. Usual is the median of the
hours of the same quarter of the day in the last weeks, without the last day, so that what comes slowly is seen; its
spread is the median deviation. What was called worse is not taken for usual, unless hardly anything else is left: then
it has become so. How much worse an hour is, is given in dB, made smaller where the level always spreads widely.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from cloud.clock import HANOI_MS, HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ENOUGH = 3  # readings of an hour
SIGMA = 1.4826  # of a normal distribution, from its median absolute deviation
QUANTUM = 1.0  # dB: no level is known more finely
QUARTER_H, DAY_H, HANOI_H = 6, 24, HANOI_MS // HOUR_MS
KEPT_H = 14 * DAY_H  # of hours that are judged again with each that comes


class Hour(NamedTuple):
    """An hour since 1970 (UTC) and its median; how much worse than usual in dB, None where nothing is usual yet.

    `live` tells whether it was known when it had just passed.
    """

    at: int
    level: float
    worse: float | None
    live: bool

    @property
    def end_ms(self) -> int:
        """When it was over."""
        return (self.at + 1) * HOUR_MS


class Terms(NamedTuple):
    """What a rule asks: from how much worse, of how many spreads, over how many days, of which so many are known."""

    drop: float
    spreads: float
    days: int
    least_days: int


def hour_of(utc_ms: int) -> int:
    """Return the hour of a time."""
    return utc_ms // HOUR_MS


def usual(hours: Sequence[Hour], at: int, terms: Terms) -> tuple[float, float] | None:
    """Return the usual level and its spread at an hour; None where too few days of it are known."""
    quarter = _quarter(at)
    same = [one for one in hours if at - terms.days * DAY_H <= one.at < at - DAY_H and _quarter(one.at) == quarter]
    well = [one for one in same if one.worse is None or one.worse < terms.drop]
    for known in (well, same):
        if len({(one.at + HANOI_H) // DAY_H for one in known}) >= terms.least_days:
            middle = median(one.level for one in known)
            spread = SIGMA * median(abs(one.level - middle) for one in known)
            return middle, max(spread, QUANTUM)
    return None


def judged(hours: Sequence[Hour], at: int, level: float, terms: Terms, *, live: bool) -> Hour:
    """Return an hour with how much worse than usual it was."""
    found = usual(hours, at, terms)
    if found is None:
        return Hour(at, level, None, live)
    middle, spread = found
    limit = max(terms.drop, terms.spreads * spread)
    return Hour(at, level, round((middle - level) * terms.drop / limit, 1), live)


def joined(hours: Sequence[Hour], new: Iterable[Hour], days: int) -> list[Hour]:
    """Return hours in order of time, each once, as far back as something can be usual."""
    known = {one.at for one in hours}
    merged = sorted([*hours, *(one for one in new if one.at not in known)])
    oldest = merged[-1].at - days * DAY_H if merged else 0
    return [one for one in merged if one.at >= oldest]


def _quarter(at: int) -> int:
    """Return the quarter of the day in Vietnam."""
    return (at + HANOI_H) % DAY_H // QUARTER_H
