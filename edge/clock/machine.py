"""The gateway's clocks: milliseconds since boot that never step, and a wall clock that is trusted only with a reason.

A Raspberry Pi has no battery clock: after a power cut it may believe in 1970. Readings are therefore dated in
milliseconds of the boot; an Anchor says what UTC that was. They are CLOCK_BOOTTIME's, which goes on while the machine
sleeps: CLOCK_MONOTONIC would not, and every reading after a suspend would be dated too early. The only place at the
edge that asks the time.
"""

from __future__ import annotations

import ctypes
import logging
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edge.clock.anchor import Anchor, drift_ms, may_be
from wire.batch import Source

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)
RTC_FOLDER = Path("/sys/class/rtc")
TIMESYNCD = Path("/run/systemd/timesync/synchronized")
ASIDE_MS = 20  # two clocks that were read farther apart than this were not read together
RTC_READ_MS = 1_000  # it tells whole seconds
# From adjtimex(2):
_STA_INS, _STA_DEL = 0x0010, 0x0020
_TIME_OOP, _TIME_WAIT = 3, 4
_UNKNOWN_US = 16_000_000  # the kernel's word for "nobody has told me": grows to this by 500 ppm when nobody does


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
        """Return NTP's date while the machine is synchronised, else None."""
        ...

    def rtc(self) -> Anchor | None:
        """Return what the battery clock says, None where there is none to read or the wall clock says otherwise.

        Its uncertainty is that of reading it: whether it ran well is not the machine's to know.
        """
        ...

    def kept(self) -> Anchor | None:
        """Return what the battery clock said while nobody could have set it in this boot, whatever the wall clock says.

        None where nobody read it in time: what it says once NTP has set it does not tell how it kept the time.
        """
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set or the time is over; tell whether it is set."""
        ...


class SystemClock:
    """The machine's own clocks. Made before anything that takes long: NTP sets the battery clock when it comes."""

    def __init__(self) -> None:
        self.boot = Path("/proc/sys/kernel/random/boot_id").read_text().replace("-", "")[:16]
        self._libc = ctypes.CDLL(None, use_errno=True)  # find_library would start ldconfig
        if ends_in_2038():
            log.warning("this system's time ends on 2038-01-19; install a 64-bit Raspberry Pi OS before that")
        self._kept: Anchor | None = None
        self.kept()

    def mono_ms(self) -> int:
        """Milliseconds of this boot."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000

    def anchor(self) -> Anchor | None:
        """Return NTP's date while the machine is synchronised, else None."""
        error_ms = self._ntp_error_ms()
        if error_ms is None:
            return None
        wall = self._wall()
        return None if wall is None else Anchor(wall[0], Source.NTP, error_ms + ASIDE_MS, wall[1])

    def rtc(self) -> Anchor | None:
        """Return what the battery clock says, None where there is none to read or the wall clock says otherwise."""
        wall = self._wall()
        if wall is None:
            return None
        offset_ms, now = wall
        for read_ms in _read_ms():
            if abs(read_ms - now - offset_ms) <= 2 * RTC_READ_MS + drift_ms(now):
                return Anchor(read_ms - now, Source.RTC, RTC_READ_MS, now)
        return None

    def kept(self) -> Anchor | None:
        """Return what the battery clock said while nobody could have set it, None where nobody read it in time."""
        now = self.mono_ms()
        read_ms = next(filter(may_be, _read_ms()), None)
        if read_ms is not None and self._ntp_error_ms() is None:
            self._kept = Anchor(read_ms - now, Source.RTC, RTC_READ_MS, now)
        return self._kept

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set or the time is over; tell whether it is set."""
        return event.wait(seconds)

    def _wall(self) -> tuple[int, int] | None:
        """Return the wall clock minus the boot's milliseconds, and those; None where it cannot be true."""
        before = self.mono_ms()
        wall = time.time_ns() // 1_000_000
        now = self.mono_ms()
        return (wall - now, now) if now - before <= ASIDE_MS and may_be(wall) else None

    def _ntp_error_ms(self) -> int | None:
        timex = timex_of(ctypes.c_long)()  # modes = 0: read only, no privilege needed
        state = self._libc.adjtimex(ctypes.byref(timex))
        if state < 0:  # a filter forbids the call
            return 1_000 if TIMESYNCD.exists() else None
        return ntp_error_ms(state, timex.status, timex.maxerror)


def _read_ms() -> Iterator[int]:
    """Yield what each battery clock says, in UTC; the kernel takes the time from the first at boot."""
    for folder in sorted(RTC_FOLDER.glob("rtc*")):
        with suppress(OSError, ValueError):  # one without a battery refuses to be read
            yield int((folder / "since_epoch").read_text()) * 1000 + 500


def timex_of(long: type[Any]) -> type[Any]:
    """Return the kernel's struct timex as far as it is read, with room for the rest.

    Its longs are the machine's: `status` lies at byte 40 of a 64-bit one, at 20 of a 32-bit one.
    """
    names = ("offset", "freq", "maxerror", "esterror")
    fields = [("modes", ctypes.c_uint), *((name, long) for name in names), ("status", ctypes.c_int)]
    return type("timex", (ctypes.Structure,), {"_fields_": [*fields, ("rest", ctypes.c_char * 256)]})


def ntp_error_ms(state: int, status: int, maxerror_us: int) -> int | None:
    """Return how wrong the wall clock may be by the kernel's own account, None while it is not synchronised.

    The error decides, not STA_UNSYNC: chrony without `rtcsync` keeps that flag set (systemd/systemd#13245). While a
    leap second passes nothing is dated, and the day before it the date may be a second off afterwards.
    """
    if maxerror_us >= _UNKNOWN_US or state in {_TIME_OOP, _TIME_WAIT}:
        return None
    leap_ms = 1_000 if status & (_STA_INS | _STA_DEL) else 0
    return 100 + leap_ms - (-maxerror_us // 1000)  # 100: what a time server itself may be off


def ends_in_2038(date: Callable[..., datetime] = datetime.fromtimestamp) -> bool:
    """Tell whether this system counts seconds in 32 bits."""
    try:
        date(2**31, UTC)
    except (OverflowError, OSError):
        return True
    return False
