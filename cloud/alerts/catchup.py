"""The ledger is for completeness: what the stream did not bring is read from the store, at start and every minute.

It is read from a little before the cursor, because rows may become visible in another order than they arrived, and the
processed sequence numbers tell what is new. A row costs a read of its readings only where some of them are.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from cloud.alerts import evidence
from cloud.store import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloud.alerts.journal import Journal
    from cloud.alerts.judge import Judge
    from cloud.alerts.progress import Progress
    from cloud.clock import Clock
    from cloud.store import LedgerRow, Store

LOG = logging.getLogger(__name__)


class CatchUp:
    """Follows the ledger with a cursor that is kept in the journal."""

    def __init__(
        self,
        store: Store,
        journal: Journal,
        progress: Progress,
        judge: Judge,
        *,
        hear: Callable[[str, int], None],
        clock: Clock,
        every_s: float,
        overlap_ms: int,
        first_ms: int,
    ) -> None:
        self._store, self._journal, self._progress, self._judge = store, journal, progress, judge
        self._hear, self._clock = hear, clock
        self._every_s, self._overlap_ms, self._first_ms = every_s, overlap_ms, first_ms
        self._due_s = clock.monotonic()
        self.fault = ""

    def catch_up(self) -> bool:
        """Read the ledger when it is due; tell whether it was.

        A database out of reach is said in `fault` and asked again when it is due next.
        """
        if self._clock.monotonic() < self._due_s:
            return False
        self._due_s = self._clock.monotonic() + self._every_s
        try:
            self._read()
        except Retry as fault:
            if not self.fault:
                LOG.warning("alerts-ledger-unreachable words=%r", str(fault))
            self.fault = str(fault)
        else:
            self.fault = ""
        return True

    def _read(self) -> None:
        cursor = self._progress.cursor()
        if cursor is None:  # a new journal does not judge the history before it
            cursor = self._keep(self._clock.utc_ms() - self._first_ms)
        for row in self._store.ledger(cursor - self._overlap_ms):
            if evidence.missing(self._progress.processed(row.gateway, row.epoch), row.first, row.n):
                self._take(row)
            cursor = max(cursor, row.arrival_ms)
        self._keep(min(cursor, self._clock.utc_ms()))  # an ingester whose clock is ahead must not hide later rows

    def _take(self, row: LedgerRow) -> None:
        readings: Sequence[Any] = self._store.batch_readings(row) if row.verdict == "stored" else ()
        taken = evidence.from_readings(row, readings, self._judge.follows)
        with self._journal.transaction():
            self._judge.take(taken, self._clock.utc_ms())
        self._hear(row.gateway, row.arrival_ms)

    def _keep(self, cursor: int) -> int:
        with self._journal.transaction():
            self._progress.save_cursor(cursor)
        return cursor
