"""Messages to bytes and back: columnar scaled-integer deltas, MessagePack, zlib, CRC-32.

The decoder does not trust a byte: size before CRC, CRC before inflating, a bound on inflating, types by msgspec, then
the table of series, then every value: the table of the valid texts that came before is check and format in one look-up
at C speed, and a number that it does not have is refused or put into it. Written out in docs/protocol.md; golden
vectors in wire/vectors/.
"""

from __future__ import annotations

import zlib
from functools import cache, lru_cache
from itertools import accumulate, chain, islice, pairwise, repeat
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from wire.batch import Ack, AckItem, Batch, Block, Gap, Identity, Row, Source, key_of
from wire.quantities import MAX_SCALED, QUANTITIES, TABLE_STEPS, Quantity
from wire.reading import Reading, Reason
from wire.topics import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


VERSION = 1
BATCH, GAP = 1, 2

MAX_PACKET = 64 * 1024
MAX_INFLATED = 256 * 1024
MAX_VALUES = 2_000
MAX_READINGS = 500
MAX_NAME = 64  # bytes
EARLIEST_MS = 1_577_836_800_000  # 2020-01-01: no gocche gateway is older
FUTURE_MS = 10 * 60 * 1000
MAX_SEQ = 2**53
SHAPES = 8_192  # of series that are remembered: a few hundred bytes each
LAYOUTS = 2_048  # of messages of one row: some thousand bytes each
RARE = 4_096  # texts of a quantity that has more than 65,536 values

# Not MessagePack, no text, or nested deeper than any format of ours, be it in an element that is passed over.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_REASONS = frozenset(int(reason) for reason in Reason)
_SOURCES = {int(source): source for source in Source}


class Damaged(ValueError):
    """The bytes have no trustworthy identity: count them, keep them once, acknowledge nothing."""


class Rejected(ValueError):
    """The batch is intact and cannot be accepted: quarantine it whole under its identity."""

    def __init__(self, identity: Identity, reason: str) -> None:
        super().__init__(reason)
        self.identity = identity


class Early(Rejected):
    """The batch is dated `by_ms` beyond the present of whoever reads it: one of the two clocks is wrong."""

    def __init__(self, identity: Identity, reason: str, by_ms: int) -> None:
        super().__init__(identity, reason)
        self.by_ms = by_ms


