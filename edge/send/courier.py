"""Which batch goes out when: the newest once; then, oldest first, what is not acknowledged.

After an outage the newest goes first again, and recent urgent ones with it: alerts do not wait for a backlog. The
newest waits for no database either, only for a link that has not yet carried what was sent before; what is urgent not
even for that. While nothing of this boot has a date they go undated, and again, before the backlog, once it has one.

What is in flight is bounded (window.py), so that no broker's queue can ever hold (and lose) more of ours; what stays
unanswered is sent again after a time-out with full jitter. Nothing but the cloud's own word frees a batch.
"""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Protocol

import msgspec

from edge.board import Sending
from edge.send.window import LEAST, MOST, Window
from edge.words import sending
from wire import topics
from wire.batch import AckItem, Identity, Verdict

if TYPE_CHECKING:
    from edge.board import Board
    from edge.send.heartbeat import Heartbeat, Sender

log = logging.getLogger(__name__)
URGENT_MS = 15 * 60 * 1000  # what is older opens a late incident anyway
FULL_MS = 1_000  # after the uplink had no room
FIRST_MS, SILENT_MS = 45_000, 300_000  # without any answer to what was sent, on a connection that had none yet or had
SAID_MS = 15_000  # how long that it is so is true
LONGEST_PATIENCE_MS = 600_000
LEAST_LATER_S, LONGEST_LATER_S = 1, 3_600  # whatever the cloud asks for: no circle, and no silence for years
MOST_ASKS = 1_000  # of what is not answered it is known for so many when it was sent first
_ENDS = {Verdict.STORED, Verdict.QUARANTINED, Verdict.LATER}  # of a flight; what is put off flies again when asked


class Cut(Protocol):
    """A batch or gap record that was cut."""

    @property
    def id(self) -> int:
        """Its number in the spool."""

    @property
    def identity(self) -> Identity:
        """What the cloud acknowledges it by."""

    @property
    def urgent(self) -> bool:
        """Whether it has what cannot wait."""

    def packet(self) -> bytes:
        """Return the message to publish."""


class Store(Protocol):
    """What is needed of the spool. All but `get` and the lists may raise SpoolFull.

    `found` is the highest id that there was when it was opened, `epoch` that of what is cut now.
    """

    found: int
    epoch: str

    def get(self, number: int) -> Cut | None:
        """Return one batch, or None where it is gone."""

    def waiting(self, limit: int) -> list[int]:
        """Return the ids of what may be sent, oldest first."""

    def foremost(self, boot: str, since_ms: int, limit: int) -> list[int]:
        """Return the ids to send first after an outage."""

    def free(self, identity: Identity) -> bool:
        """Forget what the cloud has."""

    def refused(self, number: int) -> bool:
        """Count a vain sending; tell whether it was the last one."""


class _Flight(msgspec.Struct):
    identity: Identity
    size: int
    sent_ms: int
    again_ms: int
    settled_before: int


class _Ask(msgspec.Struct):
    first_ms: int  # when we sent it first, on whatever connection: an answer may come over a later one
    ours: bool  # nobody sent it before that
    tries: int = 0  # since the cloud put anything off


