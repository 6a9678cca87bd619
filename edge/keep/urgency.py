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
    from collections.abc import Iterator

    from wire.reading import Reading

QUIET_MS = 30_000


class _Said(msgspec.Struct):
    off: int  # how far from the calm class, and to which side
    mono_ms: int


class Urgency:
    """The classes that were said last, by channel and quantity."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], _Said] = {}

    def of(self, reading: Reading) -> bool:
        """Tell whether the reading must go out at once; the first word of a series does when it is not calm."""
        urgent = False
        for name, _, off in urgent_values(reading):
            said = self._said.setdefault((reading.channel, name), _Said(0, reading.mono_ms - QUIET_MS))
            if off != said.off and (abs(off) > abs(said.off) or reading.mono_ms - said.mono_ms >= QUIET_MS):
                self._said[reading.channel, name] = _Said(off, reading.mono_ms)
                urgent = True
        return urgent


def urgent_values(reading: Reading) -> Iterator[tuple[str, float, int]]:
    """Yield what is urgent in a reading: quantity, value in its unit, and how far its class is from the calm one."""
    for name, scaled in reading.values.items():
        row = QUANTITIES[name]
        if row.urgency is not None:
            value = row.unscale(scaled)
            yield name, value, row.urgency.band(value) - row.urgency.calm
