"""Plantower particle sensors PMS3003, 5003, 5003S, 5003ST, 5003T and 7003 in active mode; listens, never sends.

Source: Plantower data manuals (PMS3003 v1.5, PMS5003 v2.3, PMS5003T v1.1, PMS5003ST v1.1). 9600 8N1, a frame every 0.2
to 2.3 s. The PMS5003, 5003S and 5003T send frames of one length with different meanings, so the model must be declared.

`pm2_5` without suffix is the atmospheric figure (what is stored and judged), `_cf1` the factory calibration; above
about 30 ug/m3 they differ. Counts are particles larger than d in 0.1 L, written /dL.

Limits: humid fog inflates the mass figures. In its first 30 s after waking the sensor sends zeros with a right
checksum; a driver has no clock, so that is for the sampler's warm-up, which a frame without one particle begins. A dead
laser or a still fan says zeros, too, and so does filtered air (Open-Air-Foundation/firmware-one-openair#202): one frame
does not tell them apart. In the open no dL is without a particle above 0.3 um, so zeros that stay are out of range. A
PMS3003 counts nothing and often says 0 ug/m3 of clean air: where its plug was loose between two polls it does so, too;
that this stays is for the alert rule `sensor` (`stuck_s`). Passive mode and sleep are not used.
"""

from __future__ import annotations

import struct
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from edge.driver import Ask, Driver, DriverConfig, Habits, Value
from edge.framing import plantower
from edge.plausible import judged, ranges
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.driver import Io


class _Word(Struct, frozen=True):
    """One data word: its value's name, unit, factor and quantity."""

    name: str
    unit: str
    quantity: str
    factor: float = 1.0
    signed: bool = False

    def value(self, raw: int) -> Value:
        """Return the value of a raw word."""
        number = raw - 0x10000 if self.signed and raw & 0x8000 else raw
        return Value(self.name, self.unit, round(number * self.factor, 3))


_MASS = tuple(
    _Word(f"{size}{suffix}", "ug/m3", f"{size}{suffix}") for suffix in ("_cf1", "") for size in ("pm1", "pm2_5", "pm10")
)
_COUNTS = tuple(
    _Word(name, "/dL", quantity)
    for name, quantity in (
        ("n0_3", "particles_0_3"),
        ("n0_5", "particles_0_5"),
        ("n1_0", "particles_1"),
        ("n2_5", "particles_2_5"),
        ("n5_0", "particles_5"),
        ("n10_0", "particles_10"),
    )
)
_CLIMATE = (
    _Word("temperature", "Cel", "air_temperature", 0.1, signed=True),
    _Word("humidity", "%RH", "air_humidity", 0.1),
)
_HCHO = _Word("formaldehyde", "mg/m3", "formaldehyde", 0.001)
_LEAST_VERSION = 0x0800  # of a PMS5003's or 7003's programme, above its error code: 0x97 and 0x20 were recorded
_MODELS: dict[str, tuple[int, tuple[_Word, ...]]] = {  # stated length, the data words that mean something
    "pms3003": (20, _MASS),
    "pms5003": (28, _MASS + _COUNTS),
    "pms7003": (28, _MASS + _COUNTS),
    "pms5003s": (28, (*_MASS, *_COUNTS, _HCHO)),
    "pms5003t": (28, _MASS + _COUNTS[:4] + _CLIMATE),
    "pms5003st": (36, (*_MASS, *_COUNTS, _HCHO, *_CLIMATE)),
}


class Config(DriverConfig, frozen=True, kw_only=True):
    """Which model it is: the frames do not tell."""

    model: Annotated[
        Literal["pms3003", "pms5003", "pms5003s", "pms5003st", "pms5003t", "pms7003"],
        Meta(description="as printed on the sensor; 5003, 5003S and 5003T cannot be told apart by their frames"),
    ]


def poll(config: Config) -> Io:
    """Listen for one whole frame and return its values."""
    length, words = _MODELS[config.model]
    data = yield Ask(find=partial(plantower.find, length))
    told = struct.unpack(f">{len(data) // 2}H", data)
    return judged(_counted(zip(words, told, strict=False)), ranges(quantities(config)))


def _counted(told: Iterable[tuple[_Word, int]]) -> list[Value]:
    """Return the values; what shows that another model speaks is none. Masses stay: they mean the same in all.

    Counts fall with size, as "larger than" leaves fewer and fewer. A PMS5003T in a PMS5003's place has temperature and
    humidity where the largest are counted: counts seem to grow. A PMS5003 in a PMS5003T's goes on counting where those
    are due: they seem to fall on, as the zeros of a broken one do; in true air only where it is dry, hot and full of
    coarse dust at once. A PMS5003 in a PMS5003S's says its version and an error code (none: 0) where formaldehyde is
    due, which would be milligrams; of true figures above 2 mg/m3 one in 256 looks so.
    """
    told = list(told)
    counts = [raw for word, raw in told if word in _COUNTS]
    climate = [raw for word, raw in told if word in _CLIMATE]
    wrong: tuple[_Word, ...] = ()
    if not _fall(counts):
        wrong = (*_COUNTS, _HCHO, *_CLIMATE)
    elif climate and _fall(counts[-1:] + climate):
        wrong = _CLIMATE
    elif told[-1][0] is _HCHO and told[-1][1] >= _LEAST_VERSION and not told[-1][1] & 0xFF:
        wrong = (_HCHO,)
    return [replace(word.value(raw), reason=Reason.WRONG_DEVICE if word in wrong else None) for word, raw in told]


def _fall(raw: list[int]) -> bool:
    return raw == sorted(raw, reverse=True)


def quantities(config: Config) -> dict[str, str]:
    """Return which value is which quantity, for this model."""
    return {word.name: word.quantity for word in _MODELS[config.model][1]}


def habits(config: Config) -> Habits:
    """Return what the model needs: a frame comes every 2.3 s at the slowest, zeros in the first 30 s."""
    counts = tuple(word.name for word in _MODELS[config.model][1] if word in _COUNTS)
    return Habits(timeout_s=3.0, warmup_s=30.0, asleep=counts)


DRIVER = Driver("plantower_pms", "Plantower PMS particle sensor", Config, poll, quantities, habits)
