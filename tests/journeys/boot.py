"""One boot of a gateway that has no clock: `python boot.py DEVICES.toml DATA BOOT`, ended by SIGTERM or killed.

The agent is the real one on the real clock class; only what a freshly powered Raspberry Pi lacks is taken away: the
boot has its own identity, its milliseconds begin now, and the wall clock believes in January 1970.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parents[2]))

import edge.clock.machine
from edge.agent import Agent
from edge.config import load

BEGAN_NS = time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def main(devices: str, data: str, boot: str) -> None:
    """Run the agent until a signal comes."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    edge.clock.machine.time = SimpleNamespace(
        CLOCK_BOOTTIME=time.CLOCK_BOOTTIME,
        clock_gettime_ns=lambda which: time.clock_gettime_ns(which) - BEGAN_NS,
        time_ns=lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) - BEGAN_NS,
    )
    clock = edge.clock.machine.SystemClock()
    clock.boot = boot
    assert clock.anchor() is None, "this gateway knows the time"
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    Agent(load(Path(devices)), Path(data), clock).run(stop)


if __name__ == "__main__":
    main(*sys.argv[1:])
