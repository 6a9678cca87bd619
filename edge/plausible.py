"""Is a frame true? A valid checksum only says that it arrived as it was sent.

One impossible value costs only itself. Two or more in one frame mean that somebody else answered (an indoor air
sensor answers the very request of a soil probe, same length, valid CRC), so the whole frame is withheld. So does one
where all that is said is 0: a pH of 0 does not exist, and the frost beside it would be told (a probe whose head has
died, or one of another type, which answers 0 for registers that it does not have).

But a sound sensor that has reached the end of its scale is not impossible: fog makes a humidity sensor say 101.7 %,
thick smoke drives a particle counter beyond what it is good for. `ENDS` is the one table of such numbers. They are
values (`Value.raw` keeps what was said) and no vote for another device: withheld, they would be missing just when they
matter. Counters are never in it: a rain total wraps, and each of its numbers is a real one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from msgspec import structs

from edge.driver import BadReply
from wire.quantities import QUANTITIES
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from edge.driver import Value
    from wire.quantities import Quantity


class End(NamedTuple):
    """Numbers from `low` to `high`, inclusive, that mean `value`; None where they mean that there is no value."""

    low: float
    high: float
    value: float | None
    source: str


_SHT = "Sensirion SHT2x data sheet 6.1: its 16 bits stand for -6 to 119 %RH, beyond 0 and 100 is saturation"
_NORTH = "a circle has one north: vanes print 0 to 360, some keep 0 for calm"
_PMS = "Plantower PMS5003 manual v2.3: good to 500 ug/m3, told beyond; that smoke takes it over 5000 at all is believed"
ENDS: dict[str, tuple[End, ...]] = {
    "air_humidity": (End(100, 119, 100, _SHT), End(-6, 0, 0, _SHT)),
    "soil_moisture": (
        End(-3, 0, 0, "calibrations cross zero in dry air: 3.879e-4 * RAW - 0.6956 (METER TEROS 12) is -0.5 % at 1780"),
    ),
    "wind_direction": (End(360, 360, 0, _NORTH),),
    "wind_direction_relative": (End(360, 360, 0, _NORTH),),
    "course": (End(360, 360, 0, _NORTH),),
    "illuminance": (End(-2, -1, None, "claws/BH1750: -1 no valid value, -2 not configured"),),
    **dict.fromkeys(("pm1", "pm2_5", "pm10", "pm1_cf1", "pm2_5_cf1", "pm10_cf1"), (End(5_000, 10_000, 5_000, _PMS),)),
}


class Range(NamedTuple):
    """What a value may be, inclusive, and what it means at the end of its scale."""

    low: float
    high: float
    ends: tuple[End, ...] = ()


def ranges(quantities: Mapping[str, str]) -> dict[str, Range]:
    """Return each value name's plausible range from the quantity that it is mapped to. Raises ValueError for none."""
    if unknown := sorted(set(quantities.values()) - QUANTITIES.keys()):
        raise ValueError(f"{', '.join(unknown)}: not in wire/quantities.py; see docs/reference/quantities.md")
    return {name: Range(QUANTITIES[q].low, QUANTITIES[q].high, ENDS.get(q, ())) for name, q in quantities.items()}


def judged(values: Iterable[Value], within: Mapping[str, Range]) -> list[Value]:
    """Return the values, a single impossible one with its reason beside it. Raises BadReply when there are more."""
    taken = [_ended(value, within) for value in values]
    wrong = [value for value in taken if _impossible(value, within)]
    if len(wrong) > 1 or (wrong and len(taken) > 2 and all(_says_nothing(value) for value in taken)):
        said = ", ".join(f"{value.name} {value.value} {value.unit}" for value in wrong)
        together = "impossible together" if len(wrong) > 1 else "impossible, and all else is 0"
        raise BadReply("implausible", f"{said}: {together}; is another device at this address?")
    return [structs.replace(v, reason=Reason.OUT_OF_RANGE) if v in wrong else v for v in taken]


def same_unit(unit: str, quantity: Quantity) -> bool:
    """Tell whether a driver's unit is the quantity's; a Beaufort number is a plain number on the wire."""
    return unit == quantity.unit or (unit, quantity.unit) == ("1", "Bft")


def _ended(value: Value, within: Mapping[str, Range]) -> Value:
    """Return what a number at the end of its scale means, with the number beside it."""
    said = value.value
    if said is None or isinstance(said, str) or value.reason is not None or value.name not in within:
        return value
    end = next((end for end in within[value.name].ends if end.low <= said <= end.high), None)
    if end is None or said == end.value:
        return value
    if end.value is None:
        return structs.replace(value, value=None, reason=Reason.SENTINEL, raw=said)
    return structs.replace(value, value=end.value, raw=said)


def _says_nothing(value: Value) -> bool:
    return value.reason is not None or value.value == 0


def _impossible(value: Value, within: Mapping[str, Range]) -> bool:
    if value.value is None or isinstance(value.value, str) or value.reason is not None:
        return False
    low, high, _ = within.get(value.name, Range(-math.inf, math.inf))
    return not low <= value.value <= high
