"""What was: the last 24 hours and the last year of a series, asked of the store seldom, and never insisted on."""

from __future__ import annotations

import asyncio
import itertools
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from cloud import clock
from cloud.clock import hanoi
from cloud.pages.remembered import Remembered, aside
from cloud.store import Retry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cloud.clock import Clock
    from cloud.pages.readings import Figure
    from cloud.pages.remembered import Source
    from cloud.registry import Registry
    from cloud.registry.periods import Periods
    from cloud.registry.scale import Scale
    from cloud.store import History, Hour

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
KEEP_S, KEEP_DAYS_S = 300.0, 3_600.0
REST_S = 30.0  # a store that did not answer is left alone for this long
YEAR, MONTH, PENTAD = 365, 30, 5  # days
_NO_SPAN = frozenset({"wind_direction", "rain_total"})  # a direction has no lowest, a running total no range

Series = tuple[str, str]  # source (gateway/channel), quantity


class Span(NamedTuple):
    """The lowest and highest since a time; `whole` where that is all of 24 hours."""

    low: float
    high: float
    since_ms: int
    whole: bool


class Day(NamedTuple):
    """A day of Vietnam, out of those of its hours that there are. `invented`: nobody measured some of them.

    `calibrated`: its numbers were compared with something.
    """

    on: date
    hours: int
    mean: float
    low: float
    high: float
    invented: bool
    calibrated: bool = False


class Spans(NamedTuple):
    """The hours that stand beside figures. `silent` says that the store did not tell all of them anew."""

    found: dict[Series, tuple[Hour, ...]]
    silent: bool
    asked_ms: int | None  # when the oldest of those that are too old was asked for

    def hours(self, figure: Figure) -> tuple[Hour, ...]:
        """Return the hours of a figure's series since its channel hangs here, as they are meant, oldest first.

        None of those in which somebody worked at it, or whose numbers stand on another scale than the figure's.
        """
        hours = self.found.get((figure.source, figure.quantity.name), ())
        if hours and hanoi(hours[0].start_ms).date() < figure.since:
            hours = tuple(hour for hour in hours if hanoi(hour.start_ms).date() >= figure.since)
        if figure.rests:
            hours = tuple(hour for hour in hours if not figure.rests.touch(hour.start_ms, hour.start_ms + HOUR_MS))
        if figure.scale:
            hours = tuple(hour for hour in hours if figure.scale.at(hour.start_ms) == figure.calibration)
        return tuple(figure.scale.hours(hours))

    def beside(self, figure: Figure) -> Span | None:
        """Return the span that includes the figure itself: what is kept may be minutes older than "now"."""
        hours = self.hours(figure)
        if not hours or figure.value is None:
            return None
        low = min(figure.value, *(hour.low for hour in hours))
        high = max(figure.value, *(hour.high for hour in hours))
        return Span(low, high, hours[0].start_ms, len(hours) >= 24) if low < high else None


