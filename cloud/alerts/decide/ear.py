"""Who was heard, and for how long alerts have listened: silence is counted in listening time, never by a clock.

What was not listened to says nothing: a server that was down, or cut off from its broker, hears nobody. So there is a
clock that only runs while the stream is joined. It is kept in the journal, goes on where it stood after a restart, and
does not care what day it is.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloud.clock import Clock


class Ear:
    """Every method may be called from any thread."""

    def __init__(self, clock: Clock, tick_s: float) -> None:
        self._clock, self._tick_s = clock, tick_s
        self._lock = threading.Lock()
        self._heard: dict[str, int] = {}
        self._again: dict[str, int] = {}  # of who was heard in this tick already: each is written once a tick
        self._told: set[str] = set()
        self._since_s: float | None = None  # since when we listen without having counted it
        self._listened_s = 0.0
        self._ticked_s: float | None = None

    @property
    def connected(self) -> bool:
        """Whether alerts listen now."""
        return self._since_s is not None

    def hear(self, gateway: str, arrival_ms: int) -> None:
        """Note that something from the gateway itself arrived."""
        with self._lock:
            heard = self._again if gateway in self._told else self._heard
            heard[gateway] = max(arrival_ms, heard.get(gateway, 0))

    def listening(self, *, connected: bool) -> None:
        """Note that the stream was joined or lost."""
        with self._lock:
            self._count()
            self._since_s = self._clock.monotonic() if connected else None

    def collect(self) -> tuple[dict[str, int], int | None]:
        """Return what was heard since, and the milliseconds listened since the last tick; None where none is due.

        Who was heard before in the same tick is told with the next one.
        """
        now_s = self._clock.monotonic()
        with self._lock:
            news, self._heard = self._heard, {}
            if self._ticked_s is not None and now_s - self._ticked_s < self._tick_s:
                self._told |= news.keys()
                return news, None
            news, self._again = self._again | news, {}
            self._told = set(news)
            self._count()
            counted_ms, self._listened_s, self._ticked_s = round(1000 * self._listened_s), 0.0, now_s
        return news, counted_ms

    def give_back(self, news: dict[str, int], counted_ms: int | None) -> None:
        """Take back what could not be written down: it is collected again."""
        for gateway, arrival_ms in news.items():
            self.hear(gateway, arrival_ms)
        with self._lock:
            self._listened_s += (counted_ms or 0) / 1000

    def _count(self) -> None:
        if self._since_s is not None:
            now_s = self._clock.monotonic()
            self._listened_s += now_s - self._since_s
            self._since_s = now_s
