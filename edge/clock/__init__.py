"""The gateway's time: milliseconds of the boot that never step, and how far any date of it may be trusted."""

from edge.clock.machine import BUILT_MS, Anchor, Clock, SystemClock, told

__all__ = ["BUILT_MS", "Anchor", "Clock", "SystemClock", "told"]
