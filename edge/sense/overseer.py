"""Keeps the buses alive, each alone: one thread a bus, replaced when its turn does not end in time.

A turn has a promised end (`Sampler.ends_ms`). One that is overdue hangs in the kernel or in a device's driver; its
thread is told to stop and a new one takes the bus over, from opening the port on. Only when the old thread never comes
back, and so holds the port for ever, can nothing but a new process help.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from edge.sense.sampler import Sampler
from edge.threads import started

if TYPE_CHECKING:
    from edge.clock import Clock

log = logging.getLogger(__name__)
GRACE_MS = 30_000  # for a thread that was told to stop to come back
LAST_S = 0.5  # for threads that were broken off at an ordered stop


class _Bus(msgspec.Struct):
    name: str
    make: Callable[[], Sampler]
    sampler: Sampler
    thread: threading.Thread
    heals: int = 0


class Overseer:
    """The buses of one gateway. `make` of each returns a new sampler for it. Belongs to the main thread."""

    def __init__(self, makers: dict[str, Callable[[], Sampler]], clock: Clock) -> None:
        self._makers, self._clock = makers, clock
        self._buses: list[_Bus] = []
        self._gone: list[tuple[threading.Thread, int]] = []  # told to stop, and when

    def start(self) -> None:
        """Begin on every bus."""
        self._buses = [_Bus(name, make, *_started(name, make)) for name, make in self._makers.items()]

    def look(self) -> str:
        """Replace what hangs; return why only a new process can help, "" while there is no such need."""
        now = self._clock.mono_ms()
        for bus in self._buses:
            if now > bus.sampler.ends_ms or not bus.thread.is_alive():
                bus.heals += 1
                what = "hangs" if bus.thread.is_alive() else "stumbled"
                log.error("bus=%s %s; closed and opened again times=%s", bus.name, what, bus.heals)
                bus.sampler.abort()
                self._gone.append((bus.thread, now))
                bus.sampler, bus.thread = _started(bus.name, bus.make)
        self._gone = [(thread, since) for thread, since in self._gone if thread.is_alive()]
        stuck = next((thread.name for thread, since in self._gone if now - since > GRACE_MS), None)
        return "" if stuck is None else f"{stuck} does not let go of its port"

    def sampler(self, bus: str) -> Sampler:
        """Return who owns a bus now, to give it an order. Raises StopIteration for a bus that is not there."""
        return next(one.sampler for one in self._buses if one.name == bus)

    def stop(self, patience_s: float) -> None:
        """End all threads: what is being asked may be answered meanwhile, then it is broken off.

        A thread that does not come back even then is left behind, and said so.
        """
        for bus in self._buses:
            bus.sampler.stop()
        self._join(patience_s)
        for bus in self._buses:
            bus.sampler.abort()
        self._join(LAST_S)
        for bus in self._buses:
            if bus.thread.is_alive():
                log.error("bus=%s does not stop; left behind", bus.name)

    def _join(self, within_s: float) -> None:
        end_ms = self._clock.mono_ms() + round(1000 * within_s)
        for bus in self._buses:
            bus.thread.join(max(end_ms - self._clock.mono_ms(), 0) / 1000)


def _started(name: str, make: Callable[[], Sampler]) -> tuple[Sampler, threading.Thread]:
    sampler = make()
    return sampler, started(sampler.run, f"bus-{name}")
