"""The figures of a question: one table, of which the page, the chart and the files are made.

Numbers are rounded here, once, to the decimals of their quantity: all that shows them shows the same.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from cloud.staff.figures.question import RAIN
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cloud.staff.figures.question import Line, Question

# why a cell is as it is, beside the codes of `wire.reading.Reason`
THERE, NOTHING, UNASKED, NOT_HERE, AHEAD, MAINTAINED = 0, -1, -2, -3, -4, -5
KNOWN = frozenset({THERE, MAINTAINED})  # those with a number
NONE = math.nan


class Figure(NamedTuple):
    """One cell. `why` is THERE, a Reason, or one of the others above; the low and high of a raw reading are itself.

    What was measured under maintenance has both, a number and its mark, and no part in means and extremes.
    """

    value: float
    low: float
    high: float
    why: int

    @property
    def known(self) -> bool:
        """Tell whether there is a number."""
        return self.why in KNOWN


@dataclass
class Column:
    """One line's figures, each at the table's time of the same place; NaN where there is none."""

    line: Line
    values: array[float]
    lows: array[float]
    highs: array[float]
    whys: array[int]
    due: int = 0  # hours, or raw readings, that should be there
    found: int = 0  # and those that are
    invented: int = 0  # hours of a sample garden that nobody measured
    calibrated: bool = False  # some of its numbers were compared with something

    @classmethod
    def blank(cls, line: Line, size: int) -> Column:
        """Return a column without any figure."""
        values, lows, highs = (array("d", [NONE]) * size for _ in range(3))
        return cls(line, values, lows, highs, array("b", [NOT_HERE]) * size)

    def __getitem__(self, at: int) -> Figure:
        return Figure(self.values[at], self.lows[at], self.highs[at], self.whys[at])

    @cached_property
    def decimals(self) -> int:
        """Return to how many decimals its figures are rounded."""
        return max(QUANTITIES[self.line.quantity].decimals, 0)

    def fill(
        self,
        places: Sequence[int],
        values: Sequence[float],
        lows: Sequence[float],
        highs: Sequence[float],
        whys: Sequence[int],
    ) -> None:
        """Put figures in their places, rounded as their quantity is."""
        decimals = self.decimals
        for part, own in ((self.values, values), (self.lows, lows), (self.highs, highs)):
            for at, value in zip(places, own, strict=True):
                part[at] = round(value, decimals)
        for at, why in zip(places, whys, strict=True):
            self.whys[at] = why

    @property
    def there(self) -> list[int]:
        """Return the places at which there is a figure."""
        return [at for at, why in enumerate(self.whys) if why == THERE]

    @property
    def complete(self) -> float | None:
        """Return how much of what is due was found, in per cent; None where nothing is due."""
        return round(100 * self.found / self.due, 1) if self.due else None

    @property
    def reasons(self) -> list[tuple[int, int]]:
        """Return (why, how often) of what is absent, the most frequent first."""
        return Counter(why for why in self.whys if why not in {THERE, NOT_HERE, AHEAD}).most_common()

    @property
    def mean(self) -> float | None:
        """Return the mean of its figures, of rain their sum; None without any."""
        own = [self.values[at] for at in self.there]
        if not own:
            return None
        found = math.fsum(own) / (1 if self.line.quantity == RAIN else len(own))
        return round(found, self.decimals)

    @property
    def lowest(self) -> int | None:
        """Return the place of the lowest, None without any."""
        return min(self.there, key=self.lows.__getitem__, default=None)

    @property
    def highest(self) -> int | None:
        """Return the place of the highest, None without any."""
        return max(self.there, key=self.highs.__getitem__, default=None)


@dataclass
class Table:
    """What was found, as of `made_ms`: for each time the figures of all columns."""

    question: Question
    made_ms: int
    times: list[int]
    columns: list[Column] = field(default_factory=list)

    @property
    def invented(self) -> bool:
        """Tell whether some of it was measured by nobody."""
        return any(column.invented for column in self.columns)

    def rows(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, list[Figure]]]:
        """Yield (time, figures) in order of time."""
        for at in range(len(self.times))[start:end]:
            yield self.times[at], [column[at] for column in self.columns]
