"""A serial line whose far end answers in simulated time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.edge.clock import HandClock


class TimedLine:
    """A far end in simulated time: `respond(frame)` says what comes how many milliseconds later."""

    def __init__(self, clock: HandClock, respond=lambda _: [], talk=()) -> None:
        self._clock, self._respond = clock, respond
        self.due: list[tuple[int, bytes]] = [(clock.now + at, data) for at, data in talk]
        self.sent: list[tuple[int, bytes]] = []
        self.on_read = lambda: None

    def write(self, frame: bytes) -> None:
        self.sent.append((self._clock.now, frame))
        self.due += [(self._clock.now + after, data) for after, data in self._respond(frame)]

    def read(self, size: int, patience_s: float) -> bytes:
        self.on_read()
        end = self._clock.now + round(1000 * patience_s)
        self.due.sort(key=lambda item: item[0])
        if not self.due or self.due[0][0] > end:
            self._clock.now = end
            return b""
        at, data = self.due.pop(0)
        self._clock.now = max(self._clock.now, at)
        if data[size:]:
            self.due.insert(0, (at, data[size:]))
        return data[:size]

    def drain(self) -> None:
        self.due = [item for item in self.due if item[0] > self._clock.now]

    def close(self) -> None:
        """Nothing is held."""
