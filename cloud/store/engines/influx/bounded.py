"""Replies that end: bounded in time and in size, whatever answers in the database's place.

A time-out of urllib3 is one for each read of the socket, so a peer that sends a byte a second is never late, and one
that never ends fills the memory. Here both bounds are kept where the bytes come in, under HTTP and above TLS.
"""

from __future__ import annotations

import http.client
import io
from typing import TYPE_CHECKING, Any

import urllib3

from cloud.clock import SystemClock

if TYPE_CHECKING:
    import socket

MAX_REPLY = 64 * 2**20  # a page of the ledger has 1 MB, a year of one series read each minute 25
_CLOCK = SystemClock()


class _Incoming(io.RawIOBase):
    """The bytes of one reply. Raises TimeoutError when the socket's time-out is over since the reply began."""

    def __init__(self, raw: Any, sock: socket.socket) -> None:
        self._raw, self._sock = raw, sock
        self._patience_s = sock.gettimeout()
        self._end_s = _CLOCK.monotonic() + (self._patience_s or 0)
        self._room = MAX_REPLY

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._patience_s is not None:
            left_s = self._end_s - _CLOCK.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"no whole reply within {self._patience_s:g} s")
            self._sock.settimeout(left_s)
        got: int | None = self._raw.readinto(buffer)
        self._room -= got or 0
        if self._room < 0:
            raise OSError(f"the reply is larger than {MAX_REPLY} bytes")
        return got

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Reply(http.client.HTTPResponse):
    """One that ends within the time-out that its socket has when it begins, and has at most MAX_REPLY bytes."""

    def __init__(self, sock: socket.socket, *args: Any, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        self.fp = io.BufferedReader(_Incoming(self.fp.detach(), sock), 65_536)


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _Reply


class _TlsConnection(urllib3.connection.HTTPSConnection):
    response_class = _Reply


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def bound(pools: urllib3.PoolManager) -> None:
    """Have all replies that come through these pools end within the time-out of their request."""
    pools.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
