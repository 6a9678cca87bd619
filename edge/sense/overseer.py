"""Keeps the buses alive, each alone: one thread a bus, replaced when its turn does not end in time.

A turn has a promised end (`Sampler.ends_ms`). One that is overdue hangs in the kernel or in a device's driver; its
thread is told to stop and a new one takes the bus over, from opening the port on. Where that brings values again, one
that never comes back is left asleep. Only when it holds the port for ever, takes the processor from the others, or is
not the only one, can nothing but a new process help.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from edge.sense.sampler import Sampler
from edge.threads import NO_THREAD, busy_ms, join, started

if TYPE_CHECKING:
    from edge.clock import Clock

log = logging.getLogger(__name__)
GRACE_MS = 30_000  # for a thread that was told to stop to come back
SLEPT_MS = 15_000  # between two looks: not the buses hung, but the whole machine, or this process, stood still
SPINS_MS = 1_000  # of the processor, for a thread that should have ended: it loops
LAST_S = 0.5  # for threads that were broken off at an ordered stop


class _Bus(msgspec.Struct):
    name: str
    make: Callable[[], Sampler]
    sampler: Sampler
    thread: threading.Thread
    heals: int = 0
    waits: bool = False  # for the machine to give it a thread


class _Left(msgspec.Struct):
    """A thread that was told to stop: when, and how long it had had the processor then."""

    bus: _Bus
    thread: threading.Thread
    since_ms: int
    busy_ms: int


class Overseer:
    """The buses of one gateway. `make` of each returns a new sampler for it. Belongs to the main thread."""

    def __init__(self, makers: dict[str, Callable[[], Sampler]], clock: Clock) -> None:
        self._makers, self._clock = makers, clock
        self._buses: list[_Bus] = []
        self._left: list[_Left] = []
        self._looked_ms = clock.mono_ms()
        self._woke_ms = self._looked_ms - GRACE_MS

    def start(self) -> None:
        """Begin on every bus, as far as there are threads; `look` tries again."""
        self._buses = [_Bus(name, make, *_started(name, make)) for name, make in self._makers.items()]
        for bus in self._buses:
            _tell(bus)

    def look(self) -> str:
        """Replace what hangs; return why only a new process can help, "" while there is no such need."""
        now = self._clock.mono_ms()
        if now - self._looked_ms > SLEPT_MS:
            self._woke_ms = now
        self._looked_ms, awake = now, now - self._woke_ms >= GRACE_MS
        for bus in self._buses:
            if bus.waits:
                bus.sampler, bus.thread = _started(bus.name, bus.make)
                _tell(bus)
            elif (awake and now > bus.sampler.ends_ms) or not bus.thread.is_alive():
                bus.heals += 1
                what = "hangs" if bus.thread.is_alive() else "stumbled"
                log.error("bus=%s %s; closed and opened again times=%s", bus.name, what, bus.heals)
                bus.sampler.abort()
                self._left.append(_Left(bus, bus.thread, now, busy_ms(bus.thread)))
                bus.sampler, bus.thread = _started(bus.name, bus.make)
                _tell(bus)
        self._left = [left for left in self._left if left.thread.is_alive()]
        late = [left for left in self._left if awake and now - left.since_ms > GRACE_MS]
        stuck = next((left for left in late if not self._healed(left)), None)
        return "" if stuck is None else f"{stuck.thread.name} does not let go of its port"

    def _healed(self, left: _Left) -> bool:
        """Whether its bus brings values again, and it does nothing any more."""
        alone = sum(one.bus is left.bus for one in self._left) == 1
        return alone and left.bus.sampler.brought and busy_ms(left.thread) - left.busy_ms < SPINS_MS

    def hurry(self, pace_s: float | None) -> None:
        """Have every bus ask what a walk needs so often; None ends it."""
        for bus in self._buses:
            bus.sampler.pace_s = pace_s

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
            join(bus.thread, max(end_ms - self._clock.mono_ms(), 0) / 1000)


def _started(name: str, make: Callable[[], Sampler]) -> tuple[Sampler, threading.Thread]:
    sampler = make()
    return sampler, started(sampler.run, f"bus-{name}")


def _tell(bus: _Bus) -> None:
    """Say so where the machine gives a bus no thread, once, and where it does so again."""
    waits = bus.thread.ident is None
    if waits:
        bus.sampler.cannot_begin(NO_THREAD)
    if waits != bus.waits:
        log.error("bus=%s %s", bus.name, NO_THREAD if waits else "has a thread again")
    bus.waits = waits
