"""Read the figures of a question out of the store.

Rain is a running total at its gauge; by hours and days it is what fell, told at the hour in which it was seen to have
risen.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from cloud.staff.figures.question import DAY_MS, HOUR, HOUR_MS, MOST_VALUES, RAIN, RAW, lines
from cloud.staff.figures.table import AHEAD, MAINTAINED, NOTHING, THERE, UNASKED, Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloud.registry import Registry
    from cloud.registry.kinds import Binding
    from cloud.registry.periods import Periods
    from cloud.registry.scale import Scale
    from cloud.staff.figures.question import Line, Question
    from cloud.store.history import Absent, History, Hour, Series

PIECE_MS = 60 * DAY_MS  # asked of the store at once: a step of the progress
MOST_ABSENT = 100_000  # absent values that are looked at for their reasons
NS = 1_000_000


class TooMany(Exception):
    """More than a table may hold: (word, facts)."""

    def __init__(self, word: str, **facts: object) -> None:
        super().__init__(word)
        self.word, self.facts = word, facts


class Source(NamedTuple):
    """Where figures are read, and as of when. `registry` says what the numbers mean: maintenance and calibrations.

    `step` is told (done, of) as the reading goes on.
    """

    store: History
    registry: Registry
    now_ms: int
    step: Callable[[int, int], None] = lambda *_: None

    def table(self, question: Question, bindings: Sequence[Binding], most: int) -> Table:
        """Return the table of a question, of `most` lines. Reads in pieces. Raises TooMany, Retry."""
        wanted = lines(question, bindings, self.store.latest())
        if len(wanted) > most:
            raise TooMany("data.too_many_lines", n=len(wanted), most=most)
        return self._raw(question, wanted) if question.step == RAW else self._by_hours(question, wanted)

    def _raw(self, question: Question, wanted: list[Line]) -> Table:
        found: list[tuple[dict[int, float], dict[int, int]]] = []
        absent: dict[tuple[str, str, int, int], list[Absent]] = {}  # of a channel: each of its quantities looks here
        for number, line in enumerate(wanted):
            self.step(number, len(wanted))
            values: dict[int, float] = {}
            reasons: dict[int, int] = {}
            for start_ms, end_ms in line.periods:
                where, span = (line.gateway, line.channel), (start_ms * NS, end_ms * NS)
                values |= {time // NS: value for time, value in self.store.series(*where, line.quantity, *span)}
                if (*where, *span) not in absent:
                    absent[(*where, *span)] = self.store.missing(*where, *span)
                reasons |= {
                    one.time_ns // NS: one.reason for one in absent[(*where, *span)] if one.quantity == line.quantity
                }
            found.append((values, reasons))
            if sum(len(one) + len(other) for one, other in found) > MOST_VALUES:
                raise TooMany("data.too_many_values", most=MOST_VALUES)
        times = sorted({time for pair in found for one in pair for time in one})
        if len(times) * len(wanted) > 4 * MOST_VALUES:  # channels that are polled at different moments
            raise TooMany("data.too_many_values", most=MOST_VALUES)
        table, places = Table(question, self.now_ms, times), {time: at for at, time in enumerate(times)}
        for line, (values, reasons) in zip(wanted, found, strict=True):
            column = Column.blank(line, len(times))
            for time, why in reasons.items():
                column.whys[places[time]] = why
            rests, scale = self._means(line)
            own = [scale.value(value, time) for time, value in values.items()]
            whys = [MAINTAINED if rests.hold(time) else THERE for time in values]
            column.fill([places[time] for time in values], own, own, own, whys)
            column.calibrated = any(map(scale.at, values))
            column.found, column.due = len(column.there), len(values.keys() | reasons.keys())
            table.columns.append(column)
        return table

    def _by_hours(self, question: Question, wanted: list[Line]) -> Table:
        unit_ms = HOUR_MS if question.step == HOUR else DAY_MS
        table = Table(question, self.now_ms, list(range(question.start_ms, question.end_ms, unit_ms)))
        pieces: dict[tuple[int, int], dict[Series, list[Line]]] = {}
        for line in wanted:
            for start_ms, end_ms in line.periods:
                for at in range(start_ms, end_ms, PIECE_MS):
                    series = line.gateway, line.channel, line.quantity
                    pieces.setdefault((at, min(at + PIECE_MS, end_ms)), {}).setdefault(series, []).append(line)
        hours: dict[Line, list[Hour]] = {line: [] for line in wanted}
        done, of = 0, sum(map(len, pieces.values())) + len(wanted)
        for span, own in sorted(pieces.items()):
            for series, found in self.store.each_hourly(list(own), *span):
                self.step(done, of)
                done += 1
                for line in own[series]:
                    hours[line] += found
        why = _Why(self.store)
        for number, line in enumerate(wanted, done):
            self.step(number, of)
            column = Column.blank(line, len(table.times))
            _expect(column, table, unit_ms)
            told, (rests, scale) = hours.pop(line), self._means(line)
            column.calibrated = any(scale.at(hour.start_ms) for hour in told) if scale else False
            _fill(column, table, list(scale.hours(told)), unit_ms, rests)
            why.fill(column, table, unit_ms)
            table.columns.append(column)
        return table

    def _means(self, line: Line) -> tuple[Periods, Scale]:
        """Return when a line's channel is under maintenance, and what its numbers mean."""
        channel = (line.gateway, line.channel)
        return self.registry.maintenance(*channel), self.registry.scale(*channel, line.quantity)


