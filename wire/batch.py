"""What a message is once decoded: a batch of readings, or a gap record that says which readings will never come."""

from __future__ import annotations

import zlib
from collections import Counter
from enum import IntEnum
from functools import lru_cache
from itertools import compress, islice
from typing import TYPE_CHECKING

import msgspec

from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Identity = tuple[str, int, int]  # (epoch, first, n): what is sent, stored, ledgered and acknowledged as one
MS_NS = 1_000_000
STEP_MS, NEAR, FAR = 50, 100, 10_000  # see key_of; NEAR · FAR is a millisecond


class Source(IntEnum):
    """Where the boot's date comes from. The codes cross the network: never reuse one."""

    NONE = 0
    NTP = 1
    GNSS = 2
    MODEM = 3
    RTC = 4
    ACK = 5
    BOUNDED = 6  # the boot died undated: its times are only bounded by the boots around it


class Verdict(IntEnum):
    """What the cloud did with a batch. The codes cross the network: never reuse one."""

    STORED = 0
    QUARANTINED = 1
    LATER = 2
    UNDATED = 3


class Dated(msgspec.Struct, frozen=True):
    """One reading as people and rules see it. `utc_ms` is None while the boot has no date."""

    gateway: str
    epoch: str
    seq: int
    channel: str
    utc_ms: int | None
    values: dict[str, float]
    reasons: dict[str, Reason]
    bounded: bool = False


class Block(msgspec.Struct, frozen=True, gc=False):
    """All readings of one channel in one batch, as columns.

    `times_ms` are UTC where the batch is dated, else monotonic. `columns[i][row]` is the decimal text of
    `quantities[i]`, or "" where the value is absent; then `absent[i]` has (row, reason code). `raw` has (row, quantity,
    decimal text) of the numbers that came beside a reason. They are for stores alone: `Batch.readings`, which rules and
    pages read, never yields them. `key` is the batch's (`key_of`), 0 where it is undated.
    """

    channel: str
    seqs: list[int]
    times_ms: list[int]
    quantities: tuple[str, ...]
    columns: list[list[str]]
    absent: list[list[tuple[int, int]]]
    raw: list[tuple[int, str, str]] = []
    key: int = 0

    def stored_ns(self) -> list[int]:
        """Return the stored time of each row: ms · 10⁶ + key, in ns; a second row of one millisecond has another key.

        So no two readings ever merge, and times of one key are whole milliseconds apart, which databases compress.
        """
        key = self.key
        times = [ms * MS_NS + key for ms in self.times_ms]
        return times if len(times) == 1 or len(set(times)) == len(times) else self._apart()

    def picked(self, kept: Sequence[bool]) -> Block:
        """Return the rows for which `kept` is true."""
        place = {row: at for at, row in enumerate(compress(range(len(kept)), kept))}
        return msgspec.structs.replace(
            self,
            seqs=list(compress(self.seqs, kept)),
            times_ms=list(compress(self.times_ms, kept)),
            columns=[list(compress(column, kept)) for column in self.columns],
            absent=[[(place[row], code) for row, code in pairs if row in place] for pairs in self.absent],
            raw=[(place[row], quantity, text) for row, quantity, text in self.raw if row in place],
        )

    def _apart(self) -> list[int]:
        near, far = divmod(self.key, FAR)
        seen: Counter[int] = Counter()
        times = []
        for ms in self.times_ms:
            times.append(ms * MS_NS + near * FAR + (far + seen[ms]) % FAR)
            seen[ms] += 1
        return times


class Row(msgspec.Struct, frozen=True, gc=False):
    """One reading of each of some channels, in which nothing is absent, as most small batches are: blocks, laid flat.

    `texts` are the values of all channels, one after the other, as `quantities` names them by channel.
    """

    channels: tuple[str, ...]
    quantities: tuple[tuple[str, ...], ...]
    seqs: list[int]
    times_ms: list[int]
    texts: list[str]
    key: int

    def blocks(self) -> list[Block]:
        """Return the same as blocks."""
        texts, out = iter(self.texts), []
        for channel, names, seq, ms in zip(self.channels, self.quantities, self.seqs, self.times_ms, strict=True):
            columns = [[text] for text in islice(texts, len(names))]
            out.append(Block(channel, [seq], [ms], names, columns, [[] for _ in names], key=self.key))
        return out


@lru_cache(8_192)  # a boot keeps its own for all of its batches
def key_of(epoch: str, offset_ms: int) -> int:
    """Return what stands below the millisecond in the stored times of a batch: 0 … 999,999.

    It tells apart what could share a millisecond: epochs (two gateways under one name), and within an epoch dates that
    differ. A clock that is put back by 50 ms to 5 s changes the upper two digits for sure, by more the lower four as
    well, by chance of a checksum. No channel is polled more often than each 50 ms.
    """
    return offset_ms // STEP_MS % NEAR * FAR + zlib.crc32(f"{epoch} {offset_ms // (STEP_MS * NEAR)}".encode()) % FAR


