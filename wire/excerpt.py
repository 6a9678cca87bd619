"""What somebody reads of a message who follows a few quantities: their numbers, and nothing else is unpacked.

What is read is checked as the codec does; what is passed over is not, so this may take a batch that is quarantined.
"""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import accumulate, islice
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from wire import codec
from wire.codec import Rejected
from wire.quantities import QUANTITIES, Quantity
from wire.reading import Reason
from wire.topics import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from wire.batch import Batch, Gap, Identity

Point = tuple[int, int, float]  # ms, sequence number, value in the quantity's unit
UNCERTAINTY = "clock_uncertainty"
_REASONS = frozenset(int(reason) for reason in Reason)


class Stretch(msgspec.Struct, frozen=True, gc=False):
    """Several points of one series, each later than the one before: their values, and the rest as it was sent."""

    first_ms: int
    last_ms: int
    paces_ms: list[int]  # from each to the next
    first: int
    seqs: list[int]  # offsets from `first`, as deltas
    values: list[float]

    def points(self) -> list[Point]:
        """Return the points."""
        seqs = islice(accumulate(self.seqs, initial=self.first), 1, None)
        return list(zip(self.time_ms(), seqs, self.values, strict=True))

    def time_ms(self) -> Iterable[int]:
        """Return the times of the points."""
        return accumulate(self.paces_ms, initial=self.first_ms)


