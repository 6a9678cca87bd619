"""The course of a zone's danger: from what a day was like and where the day before left off, what the day is.

Pure, and the only way a number of danger comes about: who has a kept `Day` finds each of its numbers again by `day`.
"""

from __future__ import annotations

from datetime import date
from math import log

import msgspec

from cloud.clock import hanoi, midnight_ms
from cloud.danger import fwi
from cloud.danger.drought import index_p

HOUR_MS = 3_600_000
MISSING = 3  # after so many days without weather there is no level: what was then says nothing any more
AFTERNOON = range(12, 18)  # the hours, by their begin, among which the peak of fine fuel is looked for


class Hour(msgspec.Struct, frozen=True, array_like=True):
    """The weather of one hour, `start_ms` its begin."""

    start_ms: int
    temp_c: float
    rh_pct: float
    wind_ms: float
    rain_mm: float


class Inputs(msgspec.Struct, frozen=True, omit_defaults=True):
    """What stations told of a zone's day, and of nothing that was calculated: None for what they did not tell.

    `noon` is 12:00, `one` is 13:00 in Vietnam. Rain fell within the 24 hours before, or within the days of `..._days`
    where the gauge was not heard meanwhile. `wind_m` is the height of the anemometer above the ground. `flags` say in
    what the inputs are less than they should be (words.toml).
    """

    lat: float
    noon_temp_c: float | None = None
    noon_rh_pct: float | None = None
    noon_wind_ms: float | None = None
    noon_rain_mm: float | None = None
    noon_rain_days: int = 1
    one_temp_c: float | None = None
    one_rh_pct: float | None = None
    one_rain_mm: float | None = None
    one_rain_days: int = 1
    wind_m: float = 2.0
    hours: tuple[Hour, ...] = ()
    sources: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()

    @property
    def noon(self) -> fwi.Noon | None:
        """Return what the FWI System asks for, None where some of it is missing."""
        told = self.noon_temp_c, self.noon_rh_pct, self.noon_wind_ms, self.noon_rain_mm
        if None in told:
            return None
        temp, rh, wind, rain = (float(one or 0) for one in told)
        return fwi.Noon(temp, rh, wind * 3.6 * wind_factor(self.wind_m), rain)


class Carried(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one day hands to the next.

    `fwi_missing` and `p_missing` count the days without weather that lie between. `p_since` is the day from which P is
    summed; `settled` says that it began with a day of rain: until one comes, the true P is at least what is summed.
    """

    codes: fwi.Codes = fwi.START
    p: float = 0.0
    fwi_missing: int = 0
    p_missing: int = 0
    p_since: date | None = None
    settled: bool = False


FIRST = Carried()


class Day(msgspec.Struct, frozen=True, omit_defaults=True):
    """A day of a zone, with all that its numbers follow from. What was carried over a day without weather is stale.

    `indices` are None where the inputs of the FWI System were not whole; `has_p` tells whether those of P were.
    `peak` is the highest hourly FFMC of the afternoon, `peak_ms` the end of its hour.
    """

    zone: str
    day: date
    inputs: Inputs
    limit_mm: float
    before: Carried
    after: Carried
    indices: fwi.Indices | None = None
    has_p: bool = False
    peak: float | None = None
    peak_ms: int | None = None

    def says(self, other: Day) -> bool:
        """Tell whether the day's numbers are another's; the hours of an afternoon go on, and are none of them."""
        return (self.indices, self.has_p, self.after) == (other.indices, other.has_p, other.after)

    @property
    def withheld(self) -> bool:
        """Whether weather has been missing for so long that no level may be read from P."""
        return self.after.p_missing >= MISSING


def wind_factor(height_m: float) -> float:
    """Return what the wind of an anemometer is multiplied by for the wind at 10 m.

    FAO Irrigation and Drainage Paper 56, Eq. 47: the logarithmic profile over short grass, read for 10 m instead of 2.
    """
    return log(67.8 * 10 - 5.42) / log(67.8 * height_m - 5.42)


def day(zone: str, on: date, before: Carried, inputs: Inputs, limit_mm: float) -> Day:
    """Return a day from the one before. Without whole inputs codes and P are kept as they were, and counted stale.

    Rain of several days is a day's rain for certain only where it is at least the limit for each of them.
    """
    codes, found, missing = before.codes, None, before.fwi_missing + 1
    if (noon := inputs.noon) is not None:
        codes, found = fwi.day(before.codes, noon, on.month, inputs.lat)
        missing = 0
    after = msgspec.structs.replace(before, codes=codes, fwi_missing=missing, p_missing=before.p_missing + 1)
    has_p = None not in (inputs.one_temp_c, inputs.one_rh_pct, inputs.one_rain_mm)
    if has_p:
        after = _with_p(after, on, inputs, limit_mm)
    peak, peak_ms = _peak(on, before.codes.ffmc, inputs)
    return Day(zone, on, inputs, limit_mm, before, after, found, has_p, peak, peak_ms)


def _with_p(carried: Carried, on: date, inputs: Inputs, limit_mm: float) -> Carried:
    rain_mm = inputs.one_rain_mm or 0.0
    wet = rain_mm >= limit_mm * inputs.one_rain_days
    p = index_p(carried.p, inputs.one_temp_c or 0.0, inputs.one_rh_pct or 0.0, limit_mm if wet else 0.0, limit_mm)
    return msgspec.structs.replace(
        carried,
        p=p,
        p_missing=0,
        p_since=on if wet or carried.p_since is None else carried.p_since,
        settled=wet or carried.settled,
    )


def _peak(on: date, ffmc: float, inputs: Inputs) -> tuple[float | None, int | None]:
    """Return the highest hourly FFMC of the afternoon, and when it was.

    Hour by hour through the night from the daily one of the day before, which stands for its late afternoon.
    """
    midnight, factor = midnight_ms(on), wind_factor(inputs.wind_m)
    peak: tuple[float | None, int | None] = None, None
    for hour in inputs.hours:
        weather = fwi.Noon(hour.temp_c, hour.rh_pct, hour.wind_ms * 3.6 * factor, hour.rain_mm)
        ffmc = fwi.hourly_fine_fuel(ffmc, weather)
        if (hour.start_ms - midnight) // HOUR_MS in AFTERNOON and (peak[0] is None or ffmc > peak[0]):
            peak = ffmc, hour.start_ms + HOUR_MS
    return peak


def day_of(time_ms: int) -> date:
    """Return the day whose inputs a reading of a time can touch first: what comes after 18:00 is the next day's."""
    return hanoi(time_ms + 6 * HOUR_MS).date()
