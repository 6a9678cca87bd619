"""When something is to be done next. Times are monotonic milliseconds, given by who asks: no clock in here."""

from __future__ import annotations


class Due:
    """One thing that is done every `every_s` seconds; the first time at once, unless it is said otherwise."""

    def __init__(self, every_s: float, at_ms: int = 0) -> None:
        self._every_ms = round(every_s * 1000)
        self.at_ms = at_ms

    def comes(self, now: int) -> bool:
        """Tell whether it is time; if so, the next time is `every_s` from now."""
        if now < self.at_ms:
            return False
        self.rest(now)
        return True

    def rest(self, now: int) -> None:
        """It was done: the next time is `every_s` from now."""
        self.at_ms = now + self._every_ms

    def put_off(self, now: int, seconds: float) -> None:
        """Try again in some seconds."""
        self.at_ms = now + round(seconds * 1000)

    def hurry(self) -> None:
        """Do it at the next opportunity."""
        self.at_ms = 0
