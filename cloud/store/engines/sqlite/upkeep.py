"""What the writer does between commits: count hours, let go what is old, shorten the log. Each in small steps."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.store import Retry
from cloud.store.engines.sqlite import retention, rollup
from cloud.store.engines.sqlite.file import WAL_BYTES, size
from cloud.store.keys import HOUR_MS

if TYPE_CHECKING:
    from cloud.store.engines.sqlite.file import Pen
    from cloud.store.engines.sqlite.retention import Horizon
    from cloud.store.summary import Mark
    from cloud.store.unreadable import Unreadable

EVERY_MS = 1_000  # between two steps, by the clock of arrivals
SHORTEN_MS, WAIT_MS = 10_000, 500  # how often, and how long is waited for readers meanwhile


class Upkeep:
    """Belongs to the thread that commits. What fails here is told by `health` and tried again at the next step."""

    def __init__(self, path: Path, pen: Pen, horizon: Horizon, unreadable: Unreadable) -> None:
        self._log = Path(f"{path}-wal")
        self._pen, self._horizon, self._unreadable = pen, horizon, unreadable
        self._stepped_ms = 0
        self._shortened_ms = 0
        self._forgot_hour = 0

    def step(self, arrival_ms: int, mark: Mark) -> None:
        """Do a little of all that is due."""
        if abs(arrival_ms - self._stepped_ms) < EVERY_MS:
            return
        self._stepped_ms = arrival_ms
        with suppress(Retry):
            self._count(arrival_ms)
        with suppress(Retry):
            self._let_go(arrival_ms)
        with suppress(Retry):
            self._forget(mark)
        if size(self._log) > WAL_BYTES and abs(arrival_ms - self._shortened_ms) >= SHORTEN_MS:
            self._shortened_ms = arrival_ms
            self.shorten()

    def _count(self, arrival_ms: int) -> None:
        with self._pen.held("hours") as db:
            ripe = rollup.at_rest(db, arrival_ms)
        if ripe:
            with self._pen.transaction("hours") as db:
                rollup.fold(db, self._unreadable, ripe)

    def _let_go(self, arrival_ms: int) -> None:
        """Count what the horizon is to pass, move it, and remove what lies before it."""
        horizon = self._horizon
        with self._pen.held("retention") as db:
            horizon.look(db, arrival_ms)
            old = retention.has_old(db, horizon.hour)
        if horizon.due_hour > horizon.hour:
            with self._pen.transaction("retention") as db:
                uncounted = rollup.before(db, horizon.due_hour)
                rollup.fold(db, self._unreadable, uncounted)
                if not uncounted:
                    horizon.move(db)
        if old:
            with self._pen.transaction("retention") as db:
                retention.remove(db, horizon.hour)

    def _forget(self, mark: Mark) -> None:
        """Each hour, and at each step while there is more."""
        hour = self._horizon.seen_ms // HOUR_MS
        if self._forgot_hour != hour:
            with self._pen.transaction("retention") as db:
                more = retention.forget(db, self._horizon, mark)
            self._forgot_hour = 0 if more else hour

    def shorten(self) -> None:
        """Bring the log into the file and give its room back, unless somebody reads for too long."""
        with suppress(Retry), self._pen.held("log") as db:
            db.execute(f"PRAGMA busy_timeout = {WAIT_MS}")
            try:
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                db.execute("PRAGMA busy_timeout = 5000")
