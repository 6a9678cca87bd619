"""The one writer: takes what the broker brings, commits it in groups, and only then acknowledges.

Nothing here needs memory to be right: an acknowledgement follows its commit, and whatever is lost on the way — a
message, an acknowledgement, this process — the edge sends again. So a full queue may simply refuse.
"""

from __future__ import annotations

import logging
import queue
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from cloud.store import LedgerRow, Refusal, Retry, StatusRow
from wire import codec, topics
from wire.batch import AckItem, Batch, Gap, Identity, Status, Verdict

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from cloud.audit import Books
    from cloud.clock import Clock
    from cloud.ingest.quarantine import Quarantine
    from cloud.store import Refused, Store
    from cloud.stream import Arrival

log = logging.getLogger(__name__)
QUEUE = 2_000  # messages: at most 128 MiB
GROUP = 64  # messages a commit
SPREAD_S = 5
MAX_STATUS = 32 * 1024


class _Entry(msgspec.Struct, frozen=True):
    what: Batch | Gap | Refusal
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
        self._lives: dict[str, list[str]] = {}
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
        for arrival in arrivals:
            if arrival.kind == "status":
                self._status(arrival)
        if entries:
            self._commit(entries)
        now = self._clock.utc_ms()
        for gateway, items in self._answers.items():
            self._publish(topics.ack(gateway), codec.encode_ack(now, items))

    def health(self) -> dict[str, Any]:
        """Return counters, what is wrong, and what lies in quarantine."""
        return {
            "counts": dict(self.counts),
            "why": self.why,
            "queued": self._queue.qsize(),
            "quarantine": self._quarantine.reasons(),
            "clones": sorted(gateway for gateway, seen in self._lives.items() if len(seen) != len(set(seen))),
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
            self._count("damaged", gateway, str(error))
            self._keep(arrival, ("", 0, 0), str(error))
            return []
        except codec.Rejected as error:
            self._count("rejected", gateway, str(error))
            if self._keep(arrival, error.identity, str(error)):
                return [_Entry(Refusal(gateway, *error.identity, str(error)), str(error))]
            return []
        if isinstance(message, Batch) and message.offset_ms is None:
            self.counts["undated"] += 1
            self._answer(gateway, message.identity, Verdict.UNDATED)
            return []
        return [_Entry(message)]

    def _keep(self, arrival: Arrival, identity: Identity, reason: str) -> bool:
        try:
            self._quarantine.keep(arrival.gateway, identity, reason, arrival.payload, arrival.arrival_ms)
        except Retry as error:
            self._later(arrival.gateway, identity, error)
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
        try:
            for line in lines:
                self._count("refused by the database", what.gateway, line.reason)
                self._quarantine.keep(
                    what.gateway, (what.epoch, line.seq, 1), line.reason, line.text.encode(), arrival_ms
                )
        except Retry as error:
            self._later(what.gateway, entry.identity, error)
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
        try:
            self._quarantine.keep(
                entry.what.gateway, entry.identity, reason, msgspec.msgpack.encode(entry.what), self._clock.utc_ms()
            )
        except Retry as full:
            self._later(entry.what.gateway, entry.identity, full)
            return
        if not isinstance(entry.what, Refusal):
            self._commit([_Entry(Refusal(entry.what.gateway, *entry.identity, reason), reason)])

    def _status(self, arrival: Arrival) -> None:
        try:
            status = msgspec.json.decode(arrival.payload[:MAX_STATUS], type=Status)  # a longer one breaks off
        except ValueError as error:
            self._count("status unreadable", arrival.gateway, str(error))
            return
        if status.state == "online":
            self._answers.setdefault(arrival.gateway, [])  # tells the time
        if arrival.retained:
            return
        self._watch_lives(arrival.gateway, status)
        self._books.status(StatusRow(arrival.gateway, arrival.arrival_ms, status))
        try:
            self._store.write_status(arrival.gateway, status, arrival.arrival_ms)
        except Retry as error:
            self._ill(str(error))

    def _watch_lives(self, gateway: str, status: Status) -> None:
        """A boot or an epoch that comes back after another one spoke: two devices live under one id.

        Two copies of one SD card share the epoch, so the boot counts too.
        """
        seen = self._lives.setdefault(gateway, [])
        life = f"{status.epoch}/{status.boot}"
        if status.state == "online" and (not seen or seen[-1] != life):
            if life in seen:
                log.error("two gateways under one id gateway=%s epochs=%s", gateway, sorted(set(seen)))
            seen.append(life)
            del seen[:-8]

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

    def _count(self, what: str, gateway: str, why: str) -> None:
        self.counts[what] += 1
        log.warning("%s gateway=%s why=%r", what, gateway, why[:200])

    def _ill(self, why: str) -> None:
        if why != self.why:
            log.error("store takes nothing why=%r", why)
            self.why = why

    def _well(self) -> None:
        if self.why:
            log.info("store takes readings again")
            self.why = ""
