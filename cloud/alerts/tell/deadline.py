"""The end of one talk with a peer, whatever the peer does: a time-out of a socket bounds only each wait of it.

A server that says one byte a second never lets a wait run out. So a thread of its own cuts the connection when the time
is over; the talk then ends with an error of its own kind, and `expired` tells why.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from typing import Self

_AGAIN_S = 0.1  # a talk may be between two sockets (plain, then TLS) when its time is over


class Talk(Protocol):
    """Whoever holds the connection, if there is one by now."""

    sock: Any


class Deadline:
    """A context for one talk of `seconds`; whoever opens the connection says so with `watch`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.expired = False
        self._over = threading.Event()
        self._talk: Talk | None = None

    def watch(self, talk: Talk) -> None:
        """Cut the connection of this talk when the time is over."""
        self._talk = talk

    def __enter__(self) -> Self:
        threading.Thread(target=self._run, name="deadline", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _run(self) -> None:
        pause_s = self.seconds
        while not self._over.wait(pause_s):
            self.expired, pause_s = True, _AGAIN_S
            connection = getattr(self._talk, "sock", None)
            if connection is not None:
                with contextlib.suppress(OSError):  # not TLS' own shutdown: that would wait for the peer
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
