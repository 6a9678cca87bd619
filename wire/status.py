"""The status of a gateway read back: checked before anybody believes it.

A status is JSON and its lists of channels are open, so the decoder of types alone would let through what breaks whoever
keeps or shows it later: nesting that no writer of ours makes, numbers that no database takes.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import msgspec

from wire.batch import Status
from wire.codec import MAX_PACKET, MAX_SEQ

if TYPE_CHECKING:
    from collections.abc import Iterator

DEPTH = 3  # channel → `texts`, `bad` → a word or a count
_ID = re.compile(r"(?:[0-9a-f]{16})?")
_statuses = msgspec.json.Decoder(Status)


def decode(payload: bytes) -> Status:
    """Return the status in a payload. Raises ValueError, with what is wrong, for one that cannot be believed."""
    if len(payload) > MAX_PACKET:
        raise ValueError(f"status of {len(payload)} bytes, more than {MAX_PACKET}")
    try:
        status = _statuses.decode(payload)
    except RecursionError as error:
        raise ValueError("status is nested deeper than any of ours") from error
    for name in ("epoch", "boot"):
        if not _ID.fullmatch(getattr(status, name)):
            raise ValueError(f"{name} {getattr(status, name)[:40]!r} is not 16 hexadecimal digits")
    for name, count in _counts(status):
        if not 0 <= count < MAX_SEQ:
            raise ValueError(f"{name} {str(count)[:40]} is no count")
    for epoch in status.earlier:
        if not _ID.fullmatch(epoch):
            raise ValueError(f"earlier {epoch[:40]!r} is no epoch")
    for what in (status.channels, status.link, status.clock):
        _plain(what, DEPTH)
    return status


def _counts(status: Status) -> Iterator[tuple[str, int]]:
    for name in ("acquired", "cut", "spooled", "dropped", "mono_ms", "unkept"):
        yield name, getattr(status, name)
    for n in status.earlier.values():
        yield "earlier", n
    for value in status.urgent:
        yield "urgent.mono_ms", value.mono_ms
        yield "urgent.utc_ms", value.utc_ms or 0


def _plain(value: object, depth: int) -> None:
    """Let through words, counts, and so many tables within each other. Raises ValueError."""
    if isinstance(value, dict) and depth:
        for one in value.values():
            _plain(one, depth - 1)
    elif isinstance(value, dict | list):
        raise ValueError(f"status is nested deeper than {DEPTH} tables, or has a list where none belongs")
    elif isinstance(value, int | float) and not (math.isfinite(value) and abs(value) < MAX_SEQ):
        raise ValueError(f"status has the number {str(value)[:40]}")
