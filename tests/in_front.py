"""An HTTP proxy in front of a real database: writes are seen later than acknowledged, or answers are altered."""

from __future__ import annotations

import http.client
import http.server
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

Answer = tuple[int, bytes]


class InFront:
    """Forwards requests to `url`. `held`: writes are acknowledged and kept back until `settle()`, as a cluster may.

    `alter` may change the status and body of what the database answers to a path.
    """

    def __init__(self, url: str, alter: Callable[[str, Answer], Answer] = lambda _, answer: answer) -> None:
        self._target = urlsplit(url)
        self._alter = alter
        self.held = False
        self._writes: list[tuple[str, dict[str, str], bytes]] = []
        self._guarded = threading.Lock()
        self.writes = 0
        self._listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listener.server_port}"

    def settle(self, only: str = "") -> None:
        """Let what is held be seen: all of it, or the lines that begin with `only`, as shards settle on their own."""
        with self._guarded:
            held, self._writes = self._writes, []
        for path, headers, body in held:
            lines = body.split(b"\n")
            seen = [line for line in lines if line.startswith(only.encode())]
            rest = [line for line in lines if not line.startswith(only.encode())]
            if seen:
                status, words, _ = self._asked("POST", path, headers, b"\n".join(seen))
                assert status == 204, words
            if rest:
                with self._guarded:
                    self._writes.append((path, headers, b"\n".join(rest)))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()

    def _asked(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes, list[Any]]:
        host = self._target.hostname or ""
        connection = http.client.HTTPConnection(host, self._target.port, timeout=10)
        passed = {key: value for key, value in headers.items() if key.lower() not in {"host", "content-length"}}
        try:
            connection.request(method, path, body, passed)
            reply = connection.getresponse()
            return reply.status, reply.read(), reply.getheaders()
        finally:
            connection.close()

    def _answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes, list[Any]]:
        if path.startswith("/write"):
            with self._guarded:
                self.writes += 1
                if self.held:
                    self._writes.append((path, headers, body))
                    return 204, b"", []
        status, words, told = self._asked(method, path, headers, body)
        return (*self._alter(path, (status, words)), told)

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        front = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, words, told = front._answer(self.command, self.path, dict(self.headers.items()), body)
                self.send_response(status)
                for key, value in told:
                    if key.lower() not in {"content-length", "transfer-encoding", "connection", "date"}:
                        self.send_header(key, value)
                if status != 204:
                    self.send_header("Content-Length", str(len(words)))
                self.end_headers()
                if status != 204:
                    self.wfile.write(words)

            do_GET = do_POST  # noqa: N815 - the name that http.server calls

            def log_message(self, *_: object) -> None:
                pass

        return Handler
