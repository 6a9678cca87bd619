"""Lines on their way to InfluxDB: sent at once, and their reply read when the sender wants it.

The client library sends and waits in one call, and takes five times the CPU for it
(docs/decisions/0037-sent-now-and-read-later.md). No redirect is followed; a reply ends in time and in size.
"""

from __future__ import annotations

import gzip
import socket
import ssl
from base64 import b64encode
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import httptools
from urllib3.util import wait_for_read

from cloud.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.store.engines.influx.config import InfluxConfig

WRITE = "/write"
MAX_REPLY = 4 * 2**20  # bytes: that of a database has one line, a proxy's page some more
GRACE_S = 1.0  # for reading what has come, however late somebody reads it
_CHUNK = 65_536
_PORTS = {"http": 80, "https": 443}
_CLOCK = SystemClock()
FAULTS = (OSError, httptools.HttpParserError)  # what a connection may end with; TLS and time-outs are OSErrors


class Posting:
    """Connections for lines. Any thread may send; a request has a connection to itself until its reply is read.

    Connecting may take `timeout_s`, and so may sending and the reply. Raises OSError for a certificate file that is
    none.
    """

    def __init__(self, config: InfluxConfig, secret: str) -> None:
        parts = urlsplit(config.url)
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._tls = ssl.create_default_context(cafile=config.ca_file) if parts.scheme == "https" else None
        self._target = f"{quote(parts.path.rstrip('/'), safe='/%')}{WRITE}?db={config.database}&precision=ns"
        headers = {"Host": parts.netloc.rpartition("@")[2], "Content-Type": "text/plain; charset=utf-8"}
        if secret:
            headers["Authorization"] = f"Basic {b64encode(secret.encode()).decode()}"
        self._gzip = config.gzip
        if self._gzip:
            headers["Content-Encoding"] = "gzip"
        self._headers = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        self.timeout_s = config.timeout_s
        self._idle: list[socket.socket] = []
        self._closed = False

    def send(self, lines: Sequence[bytes], policy: str = "") -> Sent:
        """Send lines, once, to a retention policy where one is named. Raises one of FAULTS.

        They are joined here and nowhere before: a body of a megabyte is copied through memory that is in no cache.
        """
        data = [gzip.compress(b"".join(lines), 1)] if self._gzip else lines
        target = f"{self._target}&rp={policy}" if policy else self._target
        head = f"POST {target} HTTP/1.1\r\n{self._headers}Content-Length: {sum(map(len, data))}\r\n\r\n"
        sock = self._connection()
        sent = Sent(self, sock)
        try:
            with suppress(BrokenPipeError):  # it did not want all of the body, and its reply says why
                sock.sendall(b"".join([head.encode(), *data]))
        except FAULTS:
            sent.drop()
            raise
        return sent

    def _connection(self) -> socket.socket:
        """Return one that nobody uses: an idle one, unless its peer has left it."""
        while self._idle:
            with suppress(IndexError):  # another thread has just taken it
                found = self._idle.pop()
                if not wait_for_read(found, 0):
                    found.settimeout(self.timeout_s)
                    return found
                found.close()
        sock = socket.create_connection((self._host, self._port), self.timeout_s)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock if self._tls is None else self._tls.wrap_socket(sock, server_hostname=self._host)
        except FAULTS:
            sock.close()
            raise

    def returned(self, sock: socket.socket) -> None:
        """Keep a connection for the next request."""
        if self._closed:
            sock.close()
        else:
            self._idle.append(sock)

    def close(self) -> None:
        """Let all go; what is on its way goes with its reply."""
        self._closed = True
        while self._idle:
            with suppress(IndexError):
                self._idle.pop().close()


class Sent:
    """A request on its way. Whoever has it reads its reply, or drops it."""

    def __init__(self, posting: Posting, sock: socket.socket) -> None:
        self._posting, self._sock = posting, sock
        self._end_s = _CLOCK.monotonic() + posting.timeout_s

    def reply(self) -> Reply:
        """Return the reply once all of it is here. Raises one of FAULTS."""
        told = Reply()
        parser, room = httptools.HttpResponseParser(told), MAX_REPLY
        end_s = max(self._end_s, _CLOCK.monotonic() + GRACE_S)
        try:
            while not told.is_whole:
                data = self._received(end_s)
                room -= len(data)
                if room < 0:
                    raise OSError(f"the reply is larger than {MAX_REPLY} bytes")
                if data:
                    parser.feed_data(data)
                else:
                    told.on_end()
            told.status = parser.get_status_code()
        except FAULTS:
            self.drop()
            raise
        if told.lasts and parser.get_http_version() == "1.1":
            self._posting.returned(self._sock)
        else:
            self.drop()
        return told

    def _received(self, end_s: float) -> bytes:
        left_s = end_s - _CLOCK.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._sock.settimeout(left_s)
        return self._sock.recv(_CHUNK)

    def drop(self) -> None:
        """Let the connection go: nobody knows what became of the request."""
        self._sock.close()


class Reply:
    """What was answered, as the parser tells it; the names of `headers` are in small letters."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.is_whole = self._has_head = False
        self.lasts = True  # the connection, after this

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Know that all headers are here."""
        self._has_head = True
        self.lasts = "close" not in self.headers.get("connection", "").lower()

    def on_body(self, part: bytes) -> None:
        """Take a piece of the body."""
        self.body += part

    def on_message_complete(self) -> None:
        """Know that all is here."""
        self.is_whole = True

    def on_end(self) -> None:
        """Take the end of the connection for that of the body, where nothing else was to tell it, or raise OSError."""
        if not self._has_head or self.headers.keys() & {"content-length", "transfer-encoding"}:
            raise ConnectionError("it closes the connection and has not answered")
        self.is_whole, self.lasts = True, False
