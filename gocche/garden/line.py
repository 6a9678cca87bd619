"""One pseudo-terminal that stands for a serial adapter: plugged in, pulled out, written to, read from.

The simulator holds the slave side open as well. Otherwise its own side would see a hang-up (EIO) whenever the agent
closes the port or is killed; a real sensor does not notice either. Bytes that nobody makes room for are lost, as they
are in a UART.
"""

from __future__ import annotations

import os
import select
import tty
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CHUNK = 4096


class Line:
    """A pseudo-terminal under a stable name. One thread owns it."""

    def __init__(self, link: Path) -> None:
        self._link = link
        self._master = -1
        self._slave = -1

    @property
    def plugged(self) -> bool:
        """Tell whether the adapter is in its socket."""
        return self._master >= 0

    def plug(self) -> None:
        """Make the terminal and put its name in place, atomically. Nothing happens when it is there already."""
        if self.plugged:
            return
        self._master, self._slave = os.openpty()  # both close-on-exec (PEP 446)
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        new = self._link.with_name(f".{self._link.name}.{os.getpid()}")
        new.unlink(missing_ok=True)
        new.symlink_to(os.ttyname(self._slave))
        new.replace(self._link)

    def unplug(self) -> None:
        """Take the name away and hang up on whoever has the port open. May be called twice."""
        if not self.plugged:
            return
        if self._link.is_symlink() and str(self._link.readlink()) == os.ttyname(self._slave):
            self._link.unlink()
        os.close(self._slave)
        os.close(self._master)
        self._master = self._slave = -1

    def send(self, frame: bytes) -> bool:
        """Write a frame whole; tell whether it found room."""
        try:
            return os.write(self._master, frame) == len(frame)
        except BlockingIOError:
            return False

    def receive(self, wait_s: float) -> bytes:
        """Return what has come in, waiting for the first byte up to `wait_s`; nothing when it stays quiet."""
        readable, _, _ = select.select([self._master], [], [], max(wait_s, 0.0))
        return os.read(self._master, CHUNK) if readable else b""
