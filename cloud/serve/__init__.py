"""An application on a socket, as the rooms of the pages and of the staff both have one."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import uvicorn

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp

KEEP_ALIVE_S = 5
TICKS = 10  # of uvicorn's main loop, a second


class _Server(uvicorn.Server):
    """Says that its loop turns: uvicorn's `callback_notify` is silent while the wall clock is behind where it was."""

    def __init__(self, config: uvicorn.Config, turn: Callable[[], object]) -> None:
        super().__init__(config)
        self._turn = turn

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS == 0:
            self._turn()
        return await super().on_tick(counter)


def server(app: ASGIApp, turn: Callable[[], object] = lambda: None, **own: Any) -> uvicorn.Server:
    """Return a server to `serve(sockets=[…])`, in one loop without worker threads, which calls `turn` each second.

    `own` are further settings of uvicorn's. Run in the main thread, it takes SIGINT and SIGTERM for the order to end.
    Who asked what stands in no log: addresses of visitors, and links that are good once.

    httptools and uvloop are installed with gocche[cloud] where there are wheels of them; elsewhere uvicorn's own
    parser and asyncio do, at a third of the speed.
    """
    return _Server(
        uvicorn.Config(
            app,
            http="cloud.serve.protocol:Protocol" if importlib.util.find_spec("httptools") else "auto",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            **own,
        ),
        turn,
    )
