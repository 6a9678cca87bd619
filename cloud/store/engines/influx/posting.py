"""Requests whose reply is read later: a body is sent, and who sent it does something else until he wants the answer.

The client library sends and waits in one call, at twice the CPU (docs/decisions/0039-ask-and-read-later.md). These are
the standard library's connections with bounded replies, each kept for the next request; no redirect is followed.
"""

from __future__ import annotations

import gzip
import http.client
import ssl
from base64 import b64encode
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from urllib3.util import wait_for_read

from cloud.store.engines.influx.bounded import Reply

if TYPE_CHECKING:
    from cloud.store.engines.influx.config import InfluxConfig

WRITE = "/write"
FAULTS = (OSError, http.client.HTTPException)  # what a connection may end with; TLS and time-outs are OSErrors


class _Plain(http.client.HTTPConnection):
    response_class = Reply


class _Secret(http.client.HTTPSConnection):
    response_class = Reply


class Posting:
    """Connections for lines. Any thread may send; a request has a connection to itself until its reply is read.

    Connecting, sending and the reply may each take `timeout_s`. Raises OSError for a certificate file that is none.
    """

    def __init__(self, config: InfluxConfig, secret: str) -> None:
        parts = urlsplit(config.url)
        self._path = f"{parts.path.rstrip('/')}{WRITE}?db={config.database}&precision=ns"
        self._headers = {"Content-Type": "text/plain; charset=utf-8"}
        if secret:
            self._headers["Authorization"] = f"Basic {b64encode(secret.encode()).decode()}"
        self._gzip = config.gzip
        if self._gzip:
            self._headers["Content-Encoding"] = "gzip"
        self.timeout_s = config.timeout_s
        self._where: dict[str, Any] = {"host": parts.hostname, "port": parts.port, "timeout": config.timeout_s}
        self._kind: type[http.client.HTTPConnection] = _Plain
        if parts.scheme == "https":
            self._kind = _Secret
            self._where["context"] = ssl.create_default_context(cafile=config.ca_file)
        self._idle: list[http.client.HTTPConnection] = []
        self._closed = False

    def send(self, body: str, policy: str = "") -> Sent:
        """Send lines, once, to a retention policy where one is named. Raises one of FAULTS."""
        data = gzip.compress(body.encode(), 1) if self._gzip else body.encode()
        connection = self._connection()
        try:
            with suppress(BrokenPipeError):  # it did not want all of the body, and its reply says why
                connection.request("POST", f"{self._path}&rp={policy}" if policy else self._path, data, self._headers)
        except FAULTS:
            connection.close()
            raise
        return Sent(self, connection)

    def _connection(self) -> http.client.HTTPConnection:
        """Return one that nobody uses: an idle one, unless its peer has left it."""
        while self._idle:
            with suppress(IndexError):  # another thread has just taken it
                found = self._idle.pop()
                if found.sock is not None and not wait_for_read(found.sock, 0):
                    found.sock.settimeout(self.timeout_s)
                    return found
                found.close()
        return self._kind(**self._where)

    def returned(self, connection: http.client.HTTPConnection) -> None:
        """Keep a connection for the next request."""
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)

    def close(self) -> None:
        """Let all go; what is on its way is let go with its reply."""
        self._closed = True
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()


class Sent:
    """A request on its way. Whoever has it reads its reply, or drops it."""

    def __init__(self, posting: Posting, connection: http.client.HTTPConnection) -> None:
        self._posting, self._connection = posting, connection

    def answered(self, within_s: float) -> bool:
        """Tell whether a reply has begun, waiting so long for it; true, too, where none will come."""
        sock = self._connection.sock
        return sock is None or wait_for_read(sock, within_s)

    def reply(self) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Return status, headers and body once all of them are here. Raises one of FAULTS."""
        try:
            self._connection.sock.settimeout(self._posting.timeout_s)
            told = self._connection.getresponse()
            body = told.read()
        except FAULTS:
            self.drop()
            raise
        self._posting.returned(self._connection)
        return told.status, told.headers, body

    def drop(self) -> None:
        """Let the connection go: nobody knows what became of the request."""
        self._connection.close()
