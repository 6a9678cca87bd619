"""Follows the stream beside ingest, unshared: what alerts and pages see at once, before the store has it.

It promises nothing: what it misses the ledger brings. Messages that ingest will quarantine are passed over here.
"""

from __future__ import annotations

import logging
import queue
from contextlib import suppress
from typing import TYPE_CHECKING

from wire import beat, codec, status
from wire.batch import Batch

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from cloud.stream.connection import Arrival
    from wire.batch import Status

log = logging.getLogger(__name__)
QUEUE = 1_000


class Follower:
    """`offer` may be called from any thread; `run` belongs to one and calls the listeners."""

    def __init__(
        self,
        on_batch: list[Callable[[Batch, int], None]],
        on_heard: Callable[[str, int], None],
        on_unstored: Callable[[str, Status, int], None],
    ) -> None:
        self._on_batch, self._on_heard, self._on_unstored = on_batch, on_heard, on_unstored
        self._queue: queue.Queue[Arrival] = queue.Queue(QUEUE)
        self.missed = 0

    def offer(self, arrival: Arrival) -> None:
        """Take a message, or let it pass when there are too many: the ledger brings it."""
        try:
            self._queue.put_nowait(arrival)
        except queue.Full:
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
                beat.decode(arrival.payload)
                self._on_heard(arrival.gateway, arrival.arrival_ms)
            return
        try:
            batch = codec.decode_message(arrival.gateway, arrival.payload, arrival.arrival_ms)
        except (codec.Damaged, codec.Rejected):
            return
        self._on_heard(arrival.gateway, arrival.arrival_ms)
        if isinstance(batch, Batch):
            for listener in self._on_batch:
                listener(batch, arrival.arrival_ms)

    def _status(self, arrival: Arrival) -> None:
        """Pass on what a gateway says of itself: a last will is the broker's word."""
        try:
            said = status.decode(arrival.payload)
        except ValueError:
            return
        if said.state == "online":
            self._on_heard(arrival.gateway, arrival.arrival_ms)
            if said.urgent:
                self._on_unstored(arrival.gateway, said, arrival.arrival_ms)
