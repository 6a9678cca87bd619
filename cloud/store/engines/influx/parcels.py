"""What each entry of a commit becomes: the lines of its readings and of its ledger row, in bodies of a bounded size."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgspec

from cloud.store.engines.influx.lines import NONE, lines, quoted, tagged, text_of
from cloud.store.engines.influx.order import NUMBERED, word_of
from cloud.store.keys import MS_NS, span_ns
from cloud.store.ledger import LATE, VERDICTS, Refusal, code
from wire.batch import Batch, Block, Gap

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


NEAR = 10_000  # sequence numbers
MAX_LINES, MAX_BYTES = 5_000, 1_000_000  # of one body: 5,000 lines is where influxd is fastest, 1 MB far from its 25


class Row(msgspec.Struct, frozen=True, gc=False):
    """A ledger row on its way in."""

    entry: Batch | Gap | Refusal
    time_ns: int
    span: tuple[int, int]
    words: str = ""
    order: str = NUMBERED

    def line(self, refused: int = 0, order: str = NUMBERED) -> str:
        """Return the row in line protocol, all of it in one field: each would bring a time of its own.

        `readings` stands beside it, because by a number the database finds the end of a page without unpacking texts.
        The epoch is no tag: a gateway has a new one at each boot, and of one tag InfluxDB 1.8 takes 100,000 values.
        `refused` readings stand in quarantine.
        """
        entry, (low, high) = self.entry, self.span
        words = self.words if isinstance(entry, Batch) else entry.reason
        told = (
            f"{entry.epoch or NONE} {entry.first} {entry.n} {code(entry)} {refused} {low} {high - low} {order} {words}"
        )
        return f"batch,{tagged(entry.gateway)} readings={entry.n}i,row={quoted(told)} {self.time_ns}\n"


class Parcel(msgspec.Struct, frozen=True, gc=False):
    """What one entry becomes: the lines of its readings as one text, and its ledger row. Every line has its end."""

    number: int
    blocks: list[Block]
    readings: str
    row: Row

    def text(self) -> str:
        """Return all its lines, the ledger's last."""
        return self.readings + self.told()

    def told(self) -> str:
        """Return its ledger line, where the database took all of its readings."""
        return self.row.line(order=self.row.order)

    def lines(self) -> list[tuple[int, str]]:
        """Return the lines again, each with its sequence number: asked for only when some of them were refused.

        They are numbered, as nobody knows yet which of them will be there.
        """
        gateway = self.row.entry.gateway
        return [line for block in self.blocks for line in lines(gateway, block, block.stored_ns(), numbered=True)]


def parcels(entries: Sequence[Batch | Gap | Refusal], arrival_ms: int, since_ms: int = 0) -> Iterator[Parcel]:
    """Yield the entries as lines, each ledger row under a time of its own within its millisecond.

    Readings of before `since_ms` have expired: the ledger tells of them, and they are not among the lines.
    """
    taken: dict[tuple[str, int], tuple[str, int, int, tuple[int, int]]] = {}
    for number, entry in enumerate(entries):
        blocks: list[Block] = []
        times: list[list[int]] = []
        span, words, order = (0, 0), "", NUMBERED
        if isinstance(entry, Batch):
            blocks, times = entry.blocks, [block.stored_ns() for block in entry.blocks]
            span = span_ns(times)
            if span[0] < since_ms * MS_NS:
                blocks = _since(blocks, since_ms)
                times = [block.stored_ns() for block in blocks]
                words = LATE if not blocks else ""
            elif blocks:
                order = word_of(blocks, times)
        numbered = order == NUMBERED
        readings = "".join([text_of(entry.gateway, *one, numbered=numbered) for one in zip(blocks, times, strict=True)])
        fraction = _fraction(entry, span)
        content = (entry.epoch, entry.first, entry.n, span)
        while taken.setdefault((entry.gateway, fraction), content) != content:
            fraction = (fraction + len(VERDICTS)) % MS_NS
        row = Row(entry, arrival_ms * MS_NS + fraction, span, words, order)
        yield Parcel(number, blocks, readings, row)


def _since(blocks: list[Block], since_ms: int) -> list[Block]:
    kept = [block.picked([ms >= since_ms for ms in block.times_ms]) for block in blocks]
    return [block for block in kept if block.seqs]


def _fraction(entry: Batch | Gap | Refusal, span: tuple[int, int]) -> int:
    """Return what tells ledger rows of one millisecond apart, whichever process writes them.

    Batches of one epoch that lie within 10,000 readings for sure; other readings under the same numbers, or those of
    another epoch, but for chance, 1 in 33.
    """
    near = entry.first % NEAR * len(VERDICTS) + code(entry)
    ways = MS_NS // (NEAR * len(VERDICTS))
    return near + NEAR * len(VERDICTS) * (zlib.crc32(f"{entry.epoch} {entry.n} {span}".encode()) % ways)


def groups(parcels: Iterable[Parcel]) -> Iterator[list[Parcel]]:
    """Yield parcels as they share a body; one parcel is never split (500 readings are far below the limits)."""
    group: list[Parcel] = []
    lines = size = 0
    for parcel in parcels:
        own_lines, own_size = parcel.readings.count("\n") + 1, len(parcel.readings) + 500
        if group and (lines + own_lines > MAX_LINES or size + own_size > MAX_BYTES):
            yield group
            group, lines, size = [], 0, 0
        group.append(parcel)
        lines, size = lines + own_lines, size + own_size
    if group:
        yield group
