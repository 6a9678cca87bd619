"""Levels of fixed modems over a year, with a seed: what is usual at a place, and what a known fault makes of it.

In dB around a mean that each modem has: 2 dB from day to night (the crowd and the air), a season of 3 dB (leaves), wind
and walkers as noise that lasts for hours (first order, 0.8 from hour to hour, 1.5 dB), 1 dB of each reading, rain that
costs 2 to 4 dB for up to 5 hours some 60 times a year, and now and then a stray value 15 dB off. Every figure is chosen
by us after what fixed modems show; none is measured at Chế Tạo.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, NamedTuple

from cloud.alerts.usual import Hour, Terms, joined, judged
from cloud.clock import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

YEAR_H, PER_HOUR = 365 * 24, 6
FIRST_H = 1_735_664_400_000 // HOUR_MS  # 2025-01-01 in Hanoi


class Fault(NamedTuple):
    """A level that is worse by so many dB from an hour of the year on, for so long; it comes within `over_h`."""

    at: int
    long_h: int
    db: float
    over_h: int = 0

    def at_hour(self, hour: int) -> float:
        """Return how much it costs in an hour of the year."""
        if not self.at <= hour < self.at + self.long_h:
            return 0.0
        return self.db * min(1.0, (hour - self.at + 1) / (self.over_h or 1))


def hours(seed: int, faults: tuple[Fault, ...] = (), hours_: int = YEAR_H) -> Iterator[tuple[int, float]]:
    """Yield each hour of a year and the median of what a modem reads in it."""
    chance = random.Random(seed)
    mean, slow, rain_h, rain_db = chance.uniform(-112, -82), 0.0, 0, 0.0
    phase = chance.uniform(0, math.tau)
    for hour in range(hours_):
        slow = 0.8 * slow + chance.gauss(0, 1.5 * math.sqrt(1 - 0.8**2))
        if not rain_h and chance.random() < 60 / YEAR_H:
            rain_h, rain_db = chance.randint(1, 5), chance.uniform(2, 4)
        day, season = math.cos(math.tau * hour / 24), math.cos(math.tau * hour / YEAR_H + phase)
        level = mean + 1.0 * day + 1.5 * season + slow - (rain_db if rain_h else 0.0)
        level -= sum(fault.at_hour(hour) for fault in faults)
        rain_h = max(0, rain_h - 1)
        told = sorted(level + chance.gauss(0, 1) - 15 * (chance.random() < 0.01) for _ in range(PER_HOUR))
        yield FIRST_H + hour, (told[2] + told[3]) / 2


def course(seed: int, terms: Terms, faults: tuple[Fault, ...] = (), hours_: int = YEAR_H) -> list[Hour]:
    """Return a year's hours as they are judged one after the other."""
    found: list[Hour] = []
    kept: list[Hour] = []
    for at, level in hours(seed, faults, hours_):
        one = judged(kept, at, level, terms, live=True)
        kept = joined(kept, [one], terms.days)
        found.append(one)
    return found
