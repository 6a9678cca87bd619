"""Keeps the books in step with the ledger, whoever writes it, and keeps their summary in the store.

A start reads the summary and the rows after it, not the whole ledger (4 µs a row: two million rows a day are 8 s). Rows
may be read again at will, so the cursor stays behind by more than a row needs to be seen. Nothing of committing or
acknowledging waits for this.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import msgspec

from cloud.ingest.audit import Books
from cloud.store import Ledger, Mark, Retry, Statuses, Summaries, Tallied, each_row
from cloud.store.ledger import PAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloud.clock import Clock
    from cloud.ingest.audit import Account

log = logging.getLogger(__name__)
FOLLOW_S = 60.0
KEEP_MS = 300_000  # how far the mark may be behind: a start reads the rows of this time, and of `TRAIL_MS`
TRAIL_MS = 150_000  # more than two turns: the clock that dates arrivals may be set back meanwhile


class BookStore(Ledger, Statuses, Summaries, Protocol):
    """What the books are read from and kept in."""


def accounts_of(store: BookStore, clock: Clock) -> list[Account]:
    """Return the sum of every epoch as a store knows it now, by gateway. Raises Retry."""
    books = Books()
    Bookkeeper(store, books, clock).open(store.settle_s)
    return books.accounts()


class Bookkeeper:
    """`run` belongs to one thread; `ready` may be asked from any."""

    def __init__(self, store: BookStore, books: Books, clock: Clock, by: str = "-") -> None:
        self._store, self._books, self._clock, self._by = store, books, clock, by
        self._trail_ms = TRAIL_MS + round(store.settle_s * 1000)
        self._mark = Mark()  # how far the books go
        self._kept_ms = 0  # when their summary was kept last
        self._turn: Callable[[], object] = lambda: None  # called at each page: a slow store is no stuck loop
        self.ready = False  # whether the books know all that the store knew at the start
        self.why = ""

    def run(self, stop: threading.Event) -> None:
        """Read what the store knows, then follow it, until `stop`."""
        self._turn = stop.is_set
        while not self.ready:
            self._try(self.open)
            if not self.ready and self._clock.wait(stop, 2.0):
                return
        while not self._clock.wait(stop, FOLLOW_S):
            self._try(self.step)
        with suppress(Retry):  # what is not kept is read from the ledger by the next start
            self.keep()

    def _try(self, work: Callable[[], None]) -> None:
        """Do one turn; whatever goes wrong with it is said once and tried again at the next."""
        try:
            work()
        except Retry as error:
            why = str(error)
        except Exception as error:
            log.exception("books stumbled")
            why = f"{type(error).__name__}: {error}"
        else:
            why = ""
        if why and why != self.why:
            log.warning("books are behind the ledger why=%r", why)
        self.why = why

    def open(self, patience_s: float = 0.0) -> None:
        """Read what gateways said last, the summary and the rows after it. Raises Retry.

        In this order: what a gateway holds no more was stored before it said so. With `patience_s` it is seen by then.
        """
        said = list(self._store.statuses())
        if patience_s:
            self._clock.wait(threading.Event(), patience_s)
        mark, tallies = self._store.summary()
        now, rotten = self._clock.utc_ms(), 0
        for one in tallies:
            try:
                self._books.add(one.gateway, one.epoch, one.text)
            except msgspec.DecodeError:
                rotten += 1
        if rotten:
            log.error("summary unreadable, the whole ledger is read n=%s", rotten)
        ahead = mark.until_ms > now  # a clock that was ahead hides rows
        self._mark = Mark(0, mark.expired_ms) if rotten or ahead else mark
        self._follow(now)
        for status in said:
            self._books.status(status)
        self.ready = True

    def step(self) -> None:
        """Take what came since, expire what retention removed, keep the summary when it is due. Raises Retry."""
        now, began_s = self._clock.utc_ms(), self._clock.monotonic()
        self._follow(now)
        self._books.followed(began_s, self._store.settle_s)
        self._books.clones.judge(self._store, self._turn)
        self._expire(now)
        if abs(now - self._kept_ms) >= KEEP_MS:
            self.keep()
        self._store.tidy(now, self._turn)

    def keep(self) -> None:
        """Keep what changed, once the books know what was kept before. What fails waits for the next turn: Retry."""
        if not self.ready:
            return
        mark, changed = self._mark, self._books.changed()
        try:
            self._store.keep_summary([Tallied(*one) for one in changed], mark, self._by)
        except BaseException:
            self._books.unkept(changed)
            raise
        self._kept_ms = self._clock.utc_ms()

    def _follow(self, now_ms: int) -> None:
        behind_ms = max(now_ms - self._trail_ms, 0)
        for row in each_row(self._store, since_ms=min(self._mark.until_ms, behind_ms), turn=self._turn):
            self._books.row(row)
        self._mark = Mark(behind_ms, self._mark.expired_ms)

    def _expire(self, now_ms: int) -> None:
        """Follow the ledger a second time, as far behind as readings are kept; this mark trails as the other does."""
        horizon_ms = self._store.kept_since_ms(now_ms)
        if not horizon_ms:
            return
        self._books.expire([], horizon_ms)  # what came late
        since_ms = self._mark.expired_ms
        while since_ms < horizon_ms and (rows := self._store.ledger(since_ms, PAGE)):
            self._turn()
            old = [row for row in rows if row.arrival_ms < horizon_ms]
            self._books.expire(old, horizon_ms)
            since_ms = rows[-1].arrival_ms + 1
            self._expired(min(since_ms, horizon_ms))
        self._expired(horizon_ms)

    def _expired(self, until_ms: int) -> None:
        self._mark = Mark(self._mark.until_ms, max(self._mark.expired_ms, until_ms - self._trail_ms))