class Excerpt(msgspec.Struct, frozen=True, gc=False):
    """The followed values of one batch: (channel, quantity) → points in order of rows, none where all are absent.

    Several rows that all have a value, in order of time, as nearly always, are a stretch in `packed` instead.
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
    packed: dict[tuple[str, str], Stretch] = {}

    def unpacked(self) -> dict[tuple[str, str], list[Point]]:
        """Return all points."""
        return self.points | {key: stretch.points() for key, stretch in self.packed.items()}


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
    _, first, n = identity
    uncertainty = codec.checked_uncertainty(identity, envelope)
    body = _bodies.decode(envelope.body)
    shift_ms, newest_ms = body.start_ms + (envelope.offset_ms or 0), 0
    earliest_ms = -codec.MAX_SEQ if envelope.offset_ms is None else codec.EARLIEST_MS
    points: dict[tuple[str, str], list[Point]] = {}
    packed: dict[tuple[str, str], Stretch] = {}
    seen: set[str] = set()
    for series in body.series:
        wanted = [column for column in series.columns if column.quantity in followed]
        if not wanted:
            continue
        channel, seqs, times = series.channel, series.seqs, series.times
        if len(seqs) == 1 == len(times) and 0 <= seqs[0] < n and uncertainty is None:  # as most are
            seq, low_ms = first + seqs[0], shift_ms + times[0]
            rows, high_ms = None, low_ms
        else:
            rows = _rows(identity, series, shift_ms)
            low_ms, high_ms = rows.low_ms, rows.high_ms
        if channel in seen or low_ms < earliest_ms:
            raise Rejected(identity, f"channel {channel} stands twice in the table of series, or before 2020")
        seen.add(channel)
        newest_ms = max(newest_ms, high_ms)
        for column in wanted:
            known = _followed(channel, column.quantity)
            if known is None:
                raise Rejected(identity, f"channel {channel[: codec.MAX_NAME]!r} is not [a-z0-9-]{{1,32}}")
            key = known.key
            if key in points or key in packed:
                raise Rejected(identity, f"channel {channel}: a quantity stands twice")
            values = _values(identity, known, column)
            if rows is None:
                if len(values) == 1 and not column.absent:
                    points[key] = [(low_ms, seq, values[0])]
                    continue
                rows = _rows(identity, series, shift_ms)
            if column.absent:
                points[key] = _present(identity, known, column, rows, values)
            elif len(values) != len(rows.seqs):
                raise _not_one_each(identity, known)
            elif rows.rises:
                packed[key] = Stretch(rows.low_ms, rows.high_ms, rows.paces_ms, rows.first, rows.seqs, values)
            else:
                points[key] = rows.points(values)
        if rows is not None and uncertainty is not None and UNCERTAINTY in followed:
            points[channel, UNCERTAINTY] = rows.points([uncertainty] * len(rows.seqs))
    boot = envelope.boot.hex()
    return Excerpt(gateway, *identity, boot, envelope.offset_ms, newest_ms, points, packed)


class _Rows(msgspec.Struct, frozen=True, gc=False):
    """The rows of a series: their numbers from `first` as deltas, and when they were.

    `rises` tells that there are several, each later than the one before; only then are there paces.
    """

    first: int
    seqs: list[int]
    start_ms: int
    times: list[int]  # from the start, as deltas of deltas
    low_ms: int
    high_ms: int
    rises: bool = False
    paces_ms: list[int] = []

    def points(self, values: list[float]) -> list[Point]:
        """Return a point a row."""
        if len(self.seqs) == 1:
            return [(self.low_ms, self.first + self.seqs[0], values[0])]
        times = islice(accumulate(accumulate(self.times), initial=self.start_ms), 1, None)
        seqs = islice(accumulate(self.seqs, initial=self.first), 1, None)
        return list(zip(times, seqs, values, strict=True))


def _rows(identity: Identity, series: _Series, shift_ms: int) -> _Rows:
    """Return the rows of a series, whose numbers are those of the envelope."""
    _, first, n = identity
    seqs, times = series.seqs, series.times
    if not seqs or len(times) != len(seqs):
        what = f"channel {series.channel[: codec.MAX_NAME]!r}: {len(seqs)} rows, {len(times)} times"
        raise Rejected(identity, what)
    if min(seqs) >= 0:  # in order, as nearly always
        low, high = seqs[0], sum(seqs)
    else:
        offsets = list(accumulate(seqs))
        low, high = min(offsets), max(offsets)
    if low < 0 or high >= n:
        raise Rejected(identity, "the rows are not the sequence numbers of the envelope, each once")
    if len(seqs) == 1:
        at_ms = shift_ms + times[0]
        return _Rows(first, seqs, shift_ms, times, at_ms, at_ms)
    paces = list(accumulate(times))
    low_ms = shift_ms + paces.pop(0)
    if min(paces) > 0:
        return _Rows(first, seqs, shift_ms, times, low_ms, low_ms + sum(paces), rises=True, paces_ms=paces)
    all_ms = list(accumulate(paces, initial=low_ms))
    return _Rows(first, seqs, shift_ms, times, min(all_ms), max(all_ms))


def _values(identity: Identity, known: _Followed, column: _Column) -> list[float]:
    """Return the values of a column."""
    deltas = _integers(column.deltas)
    try:
        if len(deltas) == 1:
            return [known.numbers[deltas[0]]]
        return list(map(known.numbers.__getitem__, accumulate(deltas)))
    except KeyError as error:
        channel, quantity = known.key
        raise Rejected(identity, f"channel {channel}: {quantity} has {error.args[0]} out of its range") from error


def _not_one_each(identity: Identity, known: _Followed) -> Rejected:
    channel, quantity = known.key
    return Rejected(identity, f"channel {channel}: {quantity} has not one value or reason a row")


def _present(identity: Identity, known: _Followed, column: _Column, rows: _Rows, values: list[float]) -> list[Point]:
    """Return the points of the rows that have a value."""
    absent = column.absent
    gone = absent[::2]
    rising = all(before < after for before, after in zip([-1, *gone], gone, strict=False))
    count = len(rows.seqs)
    if len(absent) % 2 or not rising or gone[-1] >= count or not _REASONS.issuperset(absent[1::2]):
        raise Rejected(identity, f"channel {known.key[0]}: {column.quantity} has impossible reasons")
    if len(values) + len(gone) != count:
        raise _not_one_each(identity, known)
    missing = set(gone)
    there = (point for row, point in enumerate(rows.points([0.0] * count)) if row not in missing)
    return [(ms, seq, value) for (ms, seq, _), value in zip(there, values, strict=True)]
