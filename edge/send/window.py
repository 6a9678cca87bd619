"""How much of a gateway may be on its way, unanswered: counted in bytes, opened by quick answers.

Eight messages may, once the way has shown that it carries them. More go where they are small and the way is free:
together no more bytes than the longest packet has. Eight messages alone bound a backlog of small batches by the way
there and back, and by the flush of each commit; a fixed larger number would have every gateway of a province pour into
the broker's queue at once after an outage, and what is too much is dropped there.

A link of 1 kB/s takes half a minute for eight full batches, and smoke waits behind whatever was sent before it: what
takes longer than some seconds is halved, down to one message.
"""

from __future__ import annotations

from wire.codec import MAX_PACKET

LEAST, MOST = 8, 256  # messages
ENOUGH_BYTES = MAX_PACKET  # more than LEAST may go as long as less than this is on its way
QUICK_MS = 250  # there and back, commit included, while nothing queues anywhere
SLOW_MS = 8_000  # longer than this nothing urgent is to wait behind what was sent before it
FIRST_BYTES, LEAST_BYTES = 4 * 1024, 2 * 1024  # for a way that nobody knows, and for one that is slow
MOST_BYTES = LEAST * MAX_PACKET


class Window:
    """Of one connection. Each quick answer opens it by a message, so it doubles with each way there and back.

    So do its bytes with each answer that is far from slow.
    """

    def __init__(self) -> None:
        self._messages = self._bytes = 0
        self._open, self._bears = LEAST, FIRST_BYTES

    @property
    def room(self) -> bool:
        """Whether one more message may go."""
        if not self._messages or self._bytes >= self._bears:
            return not self._messages
        return self._messages < LEAST or (self._messages < self._open and self._bytes < ENOUGH_BYTES)

    def sent(self, size: int) -> None:
        """Note that a message of so many bytes went."""
        self._messages += 1
        self._bytes += size

    def answered(self, size: int, trip_ms: float) -> None:
        """Note that a message was answered, or waited for in vain; a slow answer shuts the window to the least."""
        self.over(size)
        if trip_ms > SLOW_MS:
            self._bears = max(self._bears // 2, LEAST_BYTES)
        elif trip_ms < SLOW_MS / 2:
            self._bears = min(self._bears + size, MOST_BYTES)
        self._open = min(self._open + 1, MOST) if trip_ms <= QUICK_MS else LEAST

    def over(self, size: int) -> None:
        """Note that a message is waited for no longer."""
        self._messages -= 1
        self._bytes -= size
