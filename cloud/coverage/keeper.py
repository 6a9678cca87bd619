"""The one thread of coverage.db: what is heard, files that were brought, sheets of the map, months that are over.

Whoever hears hands over and never waits for a disk. What a disk refuses now waits where it is: what telephones say in
memory, up to a bound, what gateways say in their store, files in their folder.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from cloud.clock import hanoi
from cloud.coverage.months import day_of
from cloud.coverage.sample import OLDEST_MS
from cloud.coverage.seam import Put
from cloud.coverage.sheets import Sheets
from cloud.store import Retry

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Sequence

    from cloud.clock import Clock
    from cloud.coverage.book import Book
    from cloud.coverage.phones import Phones
    from cloud.coverage.sample import Sample
    from cloud.coverage.scale import Scale
    from cloud.coverage.sheets import Place
    from cloud.coverage.uploads import Uploads

log = logging.getLogger(__name__)
SHEETS_S, COMPACT_S = 60.0, 86_400.0
IDLE_S, AGAIN_S = 1.0, 5.0
TOLD_AT = 3  # a file that somebody else writes just now is no fault
LEDGER = "ledger"  # up to which arrival what gateways say has been taken


class Page(NamedTuple):
    """What gateways said, up to an arrival: both are kept, or neither."""

    samples: Sequence[Sample]
    read_to_ms: int


class Keeper:
    """`hand_over` belongs to who reads what gateways said, all else to the thread of `run`."""

    def __init__(
        self,
        book: Book,
        phones: Phones,
        uploads: Uploads,
        scale: Scale,
        hamlets: Callable[[], Iterable[Place]],
        clock: Clock,
    ) -> None:
        self._book, self._phones, self._uploads = book, phones, uploads
        self._sheets, self._hamlets, self._clock = Sheets(book, scale), hamlets, clock
        self._page: Page | None = None
        self._sheets_s = self._compact_s = clock.monotonic()
        self.counts: Counter[str] = Counter()  # samples since the start, by what became of them
        self.read_to_ms: int | None = None  # None until the file could be read
        self.fault = ""

    def hand_over(self, page: Page) -> None:
        """Take what gateways said; only when `page_taken`."""
        self._page = page

    @property
    def page_taken(self) -> bool:
        """Whether the page before is kept, and it is known where to read on."""
        return self._page is None and self.read_to_ms is not None

    def run(self, stop: threading.Event) -> None:
        """Keep what comes until stopped, then what has come; whatever befalls one thing, it goes on."""
        failures = 0
        while not stop.is_set():
            try:
                busy = self.step()
            except Exception as fault:
                failures += 1
                known = isinstance(fault, (Retry, OSError))
                if failures == TOLD_AT or not known:
                    log.warning("coverage-waits why=%r", str(fault), exc_info=None if known else fault)
                if failures >= TOLD_AT or not known:
                    self.fault = f"{type(fault).__name__}: {fault}"
                self._clock.wait(stop, AGAIN_S)
                continue
            failures, self.fault = 0, ""
            if not busy:
                self._clock.wait(stop, IDLE_S)

    def step(self) -> bool:
        """Do a piece of whatever is due; tell whether more waits. Raises Retry, OSError, Taken."""
        if (now_ms := self._clock.utc_ms()) < OLDEST_MS:
            raise Retry(f"the clock of this machine says {hanoi(now_ms):%Y-%m-%d}: it is waited for until it is right")
        if self.read_to_ms is None:
            self.read_to_ms = int(self._book.kept(LEDGER) or 0)
        self._phones.turn(self.put)
        self._take()
        busy = self._uploads.step() or self._phones.more
        now_s = self._clock.monotonic()
        if now_s >= self._sheets_s:
            if self._sheets.make(self._hamlets(), now_ms):
                return True
            self._sheets_s = now_s + SHEETS_S
        if now_s >= self._compact_s:
            if self._book.compact(now_ms):
                return True
            self._compact_s = now_s + COMPACT_S
        return busy

    def put(self, samples: Sequence[Sample], now_ms: int) -> Put:
        """Put samples, all or nothing; only one that cannot be kept, whatever it is, is passed over and counted."""
        with self._book.changing():
            told = self._put(samples, now_ms)
        self.counts.update(told._asdict())
        return told

    def _put(self, samples: Sequence[Sample], now_ms: int) -> Put:
        try:
            return self._book.put(samples, now_ms)
        except Retry:
            raise
        except Exception:
            if len(samples) == 1:
                self.counts["poisoned"] += 1
                log.exception("coverage-sample-passed-over month=%d", day_of(samples[0].time_ms).month)
                return Put(0, 0, 0)
            half = len(samples) // 2
            parts = self._put(samples[:half], now_ms), self._put(samples[half:], now_ms)
            return Put(*map(sum, zip(*parts, strict=True)))

    def _take(self) -> None:
        """Keep what gateways said, and up to where that is."""
        if self._page is not None:
            with self._book.changing():
                self.put(self._page.samples, self._clock.utc_ms())
                self._book.keep(LEDGER, str(self._page.read_to_ms))
            self.read_to_ms, self._page = self._page.read_to_ms, None

    def close(self) -> None:
        """Keep what was heard, and let go of files; what the disk does not take now is lost, and said."""
        try:
            self._phones.turn(self.put, last=True)
        except Retry as fault:
            log.warning("coverage-lost samples=%s why=%r", self._phones.health()["pending"], str(fault))
        self._uploads.close()
        self._book.close()
