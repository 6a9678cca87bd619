"""Dead zones: runs of moments without service by one teller, at one place, on one day of Vietnam. Pure.

Three moments and more over a minute and longer, all without service within some 100 m, is what makes a dead zone more
than a telephone that was just searching. A run ends with a moment of service there, with a quarter of an hour of which
nobody tells, and with the day: so whatever comes late or in another order changes the runs of its own day alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cloud.coverage.sample import SERVED

if TYPE_CHECKING:
    from collections.abc import Iterable

PLACE = 10  # H3 resolution: cells some 130 m across
MOMENTS, LONG_MS = 3, 60_000
GAP_MS = 15 * 60_000  # longer than a fixed modem is silent between two samples (cloud/coverage/gateways.py)


class Moment(NamedTuple):
    """One moment of a teller at a place."""

    time_ms: int
    service: int
    cell: int


def dead(moments: Iterable[Moment]) -> list[int]:
    """Return the cell in which each dead run began, of the moments of one day, which come in order."""
    found: list[int] = []
    first, last, n = None, 0, 0
    for one in moments:
        ended = one.service == SERVED or one.time_ms - last > GAP_MS
        if first is not None and ended:
            found += _cell(first, last, n)
            first = None
        if one.service == SERVED:
            continue
        if first is None:
            first, n = one, 0
        last, n = one.time_ms, n + 1
    return found if first is None else found + _cell(first, last, n)


def _cell(first: Moment, last_ms: int, n: int) -> list[int]:
    return [first.cell] if n >= MOMENTS and last_ms - first.time_ms >= LONG_MS else []
