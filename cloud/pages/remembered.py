"""An answer that costs something, asked for by anybody: made at most once in a while, and once for all who ask."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloud.clock import Clock


class Remembered:
    """Calls `ask` when its last answer is older than `for_s`. From any thread; what `ask` raises is not remembered."""

    def __init__(self, ask: Callable[[], dict[str, Any]], clock: Clock, for_s: float) -> None:
        self._ask, self._clock, self._for_s = ask, clock, for_s
        self._turn = threading.Lock()
        self._answer: dict[str, Any] = {}
        self._until_s = float("-inf")

    def __call__(self) -> dict[str, Any]:
        """Return the answer, at most `for_s` old. It must not be changed."""
        with self._turn:
            if self._clock.monotonic() >= self._until_s:
                self._answer = self._ask()
                self._until_s = self._clock.monotonic() + self._for_s
            return self._answer
