"""The ledger is for completeness: what the stream did not bring is read from the store, at start and every minute.

It is read in a thread of its own, a page at a time, and handed over to be judged: a store that is slow or hangs holds
up nobody but itself. It is read from a little before the cursor, because rows may become visible in another order than
they arrived, and the processed sequence numbers tell what is new. A row costs a read of its readings only where some of
them are; one whose readings cannot all be seen yet is left for the next time. Only what is stored counts as seen: what
lies in quarantine or was declared lost may yet be stored. A row that cannot be read is passed over, said and counted:
it costs only itself.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import OrderedDict
from typing import TYPE_CHECKING

from cloud.alerts.decide import evidence
from cloud.alerts.decide.intake import Heard, Item, ReadTo, Unreadable
from cloud.alerts.decide.progress import kept_cursor, ranges
from cloud.store import Retry

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from cloud.alerts.decide.intake import Intake
    from cloud.alerts.journal import Journal
    from cloud.clock import Clock
    from cloud.store import Ledger, LedgerRow

LOG = logging.getLogger(__name__)
ROWS_A_PAGE = 200
AGAIN_S = 5.0  # until a database out of reach is asked again
TOLD_AT = 2  # a store that ingest is about to make is no fault
IDLE_S = 0.5
REMEMBERED = 1_000  # rows that cannot be read are said once


class CatchUp:
    """Follows the ledger with the cursor that is kept in the journal. `fetch` belongs to one thread."""

    def __init__(
        self,
        store: Ledger,
        journal: Journal,
        follows: Callable[[str], bool],
        has_seen: Callable[[str, str, int, int], bool],
        intake: Intake,
        clock: Clock,
        *,
        every_s: float,
        overlap_ms: int,
        rows_a_page: int = ROWS_A_PAGE,
    ) -> None:
        self._store, self._journal, self._intake = store, journal, intake
        self._follows, self._has_seen = follows, has_seen
        self._clock = clock
        self._every_s, self._rows_a_page = every_s, rows_a_page
        self._overlap_ms = overlap_ms + round(2_000 * store.settle_s)
        self._due_s = clock.monotonic()
        self._next_ms: int | None = None  # where this reading of the ledger goes on; None between two of them
        self._said: OrderedDict[tuple[str, str, int, int], None] = OrderedDict()
        self._failures = 0  # one after another
        self.unreadable = 0
        self.fault = ""

    def run(self, stop: threading.Event, wake: threading.Event) -> None:
        """Fetch until stopped, in the caller's thread, and wake who judges."""
        while not stop.is_set():
            try:
                if self.fetch():
                    wake.set()
                    continue
            except Exception:
                LOG.exception("alerts-ledger-failed")
                self._clock.wait(stop, self._every_s)
            self._clock.wait(stop, IDLE_S)

    def fetch(self) -> bool:
        """Read a page of the ledger when one is due and the one before is judged; tell whether it was.

        A database out of reach is said in `fault` and asked again soon.
        """
        going_on = self._next_ms is not None
        if not self._intake.page_taken or (not going_on and self._clock.monotonic() < self._due_s):
            return False
        if not going_on:
            self._due_s = self._clock.monotonic() + self._every_s
        try:
            with self._journal.reading() as db:
                return self._read(db)
        except (Retry, sqlite3.Error) as fault:
            self._next_ms = None
            self._failures += 1
            if self._failures == TOLD_AT:
                LOG.warning("alerts-ledger-unreachable words=%r", str(fault))
            self.fault = str(fault)
            self._due_s = self._clock.monotonic() + min(AGAIN_S, self._every_s)
            return True

    def _read(self, db: sqlite3.Connection) -> bool:
        cursor = kept_cursor(db)
        if cursor is None:
            return False  # who judges has not begun
        since_ms = cursor - self._overlap_ms if self._next_ms is None else self._next_ms
        rows = self._store.ledger(since_ms, self._rows_a_page)
        page: list[Item] = [what for row in rows for what in self._taken(db, row)]
        page.append(ReadTo(max([cursor, *(row.arrival_ms for row in rows[-1:])])))
        more = bool(rows) and rows[-1].arrival_ms < self._clock.utc_ms()  # a row of the future is the last for now
        self._next_ms = rows[-1].arrival_ms + 1 if more else None
        self._failures, self.fault = 0, ""
        self._intake.hand_over(page)
        return True

    def _taken(self, db: sqlite3.Connection, row: LedgerRow) -> Iterator[Item]:
        """Yield what a row says, nothing where all of it was judged before."""
        if self._has_seen(row.gateway, row.epoch, row.first, row.n):
            return
        if not evidence.missing(ranges(db, row.gateway, row.epoch, row.first, row.n), row.first, row.n):
            return
        if row.verdict == "stored":
            try:
                readings = self._store.batch_readings(row)
                if len(readings) == row.n - row.refused or not self._is_young(row):
                    yield evidence.from_readings(row, readings, self._follows)
            except Retry:
                raise
            except Exception as fault:  # noqa: BLE001 - whatever it is, the rows after it are judged
                if self._first_time(row):
                    yield Unreadable(row, f"{type(fault).__name__}: {fault}")
        yield Heard(row.gateway, row.arrival_ms)

    def _is_young(self, row: LedgerRow) -> bool:
        """Tell whether readings that are not seen yet may still be, when the row is read again."""
        return row.arrival_ms > self._clock.utc_ms() - self._overlap_ms // 2

    def _first_time(self, row: LedgerRow) -> bool:
        key = (row.gateway, row.epoch, row.first, row.n)
        if key in self._said:
            return False
        self._said[key] = None
        while len(self._said) > REMEMBERED:
            self._said.popitem(last=False)
        self.unreadable += 1
        LOG.error("alerts-cannot-read gateway=%s epoch=%s first=%d n=%d", *key)
        return True
