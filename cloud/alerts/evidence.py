"""Batches and ledger rows as the rules need them: dated points of the quantities that somebody follows. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from cloud.alerts.judge import Evidence
from cloud.store.intervals import Intervals
from wire.codec import EARLIEST_MS, FUTURE_MS
from wire.quantities import QUANTITIES
from wire.topics import CHANNEL

if TYPE_CHECKING:
    from cloud.alerts.spans import Point
    from cloud.store import LedgerRow
    from wire.batch import Batch, Dated, Status

Follows = Callable[[str], bool]
BOOTS = 1_000
MOST_UNSTORED = 64  # of one status


class BootDates:
    """A guess at the date of boots that have none yet: the smallest difference between arrival and boot time.

    Transport only ever adds to that difference, so the smallest one is the nearest to the truth. In memory: after a
    restart the next message gives a new guess, and messages say that their times are those of arrival.
    """

    def __init__(self) -> None:
        self._offsets: OrderedDict[str, int] = OrderedDict()

    def offset_ms(self, boot: str, newest_ms: int, arrival_ms: int) -> int:
        """Return UTC minus the boot's own time, after a message whose newest reading is `newest_ms` old in the boot."""
        offset_ms = min(arrival_ms - newest_ms, self._offsets.get(boot, arrival_ms - newest_ms))
        self._offsets[boot] = offset_ms
        self._offsets.move_to_end(boot)
        while len(self._offsets) > BOOTS:
            self._offsets.popitem(last=False)
        return offset_ms


def from_batch(batch: Batch, arrival_ms: int, dates: BootDates, follows: Follows) -> Evidence:
    """Return what a batch of the stream says; an undated one is dated by its arrival and marked so."""
    undated = batch.offset_ms is None
    shift_ms = 0
    if undated:
        newest_ms = max((time for block in batch.blocks for time in block.times_ms), default=0)
        shift_ms = dates.offset_ms(batch.boot, newest_ms, arrival_ms)
    points: dict[tuple[str, str], list[Point]] = {}
    for block in batch.blocks:
        for quantity, column in zip(block.quantities, block.columns, strict=True):
            if follows(quantity):
                rows = zip(block.times_ms, block.seqs, column, strict=True)
                points[block.channel, quantity] = [(ms + shift_ms, seq, float(text)) for ms, seq, text in rows if text]
    return Evidence(batch.gateway, batch.epoch, batch.first, batch.n, points, undated)


def from_status(gateway: str, status: Status, arrival_ms: int, follows: Follows) -> Evidence:
    """Return what a gateway tells of values that it could not make safe; an undated one is dated by its arrival.

    What cannot be believed is passed over: an unknown quantity, an implausible value, a time that cannot be.
    """
    points: dict[tuple[str, str], list[Point]] = {}
    undated = False
    for told in status.urgent[:MOST_UNSTORED]:
        row = QUANTITIES.get(told.quantity)
        if row is None or not follows(told.quantity) or not CHANNEL.fullmatch(told.channel):
            continue
        utc_ms = arrival_ms - max(status.mono_ms - told.mono_ms, 0) if told.utc_ms is None else told.utc_ms
        if row.plausible(told.value) and EARLIEST_MS <= utc_ms <= arrival_ms + FUTURE_MS:
            points.setdefault((told.channel, told.quantity), []).append((utc_ms, 0, told.value))
            undated |= told.utc_ms is None
    return Evidence(gateway, status.epoch, 0, 0, points, undated, unstored=True)


def from_readings(row: LedgerRow, readings: Iterable[Dated], follows: Follows) -> Evidence:
    """Return what the stored readings of a ledger row say."""
    points: dict[tuple[str, str], list[Point]] = {}
    for reading in readings:
        for quantity, value in reading.values.items():
            if follows(quantity) and reading.utc_ms is not None:
                points.setdefault((reading.channel, quantity), []).append((reading.utc_ms, reading.seq, value))
    return Evidence(row.gateway, row.epoch, row.first, row.n, points)


def missing(done: Intervals, first: int, n: int) -> bool:
    """Tell whether any number of the range is not yet in the set."""
    return bool(Intervals([(first, first + n)]).minus(done))
