"""The figures of a question, read out of the store: one table, of which the page, the chart and the files are made.

Numbers are rounded here, once, to the decimals of their quantity: all that shows them shows the same. Rain is a running
total at its gauge; by hours and days it is what fell, told at the hour in which it was seen to have risen.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from cloud.staff.question import DAY_MS, HOUR, HOUR_MS, MOST_VALUES, RAIN, RAW, lines
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cloud.registry import Registry
    from cloud.registry.kinds import Binding
    from cloud.registry.periods import Periods
    from cloud.registry.scale import Scale
    from cloud.staff.question import Line, Question
    from cloud.store.history import History, Hour

# why a cell is as it is, beside the codes of `wire.reading.Reason`
THERE, NOTHING, UNASKED, NOT_HERE, AHEAD, MAINTAINED = 0, -1, -2, -3, -4, -5
PIECE_MS = 60 * DAY_MS  # asked of the store at once: a step of the progress
MOST_ABSENT = 100_000  # absent values that are looked at for their reasons
NS = 1_000_000
NONE = math.nan


class TooMany(Exception):
    """More than a table may hold: (word, facts)."""

    def __init__(self, word: str, **facts: object) -> None:
        super().__init__(word)
        self.word, self.facts = word, facts


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
        return self.why in {THERE, MAINTAINED}


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

    def put(self, at: int, value: float, low: float, high: float, why: int = THERE) -> None:
        """Put a figure in its place, rounded as its quantity is."""
        decimals = max(QUANTITIES[self.line.quantity].decimals, 0)
        self.values[at], self.lows[at], self.highs[at] = (round(one, decimals) for one in (value, low, high))
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
        return round(found, max(QUANTITIES[self.line.quantity].decimals, 0))

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


def gather(
    store: History,
    question: Question,
    bindings: Sequence[Binding],
    now_ms: int,
    step: Callable[[int, int], None],
    most: int,
    registry: Registry,
) -> Table:
    """Return the table of a question. Reads in pieces, and says with each how far it is. Raises TooMany, Retry."""
    wanted = lines(question, bindings, store.latest())
    if len(wanted) > most:
        raise TooMany("data.too_many_lines", n=len(wanted), most=most)
    if question.step == RAW:
        return _raw(store, question, wanted, now_ms, step, registry)
    return _by_hours(store, question, wanted, now_ms, step, registry)


def _raw(
    store: History,
    question: Question,
    wanted: list[Line],
    now_ms: int,
    step: Callable[[int, int], None],
    registry: Registry,
) -> Table:
    found: list[tuple[dict[int, float], dict[int, int]]] = []
    for number, line in enumerate(wanted):
        step(number, len(wanted))
        values: dict[int, float] = {}
        reasons: dict[int, int] = {}
        for start_ms, end_ms in line.periods:
            where = (line.gateway, line.channel)
            span = (start_ms * NS, end_ms * NS)
            values |= {time // NS: value for time, value in store.series(*where, line.quantity, *span)}
            reasons |= {
                one.time_ns // NS: one.reason for one in store.missing(*where, *span) if one.quantity == line.quantity
            }
        found.append((values, reasons))
        if sum(len(one) + len(other) for one, other in found) > MOST_VALUES:
            raise TooMany("data.too_many_values", most=MOST_VALUES)
    times = sorted({time for pair in found for one in pair for time in one})
    if len(times) * len(wanted) > 4 * MOST_VALUES:  # channels that are polled at different moments
        raise TooMany("data.too_many_values", most=MOST_VALUES)
    table, places = Table(question, now_ms, times), {time: at for at, time in enumerate(times)}
    for line, (values, reasons) in zip(wanted, found, strict=True):
        column = Column.blank(line, len(times))
        for time, why in reasons.items():
            column.whys[places[time]] = why
        rests, scale = registry.maintenance(line.gateway, line.channel), scale_of(registry, line)
        for time, told in values.items():
            value = scale.value(told, time)
            column.put(places[time], value, value, value, MAINTAINED if rests.hold(time) else THERE)
        column.calibrated = any(scale.at(time) for time in values) if scale else False
        column.found, column.due = len(column.there), len(values.keys() | reasons.keys())
        table.columns.append(column)
    return table


def _by_hours(
    store: History,
    question: Question,
    wanted: list[Line],
    now_ms: int,
    step: Callable[[int, int], None],
    registry: Registry,
) -> Table:
    unit_ms = HOUR_MS if question.step == HOUR else DAY_MS
    table = Table(question, now_ms, list(range(question.start_ms, question.end_ms, unit_ms)))
    pieces = [
        (line, at, min(at + PIECE_MS, end_ms))
        for line in wanted
        for start_ms, end_ms in line.periods
        for at in range(start_ms, end_ms, PIECE_MS)
    ]
    hours: dict[Line, list[Hour]] = {line: [] for line in wanted}
    for number, (line, start_ms, end_ms) in enumerate(pieces):
        step(number, len(pieces) + len(wanted))
        hours[line] += store.hourly(line.gateway, line.channel, line.quantity, start_ms, end_ms)
    why = _Why(store)
    for number, line in enumerate(wanted, len(pieces)):
        step(number, len(pieces) + len(wanted))
        column = Column.blank(line, len(table.times))
        _expect(column, table, unit_ms)
        scale, told = scale_of(registry, line), hours.pop(line)
        column.calibrated = any(scale.at(hour.start_ms) for hour in told) if scale else False
        _fill(column, table, list(scale.hours(told)), unit_ms, registry.maintenance(line.gateway, line.channel))
        why.fill(column, table, unit_ms)
        table.columns.append(column)
    return table


def scale_of(registry: Registry, line: Line) -> Scale:
    """Return what the numbers of a line mean."""
    return registry.scale(line.gateway, line.channel, line.quantity)


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
    rises = _rises(hours) if column.line.quantity == RAIN else None
    resting = {at for at, hour in enumerate(hours) if rests.touch(hour.start_ms, hour.start_ms + HOUR_MS)}
    done = [at for at, hour in enumerate(hours) if hour.start_ms + HOUR_MS <= table.made_ms]
    column.found = len(set(done) - resting)
    column.invented = sum(hour.n == 0 for hour in hours)
    of_unit: dict[int, list[int]] = {}
    for number, hour in enumerate(hours):
        of_unit.setdefault((hour.start_ms - table.question.start_ms) // unit_ms, []).append(number)
    for at, of_all in of_unit.items():
        numbers = [number for number in of_all if number not in resting] or of_all
        why = MAINTAINED if numbers[0] in resting else THERE
        own = [hours[number] for number in numbers]
        if rises is None:
            mean = math.fsum(hour.mean for hour in own) / len(own)
            column.put(at, mean, min(hour.low for hour in own), max(hour.high for hour in own), why)
        else:
            fell = math.fsum(rises[number] for number in numbers)
            column.put(at, fell, fell, fell, why)


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
