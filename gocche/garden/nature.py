"""What the devices of the garden feel: the weather of `climate`, and around it a slow random walk of each sensor's own.

In a unique run one quantity of each device is a counter instead, chosen where nothing is hurt (conductivity, wind
direction, a particle count, a cell identity): then no two of its answers are alike, and each can be found in a store
exactly once. How many answers that holds for is said at each device.
"""

from __future__ import annotations

import math
from random import Random
from typing import Protocol

from gocche.garden.climate import rain_total_mm, weather

Values = dict[str, float]


class Draw(Protocol):
    """Where a device's values come from. Same seed, same walk."""

    def __init__(self, seed: str, *, unique: bool) -> None: ...

    def __call__(self, n: int, utc_s: float) -> Values:
        """Return the values of the n-th draw, at a time in seconds since 1970-01-01 UTC."""
        ...


class Walk:
    """A deviation that wanders around zero and is pulled back: an Ornstein-Uhlenbeck process, exact for any step."""

    def __init__(self, random: Random, spread: float, memory_s: float) -> None:
        self._random = random
        self._spread = spread
        self._memory_s = memory_s
        self._at: float | None = None
        self._value = 0.0

    def at(self, utc_s: float) -> float:
        """Return the deviation at a time that is not before the last one asked for."""
        kept = 0.0 if self._at is None else math.exp(-max(utc_s - self._at, 0.0) / self._memory_s)
        self._at = utc_s
        self._value = self._value * kept + self._random.gauss(0.0, self._spread) * math.sqrt(1 - kept * kept)
        return self._value


