"""Shall it sound? Pure: what was heard and what time it is go in, yes or no comes out.

A sounding ends by a button or after `most_s`, then it pauses, and begins again while its cause lasts: neighbours who
slept through the first three minutes hear the next ones. Who stopped it knows: it stays silent for `stopped_s`, but for
what is worse than what was stopped. A cause that comes and goes a hundred times sounds no oftener than that. A cause
that nobody has spoken of for an hour (the sensor may have burnt) is over. All that holds for the next process, too:
what a rule remembers can be written down and taken up again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edge.config import Trigger
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wire.reading import Reading

HOLDS_MS = 3_600_000


class Memory(msgspec.Struct, frozen=True):
    """What a rule has to know to go on in another process of the same boot; times are milliseconds of that."""

    until_ms: int | None = None
    quiet_ms: int = 0
    quiet_level: int = 0
    level: int = 0
    stopped: bool = False


class _Cause(msgspec.Struct):
    """One trigger, and how far it has come: how many in a row were at its limit, and how bad it is (0: not at all)."""

    trigger: Trigger
    row: int = 0
    level: int = 0
    heard_ms: int = 0

    def see(self, reading: Reading) -> bool:
        """Take a reading; tell whether it says anything here. No value is no all-clear."""
        trigger = self.trigger
        scaled = reading.values.get(trigger.quantity) if reading.channel == trigger.channel else None
        if scaled is None:
            return False
        value = QUANTITIES[trigger.quantity].unscale(scaled)
        self.row = self.row + 1 if value >= trigger.at_least else 0
        self.level = 0 if not self.row else self.level if self.row < trigger.samples else trigger.level_of(value)
        self.heard_ms = reading.mono_ms
        return True


class Rule:
    """One siren's. `cause` says in words why it sounds, or did last."""

    def __init__(self, triggers: Sequence[Trigger], most_s: float, pause_s: float, stopped_s: float) -> None:
        self._causes = [_Cause(trigger) for trigger in triggers]
        self._most_ms, self._pause_ms, self._stopped_ms = (round(1000 * one) for one in (most_s, pause_s, stopped_s))
        self._until_ms: int | None = None  # while it sounds
        self._left_ms: int | None = None  # until when it may go on with what an earlier process began
        self._test_ms: int | None = None  # while it is tested
        self._quiet_ms, self._quiet_level, self._level = 0, 0, 0
        self._stopped, self._lasts = False, False  # somebody silenced it; its cause is there
        self.cause, self.heard_ms = "", 0  # when what made it sound was heard

    @property
    def sounds(self) -> bool:
        """Tell whether it is to sound, not for a test."""
        return self._until_ms is not None

    @property
    def tested(self) -> bool:
        """Tell whether it is to sound for a test alone."""
        return self._test_ms is not None and not self.sounds

    @property
    def stopped(self) -> bool:
        """Tell whether somebody silenced what still lasts."""
        return self._stopped and self._lasts

    @property
    def memory(self) -> Memory:
        """Return what the next process must know."""
        until_ms = self._left_ms if self._until_ms is None else self._until_ms
        return Memory(until_ms, self._quiet_ms, self._quiet_level, self._level, self._stopped)

    def recall(self, memory: Memory, now: int) -> None:
        """Go on as an earlier process: silent until its cause is heard, then no longer than that would have sounded."""
        if memory.until_ms is not None:
            self._left_ms, self._level = min(memory.until_ms, now + self._most_ms), memory.level
        self._quiet_ms = min(memory.quiet_ms, now + max(self._stopped_ms, self._pause_ms))
        self._quiet_level, self._stopped = memory.quiet_level, memory.stopped

    def see(self, reading: Reading, now: int) -> None:
        """Take what a sensor, or the detector, told."""
        for cause in self._causes:
            if cause.see(reading) and cause.level and not self.sounds and self._begins(cause.level, now):
                value = QUANTITIES[cause.trigger.quantity].text(reading.values[cause.trigger.quantity])
                self.cause = f"{reading.channel} {cause.trigger.quantity} {value}"
                self.heard_ms = reading.mono_ms

    def step(self, now: int) -> bool:
        """Return whether the siren shall make a noise now."""
        if self._until_ms is not None and now >= self._until_ms:
            self._quieten(now + self._pause_ms)
        if self._left_ms is not None and now >= self._left_ms:
            self._quieten(self._left_ms + self._pause_ms)
        if self._test_ms is not None and now >= self._test_ms:
            self._test_ms = None
        level = self._worst(now)
        self._lasts = level > 0
        if self.sounds:
            self._level = max(self._level, level)
        elif level and self._begins(level, now):
            self._until_ms = now + self._most_ms if self._left_ms is None else self._left_ms
            self._left_ms, self._level, self._stopped = None, max(self._level, level), False
        return self.sounds or self.tested

    def stop(self, now: int) -> bool:
        """Silence it, and what would make it sound again; tell whether there was anything to silence."""
        tested, self._test_ms = self._test_ms is not None, None
        level = max(self._worst(now), self._level)
        if level:
            self._level = level
            self._quieten(now + self._stopped_ms)
            self._stopped = True
        return bool(level) or tested

    def test(self, now: int, seconds: float) -> bool:
        """Let it be heard for a moment; tell whether that may be: not while it sounds."""
        if not self.sounds:
            self._test_ms = now + round(1000 * seconds)
        return not self.sounds

    def _quieten(self, until_ms: int) -> None:
        self._until_ms = self._left_ms = None
        self._quiet_ms, self._quiet_level = until_ms, self._level
        self._level = 0

    def _begins(self, level: int, now: int) -> bool:
        return now >= self._quiet_ms or level > self._quiet_level

    def _worst(self, now: int) -> int:
        return max((one.level for one in self._causes if now - one.heard_ms < HOLDS_MS), default=0)
