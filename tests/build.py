"""Batches for tests, made the way a gateway makes them: encoded, sealed, decoded and checked by the real codec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from wire.batch import Batch, Block, Source
from wire.codec import BATCH, VERSION, Envelope, decode_message, encode_body, encode_message
from wire.quantities import QUANTITIES
from wire.reading import Reading, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

START_MS = 1_763_870_400_000  # 2025-11-23T04:00:00Z: a full hour
EPOCH = "00" * 8
UPTIME_MS = 60_000  # of the gateway at the first reading of a batch
Said = float | Reason | tuple[Reason, float]  # a value, a reason, or a reason with the raw number beside it
Row = "Mapping[str, Mapping[str, Said]]"

# One reading each of one channel, over and over: what a soil probe tells.
SOIL = {
    "soil_moisture": 31.27,
    "soil_temperature": 18.4,
    "soil_ec": 412,
    "soil_ph": 4.85,
    "soil_nitrogen": 31,
    "soil_potassium": 12,
}


def reading(channel: str, mono_ms: int, values: Mapping[str, Said]) -> Reading:
    """Return a reading from numbers in the quantities' own units; a `Reason` stands for an absent value."""
    beside = {q: value for q, value in values.items() if isinstance(value, tuple)}
    bare = {q: value for q, value in values.items() if not isinstance(value, tuple)}
    return Reading(
        channel,
        mono_ms,
        {q: QUANTITIES[q].scale(value) for q, value in bare.items() if not isinstance(value, Reason)},
        {q: int(value) for q, value in bare.items() if isinstance(value, Reason)}
        | {q: int(reason) for q, (reason, _) in beside.items()},
        {q: QUANTITIES[q].scale(number) for q, (_, number) in beside.items()},
    )


def packet(
    *,
    epoch: str = EPOCH,
    first: int = 1,
    start_ms: int = START_MS,
    step_ms: int = 1_000,
    rows: Sequence[Row],
    source: Source = Source.NTP,
    uncertainty_ms: int = 50,
    dated: bool = True,
    uptime_ms: int = UPTIME_MS,
) -> bytes:
    """Return the message of one batch: each row is {channel: {quantity: value}}, `step_ms` after the row before."""
    readings = [
        reading(channel, uptime_ms + number * step_ms, values)
        for number, row in enumerate(rows)
        for channel, values in row.items()
    ]
    body = encode_body(readings)
    offset = start_ms - uptime_ms if dated else None
    boot = bytes.fromhex("b0" * 8)
    envelope = Envelope(
        VERSION, BATCH, bytes.fromhex(epoch), first, len(readings), boot, offset, source, uncertainty_ms, body
    )
    return encode_message(envelope)


def batch(*, gateway: str = "sg-01", now_ms: int | None = None, **of: Any) -> Batch:
    """Return the decoded and checked batch of `packet(**of)`, received at `now_ms` (a day after its start)."""
    now = of.get("start_ms", START_MS) + 86_400_000 if now_ms is None else now_ms
    decoded = decode_message(gateway, packet(**of), now)
    assert isinstance(decoded, Batch)
    return decoded


def soil(n: int, *, base: float = 30.0, channel: str = "soil-1") -> list[Row]:
    """Return `n` rows of one probe whose moisture is `base`, `base` + 0.01, … so that each is told from the others."""
    return [{channel: SOIL | {"soil_moisture": round(base + number / 100, 2)}} for number in range(n)]


def with_text(whole: Batch, seq: int, quantity: str, text: str) -> Batch:
    """Return the batch with one text replaced, as no decoder would let it through."""
    blocks = []
    for block in whole.blocks:
        columns = [list(column) for column in block.columns]
        if seq in block.seqs and quantity in block.quantities:
            columns[block.quantities.index(quantity)][block.seqs.index(seq)] = text
        blocks.append(msgspec.structs.replace(block, columns=columns))
    return msgspec.structs.replace(whole, held=blocks)


def rows_of(block: Block) -> dict[int, dict[str, str]]:
    """Return {seq: {quantity: text}} of a block, absent values left out."""
    return {
        seq: {q: column[row] for q, column in zip(block.quantities, block.columns, strict=True) if column[row]}
        for row, seq in enumerate(block.seqs)
    }
