"""Devices that talk by themselves once a pace: NMEA 0183 weather station, GNSS receiver, particle sensor, CO module."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from functools import reduce
from typing import TYPE_CHECKING, ClassVar

from gocche.garden.device import Answer, overridden
from gocche.garden.scene import breathed

if TYPE_CHECKING:
    from cloud.clock import Clock
    from gocche.garden.nature import Draw
    from gocche.garden.served import Served
    from gocche.garden.stage import Stage, Told


def sentence(body: str) -> bytes:
    """Return an NMEA 0183 sentence with its checksum: the exclusive or of all between $ and *."""
    return f"${body}*{reduce(lambda total, byte: total ^ byte, body.encode('ascii'), 0):02X}\r\n".encode("ascii")


class Talker:
    """What they have in common: nobody asks them."""

    def __init__(self, port: str, channel: str, draw: Draw, served: Served, clock: Clock) -> None:
        self._port = port
        self._channel = channel
        self._draw = draw
        self._served = served
        self._clock = clock

    def hear(self, data: bytes, stage: Stage) -> list[Answer]:  # noqa: ARG002 - the protocol's
        """Return nothing: a talker does not listen."""
        return []

    def speak(self, stage: Stage) -> list[Answer]:
        """Return this second's frames."""
        told = stage.of(self._port, self._channel)
        if told.get("silent"):
            return []
        n, now_s = self._served.count(self._channel), self._clock.utc_ms() / 1000
        frame, values = self.compose(overridden(breathed(self._draw(n, now_s), stage.added(now_s)), told), told)
        return [Answer(frame, self._channel, n, values)]

    def compose(self, values: dict[str, float], told: Told) -> tuple[bytes, dict[str, float]]:
        """Return the bytes, and the values that they really carry."""
        raise NotImplementedError


class WeatherStation(Talker):
    """Speaks $WIMDA among sentences that nobody asked for."""

    def compose(self, values: dict[str, float], told: Told) -> tuple[bytes, dict[str, float]]:  # noqa: ARG002
        """Return one round of sentences in one write, so that they stay together."""
        bar, wind, north = values["air_pressure"] / 1000, values["wind_speed"], values["wind_direction"]
        mda = (
            f"WIMDA,{bar * 29.53:.4f},I,{bar:.4f},B,{values['air_temperature']:.1f},C,,,"
            f"{values['air_humidity']:.1f},,{values['dew_point']:.1f},C,{north:.1f},T,{(north + 1.5) % 360:.1f},M,"
            f"{wind / 0.514444:.1f},N,{wind:.1f},M"  # magnetic north lies 1.5° west here
        )
        return b"".join(map(sentence, ("HCHDT,0.0,T", mda, "TIROT,0.0,A"))), values


class Receiver(Talker):
    """Speaks $GPGGA and $GPRMC, and the satellites in between."""

    _SKY: ClassVar[str] = "GPGSV,1,1,02,05,61,045,44,13,40,120,39"

    def compose(self, values: dict[str, float], told: Told) -> tuple[bytes, dict[str, float]]:
        """Return one epoch in one write."""
        now = datetime.fromtimestamp(self._clock.utc_ms() // 1000, UTC)
        time, day = f"{now:%H%M%S}.00", f"{now:%d%m%y}"
        if told.get("fix") is False:
            bodies = (f"GPGGA,{time},,,,,0,00,99.99,,,,,,", self._SKY, f"GPRMC,{time},V,,,,,,,{day},,,N")
            return b"".join(map(sentence, bodies)), {}
        place = f"{_minutes(values['lat'], 2)},N,{_minutes(values['lon'], 3)},E"
        gga = (
            f"GPGGA,{time},{place},{values['fix_quality']:.0f},{values['satellites']:02.0f},{values['hdop']:.1f},"
            f"{values['alt']:.1f},M,-28.5,M,,"
        )
        rmc = f"GPRMC,{time},A,{place},{values['ground_speed'] / 0.514444:.2f},,{day},,,A"
        return b"".join(map(sentence, (gga, self._SKY, rmc))), values


def _minutes(degrees: float, width: int) -> str:
    """Return degrees as NMEA writes them: whole degrees, then minutes with five decimals."""
    whole, minutes = divmod(round(degrees * 60, 5), 60)
    return f"{whole:0{width}.0f}{minutes:08.5f}"


class ParticleSensor(Talker):
    """Speaks the 32-byte frames of a Plantower PMS5003 in active mode."""

    def compose(self, values: dict[str, float], told: Told) -> tuple[bytes, dict[str, float]]:
        """Return one frame. All that is not in `values` follows from PM2.5 and the smallest particles."""
        fine, smallest = values["pm2_5"], values["particles_0_3"]
        if "pm2_5" in told and "particles_0_3" not in told:  # much smoke is many particles, unique runs excepted
            smallest = max(smallest, min(fine * 30, 60_000))
        air = {"pm1": fine * 0.65, "pm2_5": fine, "pm10": fine * 1.25}
        factory = {f"{name}_cf1": value if value < 30 else value * 1.4 for name, value in air.items()}
        above = ("particles_0_5", 0.3), ("particles_1", 0.05), ("particles_2_5", 0.01), ("particles_5", 0.004)
        counts = {"particles_0_3": smallest} | {name: min(fine * 150, smallest) * part for name, part in above}
        counts["particles_10"] = counts["particles_5"] / 2
        words = {name: min(round(value), 0xFFFF) for name, value in (factory | air | counts).items()}
        body = struct.pack(">2sH12HBB", b"BM", 28, *words.values(), 0x97, 0)  # version 0x97, no error
        return body + sum(body).to_bytes(2, "big"), {name: float(word) for name, word in words.items()}


class GasModule(Talker):
    """Speaks the nine bytes of a Winsen ZE07-CO in initiative upload."""

    _GAS, _PPM, _DECIMALS, _RANGE = 0x04, 0x03, 1, 5_000

    def compose(self, values: dict[str, float], told: Told) -> tuple[bytes, dict[str, float]]:  # noqa: ARG002
        """Return one frame: tenths of a ppm, up to its range."""
        tenths = min(max(round(values["co"] * 10), 0), self._RANGE)
        body = struct.pack(">BBBHH", self._GAS, self._PPM, self._DECIMALS, tenths, self._RANGE)
        return b"\xff" + body + bytes((-sum(body) & 0xFF,)), {"co": tenths / 10}
