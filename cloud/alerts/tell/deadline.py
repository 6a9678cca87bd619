"""The end of one talk with a peer, whatever the peer does: a time-out of a socket bounds only each wait of it.

A server that says one byte a second never lets a wait run out. So a thread of its own cuts the connection when the time
is over; the talk then ends with an error of its own kind, and `expired` tells why. Only a name server that hangs holds
it longer.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self


class Deadline:
    """A context for one talk of `seconds` over a connection that `connect` has made."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.expired = False
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._end: socket.socket | None = None  # the same connection, whatever TLS makes of the first socket

    def connect(self, host: str, port: int) -> socket.socket:
        """Return a connection to the first address of a host that takes one; each has its share of the time.

        So an address that leads nowhere (IPv6 where it does not work) does not take it all. Raises OSError.
        """
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        failure = OSError(f"{host} has no address")
        for family, kind, protocol, _, address in found:
            made = socket.socket(family, kind, protocol)
            try:
                made.settimeout(self.seconds / len(found))
                made.connect(address)
                made.settimeout(None)  # the thread cuts it
                self._watch(made)
            except OSError as error:
                made.close()
                failure = error
            else:
                return made
        raise failure

    def __enter__(self) -> Self:
        threading.Thread(target=self._run, name="deadline", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with self._lock:
            if self._end is not None:
                self._end.close()
                self._end = None

    def _watch(self, made: socket.socket) -> None:
        with self._lock:
            if self.expired:
                raise TimeoutError("the time is over")
            self._end = made.dup()

    def _run(self) -> None:
        if self._over.wait(self.seconds):
            return
        with self._lock, contextlib.suppress(OSError):
            self.expired = True
            if self._end is not None:
                self._end.shutdown(socket.SHUT_RDWR)
