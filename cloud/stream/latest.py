"""The newest value of every series, in memory: filled from the store at start, kept by whoever follows the stream.

Most gateways are looked at by nobody for hours, so a message is kept as it came and decoded when somebody looks. Of a
gateway that nobody looks at the oldest messages are let go of when many wait; what they held the store brings, within
minutes of the next look.

Batches come in any order and any number of times, so "newest" is judged by the reading's own stored time and never by
arrival. A channel's newest poll is remembered even when it brought no value: then a page can say that the sensor is
silent now, beside the last value that it gave.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol

import msgspec

from cloud.store.patience import insist
from wire import codec
from wire.batch import Batch, Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.clock import Clock
    from cloud.store import Sample
    from cloud.stream.connection import Arrival
    from wire.batch import Block

UNREAD_BYTES = 16 * 1024  # of one gateway, the newest message beside: a quarter of an hour of thirty values a minute
MOST_UNREAD = 4_096  # gateways: of more than that the store alone tells
FILL_S = 300.0  # the store is not asked more often for what was let go of
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
    """Thread-safe: one thread may offer or hear while many read. What it returns never changes afterwards.

    `filled` tells whether the store was read since the start: until then what is not here may well be there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._channels: dict[tuple[str, str], _Channel] = {}
        self._unread: dict[str, _Unread] = {}
        self._wanted = threading.Event()  # somebody looked at what had been let go of
        self.filled = False

    def run(self, store: _Samples, clock: Clock, stop: threading.Event) -> None:
        """Fill from the store, which may take its time, and again when something is wanted; until `stop`."""
        while not stop.is_set():
            if not self.filled or self._wanted.is_set():
                insist(lambda: self.fill(store), clock, stop)
            clock.wait(stop, FILL_S)

    def listening(self, up: bool) -> None:
        """Be told that the connection is up or down: what came meanwhile the store brings."""
        if up:
            self._wanted.set()

    def fill(self, store: _Samples) -> None:
        """Take the newest value of every series that the store has. Raises the store's Retry."""
        self._wanted.clear()
        with self._lock:
            gone = {gateway: unread.gone for gateway, unread in self._unread.items() if unread.gone}
        try:
            samples = store.latest()
        except BaseException:
            self._wanted.set()
            raise
        bounded = {(one.gateway, one.channel, one.time_ns) for one in samples if one.quantity == "clock_uncertainty"}
        with self._lock:
            for sample in samples:
                channel = self._channel(sample.gateway, sample.channel)
                known = (sample.gateway, sample.channel, sample.time_ns) in bounded
                channel.take(sample.quantity, sample.time_ns, sample.value, bounded=known)
            for gateway, number in gone.items():
                self._unread[gateway].gone -= number
        self.filled = True

    def hear(self, arrival: Arrival) -> None:
        """Keep a message as it came. Statuses and beats say nothing of values; nor does what no gateway may send."""
        if arrival.kind != "up" or arrival.retained or len(arrival.payload) > codec.MAX_PACKET:
            return
        with self._lock:
            unread = self._unread.get(arrival.gateway)
            if unread is None:
                if len(self._unread) >= MOST_UNREAD:
                    self._wanted.set()
                    return
                unread = self._unread[arrival.gateway] = _Unread()
            unread.put(arrival)

    def offer(self, batch: Batch, arrival_ms: int) -> None:
        """Take what is newer in a batch. An undated batch changes nothing: nobody knows how old it is."""
        with self._lock:
            self._offer(batch, arrival_ms)

    def _offer(self, batch: Batch, arrival_ms: int) -> None:
        if batch.offset_ms is None:
            return
        for block in batch.blocks:
            channel = self._channel(batch.gateway, block.channel)
            channel.offer(block, arrival_ms, bounded=batch.source is Source.BOUNDED)

    def _read(self, gateway: str) -> None:
        """Decode what came from a gateway since somebody looked last. What ingest will quarantine is passed over."""
        unread = self._unread.get(gateway)
        if unread is None:
            return
        for arrival in unread.taken():
            try:
                batch = codec.decode_message(gateway, arrival.payload, arrival.arrival_ms)
            except (codec.Damaged, codec.Rejected):
                continue
            if isinstance(batch, Batch):
                self._offer(batch, arrival.arrival_ms)
        if unread.gone:
            self._wanted.set()

    def channel(self, gateway: str, channel: str) -> ChannelNow | None:
        """Return what is known of a channel, None when nothing ever came."""
        with self._lock:
            self._read(gateway)
            known = self._channels.get((gateway, channel))
            return known.now(gateway, channel) if known else None

    def get(self, gateway: str, channel: str, quantity: str) -> Value | None:
        """Return the newest value of a series, None when there never was one."""
        now = self.channel(gateway, channel)
        return now.values.get(quantity) if now else None

    def channels(self) -> list[tuple[str, str]]:
        """Return every (gateway, channel) that was ever heard, sorted."""
        with self._lock:
            for gateway in self._unread:
                self._read(gateway)
            return sorted(self._channels)

    def _channel(self, gateway: str, channel: str) -> _Channel:
        return self._channels.setdefault((gateway, channel), _Channel())


class _Unread:
    """Messages of one gateway that nobody has looked at, oldest first; `gone` counts those that had to go."""

    def __init__(self) -> None:
        self._waiting: deque[Arrival] = deque()
        self._bytes = 0
        self.gone = 0

    def put(self, arrival: Arrival) -> None:
        self._waiting.append(arrival)
        self._bytes += len(arrival.payload)
        while self._bytes > UNREAD_BYTES and len(self._waiting) > 1:
            self._bytes -= len(self._waiting.popleft().payload)
            self.gone += 1

    def taken(self) -> list[Arrival]:
        taken, self._bytes = list(self._waiting), 0
        self._waiting.clear()
        return taken


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
