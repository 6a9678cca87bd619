"""The arithmetic of stored times, once for all engines: hours, and the sequence number within a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wire import batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.store.ledger import LedgerRow

MS_NS = batch.MS_NS
HOUR_MS = 3_600_000
HOUR_NS = HOUR_MS * MS_NS
NO_SPAN = (0, 0)
SEQ_MODULUS = 1_000_000


def span_ns(times: Sequence[Sequence[int]]) -> tuple[int, int]:
    """Return the lowest and highest of the stored times of a batch's blocks; NO_SPAN for one that has none any more."""
    return (min(map(min, times)), max(map(max, times))) if times else NO_SPAN


def same_span(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Tell whether two spans are of the same readings; what an older version stored agrees in milliseconds only.

    Of a batch that was copied when its readings had expired nobody knows it any more.
    """
    return NO_SPAN in (one, other) or all(a // MS_NS == b // MS_NS for a, b in zip(one, other, strict=True))


def seq_of(time_ns: int, told: int | None, row: LedgerRow) -> int | None:
    """Return the sequence number of a stored reading within one ledger row, None where it is none of its own.

    `told` is the number that stands with the reading. An older version did not write it: the time was ms · 10⁶ + seq
    mod 10⁶ then.
    """
    if told is None:
        place = (time_ns - row.first) % SEQ_MODULUS
        return row.first + place if place < row.n else None
    return told if has_key(time_ns, row) and row.first <= told < row.first + row.n else None


def has_key(time_ns: int, row: LedgerRow) -> bool:
    """Tell whether a stored time has the key of a ledger row's batch, or one that was counted up from it."""
    near, far = divmod(time_ns % MS_NS, batch.FAR)
    own_near, own_far = divmod(row.start_ns % MS_NS, batch.FAR)
    return near == own_near and (far - own_far) % batch.FAR < row.n
