"""The newest value of every series, in memory: filled from the store at start, kept by whoever follows the stream.

Batches come in any order and any number of times, so "newest" is judged by the reading's own stored time and never by
arrival. A channel's newest poll is remembered even when it brought no value: then a page can say that the sensor is
silent now, beside the last value that it gave.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

import msgspec

from wire.batch import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.store import Sample
    from wire.batch import Batch, Block

_NS = 1_000_000


class Value(msgspec.Struct, frozen=True):
    """A value in its quantity's unit. `bounded`: its time is only known between the boots around it."""

    time_ms: int
    value: float
    bounded: bool = False


class ChannelNow(msgspec.Struct, frozen=True):
    """What is known of one channel. `reasons` are those of the newest poll, at `time_ms`: quantity → wire Reason code.

    `arrival_ms` is None while nothing came through the stream since the start (what the store held has no arrival).
    """

    gateway: str
    channel: str
    time_ms: int
    arrival_ms: int | None
    values: dict[str, Value]
    reasons: dict[str, int]


class _Samples(Protocol):
    def latest(self) -> Sequence[Sample]: ...


class Latest:
    """Thread-safe: one thread may offer while many read. What it returns never changes afterwards."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channels: dict[tuple[str, str], _Channel] = {}

    def fill(self, store: _Samples) -> None:
        """Take the newest value of every series that the store has. Raises the store's Retry."""
        samples = store.latest()
        bounded = {(one.gateway, one.channel, one.time_ns) for one in samples if one.quantity == "clock_uncertainty"}
        with self._lock:
            for sample in samples:
                channel = self._channel(sample.gateway, sample.channel)
                known = (sample.gateway, sample.channel, sample.time_ns) in bounded
                channel.take(sample.quantity, sample.time_ns, sample.value, bounded=known)

    def offer(self, batch: Batch, arrival_ms: int) -> None:
        """Take what is newer in a batch. An undated batch changes nothing: nobody knows how old it is."""
        if batch.offset_ms is None:
            return
        with self._lock:
            for block in batch.blocks:
                channel = self._channel(batch.gateway, block.channel)
                channel.offer(block, arrival_ms, bounded=batch.source is Source.BOUNDED)

    def channel(self, gateway: str, channel: str) -> ChannelNow | None:
        """Return what is known of a channel, None when nothing ever came."""
        with self._lock:
            known = self._channels.get((gateway, channel))
            return known.now(gateway, channel) if known else None

    def get(self, gateway: str, channel: str, quantity: str) -> Value | None:
        """Return the newest value of a series, None when there never was one."""
        now = self.channel(gateway, channel)
        return now.values.get(quantity) if now else None

    def channels(self) -> list[tuple[str, str]]:
        """Return every (gateway, channel) that was ever heard, sorted."""
        with self._lock:
            return sorted(self._channels)

    def _channel(self, gateway: str, channel: str) -> _Channel:
        return self._channels.setdefault((gateway, channel), _Channel())


class _Channel:
    def __init__(self) -> None:
        self._newest_ns = -1
        self._arrival_ms: int | None = None
        self._reasons: dict[str, int] = {}
        self._values: dict[str, tuple[int, Value]] = {}

    def take(self, quantity: str, time_ns: int, value: float, *, bounded: bool) -> None:
        if time_ns > self._values.get(quantity, (-1,))[0]:
            self._values[quantity] = time_ns, Value(time_ns // _NS, value, bounded)
        self._newest_ns = max(self._newest_ns, time_ns)

    def offer(self, block: Block, arrival_ms: int, *, bounded: bool) -> None:
        if not block.seqs:
            return
        times = block.stored_ns()
        newest_first = sorted(range(len(times)), key=times.__getitem__, reverse=True)
        self._arrival_ms = max(arrival_ms, self._arrival_ms or 0)
        newest = newest_first[0]
        if times[newest] >= self._newest_ns:
            self._newest_ns = times[newest]
            absent = zip(block.quantities, block.absent, strict=True)
            self._reasons = {name: code for name, pairs in absent for row, code in pairs if row == newest}
        for quantity, column in zip(block.quantities, block.columns, strict=True):
            row = next((row for row in newest_first if column[row]), None)
            if row is not None:
                self.take(quantity, times[row], float(column[row]), bounded=bounded)

    def now(self, gateway: str, channel: str) -> ChannelNow:
        values = {name: value for name, (_, value) in self._values.items()}
        return ChannelNow(gateway, channel, self._newest_ns // _NS, self._arrival_ms, values, dict(self._reasons))
