"""Ingest: from the broker into the store, then the acknowledgement. It alone makes, migrates and writes the store."""

from __future__ import annotations

import platform
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud.inbox import Inbox
from cloud.ingest import quarantine
from cloud.ingest.audit import Books
from cloud.ingest.bookkeeper import Bookkeeper
from cloud.ingest.ingester import Ingester
from cloud.rooms import store_of
from cloud.store.patience import insist
from cloud.stream.connection import Stream
from wire import topics

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable

    from cloud.clock import Clock
    from cloud.config import CloudConfig

STORE_S = 2.0  # between two looks at what the store says of itself
PREPARED_S = 0.2  # between two looks whether the store is prepared


class Ingest:
    """The room. While the store is out of reach nothing is acknowledged; the books follow whenever they can be read."""

    def __init__(self, config: CloudConfig, clock: Clock) -> None:
        self._clock = clock
        folder = Path(config.data.path)
        folder.mkdir(parents=True, exist_ok=True)
        self._store = store_of(config, writer=True)
        self._inbox = Inbox(folder, "ingest", clock)  # a second ingest on this folder ends here, in words
        self._quarantine = quarantine.opened(folder / "quarantine.db")
        self._books = Books(trails=bool(config.broker.share) or self._store.settle_s > 0)
        self._bookkeeper = Bookkeeper(self._store, self._books, clock, _name_of(folder))
        self._stream = Stream(config.broker, "gocche-ingest", topics.shared(config.broker.share), clock, self._arrived)
        self._of_store: dict[str, Any] = {}
        self._ingester = Ingester(self._store, self._quarantine, self._books, clock, self._stream.publish, self._inbox)

    @property
    def loops(self) -> dict[str, Callable[[threading.Event], None]]:
        """Return what runs in threads."""
        return {
            "ingest": self._ingester.run,
            "recall": self._recall,
            "books": self._keep_books,
            "store": self._ask_store,
        }

    def start(self) -> None:
        """Connect to the broker."""
        self._stream.start()

    def stop(self) -> None:
        """Leave the broker."""
        self._stream.close()

    def close(self) -> None:
        """Close the store and the quarantine."""
        self._quarantine.close()
        self._inbox.close()
        self._store.close()

    def health(self) -> dict[str, Any]:
        """Return what became of messages, the audit's sum, and what keeps readings from being stored; at once."""
        told = self._ingester.health()
        why = (told["why"], "" if self._stream.connected else f"broker: {self._stream.why}")
        signs = {"clones": "clones", "quarantined": "quarantined_24h"}
        return told | {
            "why": "; ".join(filter(None, why)),
            "look_at": [name for name, sign in signs.items() if told[sign]],
            "audit": self._books.total() if self._bookkeeper.ready else {},
            "books": self._bookkeeper.why or ("" if self._bookkeeper.ready else "being read"),
            "broker": {name: getattr(self._stream, name) for name in ("connected", "why", "strangers", "too_long")},
            "store": self._of_store,
        }

    def _arrived(self, arrival: Any) -> None:
        self._ingester.offer(arrival)

    def _ask_store(self, stop: threading.Event) -> None:
        """Keep what the store says of itself: one that hangs keeps it, and not what this room knows without it."""
        while not stop.is_set():
            try:
                self._of_store = self._store.health()
            except OSError as error:  # its folder is away
                self._of_store = {"fault": str(error)}
            self._clock.wait(stop, STORE_S)

    def _keep_books(self, stop: threading.Event) -> None:
        """Follow the ledger once there is one: a store that is not prepared is told once, by who prepares it."""
        while not self._ingester.prepared.is_set():
            if self._clock.wait(stop, PREPARED_S):
                return
        self._bookkeeper.run(stop)

    def _recall(self, stop: threading.Event) -> None:
        """Take what gateways said before: nothing waits for it, however long it takes."""
        insist(self._ingester.recall, self._clock, stop)
        stop.wait()


def _name_of(folder: Path) -> str:
    """Return what tells an ingester from others of the same store, on this machine or elsewhere, whenever it starts."""
    return f"{zlib.crc32(f'{platform.node()} {folder.resolve()}'.encode()):08x}"


def build(config: CloudConfig, clock: Clock, _listener: socket.socket | None) -> Ingest:
    """Return the room of a configuration."""
    return Ingest(config, clock)
