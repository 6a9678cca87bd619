"""What each part of the gateway says of itself: one plain board, each writes its own line, the status is read off it.

A line is a frozen value that its one writer replaces whole, so that readers in other threads need no lock. Times are
monotonic milliseconds: what is said to people (how long ago) is worked out when it is said.
"""

from __future__ import annotations

import msgspec


class Channel(msgspec.Struct, frozen=True):
    """How a channel is. Written by the sampler of its bus."""

    last_ok_ms: int | None = None
    why: str = "not asked yet"  # "" while it is well
    since_ms: int | None = None  # when `why` began
    texts: dict[str, str] = {}  # what the device calls itself: model, firmware, operator
    polls: int = 0
    bad: dict[str, int] = {}  # kind of fault → how often


class Link(msgspec.Struct, frozen=True):
    """How the connection to the broker is. Written by the uplink."""

    up: bool = False
    since_ms: int | None = None  # since when it is up, or down
    why: str = "not connected yet"  # "" while it is up


class Board:
    """The lines. Whoever is named above writes; anybody reads."""

    def __init__(self) -> None:
        self.channels: dict[str, Channel] = {}
        self.link = Link()
