"""A relay on a Modbus bus: told by function 5, believed when function 1 reads back what was told. Waits for nothing.

An order goes to the bus's own thread and comes back as a future. That a board repeats an order proves little (so does
an adapter that echoes); what the coil says afterwards counts. Only where a board cannot be read (exception 1) is its
repeating believed. What was not confirmed is told again, ever more seldom: a dead board must not fill its bus.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from edge.driver import Ask, BadReply
from edge.drivers import relay
from edge.framing import rtu

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from edge.driver import Reply

FIRST_MS, LONGEST_MS = 300, 5_000  # before it is told again
LOST_MS = 30_000  # an order of which nothing is heard for so long: who should have carried it out is gone
TIMED_S, RENEW_S = 5.0, 2.0  # a board that lets go by itself: after so long, and told anew so often


class Output(Protocol):
    """What makes the noise. Belongs to the thread of the sirens; no call waits."""

    seen: bool | None  # what it does, as far as it has said; None: not known
    seen_ms: int
    fault: str  # why that is not known or not what it shall be, in English; "" while all is well

    @property
    def rests(self) -> bool:
        """Whether it is silent, and no order on its way would change that."""
        ...

    def drive(self, on: bool, now: int) -> None:
        """Bring it a step nearer."""

    def close(self) -> None:
        """Let go of it. May be called twice."""


class Coil:
    """One coil. `order` has the bus ask something; `ring` is called in its thread when that has come to an end."""

    def __init__(self, config: relay.Config, order: Callable[[Ask], Future[Reply]], ring: Callable[[], object],
                 *, timed: bool) -> None:  # fmt: skip
        self._config, self._order, self._ring, self._timed = config, order, ring, timed
        self.seen: bool | None = None
        self.seen_ms = 0
        self.fault = "not asked yet"
        self._doing: Future[Reply] | None = None
        self._began_ms = 0
        self._reads = self._repeated = False  # what goes on; the last write was answered with itself
        self._told: bool | None = None
        self._told_ms = self._next_ms = 0
        self._pause_ms = FIRST_MS

    @property
    def rests(self) -> bool:
        """Whether it is silent, and no order on its way would change that."""
        return self.seen is False and self._told is False and self._doing is None

    def drive(self, on: bool, now: int) -> None:
        """Take what came back, and tell or ask again where that is due."""
        if self._doing is not None:
            if not self._doing.done() and now - self._began_ms < LOST_MS:
                return
            self._take(self._doing, now)
        if self._told is not on:
            self._next_ms, self._pause_ms = now, FIRST_MS
        renew = on and self._timed and now - self._told_ms >= round(1000 * RENEW_S)
        if self._doing is None and (renew or (self._wrong(on) and now >= self._next_ms)):
            self._told, self._told_ms = on, now
            self._next_ms, self._pause_ms = now + self._pause_ms, min(2 * self._pause_ms, LONGEST_MS)
            self._begin(self._write(on), now, reads=False)

    def heard(self, on: bool, heard_ms: int) -> None:
        """A poll of the board told what its coil does."""
        if heard_ms > self.seen_ms:
            self.seen, self.seen_ms, self.fault = on, heard_ms, ""

    def lost(self, why: str) -> None:
        """A poll of the board brought nothing."""
        self.fault = why

    def close(self) -> None:
        """Nothing is held."""

    def _wrong(self, on: bool) -> bool:
        return self.seen is not on or self._told is not on

    def _write(self, on: bool) -> Ask:
        address, coil = self._config.address, self._config.coil
        frame = (
            rtu.flash_coil(address, coil, round(10 * TIMED_S))
            if on and self._timed
            else rtu.write_coil(address, coil, on=on)
        )
        return Ask(frame, size=rtu.answer_size(frame), find=partial(rtu.find, frame))

    def _begin(self, ask: Ask, now: int, *, reads: bool) -> None:
        self._reads, self._began_ms = reads, now
        self._doing = self._order(ask)
        self._doing.add_done_callback(lambda _: self._ring())

    def _take(self, done: Future[Reply], now: int) -> None:
        self._doing = None
        if done.cancel() or not done.done():
            self.fault = "its bus does not answer"
            return
        error = done.exception()
        if not self._reads:
            self._repeated = error is None
            if error is not None:
                self.fault = f"{getattr(error, 'kind', 'port')}: {error}"
            if error is None or isinstance(error, BadReply):  # an answer that was lost may have been obeyed
                self._begin(relay.read_back(self._config), now, reads=True)
        elif error is None:
            reply = done.result()
            self.heard(bool(reply[0] & 1), max(reply.heard_ms, self.seen_ms + 1))
        elif self._repeated and getattr(error, "kind", "").startswith("exception"):
            self.heard(bool(self._told), now)
        else:
            self.fault = f"{getattr(error, 'kind', 'port')}: {error}"
