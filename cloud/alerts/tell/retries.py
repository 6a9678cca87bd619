"""When a letter is tried again, and how long it has waited: by the monotonic clock, whatever becomes of the date."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cloud.alerts.channels import Retry
from cloud.alerts.tell.route import LIFE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cloud.alerts.tell.outbox import Row
    from cloud.clock import Clock

FIRST_S = 2.0  # back-off: full jitter up to 2, 4, 8 … s
LONGEST_S, LONGEST_LIFE_S = 300.0, 60.0


class Retries:
    """In memory: after a restart everything that waits is due at once, and what it had waited stands in its row."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_s: dict[int, float] = {}
        self._due_s: dict[int, float] = {}

    def meet(self, rows: Sequence[Row]) -> None:
        """Begin to count for letters that are new, and forget those that are gone."""
        now_s, here = self._clock.monotonic(), {row.id for row in rows}
        self._since_s = {row.id: self._since_s.get(row.id, now_s - row.waited_s) for row in rows}
        self._due_s = {number: due_s for number, due_s in self._due_s.items() if number in here}

    def waited_s(self, row: Row) -> float:
        """Return how long a letter has waited, over all lives of the server."""
        now_s = self._clock.monotonic()
        return now_s - self._since_s.get(row.id, now_s - row.waited_s)

    def rest(self, row: Row) -> None:
        """Count nothing while a letter is not meant to leave."""
        self._since_s[row.id] = self._clock.monotonic() - row.waited_s

    def due(self, row: Row) -> bool:
        """Tell whether it may be tried now."""
        return self._clock.monotonic() >= self._due_s.get(row.id, 0.0)

    @contextmanager
    def put_off(self, row: Row) -> Iterator[None]:
        """Put a letter off whose words the body cannot have now."""
        try:
            yield
        except Retry as fault:
            self.later(row, fault)

    def later(self, row: Row, failure: Retry) -> None:
        """Put the next try off; one that nobody gets through with is held by its channel instead."""
        life = row.level == LIFE
        longest_s = LONGEST_LIFE_S if life else LONGEST_S
        pause_s = (
            0.0 if failure.everybody else random.uniform(0, min(longest_s, FIRST_S * 2.0 ** min(row.attempts, 16)))
        )
        after_s = min(failure.after_s, longest_s) if life else failure.after_s  # whatever it asks for: it burns
        self._due_s[row.id] = self._clock.monotonic() + max(pause_s, after_s)
