"""What fell within a window of time, from readings of a running total. Pure.

A gauge tells how much it has counted since it began; what fell is by how much that rose. It begins anew when it loses
power or its counter is full, and a damaged reading is a number like any other, so:
- a total that falls begins anew there: the fall is no rain, and takes none away;
- one that dips, or leaps, and is back where it was is damage: rain does not come back, and nobody pours it out;
- one that leaps by more than the hardest rain (10 mm, and 3 mm a minute) counts once another reading stands by it;
- more than ever fell anywhere in such a time is no rain (31 mm in one minute, 305 mm in 42, 1,825 mm in a day: WMO's
  records);
- what rose while somebody worked at the gauge is the water of that person.

A sum is the least that fell: across the beginning of the window nothing is divided, and what a gauge did not count
nobody knows. So a sum is *known* only where readings cover its window. Where they do not, it may be high enough to
warn, but never low enough to be called dry.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import msgspec

from cloud.store.totals import ANY_TIME_MM, Run, may_be, stood_by, undamaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cloud.alerts.spans import Point
    from cloud.registry.periods import Periods

FINEST_MS = 60_000  # of what is remembered
_MINUTE_MS = 60_000


class Sum(msgspec.Struct, frozen=True):
    """The least that fell in the window before a time; known where readings cover it."""

    at_ms: int
    mm: float
    known: bool


def joined(runs: Sequence[Run], points: Iterable[Point], gap_ms: int) -> list[Run]:
    """Return runs with more readings; the same reading twice is one, and so is each order of arrival."""
    found = list(runs)
    for at_ms, _, total in points:
        at = bisect_right(found, at_ms, key=lambda run: run.first_ms)
        before = found[at - 1] if at else None
        if before and at_ms <= before.last_ms:
            if total != before.total:
                found[at - 1 : at] = _split(before, at_ms, total)
            continue
        here = Run(at_ms, at_ms, total)
        after = found[at] if at < len(found) else None
        low, high = at, at
        if before and before.total == total and at_ms - before.last_ms <= gap_ms:
            here, low = Run(before.first_ms, at_ms, total), at - 1
        if after and after.total == total and after.first_ms - at_ms <= gap_ms:
            here, high = Run(here.first_ms, after.last_ms, total), at + 1
        found[low:high] = [here]
    return found


def _split(run: Run, at_ms: int, total: float) -> list[Run]:
    parts = [Run(at_ms, at_ms, total)]
    if run.first_ms < at_ms:
        parts.insert(0, Run(run.first_ms, at_ms - 1, run.total))
    if at_ms < run.last_ms:
        parts.append(Run(at_ms + 1, run.last_ms, run.total))
    return parts


def kept(runs: Sequence[Run], keep: tuple[tuple[int, int], tuple[int, int]], settled_ms: int) -> list[Run]:
    """Return the runs that touch either of these times; of those before `settled_ms` that only rise one a minute."""
    (low, high), (start, end) = keep
    own = [
        run
        for run in runs
        if (low <= run.last_ms and run.first_ms <= high) or (start <= run.last_ms and run.first_ms <= end)
    ]
    thin: list[Run] = []
    for run in own:
        if len(thin) > 1 and run.last_ms < settled_ms:
            before, last = thin[-2:]
            rises = before.total <= last.total <= run.total and run.total - before.total <= ANY_TIME_MM
            if rises and run.first_ms - before.last_ms <= FINEST_MS:
                thin.pop()
        thin.append(run)
    return thin


def sums(runs: Sequence[Run], window_ms: int, gap_ms: int, rests: Periods, since_ms: int, until_ms: int) -> list[Sum]:
    """Return what fell in the window before each reading later than `since_ms`, up to `until_ms`.

    While a total does not change, before each full minute.
    """
    true = stood_by(undamaged(runs))
    rises = [rise for rise in _rises(true, rests) if rise[2] > 0]
    begins, ends = [rise[0] for rise in rises], [rise[1] for rise in rises]
    total = [0.0, *accumulate(rise[2] for rise in rises)]
    gaps = _gaps(runs, gap_ms)
    found = []
    for at_ms in _times(true, since_ms, until_ms):
        start_ms = at_ms - window_ms
        low, high = bisect_left(begins, start_ms), bisect_right(ends, at_ms)
        known = not any(begin < at_ms and end > start_ms for begin, end in gaps)
        found.append(Sum(at_ms, round(max(0.0, total[high] - total[low]), 3), known))
    return found


def _rises(true: Sequence[Run], rests: Periods) -> Iterator[tuple[int, int, float]]:
    """Yield (from, to, mm) of what fell between any two readings."""
    for before, after in pairwise(true):
        fell = after.total > before.total and may_be(before, after)
        if fell and not (rests and rests.touch(before.last_ms, after.first_ms + 1)):
            yield before.last_ms, after.first_ms, after.total - before.total


def _gaps(runs: Sequence[Run], gap_ms: int) -> list[tuple[int, int]]:
    """Return the times of which nothing is known: before the first reading, and between two far apart."""
    gaps = [(-(2**62), runs[0].first_ms)] if runs else []
    return gaps + [
        (before.last_ms, after.first_ms) for before, after in pairwise(runs) if after.first_ms - before.last_ms > gap_ms
    ]


def _times(true: Sequence[Run], since_ms: int, until_ms: int) -> Iterator[int]:
    """Yield when a sum is looked at, the same at each look: where a total changed, and at each full minute between."""
    for run in true:
        if run.last_ms <= since_ms or run.first_ms > until_ms:
            continue
        if run.first_ms > since_ms:
            yield run.first_ms
        after_ms = max(run.first_ms, since_ms)
        yield from range(after_ms - after_ms % _MINUTE_MS + _MINUTE_MS, min(run.last_ms, until_ms) + 1, _MINUTE_MS)