class Batch(msgspec.Struct, frozen=True, gc=False):
    """One decoded and checked batch of one gateway. `held` is what it holds, `blocks` the same in one form."""

    gateway: str
    epoch: str
    first: int
    n: int
    boot: str
    offset_ms: int | None
    source: Source
    uncertainty_ms: int
    held: list[Block] | Row

    @property
    def blocks(self) -> list[Block]:
        """Its readings by channel; made when asked for where they are a row."""
        return self.held.blocks() if isinstance(self.held, Row) else self.held

    @property
    def identity(self) -> Identity:
        """The key under which it is stored once and acknowledged."""
        return self.epoch, self.first, self.n

    def readings(self) -> Iterator[Dated]:
        """Yield the readings in order of sequence number, values as numbers."""
        blocks = self.blocks
        rows = [(seq, block, row) for block in blocks for row, seq in enumerate(block.seqs)]
        rows.sort(key=lambda item: item[0])
        reasons = {
            (block.channel, quantity, row): Reason(code)
            for block in blocks
            for quantity, pairs in zip(block.quantities, block.absent, strict=True)
            for row, code in pairs
        }
        for seq, block, row in rows:
            present = zip(block.quantities, block.columns, strict=True)
            yield Dated(
                gateway=self.gateway,
                epoch=self.epoch,
                seq=seq,
                channel=block.channel,
                utc_ms=None if self.offset_ms is None else block.times_ms[row],
                values={quantity: float(column[row]) for quantity, column in present if column[row]},
                reasons={
                    q: reasons[block.channel, q, row] for q in block.quantities if (block.channel, q, row) in reasons
                },
                bounded=self.source is Source.BOUNDED,
            )


RENAMED = "renamed"  # why a gateway with another id declares what the cloud has of an epoch under its old one


class Gap(msgspec.Struct, frozen=True, gc=False):
    """Readings that the edge declares lost: dropped by quota, or damaged at rest. Those RENAMED are not."""

    gateway: str
    epoch: str
    first: int
    n: int
    reason: str

    @property
    def identity(self) -> Identity:
        """The key under which it is stored once and acknowledged."""
        return self.epoch, self.first, self.n


class AckItem(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The cloud's answer for one batch. `seconds` and `spread` say how long to wait, for `later` only."""

    epoch: bytes
    first: int
    n: int
    code: int
    words: str
    seconds: int = 0
    spread: int = 0


class Ack(msgspec.Struct, frozen=True, array_like=True):
    """Acknowledgements of one gateway. An empty list tells the time: the answer to a birth.

    `asked` says which status or beat this answers, by its time in the gateway's boot; None where it answers none, or
    comes from a cloud that does not say so.
    """

    version: int
    utc_ms: int
    items: list[AckItem]
    asked: int | None = None


class Unstored(msgspec.Struct, frozen=True):
    """A value that the gateway could not make safe, told all the same: for alerts, never stored as a reading.

    `mono_ms` counts in the gateway's boot; `utc_ms` is None while that has no date. `value` is in the quantity's unit.
    """

    channel: str
    quantity: str
    value: float
    mono_ms: int
    utc_ms: int | None = None


class Status(msgspec.Struct, frozen=True, omit_defaults=False):
    """The retained status of a gateway: birth, changes, clean stop and last will."""

    v: int
    state: str  # online | stopped | offline
    boot: str = ""
    epoch: str = ""
    mono_ms: int = 0  # when it was said, in the boot's time; 0 from gateways that do not tell
    acquired: int = 0  # high-water sequence number of the epoch
    cut: int = 0
    spooled: int = 0
    oldest_s: float = 0.0
    dropped: int = 0
    commit_s: float = 0.0
    batch_s: float = 0.0
    clock: dict[str, int | str] = msgspec.field(default_factory=dict)
    channels: dict[str, dict[str, object]] = msgspec.field(default_factory=dict)
    version: str = ""
    config: str = ""
    why: str = ""  # what is wrong with the gateway itself (disk full, spool damaged), in words
    link: dict[str, object] = msgspec.field(default_factory=dict)
    urgent: list[Unstored] = msgspec.field(default_factory=list)
    earlier: dict[str, int] = msgspec.field(default_factory=dict)  # epochs of earlier boots: what of each still waits
    unkept: int = 0  # readings without a number yet that will be declared lost as soon as the spool takes anything
    why_vi: str = ""  # `why` in Vietnamese
