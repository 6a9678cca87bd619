"""What the store knows becomes the inputs of days: which sensor, which minutes, how much rain, and what they lack.

Sensors are those that hang in the zone, the nearest first; numbers are those that their calibrations mean; what a
sensor said under maintenance is no weather. An hour's value is the mean of the readings within half an hour of it.
Where there are none, or they are no longer kept one by one, hours stand in, and a flag says so.

Rain is what a running total grew by. A gauge that was not heard for a while lost no rain: what fell meanwhile is told
with the first hour afterwards, as the rain of several days. A total that falls began anew, or is another gauge's: the
fall is no rain, and what is back where it was is damage (`cloud/store/totals.py`).
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import groupby
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

from cloud.clock import DAY_MS, midnight_ms
from cloud.danger.course import HOUR_MS, Hour, Inputs
from cloud.registry.periods import valid_on
from cloud.store.totals import LEAP_MM, Run, undamaged
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date

    from cloud.danger.gather import Read
    from cloud.registry.kinds import Binding, Zone
    from cloud.store import Hour as Stored

NOON_MS, ONE_MS = 12 * HOUR_MS, 13 * HOUR_MS
HALF_MS = HOUR_MS // 2
NEAR_HOURS = 3  # further from the hour than this, no weather stands in for it
GAUGE_SILENT_MS = 3 * HOUR_MS  # a gauge that was not heard for so long at an end of a day
EVENING_MS = 18 * HOUR_MS  # the last hour of a day ends
NIGHT_MS = 8 * HOUR_MS  # before it: the first of its hours begins
RAIN_MS = 15 * HOUR_MS  # before it: its rain begins at noon, and what is damage shows in the hours around it
MOST_MM = 320.0  # an hour: above the world's record (Holt, Missouri, 1947: 305 mm in 42 minutes)
ASSUMED_M = 2.0
_ALIKE_MM = 1e-6
AIR, DAMP, WIND, RAIN = "air_temperature", "air_humidity", "wind_speed", "rain_total"
WANTED = (AIR, DAMP, WIND, RAIN)
BELIEVED = {  # means of an hour: what lies beyond is the sensor's fault, though its quantity may have that number
    AIR: (-40.0, 56.7),  # the world's record: Furnace Creek, 1913
    DAMP: (1.0, 100.0),  # no air at any station was without water
    WIND: (0.0, 60.0),  # the strongest typhoons at sea
}


def is_believed(quantity: str, mean: float) -> bool:
    """Tell whether a mean over an hour may be the weather's."""
    low, high = BELIEVED[quantity]
    return low <= mean <= high


class _Told(NamedTuple):
    value: float
    source: str
    flag: str


class _Rain(NamedTuple):
    mm: float
    days: int
    source: str


