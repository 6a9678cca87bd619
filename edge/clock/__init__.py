"""The gateway's time: milliseconds of the boot that never step, and how far any date of it may be trusted."""

from edge.clock.anchor import BUILT_MS, Anchor, device_date, drift_ms
from edge.clock.battery import Judged
from edge.clock.machine import Clock, SystemClock

__all__ = ["BUILT_MS", "Anchor", "Clock", "Judged", "SystemClock", "device_date", "drift_ms"]
