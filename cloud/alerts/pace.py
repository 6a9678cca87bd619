"""How far apart the readings of a series are, and the patience that a rule needs with it. Pure.

A rule whose `gap_s` is shorter than that would never see two readings that add up: smoke for hours would be no alert.
So the gap is widened for such a series, and said: whoever writes the rule has to set it.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from msgspec.structs import replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.alerts.progress import Series
    from cloud.alerts.spans import Patience, Point

KEPT, ENOUGH = 9, 4
WIDER = 2.5  # one reading may be missing


def with_pace(state: Series, points: Sequence[Point]) -> Series:
    """Return the state with the intervals to readings that are newer than all before."""
    newest_ms, intervals = state.newest_ms, list(state.intervals)
    for utc_ms, _, _ in points:
        if utc_ms > newest_ms:
            intervals += [utc_ms - newest_ms] if newest_ms else []
            newest_ms = utc_ms
    return replace(state, newest_ms=newest_ms, intervals=intervals[-KEPT:])


def pace_ms(state: Series) -> int:
    """Return how far apart its readings usually are, in ms; 0 while that is not known. A cut does not count."""
    return round(median(state.intervals)) if len(state.intervals) >= ENOUGH else 0


def patience_with(patience: Patience, state: Series) -> Patience:
    """Return the patience with a gap that its readings can bridge; the very same where the gap is wide enough."""
    pace = pace_ms(state)
    return patience if pace <= patience.gap_ms else replace(patience, gap_ms=round(WIDER * pace))
