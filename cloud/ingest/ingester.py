"""The one that takes what the broker brings, commits it in groups, and only then acknowledges.

Nothing here needs memory to be right: an acknowledgement follows its commit, and whatever is lost on the way — a
message, an acknowledgement, this process — the edge sends again. So a full queue may simply refuse.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from cloud.ingest.ahead import Ahead
from cloud.ingest.answers import Answers
from cloud.ingest.arrivals import Arrivals
from cloud.ingest.commit import DAY_MS, Committer
from cloud.ingest.complaints import Complaints
from cloud.ingest.reading import Reader
from cloud.ingest.retrial import Retrial
from cloud.ingest.statuses import Statuses
from cloud.store import Retry
from settings.words import Refused

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from cloud.clock import Clock
    from cloud.inbox import Inbox
    from cloud.ingest.audit import Books
    from cloud.ingest.quarantine import Quarantine
    from cloud.store import Store
    from cloud.stream.connection import Arrival

log = logging.getLogger(__name__)
AGAIN_S = 2.0  # until a store that is not ready is asked again
SLOW_S = 3.0  # a turn that lasts longer waits for the store, which is told


class Ingester:
    """`offer` may be called from any thread; `run` belongs to one."""

    def __init__(
        self,
        store: Store,
        quarantine: Quarantine,
        books: Books,
        clock: Clock,
        publish: Callable[[str, bytes], None],
        inbox: Inbox | None = None,
    ) -> None:
        self._store, self._quarantine, self._books, self._clock = store, quarantine, books, clock
        self._arrivals = Arrivals()
        self._complaints = Complaints(clock)
        self._answers = Answers(publish)
        self._ahead = Ahead(clock)
        self._reader = Reader(quarantine, self._answers, self._complaints, self._ahead, store.pack)
        self._committer = Committer(store, quarantine, self._reader, self._answers, self._complaints, clock, books.row)
        self._statuses = Statuses(store, books, self._answers, self._complaints)
        self._retrial = Retrial(inbox, store, quarantine, self._complaints, clock, books.row)
        self._twice: dict[str, int] = {}
        self._turn_s: float | None = None  # when the turn began that is under way
        self.recalled = False
        self.prepared = threading.Event()  # whether the store takes and tells

    @property
    def counts(self) -> Counter[str]:
        """What came, and what became of it, since the start."""
        return self._complaints.counts

    def offer(self, arrival: Arrival) -> None:
        """Take a message from the stream, or refuse it when there are too many: the edge sends it again."""
        if not self._arrivals.offer(arrival):
            self.counts["refused: queue full"] += 1

    def prepare(self) -> bool:
        """Prepare the store; tell whether it is. Committing needs nothing else.

        Raises Refused where a person must act: another writer, a newer gocche.
        """
        self._turn_s = self._clock.monotonic()
        try:
            self._store.setup()
        except Refused:
            raise
        except Exception as error:
            if self._complaints.ill("store", str(error) or type(error).__name__) and not isinstance(error, Retry):
                log.exception("the store cannot be prepared; tried again")
            return False
        self._complaints.well("store")
        self.prepared.set()
        return True

    def recall(self) -> None:
        """Take what gateways said before this process began; `run` does not wait for it. Raises Retry."""
        self._statuses.remember(self._store.statuses())
        self.recalled = True

    def run(self, stop: threading.Event) -> None:
        """Prepare the store, then store and acknowledge, until `stop`."""
        while not self.prepare() and not self._clock.wait(stop, AGAIN_S):
            pass
        while not stop.is_set():
            self._turn_s = self._clock.monotonic()
            at_once = self._retrial.busy or self._committer.waits
            if not self._turn(self._arrivals.take(0.0 if at_once else 0.5), stop):
                self._clock.wait(stop, 1.0)
        self._turn([], stop)  # what is under way is ended, and answered

    def _turn(self, arrivals: list[Arrival], stop: threading.Event) -> bool:
        """Store and acknowledge these, and do some of what was asked for; tell whether nothing was in the way."""
        try:
            if arrivals or self._committer.waits or stop.is_set():
                self.step(arrivals, ahead=self._arrivals.is_group and not stop.is_set())
            if not stop.is_set():
                self._retrial.turn()
        except Exception:
            log.exception("ingest stumbled; these messages will be sent again n=%s", len(arrivals))
            self.counts["stumbled"] += 1
            return False
        return True

    def step(self, arrivals: list[Arrival], *, ahead: bool = False) -> None:
        """Commit a group of messages and publish what became of each, whatever happens to some of them.

        `ahead`: another follows at once, which is read while the database works on this one, and ends its commit.
        """
        others = [one for one in arrivals if one.kind in ("status", "beat")]
        try:
            entries = self._reader.read((one for one in arrivals if one.kind == "up"), self._clock.utc_ms())
            self._committer.end()
            if entries:
                self._committer.begin(entries)
            if others or not ahead or not self._committer.waits:
                self._committer.end()  # a status is heard after what came before it
            self._watch_identities()
            self._statuses.begin()
            for arrival in others:
                self._statuses.hear(arrival)
        finally:
            self._answers.publish(self._clock.utc_ms())

    def health(self) -> dict[str, Any]:
        """Return counters, what is wrong, and what lies in quarantine. Raises Retry where that cannot be read."""
        return {
            "counts": dict(self.counts),
            "why": "; ".join(filter(None, (self._complaints.why, self._slow(), self._ahead.why))),
            "recalled": self.recalled,
            "queued": len(self._arrivals),
            "suspects": self._committer.suspects(),
            "quarantine": self._quarantine.reasons(),
            "quarantined_24h": self._quarantine.newer(self._clock.utc_ms() - DAY_MS),
            "clones": sorted(self._statuses.clones() | self._books.clones.found().keys()),
        }

    def _slow(self) -> str:
        """Say that the store has been at something for long: whether it answers in the end nobody knows."""
        lasts_s = 0.0 if self._turn_s is None else self._clock.monotonic() - self._turn_s
        what = "a write" if self.prepared.is_set() else "its preparation"
        return f"the store does not answer: {what} has been under way for {lasts_s:.0f} s" if lasts_s > SLOW_S else ""

    def _watch_identities(self) -> None:
        """Raise the alarm when other readings came under a known identity: two gateways share one spool's numbers."""
        told = self._books.clones.found()
        for gateway, n in told.items():
            self.counts["identity used twice"] += n - self._twice.get(gateway, 0)
            why = "same numbers, other readings: a copied spool"
            self._complaints.alarm(f"two gateways under one id gateway={gateway}", why)
        self._twice = told
