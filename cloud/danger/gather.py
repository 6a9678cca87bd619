"""What days of zones need of the store, read for many zones together: their sensors' hours, and readings around noon.

A question for each series of each zone takes the store ten times as long; all zones at once would fill the memory. So
some hundred days are read at a time, of single readings no more than their means are kept, and each zone's days are
made of that.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from cloud.clock import DAY_MS, midnight_ms
from cloud.danger.course import HOUR_MS
from cloud.danger.noon import (
    AIR,
    DAMP,
    EVENING_MS,
    HALF_MS,
    NIGHT_MS,
    NOON_MS,
    ONE_MS,
    RAIN,
    RAIN_MS,
    WANTED,
    WIND,
    ZoneDays,
    is_believed,
)
from cloud.registry.periods import valid_on

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import date

    from cloud.danger.course import Inputs
    from cloud.registry import Registry
    from cloud.registry.kinds import Binding, Zone
    from cloud.store import History, Hour, Sample, Series

AT_ONCE = 400  # days of zones that are read together: some 10 MB
BEFORE_MS = 7 * DAY_MS  # how far back a total is looked for that a gauge goes on from

Known = Mapping[tuple[str, str], frozenset[str]]


def known_of(newest: Iterable[Sample]) -> Known:
    """Return what each (gateway, channel) tells that has told anything."""
    found: dict[tuple[str, str], set[str]] = {}
    for one in newest:
        found.setdefault((one.gateway, one.channel), set()).add(one.quantity)
    return {channel: frozenset(told) for channel, told in found.items()}


class Asked(NamedTuple):
    """The days of a zone that inputs are wanted of; single readings are read for those that are `fine`."""

    zone: Zone
    days: Sequence[date]
    fine: frozenset[date] = frozenset()


def gather(
    store: History, registry: Registry, known: Known, asked: Iterable[Asked], until_ms: int, turn: Callable[[], None]
) -> Iterator[tuple[Zone, Weather]]:
    """Yield the zones that were asked for, in their order, with what the store tells of them; some read at a time.

    `known` spares asking a channel for what it does not tell; one that is not in it may have told anything once. An
    hour that is not over by `until_ms` is none yet. `turn` is called at each step: a store may be slow. Raises Retry.
    """
    for some in _parts(asked):
        runs: dict[tuple[date, date], list[Zone]] = {}
        for one in some:
            for run in _runs(one.days):
                runs.setdefault(run, []).append(one.zone)
        read = {run: Read(store, registry, known, zones, run, until_ms, turn) for run, zones in runs.items()}
        for (first, last), own in read.items():
            for day in sorted({day for one in some for day in one.fine if first <= day <= last}):
                own.read_near(day, [one.zone for one in some if day in one.fine and (first, last) in _runs(one.days)])
        for one in some:
            turn()
            yield one.zone, Weather(one.zone, [read[run] for run in _runs(one.days)])


class Weather:
    """What the store tells of a zone, yet to be made inputs of."""

    def __init__(self, zone: Zone, read: Sequence[Read]) -> None:
        self._zone, self._read = zone, read

    def inputs(self) -> dict[date, Inputs]:
        """Return the inputs of the days; one of which no sensor told anything has inputs without a value."""
        found: dict[date, Inputs] = {}
        for read in self._read:
            zone = ZoneDays(read, self._zone)
            found |= {day: zone.day(day) for day in read.days}
        return found

    def is_lost(self, day: date, sources: Sequence[str]) -> bool:
        """Tell whether the store has nothing of a day, though a sensor hangs there still that told of it once."""
        read = next((read for read in self._read if read.days[0] <= day <= read.days[-1]), None)
        if read is None:
            return False
        hung = {
            (one.gateway, one.channel): f"{one.gateway}/{one.channel}"
            for own in read.hung[self._zone.code].values()
            for one in own
            if valid_on(one, day)
        }
        hours = (read.hours.get((*channel, quantity), ()) for channel in hung for quantity in WANTED)
        low, high = midnight_ms(day) - RAIN_MS, midnight_ms(day) + EVENING_MS
        there = any(low <= hour.start_ms < high for own in hours for hour in own)
        return not there and not set(hung.values()).isdisjoint(sources)


def _parts(asked: Iterable[Asked]) -> Iterator[list[Asked]]:
    """Yield as many at a time as may be read together."""
    some: list[Asked] = []
    days = 0
    for one in asked:
        if some and days + len(one.days) > AT_ONCE:
            yield some
            some, days = [], 0
        some.append(one)
        days += len(one.days)
    if some:
        yield some


def _runs(days: Sequence[date]) -> list[tuple[date, date]]:
    """Return (first, last) of days that follow each other."""
    runs: list[tuple[date, date]] = []
    for day in days:
        if runs and day - runs[-1][1] == timedelta(1):
            runs[-1] = runs[-1][0], day
        else:
            runs.append((day, day))
    return runs


class Read:
    """What was read of some zones for days that follow each other."""

    def __init__(
        self, store: History, registry: Registry, known: Known, zones: Sequence[Zone], run: tuple[date, date],
        until_ms: int, turn: Callable[[], None],
    ) -> None:  # fmt: skip
        self.store, self.registry, self._turn = store, registry, turn
        self.days = [run[0] + timedelta(n) for n in range((run[1] - run[0]).days + 1)]
        self.hung = {zone.code: _hung(registry, known, zone, run) for zone in zones}
        self.hours: dict[Series, list[Hour]] = {}
        self.near: dict[Series, dict[int, float]] = {}
        first_ms, end_ms = midnight_ms(run[0]), min(midnight_ms(run[1]) + EVENING_MS, until_ms // HOUR_MS * HOUR_MS)
        self._read_hours(self._names(AIR, DAMP, WIND), first_ms - NIGHT_MS, end_ms)
        gauges, since_ms = self._names(RAIN), first_ms - RAIN_MS
        self._read_hours(gauges, since_ms, end_ms)
        begin = [name for name in gauges if not (of := self.hours[name]) or of[0].start_ms != since_ms]
        self._read_hours(begin, since_ms - BEFORE_MS, since_ms)  # which total does it go on from?

    def _read_hours(self, names: Sequence[Series], start_ms: int, end_ms: int) -> None:
        """Read hours that lie before those that were read already, if any were."""
        for name, found in self.store.each_hourly(names, start_ms, end_ms):
            self._turn()
            self.hours[name] = found + self.hours.get(name, [])

    def read_near(self, day: date, zones: Sequence[Zone]) -> None:
        """Read single readings around noon and 13:00, of which only their means are kept."""
        noon, one = midnight_ms(day) + NOON_MS, midnight_ms(day) + ONE_MS
        names = self._names(AIR, DAMP, WIND, zones=zones, day=day)
        for name, found in self.store.each_series(names, (noon - HALF_MS) * 10**6, (one + HALF_MS + 1) * 10**6):
            self._turn()
            rests, scale = self.registry.maintenance(*name[:2]), self.registry.scale(*name)
            for at_ms in (noon, one):
                low, high = (bisect_left(found, (edge * 10**6,)) for edge in (at_ms - HALF_MS, at_ms + HALF_MS + 1))
                near = found[low:high]
                if rests or scale:
                    near = [(ns, scale.value(of, ns // 10**6)) for ns, of in near if not rests.hold(ns // 10**6)]
                own = [value for _, value in near]
                if own and is_believed(name[2], mean := sum(own) / len(own)):
                    self.near.setdefault(name, {})[at_ms] = mean

    def _names(self, *quantities: str, zones: Sequence[Zone] | None = None, day: date | None = None) -> list[Series]:
        """Return the series of quantities that hang in zones, or in all, on a day, or ever."""
        hung = self.hung.values() if zones is None else (self.hung[zone.code] for zone in zones)
        return [
            (one.gateway, one.channel, quantity)
            for of in hung
            for quantity in quantities
            for one in of[quantity]
            if day is None or valid_on(one, day)
        ]


def _hung(registry: Registry, known: Known, zone: Zone, run: tuple[date, date]) -> dict[str, list[Binding]]:
    """Return what hangs in a zone, or did on one of the days, by what it tells, the nearest first."""
    hung = registry.bound_to("zone", zone.code, run[1])
    hung += [one for one in registry.formerly("zone", zone.code, run[1]) if one.valid_to and one.valid_to > run[0]]
    return {
        quantity: [one for one in hung if quantity in known.get((one.gateway, one.channel), WANTED)]
        for quantity in WANTED
    }
