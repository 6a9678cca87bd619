"""What somebody reads of a message who follows a few quantities: their numbers, and nothing else is unpacked.

What is read is checked as the codec does; what is passed over is not, so this may take a batch that is quarantined.
"""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from wire import codec
from wire.codec import Rejected
from wire.quantities import QUANTITIES, Quantity
from wire.reading import Reason
from wire.topics import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Container

    from wire.batch import Batch, Gap, Identity

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
    deltas: msgspec.Raw  # a row of numbers costs as much as all else that is passed over here
    absent: list[int]


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


class _Followed(NamedTuple):
    """What all messages with the same column have in common: looked up once, kept once."""

    key: tuple[str, str]
    numbers: _Numbers


@lru_cache(codec.SHAPES)
def _followed(channel: str, quantity: str) -> _Followed | None:
    """Return what is known of a column; None where no channel has such a name."""
    return _Followed((channel, quantity), _numbers(quantity)) if CHANNEL.fullmatch(channel) else None


@cache
def _numbers(quantity: str) -> _Numbers:
    return _Numbers(QUANTITIES[quantity])


def decode_excerpt(gateway: str, packet: bytes, followed: Container[str]) -> Excerpt | Gap:
    """Return what is followed of a batch, or a gap record.

    Only quantities that there are may be followed. Raises Damaged and Rejected as `codec.decode_message`, but for
    times: however far ahead they are, they are taken.
    """
    identity, envelope = codec.opened(packet)
    try:
        if envelope.kind == codec.GAP:
            return codec.gap_of(gateway, identity, envelope)
        return _excerpt(gateway, identity, envelope, followed)
    except codec.UNREADABLE as error:
        raise Rejected(identity, f"body: {error}") from error


def excerpt_of(batch: Batch, followed: Container[str]) -> Excerpt:
    """Return the same of a batch that is decoded already."""
    points: dict[tuple[str, str], list[Point]] = {}
    for block in batch.blocks:
        for quantity, column in zip(block.quantities, block.columns, strict=True):
            if quantity in followed:
                rows = zip(block.times_ms, block.seqs, column, strict=True)
                points[block.channel, quantity] = [(ms, seq, float(text)) for ms, seq, text in rows if text]
    newest_ms = max((ms for block in batch.blocks for ms in block.times_ms), default=0)
    return Excerpt(batch.gateway, *batch.identity, batch.boot, batch.offset_ms, newest_ms, points)


def _excerpt(gateway: str, identity: Identity, envelope: codec.Envelope, followed: Container[str]) -> Excerpt:
    uncertainty = codec.checked_uncertainty(identity, envelope)
    body = _bodies.decode(envelope.body)
    shift_ms, newest_ms = body.start_ms + (envelope.offset_ms or 0), 0
    earliest_ms = -codec.MAX_SEQ if envelope.offset_ms is None else codec.EARLIEST_MS
    points: dict[tuple[str, str], list[Point]] = {}
    seen: set[str] = set()
    for series in body.series:
        wanted = [column for column in series.columns if column.quantity in followed]
        if not wanted:
            continue
        channel = series.channel
        seqs, times, low_ms, high_ms = _rows(identity, series, shift_ms)
        if channel in seen or low_ms < earliest_ms:
            raise Rejected(identity, f"channel {channel} stands twice in the table of series, or before 2020")
        seen.add(channel)
        newest_ms = max(newest_ms, high_ms)
        for column in wanted:
            known = _followed(channel, column.quantity)
            if known is None:
                raise Rejected(identity, f"channel {channel[: codec.MAX_NAME]!r} is not [a-z0-9-]{{1,32}}")
            if known.key in points:
                raise Rejected(identity, f"channel {channel}: a quantity stands twice")
            points[known.key] = _points(identity, known, column, seqs, times)
        if uncertainty is not None and UNCERTAINTY in followed:
            points[channel, UNCERTAINTY] = [(ms, seq, uncertainty) for ms, seq in zip(times, seqs, strict=True)]
    boot = envelope.boot.hex()
    return Excerpt(gateway, *identity, boot, envelope.offset_ms, newest_ms, points)


def _rows(identity: Identity, series: _Series, shift_ms: int) -> tuple[list[int], list[int], int, int]:
    """Return the sequence numbers and times of a series, and the earliest and the latest time."""
    _, first, n = identity
    rows = len(series.seqs)
    if not rows or len(series.times) != rows:
        what = f"channel {series.channel[: codec.MAX_NAME]!r}: {rows} rows, {len(series.times)} times"
        raise Rejected(identity, what)
    if rows == 1:
        low, at_ms = first + series.seqs[0], shift_ms + series.times[0]
        seqs, times, high, low_ms, high_ms = [low], [at_ms], low, at_ms, at_ms
    else:
        paces = list(accumulate(series.times))
        seqs = list(accumulate(series.seqs, initial=first))
        times = list(accumulate(paces, initial=shift_ms))
        del seqs[0], times[0]
        if min(paces) >= 0 <= min(series.seqs):  # in order, as nearly always
            low, high, low_ms, high_ms = seqs[0], seqs[-1], times[0], times[-1]
        else:
            low, high, low_ms, high_ms = min(seqs), max(seqs), min(times), max(times)
    if low < first or high >= first + n:
        raise Rejected(identity, "the rows are not the sequence numbers of the envelope, each once")
    return seqs, times, low_ms, high_ms


def _points(identity: Identity, known: _Followed, column: _Column, seqs: list[int], times: list[int]) -> list[Point]:
    """Return the points of a column whose rows are known."""
    (channel, quantity), numbers = known
    deltas = _integers(column.deltas)
    try:
        if len(deltas) == len(seqs) == 1 and not column.absent:
            return [(times[0], seqs[0], numbers[deltas[0]])]
        values = list(map(numbers.__getitem__, accumulate(deltas)))
    except KeyError as error:
        raise Rejected(identity, f"channel {channel}: {quantity} has {error.args[0]} out of its range") from error
    if column.absent:
        there = _present(identity, channel, column, len(seqs))
        seqs, times = [seqs[row] for row in there], [times[row] for row in there]
    if len(values) != len(seqs):
        raise Rejected(identity, f"channel {channel}: {quantity} has not one value or reason a row")
    return list(zip(times, seqs, values, strict=True))


def _present(identity: Identity, channel: str, column: _Column, rows: int) -> list[int]:
    """Return the rows that have a value."""
    absent = column.absent
    gone = absent[::2]
    rising = all(before < after for before, after in zip([-1, *gone], gone, strict=False))
    if len(absent) % 2 or not rising or gone[-1] >= rows or not _REASONS.issuperset(absent[1::2]):
        raise Rejected(identity, f"channel {channel}: {column.quantity} has impossible reasons")
    missing = set(gone)
    return [row for row in range(rows) if row not in missing]
