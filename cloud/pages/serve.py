"""The pages on a socket: one process, one event loop, no worker threads."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cloud.pages.front import Front

KEEP_ALIVE_S = 5


def server(app: Front, turn: Callable[[], Awaitable[None]] | None = None) -> uvicorn.Server:
    """Return a server to `serve(sockets=[…])`, which asks for `turn` each second.

    Run in the main thread, it takes SIGINT and SIGTERM for the order to end.

    httptools and uvloop are installed with gocche[cloud] where there are wheels of them; elsewhere uvicorn's own
    parser and asyncio do, at a third of the speed.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="cloud.pages.protocol:Protocol" if importlib.util.find_spec("httptools") else "auto",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nothing here depends on who asks, or by which way
            callback_notify=turn,
            timeout_notify=1,
            timeout_keep_alive=KEEP_ALIVE_S,
        )
    )
