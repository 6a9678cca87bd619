"""The readings that all figures are measured on: random walks with the resolution of the probes sold here.

A walk moves about one digit of its probe between two polls, which is what damp soil and shaded air do in ten seconds;
wilder values cost more bytes. Polls come a few milliseconds off their grid, as a bus with neighbours has it. The peer
gets the same values under short names of its own, without blanks: ThingsBoard's telemetry of a gateway
(thingsboard.io/docs/reference/gateway-mqtt-api).
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from wire.codec import BATCH, MAX_READINGS, MAX_VALUES, VERSION, Envelope, encode_body, encode_message
from wire.quantities import QUANTITIES
from wire.reading import Reading, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Kind = Mapping[str, tuple[str, float, float]]  # quantity: what a peer calls it, first value, resolution

START_MS = 1_767_225_600_000  # 2026-01-01, where every bench begins
EPOCH, BOOT = (random.Random(name).randbytes(8) for name in ("epoch", "boot"))  # as incompressible as real ones
EVERY_MS = 10_000
WANDER = 15  # digits

SOIL: Kind = {
    "soil_moisture": ("moisture", 31.2, 0.1),
    "soil_temperature": ("temperature", 18.4, 0.1),
    "soil_ec": ("ec", 412, 1),
    "soil_ph": ("ph", 4.8, 0.1),
    "soil_nitrogen": ("nitrogen", 31, 1),
    "soil_potassium": ("potassium", 64, 1),
}
AIR: Kind = {"air_temperature": ("temperature", 21.7, 0.1), "air_humidity": ("humidity", 83.1, 0.1)}
WEATHER: Kind = {
    "air_temperature": ("temperature", 21.5, 0.1),
    "air_humidity": ("humidity", 82.4, 0.1),
    "air_pressure": ("pressure", 872.4, 0.1),
    "wind_speed": ("wind", 2.3, 0.1),
    "wind_direction": ("direction", 214, 1),
}
PEER_NAMES = {quantity: said[0] for kind in (SOIL, AIR, WEATHER) for quantity, said in kind.items()}


class Probe:
    """One sensor that is read every `every_ms`; `absent` of its values have a reason instead."""

    def __init__(self, channel: str, kind: Kind, every_ms: int, chance: random.Random, absent: float = 0.0) -> None:
        self.channel, self.every_ms = channel, every_ms
        self._kind, self._chance, self._absent = kind, chance, absent
        self._home = {quantity: round(start / step) for quantity, (_, start, step) in kind.items()}
        self._digits = dict(self._home)

    def read(self, at_ms: int) -> Reading:
        """Return the reading of this moment."""
        values, reasons = {}, {}
        for quantity, (_, _, step) in self._kind.items():
            self._walk(quantity)
            scaled = QUANTITIES[quantity].scale(self._digits[quantity] * step)
            if self._chance.random() < self._absent:
                reasons[quantity] = int(Reason.SENTINEL)
            else:
                values[quantity] = scaled
        return Reading(self.channel, at_ms + round(self._chance.gauss(30, 2)), values, reasons)

    def _walk(self, quantity: str) -> None:
        """Go one step, and never farther than WANDER from where the walk began: else acid soil ends below pH 3."""
        step = round(self._chance.gauss(0, 1))
        away = self._digits[quantity] + step - self._home[quantity]
        self._digits[quantity] += -step if abs(away) > WANDER else step


def five(seed: int, absent: float = 0.0) -> list[Probe]:
    """Return five soil probes of six values each, read every ten seconds."""
    chance = random.Random(seed)
    return [Probe(f"soil-{number}", SOIL, EVERY_MS, chance, absent) for number in range(1, 6)]


def twenty(seed: int, absent: float = 0.0) -> list[Probe]:
    """Return twenty sensors with three cadences: soil each 10 s, air each 30 s, weather each 60 s."""
    chance = random.Random(seed)
    return [
        *(Probe(f"soil-{number}", SOIL, EVERY_MS, chance, absent) for number in range(1, 9)),
        *(Probe(f"air-{number}", AIR, 3 * EVERY_MS, chance, absent) for number in range(1, 9)),
        *(Probe(f"weather-{number}", WEATHER, 6 * EVERY_MS, chance, absent) for number in range(1, 5)),
    ]


def polled(probes: Sequence[Probe], start_ms: int, end_ms: int) -> Iterator[Reading]:
    """Yield what the probes say within [start, end), in the order of time."""
    for at in range(start_ms, end_ms, EVERY_MS):
        yield from (probe.read(at) for probe in probes if at % probe.every_ms == 0)


def batches(readings: Sequence[Reading]) -> Iterator[list[Reading]]:
    """Yield the readings in as many batches as the limits of the wire ask for."""
    batch: list[Reading] = []
    held = 0
    for reading in readings:
        size = len(reading.values) + len(reading.reasons)
        if batch and (len(batch) == MAX_READINGS or held + size > MAX_VALUES):
            yield batch
            batch, held = [], 0
        batch.append(reading)
        held += size
    yield batch


def packed(readings: Sequence[Reading], first: int = 1) -> bytes:
    """Return our packet of one batch."""
    body = encode_body(readings)
    return encode_message(Envelope(VERSION, BATCH, EPOCH, first, len(readings), BOOT, START_MS, 1, 100, body))


def thingsboard(readings: Sequence[Reading]) -> bytes:
    """Return the same values as ThingsBoard's JSON: device → list of time and values. It has no word for a reason."""
    devices: dict[str, list[dict[str, object]]] = {}
    for reading in readings:
        values = {PEER_NAMES[q]: QUANTITIES[q].unscale(scaled) for q, scaled in reading.values.items()}
        if values:
            said = {"ts": START_MS + reading.mono_ms, "values": values}
            devices.setdefault(reading.channel, []).append(said)
    return json.dumps(devices, separators=(",", ":")).encode()
