"""A TCP proxy that can be cut, stalled, or made deaf in one direction: how a network fails between two parts."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.servers import free_port

if TYPE_CHECKING:
    from typing import Self

CHUNK = 65_536
STEP_S = 0.1


class Proxy:
    """Listens on a port of its own and forwards to `target`. Names of directions are the client's.

    `swallow("up")` loses what clients say from now on, `swallow("down")` what they are told; both stay connected.
    `stall()` moves nothing and loses nothing, as a radio link without signal. `heal()` undoes the latter; a
    connection from which bytes are missing is closed. `bytes_s`: it carries no more up, and holds next to nothing.
    """

    def __init__(self, target: int, bytes_s: float = 0) -> None:
        self._target, self.bytes_s = target, bytes_s
        self.port = free_port()
        self._lost: str | None = None
        self._stop, self._flow = threading.Event(), threading.Event()
        self._flow.set()
        self._torn: set[socket.socket] = set()
        self._guarded = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._server = socket.create_server(("127.0.0.1", self.port))
        if bytes_s:
            self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the least that the kernel has

    def swallow(self, direction: str) -> None:
        """Lose everything that goes "up" or "down"."""
        self._lost = direction

    def stall(self) -> None:
        """Hold everything."""
        self._flow.clear()

    def heal(self) -> None:
        """Let everything through again; connections that lost bytes are closed."""
        self._lost = None
        self._flow.set()
        with self._guarded:
            torn, self._torn = self._torn, set()
        for client in torn:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._flow.set()
        for thread in self._threads:
            thread.join(10)
        self._server.close()

    def _spawn(self, run: object, *words: object) -> None:
        thread = threading.Thread(target=run, args=words, name=f"proxy {self.port}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        self._server.settimeout(0.2)
        while not self._stop.is_set():
            with suppress(TimeoutError):
                client, _ = self._server.accept()
                self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client:
            if not self._flowing():
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                return
            with server:
                self._pump(client, server)

    def _flowing(self) -> bool:
        while not self._stop.is_set():
            if self._flow.wait(0.1):
                return not self._stop.is_set()
        return False

    def _pump(self, client: socket.socket, server: socket.socket) -> None:
        ways = {client: (server, "up"), server: (client, "down")}
        with suppress(OSError):
            while self._flowing():
                readable, _, _ = select.select([client, server], [], [], 0.1)
                for source in readable:
                    if not self._flow.is_set():
                        break
                    thin = self.bytes_s and source is client
                    data = source.recv(max(round(self.bytes_s * STEP_S), 1) if thin else CHUNK)
                    if thin:
                        self._stop.wait(len(data) / self.bytes_s)
                    if not data:
                        return
                    to, direction = ways[source]
                    if self._lost == direction:
                        with self._guarded:
                            self._torn.add(client)
                    else:
                        to.sendall(data)
