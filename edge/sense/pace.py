"""What is known of the times of a line, so that its thread need not be woken to find out.

A poll is little work; to wake a thread on a core that slept costs more than all of it. So where the clock tells that a
line has been quiet it is written to at once, and who was asked is left in peace until the answer is usually whole: what
was two to four wakings for the answer alone is one. It decides nothing: a guess that is wrong costs a waking, or the
time by which it is too long, sixteen times at the most where that is as long again as the answer takes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from edge.sense.terms import Timer

# a slave takes a question that comes too soon for more of the answer before it (Modbus over Serial Line V1.02 §2.5.1.1)
PARTED = 4  # characters: after three and a half a frame is over …
PARTED_S = 0.002  # … at high speeds after 1.75 ms
# how long an answer is left in peace: as long as nine of ten take to be whole
FIRST = 3  # answers of which the fastest is begun with
LATER_MS, SOONER_MS = 2.0, 0.25  # where one was not whole by then, and where it was
# one in so many is looked for from its beginning: how early an answer is shows to nobody who waits for a late one, and
# a machine that was busy when it started would let its devices wait as long for hours
LOOKED_FOR = 16
MOST_QUESTIONS = 256  # more are not remembered: no set of probes has so many


class _Usual(msgspec.Struct):
    """How long the whole answer to one question usually takes."""

    rest_ms: float = math.inf
    asked: int = 0
    heard: int = 0  # counted up to FIRST

    @property
    def is_looked_for(self) -> bool:
        """Tell whether this one is not left in peace."""
        return self.heard < FIRST or self.asked % LOOKED_FOR == 0

    def learn(self, took_ms: int, *, waited: bool) -> None:
        """One came whole after so long; `waited`: it was not there when it had been left in peace."""
        if self.heard < FIRST:
            self.rest_ms, self.heard = min(self.rest_ms, took_ms), self.heard + 1
        elif not self.is_looked_for:
            self.rest_ms = max(self.rest_ms + LATER_MS if waited else self.rest_ms - SOONER_MS, 0)
        elif 2 * took_ms < self.rest_ms:
            self.rest_ms = took_ms


class Pace:
    """When a line was heard last, and how long its answers take. Belongs to the thread that owns the line."""

    def __init__(self, clock: Timer, byte_s: float) -> None:
        self._clock = clock
        self.apart_s = max(PARTED * byte_s, PARTED_S)
        self._apart_ms = math.ceil(1000 * self.apart_s) + 1  # the clock leaves out what is less than one
        self._came_ms = self._asked_ms = clock.mono_ms()
        self._usual: dict[bytes, _Usual] = {}
        self._asked = _Usual()
        self._fresh = False  # nothing was looked at since

    def came(self) -> None:
        """Bytes were there."""
        self._came_ms = self._clock.mono_ms()

    def is_quiet(self) -> bool:
        """Tell whether a frame may begin now, if nothing has come meanwhile."""
        return self._clock.mono_ms() - self._came_ms >= self._apart_ms

    def asked(self, frame: bytes) -> None:
        """A question is on its way."""
        if len(self._usual) >= MOST_QUESTIONS:
            self._usual.clear()
        self._asked, self._asked_ms = self._usual.setdefault(frame, _Usual()), self._clock.mono_ms()
        self._asked.asked += 1
        self._fresh = True

    def rest_s(self) -> float:
        """Return for how long nothing needs to be looked at: before the first look for an answer."""
        fresh, self._fresh = self._fresh, False
        return self._asked.rest_ms / 1000 if fresh and not self._asked.is_looked_for else 0.0

    def answered(self, *, waited: bool) -> None:
        """As many bytes came as were asked for."""
        self._asked.learn(self._came_ms - self._asked_ms, waited=waited)
