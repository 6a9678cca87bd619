"""How much of a gateway may be on its way, unanswered: counted in bytes, opened by quick answers.

Eight messages always may. More go where they are small and the way is free: together no more bytes than eight full
batches have. Eight messages alone bound a backlog of small batches by the way there and back; a fixed larger number
would have every gateway of a province pour into the broker's queue at once after an outage, and what is too much is
dropped there.
"""

from __future__ import annotations

LEAST, MOST = 8, 64  # messages
ENOUGH_BYTES = 16 * 1024  # more than LEAST may go as long as less than this is on its way
QUICK_MS = 250  # there and back, commit included, while nothing queues anywhere


class Window:
    """Of one connection. Each quick answer opens it by a message, so it doubles with each way there and back."""

    def __init__(self) -> None:
        self._messages = self._bytes = 0
        self._open = LEAST

    @property
    def room(self) -> bool:
        """Whether one more message may go."""
        return self._messages < LEAST or (self._messages < self._open and self._bytes < ENOUGH_BYTES)

    def sent(self, size: int) -> None:
        """Note that a message of so many bytes went."""
        self._messages += 1
        self._bytes += size

    def answered(self, size: int, trip_ms: float) -> None:
        """Note that a message was answered; a slow answer shuts the window to the least."""
        self.over(size)
        self._open = min(self._open + 1, MOST) if trip_ms <= QUICK_MS else LEAST

    def over(self, size: int) -> None:
        """Note that a message is waited for no longer."""
        self._messages -= 1
        self._bytes -= size
