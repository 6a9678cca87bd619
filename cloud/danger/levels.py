"""The five levels of Vietnam, read from P by the table of a province; without its table there is none.

Decree 156/2018/NĐ-CP, article 46: the province issues the levels and the tables they are looked up in. A number on the
border of two levels belongs to the lower one, as the tables read ("0 - 5.000", "5.001 - 10.000").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cloud.registry.kinds import DangerTable

if TYPE_CHECKING:
    from cloud.danger.course import Day

AT_LEAST = 10
ROMAN = ("I", "II", "III", "IV", "V")


class Level(msgspec.Struct, frozen=True):
    """A level, with the law that it stands on. `at_least`: P is summed since a day without rain, it may be higher."""

    number: int
    table: DangerTable
    at_least: bool = False

    @property
    def roman(self) -> str:
        """Return it as the sign shows it."""
        return ROMAN[self.number - 1]


class Verdict(msgspec.Struct, frozen=True):
    """What may be said of a day: a level, or why there is none.

    `why` is "", "no_table", "no_p" (nothing was summed yet), "missing" (no weather for too long) or "limit" (P still
    stands on another limit of rain than the table's; it is about to be summed anew).
    """

    level: Level | None = None
    why: str = ""


def coded(found: Verdict) -> int:
    """Return a verdict as one number: 1 to 5, that and AT_LEAST where it may be higher, 0 where there is no level."""
    return 0 if found.level is None else found.level.number + AT_LEAST * found.level.at_least


def number(p: float, bounds: tuple[float, ...]) -> int:
    """Return the level, 1 to 5, of P; each bound is the highest number of its level."""
    return 1 + sum(p > bound for bound in bounds)


def verdict(day: Day, table: DangerTable | None) -> Verdict:
    """Return the level of a day by the table that holds on it."""
    if day.after.p_since is None:
        return Verdict(why="no_p")
    if table is None:
        return Verdict(why="no_table")
    if day.withheld:
        return Verdict(why="missing")
    if day.limit_mm != table.rain_mm:
        return Verdict(why="limit")
    found = number(day.after.p, table.bounds)
    return Verdict(Level(found, table, at_least=not day.after.settled and found < len(ROMAN)))
