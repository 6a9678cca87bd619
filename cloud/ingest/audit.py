"""The sum that must come out: acquired = stored + quarantined + declared + still in the spool + unknown.

Acquired is the edge's committed high-water sequence number, per gateway and epoch, as its status and its batches tell
it. Unknown must be 0: it is what the edge once had and nobody can account for.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import msgspec

from cloud.store.intervals import Intervals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloud.store import LedgerRow, StatusRow


class Account(msgspec.Struct, frozen=True):
    """The sum of one epoch of one gateway. `live` is the epoch that the gateway writes now."""

    gateway: str
    epoch: str
    acquired: int
    stored: int
    quarantined: int
    declared: int
    spooled: int
    unknown: int
    live: bool


class Books:
    """Adds up ledger rows and statuses as they come; the same rows in any order and number give the same sum.

    May be written and read from any thread.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._verdicts: dict[tuple[str, str], dict[str, Intervals]] = {}
        self._refused: dict[tuple[str, str], dict[int, int]] = {}
        self._high: dict[tuple[str, str], int] = {}
        self._spooled: dict[tuple[str, str], tuple[int, int]] = {}  # high-water and spooled, as the last status says
        self._live: dict[str, tuple[int, str]] = {}
        self._earlier: dict[str, tuple[int, dict[str, int]]] = {}  # what waits of epochs before, by the newest status

    def row(self, row: LedgerRow) -> None:
        """Take one ledger row."""
        key = (row.gateway, row.epoch)
        with self._turn:
            verdicts = self._verdicts.setdefault(
                key, {"stored": Intervals(), "quarantined": Intervals(), "declared": Intervals()}
            )
            verdicts[row.verdict].add(row.first, row.first + row.n)
            if row.verdict == "stored" and (row.refused or row.first in self._refused.get(key, {})):
                self._refused.setdefault(key, {})[row.first] = row.refused
            self._high[key] = max(self._high.get(key, 0), row.first + row.n - 1)

    def high(self, gateway: str, epoch: str, acquired: int) -> None:
        """Take a high-water sequence number, whoever says it and however late: it can only rise."""
        if epoch and acquired:
            with self._turn:
                self._high[gateway, epoch] = max(self._high.get((gateway, epoch), 0), acquired)

    def status(self, row: StatusRow) -> None:
        """Take one status. A last will was written when the gateway connected: it does not say what is spooled now.

        Its epoch stays the live one, though: who is out of reach has lost nothing yet.
        """
        key = (row.gateway, row.status.epoch)
        if not row.status.epoch:
            return
        self.high(*key, row.status.acquired)
        with self._turn:
            self._live[row.gateway] = max(self._live.get(row.gateway, (0, "")), (row.arrival_ms, row.status.epoch))
            if row.status.state != "offline":
                self._high.setdefault(key, 0)
                self._spooled[key] = (row.status.acquired, row.status.spooled)
                if row.arrival_ms >= self._earlier.get(row.gateway, (0, {}))[0]:
                    self._earlier[row.gateway] = (row.arrival_ms, row.status.earlier)

    def accounts(self) -> list[Account]:
        """Return the sum of every epoch, by gateway."""
        with self._turn:
            return [self._account(*key) for key in sorted(self._high)]

    def _account(self, gateway: str, epoch: str) -> Account:
        key = (gateway, epoch)
        verdicts = self._verdicts.get(key, {})
        stored = verdicts.get("stored", Intervals())
        quarantined = verdicts.get("quarantined", Intervals()).minus(stored)
        declared = verdicts.get("declared", Intervals()).minus(stored).minus(quarantined)
        refused = sum(self._refused.get(key, {}).values())
        missing = self._high[key] - len(stored) - len(quarantined) - len(declared)
        live = self._live.get(gateway, (0, ""))[1] == epoch
        if live:
            spooled = self._on_its_way(key, [*stored, *quarantined, *declared], missing)
        else:
            spooled = min(missing, self._earlier.get(gateway, (0, {}))[1].get(epoch, 0))
        return Account(
            gateway,
            epoch,
            self._high[key],
            len(stored) - refused,
            len(quarantined) + refused,
            len(declared),
            spooled,
            missing - spooled,
            live,
        )

    def _on_its_way(self, key: tuple[str, str], told: list[tuple[int, int]], missing: int) -> int:
        """Return how much of what is missing a live gateway can still bring.

        Up to the sequence number of its last status it holds no more than that status says; what lies above was
        acquired since, and the next status will tell.
        """
        until, held = self._spooled.get(key, (0, 0))
        below = until - sum(min(end, until + 1) - start for start, end in told if start <= until)
        return missing - max(below - held, 0)


def books(rows: Iterable[LedgerRow], statuses: Iterable[StatusRow], into: Books | None = None) -> Books:
    """Return the books of a whole store, or add it to existing ones."""
    made = into or Books()
    for row in rows:
        made.row(row)
    for status in statuses:
        made.status(status)
    return made
