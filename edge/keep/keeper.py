"""The one thread that owns the spool: keeps readings, cuts them, sends what is not acknowledged, frees what is stored.

Everything reaches it through one queue: readings from the samplers, acknowledgements and the state of the link from
the uplink. Whatever the network does, keeping goes on.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from edge.clock import Anchor
from edge.due import Due
from edge.keep.faults import Faults, What, fault
from edge.keep.held import Held
from edge.keep.inbox import Answer, Linked
from edge.keep.spool import SpoolFull, is_damage
from edge.keep.stock import Stock
from wire import codec
from wire.reading import Reading

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from edge.board import Board
    from edge.clock import Clock
    from edge.clock.dating import Dating
    from edge.config import SpoolConfig
    from edge.keep.inbox import Inbox, Item
    from edge.keep.spool import Kept, Spool
    from wire.batch import AckItem

log = logging.getLogger(__name__)
FIRST_S = 30.0  # before the first batch goes: whoever installs waits to see that it arrives
LOOK_S = 2.0  # how often the board's line is written at most
PULSE_S = 5.0  # where nothing happens and nothing fails
AGAIN_S = 1.0  # after the spool took nothing
SLOW_S = 3.0  # for a commit: the card is ill, or nearly
REST_S = 60.0  # before what had no room is tried again


class Abandoned(BaseException):
    """Another keeper went on while this one hung in its spool: nobody may catch that and go on with what both have."""


class WayOut(Protocol):
    """What sends: the keeper lends it its thread, because it reads the spool."""

    up: bool

    def linked(self, up: bool, now: int) -> None:
        """The connection came or went. Raises SpoolFull."""

    def newest(self, batch: Kept, now: int) -> None:
        """Take a batch that was cut just now: it goes first."""

    def send(self, now: int) -> None:
        """Send what is due. Raises SpoolFull."""

    def answered(self, item: AckItem, now: int) -> None:
        """Take what the cloud says of one batch. Raises SpoolFull."""

    def trip_ms(self, items: list[AckItem], now: int) -> int | None:
        """Return how long an answer may have been on its way at most; None if unknown."""

    def due_ms(self) -> int | None:
        """Return when something is to be sent next, None while nothing is."""


class Keeper:
    """Between inbox and way out.

    `lost` readings, which the last run could not keep, are declared as soon as the spool takes anything. `refuge` opens
    another spool for what this one (its epoch, the last number that it gave) does not take at the end. `beyond` is what
    waits, by epoch, in a spool out of reach.
    """

    def __init__(
        self,
        inbox: Inbox,
        spool: Spool,
        way_out: WayOut,
        dating: Dating,
        config: SpoolConfig,
        clock: Clock,
        board: Board,
        lost: int = 0,
        refuge: Callable[[str, int], Spool | None] = lambda *_: None,
        beyond: Mapping[str, int] | None = None,
    ) -> None:
        self._inbox, self._spool, self._out, self._dating = inbox, spool, way_out, dating
        self._clock, self._refuge = clock, refuge
        self._held, self._stock = Held(lost), Stock(board, clock.boot, spool, beyond or {})
        now = clock.mono_ms()
        self._commit_due, self._cut_due = Due(config.commit_s, now), Due(config.batch_s, now)
        self._cut_due.put_off(now, min(config.batch_s, FIRST_S))
        self._look_due, self._rest_due = Due(LOOK_S, now), Due(REST_S)
        self._faults = Faults(self._look_due.hurry)
        self._uncut_ms = now if spool.uncut else None  # since when something waits to be cut
        self._urgent_seq = 0  # the newest number of a reading that cannot wait
        self._unreadable = 0
        self.turns = 0  # progress, for the watchdog
        self.broken = ""  # why only a new start can help: that mends the spool
        self.full_ms: int | None = None  # since when the spool takes nothing
        self._abandoned = False
        self._last: int | None = None  # number that was given, once another keeper has what is not safe
        self._look(now)

    # --- the loop

    def run(self, stop: threading.Event) -> None:
        """Keep, cut, send and free until `stop`; then commit and cut what is held."""
        try:
            while not stop.is_set():
                try:
                    self.step(self._pause_s())
                    self.turns += 1
                except Exception:
                    log.exception("keeper stumbled; going on in 1 s")
                    self._clock.wait(stop, 1.0)
            self.finish()
        except Abandoned:
            log.warning("the card that hung answers; its keeper ends")
            if self._last is not None:  # a power cut takes the note of the twins away
                with suppress(SpoolFull):
                    self._spool.other.forget_after(self._last)

    def step(self, patience_s: float) -> None:
        """Take what is in the queue, waiting at most `patience_s` for the first item, then do what is due."""
        for item in self._inbox.taken(patience_s):
            self._take(item)
            self._go_on()  # what comes next may not be ours
        now = self._clock.mono_ms()
        if self._held.readings and self._commit_due.comes(now):
            self._commit(now)
        if self._out.up:
            if self._cut_due.comes(now) or self._spool.uncut >= codec.MAX_READINGS:
                self._cut(now)
        elif self._spool.uncut > codec.MAX_READINGS:  # few large batches drain twice as fast as many small ones
            self._cut(now, only_full=True)
        if self._dating.due.comes(now):
            self._tried(What.DATE, lambda: self._dating.look(now))
        if self._rest_due.comes(now):
            self._tried(What.TAKE_IN, self._take_in)
        if self._look_due.comes(now):
            self._look(now)
        self._tried(What.SEND, lambda: self._out.send(now))

    def finish(self) -> None:
        """Commit and cut what is held, and declare what the spool does not take: nothing is lost in silence."""
        now = self._clock.mono_ms()
        for item in self._inbox.taken():
            self._take(item)
            self._go_on()
        held = self._held
        kept = self._commit(now) or self._commit(now)  # the second try has the ballast's room
        if not kept and (refuge := self._refuge(self._spool.epoch, self._spool.acquired)) is not None:
            self._stock.move(refuge)
            self._spool = refuge
            kept = self._commit(now)
        for give_up in (held.only_urgent, held.give_up):
            if not kept:
                give_up()
                kept = self._commit(now)
        self._cut(now)
        self._look(now)

    def abandon(self) -> tuple[list[Reading], int]:
        """Another keeper takes over: this thread hangs in its spool. Return what is not safe, and how many were lost.

        The readings first: what its spool takes at this very moment is then kept twice, and not by nobody.
        """
        self._abandoned = True
        readings, lost = list(self._held.readings), self._held.lost
        self._last = self._spool.acquired
        return readings, lost

    def _go_on(self) -> None:
        if self._abandoned:
            raise Abandoned

    # --- what comes in

    def _take(self, item: Item) -> None:
        match item:
            case Reading():
                if not self._held.readings:
                    self._commit_due.rest(item.mono_ms)
                if self._held.put(item):
                    self._commit_due.hurry()
            case Answer():
                self._answer(item)
            case Anchor():
                self._tried(What.DATE, lambda: self._dating.hear(item, self._clock.mono_ms()))
            case Linked():
                self._dating.linked()
                now = self._clock.mono_ms()
                if item.up:
                    self._cut(now)  # what the outage left uncut begins to go now
                self._tried(What.SEND, lambda: self._out.linked(item.up, now))

    def _answer(self, answer: Answer) -> None:
        try:
            ack = codec.decode_ack(answer.payload)
        except codec.Damaged as error:
            self._unreadable += 1
            self._faults.begin(What.ANSWERS, fault("unreadable", n=self._unreadable, why=error))
            return
        self._faults.end(What.ANSWERS)
        trip_ms = self._out.trip_ms(ack.items, answer.mono_ms)
        self._tried(What.DATE, lambda: self._dating.answered(ack, answer.mono_ms, trip_ms))
        for item in ack.items:
            self._tried(What.FREE, lambda item=item: self._out.answered(item, answer.mono_ms))  # type: ignore[misc]

    def _tried(self, what: What, change: Callable[[], object]) -> bool:
        """Change the spool; where it has no room say so, give it the ballast, and return False."""
        done = self._attempted(what, change)
        self._go_on()  # nothing else takes long enough to be given up in
        return done

    def _attempted(self, what: What, change: Callable[[], object]) -> bool:
        try:
            change()
        except (SpoolFull, sqlite3.DatabaseError) as error:
            if is_damage(error):
                self.broken = fault("damaged", why=error)
                self._faults.begin(what, self.broken)
                return False
            if not isinstance(error, SpoolFull | sqlite3.OperationalError):
                raise
            self._spool.relieve()
            words = fault("memory_waits" if what is What.TAKE_IN else "takes_nothing", why=error)
            if over := self._spool.over:
                self.broken = words = fault(over, why=error)
            self._faults.begin(what, words)
            return False
        if self._faults.end(what):
            self._spool.recovered()
        return True

    # --- what is due

    def _commit(self, now: int) -> bool:
        """Make safe what is held, and declare what was lost; tell whether nothing is left of either."""
        if What.SLOW in self._faults and self._held.urgent:  # told before it is safe: that may take a while
            self._look(now)
            self._tried(What.SEND, lambda: self._out.send(now))
        kept = self._tried(What.COMMIT, self._keep)
        if self._clock.mono_ms() - now > SLOW_S * 1000:
            self._faults.begin(What.SLOW, fault("slow", seconds=SLOW_S))
        else:
            self._faults.end(What.SLOW)
        self.full_ms = None if kept else now if self.full_ms is None else self.full_ms
        if not kept:
            self._commit_due.put_off(now, AGAIN_S)
            self._look(now)  # what is urgent and not safe is told all the same
            return False
        if self._urgent:
            self._cut_due.hurry()
        return True

    def _keep(self) -> None:
        if self._held.lost:
            self._spool.declare(self._held.lost, "no-room")
            self._held.lost = 0
        if self._held.readings:
            self._spool.append(self._held.readings, self._clock.boot)
            self._uncut_ms = self._uncut_ms or self._held.readings[0].mono_ms
            if self._held.urgent:
                self._urgent_seq = self._spool.acquired
        self._held.safe()

    @property
    def _urgent(self) -> bool:
        """Whether something that is not cut yet cannot wait."""
        return self._urgent_seq > self._spool.acquired - self._spool.uncut

    def _cut(self, now: int, *, only_full: bool = False) -> None:
        batches: list[Kept] = []
        if not self._tried(What.CUT, lambda: batches.extend(self._spool.cut(urgent=self._urgent, only_full=only_full))):
            self._cut_due.put_off(now, AGAIN_S)
            return
        if batches:
            self._uncut_ms = batches[-1].last_ms if self._spool.uncut else None
        for batch in [one for one in batches if one.urgent] or batches[-1:]:
            self._out.newest(batch, now)

    def _take_in(self) -> None:
        if self._spool.other.take_in():
            self._rest_due.hurry()

    def _look(self, now: int) -> None:
        """Tell what lies in the spool, with the last figures where it cannot be read."""
        self._tried(What.LOOK, lambda: self._stock.count(self._spool, self._uncut_ms))
        self._stock.tell(self._held, self._faults, self._spool.notes)
        self._look_due.rest(now)

    def _pause_s(self) -> float:
        now = self._clock.mono_ms()
        due = [self._rest_due.at_ms, now + round(1000 * (AGAIN_S if self._faults.any else PULSE_S))]
        if self._out.up:  # without a link nothing is cut when it is due
            due.append(self._cut_due.at_ms)
        if self._held.readings:
            due.append(self._commit_due.at_ms)
        sending = self._out.due_ms()
        if sending is not None:
            due.append(sending)
        return max(min(due) - now, 1) / 1000
