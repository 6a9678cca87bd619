"""An application on a socket, as the rooms of the pages and of the staff both have one, and what makes its pages."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import uvicorn
from jinja2 import Environment, FileSystemLoader, StrictUndefined

if TYPE_CHECKING:
    import socket
    import threading
    from pathlib import Path

    from starlette.types import ASGIApp

KEEP_ALIVE_S = 5


class Server:
    """A server in one loop without worker threads. Who asked what stands in no log: addresses, links good once.

    `own` are further settings of uvicorn's. httptools and uvloop are installed with gocche[cloud] where there are
    wheels of them; elsewhere uvicorn's own parser and asyncio do, at a third of the speed.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket, **own: Any) -> None:
        self._listener = listener
        self._config = uvicorn.Config(
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
        )

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop`; the loop asks for it ten times a second, and so says that it turns."""
        _Turning(self._config, stop).run(sockets=[self._listener])


class _Turning(uvicorn.Server):
    """Asks for its end: uvicorn's own `callback_notify` is silent while the wall clock is behind where it was."""

    def __init__(self, config: uvicorn.Config, stop: threading.Event) -> None:
        super().__init__(config)
        self._stop = stop

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._stop.is_set()


def templates(folder: Path) -> Environment:
    """Return what makes pages of a folder's templates: what is put in is escaped, what is not there is an error."""
    files = FileSystemLoader(folder)
    return Environment(loader=files, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
