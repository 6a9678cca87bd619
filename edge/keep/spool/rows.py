"""Rows of the spool as values: frozen batches, chunks of uncut readings, and the CRC-32 that guards each.

SQLite does not checksum its main file: in 132 of 200 trials one flipped bit passed its own check with wrong content.
So a CRC covers the bytes and every field that makes no sense when one bit of it is wrong. No input or output here.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import msgspec

from wire.batch import Identity, Source
from wire.codec import BATCH, GAP, MAX_READINGS, MAX_VALUES, VERSION, Envelope, encode_body, encode_gap, encode_message
from wire.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edge.clock import Anchor

FreshRow = tuple[int, int, str, int, bytes]  # first, n, boot, crc, bytes
Date = tuple[int | None, int, int, int]  # offset in ms, source, uncertainty in ms, and their CRC
COLUMNS = (
    "epoch, first, n, kind, boot, first_ms, last_ms, offset_ms, source, uncertainty_ms, date_crc, urgent, crc, bytes"
)
_NO_BOOT = "00" * 8

_readings = msgspec.msgpack.Decoder(list[Reading])
_encoder = msgspec.msgpack.Encoder()


class Kept(msgspec.Struct, frozen=True):
    """One frozen batch or gap record as it lies in the spool."""

    id: int
    identity: Identity
    kind: int
    boot: str
    first_ms: int
    last_ms: int
    offset_ms: int | None
    source: int
    uncertainty_ms: int
    urgent: bool
    body: bytes

    def packet(self) -> bytes:
        """Return the message to publish."""
        epoch, first, n = self.identity
        return encode_message(
            Envelope(
                VERSION, self.kind, bytes.fromhex(epoch), first, n, bytes.fromhex(self.boot),
                self.offset_ms, self.source, self.uncertainty_ms, self.body,
            )
        )  # fmt: skip


def crc32(*fields: object, body: bytes = b"") -> int:
    """Return the CRC-32 of some fields and bytes."""
    return zlib.crc32(body, zlib.crc32(repr(fields).encode()))


def deflated(body: bytes) -> bytes:
    """Return bytes as they lie in the file: deflated where that is shorter.

    What is deflated begins with 0x78, as no body of ours does (MessagePack: an array begins with 0x90 or above).
    """
    short = zlib.compress(body)
    return short if len(short) < len(body) else body


def inflated(stored: bytes) -> bytes:
    """Return a body again; its CRC was right. Rows of the file's first version were never deflated."""
    return zlib.decompress(stored) if stored[:1] == b"\x78" else stored


def date(boot: str, anchor: Anchor | None, first_ms: int, last_ms: int) -> Date:
    """Return the columns that date a batch of a boot; without an anchor it is undated."""
    offset, source, uncertainty = (
        (None, int(Source.NONE), 0)
        if anchor is None
        else (anchor.offset_ms, int(anchor.source), anchor.off_ms(first_ms, last_ms))
    )
    return offset, source, uncertainty, crc32(boot, offset, source, uncertainty)


def kept(number: int, row: tuple[Any, ...]) -> Kept | None:
    """Return a row (COLUMNS) as a batch, or None where it fails one of its CRCs."""
    epoch, first, n, kind, boot, first_ms, last_ms, offset, source, uncertainty, date_crc, urgent, crc, body = row
    if not isinstance(body, bytes):
        return None
    whole = crc == crc32(epoch, first, n, kind, boot, first_ms, last_ms, urgent, body=body)
    if not whole or date_crc != crc32(boot, offset, source, uncertainty):
        return None
    return Kept(
        number, (epoch, first, n), kind, boot, first_ms, last_ms, offset, source, uncertainty, bool(urgent),
        inflated(body),
    )  # fmt: skip


def row(one: Kept) -> tuple[Any, ...]:
    """Return a batch as a row (COLUMNS) with both CRCs."""
    fields = (*one.identity, one.kind, one.boot, one.first_ms, one.last_ms)
    dated = (one.offset_ms, int(one.source), one.uncertainty_ms)
    urgent, stored = int(one.urgent), deflated(one.body)
    return (
        *fields, *dated, crc32(one.boot, *dated), urgent, crc32(*fields, urgent, body=stored), stored,
    )  # fmt: skip


