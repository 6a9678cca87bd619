"""A modem's serial port: the server's only importer of pyserial. One thread reads and writes; any may wake it.

No call outlasts its time. What a vanishing USB modem raises (SerialException, OSError, termios.error, which is no
OSError) becomes PortLost.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import termios
import threading
from typing import TYPE_CHECKING

import serial

if TYPE_CHECKING:
    from collections.abc import Iterator

WRITE_S = 5.0  # a port that takes nothing for so long is hung
PIECE = 4_096


class PortLost(Exception):
    """The port is not there, not ours, or went away; it is opened again by its stable name."""


class Line:
    """An open port, locked for us alone among programs that ask (flock)."""

    def __init__(self, port: str, baud: int) -> None:
        self._port = port
        with self._losing():
            self._serial = serial.Serial(port, baud, timeout=0, write_timeout=WRITE_S, exclusive=True)
            self._fd = self._serial.fileno()
            self._serial.reset_input_buffer()  # what came before is no answer to us; messages lie in the SIM
        self._waker = os.eventfd(0, os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._open = True

    def write(self, octets: bytes) -> None:
        """Send all of it. Raises PortLost."""
        with self._losing():
            self._serial.write(octets)

    def read(self, patience_s: float) -> bytes:
        """Return what has come, after that time nothing; earlier nothing when it is woken. Raises PortLost."""
        with self._losing():
            ready, _, _ = select.select([self._fd, self._waker], [], [], max(patience_s, 0.0))
            if self._waker in ready:
                os.eventfd_read(self._waker)
            if self._fd not in ready:
                return b""
            came = os.read(self._fd, PIECE)
            if not came:
                raise OSError(errno.EIO, "it was unplugged")
            return came

    def wake(self) -> None:
        """End the wait of the thread that reads. From any thread; nothing happens on a line that is closed."""
        with self._lock:
            if self._open:
                os.eventfd_write(self._waker, 1)

    def close(self) -> None:
        """Let go of the port. May be called twice."""
        with self._lock:
            if not self._open:
                return
            self._open = False
            os.close(self._waker)
        with contextlib.suppress(OSError, termios.error):
            self._serial.close()

    @contextlib.contextmanager
    def _losing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, termios.error, ValueError) as error:  # serial.SerialException is an OSError
            named = re.escape(self._port)
            said = re.sub(rf"\[Errno -?\d+\] |:? '{named}'| {named}(?=: )", "", str(error))
            if os.strerror(errno.ENOTTY) in said:
                said = "it is no serial port"
            raise PortLost(f"{self._port}: {said}") from error