def _expect(column: Column, table: Table, unit_ms: int) -> None:
    """Mark where there should be figures: while it hung there, and not in the future."""
    first = table.question.start_ms
    for start_ms, end_ms in column.line.periods:
        for at in range((start_ms - first) // unit_ms, -(-(end_ms - first) // unit_ms)):
            column.whys[at] = NOTHING if table.times[at] + HOUR_MS <= table.made_ms else AHEAD
        column.due += max(0, min(end_ms, table.made_ms) - start_ms) // HOUR_MS


def _fill(column: Column, table: Table, hours: list[Hour], unit_ms: int, rests: Periods) -> None:
    """Put hours in their places: of a unit those in which nobody worked at the sensor, where there are any.

    A running total goes on through maintenance, so that what was poured into a gauge is not told as rain afterwards.
    """
    starts, first = [hour.start_ms for hour in hours], table.question.start_ms
    resting = {at for at, start in enumerate(starts) if rests.touch(start, start + HOUR_MS)} if rests else set()
    over = table.made_ms - HOUR_MS
    column.found = sum(start <= over for start in starts) - sum(starts[at] <= over for at in resting)
    column.invented = sum(hour.n == 0 for hour in hours)
    rain = column.line.quantity == RAIN
    means = _rises(hours) if rain else [hour.mean for hour in hours]
    lows = means if rain else [hour.low for hour in hours]
    highs = means if rain else [hour.high for hour in hours]
    places = [(start - first) // unit_ms for start in starts]
    if unit_ms == HOUR_MS:
        whys = [MAINTAINED if at in resting else THERE for at in range(len(hours))] if resting else [THERE] * len(hours)
        column.fill(places, means, lows, highs, whys)
        return
    for place, of_unit in itertools.groupby(range(len(hours)), places.__getitem__):
        of_all = list(of_unit)
        own = [at for at in of_all if at not in resting] or of_all
        sums = math.fsum(means[at] for at in own)
        value, why = sums if rain else sums / len(own), MAINTAINED if own[0] in resting else THERE
        low, high = (value, value) if rain else (min(lows[at] for at in own), max(highs[at] for at in own))
        column.fill([place], [value], [low], [high], [why])


def _rises(hours: list[Hour]) -> list[float]:
    """Return what a running total rose by until the end of each hour; one that fell was set back to begin anew."""
    before = [hours[0].low if hours else 0.0, *(hour.high for hour in hours[:-1])]
    return [
        hour.high - last if hour.high >= last else hour.high - hour.low
        for hour, last in zip(hours, before, strict=True)
    ]


class _Why:
    """Asks why hours are empty, a channel and a day at once, until it has looked at as much as is reasonable."""

    def __init__(self, store: History) -> None:
        self._store, self._left = store, MOST_ABSENT
        self._known: dict[tuple[str, str, int], dict[tuple[str, int], Counter[int]] | None] = {}

    def fill(self, column: Column, table: Table, unit_ms: int) -> None:
        """Put the most frequent reason beside each figure that is not there."""
        for at, why in enumerate(column.whys):
            if why == NOTHING:
                column.whys[at] = self._of(column.line, table.times[at], unit_ms)

    def _of(self, line: Line, start_ms: int, unit_ms: int) -> int:
        day_ms = start_ms - start_ms % DAY_MS
        found: Counter[int] = Counter()
        for day in {day_ms, (start_ms + unit_ms - 1) // DAY_MS * DAY_MS}:
            reasons = self._day(line, day)
            if reasons is None:
                return UNASKED
            for hour in range(start_ms, start_ms + unit_ms, HOUR_MS):
                found += reasons.get((line.quantity, hour), Counter())
        return found.most_common(1)[0][0] if found else NOTHING

    def _day(self, line: Line, day_ms: int) -> dict[tuple[str, int], Counter[int]] | None:
        key = (line.gateway, line.channel, day_ms)
        if key not in self._known:
            self._known[key] = self._asked(line, day_ms) if self._left > 0 else None
        return self._known[key]

    def _asked(self, line: Line, day_ms: int) -> dict[tuple[str, int], Counter[int]]:
        found: dict[tuple[str, int], Counter[int]] = {}
        absent = self._store.missing(line.gateway, line.channel, day_ms * NS, (day_ms + DAY_MS) * NS)
        self._left -= len(absent) + 100  # an empty answer costs, too
        for one in absent:
            hour = one.time_ns // NS // HOUR_MS * HOUR_MS
            found.setdefault((one.quantity, hour), Counter())[one.reason] += 1
        return found
