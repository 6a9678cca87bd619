"""The cloud's clock: UTC in milliseconds, and waiting that tests can steer. The only place here that asks the time."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading

HANOI = timezone(timedelta(hours=7), "Asia/Ho_Chi_Minh")  # no daylight saving since 1975
HANOI_MS = 7 * 3_600_000
DAY_MS, HOUR_MS = 86_400_000, 3_600_000
_BEGAN = datetime(1970, 1, 1, tzinfo=UTC).astimezone(HANOI)
_EPOCH = _BEGAN.date()


class Clock(Protocol):
    """What the cloud may ask about time."""

    def utc_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never step back, for intervals only."""
        ...

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set or the time is over; tell whether it is set."""
        ...


class SystemClock:
    """The machine's own clock."""

    def utc_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that never step back, for intervals only."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set or the time is over; tell whether it is set."""
        return event.wait(seconds)


def hanoi(utc_ms: int) -> datetime:
    """Return the time as people in Vietnam read it, with its offset."""
    return _BEGAN + timedelta(milliseconds=utc_ms)  # by way of UTC the first hours of the year 1 would be none


def midnight_ms(day: date) -> int:
    """Return when a day of Vietnam begins."""
    return (day - _EPOCH).days * DAY_MS - HANOI_MS
