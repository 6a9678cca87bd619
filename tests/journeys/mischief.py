"""What befalls one line in the field, at random: mostly nothing, then for a while one fault or two at once.

Faults of an answer are those of `line_faults`; here are those of a device and of its port, when each begins and ends,
and who says which bytes when. The same for a line in simulated time and for a pseudo-terminal.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

from gocche.garden.served import Served
from gocche.garden.stage import Stage
from tests.journeys import line_faults as fault
from tests.journeys.line_faults import RANDOM
from tests.journeys.models import Values

if TYPE_CHECKING:
    from cloud.clock import Clock
    from tests.journeys.line_faults import Fault, Pieces
    from tests.journeys.models import Model

MIN, HOUR = 60.0, 3_600.0
# what befalls the device or its port, and for how many seconds at most
STATES = {"silent": 6 * HOUR, "unpowered": HOUR, "gone": HOUR, "full": 10 * MIN, "other-speed": 10 * MIN, "noise": HOUR}
ASKED_ONLY = ("echo", "bad-echo", "full")
RTU_ONLY = ("wrong-slave", "other-question")
SHORTEST_S, LONGEST_S = 5.0, 20 * MIN  # of a fault of the answers
ALTERING = {"glitch", "1-bit", "3-bits", "cut", "bad-echo", "right-length", "noise", "other-speed"}
TALK_S = 0.1  # between two handfuls of bytes at another speed
NOISE_S = 1.5  # between two bits of noise, on the average


def of_answers(model: Model) -> dict[str, Fault]:
    """Return what can befall the answers of such a device."""
    faults: dict[str, Fault] = {
        "echo": fault.echo,
        "bad-echo": fault.after(fault.disturbed_words, fault.well),
        "glitch": fault.glitch,
        "1-bit": fault.flipped(1),
        "3-bits": fault.flipped(3),
        "cut": fault.truncated,
        "split": fault.split,
        "glued": fault.glued,
        "again": fault.again,
        "right-length": fault.of_right_length,
        "wrong-slave": fault.wrong_slave,
        "other-question": fault.other_question,
        **{f"late-{times:g}": fault.late(times, model.timeout_s) for times in (0.5, 1.5, 3)},
    }
    unfit = (*(ASKED_ONLY if model.pace_s else ()), *(RTU_ONLY if model.family != "modbus" else ()))
    return {name: one for name, one in faults.items() if name not in unfit}


class Said(msgspec.Struct, frozen=True):
    """What a device told, and when."""

    at_ms: int
    values: Values


class FarDevice:
    """One device behind a line that suffers. Times are seconds from its start, given by who serves it."""

    def __init__(self, channel: str, model: Model, clock: Clock, *, well_s: float, healthy: bool = False) -> None:
        self.channel, self.model, self._clock, self._well_s = channel, model, clock, well_s
        self._served = Served(None, clock)
        self._device = model.make(channel, self._served, clock)
        self._faults = of_answers(model)
        self._kinds = [*self._faults, *(state for state in STATES if not model.pace_s or state not in ASKED_ONLY)]
        self.now: tuple[str, ...] = ()
        self.met: set[str] = set()  # what was at work since somebody emptied it
        self._until_s = math.inf if healthy else RANDOM.expovariate(1 / well_s)
        self._woke_s = -math.inf
        self._last = b""
        self.said: list[Said] = []
        self.next_s = model.pace_s  # when it speaks by itself

    # --- what is at work

    def look(self, now_s: float) -> None:
        """Let faults begin and end that are due."""
        while now_s >= self._until_s:
            was = self.now
            self.now = () if was or RANDOM.random() < 0.1 else self._struck()
            longest_s = min((STATES.get(one, LONGEST_S) for one in self.now), default=0.0)
            lasts_s = SHORTEST_S * math.exp(RANDOM.uniform(0, math.log(longest_s / SHORTEST_S))) if self.now else 0
            self._until_s += lasts_s or RANDOM.expovariate(1 / self._well_s)
            self.met.update(self.now)
            if "unpowered" in was:
                self._woke_s = min(self._until_s, now_s)
                self._device = self.model.make(self.channel, self._served, self._clock)

    def _struck(self) -> tuple[str, ...]:
        return tuple(RANDOM.sample(self._kinds, RANDOM.randint(1, 2)))

    def waking(self, now_s: float) -> bool:
        """Tell whether it got its power a moment ago."""
        return now_s - self._woke_s < self.model.wakes_s

    # --- its bytes

    def hear(self, data: bytes, now_s: float, now_ms: int) -> Pieces:
        """Return what comes back for what was sent."""
        self.look(now_s)
        if {"silent", "unpowered"}.intersection(self.now):
            self._device.hear(b"", Stage())
            return []
        if self.waking(now_s):
            return [(0.1, self.model.waking)]
        return [piece for one in self._device.hear(data, Stage()) for piece in self._brought(data, one, now_ms)]

    def speak(self, now_s: float, now_ms: int) -> Pieces:
        """Return what it says by itself now; it speaks again at `next_s`."""
        self.look(now_s)
        pieces: Pieces = []
        if {"silent", "unpowered"}.isdisjoint(self.now) and "other-speed" not in self.now:
            if self.waking(now_s):
                pieces = [(0, self.model.waking)]
            else:
                pieces = [p for one in self._device.speak(Stage()) for p in self._brought(b"", one, now_ms)]
        return pieces

    def disturb(self) -> bytes:
        """Return what comes beside all talk, and that nobody says."""
        if "other-speed" in self.now:
            return RANDOM.randbytes(RANDOM.randint(5, 60))
        return RANDOM.randbytes(RANDOM.choice((1, 1, 2, 3, 20))) if "noise" in self.now else b""

    def disturbed_in_s(self) -> float:
        """Return after how long there is something to say there again, or to look whether there is."""
        return TALK_S if "other-speed" in self.now else RANDOM.expovariate(1 / NOISE_S)

    def _brought(self, request: bytes, one: object, now_ms: int) -> Pieces:
        frame, values = one.frame, one.values  # type: ignore[attr-defined]
        if values:
            self.said.append(Said(now_ms, values))
        befalls = fault.well
        for name in self.now:
            befalls = fault.both(befalls, self._faults[name]) if name in self._faults else befalls
        pieces = befalls(request, frame, self._last)
        self._last = frame
        return pieces