class _Channel:
    """What one channel tells of one quantity over the days that are asked for."""

    def __init__(self, read: Read, bound: Binding, quantity: str) -> None:
        self.bound, self.source = bound, f"{bound.gateway}/{bound.channel}"
        self._store, self._quantity = read.store, quantity
        self._rests = read.registry.maintenance(bound.gateway, bound.channel)
        self.name = (bound.gateway, bound.channel, quantity)
        self.beyond: set[int] = set()  # when it told what cannot be
        self.near = read.near.get(self.name, {})  # means of single readings, by the time that they lie around
        hours: Sequence[Stored] = read.hours.get(self.name, ())
        if self._rests:
            hours = [hour for hour in hours if not self._rests.touch(hour.start_ms, hour.start_ms + HOUR_MS)]
        if quantity != RAIN:
            told = list(read.registry.scale(*self.name).hours(hours))
            hours = [hour for hour in told if is_believed(quantity, hour.mean)]
            if len(hours) < len(told):
                self.beyond = {hour.start_ms for hour in told} - {hour.start_ms for hour in hours}
        self.hours: dict[int, Stored] = {hour.start_ms: hour for hour in hours}
        self.grown: dict[int, tuple[float, int]] = dict(self._growth(hours)) if quantity == RAIN else {}

    def at(self, at_ms: int) -> _Told | None:
        """Return the value of a time: of the readings near it, else of hours, None where nothing lies near enough."""
        near = self.near.get(at_ms)
        if near is not None:
            return self._told([near], "")
        beside = [hour for start in (at_ms - HOUR_MS, at_ms) if (hour := self.hours.get(start))]
        if beside:
            return self._told([hour.mean for hour in beside], "hours" if all(hour.n for hour in beside) else "invented")
        for away in range(1, NEAR_HOURS):
            for start in (at_ms - (away + 1) * HOUR_MS, at_ms + away * HOUR_MS):
                if hour := self.hours.get(start):
                    return self._told([hour.mean], "off")
        return None

    def rain(self, start_ms: int, end_ms: int) -> _Rain | None:
        """Return the rain of 24 hours, or of the days since the gauge was last heard; None where it cannot be known."""
        within = [start for start in range(start_ms, end_ms, HOUR_MS) if start in self.grown]
        if not within or end_ms - within[-1] > GAUGE_SILENT_MS + HOUR_MS:
            return None
        before_ms = self.grown[within[0]][1]
        if before_ms == 0 and within[0] - start_ms > GAUGE_SILENT_MS:
            return None  # a gauge that begins: what fell before nobody knows
        mm = sum(self.grown[start][0] for start in within)
        if max(self.grown[start][0] for start in within) > MOST_MM:
            return None
        gone_ms = start_ms - before_ms if before_ms else 0
        days = 1 if gone_ms <= GAUGE_SILENT_MS else ceil((end_ms - before_ms) / DAY_MS)
        return _Rain(round(mm, 2), days, self.source)

    def _told(self, values: Sequence[float], flag: str) -> _Told:
        return _Told(round(sum(values) / len(values), QUANTITIES[self._quantity].decimals), self.source, flag)

    def _growth(self, hours: Sequence[Stored]) -> Iterable[tuple[int, tuple[float, int]]]:
        """Yield for each hour by how much the total grew until its end, and the end of the hour that it grew from.

        Where a total falls, what fell is no rain: it began anew there, or it is another gauge.
        """
        true = self._true(hours)
        last: float | None = None
        last_ms = 0
        for hour in hours:
            grown = 0.0
            for total in true.get(hour.start_ms, (hour.low, hour.high)):
                grown += 0.0 if last is None else max(total - last, 0.0)
                last = total
            yield hour.start_ms, (grown, last_ms)
            last_ms = hour.start_ms + HOUR_MS

    def _true(self, hours: Sequence[Stored]) -> dict[int, list[float]]:
        """Return what the total was in the hours around each fall, without damage: of readings, or of hours alone.

        Of hours alone: what is back where it was in the next one dipped, or leapt where that is no lower than where
        the hour began; else it began anew, at its begin or within.
        """
        true: dict[int, list[float]] = {}
        around: dict[int, None] = {}
        for at in range(1, len(hours)):
            last, hour = hours[at - 1].high, hours[at]
            if hour.low >= last - _ALIKE_MM:
                continue
            around |= dict.fromkeys(one.start_ms for one in hours[max(at - 2, 0) : at + 2])
            if hour.high >= last:
                is_back = at + 1 < len(hours) and hours[at + 1].low >= last - _ALIKE_MM
                true[hour.start_ms] = [hour.high] if is_back else [hour.high, hour.low]
            elif _leapt(hours[max(at - 2, 0) : at + 1]):
                true[hours[at - 1].start_ms] = [hours[at - 1].low]
        for start_ms, end_ms in _spans(around):
            found = self._store.series(*self.name, start_ms * 10**6, end_ms * 10**6)
            runs = [Run(at // 10**6, at // 10**6, total) for at, total in found if not self._rests.hold(at // 10**6)]
            if runs:
                true |= {start: [] for start in range(start_ms, end_ms, HOUR_MS)}
            for run in undamaged(_joined(runs)):
                true[run.first_ms // HOUR_MS * HOUR_MS].append(run.total)
        return true


def _leapt(hours: Sequence[Stored]) -> bool:
    """Tell whether the last hour but one leapt: a gauge that begins anew does not begin where it stood before."""
    *earlier, leapt, back = hours
    rose = all(leapt.low >= one.high - _ALIKE_MM for one in earlier)
    return rose and LEAP_MM < leapt.low <= back.low + _ALIKE_MM


def _joined(runs: Iterable[Run]) -> Iterable[Run]:
    """Yield runs of which no two neighbours have the same total."""
    for _, same in groupby(runs, key=lambda run: run.total):
        alike = list(same)
        yield Run(alike[0].first_ms, alike[-1].last_ms, alike[0].total)


def _spans(starts: Iterable[int]) -> Iterable[tuple[int, int]]:
    """Yield (start, end) of hours that follow each other without a gap."""
    for _, some in groupby(enumerate(starts), key=lambda one: one[1] - one[0] * HOUR_MS):
        own = [start for _, start in some]
        yield own[0], own[-1] + HOUR_MS


class ZoneDays:
    """One zone's days, each from the nearest sensor that told of it."""

    def __init__(self, read: Read, zone: Zone) -> None:
        self._zone = zone
        self._of = {
            quantity: [_Channel(read, one, quantity) for one in hung] for quantity, hung in read.hung[zone.code].items()
        }
        self._heard = sorted({at for of in self._of.values() for one in of for at in (*one.hours, *one.near)})

    def day(self, day: date) -> Inputs:
        """Return the inputs of a day."""
        midnight = midnight_ms(day)
        noon, one = midnight + NOON_MS, midnight + ONE_MS
        if not self._is_heard(midnight):
            return Inputs(lat=self._zone.lat, flags=("no_air", "no_damp", "no_rain", "no_wind"))
        flags: set[str] = set()
        sources: dict[str, None] = {}
        found: dict[str, Any] = {}
        wind_m = ASSUMED_M
        for quantity in (AIR, DAMP, WIND):
            for series in self._valid(quantity, day):
                if series.beyond.intersection(range(noon - HOUR_MS, one + HOUR_MS, HOUR_MS)):
                    flags.add("beyond")
                told = {"noon": series.at(noon)}
                if quantity != WIND:
                    told["one"] = series.at(one)
                if not any(told.values()):
                    continue
                for when, value in told.items():
                    if value is not None:
                        found[f"{when}_{_FIELD[quantity]}"] = value.value
                        flags.add(value.flag)
                sources[series.source] = None
                if quantity == WIND:
                    wind_m, assumed = _height(series.bound)
                    flags.add(assumed)
                break
            else:
                flags.add(_LACKS[quantity])
        for when, end_ms in (("noon", noon), ("one", one)):
            rain = next(filter(None, (s.rain(end_ms - DAY_MS, end_ms) for s in self._valid(RAIN, day))), None)
            if rain is None:
                flags.add("no_rain")
                continue
            found[f"{when}_rain_mm"] = rain.mm
            found[f"{when}_rain_days"] = rain.days
            sources[rain.source] = None
            if rain.days > 1:
                flags.add("rain_days")
        return Inputs(
            lat=self._zone.lat,
            wind_m=wind_m,
            hours=self._hours(day),
            sources=tuple(sources),
            flags=tuple(sorted(filter(None, flags))),
            **found,
        )

    def _hours(self, day: date) -> tuple[Hour, ...]:
        """Return the hours from 16:00 of the day before until 18:00, those that all four are known of."""
        midnight = midnight_ms(day)
        span = range(midnight - NIGHT_MS, midnight + EVENING_MS, HOUR_MS)
        heard = [
            next((one for one in self._valid(quantity, day) if any(start in one.hours for start in span)), None)
            for quantity in WANTED
        ]
        if None in heard:
            return ()
        air, damp, wind, rain = (one for one in heard if one is not None)
        found = []
        for start in span:
            told = [series.hours.get(start) for series in (air, damp, wind)]
            if None in told or start not in rain.grown or rain.grown[start][0] > MOST_MM:
                continue
            temp, rh, wind_ms = (round(hour.mean, 2) for hour in told if hour is not None)
            found.append(Hour(start, temp, rh, wind_ms, round(rain.grown[start][0], 2)))
        return tuple(found)

    def _is_heard(self, midnight: int) -> bool:
        """Tell whether anything was heard that a day's inputs are made of: of a new zone's first year most days not."""
        at = bisect_left(self._heard, midnight - RAIN_MS)
        return at < len(self._heard) and self._heard[at] < midnight + EVENING_MS

    def _valid(self, quantity: str, day: date) -> list[_Channel]:
        return [series for series in self._of[quantity] if valid_on(series.bound, day)]


_FIELD = {AIR: "temp_c", DAMP: "rh_pct", WIND: "wind_ms"}
_LACKS = {AIR: "no_air", DAMP: "no_damp", WIND: "no_wind"}


def _height(bound: Binding) -> tuple[float, str]:
    """Return how high an anemometer hangs, and a flag where nobody has said so."""
    return (ASSUMED_M, "height_assumed") if bound.above_ground_m is None else (bound.above_ground_m, "")