def _bounded(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def dew_point(air_c: float, humidity: float) -> float:
    """Return the dew point in °C by the Magnus formula (17.62, 243.12 °C: WMO guide no. 8)."""
    gamma = math.log(humidity / 100) + 17.62 * air_c / (243.12 + air_c)
    return 243.12 * gamma / (17.62 - gamma)


class Soil:
    """A soil probe 20 cm deep. Unique for 400,000 answers (20,000 where pH is not read)."""

    def __init__(self, seed: str, *, unique: bool) -> None:
        random = Random(seed)
        self._unique = unique
        self._wet, self._warm = Walk(random, 0.8, 600), Walk(random, 0.3, 900)
        self._salt, self._acid = Walk(random, 12, 900), Walk(random, 0.1, 900)
        self._digit = random.gauss

    def __call__(self, n: int, utc_s: float) -> Values:
        """Return one answer's values."""
        now = weather(utc_s)
        return {
            "soil_moisture": round(_bounded(now.soil_moisture + self._wet.at(utc_s) + self._digit(0, 0.1), 5, 60), 1),
            "soil_temperature": round(_bounded(now.soil_c + self._warm.at(utc_s), 2, 32), 1),
            "soil_ec": n % 20_000 if self._unique else round(_bounded(180 + self._salt.at(utc_s), 50, 400)),
            "soil_ph": round(4.5 + n // 20_000 % 20 / 10 if self._unique else 4.9 + self._acid.at(utc_s), 1),
            "soil_nitrogen": round(60 + 2 * self._salt.at(utc_s)),
            "soil_phosphorus": 21,
            "soil_potassium": 84,
        }


class Air:
    """Air at two metres. Unique for 155,000 answers: humidity and temperature turn like an odometer."""

    def __init__(self, seed: str, *, unique: bool) -> None:
        random = Random(seed)
        self._unique = unique
        self._warm, self._damp = Walk(random, 0.4, 600), Walk(random, 1.5, 600)

    def __call__(self, n: int, utc_s: float) -> Values:
        """Return one answer's values."""
        if self._unique:
            return {"air_temperature": round(18 + n // 250 % 620 / 10, 1), "air_humidity": round(70 + n % 250 / 10, 1)}
        now = weather(utc_s)
        return {
            "air_temperature": round(now.air_c + self._warm.at(utc_s), 1),
            "air_humidity": round(_bounded(now.humidity + self._damp.at(utc_s), 20, 100), 1),
        }


class Weather:
    """A weather station. Unique for 1,080,000 sentences: wind direction, then pressure."""

    def __init__(self, seed: str, *, unique: bool) -> None:
        random = Random(seed)
        self._unique = unique
        self._air = Air(seed + "air", unique=False)
        self._wind, self._turn, self._press = Walk(random, 0.4, 60), Walk(random, 40, 300), Walk(random, 0.4, 3600)

    def __call__(self, n: int, utc_s: float) -> Values:
        """Return one sentence's values."""
        air, now = self._air(n, utc_s), weather(utc_s)
        turn, press = 131.5 + self._turn.at(utc_s), now.pressure_hpa + self._press.at(utc_s)
        if self._unique:
            turn, press = n % 3600 / 10, 850 + n // 3600 % 300 / 10
        return {
            **air,
            "dew_point": round(dew_point(air["air_temperature"], air["air_humidity"]), 1),
            "air_pressure": round(press, 1),
            "wind_direction": round(turn % 360, 1) % 360,
            "wind_speed": round(abs(now.wind_ms + self._wind.at(utc_s)), 1),
        }


class Rain:
    """A tipping bucket of 0.1 mm, emptied of its count each new year. Unique for 60,000 answers."""

    def __init__(self, seed: str, *, unique: bool) -> None:  # noqa: ARG002 - rain is nobody's own
        self._unique = unique

    def __call__(self, n: int, utc_s: float) -> Values:
        """Return one answer's values."""
        return {"rain_total": n % 60_000 / 10 if self._unique else round(rain_total_mm(utc_s) - 0.05, 1)}


class Place:
    """A receiver on its post at 1,350 m. Unique for 250,000 positions, all within nine metres."""

    LAT_MIN, LON_MIN = 37.2, 34.8  # minutes after 21° N, 104° E
    LAT_DEG, LON_DEG = 21, 104

    def __init__(self, seed: str, *, unique: bool) -> None:
        random = Random(seed)
        self._unique = unique
        self._north, self._east, self._up = Walk(random, 0.0008, 120), Walk(random, 0.0008, 120), Walk(random, 1.5, 120)

    def __call__(self, n: int, utc_s: float) -> Values:
        """Return one epoch's values; latitude and longitude are exact to five decimals of a minute."""
        north, east = self._north.at(utc_s), self._east.at(utc_s)
        if self._unique:
            north, east = n % 500 / 1e5, n // 500 % 500 / 1e5
        return {
            "lat": self.LAT_DEG + round(self.LAT_MIN + north, 5) / 60,
            "lon": self.LON_DEG + round(self.LON_MIN + east, 5) / 60,
            "alt": round(1350 + self._up.at(utc_s), 1),
            "fix_quality": 1,
            "satellites": 9,
            "hdop": 0.9,
            "ground_speed": 0.0,
        }


class Dust:
    """Fine dust in clean mountain air. Unique for 60,000 frames: the count of the smallest particles."""

    def __init__(self, seed: str, *, unique: bool) -> None:
        self._unique = unique
        self._haze = Walk(Random(seed), 2.0, 300)

    def __call__(self, n: int, utc_s: float) -> Values:
        """Return one frame's values, before anybody lights a fire."""
        fine = _bounded(weather(utc_s).pm2_5 + self._haze.at(utc_s), 3, 30)
        smallest = 400 + n % 60_000 if self._unique else fine * 150
        return {"pm2_5": round(fine), "particles_0_3": round(smallest)}


class Gas:
    """Carbon monoxide of clean mountain air: a quarter of a ppm. Unique for 5,000 frames, as modules tell no finer."""

    def __init__(self, seed: str, *, unique: bool) -> None:
        self._unique = unique
        self._drift = Walk(Random(seed), 0.08, 300)

    def __call__(self, n: int, utc_s: float) -> Values:
        """Return one frame's value, before anybody lights a fire."""
        return {"co": n % 5_000 / 10 if self._unique else round(_bounded(0.25 + self._drift.at(utc_s), 0, 1), 1)}


class Signal:
    """How a hamlet's modem hears its cell. Unique for 16 million polls: the cell identity."""

    def __init__(self, seed: str, *, unique: bool) -> None:
        random = Random(seed)
        self._unique = unique
        self._power, self._clear = Walk(random, 4, 120), Walk(random, 2, 120)

    def __call__(self, n: int, utc_s: float) -> Values:
        """Return one poll's values, whatever the radio access."""
        power = round(_bounded(-99 + self._power.at(utc_s), -118, -80))
        return {
            "cell": 0x1F0_0000 + n % 0x100_0000 if self._unique else 0x1F0_2A03,
            "rsrp": power,
            "rsrq": round(_bounded(-11 + self._clear.at(utc_s) / 2, -19, -6)),
            "sinr": round(_bounded(9 + self._clear.at(utc_s), -5, 25)),
            "rssi": _bounded(2 * ((power + 30) // 2) + 1, -111, -51),  # odd: what AT+CSQ can say as well
        }
