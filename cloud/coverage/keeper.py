"""The one thread of coverage.db: what is heard, files that were brought, sheets of the map, months that are over.

Whoever hears hands over and never waits for a disk. What a disk refuses is kept in memory up to a bound and tried
again; beyond it what telephones say is let go of and counted, while what gateways say is asked of their store again.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from typing import TYPE_CHECKING, NamedTuple

from cloud.clock import hanoi
from cloud.coverage.months import day_of
from cloud.coverage.sample import OLDEST_MS
from cloud.coverage.sheets import Sheets
from cloud.store import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cloud.clock import Clock
    from cloud.coverage.book import Book
    from cloud.coverage.sample import Sample
    from cloud.coverage.scale import Scale
    from cloud.coverage.sheets import Place
    from cloud.coverage.uploads import Uploads

log = logging.getLogger(__name__)
MOST = 50_000  # samples that wait: some 30 MB
AT_ONCE = 5_000
SHEETS_S, COMPACT_S = 60.0, 86_400.0
IDLE_S, AGAIN_S = 0.5, 5.0
TOLD_AT = 3  # a file that somebody else writes just now is no fault
LEDGER = "ledger"  # up to which arrival what gateways say has been taken


class Page(NamedTuple):
    """What gateways said, up to an arrival: both are kept, or neither."""

    samples: Sequence[Sample]
    read_to_ms: int


class Keeper:
    """`hear` and `hand_over` may be called from any thread, `run` belongs to one."""

    def __init__(
        self, book: Book, uploads: Uploads, scale: Scale, hamlets: Callable[[], Iterable[Place]], clock: Clock
    ) -> None:
        self._book, self._uploads, self._hamlets, self._clock = book, uploads, hamlets, clock
        self._sheets = Sheets(book, scale)
        self._turn = threading.Lock()
        self._heard: deque[Sample] = deque()
        self._page: Page | None = None
        self._sheets_s = self._compact_s = 0.0
        self.counts: Counter[str] = Counter()
        self.read_to_ms: int | None = None  # None until the file could be read
        self.fault = ""

    def hear(self, samples: Iterable[Sample]) -> None:
        """Take what telephones say, or let go of it where too much waits already."""
        with self._turn:
            for sample in samples:
                if len(self._heard) < MOST:
                    self._heard.append(sample)
                else:
                    self.counts["overflowed"] += 1

    def hand_over(self, page: Page) -> None:
        """Take what gateways said; only when `page_taken`."""
        self._page = page

    @property
    def page_taken(self) -> bool:
        """Whether the page before is kept, and it is known where to read on."""
        return self._page is None and self.read_to_ms is not None

    @property
    def waiting(self) -> int:
        """How many samples wait."""
        return len(self._heard)

    def run(self, stop: threading.Event) -> None:
        """Keep what comes until stopped, then what has come."""
        failures = 0
        while not stop.is_set():
            try:
                busy = self.step()
                failures, self.fault = 0, ""
            except Exception as fault:
                known = isinstance(fault, (Retry, OSError))
                failures += 1
                if failures == TOLD_AT or not known:
                    log.warning("coverage-waits why=%r", str(fault), exc_info=None if known else fault)
                if failures >= TOLD_AT or not known:
                    self.fault = f"{type(fault).__name__}: {fault}"
                self._clock.wait(stop, AGAIN_S)
                continue
            if not busy:
                self._clock.wait(stop, IDLE_S)
        self._end()

    def step(self) -> bool:
        """Do one piece of each thing that is due; tell whether more waits. Raises Retry, OSError, Taken."""
        if (now_ms := self._clock.utc_ms()) < OLDEST_MS:
            raise Retry(f"the clock of this machine says {hanoi(now_ms):%Y-%m-%d}: it is waited for until it is right")
        if self.read_to_ms is None:
            self.read_to_ms = int(self._book.kept(LEDGER) or 0)
        busy = self._keep()
        busy |= self._uploads.step()
        now_s = self._clock.monotonic()
        if now_s >= self._sheets_s:
            if self._sheets.make(self._hamlets(), self._clock.utc_ms()):
                return True
            self._sheets_s = now_s + SHEETS_S
        if now_s >= self._compact_s:
            if self._book.compact(self._clock.utc_ms()):
                return True
            self._compact_s = now_s + COMPACT_S
        return busy

    def _keep(self) -> bool:
        """Put what was heard and what gateways said; tell whether there was any."""
        if self._page is not None:
            with self._book.changing():
                self._put(self._page.samples)
                self._book.keep(LEDGER, str(self._page.read_to_ms))
            self.read_to_ms, self._page = self._page.read_to_ms, None
            return True
        with self._turn:
            some = [self._heard[at] for at in range(min(AT_ONCE, len(self._heard)))]
        if some:
            self._put(some)
            with self._turn:
                for _ in some:
                    self._heard.popleft()
        return bool(some)

    def _put(self, samples: Sequence[Sample]) -> None:
        """Put samples; one that cannot be kept, whatever it is, costs itself alone."""
        now_ms = self._clock.utc_ms()
        try:
            told = self._book.put(samples, now_ms)
        except Retry:
            raise
        except Exception:
            if len(samples) == 1:
                self.counts["poisoned"] += 1
                log.exception("coverage-sample-passed-over month=%d", day_of(samples[0].time_ms).month)
                return
            half = len(samples) // 2
            self._put(samples[:half])
            self._put(samples[half:])
            return
        self.counts.update(told._asdict())

    def _end(self) -> None:
        """Keep what was heard; what the disk does not take now is lost, and said."""
        try:
            while self._keep():
                pass
            self._uploads.close()
        except (Retry, OSError) as fault:
            log.warning("coverage-lost samples=%d why=%r", self.waiting, str(fault))
        self._book.close()
