"""Asks on one line: the one place that turns an Ask into bytes sent and bytes read, and that spends a poll's budget.

Sampler, case tests and `tests/frames.py` share it, so what a test has shown is what the field does. It owns the time
of a poll and of each ask, the stop, what is echoed (edge/sense/echo.py), and the retry of one ask, never of a whole
poll.

The fault that it must not let through is the late answer: same device, same length, right checksum, another question.
With replies a poll late, ready-made masters took 22 to 25 of 60 stale answers as good. So after a time-out the line
owes an answer, and until that has come, or the slowest that this device is known for would have, nothing else is
asked of anybody on the line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edge.driver import Ask, BadReply, Reply, Value
from edge.sense.echo import Echo
from edge.sense.looks import Looks
from edge.sense.orders import Orders
from edge.sense.owed import READ_AHEAD, Known, Owed
from edge.sense.terms import LONGEST_OWED_MS, Terms
from wire.reading import Reason

if TYPE_CHECKING:
    import re

    from edge.driver import Io
    from edge.sense.terms import Line, Timer

RESTS_S = 0.2  # silence after which an answer that ends as an `at_rest` says is whole: adapters hold bytes for 16 ms
HEARS_S = 0.1  # how long what is owed is listened for before an order that came meanwhile goes out
DEAF_ASKS = 32  # asks that a driver may try after its budget is spent: a list of AT commands ends long before


class Stopped(Exception):
    """The poll was broken off because the gateway stops: it has no outcome."""


class Heard(msgspec.Struct, frozen=True):
    """What a poll brought, and when its last answer was heard (monotonic ms)."""

    values: list[Value]
    mono_ms: int


class Exchange:
    """All talk on one bus, whatever line it is on now. All but `orders` and `stop` belongs to the bus's own thread.

    `byte_s` is how long one byte takes, `quiet_s` the silence before each frame, `echo` what is known of the adapter.
    """

    def __init__(self, timer: Timer, *, byte_s: float = 0.0, quiet_s: float = 0.0, echo: bool | None = None) -> None:
        self._timer, self._byte_s, self._quiet_s = timer, byte_s, quiet_s
        self._line: Line = _Nowhere()
        self.echo = Echo(echo)
        self._ahead = b""  # read and not asked for yet, of this poll
        self._owed: Owed | None = None
        self.known = Known(timer)  # of the devices of this bus
        self.orders = Orders()
        self._finishing = self._stopped = False
        self._end_ms = self._last_ms = self._sent_ms = 0
        self._looks = Looks(timer)
        self._deaf = 0
        self._ordered: Ask | None = None  # of the order that is carried out
        self.faults: list[str] = []  # kinds, of the poll that ran last

    def attach(self, line: Line) -> None:
        """Talk on this line from now on. What the last one owed may still come; the adapter may be another."""
        self._line = line
        self.echo.forget()

    # --- from other threads

    def finish(self) -> None:
        """Begin no further try of anything."""
        self._finishing = True

    def stop(self) -> None:
        """Break off what is going on at the next byte or silence."""
        self._finishing = self._stopped = True

    # --- a poll

    def run(self, poll: Io, terms: Terms) -> Heard:
        """Drive one poll to its values within its budget.

        Raises the driver's BadReply, whatever the line raises, and Stopped.
        """
        self.faults = []
        self.hear_out()
        self._ahead, self._deaf = b"", 0
        heard_ms = self._timer.mono_ms()
        self._end_ms = heard_ms + round(1000 * terms.budget_s)
        self._last_ms = heard_ms + round(2000 * terms.budget_s) + LONGEST_OWED_MS
        try:
            ask = next(poll)
            if not ask.frame:  # before a question this is done anyway
                self._line.drain()
            self._looks.begin()
            while True:
                try:
                    reply = self._asked(ask, terms)
                except BadReply as error:
                    ask = poll.throw(error)
                    continue
                heard_ms = reply.heard_ms
                ask = poll.send(reply)
        except StopIteration as end:
            return Heard(end.value, heard_ms)
        finally:
            poll.close()

    def serve(self) -> bool:
        """Carry out the order that waits longest, hear out what it owes, tell whether there was one. Raises Stopped.

        All in a time of its own: who was not asked must not be called silent. What else it comes to is for who gave it.
        """
        order = None if self._finishing else self.orders.take()
        if order is None:
            return False
        began_ms, end_ms = self._timer.mono_ms(), self._end_ms
        self._ordered, self._end_ms = order.ask, began_ms + round(1000 * order.terms.budget_s)
        try:
            try:
                order.bring(self._tried(order.ask, order.terms))
            except BadReply as error:
                order.fail(error)
            self.hear_out(orders=False)
        except Stopped as error:
            order.fail(error)
            raise
        except Exception as error:  # noqa: BLE001 - handed on; no order may cost a poll its outcome
            order.fail(error)
        finally:
            self._ordered, self._end_ms = None, min(end_ms + self._timer.mono_ms() - began_ms, self._last_ms)
        return True

    def _asked(self, ask: Ask, terms: Terms) -> Reply:
        if ask.frame:
            self.serve()
        if self._left_s() <= 0:
            self._deaf += 1
            if self._deaf > DEAF_ASKS:
                raise RuntimeError(f"driver of {terms.device} asks on although its time is over")
            raise BadReply("silence", f"the {terms.budget_s:g} s of this poll are over")
        return self._tried(ask, terms)

    def _tried(self, ask: Ask, terms: Terms) -> Reply:
        """Ask, and after silence or damage ask again: only this, not what the poll knows already."""
        tries = terms.retries if ask.frame else 0
        self.hear_out(orders=False)
        if self.known.may_say_again(ask, terms):
            self._pause(terms.settle_ms / 1000)
        began_ms, missing = self._timer.mono_ms(), 0
        while True:
            try:
                reply = self._once(ask, terms)
                break
            except BadReply as error:
                self.faults.append(error.kind)
                beyond = max(self._timer.mono_ms(), self._owed.until_ms if self._owed else 0) >= self._end_ms
                if not tries or self._finishing or error.reason == Reason.REFUSED or beyond:
                    if self._owed is not None:
                        self._owed.answers += missing
                    raise
                tries -= 1
                missing += self.hear_out(orders=ask is not self._ordered)
                if self._left_s() <= 0:  # a talker never let us ask again; to ask now would seem to meet silence
                    raise
        if missing:  # was this the answer to this try, or to one that was given up? as long again may the others take
            as_long_ms = 3 * (reply.heard_ms - began_ms) // 2
            self._owed = Owed(ask, terms, self._sent_ms, self._sent_ms + min(as_long_ms, LONGEST_OWED_MS), missing)
        return reply

    def _once(self, ask: Ask, terms: Terms) -> Reply:
        if ask.frame:
            self._ahead = b""
            self._pause(self._quiet_s)
            self._line.drain()
            self._line.write(ask.frame)
            self._looks.begin()
        self._sent_ms = self._timer.mono_ms()
        try:
            answer = self._read(ask, terms)
        except BadReply as error:
            if ask.frame:
                self._owed = self.known.owed(ask, terms, self._sent_ms, error)
            raise
        reply = Reply(answer)
        self.known.said(ask, terms)
        reply.heard_ms = self._looks.heard_ms
        return reply

    def _read(self, ask: Ask, terms: Terms) -> bytes:
        """Read until the answer is whole: time-outs are silences, and the whole has the time that its bytes take."""
        longest = ask.longest if ask.find else ask.size or ask.longest
        longest_s = terms.timeout_s + 1.5 * (len(ask.frame) + longest) * self._byte_s
        end_ms = min(self._end_ms, self._timer.mono_ms() + round(1000 * longest_s)) if self._byte_s else self._end_ms
        came, self._ahead = self._ahead, b""
        quiet = False
        while True:
            found = self._found(ask, came, quiet=quiet)
            if isinstance(found, bytes):
                self.echo.learn(ask.frame, ask.size, came)
                return found
            if quiet or found < 1:
                raise RuntimeError(f"`find` for {terms.device} must answer or refuse when nothing more comes: {found}")
            rests = ask.at_rest is not None and _end(ask.at_rest, came) is not None
            patience_s = min(RESTS_S if rests else terms.timeout_s, (end_ms - self._timer.mono_ms()) / 1000)
            wanted = min(max(found, ask.size + self.echo.length(ask.frame) - len(came)), READ_AHEAD)
            more = self._line.read(wanted, patience_s) if patience_s > 0 else b""
            if self._stopped:
                raise Stopped
            stood_ms = self._looks.again(patience_s)
            end_ms, self._end_ms = end_ms + stood_ms, self._end_ms + stood_ms
            if stood_ms and not ask.frame:  # nobody knows how old that is, and with it the date that it may tell
                self._line.drain()
                came = b""
                continue
            came += more
            quiet = not more or len(came) > ask.longest + len(ask.frame)

    def _found(self, ask: Ask, came: bytes, *, quiet: bool) -> bytes | int:
        """Return the whole answer in what came, or how many bytes to read next. Raises BadReply."""
        missing = 0 if quiet else self.echo.missing(ask.frame, came)
        return missing or self._whole(ask, self.echo.without(ask.frame, came), quiet=quiet)

    def _whole(self, ask: Ask, came: bytes, *, quiet: bool) -> bytes | int:
        if ask.find is not None:
            return ask.find(came, quiet)
        end = ask.size if ask.until is None else _end(ask.until, came)
        if end is None and quiet and ask.at_rest:
            end = _end(ask.at_rest, came)
        if end is None or len(came) < end:
            if quiet:
                raise _broken(ask, came)
            return READ_AHEAD if end is None else end - len(came)
        if ask.check is not None:
            try:
                ask.check(came[:end])
            except BadReply as error:  # noise of an answer's length fails too, and the answer is still on its way
                error.came = error.came or came[:end]
                raise
        self._ahead = came[end:]
        return came[:end]

    # --- what may still come

    def hear_out(self, *, orders: bool = True) -> int:
        """Listen until what is owed has come, or never will, and the line is quiet; return how many answers never came.

        Done before a question anyway; what comes while nobody listens seems as late as that. Raises Stopped. One order
        goes out meanwhile: it does not wait for a device that may be burning.
        """
        owed, self._owed = self._owed, None
        if owed is None:
            return 0
        came, settle_ms = b"", owed.terms.settle_ms
        while (left_s := (owed.until_ms + settle_ms - self._timer.mono_ms()) / 1000) > 0:
            orders = orders and not (self.orders.waiting and self.serve())
            looked_ms, patience_s = self._timer.mono_ms(), min(left_s, HEARS_S) if orders else left_s
            more = self._line.read(READ_AHEAD, patience_s)
            if self._stopped:
                raise Stopped
            if not more and (patience_s == left_s or self._timer.mono_ms() == looked_ms):
                break
            came = (came + more)[-owed.room :]
            if self._is_answer(owed.ask, came):
                now = self._timer.mono_ms()
                self.known.late(owed.terms.device, now - owed.sent_ms)
                owed.answers, came = owed.answers - 1, b""
                if owed.answers <= 0:
                    break
        if came or owed.answers <= 0:  # else it has been quiet all the time
            self._pause(settle_ms / 1000)
        return max(owed.answers, 0)

    def _is_answer(self, ask: Ask, came: bytes) -> bool:
        try:
            return isinstance(self._found(ask, came, quiet=False), bytes)
        except Exception as error:  # noqa: BLE001 - a driver's check may stumble over noise: that is no answer
            return isinstance(error, BadReply) and error.reason == Reason.REFUSED
        finally:
            self._ahead = b""

    def _pause(self, silence_s: float) -> None:
        """Wait until the line has been quiet for so long, at most ten times that: a talker never is."""
        end_ms = self._timer.mono_ms() + round(10_000 * silence_s)
        while silence_s > 0 and self._line.read(READ_AHEAD, silence_s) and self._timer.mono_ms() < end_ms:
            if self._stopped:
                raise Stopped

    def _left_s(self) -> float:
        return (self._end_ms - self._timer.mono_ms()) / 1000


class _Nowhere:
    """No line yet."""

    def write(self, _frame: bytes) -> None:
        """There is nobody."""

    def read(self, _size: int, _patience_s: float) -> bytes:
        """Nothing comes."""
        return b""

    def drain(self) -> None:
        """Nothing has come."""


class _Still:
    """A timer for recorded talk, in which no time passes."""

    def mono_ms(self) -> int:
        """Return the only time there is."""
        return 0


def run(poll: Io, line: Line) -> list[Value]:
    """Drive one poll of a recorded talk to its values. Raises the driver's BadReply, and whatever the line raises."""
    exchange = Exchange(_Still())
    exchange.attach(line)
    return exchange.run(poll, Terms(settle_ms=0)).values


