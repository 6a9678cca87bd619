"""The weather of a mountain in the north of Vietnam at 1,350 m at any moment: invented, and always the same.

Everything follows from the time alone, so an hour of last January and the sentence that a device speaks now belong to
one year. Means follow what is published of Sa Pa (1,570 m) and Mộc Châu (950 m): some 10 °C in January and 21 °C in
July, rain from May to September, fog in winter, haze of burning fields in March, frost in a few nights of January.
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

DAY_S = 86_400
HANOI_S = 7 * 3600
YEAR_S = 365.2425 * DAY_S
_WARMEST_S = 14 * 3600
_RAIN_DAYS = 40  # how long soil remembers


class Weather(NamedTuple):
    """Air at two metres and soil at 20 cm."""

    air_c: float
    humidity: float
    pressure_hpa: float
    wind_ms: float
    soil_c: float
    soil_moisture: float
    pm2_5: float


def warmth(utc_s: float) -> float:
    """Return -1 at two in the night, 1 at two in the afternoon, local time."""
    return math.cos((utc_s + HANOI_S - _WARMEST_S) % DAY_S / DAY_S * math.tau)


def season(utc_s: float, peak_day: float) -> float:
    """Return 1 on a day of the year (1.0 is the first of January), -1 half a year from it."""
    return math.cos((utc_s / YEAR_S - (peak_day - 1) / 365.2425) * math.tau)


@lru_cache(1_024)
def rain_mm(day: int) -> float:
    """Return the rain of a day, counted from 1970-01-01 in Vietnam: some 1,900 mm a year, most of it in summer."""
    summer = (1 + season(day * DAY_S, 196)) / 2
    chance = 0.12 + 0.6 * summer
    drawn = _drawn("rain", day)
    return 0.0 if drawn > chance else -math.log(1 - 0.95 * drawn / chance) * (3 + 10 * summer)


def rain_total_mm(utc_s: float) -> float:
    """Return what a gauge has counted since the year began; a day's rain falls from three to nine in the evening."""
    day = int((utc_s + HANOI_S) // DAY_S)
    today = min(max((_of_day(utc_s) * 24 - 15) / 6, 0.0), 1.0)
    return _rain_before(day) + rain_mm(day) * today


@lru_cache(1_024)
def _rain_before(day: int) -> float:
    first = (date(1970, 1, 1) + timedelta(day)).replace(month=1, day=1) - date(1970, 1, 1)
    return sum(map(rain_mm, range(first.days, day)))


def weather(utc_s: float) -> Weather:
    """Return the weather of a moment, in seconds since 1970-01-01 UTC."""
    summer, day = season(utc_s, 196), int((utc_s + HANOI_S) // DAY_S)
    wet = min(rain_mm(day) / 20, 1.0)
    fog = max(0.0, noise("fog", utc_s, 2 * DAY_S)) * (1 - summer) / 2
    swing = (3.2 - 0.9 * summer) * (1 - 0.4 * wet) * (1 - 0.5 * fog) * warmth(utc_s)
    front = noise("front", utc_s, 3 * DAY_S) * (2.6 - 1.6 * summer)
    cold = _cold(utc_s)
    air = 16.0 + 5.4 * summer + front - cold + swing - 1.2 * wet + 0.4 * noise("gust", utc_s, 3_600)
    humidity = 84 + 3 * summer - 2.6 * swing + 6 * wet + 16 * fog + 3 * noise("damp", utc_s, 4 * 3_600) - cold
    soil_wet = _soil_moisture(day - 1) + (_soil_moisture(day) - _soil_moisture(day - 1)) * _of_day(utc_s)
    return Weather(
        air_c=air,
        humidity=min(max(humidity, 35.0), 100.0),
        pressure_hpa=864.5 - 3.2 * summer + 1.5 * noise("press", utc_s, 2 * DAY_S),
        wind_ms=abs(1.1 + 0.5 * warmth(utc_s) + 1.1 * noise("wind", utc_s, 2 * 3_600)),
        soil_c=17.2 + 4.2 * season(utc_s, 210) + 0.5 * front - 0.3 * cold + 0.5 * warmth(utc_s - 4 * 3_600),
        soil_moisture=soil_wet,
        pm2_5=max(3.0, 9 + 7 * season(utc_s, 80) + 4 * noise("haze", utc_s, DAY_S) - 3 * wet),
    )


def _cold(utc_s: float) -> float:
    """Return by how much a cold surge lowers the air: a few days of each January, on other ones each year."""
    year = round(utc_s / YEAR_S)  # the turn of the year that is nearest
    deepest = year * YEAR_S + (9 + 14 * _drawn("surge", year)) * DAY_S
    return 10.5 * math.exp(-(((utc_s - deepest) / (1.6 * DAY_S)) ** 2))


@lru_cache(1_024)
def _soil_moisture(day: int) -> float:
    wet = sum(rain_mm(day - ago) * math.exp(-ago / 12) for ago in range(_RAIN_DAYS))
    return 22 + 17 * (1 - math.exp(-wet / 70))


def _of_day(utc_s: float) -> float:
    return (utc_s + HANOI_S) % DAY_S / DAY_S


def noise(name: str, utc_s: float, every_s: float) -> float:
    """Return something between -1 and 1 that turns smoothly about every so many seconds."""
    step, part = divmod(utc_s / every_s, 1)
    smooth = part * part * (3 - 2 * part)
    low, high = _drawn(name, int(step)), _drawn(name, int(step) + 1)
    return 2 * (low + (high - low) * smooth) - 1


@lru_cache(32_768)
def _drawn(name: str, step: int) -> float:
    """Return a number between 0 and 1 that belongs to a name and a step for ever."""
    return crc32(f"{name} {step * 2_654_435_761 % 4_294_967_291}".encode()) / 2**32
