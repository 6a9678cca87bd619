"""What a simulated device is: it hears bytes, it may speak on its own, and it says which values each frame carries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from gocche.garden.stage import Stage


class Answer(msgspec.Struct, frozen=True):
    """One frame for the line, and what it tells. A frame without values (an echo, an OK, a URC) is not logged."""

    frame: bytes
    device: str
    n: int = 0
    values: dict[str, float] = {}
    to: str = ""  # the AT command that it answers


class Device(Protocol):
    """All that hangs on one port. No I/O: the park moves the bytes."""

    def hear(self, data: bytes, stage: Stage) -> list[Answer]:
        """Return the answers to what came in; nothing came in when `data` is empty: the line was quiet for a while."""
        ...

    def speak(self, stage: Stage) -> list[Answer]:
        """Return what the device says by itself, asked for once a pace."""
        ...


def overridden(values: dict[str, float], told: dict[str, bool | float | str]) -> dict[str, float]:
    """Return the values with those that the control file fixes."""
    return values | {name: float(told[name]) for name in values if name in told}
