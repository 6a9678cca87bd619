"""What boards show beside readings: days of danger and stages of incidents, copied from the books; signal of hamlets.

The books stay the truth: a copy that is late, or lost with its database, is made again from them at the next start.
Nobody's name is copied.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import suppress
from datetime import date, timedelta
from typing import TYPE_CHECKING

from cloud.alerts import words
from cloud.alerts.listing import Staged, staged
from cloud.alerts.wiring import JOURNAL
from cloud.clock import hanoi, midnight_ms
from cloud.danger.book import NAME as DANGER
from cloud.danger.book import Rotten, days_of, reading
from cloud.rooms.points import of_day, signal
from cloud.store import Retry, Shown
from settings.words import Taken

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from pathlib import Path

    from cloud.clock import Clock
    from cloud.coverage.scale import Scale
    from cloud.registry import Current
    from cloud.store import Store

log = logging.getLogger(__name__)
EVERY_S = 10.0
DANGER_MS = 600_000  # days change at most each hour
PAST = timedelta(days=30)  # at a start
LATELY = timedelta(days=8)  # after it: what comes later than that is shown by the next start
AT_ONCE = 1_000


class Showing:
    """Copies. `why` is what keeps it from that, for any thread; alarms go on whatever it is."""

    def __init__(self, folder: Path, store: Store, current: Current, clock: Clock, scale: Scale) -> None:
        self._folder, self._store, self._current, self._clock = folder, store, current, clock
        self._scale = scale
        self._days: dict[tuple[str, date], Shown] = {}
        self._looked_ms = self._event = 0
        self._turn: threading.Event | None = None
        self.why = ""

    def run(self, stop: threading.Event) -> None:
        """Copy until stopped, where boards look at all."""
        self._turn = stop
        while not stop.is_set():
            try:
                if not self.look():
                    stop.wait()
                self.why = ""
            except Exception as fault:
                known = isinstance(fault, (Retry, sqlite3.Error, OSError, Taken))
                why = str(fault) if known else f"{type(fault).__name__}: {fault}"
                if why != self.why:
                    log.warning("boards-wait why=%r", why, exc_info=None if known else fault)
                self.why = why
            self._clock.wait(stop, EVERY_S)

    def look(self) -> bool:
        """Copy what is new; False where no board looks. Raises Retry, sqlite3.Error, OSError, Taken."""
        if not self._store.show(()):
            return False
        now_ms = self._clock.utc_ms()
        self._incidents(now_ms)
        if not self._looked_ms <= now_ms < self._looked_ms + DANGER_MS or not self._looked_ms:
            self._danger(now_ms)
            self._show(signal(self._store, self._current.now, now_ms, self._scale))
            self._looked_ms = now_ms
        return True

    def _incidents(self, now_ms: int) -> None:
        since_ms = midnight_ms(hanoi(now_ms).date() - PAST)
        while not self._stopped() and (found := staged(self._folder / JOURNAL, self._event, since_ms, AT_ONCE)):
            self._store.show([_of_stage(one) for one in found])
            self._event = found[-1].event

    def _danger(self, now_ms: int) -> None:
        path, registry = self._folder / DANGER, self._current.now
        if not path.exists():
            return
        today = hanoi(now_ms).date()
        first = today - (LATELY if self._looked_ms else PAST)
        days: dict[tuple[str, date], Shown] = {}
        with reading(path) as db:
            for zone in registry.zones.values():
                if self._stopped():
                    return
                with suppress(Rotten):  # it costs this zone alone; who computes danger tells of it
                    own = days_of(db, zone.code, first, today)
                    days |= {(zone.code, day.day): of_day(day, zone, registry) for day in own}
        points = [point for key, point in days.items() if self._days.get(key) != point]
        if self._show(points):
            self._days = days

    def _show(self, points: Sequence[Shown]) -> bool:
        """Copy points; False where that was stopped amid them."""
        for at in range(0, len(points), AT_ONCE):
            if self._stopped():
                return False
            self._store.show(points[at : at + AT_ONCE])
        return True

    def _stopped(self) -> bool:
        """Tell whether to stop; asking is the loop's progress, however much there is to copy."""
        return self._turn is not None and self._turn.is_set()


def _of_stage(one: Staged) -> Shown:
    text, stage = words.shown(one.what, one.incident, (one.place_vi, one.place_en), exercise=one.exercise)
    at_ns = one.at_ms * 10**6 + one.event % 10**6  # two of one millisecond stay two
    told = {"text": text, "stage": stage}
    return Shown("incident", {"gateway": one.gateway}, at_ns, {"number": one.incident}, told)
