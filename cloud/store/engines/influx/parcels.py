"""What each entry of a commit becomes: the lines of its readings and of its ledger row, in bodies of a bounded size."""

from __future__ import annotations

import zlib
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from cloud.store.engines.influx.lines import NONE, numbered, quoted, tagged, text_of, text_of_row
from cloud.store.engines.influx.order import NUMBERED, word_of, word_of_row
from cloud.store.keys import MS_NS, NO_SPAN, span_ns
from cloud.store.ledger import LATE, VERDICTS, Refusal, code
from wire.batch import Batch, Gap, Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cloud.store.ledger import Entry
    from wire.batch import Block


NEAR = 10_000  # sequence numbers
MAX_LINES, MAX_BYTES = 5_000, 1_000_000  # of one body: 5,000 lines is where influxd is fastest, 1 MB far from its 25


class Parcel(msgspec.Struct, frozen=True, gc=False):
    """One entry as it is sent: the lines of its readings, each with its end, and what its ledger row says.

    `seqs` are the numbers of the lines, `fraction` is where within its millisecond the ledger row is to lie, and `late`
    the batch itself, where some of it is older than single readings are kept.
    """

    gateway: str
    epoch: str
    first: int
    n: int
    verdict: int
    fraction: int
    span: tuple[int, int] = NO_SPAN
    words: str = ""
    order: str = NUMBERED
    seqs: list[int] = []
    readings: bytes = b""
    late: Batch | None = None

    def lines(self) -> list[tuple[int, str]]:
        """Return the lines again, each with its sequence number: asked for only when some of them were refused.

        They are numbered, as nobody knows yet which of them will be there.
        """
        pairs = zip(self.seqs, self.readings.decode().splitlines(), strict=True)
        return [(seq, line if self.order == NUMBERED else numbered(seq, line)) for seq, line in pairs]


class Posted(NamedTuple):
    """A parcel, its place in the commit, and the time that its ledger row lies under."""

    number: int
    parcel: Parcel
    time_ns: int

    def told(self, refused: int = 0, order: str = "") -> str:
        """Return its ledger line, all of it in one field: each would bring a time of its own.

        `readings` stands beside it, because by a number the database finds the end of a page without unpacking texts.
        The epoch is no tag: a gateway has a new one at each boot, and of one tag InfluxDB 1.8 takes 100,000 values.
        `refused` readings stand in quarantine. `order` is the parcel's where nothing else is said.
        """
        own, (low, high) = self.parcel, self.parcel.span
        order = order or own.order
        row = f"{own.epoch or NONE} {own.first} {own.n} {own.verdict} {refused} {low} {high - low} {order} {own.words}"
        return f"batch,{tagged(own.gateway)} readings={own.n}i,row={quoted(row)} {self.time_ns}\n"


def pack(entry: Entry, since_ms: int = 0) -> Parcel:
    """Return an entry as lines, once.

    Readings of before `since_ms` have expired: the ledger tells of them, and they are not among the lines.
    """
    if isinstance(entry, Parcel):
        return entry
    who = entry.gateway, entry.epoch, entry.first, entry.n, code(entry)
    if isinstance(entry, Gap | Refusal):
        return Parcel(*who, _fraction(entry, NO_SPAN), words=entry.reason)
    if not isinstance(entry, Batch):
        raise TypeError(f"{type(entry).__name__} was packed for another engine")
    if isinstance(entry.held, Row) and (parcel := _of_row(entry, entry.held, since_ms)) is not None:
        return parcel
    blocks = entry.blocks
    times = [block.stored_ns() for block in blocks]
    span, words, order = span_ns(times), "", NUMBERED
    late = span[0] < since_ms * MS_NS
    if late:
        blocks = _since(blocks, since_ms)
        times = [block.stored_ns() for block in blocks]
        words = LATE if not blocks else ""
    elif blocks:
        order = word_of(blocks, times)
    found = [text_of(entry.gateway, *one) for one in zip(blocks, times, strict=True)]
    seqs, readings = list(chain.from_iterable([own for own, _ in found])), "".join([text for _, text in found])
    if order == NUMBERED:
        pairs = zip(seqs, readings.splitlines(), strict=True)
        readings = "".join([f"{numbered(*pair)}\n" for pair in pairs])
    return Parcel(*who, _fraction(entry, span), span, words, order, seqs, readings.encode(), entry if late else None)


def _of_row(batch: Batch, row: Row, since_ms: int) -> Parcel | None:
    """Return a batch that is a row, as the general way would; None where that is not so simple."""
    times = [ms * MS_NS + row.key for ms in row.times_ms]
    span, order = (min(times), max(times)), word_of_row(row.channels, row.seqs, times)
    if span[0] < since_ms * MS_NS or order == NUMBERED:
        return None
    readings, fraction = text_of_row(batch.gateway, row, times), _fraction(batch, span)
    return Parcel(batch.gateway, *batch.identity, code(batch), fraction, span, "", order, row.seqs, readings.encode())


def posted(parcels: Iterable[Parcel], arrival_ms: int) -> Iterator[Posted]:
    """Yield the parcels of a commit, each ledger row under a time of its own within its millisecond."""
    taken: dict[tuple[str, int], tuple[str, int, int, tuple[int, int]]] = {}
    for number, parcel in enumerate(parcels):
        fraction, content = parcel.fraction, (parcel.epoch, parcel.first, parcel.n, parcel.span)
        while taken.setdefault((parcel.gateway, fraction), content) != content:
            fraction = (fraction + len(VERDICTS)) % MS_NS
        yield Posted(number, parcel, arrival_ms * MS_NS + fraction)


def _since(blocks: list[Block], since_ms: int) -> list[Block]:
    kept = [block.picked([ms >= since_ms for ms in block.times_ms]) for block in blocks]
    return [block for block in kept if block.seqs]


def _fraction(entry: Entry, span: tuple[int, int]) -> int:
    """Return what tells ledger rows of one millisecond apart, whichever process writes them.

    Batches of one epoch that lie within 10,000 readings for sure; other readings under the same numbers, or those of
    another epoch, but for chance, 1 in 33.
    """
    near = entry.first % NEAR * len(VERDICTS) + code(entry)
    ways = MS_NS // (NEAR * len(VERDICTS))
    return near + NEAR * len(VERDICTS) * (zlib.crc32(f"{entry.epoch} {entry.n} {span}".encode()) % ways)


def groups(parcels: Iterable[Posted]) -> Iterator[list[Posted]]:
    """Yield parcels as they share a body; one parcel is never split (500 readings are far below the limits)."""
    group: list[Posted] = []
    lines = size = 0
    for one in parcels:
        own_lines, own_size = len(one.parcel.seqs) + 1, len(one.parcel.readings) + 500
        if group and (lines + own_lines > MAX_LINES or size + own_size > MAX_BYTES):
            yield group
            group, lines, size = [], 0, 0
        group.append(one)
        lines, size = lines + own_lines, size + own_size
    if group:
        yield group
