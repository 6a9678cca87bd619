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
    from gocche.garden.device import Answer
    from tests.journeys.line_faults import Fault, Pieces
    from tests.journeys.models import Model

# what befalls the device or its port, and for how many seconds at most
STATES = {
    "silent": 21_600.0,
    "unpowered": 3_600.0,
    "gone": 3_600.0,
    "full": 600.0,
    "other-speed": 600.0,
    "noise": 3_600.0,
}
LONGEST_S = 1_200.0  # of a fault of the answers
ASKED_ONLY = {"echo", "bad-echo", "full"}
RTU_ONLY = {"wrong-slave", "other-question"}
NOTHING_SAID = {"silent", "unpowered"}
PAUSES = 0.1  # of the times between two faults, for none to follow
TALK_S = 0.1  # between two handfuls of bytes at another speed
NOISE_S = 1.5  # between two bits of noise, on the average


class Pace(msgspec.Struct, frozen=True):
    """How long a line is well, on the average, and how long a fault lasts at least and at most, whatever it is."""

    well_s: float = 400.0
    shortest_s: float = 5.0
    longest_s: float = math.inf


class Said(msgspec.Struct, frozen=True):
    """What a device told, and when."""

    at_ms: int
    values: Values


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
    unfit = (ASKED_ONLY if model.pace_s else set()) | (RTU_ONLY if model.family != "modbus" else set())
    return {name: one for name, one in faults.items() if name not in unfit}


class FarDevice:
    """One device behind a line that suffers, or not. Times are milliseconds of the boot, given by who serves it."""

    def __init__(self, channel: str, model: Model, clock: Clock, pace: Pace | None, began_ms: int = 0) -> None:
        self.channel, self.model, self._clock, self._pace = channel, model, clock, pace
        self._served = Served(None, clock)
        self._device = model.make(channel, self._served, clock)
        self._faults = of_answers(model)
        self._kinds = [*self._faults, *(state for state in STATES if not model.pace_s or state not in ASKED_ONLY)]
        self.now: tuple[str, ...] = ()
        self._until_ms = began_ms + RANDOM.expovariate(1 / pace.well_s) * 1000 if pace else math.inf
        self._wakes_ms: list[float] = []
        self._history: list[tuple[float, tuple[str, ...]]] = [(began_ms, ())]
        self._last = b""
        self.said: list[Said] = []
        self.speaks_ms = began_ms + 1000 * model.pace_s if model.pace_s else math.inf
        self.disturbed_ms: float = began_ms

    # --- what is at work

    def look(self, now_ms: float) -> None:
        """Let faults begin and end that are due."""
        while now_ms >= self._until_ms:
            was, began_ms = self.now, self._until_ms
            self.now = (
                () if was or RANDOM.random() < PAUSES else tuple(RANDOM.sample(self._kinds, RANDOM.randint(1, 2)))
            )
            self._until_ms += 1000 * self._lasts_s()
            self._history.append((began_ms, self.now))
            if "unpowered" in was:
                self._wakes_ms.append(began_ms)
                self._last = b""
                self._device = self.model.make(self.channel, self._served, self._clock)

    def _lasts_s(self) -> float:
        assert self._pace is not None, "who is always well is not struck"
        if not self.now:
            return RANDOM.expovariate(1 / self._pace.well_s)
        longest_s = min(self._pace.longest_s, *(STATES.get(one, LONGEST_S) for one in self.now))
        return self._pace.shortest_s * math.exp(RANDOM.uniform(0, math.log(longest_s / self._pace.shortest_s)))

    def met(self, from_ms: int, to_ms: int) -> set[str]:
        """Return which faults were at work between two times, and whether it woke."""
        lasts_ms = 1000 * self.model.wakes_s
        found = {"waking" for woke_ms in self._wakes_ms if woke_ms <= to_ms and from_ms <= woke_ms + lasts_ms}
        for began_ms, names in reversed(self._history):
            found.update(names if began_ms <= to_ms else ())
            if began_ms <= from_ms:
                break
        return found

    # --- its bytes

    def hear(self, data: bytes, now_ms: int) -> Pieces:
        """Return what comes back for what was sent."""
        self.look(now_ms)
        if NOTHING_SAID.intersection(self.now):
            self._device.hear(b"", Stage())
            return []
        if self._wakes(now_ms):
            return [(0.1, self.model.waking)]
        return [piece for one in self._device.hear(data, Stage()) for piece in self._brought(data, one, now_ms)]

    def speak(self, now_ms: int) -> Pieces:
        """Return what it says by itself now; it speaks again at `speaks_ms`."""
        self.look(now_ms)
        pace_ms = 1000 * self.model.pace_s
        self.speaks_ms += pace_ms * (1 + max(now_ms - self.speaks_ms, 0) // pace_ms)
        if not NOTHING_SAID.isdisjoint(self.now) or "other-speed" in self.now:
            return []
        if self._wakes(now_ms):
            return [(0, self.model.waking)]
        return [piece for one in self._device.speak(Stage()) for piece in self._brought(b"", one, now_ms)]

    def disturb(self, now_ms: float) -> bytes:
        """Return what comes beside all talk, and that nobody says; there may be more at `disturbed_ms`."""
        self.look(now_ms)
        if "other-speed" in self.now:
            self.disturbed_ms = now_ms + 1000 * TALK_S
            return RANDOM.randbytes(RANDOM.randint(5, 60))
        self.disturbed_ms = now_ms + 1000 * RANDOM.expovariate(1 / NOISE_S)
        return RANDOM.randbytes(RANDOM.choice((1, 1, 2, 3, 20))) if "noise" in self.now else b""

    def _wakes(self, now_ms: float) -> bool:
        return bool(self._wakes_ms) and now_ms - self._wakes_ms[-1] < 1000 * self.model.wakes_s

    def _brought(self, request: bytes, one: Answer, now_ms: int) -> Pieces:
        if one.values:
            self.said.append(Said(now_ms, one.values))
        befalls = fault.well
        for name in self.now:
            befalls = fault.both(befalls, self._faults[name]) if name in self._faults else befalls
        pieces = befalls(request, one.frame, self._last)
        self._last = one.frame
        return pieces
