"""The log: lines to stderr, and nobody waits for who reads them.

A pipe that nobody empties, a journal whose card hangs, a terminal halted with Ctrl-S take no more: whoever writes then
sleeps in the kernel, with the lock that all who log need, cannot be stopped in order, and looks after no child. So a
line that finds no room is let go of, and how many were is said with the next one that does.
"""

from __future__ import annotations

import io
import logging
import os
import select
import threading
import weakref
from contextlib import suppress
from typing import TextIO

PIECE = select.PIPE_BUF  # bytes: so many are taken at once where anything is (pipe(7))


class Outlet:
    """Lines to a stream, from any thread; what it does not take at once is lost, and counted.

    `gone`: whoever read them has left. A stream without a descriptor, which a program has put in its place, is written
    to as any.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lost = 0
        self._cut = False  # what was written last stands there in part
        self.gone = False
        self._guarded = threading.Lock()  # between finding room and taking it
        self._room = select.poll()
        try:
            self._descriptor = _unhurried(self, stream.fileno())
            self._room.register(self._descriptor, select.POLLOUT)
        except io.UnsupportedOperation:
            self._descriptor = -1

    def say(self, line: str) -> None:
        """Write a line, whole. Never waits for who reads it, never raises."""
        with self._guarded:
            if self._lost and self._written(f"[{self._lost} lines before this one found nobody who takes them]"):
                self._lost = 0
            if self._lost or not self._written(line):
                self._lost += 1

    def _written(self, line: str) -> bool:
        try:
            if self._descriptor < 0:
                self._stream.write(f"{line}\n")
                self._stream.flush()
                return True
            said = (b"\n" if self._cut else b"") + line.encode("utf-8", "backslashreplace") + b"\n"
            while said and self._room.poll(0):
                said = said[os.write(self._descriptor, said[:PIECE]) :]
                self._cut = bool(said)
        except (OSError, ValueError) as error:  # who has gone away reads nothing
            self.gone |= isinstance(error, BrokenPipeError)
            return False
        return said in (b"", b"\n")


def _unhurried(owner: Outlet, descriptor: int) -> int:
    """Return a descriptor on which no write waits: a terminal says that it has room when it has room for one letter.

    Opened anew, for O_NONBLOCK would be so for all who have this terminal; where that may not be, it is left as it is.
    """
    if os.isatty(descriptor):
        with suppress(OSError):
            own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            weakref.finalize(owner, os.close, own)
            return own
    return descriptor


class Log(logging.Handler):
    """Writes what is logged to a stream; what it does not take at once is lost."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._outlet = Outlet(stream)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. Never waits, never raises."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - a line that cannot be formatted is said as such, by the library's own way
            self.handleError(record)
        else:
            self._outlet.say(line)
