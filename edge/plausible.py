"""Is a frame true? A valid checksum only says that it arrived as it was sent.

One impossible value costs only itself. Two or more in one frame mean that somebody else answered (an indoor air
sensor answers the very request of a soil probe, same length, valid CRC), so the whole frame is withheld.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edge.driver import BadReply, Value
from wire.quantities import QUANTITIES
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wire.quantities import Quantity

Ranges = dict[str, tuple[float, float]]


def ranges(quantities: Mapping[str, str]) -> Ranges:
    """Return each value name's plausible range, inclusive, from the quantity that it is mapped to."""
    return {name: (QUANTITIES[q].low, QUANTITIES[q].high) for name, q in quantities.items()}


def judged(values: Iterable[Value], within: Mapping[str, tuple[float, float]]) -> list[Value]:
    """Return the values, a single impossible one with its reason beside it. Raises BadReply when there are more."""
    taken = list(values)
    wrong = [value for value in taken if _impossible(value, within)]
    if len(wrong) > 1:
        said = ", ".join(f"{value.name} {value.value} {value.unit}" for value in wrong)
        raise BadReply("implausible", f"{said}: impossible together; is another device at this address?")
    return [Value(v.name, v.unit, v.value, Reason.OUT_OF_RANGE) if v in wrong else v for v in taken]


def same_unit(unit: str, quantity: Quantity) -> bool:
    """Tell whether a driver's unit is the quantity's; a Beaufort number is a plain number on the wire."""
    return unit == quantity.unit or (unit, quantity.unit) == ("1", "Bft")


def _impossible(value: Value, within: Mapping[str, tuple[float, float]]) -> bool:
    if value.value is None or isinstance(value.value, str):
        return False
    low, high = within.get(value.name, (-math.inf, math.inf))
    return not low <= value.value <= high
