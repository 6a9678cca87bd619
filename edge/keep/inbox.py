"""The one way to the keeper: any thread may put something in, the keeper alone takes it out."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING

import msgspec

from edge.clock import Anchor
from wire.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.clock import Clock


class Answer(msgspec.Struct, frozen=True):
    """An acknowledgement as it came, and when."""

    payload: bytes
    mono_ms: int


class Linked(msgspec.Struct, frozen=True):
    """The uplink's connection came or went."""

    up: bool


Item = Reading | Anchor | Answer | Linked


class Inbox:
    """Never blocks who puts something in."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._items: queue.SimpleQueue[Item] = queue.SimpleQueue()

    def put(self, item: Reading | Anchor) -> None:
        """Hand over a reading (it is safe after the next commit), or a date that a device told."""
        self._items.put(item)

    def acknowledged(self, payload: bytes) -> None:
        """Hand over an acknowledgement as it came."""
        self._items.put(Answer(payload, self._clock.mono_ms()))

    def linked(self, up: bool) -> None:
        """Tell that the connection came or went."""
        self._items.put(Linked(up))

    def taken(self, patience_s: float = 0.0) -> Iterator[Item]:
        """Yield what is there, waiting at most `patience_s` for the first."""
        try:
            yield self._items.get(timeout=patience_s) if patience_s > 0 else self._items.get_nowait()
            while True:
                yield self._items.get_nowait()
        except queue.Empty:
            return
