"""The gateway's clocks: milliseconds since boot that never step, and a wall clock that is trusted only with a reason.

A Raspberry Pi has no battery clock: after a power cut it may believe in 1970. Readings are therefore dated in
milliseconds of the boot (CLOCK_BOOTTIME, which goes on in suspend); an Anchor says what UTC that was. The only place
at the edge that asks the time.
"""

from __future__ import annotations

import ctypes
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from wire.batch import Source

if TYPE_CHECKING:
    import threading

BUILT_MS = 1_767_225_600_000  # 2026-01-01: no clock may claim that this program runs before it was written
_STA_UNSYNC = 0x0040  # adjtimex(2)


class Anchor(msgspec.Struct, frozen=True):
    """UTC minus the boot's monotonic milliseconds, where it comes from, and how wrong it may be."""

    offset_ms: int
    source: Source
    uncertainty_ms: int


class Clock(Protocol):
    """What the edge may ask about time."""

    @property
    def boot(self) -> str:
        """16 hexadecimal digits that differ for every boot."""
        ...

    def mono_ms(self) -> int:
        """Milliseconds of this boot."""
        ...

    def anchor(self) -> Anchor | None:
        """Return what the machine itself knows of UTC, or None while it cannot be trusted."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set or the time is over; tell whether it is set."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def __init__(self) -> None:
        self.boot = Path("/proc/sys/kernel/random/boot_id").read_text().replace("-", "")[:16]
        self._libc = ctypes.CDLL(None, use_errno=True)  # find_library would start ldconfig

    def mono_ms(self) -> int:
        """Milliseconds of this boot."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def anchor(self) -> Anchor | None:
        """Return NTP's date once the kernel or timesyncd calls it synchronised, a battery clock's else, or None."""
        wall = time.time_ns() // 1_000_000
        if wall < BUILT_MS:
            return None
        offset = wall - self.mono_ms()
        if self._synchronised():
            return Anchor(offset, Source.NTP, 100)
        if _battery_clock():
            return Anchor(offset, Source.RTC, 2_000)
        return None

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set or the time is over; tell whether it is set."""
        return event.wait(seconds)

    def _synchronised(self) -> bool:
        timex = ctypes.create_string_buffer(512)  # struct timex with modes = 0: read only, no privilege needed
        state = self._libc.adjtimex(timex)
        if state >= 0:
            status = int.from_bytes(timex.raw[40:44], "little")  # 64-bit layout: int status at byte 40
            return not status & _STA_UNSYNC
        return Path("/run/systemd/timesync/synchronized").exists()  # where a seccomp filter forbids the call


def _battery_clock() -> bool:
    return any(file.read_text().strip() == "1" for file in Path("/sys/class/rtc").glob("rtc*/hctosys"))


def told(text: str, mono_ms: int, source: Source, uncertainty_ms: int) -> Anchor | None:
    """Return the anchor that a device's own date gives (ISO 8601 with offset), or None where it is older than us."""
    try:
        utc_ms = round(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:  # 30 February, second 60
        return None
    return None if utc_ms < BUILT_MS else Anchor(utc_ms - mono_ms, source, uncertainty_ms)
