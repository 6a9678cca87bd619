"""How many bytes a day something may cost on the link: saved up to a bound, so that the first changes go at once."""

from __future__ import annotations

DAY_MS = 86_400_000


class Allowance:
    """`day_bytes` accrue evenly; what is not spent is kept up to `most_bytes`."""

    def __init__(self, day_bytes: int, most_bytes: int) -> None:
        self._day, self._most = day_bytes, most_bytes
        self._left = float(most_bytes)
        self._at_ms: int | None = None

    def affords(self, size: int, now: int) -> bool:
        """Tell whether so many bytes may be spent; what is larger than all that can be saved goes when it is full."""
        if self._at_ms is not None:
            self._left = min(self._left + self._day * (now - self._at_ms) / DAY_MS, self._most)
        self._at_ms = now
        return self._left >= min(size, self._most)

    def spend(self, size: int) -> None:
        """So many bytes were spent."""
        self._left -= size
