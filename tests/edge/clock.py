"""A clock that tests turn by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.clock import Anchor


class HandClock:
    """Monotonic milliseconds of one boot; without an anchor until a test gives one."""

    def __init__(self, boot: str = "a1" * 8, mono_ms: int = 5_000) -> None:
        self.boot = boot
        self.now = mono_ms
        self.own: Anchor | None = None
        self.battery: Anchor | None = None
        self.chip: Anchor | None = None  # what it says where that is not what the wall clock says
        self._kept: Anchor | None = None

    def mono_ms(self) -> int:
        return self.now

    def anchor(self) -> Anchor | None:
        return self.own

    def rtc(self) -> Anchor | None:
        return self.battery

    def kept(self) -> Anchor | None:
        if self.own is None:
            self._kept = self.chip or self.battery or self._kept
        return self._kept

    def wait(self, event, seconds: float) -> bool:
        self.now += round(seconds * 1000)
        return event.is_set()
