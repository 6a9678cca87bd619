"""Whose clock is wrong where batches come out of the future: a gateway's, or, where they come from most, our own.

A server that woke with the time of days ago would refuse all that its gateways bring, each for a reason of its own: it
is one cause with one remedy, so it is said once.
"""

from __future__ import annotations

from statistics import median_low
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloud.clock import Clock

RECENT_S = 3_600.0  # who has not been heard for so long has no say
MOST = 10_000  # gateways that are remembered
HOUR_MS = 3_600_000
OF_ONE = "the clock of the one gateway is ahead, or this server's behind"
REMEDY = "set it (timedatectl), then gocche quarantine --retry"


class Ahead:
    """Belongs to the ingester's thread; `why` may be read from any. Costs nothing while nobody is ahead."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_ms: dict[str, tuple[float, int]] = {}  # when it was heard, and how far ahead of us its readings were

    def early(self, gateway: str, by_ms: int) -> None:
        """Note a batch that was refused because it is of the future."""
        self._forget()
        if len(self._by_ms) < MOST or gateway in self._by_ms:
            self._by_ms[gateway] = self._clock.monotonic(), by_ms

    def in_time(self, gateways: Iterable[str]) -> None:
        """Note of whom a batch could be taken."""
        if any(by_ms for _, by_ms in self._by_ms.values()):
            for gateway in gateways:
                self.early(gateway, 0)

    @property
    def whose(self) -> str:
        """Return whose clock seems to be wrong, "" where nobody's is, or only that of few gateways among others."""
        return _whose(*self._heard())

    @property
    def why(self) -> str:
        """Return the same with what shows it and what is to be done."""
        ahead, heard = self._heard()
        whose = _whose(ahead, heard)
        shown = f"batches of {len(ahead)} of {heard} gateways lie in the future"
        return whose and f"{whose}: {shown}, {median_low(ahead) / HOUR_MS:.1f} h; {REMEDY}"

    def _heard(self) -> tuple[list[int], int]:
        """Return how far those are ahead who are, and how many were heard."""
        since_s = self._clock.monotonic() - RECENT_S
        heard = [by_ms for at_s, by_ms in self._by_ms.copy().values() if at_s >= since_s]
        return [by_ms for by_ms in heard if by_ms], len(heard)

    def _forget(self) -> None:
        since_s = self._clock.monotonic() - RECENT_S
        if len(self._by_ms) >= MOST:
            self._by_ms = {name: said for name, said in self._by_ms.items() if said[0] >= since_s}


def _whose(ahead: list[int], heard: int) -> str:
    if 2 * len(ahead) <= heard:
        return ""
    return "this server's clock seems to be behind" if len(ahead) > 1 else OF_ONE
