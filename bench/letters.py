"""Somebody's program at the far end of the webhook channel: when it had which letter."""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator


class Letters:
    """An HTTP server. It keeps each letter with the monotonic second it came, and the first about each gateway."""

    def __init__(self) -> None:
        self.all: list[tuple[float, str]] = []
        self.at_s: dict[int, float] = {}
        letters = self

        class Taken(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._say()

            def do_POST(self) -> None:
                now_s, body = time.monotonic(), self.rfile.read(int(self.headers["Content-Length"]))
                letter = str(msgspec.json.decode(body))
                letters.all.append((now_s, letter))
                for number in gateways(letter):
                    letters.at_s.setdefault(number, now_s)
                self._say()

            def _say(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the library
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Taken)
        self._server.daemon_threads = True
        self.port = self._server.server_port

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Take letters while inside."""
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()


def gateways(letter: str) -> set[int]:
    """Return the numbers of the gateways that a letter names."""
    return {int(found) for found in re.findall(r"gw-(\d{5})", letter)}
