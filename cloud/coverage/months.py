"""Months of Vietnam as year·100+month, and the cells of H3 as ranges of integers. Pure."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import NamedTuple

import h3.api.basic_int as h3

from cloud.clock import DAY_MS, HANOI_MS, hanoi, midnight_ms
from cloud.coverage.sample import SPOT

HEX = 8  # H3 resolution of the map: cells some 900 m across
_LAST = 0o666 << 12  # digits 9, 10 and 11 of the last child of resolution 11


class Day(NamedTuple):
    """A day in Vietnam: its number since 1970, its month, and its bit in `Spot.days`."""

    number: int
    month: int
    bit: int


def day_of(time_ms: int) -> Day:
    """Return the day on which something was."""
    return _day((time_ms + HANOI_MS) // DAY_MS)


@lru_cache(4_096)
def _day(number: int) -> Day:
    at = hanoi(number * DAY_MS - HANOI_MS)
    return Day(number, at.year * 100 + at.month, 1 << (at.day - 1))


def span_ms(day: int) -> tuple[int, int]:
    """Return the first and the last millisecond of a day."""
    return day * DAY_MS - HANOI_MS, (day + 1) * DAY_MS - HANOI_MS - 1


def plus(month: int, months: int) -> int:
    """Return the month so many later, or earlier."""
    whole = month // 100 * 12 + month % 100 - 1 + months
    return whole // 12 * 100 + whole % 12 + 1


def month_ms(month: int) -> tuple[int, int]:
    """Return the first and the last millisecond of a month."""
    first, after = (midnight_ms(date(one // 100, one % 100, 1)) for one in (month, plus(month, 1)))
    return first, after - 1


@lru_cache(65_536)
def hex_of(cell: int) -> int:
    """Return the cell of the map that has a spot in it."""
    return int(h3.cell_to_parent(cell, HEX))


def spots_of(hexagon: int) -> tuple[int, int]:
    """Return the first and the last spot of a cell of the map: all between them are its own."""
    first = int(h3.cell_to_center_child(hexagon, SPOT))
    return first, first + _LAST
