"""A running total that rain only raises, and what in it is damage and not rain. Pure.

Alerts of heavy rain and the days of fire danger read a gauge alike: one reading that is wrong must neither warn of a
flood nor end a drought.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

ANY_TIME_MM, A_MINUTE_MM = 30.0, 10.0  # the most that is believed: so much, and so much a minute
_MINUTE_MS = 60_000


class Run(msgspec.Struct, frozen=True, array_like=True):
    """A total that was read unchanged, without a gap, from one time to another."""

    first_ms: int
    last_ms: int
    total: float


def undamaged(runs: Iterable[Run]) -> list[Run]:
    """Return the runs without those that are no rain: dips and jumps from which the total came back at once."""
    true: list[Run] = []
    fell = 0  # where the total fell last
    for run in runs:
        if len(true) > 1 and run.total < true[-1].total and not may_be(true[-2], true[-1]):
            true.pop()
            fell = min(fell, len(true))
        if 0 < fell < len(true) and true[fell - 1].total <= run.total:
            drop = true[fell - 1].total - true[fell].total
            if run.total - true[-1].total >= drop:
                del true[fell:]
                fell = 0
        if true and run.total < true[-1].total:
            fell = len(true)
        true.append(run)
    return true


def may_be(before: Run, after: Run) -> bool:
    """Tell whether so much may have fallen between two readings."""
    minutes = (after.first_ms - before.last_ms) / _MINUTE_MS
    return after.total - before.total <= ANY_TIME_MM + A_MINUTE_MM * minutes
