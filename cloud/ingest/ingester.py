"""The one writer: takes what the broker brings, commits it in groups, and only then acknowledges.

Nothing here needs memory to be right: an acknowledgement follows its commit, and whatever is lost on the way — a
message, an acknowledgement, this process — the edge sends again. So a full queue may simply refuse.
"""

from __future__ import annotations

import logging
import queue
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from cloud.ingest import statuses
from cloud.store import LedgerRow, Refusal, Retry
from wire import beat, codec, topics
from wire.batch import AckItem, Batch, Gap, Identity, Verdict

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from cloud.clock import Clock
    from cloud.ingest.audit import Books
    from cloud.ingest.quarantine import Quarantine
    from cloud.store import Refused, Store
    from cloud.stream.connection import Arrival

log = logging.getLogger(__name__)
QUEUE = 2_000  # messages: at most 128 MiB
GROUP = 64  # messages a commit
SPREAD_S = 5
DAY_MS = 86_400_000
SAY_EVERY_S = 60.0  # the same complaint about the same gateway
COMPLAINTS = 1_000


class _Entry(msgspec.Struct, frozen=True):
    """What is to be committed, the packet that it came in, and the words of its answer."""

    what: Batch | Gap | Refusal
    payload: bytes
    words: str = ""

    @property
    def identity(self) -> Identity:
        return self.what.epoch, self.what.first, self.what.n


