"""From a name to a connected socket: every address in turn, all within one bound, tuned for a radio link, and TLS."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from edge.send import causes

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from edge.clock import Clock

LEAST_S = 1.0  # for one address
UNSENT_BYTES = 2_048
SEGMENT_BYTES = 1_220  # what the smallest packet carries that every IPv6 path takes: 1280 less both heads


def dial(
    host: str, port: int, attempt: int, within_s: float, clock: Clock, opened: Callable[[socket.socket], socket.socket]
) -> socket.socket:
    """Return a socket connected to one of the name's addresses.

    Each attempt begins with the next address: one that accepts and then says nothing must not hide the others.
    `opened` is given every socket before it connects, so that another thread can break it off, and returns the one to
    connect, which may be under TLS. Only the name service has no bound of ours (30 s is common where DNS is a black
    hole). Raises OSError, or UnicodeError for a name that cannot be one.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    first = attempt % len(found)
    end_ms = clock.mono_ms() + round(within_s * 1000)
    errors: list[OSError] = []
    for left, (family, kind, protocol, _, address) in zip(
        range(len(found), 0, -1), found[first:] + found[:first], strict=True
    ):
        rest_s = (end_ms - clock.mono_ms()) / 1000
        if rest_s <= 0:
            break
        try:
            return _connected(socket.socket(family, kind, protocol), address, max(rest_s / left, LEAST_S), opened)
        except OSError as error:
            errors.append(error)
    raise next((error for error in errors if not causes.no_way(error)), errors[-1])


def _connected(
    sock: socket.socket, address: object, within_s: float, opened: Callable[[socket.socket], socket.socket]
) -> socket.socket:
    try:
        sock = opened(sock)
        sock.settimeout(within_s)
        sock.connect(address)  # type: ignore[arg-type]
    except BaseException:
        sock.close()
        raise
    return sock


def tune(sock: socket.socket, dead_after_s: float) -> None:
    """Send small packets at once, hold back little, and give up a peer that takes nothing for so long.

    What the kernel holds nobody can overtake any more: it takes hundreds of kilobytes where it is not told. Nor does it
    find out where a path swallows packets of full size without a word, as a modem's tunnel does that has lost its ICMP:
    beats would pass and no backlog ever. Said before it connects, the segments are short in both directions.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(dead_after_s * 1000))


def hurry(sock: socket.socket) -> None:
    """Acknowledge at once what just came; the kernel forgets it soon, so it is said after each reading.

    We seldom have something to send that could carry the acknowledgement, and a broker that fills its packets (Nagle)
    waits for it: 40 ms for each window of eight, with Mosquitto as it is shipped (`make bench ARGS=drain`).
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def under(trust: ssl.SSLContext, sock: socket.socket, host: str) -> ssl.SSLSocket:
    """Return the socket, which is not connected yet, under TLS.

    Python loses a socket that it is asked to put under TLS when the peer has just reset it.
    """
    return trust.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)


def handshake(sock: ssl.SSLSocket, within_s: float) -> None:
    """Agree on keys; each step may take so long. Raises OSError or Ended, and then the socket is closed."""
    try:
        sock.settimeout(within_s)
        sock.do_handshake()
    except TimeoutError as error:
        sock.close()
        raise causes.Ended("no-answer", f"to TLS within {within_s:g} s") from error
    except BaseException:
        sock.close()
        raise
