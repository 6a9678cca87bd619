"""What an exchange is given: a line, a clock, and the terms of one device."""

from __future__ import annotations

from typing import Protocol

import msgspec

from wire.reading import Reason

LATE = 4  # time-outs that a late answer is waited for; what was heard later is remembered and waited for instead
LONGEST_OWED_MS = 10_000


class PortLost(Exception):
    """The port is not there, not ours, or went away: close, back off, open again by its stable name."""

    def __init__(self, words: object, reason: Reason = Reason.PORT_LOST) -> None:
        super().__init__(str(words))
        self.reason = reason


class Line(Protocol):
    """What an exchange needs of a line. `ports` has the real ones, `transcript` the recorded one."""

    def write(self, frame: bytes) -> None:
        """Send all bytes, or raise."""
        ...

    def read(self, size: int, patience_s: float, /) -> bytes:
        """Return what is there, up to `size` bytes, soon after there is any; none when the patience is over."""
        ...

    def drain(self) -> None:
        """Forget what has come in."""
        ...


class OpenLine(Line, Protocol):
    """A line as the bus owns it that opened it. Every method may raise PortLost; others may only call `cancel`."""

    def cancel(self) -> None:
        """Make a call that waits in another thread return."""
        ...

    def close(self) -> None:
        """Let go of the port. May be called twice."""
        ...


class Timer(Protocol):
    """The part of a clock that an exchange needs."""

    def mono_ms(self) -> int:
        """Milliseconds of this boot."""
        ...


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What one device is given: patience for an answer, further tries of one ask, and the time of a whole poll."""

    device: str = ""
    timeout_s: float = 0.5
    retries: int = 0
    budget_s: float = 30.0
    settle_ms: int = 200
