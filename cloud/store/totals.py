"""A running total that rain only raises, and what in it is damage and not rain. Pure.

Alerts of heavy rain and the days of fire danger read a gauge alike: one reading that is wrong must neither warn of a
flood nor end a drought.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

ANY_TIME_MM, A_MINUTE_MM = 30.0, 10.0  # the most that is believed: so much, and so much a minute
RECORD_MM, RECORD_POWER = 425.0, 0.475  # of the hours: what lies above all that was ever measured (WMO's records)
LEAP_MM, LEAP_A_MINUTE_MM = 10.0, 3.0  # more than that is believed when the next reading stands by it
_MINUTE_MS = 60_000


class Run(msgspec.Struct, frozen=True, array_like=True):
    """A total that was read unchanged, without a gap, from one time to another."""

    first_ms: int
    last_ms: int
    total: float


def undamaged(runs: Iterable[Run]) -> list[Run]:
    """Return the runs without those that are no rain: dips and leaps from which the total came back."""
    true: list[Run] = []
    fell = leapt = 0  # where the total fell last, and where it leapt
    for run in runs:
        if len(true) > 1 and run.total < true[-1].total and not may_be(true[-2], true[-1]):
            true.pop()
        if 0 < leapt < len(true) and true[leapt - 1].total <= run.total < true[leapt].total:
            del true[leapt:]
        fell, leapt = min(fell, len(true)), min(leapt, len(true))
        if 0 < fell < len(true) and true[fell - 1].total <= run.total:
            drop = true[fell - 1].total - true[fell].total
            if run.total - true[-1].total >= drop:
                del true[fell:]
                fell = 0
        if true and run.total < true[-1].total:
            fell = len(true)
        if true and leaps(true[-1], run):
            leapt = len(true)
        true.append(run)
    return true


def stood_by(true: list[Run]) -> list[Run]:
    """Return the runs without a last one that leaps, until another reading tells whether it was rain."""
    alone = len(true) > 1 and true[-1].first_ms == true[-1].last_ms and leaps(true[-2], true[-1])
    return true[:-1] if alone else true


def may_be(before: Run, after: Run) -> bool:
    """Tell whether so much may have fallen between two readings."""
    minutes = (after.first_ms - before.last_ms) / _MINUTE_MS
    record = max(ANY_TIME_MM, RECORD_MM * math.pow(max(0.0, minutes / 60), RECORD_POWER))
    return after.total - before.total <= min(ANY_TIME_MM + A_MINUTE_MM * minutes, record)


def leaps(before: Run, after: Run) -> bool:
    """Tell whether a total rises by more than the hardest rain does: one reading alone does not prove that."""
    minutes = (after.first_ms - before.last_ms) / _MINUTE_MS
    return after.total - before.total > LEAP_MM + LEAP_A_MINUTE_MM * minutes
