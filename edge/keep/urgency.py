"""When a reading cannot wait: an urgent quantity (smoke, CO, registration, power) changed its class. Pure.

A value that hovers at a boundary would force a commit and a message at every crossing. So a change for the worse than
was said last goes out at once, and any other only when the last word is older than half a minute: what is held back
meanwhile goes out with the next batch all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from wire.reading import Reading

QUIET_MS = 30_000


class _Said(msgspec.Struct):
    band: int
    worse: int  # how far from calm
    mono_ms: int


class Urgency:
    """The classes that were said last, by channel and quantity."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], _Said] = {}

    def of(self, reading: Reading) -> bool:
        """Tell whether the reading must go out at once; the first word of a series does when it is not calm."""
        urgent = False
        for name, scaled in reading.values.items():
            urgency = QUANTITIES[name].urgency
            if urgency is None:
                continue
            band = urgency.band(QUANTITIES[name].unscale(scaled))
            worse = abs(band - urgency.calm)
            said = self._said.setdefault((reading.channel, name), _Said(urgency.calm, 0, reading.mono_ms - QUIET_MS))
            if band != said.band and (worse > said.worse or reading.mono_ms - said.mono_ms >= QUIET_MS):
                self._said[reading.channel, name] = _Said(band, worse, reading.mono_ms)
                urgent = True
        return urgent
