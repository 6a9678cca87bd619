"""What gateways say of themselves: the newest of each, and of the epochs that just ended."""

from __future__ import annotations

from typing import Protocol

import msgspec

from wire.batch import Status

RECENT_MS = 420_000  # more than a summary of the books is behind, which has the high-water of all epochs


class StatusRow(msgspec.Struct, frozen=True):
    """The last that a gateway said of itself within one epoch."""

    gateway: str
    arrival_ms: int
    status: Status


class Statuses(Protocol):
    """Where heartbeats are kept."""

    def write_status(self, gateway: str, status: Status, arrival_ms: int) -> None:
        """Keep a heartbeat, for panels and the audit."""

    def statuses(self) -> list[StatusRow]:
        """Return the newest status of every gateway, and of its earlier epochs at least if they ended lately.

        Lately is within `RECENT_MS` of the newest word of all. `acquired` is the highest that was told in the epoch.
        """
