"""The arithmetic of stored times, once for all engines: hours, and the sequence number within a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.store.ledger import LedgerRow

MS_NS = 1_000_000
HOUR_MS = 3_600_000
HOUR_NS = HOUR_MS * MS_NS
SEQ_MODULUS = 1_000_000  # see Block.stored_ns


def span_ns(times: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Return the lowest and highest of the stored times of a batch's blocks."""
    return min(map(min, times)), max(map(max, times))


def seq_of(time_ns: int, row: LedgerRow) -> int | None:
    """Return the sequence number that a stored time has within one ledger row, None where it is none of its own."""
    place = (time_ns - row.first) % SEQ_MODULUS
    return row.first + place if place < row.n else None
