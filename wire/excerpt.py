"""What somebody reads of a message who follows a few quantities: their numbers, and nothing else is unpacked.

What is read is checked as the codec does; what is passed over is not, so this may take a batch that is quarantined.
"""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

import msgspec

from wire import codec
from wire.codec import Rejected
from wire.quantities import QUANTITIES, Quantity
from wire.reading import Reason
from wire.topics import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from wire.batch import Batch, Gap, Identity

    Follows = Callable[[str], bool]

Point = tuple[int, int, float]  # ms, sequence number, value in the quantity's unit
UNCERTAINTY = "clock_uncertainty"
_REASONS = frozenset(int(reason) for reason in Reason)


class Excerpt(msgspec.Struct, frozen=True, gc=False):
    """The followed values of one batch: (channel, quantity) → points in order of rows, none where all are absent.

    Times are UTC where the batch has an `offset_ms`, else monotonic; `newest_ms` is that of the newest row, 0 for none.
    """

    gateway: str
    epoch: str
    first: int
    n: int
    boot: str
    offset_ms: int | None
    newest_ms: int
    points: dict[tuple[str, str], list[Point]]


class _Column(msgspec.Struct, frozen=True, array_like=True, gc=False):
    quantity: str
    deltas: msgspec.Raw
    absent: msgspec.Raw


class _Series(msgspec.Struct, frozen=True, array_like=True, gc=False):
    channel: str
    seqs: list[int]
    times: list[int]
    columns: list[_Column]


class _Body(msgspec.Struct, frozen=True, array_like=True, gc=False):
    start_ms: int
    series: list[_Series]


_bodies = msgspec.msgpack.Decoder(_Body)
_integers = msgspec.msgpack.Decoder(list[int]).decode


class _Numbers(dict[int, float]):
    """The value of each scaled number that came; KeyError for one that the quantity does not have."""

    def __init__(self, quantity: Quantity) -> None:
        super().__init__()
        self._quantity = quantity
        self._low, self._high = quantity.scale(quantity.low), quantity.scale(quantity.high)

    def __missing__(self, scaled: int) -> float:
        if not self._low <= scaled <= self._high:
            raise KeyError(scaled)
        value = self._quantity.unscale(scaled)
        if len(self) < codec.RARE:
            self[scaled] = value
        return value


@cache
def _numbers(quantity: str) -> Callable[[int], float]:
    return _Numbers(QUANTITIES[quantity]).__getitem__


def decode_excerpt(gateway: str, packet: bytes, follows: Follows) -> Excerpt | Gap:
    """Return what is followed of a batch, or a gap record.

    `follows` may say so only of quantities that there are. Raises Damaged and Rejected as `codec.decode_message`, but
    for times: however far ahead they are, they are taken.
    """
    identity, envelope = codec.opened(packet)
    try:
        if envelope.kind == codec.GAP:
            return codec.gap_of(gateway, identity, envelope)
        return _excerpt(gateway, identity, envelope, follows)
    except codec.UNREADABLE as error:
        raise Rejected(identity, f"body: {error}") from error


def excerpt_of(batch: Batch, follows: Follows) -> Excerpt:
    """Return the same of a batch that is decoded already."""
    points: dict[tuple[str, str], list[Point]] = {}
    for block in batch.blocks:
        for quantity, column in zip(block.quantities, block.columns, strict=True):
            if follows(quantity):
                rows = zip(block.times_ms, block.seqs, column, strict=True)
                points[block.channel, quantity] = [(ms, seq, float(text)) for ms, seq, text in rows if text]
    newest_ms = max((ms for block in batch.blocks for ms in block.times_ms), default=0)
    return Excerpt(batch.gateway, *batch.identity, batch.boot, batch.offset_ms, newest_ms, points)


def _excerpt(gateway: str, identity: Identity, envelope: codec.Envelope, follows: Follows) -> Excerpt:
    uncertainty = codec.checked_uncertainty(identity, envelope)
    body = _bodies.decode(envelope.body)
    shift_ms, newest_ms = body.start_ms + (envelope.offset_ms or 0), 0
    points: dict[tuple[str, str], list[Point]] = {}
    seen: set[str] = set()
    for series in body.series:
        wanted = [column for column in series.columns if follows(column.quantity)]
        if not wanted:
            continue
        seqs, times = _rows(identity, series, shift_ms)
        if series.channel in seen or (envelope.offset_ms is not None and min(times) < codec.EARLIEST_MS):
            raise Rejected(identity, f"channel {series.channel} stands twice in the table of series, or before 2020")
        seen.add(series.channel)
        latest_ms = max(times)
        newest_ms = max(newest_ms, latest_ms)
        for column in wanted:
            if (series.channel, column.quantity) in points:
                raise Rejected(identity, f"channel {series.channel}: a quantity stands twice")
            points[series.channel, column.quantity] = _points(identity, series.channel, column, seqs, times)
        if uncertainty is not None and follows(UNCERTAINTY):
            points[series.channel, UNCERTAINTY] = [(ms, seq, uncertainty) for ms, seq in zip(times, seqs, strict=True)]
    boot = envelope.boot.hex()
    return Excerpt(gateway, *identity, boot, envelope.offset_ms, newest_ms, points)


def _rows(identity: Identity, series: _Series, shift_ms: int) -> tuple[list[int], list[int]]:
    """Return the sequence numbers and times of a series."""
    _, first, n = identity
    rows = len(series.seqs)
    if not rows or len(series.times) != rows:
        what = f"channel {series.channel[: codec.MAX_NAME]!r}: {rows} rows, {len(series.times)} times"
        raise Rejected(identity, what)
    if rows == 1:
        seqs, times = [first + series.seqs[0]], [shift_ms + series.times[0]]
    else:
        seqs = list(accumulate(series.seqs, initial=first))
        times = list(accumulate(accumulate(series.times), initial=shift_ms))
        del seqs[0], times[0]
    if min(seqs) < first or max(seqs) >= first + n:
        raise Rejected(identity, "the rows are not the sequence numbers of the envelope, each once")
    if not _is_channel(series.channel):
        raise Rejected(identity, f"channel {series.channel[: codec.MAX_NAME]!r} is not [a-z0-9-]{{1,32}}")
    return seqs, times


@lru_cache(codec.SHAPES)
def _is_channel(name: str) -> bool:
    return CHANNEL.fullmatch(name) is not None


def _points(identity: Identity, channel: str, column: _Column, seqs: list[int], times: list[int]) -> list[Point]:
    deltas, absent = _integers(column.deltas), _integers(column.absent)
    try:
        values = list(map(_numbers(column.quantity), accumulate(deltas)))
    except KeyError as error:
        raise Rejected(
            identity, f"channel {channel}: {column.quantity} has {error.args[0]} out of its range"
        ) from error
    if absent:
        gone = absent[::2]
        rising = all(before < after for before, after in zip([-1, *gone], gone, strict=False))
        if len(absent) % 2 or not rising or gone[-1] >= len(seqs) or not _REASONS.issuperset(absent[1::2]):
            raise Rejected(identity, f"channel {channel}: {column.quantity} has impossible reasons")
        missing = set(gone)
        there = [row for row in range(len(seqs)) if row not in missing]
        seqs, times = [seqs[row] for row in there], [times[row] for row in there]
    if len(values) != len(seqs):
        raise Rejected(identity, f"channel {channel}: {column.quantity} has not one value or reason a row")
    return list(zip(times, seqs, values, strict=True))
