"""The lowest and highest of the last 24 hours, from the store's hours, asked seldom and never insisted on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.store import Retry

if TYPE_CHECKING:
    from cloud.clock import Clock
    from cloud.store import Store

_DAY_MS = 86_400_000
KEEP_S = 300.0
REST_S = 30.0  # a store that did not answer is left alone for this long, so that pages stay quick
MOST_KEPT = 5_000


class Day:
    """Answers from memory for five minutes. May be asked by many threads."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._kept: dict[tuple[str, str], tuple[float, tuple[float, float] | None]] = {}
        self._rest_until = float("-inf")

    def span(self, source: str, quantity: str) -> tuple[float, float] | None:
        """Return (lowest, highest) of the last 24 hours, None without values. Raises Retry."""
        now = self._clock.monotonic()
        asked, answer = self._kept.get((source, quantity), (float("-inf"), None))
        if now - asked < KEEP_S:
            return answer
        if now < self._rest_until:
            raise Retry("the store did not answer a moment ago", self._rest_until - now)
        try:
            answer = self._ask(source, quantity)
        except Retry:
            self._rest_until = self._clock.monotonic() + REST_S
            raise
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[source, quantity] = now, answer
        return answer

    def _ask(self, source: str, quantity: str) -> tuple[float, float] | None:
        gateway, _, channel = source.partition("/")
        end_ms = self._clock.utc_ms()
        hours = self._store.hourly(gateway, channel, quantity, end_ms - _DAY_MS, end_ms)
        return (min(hour.low for hour in hours), max(hour.high for hour in hours)) if hours else None
