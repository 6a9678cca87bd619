"""The pages on a socket: one process, one event loop, no worker threads."""

from __future__ import annotations

import importlib.util
import socket
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from starlette.types import ASGIApp

KEEP_ALIVE_S = 5


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens. Raises OSError that names the address and what to do."""
    try:
        made = socket.create_server((host, port), backlog=1024)
    except OSError as error:
        words = f"the pages cannot be served on {host}:{port}: {error.strerror}; stop who has it, or change [http]"
        raise OSError(words) from error
    at_once(made)
    return made


def at_once(listener: socket.socket) -> None:
    """Let small answers go at once. Accepted sockets inherit it, and an event loop sets it on some sockets only."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def server(app: ASGIApp) -> uvicorn.Server:
    """Return a server to `run(sockets=[…])`. It takes SIGINT and SIGTERM for the order to end.

    httptools and uvloop are installed with gocche[cloud] where there are wheels of them; elsewhere uvicorn's own
    parser and asyncio do, at a third of the speed.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="cloud.pages.bounded:Bounded" if importlib.util.find_spec("httptools") else "auto",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
    )