class Envelope(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What stands around the frozen body. The first five elements keep their place in every version."""

    version: int
    kind: int
    epoch: bytes
    first: int
    n: int
    boot: bytes
    offset_ms: int | None
    source: int
    uncertainty_ms: int
    body: bytes


class _Head(msgspec.Struct, frozen=True, array_like=True, gc=False):
    version: int
    kind: int
    epoch: bytes
    first: int
    n: int


class _GapBody(msgspec.Struct, frozen=True, array_like=True, gc=False):
    reason: str


class _Column(msgspec.Struct, frozen=True, array_like=True, gc=False):
    quantity: str
    deltas: list[int]  # of the present values
    absent: list[int]  # row, reason, row, reason …


class _Series(msgspec.Struct, frozen=True, array_like=True, gc=False):
    channel: str
    seqs: list[int]  # offsets from the batch's first, as deltas
    times: list[int]  # offsets from the body's start in ms, as deltas of deltas
    columns: list[_Column]


class _Raw(msgspec.Struct, frozen=True, array_like=True, gc=False):
    series: int  # place in the body's table
    column: int  # place in the series
    rows: list[int]  # where the number stands beside a reason, as deltas
    deltas: list[int]  # of the scaled numbers


class _Body(msgspec.Struct, frozen=True, array_like=True, gc=False):
    start_ms: int
    series: list[_Series]
    raw: list[_Raw] = []  # only written where there is one: older readers pass over it


# A body in which nothing is absent, as nearly always. Tuples are taken apart faster than structs; what is otherwise is
# refused where it first is.
_WholeColumn = tuple[str, list[int], tuple[()]]
_WholeSeries = tuple[str, list[int], list[int], list[_WholeColumn]]
_WholeBody = tuple[int, list[_WholeSeries]]

_encoder = msgspec.msgpack.Encoder()
_envelopes = msgspec.msgpack.Decoder(Envelope)
_heads = msgspec.msgpack.Decoder(_Head)
_bodies = msgspec.msgpack.Decoder(_Body)
_whole_bodies = msgspec.msgpack.Decoder(_WholeBody)
_gaps = msgspec.msgpack.Decoder(_GapBody)
_acks = msgspec.msgpack.Decoder(Ack)


def _deltas(values: Iterable[int]) -> list[int]:
    before = 0
    out = []
    for value in values:
        out.append(value - before)
        before = value
    return out


def encode_body(readings: Sequence[Reading]) -> bytes:
    """Return the frozen body of consecutive readings, in this order.

    Raises ValueError where the readings break a limit of the contract: the spool must cut earlier.
    """
    if not 0 < len(readings) <= MAX_READINGS:
        raise ValueError(f"a batch has 1 to {MAX_READINGS} readings, not {len(readings)}")
    start = min(reading.mono_ms for reading in readings)
    rows: dict[str, list[tuple[int, Reading]]] = {}
    for offset, reading in enumerate(readings):
        rows.setdefault(reading.channel, []).append((offset, reading))
    series: list[_Series] = []
    raw: list[_Raw] = []
    total = 0
    for channel, own in rows.items():
        quantities = dict.fromkeys(q for _, reading in own for q in (*reading.values, *reading.reasons))
        total += len(own) * len(quantities)
        columns = [
            _Column(
                quantity,
                _deltas(reading.values[quantity] for _, reading in own if quantity in reading.values),
                [
                    number
                    for row, (_, reading) in enumerate(own)
                    if quantity not in reading.values
                    for number in (row, reading.reasons.get(quantity, Reason.NOT_REPORTED))
                ],
            )
            for quantity in quantities
        ]
        raw += _raw_of([reading for _, reading in own], len(series), quantities)
        seqs = _deltas(offset for offset, _ in own)
        times = _deltas(_deltas(reading.mono_ms - start for _, reading in own))
        series.append(_Series(channel, seqs, times, columns))
    if total > MAX_VALUES:
        raise ValueError(f"a batch has at most {MAX_VALUES} values, not {total}")
    return _encoder.encode((start, series, raw) if raw else (start, series))


def _raw_of(readings: Sequence[Reading], series: int, quantities: Iterable[str]) -> Iterator[_Raw]:
    """Yield the numbers that stand beside reasons, for each quantity of a series that has any."""
    for place, quantity in enumerate(quantities):
        beside = {
            row: reading.raw[quantity]
            for row, reading in enumerate(readings)
            if quantity in reading.raw and quantity not in reading.values
        }
        if beside:
            yield _Raw(series, place, _deltas(beside), _deltas(beside.values()))


def encode_gap(reason: str) -> bytes:
    """Return the body of a gap record."""
    return _encoder.encode((reason,))


def _seal(payload: bytes) -> bytes:
    return _checked(zlib.compress(payload, 6))


def _checked(squeezed: bytes) -> bytes:
    return squeezed + zlib.crc32(squeezed).to_bytes(4, "big")


def encode_message(envelope: Envelope) -> bytes:
    """Return the packet of one batch or gap record, ready to publish."""
    return _seal(_encoder.encode(envelope))


def encode_ack(utc_ms: int, items: Sequence[AckItem], asked: int | None = None) -> bytes:
    """Return the packet that acknowledges `items` and tells the time, to who `asked` for it at that moment of its boot.

    zlib clears 270 kB for each packet where it is not told that 512 bytes back are enough: ten times what this takes.
    """
    squeezer = zlib.compressobj(6, zlib.DEFLATED, wbits=9, memLevel=1)
    said = [VERSION, utc_ms, list(items)] if asked is None else [VERSION, utc_ms, list(items), asked]
    return _checked(squeezer.compress(_encoder.encode(said)) + squeezer.flush())


def _open(packet: bytes) -> bytes:
    if len(packet) > MAX_PACKET:
        raise Damaged(f"packet of {len(packet)} bytes, more than {MAX_PACKET}")
    squeezed, crc = packet[:-4], packet[-4:]
    if len(packet) < 5 or zlib.crc32(squeezed).to_bytes(4, "big") != crc:
        raise Damaged(f"CRC-32 of {len(packet)} bytes is wrong")
    inflater = zlib.decompressobj()
    try:
        payload = inflater.decompress(squeezed, MAX_INFLATED)
    except zlib.error as error:
        raise Damaged(f"not zlib: {error}") from error
    if not inflater.eof or inflater.unused_data:
        raise Damaged(f"inflates to more than {MAX_INFLATED} bytes, or breaks off")
    return payload


def decode_ack(packet: bytes) -> Ack:
    """Return the acknowledgements in a packet. Raises Damaged."""
    try:
        ack = _acks.decode(_open(packet))
    except msgspec.DecodeError as error:
        raise Damaged(f"not an acknowledgement: {error}") from error
    if ack.version != VERSION:
        raise Damaged(f"acknowledgement of version {ack.version}, not {VERSION}")
    for item in ack.items:
        if not (0 < item.first < MAX_SEQ and 0 < item.n < MAX_SEQ):
            raise Damaged(f"acknowledgement of first={item.first} n={item.n}: no gateway gives such numbers")
    return ack


def decode_message(gateway: str, packet: bytes, now_ms: int) -> Batch | Gap:
    """Return the checked batch or gap record in a packet that came from `gateway` at `now_ms` (UTC).

    Raises Damaged for bytes without a trustworthy identity, Rejected for a batch that must be quarantined
    whole: unknown version, kind or quantity, a value out of its range, a time before 2020 or over ten minutes ahead.
    """
    identity, envelope = opened(packet)
    try:
        if envelope.kind == GAP:
            return gap_of(gateway, identity, envelope)
        return _batch(gateway, identity, envelope, now_ms)
    except UNREADABLE as error:
        raise Rejected(identity, f"body: {error}") from error


def opened(packet: bytes) -> tuple[Identity, Envelope]:
    """Return the checked identity and the envelope of a batch or gap record. Raises Damaged, Rejected."""
    payload = _open(packet)
    try:
        envelope = _envelopes.decode(payload)
    except UNREADABLE as error:
        raise Rejected(_identity(payload), f"envelope: {error}") from error
    identity = _check_identity(envelope.epoch, envelope.first, envelope.n)
    if envelope.version != VERSION:
        raise Rejected(identity, f"version {envelope.version} is unknown here; this cloud reads {VERSION}")
    if envelope.kind not in (BATCH, GAP):
        raise Rejected(identity, f"kind {envelope.kind} is unknown here")
    return identity, envelope


def gap_of(gateway: str, identity: Identity, envelope: Envelope) -> Gap:
    """Return the gap record in an envelope. Raises one of UNREADABLE."""
    return Gap(gateway, *identity, _gaps.decode(envelope.body).reason[:MAX_NAME])


def _identity(payload: bytes) -> Identity:
    try:
        head = _heads.decode(payload)
    except UNREADABLE as error:
        raise Damaged(f"no envelope: {error}") from error
    return _check_identity(head.epoch, head.first, head.n)


def _check_identity(epoch: bytes, first: int, n: int) -> Identity:
    if len(epoch) != 8 or not 0 < first < MAX_SEQ or not 0 < n < MAX_SEQ:
        raise Damaged(f"identity ({epoch.hex()[:40]}, {first}, {n}) is impossible")
    return epoch.hex(), first, n


def _batch(gateway: str, identity: Identity, envelope: Envelope, now_ms: int) -> Batch:
    seconds = checked_uncertainty(identity, envelope)
    held = _whole(envelope, now_ms) if seconds is None else None
    if held is None:
        held = _blocks(identity, envelope, now_ms, seconds)
    source, boot = _SOURCES[envelope.source], envelope.boot.hex()
    return Batch(gateway, *identity, boot, envelope.offset_ms, source, envelope.uncertainty_ms, held)


def _whole(envelope: Envelope, now_ms: int) -> list[Block] | Row | None:
    """Return what a dated message holds that is valid and lacks nothing; None for another, read the long way."""
    if (offset_ms := envelope.offset_ms) is None:
        return None
    held: list[Block] | Row
    try:
        start_ms, table = _whole_bodies.decode(envelope.body)
        first, shift, key = envelope.first, start_ms + offset_ms, _key(envelope)
        if len(table) == envelope.n:  # many small messages are what costs most
            row = _row(table, first, shift, key)
            held, seqs, times = row, row.seqs, row.times_ms
        else:
            held = blocks = _whole_blocks(table, first, shift, key)
            seqs = [seq for block in blocks for seq in block.seqs]
            times = [ms for block in blocks for ms in block.times_ms]
    except (*UNREADABLE, LookupError, ValueError):
        return None
    if sorted(seqs) != [*range(first, first + envelope.n)]:
        return None
    return held if min(times) >= EARLIEST_MS and max(times) <= now_ms + FUTURE_MS else None


def _row(table: list[_WholeSeries], first: int, shift: int, key: int) -> Row:
    """Return what one reading of each channel says. Raises LookupError or ValueError where anything is wrong."""
    channels, seqs, times, columns = zip(*table, strict=True)
    names, numbers, _ = zip(*chain.from_iterable(columns), strict=True)
    layout = _layout(channels, tuple(map(len, columns)), names)
    texts = [of(number) for of, (number,) in zip(layout.texts, numbers, strict=True)]
    at = [first + seq for (seq,) in seqs], [shift + ms for (ms,) in times]
    return Row(layout.channels, layout.quantities, *at, texts, key)


def _whole_blocks(table: list[_WholeSeries], first: int, shift: int, key: int) -> list[Block]:
    """Return the blocks of all series. Raises LookupError or ValueError where anything is wrong with them."""
    if sum([len(seqs) * len(columns) for _, seqs, _, columns in table]) > MAX_VALUES:
        raise ValueError
    if len({channel for channel, *_ in table}) < len(table):
        raise ValueError
    return [_whole_block(series, first, shift, key) for series in table]


def _whole_block(series: _WholeSeries, first: int, shift: int, key: int) -> Block:
    channel, seqs, times, columns = series
    names, deltas, _ = zip(*columns, strict=True)
    shape = _shape(channel, names)
    if {*map(len, deltas), len(times)} != {len(seqs)}:
        raise ValueError
    texts = list(map(list, map(map, shape.texts, map(accumulate, deltas))))
    seqs = list(accumulate(seqs, initial=first))[1:]
    times = list(accumulate(accumulate(times), initial=shift))[1:]
    return Block(shape.channel, seqs, times, shape.names, texts, shape.whole, [], key)


def _blocks(identity: Identity, envelope: Envelope, now_ms: int, seconds: int | None) -> list[Block]:
    uncertainty = None if seconds is None else str(seconds)
    body = _bodies.decode(envelope.body)
    shift, key = body.start_ms + (envelope.offset_ms or 0), _key(envelope)
    beside = _by_series(identity, body) if body.raw else {}
    blocks, seqs, values = [], [], 0
    for place, series in enumerate(body.series):
        values += len(series.seqs) * max(len(series.columns), 1)
        if values > MAX_VALUES:
            raise Rejected(identity, f"more than {MAX_VALUES} values")
        block = _block(identity, series, beside.get(place, ()), shift, key, uncertainty)
        seqs += block.seqs
        blocks.append(block)
    whole = range(envelope.first, envelope.first + envelope.n)
    if sorted(seqs) != list(whole):
        raise Rejected(identity, "the rows are not the sequence numbers of the envelope, each once")
    if len({block.channel for block in blocks}) != len(blocks):
        raise Rejected(identity, "a channel stands twice in the table of series")
    if envelope.offset_ms is not None:
        _check_times(identity, blocks, now_ms)
    return blocks


def _key(envelope: Envelope) -> int:
    return 0 if envelope.offset_ms is None else key_of(envelope.epoch.hex(), envelope.offset_ms)


def checked_uncertainty(identity: Identity, envelope: Envelope) -> int | None:
    """Return how far the times of a bounded boot may be off, in seconds, rounded up; None for any other.

    Raises Rejected where that, the source of the date or the number of readings cannot be.
    """
    if envelope.n > MAX_READINGS:
        raise Rejected(identity, f"{envelope.n} readings, more than {MAX_READINGS}")
    if envelope.source not in _SOURCES:
        raise Rejected(identity, f"clock source {envelope.source} is unknown here")
    if envelope.source != Source.BOUNDED:
        return None
    quantity, seconds = QUANTITIES["clock_uncertainty"], -(-max(envelope.uncertainty_ms, 0) // 1000)
    if not quantity.plausible(seconds):
        raise Rejected(identity, f"the clock's uncertainty of {seconds} s is above {quantity.high:g} s")
    return seconds


def _check_times(identity: Identity, blocks: list[Block], now_ms: int) -> None:
    times = [block.times_ms for block in blocks]
    if not times or (min(map(min, times)) >= EARLIEST_MS and max(map(max, times)) <= now_ms + FUTURE_MS):
        return
    for block in blocks:
        low, high = min(block.times_ms), max(block.times_ms)
        if low < EARLIEST_MS:
            raise Rejected(identity, f"channel {block.channel}: time {low} ms is before 2020")
        if high > now_ms + FUTURE_MS:
            raise Early(identity, f"channel {block.channel}: time {high} ms is in the future", high - now_ms)


def _by_series(identity: Identity, body: _Body) -> dict[int, list[_Raw]]:
    """Return the raw numbers by the place of their series."""
    places = [(one.series, one.column) for one in body.raw]
    if any(before >= after for before, after in pairwise(places)):
        raise Rejected(identity, "raw numbers do not follow series and columns, each once")
    beside: dict[int, list[_Raw]] = {}
    for one in body.raw:
        if not 0 <= one.series < len(body.series):
            raise Rejected(identity, f"raw numbers of series {one.series}; there are {len(body.series)}")
        beside.setdefault(one.series, []).append(one)
    return beside


class _Shape(NamedTuple):
    """What all series of one channel with the same columns have in common: looked up once, checked once."""

    channel: str
    names: tuple[str, ...]
    texts: tuple[Callable[[int], str], ...]  # of each column: the text of a scaled number; KeyError out of its range
    whole: list[list[tuple[int, int]]]  # what is absent where nothing is; shared, so nobody may add to it


@lru_cache(SHAPES)
def _shape(channel: str, names: tuple[str, ...]) -> _Shape:
    """Return the shape of a series. Raises ValueError in words where there is none."""
    if not CHANNEL.fullmatch(channel):
        raise ValueError(f"channel {channel[:MAX_NAME]!r} is not [a-z0-9-]{{1,32}}")
    for name in names:
        if name not in QUANTITIES:
            raise ValueError(f"channel {channel}: quantity {name[:MAX_NAME]!r} is unknown here")
    if len(set(names)) != len(names):
        raise ValueError(f"channel {channel}: a quantity stands twice")
    own = tuple(QUANTITIES[name].name for name in names)
    return _Shape(channel, own, tuple(_table(name).__getitem__ for name in own), [[] for _ in own])


class _Layout(NamedTuple):
    """What all messages that have one reading of each of these channels have in common."""

    channels: tuple[str, ...]
    quantities: tuple[tuple[str, ...], ...]
    texts: tuple[Callable[[int], str], ...]  # of all columns, as a shape has them


@lru_cache(LAYOUTS)
def _layout(channels: tuple[str, ...], widths: tuple[int, ...], names: tuple[str, ...]) -> _Layout:
    """Return the layout of a message. Raises ValueError where there is none."""
    if 0 in widths or len(names) > MAX_VALUES or len({*channels}) < len(channels):
        raise ValueError
    rest = iter(names)
    shapes = [_shape(own, tuple(islice(rest, width))) for own, width in zip(channels, widths, strict=True)]
    own, quantities, texts, _ = zip(*shapes, strict=True)
    return _Layout(own, quantities, tuple(chain.from_iterable(texts)))


def _block(
    identity: Identity, series: _Series, beside: Iterable[_Raw], shift: int, key: int, uncertainty: str | None
) -> Block:
    rows, columns = len(series.seqs), series.columns
    try:
        shape = _shape(series.channel, tuple([column.quantity for column in columns]))
    except ValueError as error:
        raise Rejected(identity, str(error)) from error
    channel = shape.channel
    if not rows or len(series.times) != rows:
        raise Rejected(identity, f"channel {channel}: {rows} rows, {len(series.times)} times")
    deltas = [column.deltas for column in columns]
    holes = [column.absent for column in columns]
    holed = any(holes)
    if holed or [*map(len, deltas)].count(rows) != len(columns):
        _check_rows(identity, series, rows)
    try:
        texts = [list(map(of, accumulate(own))) for of, own in zip(shape.texts, deltas, strict=True)]
    except KeyError as error:
        raise Rejected(identity, _outside(series, error.args[0])) from error
    quantities, absent = shape.names, shape.whole
    if holed:
        absent = [_absent(identity, channel, column, own, rows) for column, own in zip(columns, texts, strict=True)]
    if uncertainty is not None:
        quantities, texts, absent = (*quantities, "clock_uncertainty"), [*texts, [uncertainty] * rows], [*absent, []]
    raw = [found for one in beside for found in _raw(identity, series, one)] if beside else []
    seqs = list(accumulate(series.seqs, initial=identity[1]))[1:]
    times = list(accumulate(accumulate(series.times), initial=shift))[1:]
    return Block(channel, seqs, times, quantities, texts, absent, raw, key)


def _check_rows(identity: Identity, series: _Series, rows: int) -> None:
    for column in series.columns:
        if len(column.deltas) + len(column.absent) // 2 != rows or len(column.absent) % 2:
            what = f"channel {series.channel}: {column.quantity} has not one value or reason a row"
            raise Rejected(identity, what)


def _outside(series: _Series, scaled: int) -> str:
    """Return what is wrong with the first number of a series that its quantity does not have."""
    (quantity, *_) = (
        quantity
        for column in series.columns
        for quantity in [QUANTITIES[column.quantity]]
        if not quantity.scale(quantity.low) <= scaled <= quantity.scale(quantity.high)
        and scaled in accumulate(column.deltas)
    )
    rule = f"not within {quantity.low:g} to {quantity.high:g} {quantity.unit}"
    return f"channel {series.channel}: {quantity.name} = {quantity.text(int(scaled))} is {rule}"


def _absent(identity: Identity, channel: str, column: _Column, texts: list[str], rows: int) -> list[tuple[int, int]]:
    """Return the absent values as (row, reason), and put their empty texts between the others."""
    absent = list(zip(column.absent[::2], column.absent[1::2], strict=True))
    before = -1
    for row, reason in absent:
        if not before < row < rows or reason not in _REASONS:
            raise Rejected(identity, f"channel {channel}: {column.quantity} row {row} reason {reason} is impossible")
        texts.insert(row, "")
        before = row
    return absent


def _raw(identity: Identity, series: _Series, one: _Raw) -> Iterator[tuple[int, str, str]]:
    """Return (row, quantity, text) of one column's raw numbers: each beside a reason, so the limit on values holds."""
    if not 0 <= one.column < len(series.columns):
        raise Rejected(identity, f"channel {series.channel}: raw numbers of column {one.column}")
    column = series.columns[one.column]
    quantity = QUANTITIES[column.quantity]
    rows, numbers = list(accumulate(one.rows)), list(accumulate(one.deltas))
    rising = all(before < after for before, after in pairwise(rows))
    if len(rows) != len(numbers) or not rising or not set(column.absent[::2]).issuperset(rows):
        raise Rejected(
            identity, f"channel {series.channel}: {quantity.name} has raw numbers without a reason beside them"
        )
    if any(abs(number) >= MAX_SCALED for number in numbers):
        raise Rejected(identity, f"channel {series.channel}: {quantity.name} has a raw number of 2^53 or more")
    return zip(rows, repeat(quantity.name), map(quantity.text, numbers), strict=False)


class _Table(dict[int, str]):
    """The text of each valid value that ever came, at most so many; whoever asks for another one is refused.

    Check and text are one look-up at C speed. Whole tables of all quantities took 80 MB in each process.
    """

    def __init__(self, quantity: Quantity) -> None:
        super().__init__()
        self._quantity = quantity
        self._low, self._high = quantity.scale(quantity.low), quantity.scale(quantity.high)
        self._room = TABLE_STEPS if quantity.steps <= TABLE_STEPS else RARE  # of wider ones few come again

    def __missing__(self, scaled: int) -> str:
        if not self._low <= scaled <= self._high:
            raise KeyError(scaled)
        text = self._quantity.text(scaled)
        if len(self) < self._room:
            self[scaled] = text
        return text


@cache
def _table(name: str) -> _Table:
    return _Table(QUANTITIES[name])
