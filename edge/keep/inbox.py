"""The one way to the keeper: any thread may put something in, the keeper alone takes it out.

What can wait until the keeper looks anyway does not wake it: twenty probes would wake it twenty times for one commit.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from edge.clock import Anchor
from edge.keep.urgency import urgent_values
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
    """Never blocks who puts something in. `commit_s`: how long a reading that is not urgent may lie in here."""

    def __init__(self, clock: Clock, commit_s: float = 0.0) -> None:
        self._clock, self._commit_ms = clock, round(1000 * commit_s)
        self._items: deque[Item] = deque()
        self._rung = threading.Event()
        self._looks_ms = 0  # when the keeper looks again, whatever comes

    def put(self, item: Reading | Anchor) -> None:
        """Hand over a reading (it is safe after the next commit), or a date that a device told."""
        self._items.append(item)
        if not isinstance(item, Reading) or self._presses(item):
            self._rung.set()

    def acknowledged(self, payload: bytes) -> None:
        """Hand over an acknowledgement as it came."""
        self._items.append(Answer(payload, self._clock.mono_ms()))
        self._rung.set()

    def linked(self, up: bool) -> None:
        """Tell that the connection came or went."""
        self._items.append(Linked(up))
        self._rung.set()

    def wake(self) -> None:
        """Let the keeper look up although nothing was put in."""
        self._rung.set()

    def taken(self, patience_s: float = 0.0) -> Iterator[Item]:
        """Yield what is there, waiting at most `patience_s` for something that cannot wait longer."""
        self._looks_ms = self._clock.mono_ms() + round(1000 * patience_s)
        if not self._items and patience_s > 0:  # what is put in from here on knows how long we wait
            self._clock.wait(self._rung, patience_s)
        self._rung.clear()
        while self._items:
            yield self._items.popleft()

    def _presses(self, reading: Reading) -> bool:
        return self._looks_ms > reading.mono_ms + self._commit_ms or any(urgent_values(reading))
