"""What a satellite saw beside a suspicion makes it probable: two that know nothing of each other say the same.

Nothing raises what is muted, a satellite sees a permitted burn as well. The danger of the day raises nothing either: it
makes no smoke, it decides how closely the detector looks (detect/limits.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from cloud.clock import hanoi

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloud.alerts.incident import Incident, Stage
    from cloud.alerts.journal import Journal
    from cloud.hotspots.lookout import Sight

EVENT = "hotspot"
AT_ONCE, EVERY_MS = 500, 60_000  # suspicions that are asked about in one turn, and each how often at most


class Above:
    """Looks up within the caller's transaction. `sky` is what was seen beside (lat, lon), now in UTC ms."""

    def __init__(
        self,
        journal: Journal,
        raise_to: Callable[[Incident, Stage, str, int], None],
        sky: Callable[[float, float, int], Sight | None],
    ) -> None:
        self._journal, self._raise_to, self._sky = journal, raise_to, sky
        self._asked, self._again_ms = 0, 0

    def look(self, at_ms: int, now_ms: int) -> None:
        """Raise what is suspected where a satellite saw heat, too; `at_ms` is listening time."""
        if not self._again_ms - EVERY_MS <= at_ms < self._again_ms:  # of a journal that began anew it is less
            self._asked, self._again_ms = 0, at_ms + EVERY_MS
        for head in self._journal.suspected(self._asked)[:AT_ONCE]:
            self._ask(head, now_ms)
            self._asked = head.id

    def _ask(self, head: Incident, now_ms: int) -> None:
        if head.muted or head.exercise or head.lat is None or head.lon is None:
            return
        if seen := self._sky(head.lat, head.lon, now_ms):
            words = f"{seen.satellite} saw heat {seen.km:.1f} km away at {hanoi(seen.seen_ms):%H:%M on %d %B}"
            told = msgspec.structs.asdict(seen)
            head = self._journal.save(replace(head, above=msgspec.json.encode(told).decode(), touched_ms=now_ms))
            self._journal.event(now_ms, head.id, EVENT, words, **told)
            self._raise_to(head, "probable", words, now_ms)