class Past:
    """Answers from memory: hours for five minutes, days for an hour."""

    def __init__(self, store: History, clock: Clock, patience_s: float, source: Source) -> None:
        self._store, self._clock, self._source = store, clock, source
        how: Any = {"patience_s": patience_s, "rest_s": REST_S, "source": source}
        self._hours = Remembered(aside("ask-day", self._ask_hours), clock, KEEP_S, **how, most=2_000)  # of 4 kB each
        self._days = Remembered(aside("ask-year", self._ask_days), clock, KEEP_DAYS_S, **how, most=200)  # of 70 kB

    @property
    def coming(self) -> bool:
        """Whether what is missing may still come: nobody needs to be told yet that the store does not answer."""
        return self._source.coming(self._clock.monotonic())

    async def spans(self, figures: Iterable[Figure]) -> Spans:
        """Return the last 24 hours of those figures that can have a span."""
        wanted = list(dict.fromkeys((one.source, one.quantity.name) for one in figures if has_span(one)))
        answers = await asyncio.gather(*map(self._hours.get, wanted), return_exceptions=True)
        found: dict[Series, tuple[Hour, ...]] = {}
        silent, oldest_s = False, None
        for series, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, Retry):
                silent = True
            elif isinstance(answer, BaseException):
                raise answer
            else:
                found[series] = answer.value
                if answer.stale:
                    silent, oldest_s = True, max(answer.age_s, oldest_s or 0.0)
        return Spans(found, silent, None if oldest_s is None else self._clock.utc_ms() - round(oldest_s * 1000))

    async def days(
        self, registry: Registry, figure: Figure, code: str, patience_s: float = 0.0
    ) -> tuple[Day | None, ...] | None:
        """Return the last 365 days of a quantity at a place, yesterday last; None for a day without an hour.

        A channel tells of this place only since it hangs here; before, the one did that it took the place of. None
        for all of it while the store is silent.
        """
        found: list[Day | None] = [None] * YEAR
        hung: list[tuple[str, date, date | None]] = [(figure.source, figure.since, None)]
        before = registry.formerly(figure.place, code, figure.since)
        hung += [(f"{one.gateway}/{one.channel}", one.valid_from, one.valid_to) for one in before]
        first = hanoi(self._clock.utc_ms()).date() - timedelta(YEAR)
        for source, since, until in hung:
            if until is not None and until <= first:
                break
            try:
                gateway, channel = source.split("/", 1)
                means = registry.maintenance(gateway, channel), registry.scale(gateway, channel, figure.quantity.name)
                days = (await self._days.get((source, figure.quantity.name, *means), patience_s)).value
            except Retry:
                return None
            for at, day in enumerate(days):
                if day and since <= day.on and (until is None or day.on < until):
                    found[at] = found[at] or day
        return tuple(found)

    def _ask_hours(self, series: Series) -> tuple[Hour, ...]:
        end_ms = self._clock.utc_ms()
        return tuple(self._hourly(series, end_ms - DAY_MS, end_ms))

    def _ask_days(self, asked: tuple[str, str, Periods, Scale]) -> tuple[Day | None, ...]:
        *series, rests, scale = asked
        today_ms = midnight_ms(self._clock.utc_ms())
        hours = self._hourly((series[0], series[1]), today_ms - YEAR * DAY_MS, today_ms)
        hours = [hour for hour in hours if not rests.touch(hour.start_ms, hour.start_ms + HOUR_MS)] if rests else hours
        days: list[Day | None] = [None] * YEAR
        for start_ms, own in itertools.groupby(scale.hours(hours), key=lambda hour: midnight_ms(hour.start_ms)):
            days[YEAR - (today_ms - start_ms) // DAY_MS] = _day(list(own), calibrated=scale.at(start_ms) is not None)
        return tuple(days)

    def _hourly(self, series: Series, start_ms: int, end_ms: int) -> list[Hour]:
        source, quantity = series
        gateway, _, channel = source.partition("/")
        return self._store.hourly(gateway, channel, quantity, start_ms, end_ms)


def midnight_ms(time_ms: int) -> int:
    """Return when the day of Vietnam began that a time lies in."""
    return clock.midnight_ms(hanoi(time_ms).date())


def pentads(days: Sequence[Day | None]) -> list[float | None]:
    """Return the means of five days each: 73 of a year; None for five days that nothing was measured in."""
    means: list[float | None] = []
    for at in range(0, len(days), PENTAD):
        known = [day for day in days[at : at + PENTAD] if day]
        hours = sum(day.hours for day in known)
        means.append(sum(day.mean * day.hours for day in known) / hours if hours else None)
    return means


def has_span(figure: Figure) -> bool:
    """Tell whether a figure has a lowest and a highest of now."""
    return figure.quality in {"live", "late"} and keeps_history(figure)


def keeps_history(figure: Figure) -> bool:
    """Tell whether means over hours and days say something."""
    return not figure.quantity.codes and figure.quantity.name not in _NO_SPAN


def _day(hours: list[Hour], *, calibrated: bool) -> Day:
    return Day(
        hanoi(hours[0].start_ms).date(),
        len(hours),
        sum(hour.mean for hour in hours) / len(hours),
        min(hour.low for hour in hours),
        max(hour.high for hour in hours),
        invented=any(hour.n == 0 for hour in hours),
        calibrated=calibrated,
    )
