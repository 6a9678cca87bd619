"""The log: lines to stderr, and nobody waits for who reads them.

A pipe that nobody empties, a journal whose card hangs, a terminal halted with Ctrl-S take no more: whoever writes then
sleeps in the kernel, with the lock that all who log need, and cannot be stopped in order. So a line that finds no room
is let go of, and how many were is said with the next one that does.
"""

from __future__ import annotations

import logging
import os
import select
from contextlib import suppress
from typing import TextIO

PIECE = select.PIPE_BUF  # bytes: so many are taken at once where anything is (pipe(7))


class Log(logging.StreamHandler[TextIO]):
    """Writes what is logged to a stream with a file descriptor; what it does not take at once is lost, and counted."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lost = 0
        self._room = select.poll()
        self._room.register(stream.fileno(), select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record. Never waits, never raises."""
        try:
            lost = f"[{self._lost} lines before this one found nobody who takes them]\n" if self._lost else ""
            said = (lost + self.format(record) + self.terminator).encode("utf-8", "backslashreplace")
        except Exception:  # noqa: BLE001 - a line that cannot be formatted is said as such, by the library's own way
            self.handleError(record)
            return
        self._lost = 0 if self._written(said) else self._lost + 1

    def _written(self, said: bytes) -> bool:
        with suppress(OSError):  # who has gone away reads nothing
            while said and self._room.poll(0):
                said = said[os.write(self.stream.fileno(), said[:PIECE]) :]
        return not said
