"""Alerts as one thread: take what the stream brings, complete it from the ledger, listen for silence, tell people.

The stream is for speed: `offer` never blocks, and what does not fit is brought by the ledger a minute later. The ledger
is for completeness: at start and every minute it is read from a little before the cursor, because rows may become
visible in another order than they arrived.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from cloud.alerts import evidence, listing
from cloud.alerts.catchup import CatchUp
from cloud.alerts.desk import Desk
from cloud.alerts.journal import Journal, read_incidents
from cloud.alerts.judge import Evidence, Judge
from cloud.alerts.outbox import Outbox
from cloud.alerts.progress import Progress
from cloud.alerts.rules import open_rules
from cloud.alerts.silence import Silence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from cloud.alerts.channels import Channel
    from cloud.alerts.incident import Incident
    from cloud.clock import Clock
    from cloud.registry import Registry
    from cloud.store import Store
    from wire.batch import Batch, Status

LOG = logging.getLogger(__name__)
IDLE_S = 1.0
LONGEST_PAUSE_S = 60.0
BATCHES_A_STEP = 100
_Positive = Annotated[float, msgspec.Meta(gt=0)]


class AlertsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[alerts]` of cloud.toml, in seconds. Readings older than `late_s` never wake anybody."""

    late_s: Annotated[
        _Positive, msgspec.Meta(description="readings older than this open a late incident and wake nobody")
    ] = 900.0
    mail_late: Annotated[bool, msgspec.Meta(description="mail late incidents all the same")] = False
    ledger_s: Annotated[
        _Positive, msgspec.Meta(description="how often the ledger is read for what the stream did not bring")
    ] = 60.0
    overlap_s: Annotated[_Positive, msgspec.Meta(description="how far back each of these looks beyond the last")] = (
        300.0
    )
    tick_s: Annotated[
        _Positive, msgspec.Meta(description="how often silence is counted and messages are tried again")
    ] = 5.0
    give_up_s: Annotated[
        _Positive, msgspec.Meta(description="how long a message is tried before it is given up and said so")
    ] = 86_400.0
    queue: Annotated[
        int, msgspec.Meta(description="batches that may wait to be judged; beyond, the ledger brings them", ge=1)
    ] = 1_000


class Alerts:
    """The alerts room. `offer`, `heard`, `listening`, `incidents` and `health` may be called from any thread.

    Raises ValueError for a rule that cannot be used. The journal's file is opened by the first `step`.
    """

    def __init__(
        self,
        *,
        config: AlertsConfig,
        rules: Iterable[dict[str, Any]],
        store: Store,
        registry: Registry,
        channels: Mapping[str, Channel],
        clock: Clock,
        journal_path: Path,
    ) -> None:
        opened = open_rules(rules)
        by_name = {rule.name: rule for rule in opened}
        self._clock, self._path = clock, journal_path
        self._channels = frozenset(channels)
        self._journal = Journal(journal_path)
        self._progress = Progress(self._journal)
        self._outbox = Outbox(self._journal, channels, clock, config.give_up_s)
        self._post = partial(self._outbox.post_intents, registry, by_name, mail_late=config.mail_late)
        self._desk = Desk(self._journal, registry, by_name)
        self._late_ms = round(config.late_s * 1000)
        self._judge = Judge(opened, self._journal, self._progress, self._desk, self._late_ms)
        self._silence = Silence(opened, self._journal, self._progress, self._desk, clock=clock, tick_s=config.tick_s)
        self._dates = evidence.BootDates()
        self._queue: queue.Queue[tuple[Batch, int] | Evidence] = queue.Queue(config.queue)
        self._wake = threading.Event()
        self._ledger = CatchUp(
            store,
            self._journal,
            self._progress,
            self._judge,
            hear=self._silence.hear,
            clock=clock,
            every_s=config.ledger_s,
            overlap_ms=round(config.overlap_s * 1000),
            first_ms=self._late_ms,
        )
        self._counts: Counter[str] = Counter()

    def offer(self, batch: Batch, arrival_ms: int) -> None:
        """Take a decoded batch from the stream; never blocks. What finds no room is brought by the ledger."""
        self._silence.hear(batch.gateway, arrival_ms)
        self._queued((batch, arrival_ms))

    def unstored(self, gateway: str, status: Status, arrival_ms: int) -> None:
        """Take what a gateway says that it could not make safe; never blocks. It says it again each minute."""
        self._queued(evidence.from_status(gateway, status, arrival_ms, self._judge.follows))

    def _queued(self, what: tuple[Batch, int] | Evidence) -> None:
        try:
            self._queue.put_nowait(what)
        except queue.Full:
            self._counts["overflowed"] += 1
        self._wake.set()

    def heard(self, gateway: str, arrival_ms: int) -> None:
        """Note that a gateway lives: a message of its own that is not retained.

        A last will ("offline") is the broker's word, not the gateway's: do not pass it on.
        """
        self._silence.hear(gateway, arrival_ms)

    def listening(self, connected: bool) -> None:
        """Note that the stream is joined or lost; silence counts only in between."""
        self._silence.listening(connected=connected)

    def run(self, stop: threading.Event) -> None:
        """Work until stopped, in the caller's thread. A fault is logged and costs a pause, never the thread."""
        pause_s = IDLE_S
        while not stop.is_set():
            try:
                self.step()
                pause_s = IDLE_S
                self._clock.wait(self._wake, IDLE_S)
            except Exception:
                self._counts["faults"] += 1
                LOG.exception("alerts-failed pause_s=%g", pause_s)
                self._clock.wait(stop, pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        self.close()

    def step(self) -> None:
        """Do once all that is due: stream, silence, messages, ledger, and the messages that this gave."""
        self._wake.clear()
        self._take_stream()
        self._silence.tick()
        self._look_after()
        self._tell()
        if self._ledger.catch_up():
            self._tell()
        if self._ledger.behind:
            self._wake.set()

    def incidents(self, limit: int = 100) -> list[Incident]:
        """Return the newest incidents, newest first."""
        return read_incidents(self._path, limit)

    def health(self) -> dict[str, Any]:
        """Return what an operator must know: whether alerts listen, what waits, what could not be told and why."""
        own = {
            "listening": self._silence.connected,
            "queued": self._queue.qsize(),
            "overflowed": self._counts["overflowed"],
            "faults": self._counts["faults"],
            "rules_failed": dict(self._judge.failed),
            "ledger_fault": self._ledger.fault,
            "channels": sorted(self._channels),
        }
        return own | listing.health(self._path, self._clock.utc_ms())

    def close(self) -> None:
        """Let go of the journal. May be called twice."""
        self._journal.close()

    def _take_stream(self) -> None:
        for _ in range(BATCHES_A_STEP):
            try:
                what = self._queue.get_nowait()
            except queue.Empty:
                return
            now_ms = self._clock.utc_ms()
            taken = what if isinstance(what, Evidence) else evidence.from_batch(*what, self._dates, self._judge.follows)
            with self._journal.transaction():
                self._judge.take(taken, now_ms)
        self._wake.set()

    def _tell(self) -> None:
        self._post()
        self._outbox.send_due()

    def _look_after(self) -> None:
        now_ms = self._clock.utc_ms()
        if self._progress.to_look_at(now_ms) or self._journal.stale_late(now_ms - self._late_ms):
            with self._journal.transaction():
                self._judge.look_again(now_ms)
                self._judge.end_stale(now_ms)
