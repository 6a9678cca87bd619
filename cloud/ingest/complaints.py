"""What ingest says of itself: counters for rates, and a line in the log for whoever must act, never once a message."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloud.clock import Clock

log = logging.getLogger(__name__)
EVERY_S = 60.0  # the same complaint about the same gateway
REMEMBERED = 1_000


class Complaints:
    """Belongs to the ingester's thread; `counts` and `why` may be read from any."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said_s: dict[tuple[str, str], float] = {}
        self._alarmed: set[str] = set()
        self._ill: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    def count(self, what: str, gateway: str, why: str, n: int = 1) -> None:
        """Count each, say so once in a while."""
        self.counts[what] += n
        now_s = self._clock.monotonic()
        if now_s - self._said_s.get((what, gateway), float("-inf")) < EVERY_S:
            return
        if len(self._said_s) >= REMEMBERED:
            self._said_s.clear()
        self._said_s[what, gateway] = now_s
        log.warning("%s gateway=%s why=%r", what, gateway, why[:200])

    def alarm(self, what: str, why: str) -> None:
        """Say once what a person must look at; /healthz goes on saying it."""
        if what not in self._alarmed and len(self._alarmed) < REMEMBERED:
            self._alarmed.add(what)
            log.error("%s why=%r", what, why[:200])

    def ill(self, part: str, why: str) -> bool:
        """Say that a part, the store or the quarantine, takes nothing; tell whether that, or the reason, is new."""
        if why == self._ill.get(part):
            return False
        log.error("%s takes nothing why=%r", part, why)
        self._ill[part] = why
        return True

    def well(self, part: str) -> None:
        """Say that a part takes things again, where it did not."""
        if self._ill.pop(part, None):
            log.info("%s takes things again", part)

    @property
    def why(self) -> str:
        """What nothing can be committed for just now, in words; empty while all is well."""
        return "; ".join(self._ill.copy().values())
