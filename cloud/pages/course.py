"""One quantity at a tree over a day, a month and a year: its charts, what they say in words, and their tables."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

from cloud.clock import hanoi
from cloud.pages import charts
from cloud.pages.past import MONTH, PENTAD, YEAR, Day, pentads

if TYPE_CHECKING:
    from markupsafe import Markup

    from cloud.pages.readings import Figure
    from cloud.store import Hour


class Course(NamedTuple):
    """Hours and days of a figure's series, oldest first; without days while the store is silent."""

    figure: Figure
    end_ms: int
    hours: tuple[Hour, ...]
    days: tuple[Day | None, ...]

    @property
    def invented(self) -> bool:
        """Tell whether some of it was measured by nobody: the past of a sample garden."""
        return any(day.invented for day in self.known) or any(hour.n == 0 for hour in self.hours)

    @property
    def from_day(self) -> date:
        """Return the first day of the year."""
        return hanoi(self.end_ms).date() - timedelta(YEAR)

    @property
    def month_low(self) -> float:
        """Return the lowest of the last thirty days."""
        return min(day.low for day in self.month)

    @property
    def month_high(self) -> float:
        """Return the highest of the last thirty days."""
        return max(day.high for day in self.month)

    @property
    def known(self) -> list[Day]:
        """Return the days of the year on which something was measured."""
        return [day for day in self.days if day]

    @property
    def month(self) -> list[Day]:
        """Return those of them in the last thirty."""
        return [day for day in self.days[-MONTH:] if day]

    @property
    def lowest(self) -> Day:
        """Return the day of the year with the lowest value."""
        return min(self.known, key=lambda day: day.low)

    @property
    def highest(self) -> Day:
        """Return the day of the year with the highest value."""
        return max(self.known, key=lambda day: day.high)

    @property
    def mean(self) -> float:
        """Return the mean of the year's hours that there are."""
        return sum(day.mean * day.hours for day in self.known) / sum(day.hours for day in self.known)

    @property
    def day_chart(self) -> Markup:
        """Return the last 24 hours as a picture."""
        return charts.day(self.hours, self.end_ms, _scale(self.hours))

    @property
    def month_chart(self) -> Markup:
        """Return the last thirty days as a picture."""
        return charts.month(self.days[-MONTH:], _scale(self.month))

    @property
    def year_chart(self) -> Markup:
        """Return the year as a ribbon of its pentads."""
        means = pentads(self.days)
        return charts.ribbon(means, charts.Scale.of(mean for mean in means if mean is not None))

    @property
    def pentads(self) -> list[tuple[Day, float | None]]:
        """Return (the first day that is known of it, mean) of each pentad that has one."""
        starts = [
            next((day for day in self.days[at : at + PENTAD] if day), None) for at in range(0, len(self.days), PENTAD)
        ]
        return [(day, mean) for day, mean in zip(starts, pentads(self.days), strict=True) if day]


def _scale(spans: tuple[Hour, ...] | list[Day]) -> charts.Scale:
    return charts.Scale.of([one.low for one in spans] + [one.high for one in spans])
