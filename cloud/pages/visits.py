"""How often a tree's page was opened: a number for each tree and day, and nothing about anybody.

No address, no time of the day, no cookie, nothing of a request but its path. What is shown is the sum of thirty whole
days, from five on: a single visit can be told by nobody from it. The file is the room's own, and all that it writes;
while the disk takes nothing, counts wait in memory.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import date, timedelta
from typing import TYPE_CHECKING

from cloud.clock import hanoi
from cloud.registry import codes
from disk.form import bring_forward, whole

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from cloud.clock import Clock

log = logging.getLogger(__name__)
NAME = "visits.db"
SHOWN_FROM, SHOWN_DAYS, KEPT_DAYS = 5, 30, 400
EVERY_S = 60.0
MOST = 50_000  # paths that wait to be written: beyond it only those that wait already are counted
_STEPS = ("CREATE TABLE visit (day TEXT NOT NULL, tree TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (day, tree))",)
_ADD = "INSERT INTO visit VALUES (?, ?, ?) ON CONFLICT (day, tree) DO UPDATE SET n = n + excluded.n"
_SUM = "SELECT tree, sum(n) FROM visit WHERE day >= ? AND day < ? GROUP BY tree HAVING sum(n) >= ?"


class Visits:
    """Counts in one thread, writes and reads in another."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._new: Counter[str] = Counter()
        self._waiting: Counter[tuple[str, str]] = Counter()
        self._shown: dict[str, int] = {}
        self._ill = ""

    def seen(self, path: str) -> None:
        """Count a page that was shown."""
        if path in self._new or len(self._new) < MOST:
            self._new[path] += 1

    def of(self, tree: str) -> int | None:
        """Return how often a tree's page was opened in thirty days, up to yesterday; None below five."""
        return self._shown.get(tree)

    def run(self, stop: threading.Event) -> None:
        """Write and read each minute until stopped, and once more then."""
        while not stop.is_set():
            self.look()
            self._clock.wait(stop, EVERY_S)
        self.look()

    def look(self) -> None:
        """Write what was counted, and read what is shown."""
        today = hanoi(self._clock.utc_ms()).date()
        counted, self._new = self._new, Counter()
        for path, n in list(counted.items()):  # a visit of this moment may still be counted in it
            _, _, typed = path.rpartition("/")
            if code := codes.normalise(typed):
                self._waiting[today.isoformat(), code] += n
        try:
            self._write(today)
        except (sqlite3.Error, OSError) as error:
            if str(error) != self._ill:
                log.warning("visits-not-written path=%s why=%r", self._path, str(error))
            self._ill = str(error)
        else:
            self._ill = ""

    def _write(self, today: date) -> None:
        with closing(sqlite3.connect(self._path, timeout=5.0, isolation_level=None)) as db:
            bring_forward(db, self._path, _STEPS)
            with whole(db):
                db.executemany(_ADD, ((*key, n) for key, n in self._waiting.items()))
                db.execute("DELETE FROM visit WHERE day < ?", ((today - timedelta(KEPT_DAYS)).isoformat(),))
            self._waiting.clear()
            since = (today - timedelta(SHOWN_DAYS)).isoformat()
            self._shown = dict(db.execute(_SUM, (since, today.isoformat(), SHOWN_FROM)))