def _end(until: bytes | re.Pattern[bytes], came: bytes) -> int | None:
    if isinstance(until, bytes):
        place = came.find(until)
        return None if place < 0 else place + len(until)
    match = until.search(came)
    return None if match is None else match.end()


def _broken(ask: Ask, came: bytes) -> BadReply:
    """Say what is wrong with an answer that is not whole: nothing, something that broke off, or no answer at all."""
    asked = ask.frame.decode("ascii", "replace").strip()
    who = f"{asked}: " if asked.isascii() and asked.isprintable() and asked else ""
    if not came:
        return BadReply("silence", f"{who}no answer" if ask.frame else "nothing came")
    shown = came[-60:].hex(" ") if ask.until is None else repr(came[-60:].decode("ascii", "replace"))
    if ask.until is None:
        return BadReply("short", f"{who}{len(came)} of {ask.size} bytes came: {shown}", came)
    if len(came) > ask.longest:
        return BadReply("garbled", f"{len(came)} bytes came, none ends an answer: is the speed right? {shown}", came)
    if not came.isascii():  # a text that broke off is still text
        return BadReply("short", f"{who}{len(came)} bytes came, none ends an answer: is the speed right? {shown}", came)
    return BadReply("short", f"{who}the line fell silent within {shown}", came)