class Courier:
    """Belongs to the thread that owns the spool. Times are monotonic milliseconds."""

    def __init__(
        self, spool: Store, uplink: Sender, heartbeat: Heartbeat, board: Board, boot: str, gateway: str, resend_s: float
    ) -> None:
        self._spool, self._uplink, self._heartbeat, self._board = spool, uplink, heartbeat, board
        self._boot, self._topic, self._resend_ms = boot, topics.up(gateway), resend_s * 1000
        self._flights: dict[int, _Flight] = {}
        self._window = Window()
        self._ahead: list[int] = []  # ids that go before the backlog
        self._undated = False  # they were asked for while nothing of this boot had a date
        self._asks: dict[int, _Ask] = {}  # of what is not answered
        self._let_go = spool.found  # up to this id another life may have sent them first, or they were too many to keep
        self._later_ms = 0  # until when the cloud asks the backlog to rest
        self._again_ms: int | None = None  # when the backlog is to be looked at although nothing happens
        self._heard_ms = 0  # when the cloud answered anything last, or the connection came
        self._asked_ms: int | None = None  # when anything was sent first since then: what is undated flies but once
        self._answered = False  # on this connection
        self._settled = 0  # batches that the cloud has answered for good
        self._round_trip_ms = 0.0
        self.up = False

    def linked(self, up: bool, now: int) -> None:
        """The connection came or went: what was in flight is nobody's any more, and the newest goes first again.

        Before it goes the status: its answer tells the time.
        """
        self.up, self._ahead, self._heard_ms, self._asked_ms, self._answered = up, [], now, None, False
        self._flights.clear()
        self._window = Window()
        for ask in self._asks.values():
            ask.tries = 0
        if up:
            self._heartbeat.connected()
            self._heartbeat.send(now)
            self._foremost(now)

    def _foremost(self, now: int) -> None:
        self._undated = not self._board.dated.given
        self._ahead = self._spool.foremost(self._boot, now - URGENT_MS, LEAST)

    def newest(self, batch: Cut, now: int) -> None:
        """Take what was cut just now: it goes before the backlog, and at once where it is urgent."""
        if self.up and not (batch.urgent and self._launch(batch, now, waits=False)):
            self._ahead = [batch.id, *self._ahead][:LEAST]

    def trip_ms(self, items: list[AckItem], now: int) -> int | None:
        """Return how long an answer may have been on its way at most, by what was sent last of it; None if unknown.

        It may be the answer to the first of several sendings, of an agent before this one too.
        """
        asked = ((flight.identity, self._asks[number]) for number, flight in self._flights.items())
        sent = {identity: ask.first_ms for identity, ask in asked if ask.ours}
        times = [sent[one] for item in items if (one := (item.epoch.hex(), item.first, item.n)) in sent]
        return now - max(times) if times else None

    def answered(self, item: AckItem, now: int) -> None:
        """Take what the cloud says of one batch. Raises SpoolFull."""
        identity = (item.epoch.hex(), item.first, item.n)
        self._heard_ms, self._asked_ms, self._answered = now, None, True
        number = next((number for number, flight in self._flights.items() if flight.identity == identity), None)
        if item.code in {Verdict.STORED, Verdict.QUARANTINED}:
            if not self._spool.free(identity):  # it came twice, or the spool does not find what it sent
                return
            self._settled += 1
            if number is not None:
                flight = self._flights.pop(number)
                trip = now - flight.sent_ms
                self._window.answered(flight.size, trip)
                self._round_trip_ms += (trip - self._round_trip_ms) / 8 if self._round_trip_ms else trip
        elif item.code == Verdict.LATER:
            for ask in self._asks.values():
                ask.tries = 0
            least_s = min(max(item.seconds, LEAST_LATER_S), LONGEST_LATER_S)
            wait_s = least_s + random.uniform(0, min(item.spread, LONGEST_LATER_S))
            self._later_ms = now + round(1000 * wait_s)
            said = sending("later", words=item.words)
            self._board.sending = Sending(said.told("en"), said.told("vi"), self._later_ms)
        if item.code == Verdict.QUARANTINED:
            log.warning("cloud quarantined first=%s n=%s why=%r", item.first, item.n, item.words)
        if number is None:
            return
        if item.code not in _ENDS:  # `undated` goes again at once when it has a date; then later each time
            flight, tries = self._flights[number], max(self._asks[number].tries, 1)
            flight.again_ms = min(flight.again_ms, now + FULL_MS * (2 ** min(tries - 1, 16) - 1))
            return
        if item.code != Verdict.LATER:  # what is put off is asked for again, and may be answered by a word to the first
            self._asks.pop(number, None)
        self._forget(number)

    def send(self, now: int) -> None:
        """Send what is due, as far as there is room in the window. Raises SpoolFull."""
        if not self.up:
            return
        self._heartbeat.send(now)
        self._listen(now)
        for number, flight in list(self._flights.items()):
            if flight.again_ms <= now and not self._uplink.idle:
                flight.again_ms = now + FULL_MS  # it may be on its way yet: to send it twice would not make it faster
            elif flight.again_ms <= now:
                del self._flights[number]
                self._window.answered(flight.size, now - flight.sent_ms)
                if self._settled > flight.settled_before and self._spool.refused(number):
                    log.error("batch set aside after vain sendings first=%s n=%s", *flight.identity[1:])
        if self._undated and self._board.dated.given:
            self._foremost(now)
        rests = now < self._later_ms
        self._again_ms = self._later_ms if rests else None
        if not self._lead(now) or rests:
            return
        for number in self._spool.waiting(len(self._flights) + MOST):
            if not self._window.room:
                return
            if number not in self._flights:
                batch = self._spool.get(number)
                if batch is not None and not self._launch(batch, now):
                    self._again_ms = now + FULL_MS
                    return

    def _listen(self, now: int) -> None:
        """Say so where nobody answers what the broker took: it may drop what it forbids, and confirms that, too."""
        sent_ms = min((self._asks[number].first_ms for number in self._flights), default=now)
        since_ms = max(self._heard_ms, self._later_ms, min(sent_ms, self._asked_ms or now))
        bound_ms = SILENT_MS if self._answered else FIRST_MS
        if now - since_ms >= bound_ms:
            said = sending("silent", topic=self._topic, seconds=bound_ms / 1000)
            self._board.sending = Sending(said.told("en"), said.told("vi"), now + SAID_MS)

    def _lead(self, now: int) -> bool:
        """Send what goes before the backlog; tell whether all of it went."""
        while self._ahead:
            batch, clear = self._spool.get(self._ahead[0]), self._window.room or self._uplink.idle
            if batch is not None and not (clear and self._launch(batch, now)):
                self._again_ms = now + FULL_MS
                return False
            del self._ahead[0]
        return True

    def _launch(self, batch: Cut, now: int, *, waits: bool = True) -> bool:
        """Send one batch now; tell whether the uplink took it."""
        packet = batch.packet()
        if not self._uplink.publish(self._topic, packet, waits=waits):
            return False
        self._forget(batch.id)
        self._window.sent(len(packet))
        ask = self._asked(batch, now)
        ask.tries += 1
        patience = min(max(self._resend_ms, 2 * self._round_trip_ms) * 2 ** min(ask.tries - 1, 16), LONGEST_PATIENCE_MS)
        again = now + round(patience + random.uniform(0, patience))
        self._asked_ms = self._asked_ms or now
        self._flights[batch.id] = _Flight(batch.identity, len(packet), now, again, self._settled)
        return True

    def _asked(self, batch: Cut, now: int) -> _Ask:
        """Return what is known of a batch that is asked for; the cloud may answer none for months."""
        if batch.id not in self._asks:
            self._asks[batch.id] = _Ask(now, batch.id > self._let_go and batch.identity[0] == self._spool.epoch)
            if len(self._asks) > MOST_ASKS:
                oldest = next(one for one in self._asks if one not in self._flights)
                self._let_go = max(self._let_go, oldest)
                del self._asks[oldest]
        return self._asks[batch.id]

    def _forget(self, number: int) -> None:
        """Wait no longer for the answer to a sending, where one is in flight."""
        if (flight := self._flights.pop(number, None)) is not None:
            self._window.over(flight.size)

    def due_ms(self) -> int | None:
        """Return when something is to be sent next, None while nothing can be."""
        if not self.up:
            return None
        times = [self._heartbeat.due_ms(), *(flight.again_ms for flight in self._flights.values())]
        return min(times if self._again_ms is None else [*times, self._again_ms])
