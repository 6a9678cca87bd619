"""Alerts: one thread judges what the stream and the ledger bring and listens for silence; others read the ledger, tell.

The stream is for speed: `offer` never blocks, and what does not fit is brought by the ledger a minute later. Whatever
waits is judged in one transaction a step, at once where a rule calls something bad, else within a second: a series
costs a step as much for one message as for ten. The store is only asked by the ledger's thread, so one that is slow or
hangs never holds up judging what the stream brings.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cloud.alerts import listing
from cloud.alerts.answering import Answering
from cloud.alerts.around import NOTHING, Around
from cloud.alerts.decide import evidence, pace
from cloud.alerts.decide.alive import Alive
from cloud.alerts.decide.catchup import CatchUp
from cloud.alerts.decide.ear import Ear
from cloud.alerts.decide.evidence import Evidence
from cloud.alerts.decide.hamlets import Modems
from cloud.alerts.decide.intake import Arrived, Heard, Intake, Item, Passed, ReadTo, Unreadable
from cloud.alerts.decide.judging import Judging
from cloud.alerts.decide.progress import Progress
from cloud.alerts.journal import Journal, newest
from cloud.alerts.rules import open_rules
from wire.excerpt import Excerpt, excerpt_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from cloud.alerts.channels import Named
    from cloud.alerts.incident import Incident
    from cloud.alerts.settings import AlertsConfig
    from cloud.clock import Clock
    from cloud.registry import Current
    from cloud.store import Ledger
    from wire.batch import Batch, Status

LOG = logging.getLogger(__name__)
IDLE_S = 1.0
GATHER_S = 0.2  # after a step, whatever comes: it shares the next one's commit, and what each series costs
LONGEST_PAUSE_S = 60.0
LEDGER_END_S = 2.0
PRUNE_S = 86_400.0
CALM_S = 20.0  # until what is calm is written down; far less than the ledger is read again (`overlap_s`)
BACK_S = 10.0  # how often a journal that is in memory tries its file


class Alerts:
    """The alerts room. `offer`, `heard`, `listening`, `incidents` and `health` may be called from any thread.

    Raises ValueError for a rule that cannot be used. The journal's file is opened by the first `step`.
    """

    def __init__(
        self,
        *,
        config: AlertsConfig,
        rules: Iterable[dict[str, Any]],
        store: Ledger,
        registry: Current,
        channels: Sequence[Named],
        clock: Clock,
        journal_path: Path,
        door: Callable[[int], str] = lambda _: "",
        around: Around = NOTHING,
        pages: str = "",
    ) -> None:
        tables = list(rules)
        opened = open_rules(tables)
        self._written = pace.written(tables)
        by_name = {rule.name: rule for rule in opened}
        self._clock = clock
        self._journal = Journal(journal_path)
        self._progress = Progress(self._journal)
        folder = journal_path.parent
        alive, own = Alive(self._progress, by_name, registry), (folder, self._journal)
        modems = Modems(self._progress, registry)
        self._answering = Answering(
            *own, alive, modems, registry, by_name, channels, config, clock, door, around, pages
        )
        self._desk, self._office = self._answering.desk, self._answering.office
        self._late_ms, self._ear = round(config.late_s * 1000), Ear(clock, config.tick_s)
        known = (self._journal, self._progress, self._desk, modems)
        self._judging = Judging(opened, *known, self._late_ms, around.danger)
        self._judge, self._silence = self._judging.judge, self._judging.silence
        self._dates = evidence.BootDates(clock, self._late_ms)
        self._intake, self._wake = Intake(config.queue), threading.Event()
        overlap_ms = round(1000 * (config.overlap_s + store.settle_s))
        reads = (store, self._journal, self._judge.follows, self._progress.has_seen, self._intake, clock)
        self._ledger = CatchUp(*reads, every_s=config.ledger_s, overlap_ms=overlap_ms)
        self._keep_ms = round(config.keep_days * 86_400_000)
        self._prune_s = self._back_s = self._calm_s = clock.monotonic()
        self._faults, self._fault = 0, ""
        self._begun = False

    def offer(self, batch: Excerpt | Batch, arrival_ms: int) -> None:
        """Take a batch from the stream; never blocks. What finds no room is brought by the ledger."""
        self._ear.hear(batch.gateway, arrival_ms)
        if (batch.points or batch.packed) if isinstance(batch, Excerpt) else batch.blocks:
            calm = isinstance(batch, Excerpt) and self._judge.is_calm(batch)
            self._intake.offer(Arrived(batch, calm))
            if self._intake.full or not calm:
                self._wake.set()
        else:
            self._intake.pass_over(batch)

    def unstored(self, gateway: str, status: Status, arrival_ms: int) -> None:
        """Take what a gateway says that it could not make safe; never blocks. It says it again each minute."""
        self._intake.offer(evidence.from_status(gateway, status, self._dates, arrival_ms, self._judge.follows))
        self._wake.set()

    def heard(self, gateway: str, arrival_ms: int) -> None:
        """Note that a gateway lives: a message of its own that is not retained.

        A last will ("offline") is the broker's word, not the gateway's: do not pass it on.
        """
        self._ear.hear(gateway, arrival_ms)

    def follows(self, quantity: str) -> bool:
        """Tell whether any rule needs this quantity."""
        return self._judge.follows(quantity)

    def lives(self, gateway: str, boot: str, mono_ms: int) -> None:
        """Note how old a boot is, as its beat or status just said: that dates it where its own date cannot be."""
        self._dates.lives(boot, mono_ms)
        self._judging.witness.lives(gateway, boot, mono_ms, self._clock.utc_ms())

    def stopped(self, gateway: str, arrival_ms: int) -> None:
        """Note that a gateway said that it was told to stop: its silence is no fault."""
        self._judging.witness.stopped(gateway, arrival_ms)

    def listening(self, connected: bool) -> None:
        """Note that the stream is joined or lost; silence counts only in between."""
        self._ear.listening(connected=connected)

    @property
    def loops(self) -> dict[str, Callable[[threading.Event], None]]:
        """Return what runs in threads, by name."""
        return {"alerts": self.run, "post": self._office.run} | self._answering.ears.loops

    def run(self, stop: threading.Event) -> None:
        """Work until stopped, in the caller's thread. A fault is logged and costs a pause, never the thread."""
        ledger = threading.Thread(target=self._ledger.run, args=(stop, self._wake), name="alerts-ledger", daemon=True)
        pause_s = IDLE_S
        while not stop.is_set():
            try:
                self._work()
                if ledger.ident is None:  # it reads on from the cursor that the first turn began
                    ledger.start()
                pause_s, self._fault = IDLE_S, ""
                if not self._intake.full:
                    self._clock.wait(stop, GATHER_S)
                self._clock.wait(self._wake, IDLE_S)
            except Exception as fault:
                self._faults += 1
                self._fault = f"{type(fault).__name__}: {fault}"
                LOG.exception("alerts-failed pause_s=%g", pause_s)
                self._clock.wait(stop, pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        if ledger.ident is not None:
            ledger.join(LEDGER_END_S)  # one that hangs in a database dies with the process: it writes nothing
        self._answering.close()
        self._progress.close()
        self._journal.close()

    def step(self) -> None:
        """Do once all that is due, reading the ledger included, in the caller's thread."""
        self._work()
        if self._ledger.fetch():
            self._work()

    def _work(self) -> None:
        """Do what is due, and do it again at once in memory where the journal's file takes nothing."""
        self._wake.clear()
        if self._journal.in_memory and self._clock.monotonic() >= self._back_s:
            self._back_s = self._clock.monotonic() + BACK_S
            self._journal.come_back()
        try:
            self._decide()
        except (sqlite3.Error, OSError) as fault:
            if not self._journal.leave_file(fault):
                raise
            self._back_s = self._clock.monotonic() + BACK_S
            self._decide()
        self._office.wake()

    def _decide(self) -> None:
        """Judge what has come, and listen for silence."""
        if not self._begun or self._progress.cursor() is None:
            self._begin()
        if self._clock.monotonic() >= self._calm_s:
            self._calm_s = self._clock.monotonic() + CALM_S
            self._progress.urge()
        more = self._answering.serve()
        ticks = self._listen()
        if self._intake.take(self._journal, self._judge_all) or more:
            self._wake.set()
        if ticks:  # only now: what waited to be judged was heard
            self._write(self._judge_silence, self._clock.utc_ms())
        self._look_after()

    def _begin(self) -> None:
        with self._journal.transaction():
            if self._progress.cursor() is None:  # a new journal does not judge the history before it
                self._progress.save_cursor(self._clock.utc_ms() - self._late_ms)
            self._journal.set_meta(pace.ACCEPTED, self._written)
            self._answering.begin(self._clock.utc_ms())
        self._begun = True

    def incidents(self, limit: int = 100) -> list[Incident]:
        """Return the newest incidents, newest first."""
        with suppress(sqlite3.Error), self._journal.reading() as db:  # not yet begun
            return newest(db, limit)
        return []

    def health(self) -> dict[str, Any]:
        """Return what an operator must know: whether alerts listen, what waits, what could not be told and why."""
        own = {
            "listening": self._ear.connected,
            "queued": self._intake.waiting,
            "overflowed": self._intake.counts["overflowed"],
            "poisoned": self._intake.counts["poisoned"],
            "unreadable": self._ledger.unreadable,
            "faults": self._faults,
            "fault": self._fault,
            "rules_failed": dict(self._judge.failed),
            "rules_slow": self._judging.slow,
            "ledger_fault": self._ledger.fault,
        }
        return own | self._answering.health() | listing.health(self._journal, self._clock.utc_ms())

    def close(self) -> None:
        """Let go of the journal. May be called twice."""
        self._office.close()
        self._answering.close()
        self._progress.close()
        self._journal.close()

    def _judge_all(self, part: Sequence[Item]) -> None:
        now_ms, found = self._clock.utc_ms(), list[Evidence]()
        for what in part:
            self._take(what, found, now_ms)
        self._judge.take_all(found, now_ms)

    def _take(self, what: Item, found: list[Evidence], now_ms: int) -> None:
        match what:
            case Arrived(batch, calm):
                excerpt = batch if isinstance(batch, Excerpt) else excerpt_of(batch, self._judge.followed)
                found.append(evidence.from_excerpt(excerpt, self._dates, calm=calm))
            case Evidence():
                found.append(what)
            case Passed(gateway, epoch, first, n):
                self._progress.add_processed(gateway, epoch, first, n, now_ms)
            case Heard(gateway, arrival_ms):
                self._ear.hear(gateway, arrival_ms)
            case Unreadable(row, words):
                key = {"epoch": row.epoch, "first": row.first, "n": row.n}
                self._journal.event(now_ms, 0, "unreadable", words, gateway=row.gateway, **key)
            case ReadTo(arrival_ms):  # an ingester whose clock is ahead must not hide later rows
                self._progress.save_cursor(min(arrival_ms, now_ms))

    def _listen(self) -> bool:
        """Write down who was heard and for how long we listened; tell whether it is time to judge silence by that."""
        news, counted_ms = self._ear.collect()
        if not news and counted_ms is None:
            return False
        now_ms = self._clock.utc_ms()
        try:
            with self._journal.transaction():
                at_ms = self._progress.listen(counted_ms or 0, now_ms)
                for gateway, arrival_ms in news.items():
                    self._silence.heard(gateway, arrival_ms, at_ms, now_ms)
        except BaseException:
            self._ear.give_back(news, counted_ms)
            raise
        return counted_ms is not None

    def _judge_silence(self, now_ms: int) -> None:
        at_ms = self._progress.listened_ms()
        self._judging.listen(at_ms, now_ms)
        self._answering.look_again(at_ms, now_ms)

    def _look_after(self) -> None:
        """Judge again what was held back, end what is over, and once a day forget what is old."""
        now_ms = self._clock.utc_ms()
        if self._progress.to_look_at() or self._journal.stale_late(now_ms - self._late_ms):
            self._write(self._judge.look_again, now_ms)
            self._write(self._judge.end_stale, now_ms)
        if self._clock.monotonic() >= self._prune_s:
            self._prune_s = self._clock.monotonic() + PRUNE_S
            self._write(self._journal.forget, now_ms - self._keep_ms)

    def _write(self, what: Callable[[int], None], utc_ms: int) -> None:
        with self._journal.transaction():
            what(utc_ms)
