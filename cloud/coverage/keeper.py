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
    """What gateways said, since an arrival and up to one: it is kept with that, or not at all."""

    samples: Sequence[Sample]
    since_ms: int
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
        self._faults: dict[str, tuple[int, str]] = {}  # of each part: how often in a row, and why
        self._again_s: dict[str, float] = {}
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
        """Keep what comes until stopped."""
        while not stop.is_set():
            if not self.step():
                self._clock.wait(stop, IDLE_S)

    def step(self) -> bool:
        """Do a piece of whatever is due; tell whether more waits. Whatever befalls one part, the others go on."""
        if (now_ms := self._clock.utc_ms()) < OLDEST_MS:
            self.fault = f"the clock of this machine says {hanoi(now_ms):%Y-%m-%d}: it is waited for until it is right"
            return False
        busy = False
        for part, name in ((self._hear, "phones"), (self._take, "gateways"), (self._uploads.step, "files"),
                           (self._judge, "sheets"), (self._compact, "compaction")):  # fmt: skip
            if self._clock.monotonic() < self._again_s.get(name, 0.0):
                continue
            try:
                busy |= part()
                self._faults.pop(name, None)
            except Exception as fault:  # noqa: BLE001 - it is logged, and the part tried again
                self._failed(name, fault)
        self.fault = "; ".join(f"{name}: {why}" for name, (n, why) in self._faults.items() if n >= TOLD_AT)
        return busy

    def _failed(self, name: str, fault: Exception) -> None:
        """Note why a part failed; that is told when it did so some times, or is no word of a disk."""
        known = isinstance(fault, (Retry, OSError))
        n = self._faults.get(name, (0, ""))[0] + 1 if known else TOLD_AT
        if n == TOLD_AT:
            log.warning("coverage-waits part=%s why=%r", name, str(fault), exc_info=None if known else fault)
        self._faults[name] = n, f"{type(fault).__name__}: {fault}"
        self._again_s[name] = self._clock.monotonic() + AGAIN_S

    def _hear(self) -> bool:
        """Keep what telephones said."""
        self._phones.turn(self.put)
        return self._phones.more

    def _judge(self) -> bool:
        """Make sheets of what has changed, when they are due; tell whether more has."""
        if self._clock.monotonic() < self._sheets_s:
            return False
        if self._sheets.make(self._hamlets(), self._clock.utc_ms()):
            return True
        self._sheets_s = self._clock.monotonic() + SHEETS_S
        return False

    def _compact(self) -> bool:
        """Let samples go of months that are over for long, once a day; tell whether there are more."""
        if self._clock.monotonic() < self._compact_s:
            return False
        if self._book.compact(self._clock.utc_ms()):
            return True
        self._compact_s = self._clock.monotonic() + COMPACT_S
        return False

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

    def _take(self) -> bool:
        """Keep what gateways said, and up to where that is; not what belongs to a file that is no more."""
        self.read_to_ms = int(self._book.kept(LEDGER) or 0)
        if self._page is not None and self._page.since_ms == self.read_to_ms:
            with self._book.changing():
                self.put(self._page.samples, self._clock.utc_ms())
                self._book.keep(LEDGER, str(self._page.read_to_ms))
            self.read_to_ms = self._page.read_to_ms
        self._page = None
        return False

    def close(self) -> None:
        """Keep what was heard, and let go of files; what the disk does not take now is lost, and said."""
        try:
            self._phones.turn(self.put, last=True)
        except Retry as fault:
            log.warning("coverage-lost samples=%s why=%r", self._phones.health()["pending"], str(fault))
        self._uploads.close()
        self._book.close()
