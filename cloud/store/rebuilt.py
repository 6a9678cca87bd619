"""What a store holds of one batch, as it was committed: for another store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from cloud.store.history import History
from cloud.store.ledger import Ledger, Refusal
from wire.batch import MS_NS, Batch, Block, Gap, Source
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloud.store.ledger import LedgerRow
    from wire.batch import Dated


class Origin(Ledger, History, Protocol):
    """Where batches are read, with their raw numbers."""


def entry(source: Origin, row: LedgerRow) -> Batch | Gap | Refusal:
    """Return the entry of a ledger row with its readings, raw numbers and stored times. Raises Retry.

    Boot, uncertainty and what dated a batch are not kept by stores: only whether its times are bounded.
    """
    if row.verdict == "declared":
        return Gap(row.gateway, row.epoch, row.first, row.n, row.words)
    if row.verdict == "quarantined":
        return Refusal(row.gateway, row.epoch, row.first, row.n, row.words)
    readings = source.batch_readings(row)
    blocks = [_block(source, row, channel, names, rows) for (channel, names), rows in _shapes(readings).items()]
    dated_by = Source.BOUNDED if any(one.bounded for one in readings) else Source.NTP
    return Batch(row.gateway, row.epoch, row.first, row.n, "", 0, dated_by, 0, blocks)


def _shapes(readings: Iterable[Dated]) -> dict[tuple[str, tuple[str, ...]], list[Dated]]:
    """Return the readings by channel and by what they were asked for."""
    shapes: dict[tuple[str, tuple[str, ...]], list[Dated]] = {}
    for one in readings:
        shapes.setdefault((one.channel, tuple(sorted(one.values.keys() | one.reasons.keys()))), []).append(one)
    return shapes


def _block(source: Origin, row: LedgerRow, channel: str, names: tuple[str, ...], rows: list[Dated]) -> Block:
    times = [one.utc_ms or 0 for one in rows]
    absent = [[(at, int(one.reasons[name])) for at, one in enumerate(rows) if name in one.reasons] for name in names]
    block = Block(
        channel,
        [one.seq for one in rows],
        times,
        names,
        [[_text(name, one.values.get(name)) for one in rows] for name in names],
        absent,
        key=row.start_ns % MS_NS,
    )
    if not any(absent):
        return block
    at_ns = {ns: at for at, ns in enumerate(block.stored_ns())}
    beside = source.missing(row.gateway, channel, row.start_ns, row.end_ns + 1)
    raw = [
        (at_ns[one.time_ns], one.quantity, _text(one.quantity, one.raw))
        for one in beside
        if one.raw is not None and one.time_ns in at_ns
    ]
    return replace(block, raw=raw)


def _text(name: str, value: float | None) -> str:
    quantity = QUANTITIES.get(name)
    if value is None:
        return ""
    return repr(value) if quantity is None else quantity.text(round(value * 10.0**quantity.decimals))