class Ingester:
    """`offer` may be called from any thread; `run` belongs to one."""

    def __init__(
        self,
        store: Store,
        quarantine: Quarantine,
        books: Books,
        clock: Clock,
        publish: Callable[[str, bytes], None],
    ) -> None:
        self._store, self._quarantine, self._books, self._clock, self._publish = (
            store,
            quarantine,
            books,
            clock,
            publish,
        )
        self._queue: queue.Queue[Arrival] = queue.Queue(QUEUE)
        self._answers: dict[str, list[AckItem]] = {}
        self._statuses = statuses.Statuses(store, books)
        self._twice: dict[str, int] = {}
        self._said_s: dict[tuple[str, str], float] = {}
        self._alarmed: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.why = ""

    def offer(self, arrival: Arrival) -> None:
        """Take a message from the stream, or refuse it when there are too many: the edge sends it again."""
        try:
            self._queue.put_nowait(arrival)
        except queue.Full:
            self.counts["refused: queue full"] += 1

    def run(self, stop: threading.Event) -> None:
        """Store and acknowledge until `stop`."""
        while not stop.is_set():
            arrivals = self._next()
            if not arrivals:
                continue
            try:
                self.step(arrivals)
            except Exception:
                log.exception("ingest stumbled; these messages will be sent again n=%s", len(arrivals))
                self.counts["stumbled"] += 1
                self._clock.wait(stop, 1.0)

    def step(self, arrivals: list[Arrival]) -> None:
        """Commit a group of messages and publish what became of each."""
        self._answers = {}
        entries = [entry for arrival in arrivals if arrival.kind == "up" for entry in self._read(arrival)]
        if entries:
            self._commit(entries)
            self._watch_identities()
        for arrival in arrivals:
            if arrival.kind in ("status", "beat"):
                self._hear(arrival)
        now = self._clock.utc_ms()
        for gateway, items in self._answers.items():
            self._publish(topics.ack(gateway), codec.encode_ack(now, items))

    def health(self) -> dict[str, Any]:
        """Return counters, what is wrong, and what lies in quarantine. Raises Retry where that cannot be read."""
        return {
            "counts": dict(self.counts),
            "why": self.why,
            "queued": self._queue.qsize(),
            "quarantine": self._quarantine.reasons(),
            "quarantined_24h": self._quarantine.newer(self._clock.utc_ms() - DAY_MS),
            "clones": sorted(self._statuses.clones() | self._twice.keys()),
        }

    def _next(self) -> list[Arrival]:
        arrivals: list[Arrival] = []
        try:
            arrivals.append(self._queue.get(timeout=0.5))
            while len(arrivals) < GROUP:
                arrivals.append(self._queue.get_nowait())
        except queue.Empty:
            pass  # what has come is what there is
        return arrivals

    def _read(self, arrival: Arrival) -> list[_Entry]:
        """Return the entry to commit, or none: then the answer, if any, is already noted."""
        gateway, payload = arrival.gateway, arrival.payload
        try:
            message = codec.decode_message(gateway, payload, arrival.arrival_ms)
        except codec.Damaged as error:
            self._damaged(arrival, str(error))
            return []
        except codec.Rejected as error:
            self._count("rejected", gateway, str(error))
            self._alarm(f"batches that this version cannot store gateway={gateway}", f"{error}; gocche quarantine")
            if self._keep(gateway, error.identity, str(error), payload):
                return [_Entry(Refusal(gateway, *error.identity, str(error)), payload, str(error))]
            return []
        if isinstance(message, Batch) and message.offset_ms is None:
            self.counts["undated"] += 1
            self._answer(gateway, message.identity, Verdict.UNDATED)
            return []
        return [_Entry(message, payload)]

    def _damaged(self, arrival: Arrival, why: str) -> None:
        self._count("damaged", arrival.gateway, why)
        kept = False
        with suppress(Retry):  # nothing is acknowledged, so nothing hangs on it
            kept = self._quarantine.keep_damaged(arrival.gateway, why, arrival.payload, arrival.arrival_ms)
        self.counts["damaged, not kept"] += not kept

    def _keep(self, gateway: str, identity: Identity, reason: str, payload: bytes) -> bool:
        """Keep a packet durably; where that fails its answer is `later`."""
        try:
            self._quarantine.keep(gateway, identity, reason, payload, self._clock.utc_ms())
        except Retry as error:
            self._later(gateway, identity, error)
            return False
        return True

    def _commit(self, entries: list[_Entry]) -> None:
        arrival_ms = self._clock.utc_ms()
        try:
            refused = self._store.commit([entry.what for entry in entries], arrival_ms)
        except Retry as error:
            for entry in entries:
                self._later(entry.what.gateway, entry.identity, error)
            return
        except Exception as error:  # noqa: BLE001 - logged in _poisoned, and only the batch that causes it pays
            if len(entries) > 1:  # one poisoned batch must not cost its neighbours
                for entry in entries:
                    self._commit([entry])
                return
            self._poisoned(entries[0], error)
            return
        self._well()
        for entry, lines in zip(entries, refused, strict=True):
            self._done(entry, lines, arrival_ms)

    def _done(self, entry: _Entry, lines: list[Refused], arrival_ms: int) -> None:
        what = entry.what
        if lines:
            self._count("refused by the database", what.gateway, lines[0].reason, len(lines))
            why = f"the database refuses {len(lines)} of {what.n} readings, first {lines[0].seq}: {lines[0].reason}"
            if not self._keep(what.gateway, entry.identity, why, entry.payload):
                return
        verdict = {Batch: "stored", Gap: "declared", Refusal: "quarantined"}[type(what)]
        self.counts[verdict] += 1
        self._books.row(LedgerRow(what.gateway, *entry.identity, verdict, arrival_ms, refused=len(lines)))
        code = Verdict.QUARANTINED if isinstance(what, Refusal) else Verdict.STORED
        self._answer(what.gateway, entry.identity, code, entry.words)

    def _poisoned(self, entry: _Entry, error: Exception) -> None:
        """A batch that breaks the store itself is our fault: keep it, say so, and let the edge go on."""
        log.error("batch breaks the store gateway=%s batch=%s", entry.what.gateway, entry.identity, exc_info=error)
        reason = f"store failed on it: {type(error).__name__}: {error}"
        kept = self._keep(entry.what.gateway, entry.identity, reason, entry.payload)
        if kept and not isinstance(entry.what, Refusal):
            self._commit([_Entry(Refusal(entry.what.gateway, *entry.identity, reason), entry.payload, reason)])

    def _hear(self, arrival: Arrival) -> None:
        """Take what a gateway says of itself; whatever is wrong with it costs only itself."""
        gateway, beyond = arrival.gateway, 0
        try:
            said = beat.decode(arrival.payload) if arrival.kind == "beat" else statuses.read(arrival.payload)
        except ValueError as error:
            self._count(f"{arrival.kind} unreadable", gateway, str(error))
            return
        if said.asks if isinstance(said, beat.Beat) else said.state == "online":
            self._answers.setdefault(gateway, [])  # tells the time
        try:
            if isinstance(said, beat.Beat):
                self._statuses.take_beat(arrival, said)
            else:
                beyond = self._statuses.take(arrival, said)
        except Retry as error:
            self._ill(str(error))
        except Exception as error:  # noqa: BLE001 - logged in _count, and only this status pays
            self._count(f"{arrival.kind} not kept", gateway, f"{type(error).__name__}: {error}")
        if beyond:
            self._count("status cut", gateway, f"{beyond} channels more than {statuses.MAX_CHANNELS}")

    def _watch_identities(self) -> None:
        """Raise the alarm when other readings came under a known identity: two gateways share one spool's numbers."""
        told = self._store.twice()
        for gateway, n in told.items():
            self.counts["identity used twice"] += n - self._twice.get(gateway, 0)
            self._alarm(f"two gateways under one id gateway={gateway}", "same numbers, other readings: a copied spool")
        self._twice = told

    def _later(self, gateway: str, identity: Identity, error: Retry) -> None:
        self.counts["later"] += 1
        self._ill(str(error))
        if identity[0]:
            self._answer(gateway, identity, Verdict.LATER, str(error)[:120], round(error.after_s) or 1, SPREAD_S)

    def _answer(
        self, gateway: str, identity: Identity, code: Verdict, words: str = "", seconds: int = 0, spread: int = 0
    ) -> None:
        epoch, first, n = identity
        item = AckItem(bytes.fromhex(epoch), first, n, code, words[:120], seconds, spread)
        self._answers.setdefault(gateway, []).append(item)

    def _count(self, what: str, gateway: str, why: str, n: int = 1) -> None:
        """Count each, say so once in a while."""
        self.counts[what] += n
        now_s = self._clock.monotonic()
        if now_s - self._said_s.get((what, gateway), float("-inf")) < SAY_EVERY_S:
            return
        if len(self._said_s) >= COMPLAINTS:
            self._said_s.clear()
        self._said_s[what, gateway] = now_s
        log.warning("%s gateway=%s why=%r", what, gateway, why[:200])

    def _alarm(self, what: str, why: str) -> None:
        """Say once what a person must look at; /healthz goes on saying it."""
        if what not in self._alarmed and len(self._alarmed) < COMPLAINTS:
            self._alarmed.add(what)
            log.error("%s why=%r", what, why[:200])

    def _ill(self, why: str) -> None:
        if why != self.why:
            log.error("store takes nothing why=%r", why)
            self.why = why

    def _well(self) -> None:
        if self.why:
            log.info("store takes readings again")
            self.why = ""
