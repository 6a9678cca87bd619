"""What gateways say of themselves: the newest of every epoch."""

from __future__ import annotations

from typing import Protocol

import msgspec

from wire.batch import Status


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
        """Return the newest status of every (gateway, epoch)."""
