"""When a line was looked at: so what came may lie there since then, unless the whole machine stood still."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.sense.terms import Timer

STANDS_MS = 1_000  # longer than its patience and this no read takes, unless the whole machine stood still


class Looks:
    """When a line was looked at, and so since when what came may lie there."""

    def __init__(self, timer: Timer) -> None:
        self._timer = timer
        self._last_ms = self.heard_ms = 0

    def begin(self) -> None:
        """Nothing lies there now."""
        self._last_ms = self.heard_ms = self._timer.mono_ms()

    def again(self, patience_s: float) -> int:
        """It was looked at with patience; return for how long (ms) nobody could, as the machine stood still."""
        now = self._timer.mono_ms()
        beyond_ms = now - self._last_ms - round(1000 * max(patience_s, 0))
        stood_ms = beyond_ms if beyond_ms > STANDS_MS else 0
        self._last_ms, self.heard_ms = now, now - stood_ms
        return stood_ms
