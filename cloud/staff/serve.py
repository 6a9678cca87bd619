"""The staff's pages on a socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import uvicorn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from cloud.staff.above import Above

KEEP_ALIVE_S = 5
AT_ONCE = 100  # connections; staff are few


def server(app: Above, turn: Callable[[], Awaitable[None]]) -> uvicorn.Server:
    """Return a server to `run(sockets=[…])`, which asks for `turn` each second."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,  # it would hold links that are good once
            server_header=False,
            proxy_headers=False,  # the gate reads what it needs, and from a proxy on this machine only
            callback_notify=turn,
            timeout_notify=1,
            timeout_keep_alive=KEEP_ALIVE_S,
            limit_concurrency=AT_ONCE,
        )
    )
