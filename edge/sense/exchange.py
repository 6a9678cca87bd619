"""Runs a driver's generator on a line: the one place that turns an Ask into bytes sent and bytes read.

The sampler, the case tests and `tests/frames.py` share it, so what a test has shown is what the field does. Input
that is waiting unread is dropped before a request (and once before a poll that only listens): an answer to an earlier
question must never be taken for the answer to this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import re

    from edge.driver import Ask, Io, Value

UNTIL_LIMIT = 4096  # bytes: a line at the wrong speed never brings the ending; the longest AT answer is far shorter


class Line(Protocol):
    """What an exchange needs of a line. `ports` has the real ones, `transcript` the recorded one."""

    def write(self, frame: bytes) -> None:
        """Send all bytes; an empty frame means that the sensor only listens."""
        ...

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, and none when the time-out is over."""
        ...

    def drain(self) -> None:
        """Forget what has come in."""
        ...


class Exchange:
    """One poll's use of one line."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._fresh = True

    def ask(self, ask: Ask) -> bytes:
        """Send the frame and return the answer: shorter than asked, or empty, when the line stayed silent."""
        if ask.frame or self._fresh:
            self._line.drain()
        self._fresh = False
        self._line.write(ask.frame)
        return self._sized(ask.size) if ask.until is None else self._ended(ask.until)

    def _sized(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            more = self._line.read(size - len(got))
            if not more:
                break
            got += more
        return got

    def _ended(self, until: bytes | re.Pattern[bytes]) -> bytes:
        got = bytearray()
        while len(got) < UNTIL_LIMIT:
            more = self._line.read(1)  # byte by byte: nothing beyond the ending is taken, so nothing has to be kept
            got += more
            if not more or (got.endswith(until) if isinstance(until, bytes) else until.search(got)):
                break
        return bytes(got)


def run(poll: Io, line: Line) -> list[Value]:
    """Drive one poll to its values. Raises the driver's BadReply, and whatever the line raises."""
    exchange = Exchange(line)
    try:
        ask = next(poll)
        while True:
            ask = poll.send(exchange.ask(ask))
    except StopIteration as end:
        values: list[Value] = end.value
        return values
    finally:
        poll.close()
