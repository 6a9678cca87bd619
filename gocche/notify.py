"""sd_notify(3), both ends: words to systemd or to our supervisor, and the ear that hears a child's."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_BEAT = 1 << 18
PATIENCE_S = 1.0  # for who hears us to make room: whoever speaks has more to do, and a stop ends in time


def notify(words: str) -> bool:
    """Send `READY=1`, `WATCHDOG=1`, `STATUS=…` or `STOPPING=1` (sd_notify(3)); tell whether anybody listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out, suppress(OSError):  # who has gone away hears nothing
        out.settimeout(PATIENCE_S)
        out.sendto(words.encode(), "\0" + address[1:] if address.startswith("@") else address)
        return True
    return False


class Ear:
    """Where one child is heard: a datagram socket, as systemd has it for a service."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(str(path))

    def heard(self) -> list[str]:
        """Return the lines that came since, oldest first."""
        lines: list[str] = []
        with suppress(BlockingIOError):
            while True:
                lines += self._socket.recv(LONGEST_BEAT).decode("utf-8", "replace").splitlines()
        return lines

    def close(self) -> None:
        """Hear nobody any more."""
        self._socket.close()
