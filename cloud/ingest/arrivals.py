"""What the broker has brought and nobody has taken yet: bounded in bytes, taken in groups.

A group is a commit: small messages come many at once, so that the fixed cost of a commit is shared by as many readings
as that of large ones. Who waits for a group never waits for it to fill: what has come is what there is.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cloud.stream.connection import Arrival

MOST_BYTES = 64 * 1024 * 1024
OBJECT_BYTES = 600  # what a message takes beside its payload
GROUP, GROUP_BYTES = 64, 128 * 1024  # messages of a commit; more of them while all together are so small


class Arrivals:
    """`offer`, `len` and `is_group` may be called from any thread, `take` from one."""

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._waiting: deque[Arrival] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_group(self) -> bool:
        """Whether what waits makes a whole group."""
        waiting = len(self._waiting)
        return waiting >= GROUP and self._bytes - OBJECT_BYTES * waiting >= GROUP_BYTES

    def offer(self, arrival: Arrival) -> bool:
        """Take a message in, or refuse it: there is no room."""
        size = len(arrival.payload) + OBJECT_BYTES
        with self._changed:
            if self._bytes + size > MOST_BYTES:
                return False
            self._bytes += size
            self._waiting.append(arrival)
            self._changed.notify()
        return True

    def take(self, wait_s: float) -> list[Arrival]:
        """Return the oldest, as many as make a group, waiting so long for the first of them."""
        taken: list[Arrival] = []
        size = 0
        with self._changed:
            if not self._waiting:
                self._changed.wait(wait_s)
            while self._waiting and (len(taken) < GROUP or size < GROUP_BYTES):
                arrival = self._waiting.popleft()
                taken.append(arrival)
                size += len(arrival.payload)
            self._bytes -= size + OBJECT_BYTES * len(taken)
        return taken
