"""Follows the stream beside ingest, unshared: what alerts hear at once, before the store has it.

It promises nothing: what it misses the ledger brings. Messages that ingest will quarantine are passed over here, except
for those dated in the future: a server whose clock is slow must not take smoke for a fault.
"""

from __future__ import annotations

import logging
import queue
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from wire import beat, codec, status
from wire.excerpt import Excerpt, decode_excerpt
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    import threading

    from cloud.stream.connection import Arrival
    from wire.batch import Status

log = logging.getLogger(__name__)
QUEUE = 1_000


class Listener(Protocol):
    """Who is told what is heard. Every method must only note or queue."""

    def follows(self, quantity: str) -> bool:
        """Tell whether this quantity is wanted: others are not decoded. Asked once for each."""

    def offer(self, batch: Excerpt, arrival_ms: int) -> None:
        """Take what is followed of a batch, which may be dated in the future: its gateway lives."""

    def heard(self, gateway: str, arrival_ms: int) -> None:
        """Note that a gateway lives."""

    def lives(self, gateway: str, boot: str, mono_ms: int) -> None:
        """Note how old a gateway's boot says that it is, now."""

    def stopped(self, gateway: str, arrival_ms: int) -> None:
        """Note that a gateway says that it was told to stop."""

    def unstored(self, gateway: str, status: Status, arrival_ms: int) -> None:
        """Take the values that a gateway could not make safe."""


class Follower:
    """`offer` may be called from any thread; `run` belongs to one and calls the listener."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._followed = frozenset(filter(listener.follows, QUANTITIES))
        self._queue: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self.missed = 0

    def offer(self, arrival: Arrival) -> None:
        """Take a message, or let it pass when there are too many: the ledger brings it."""
        if self._queue.qsize() < QUEUE:
            self._queue.put(arrival)
        else:
            self.missed += 1

    def run(self, stop: threading.Event) -> None:
        """Decode and pass on until `stop`."""
        while not stop.is_set():
            try:
                arrival = self._queue.get(timeout=0.5)
            except queue.Empty:
                continue
            try:
                self.step(arrival)
            except Exception:
                log.exception("follower stumbled gateway=%s", arrival.gateway)

    def step(self, arrival: Arrival) -> None:
        """Pass one message on."""
        if arrival.retained:
            return  # said long ago, perhaps by a gateway that is no more
        if arrival.kind == "status":
            self._status(arrival)
            return
        if arrival.kind == "beat":
            with suppress(ValueError):
                told = beat.decode(arrival.payload)
                self._listener.lives(arrival.gateway, told.boot.hex(), 1000 * told.mono_s)
                self._listener.heard(arrival.gateway, arrival.arrival_ms)
            return
        try:
            said = decode_excerpt(arrival.gateway, arrival.payload, self._followed)
        except (codec.Damaged, codec.Rejected):
            return
        if isinstance(said, Excerpt):
            self._listener.offer(said, arrival.arrival_ms)
        else:
            self._listener.heard(arrival.gateway, arrival.arrival_ms)

    def _status(self, arrival: Arrival) -> None:
        """Pass on what a gateway says of itself: a last will is the broker's word."""
        try:
            said = status.decode(arrival.payload)
        except ValueError:
            return
        if said.state == "stopped":
            self._listener.stopped(arrival.gateway, arrival.arrival_ms)
        elif said.state == "online":
            if said.mono_ms:
                self._listener.lives(arrival.gateway, said.boot, said.mono_ms)
            self._listener.heard(arrival.gateway, arrival.arrival_ms)
            if said.urgent:
                self._listener.unstored(arrival.gateway, said, arrival.arrival_ms)