def gap(epoch: str, first: int, n: int, reason: str) -> Kept:
    """Return a gap record."""
    return Kept(0, (epoch, first, n), GAP, _NO_BOOT, 0, 0, None, Source.NONE, 0, urgent=False, body=encode_gap(reason))


def fresh_rows(first: int, readings: Iterable[Reading], boot: str) -> list[FreshRow]:
    """Return uncut readings as rows, in chunks that never exceed a batch."""
    made: list[FreshRow] = []
    for chunk in _chunks(readings):
        body = deflated(_encoder.encode(chunk))
        made.append((first, len(chunk), boot, crc32(first, len(chunk), boot, body=body), body))
        first += len(chunk)
    return made


def _chunks(readings: Iterable[Reading]) -> Iterator[list[Reading]]:
    chunk: list[Reading] = []
    values = 0
    for reading in readings:
        size = len(reading.values) + len(reading.reasons)
        if chunk and (len(chunk) == MAX_READINGS or values + size > MAX_VALUES):
            yield chunk
            chunk, values = [], 0
        chunk.append(reading)
        values += size
    if chunk:
        yield chunk


class Pack:
    """Readings of one boot with running numbers, as long as they fit one batch."""

    def __init__(self, boot: str, first: int) -> None:
        self.boot, self.first = boot, first
        self.readings: list[Reading] = []
        self._names: dict[str, set[str]] = {}
        self._rows: dict[str, int] = {}
        self._values = 0

    @property
    def end(self) -> int:
        """The number after the last reading's."""
        return self.first + len(self.readings)

    def takes(self, boot: str, seq: int, reading: Reading) -> bool:
        """Add the reading unless another batch must begin with it; tell whether it was added."""
        names = self._names.get(reading.channel, set())
        wider = names | reading.values.keys() | reading.reasons.keys()
        count = self._rows.get(reading.channel, 0)
        values = self._values - count * len(names) + (count + 1) * len(wider)
        fits = len(self.readings) < MAX_READINGS and values <= MAX_VALUES
        if self.readings and not (boot == self.boot and seq == self.end and fits):
            return False
        self._names[reading.channel], self._rows[reading.channel], self._values = wider, count + 1, values
        self.readings.append(reading)
        return True

    def batch(self, epoch: str, anchor: Anchor | None, *, urgent: bool) -> Kept:
        """Return the frozen batch."""
        times = [reading.mono_ms for reading in self.readings]
        first_ms, last_ms = min(times), max(times)
        identity = (epoch, self.first, len(self.readings))
        return Kept(
            0, identity, BATCH, self.boot, first_ms, last_ms, *date(self.boot, anchor, first_ms, last_ms)[:3],
            urgent=urgent, body=encode_body(self.readings),
        )  # fmt: skip


def is_fresh(row: tuple[Any, ...]) -> bool:
    """Tell whether a row of a damaged file has the types of a FreshRow."""
    return all(map(isinstance, row, (int, int, str, int, bytes)))


def end(fresh: Iterable[FreshRow]) -> int:
    """Return the number after the last reading's, as far as a row can be believed whose CRC is wrong."""
    return max((first + min(max(n, 1), MAX_READINGS) for first, n, *_ in fresh), default=0)


def packs(fresh: Iterable[FreshRow]) -> Iterator[Pack]:
    """Yield packs that each fit one batch, oldest first; rows whose CRC is wrong leave a hole in the numbers."""
    pack: Pack | None = None
    for first, n, boot, crc, body in fresh:
        if crc32(first, n, boot, body=body) != crc:
            continue
        for seq, reading in enumerate(_readings.decode(inflated(body)), first):
            if pack is None or not pack.takes(boot, seq, reading):
                if pack is not None:
                    yield pack
                pack = Pack(boot, seq)
                pack.takes(boot, seq, reading)
    if pack is not None:
        yield pack
