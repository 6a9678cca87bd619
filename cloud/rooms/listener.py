"""A listening socket: held by the supervisor for as long as the server runs, or by a room that runs alone."""

from __future__ import annotations

import socket

from settings.words import Taken, because

BACKLOG = 1024  # visitors who queue while their room starts anew


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes any. Raises Taken.

    Small answers go at once: accepted sockets inherit it, and an event loop sets it on some sockets only.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        made = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise Taken("cloud.config", "listen", "taken", host=host, port=port, **because(error)) from error
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def url(listener: socket.socket) -> str:
    """Return the address of a listening socket as a browser wants it."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
