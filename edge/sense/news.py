"""What of a channel's ups and downs is said in the log: the first at once, those that follow in one sum an hour.

The log lies on the card, and a probe at the end of a bad cable comes and goes all day long: twenty of them at one
failure in ten wrote 3.4 MB of changes a day. Said in sums it is also what an installer wants to know of such a probe:
how often, and mostly how. A change after an hour without any is a first one again.
"""

from __future__ import annotations

from collections import Counter

HOUR_MS = 3_600_000


class News:
    """Of one channel. Times are monotonic milliseconds."""

    def __init__(self) -> None:
        self._began_ms: int | None = None  # when the hour began that is counted; None while nothing changes
        self._told: set[str] = set()  # changes that were said at once, or are not to be
        self._held = False
        self._polls = 0
        self._failed: Counter[str] = Counter()

    def comes(self, change: str, now: int) -> bool:
        """The channel changed ("lost", "back"); tell whether that is to be said at once."""
        if self._began_ms is None:
            self._begin(now, set())
        first = change not in self._told
        self._told.add(change)
        self._held |= not first
        return first

    def count(self, reason: str) -> None:
        """A poll ended: "" where it brought values, else why not, under one of few names."""
        self._polls += 1
        if reason:
            self._failed[reason] += 1

    def sum(self, now: int) -> str:
        """Return what is to be said of the hour that is over; "" while it is not, or where nothing was held back."""
        if self._began_ms is None or now - self._began_ms < HOUR_MS:
            return ""
        if not self._held:
            self._began_ms = None
            return ""
        minutes, most = (now - self._began_ms) // 60_000, self._failed.most_common(1)
        mostly = most[0][0] if most else "none"
        told = f"failed={self._failed.total()} polls={self._polls} mostly={mostly} minutes={minutes}"
        self._begin(now, {"lost", "back"})
        return told

    def _begin(self, now: int, told: set[str]) -> None:
        self._began_ms, self._told, self._held, self._polls = now, told, False, 0
        self._failed.clear()
