"""The ledger is for completeness: what the stream did not bring is read from the store, at start and every minute.

It is read from a little before the cursor, because rows may become visible in another order than they arrived, and the
processed sequence numbers tell what is new. A row costs a read of its readings only where some of them are. Only what
is stored counts as seen: what lies in quarantine or was declared lost may yet be stored. After a long outage the ledger
is read a page a step, so that the stream is judged in between.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cloud.alerts import evidence
from cloud.store import Retry

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloud.alerts.journal import Journal
    from cloud.alerts.judge import Judge
    from cloud.alerts.progress import Progress
    from cloud.clock import Clock
    from cloud.store import LedgerRow, Store

LOG = logging.getLogger(__name__)
ROWS_A_STEP = 200


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
        rows_a_step: int = ROWS_A_STEP,
    ) -> None:
        self._store, self._journal, self._progress, self._judge = store, journal, progress, judge
        self._hear, self._clock = hear, clock
        self._every_s, self._overlap_ms, self._first_ms = every_s, overlap_ms, first_ms
        self._due_s = clock.monotonic()
        self._rows_a_step = rows_a_step
        self._next_ms: int | None = None  # where this reading of the ledger goes on; None between two of them
        self.fault = ""

    @property
    def behind(self) -> bool:
        """Whether the next step goes on at once."""
        return self._next_ms is not None

    def catch_up(self) -> bool:
        """Read a page of the ledger when one is due; tell whether it was.

        A database out of reach is said in `fault` and asked again when it is due next.
        """
        if not self.behind and self._clock.monotonic() < self._due_s:
            return False
        self._due_s = self._clock.monotonic() + self._every_s
        try:
            self._next_ms = self._read(self._next_ms)
        except Retry as fault:
            self._next_ms = None
            if not self.fault:
                LOG.warning("alerts-ledger-unreachable words=%r", str(fault))
            self.fault = str(fault)
        else:
            self.fault = ""
        return True

    def _read(self, since_ms: int | None) -> int | None:
        """Judge one page; return where the next one begins, None after the last."""
        cursor = self._progress.cursor()
        if cursor is None:  # a new journal does not judge the history before it
            cursor = self._keep(self._clock.utc_ms() - self._first_ms)
        rows = self._store.ledger(cursor - self._overlap_ms if since_ms is None else since_ms, self._rows_a_step)
        for row in rows:
            if evidence.missing(self._progress.processed(row.gateway, row.epoch), row.first, row.n):
                self._take(row)
            cursor = max(cursor, row.arrival_ms)
        self._keep(min(cursor, self._clock.utc_ms()))  # an ingester whose clock is ahead must not hide later rows
        return rows[-1].arrival_ms + 1 if len(rows) >= self._rows_a_step else None

    def _take(self, row: LedgerRow) -> None:
        if row.verdict == "stored":
            taken = evidence.from_readings(row, self._store.batch_readings(row), self._judge.follows)
            with self._journal.transaction():
                self._judge.take(taken, self._clock.utc_ms())
        self._hear(row.gateway, row.arrival_ms)

    def _keep(self, cursor: int) -> int:
        with self._journal.transaction():
            self._progress.save_cursor(cursor)
        return cursor
