"""What the gateway says of itself on the wire: the whole status at every connection and each minute.

Belongs to the thread that sends. Times are monotonic milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from edge.due import Due
from wire import topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.send.courier import Sender
    from wire.batch import Status

BEAT_S = 60.0


class Heartbeat:
    """`status` returns the status as it is now; `asked` is told of each message whose answer tells the time."""

    def __init__(
        self, uplink: Sender, gateway: str, status: Callable[[], Status], asked: Callable[[int], None]
    ) -> None:
        self._uplink, self._topic, self._status, self._asked = uplink, topics.status(gateway), status, asked
        self._due = Due(BEAT_S)

    def connected(self) -> None:
        """A new connection begins with the whole status: its answer tells the time."""
        self._due.hurry()

    def send(self, now: int) -> None:
        """Say what is due."""
        if self._due.comes(now) and self._uplink.publish(self._topic, msgspec.json.encode(self._status()), retain=True):
            self._asked(now)

    def due_ms(self) -> int:
        """Return when something is to be said next."""
        return self._due.at_ms
