"""The broker of a bench: real Mosquitto where it is installed, else the embedded one, and it says which."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from tests import servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Running(msgspec.Struct, frozen=True):
    """A broker that answers on loopback."""

    name: str
    port: int
    pid: int


class _Embedded(servers.Server):
    """`gocche broker`, which needs nothing installed."""

    name = "the embedded broker"

    def command(self) -> list[str]:
        """Return what to run."""
        return [*GOCCHE, "broker", "--listen", f"127.0.0.1:{self.port}"]

    ready = servers.Mosquitto.ready


GOCCHE = [sys.executable, "-m", "gocche"]


@contextmanager
def running(folder: Path, extra: str = "") -> Iterator[Running]:
    """Run a broker while inside. Its queues are unbounded: a peer is not to lose messages for being slow.

    `extra` is one more line of mosquitto.conf; the embedded broker has no such settings.
    """
    absent = servers.missing(servers.MOSQUITTO)
    server = _Embedded(folder) if absent else servers.Mosquitto(folder, extra=f"max_queued_messages 0\n{extra}")
    with server:
        yield Running(f"{server.name} ({absent})" if absent else server.name, server.port, server.pid)
