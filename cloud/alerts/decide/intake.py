"""What is to be judged, until it is: offered without blocking, taken in one transaction a step.

A commit to disk costs more than judging a message, so whatever waits is judged together. Where something in it cannot
be judged, all of it is undone and taken again in halves of halves, and only that one is passed over, said and counted:
one in 1,000 costs some 20 commits. Where the disk refuses (full, busy), nothing is passed over: it is taken again in
the next step.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections import Counter, deque
from typing import TYPE_CHECKING

import msgspec

from cloud.alerts.decide.evidence import Evidence
from cloud.store import LedgerRow
from cloud.store.intervals import Intervals
from wire.batch import Batch
from wire.excerpt import Excerpt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloud.alerts.journal import Journal

LOG = logging.getLogger(__name__)
AT_ONCE = 1_000  # from the stream in one step
SLICE = 50  # from the ledger in one step: the stream never waits for more than these


class Arrived(msgspec.Struct, frozen=True):
    """A batch of the stream, and whether somebody has seen that no rule calls anything in it bad."""

    batch: Excerpt | Batch
    calm: bool = False


class Passed(msgspec.Struct, frozen=True):
    """Sequence numbers that hold nothing that any rule follows."""

    gateway: str
    epoch: str
    first: int
    n: int


class Heard(msgspec.Struct, frozen=True):
    """A gateway lived at this time: something of it was stored."""

    gateway: str
    arrival_ms: int


class Unreadable(msgspec.Struct, frozen=True):
    """A row of the ledger whose readings cannot be read, and why."""

    row: LedgerRow
    words: str


class ReadTo(msgspec.Struct, frozen=True):
    """The ledger is judged up to this arrival."""

    arrival_ms: int


Item = Arrived | Passed | Evidence | Heard | Unreadable | ReadTo


class Intake:
    """`offer` and `hand_over` may be called from any thread, `take` from the judging one."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._stream: deque[Item] = deque()
        self._turn = threading.Lock()
        self._passed: dict[tuple[str, str], Intervals] = {}
        self._page: deque[Item] = deque()
        self._held: list[Item] = []  # taken out and not committed yet
        self.counts: Counter[str] = Counter()

    def offer(self, what: Item) -> None:
        """Take what the stream brings, or let it pass when too much waits: the ledger brings it."""
        if len(self._stream) < self._size:
            self._stream.append(what)
        else:
            self.counts["overflowed"] += 1

    def pass_over(self, batch: Excerpt | Batch) -> None:
        """Take a batch of the stream in which nothing is to be judged: ranges that touch become one."""
        with self._turn:
            self._passed.setdefault((batch.gateway, batch.epoch), Intervals()).add(batch.first, batch.first + batch.n)

    def hand_over(self, page: Sequence[Item]) -> None:
        """Take a page of the ledger; only when `page_taken`."""
        self._page.extend(page)

    @property
    def page_taken(self) -> bool:
        """Whether the page before is judged as far as it was handed over."""
        return not self._page

    @property
    def waiting(self) -> int:
        """How much of the stream waits."""
        return len(self._stream)

    @property
    def full(self) -> bool:
        """Whether there is enough for a whole step."""
        return len(self._stream) >= AT_ONCE or bool(self._page)

    def take(self, journal: Journal, judge: Callable[[Sequence[Item]], None]) -> bool:
        """Judge what waits, the stream first, in one transaction or as few as need be; tell whether there was any.

        Raises sqlite3.Error where the journal takes nothing; what waits is kept.
        """
        found = self._fill()
        if not self._held:
            return False
        size = len(self._held)
        while self._held:
            part = self._held[:size]
            try:
                with journal.transaction():
                    judge(part)
            except sqlite3.Error:
                raise
            except Exception:
                if len(part) > 1:
                    size = len(part) // 2
                    continue
                self.counts["poisoned"] += 1
                LOG.exception("alerts-cannot-judge what=%.300r", part[0])
            size *= 2
            del self._held[: len(part)]
        return found

    def _fill(self) -> bool:
        """Take out what is next; tell whether it is more than what was passed over, which nobody waits for."""
        kept = bool(self._held)
        while self._stream and len(self._held) < AT_ONCE:
            self._held.append(self._stream.popleft())
        for _ in range(min(SLICE, len(self._page)) if len(self._held) <= AT_ONCE else 0):
            self._held.append(self._page.popleft())
        found = bool(self._held)
        if not kept:
            with self._turn:
                passed, self._passed = self._passed, {}
            for key, done in passed.items():
                self._held += [Passed(*key, first, past - first) for first, past in done]
        return found
