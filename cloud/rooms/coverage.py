"""Coverage: keeps what gateways and telephones hear of the mobile network, and leaves finished sheets of the map.

It follows the ledger of the store for gateways, a connection of its own to the broker for telephones, and its inbox for
files. `coverage.db` and `phones.db` have no other writer.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud.access import book as accounts
from cloud.access import heard
from cloud.clock import hanoi
from cloud.coverage.book import NAME, Book
from cloud.coverage.gateways import Gateways
from cloud.coverage.keeper import Keeper
from cloud.coverage.phones import Phones
from cloud.coverage.scale import scale_of
from cloud.coverage.uploads import FOLDER, ROOM, Uploads
from cloud.inbox import Inbox
from cloud.registry.book import NAME as REGISTRY
from cloud.registry.live import Live
from cloud.rooms import store_of
from cloud.stream.connection import Stream
from wire import topics

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable

    from cloud.clock import Clock
    from cloud.config import CloudConfig


class CoverageRoom:
    """The room."""

    def __init__(self, config: CloudConfig, clock: Clock) -> None:
        folder = Path(config.data.path)
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self._registry = Live(folder / REGISTRY, config.folder / config.garden.path, clock, private=True)
        self._store = store_of(config, writer=False)
        self._known = accounts.Known(folder / accounts.NAME)
        self._heard = heard.Book(folder / heard.NAME)
        self._phones = Phones(self._known, self._heard, clock)
        self._inbox = Inbox(folder, ROOM, clock)
        book = Book(folder / NAME, config.coverage.keep_months)
        uploads = Uploads(book, self._inbox, folder, clock)
        self._keeper = Keeper(book, self._phones, uploads, scale_of(config), self._hamlets, clock)
        self._gateways = Gateways(self._store, self._registry, self._keeper, clock)
        self._stream = Stream(
            config.broker,
            "gocche-coverage",
            (topics.FROM_PHONES,),
            clock,
            self._phones.arrived,
            only_follows=True,
            parse=topics.parse_phone,
        )

    @property
    def loops(self) -> dict[str, Callable[[threading.Event], None]]:
        """Return what runs in threads."""
        return {"registry": self._registry.run, "keep": self._keeper.run, "gateways": self._gateways.run}

    def start(self) -> None:
        """Connect to the broker."""
        self._stream.start()

    def stop(self) -> None:
        """Leave the broker."""
        self._stream.close()

    def close(self) -> None:
        """Keep what was heard, and close all files."""
        self._keeper.close()
        self._heard.close()
        self._known.close()
        self._inbox.close()
        self._store.close()

    def health(self) -> dict[str, Any]:
        """Return whether it hears, and what became of what it heard."""
        phones = self._phones.health()
        why = (
            "" if self._stream.connected else f"broker: {self._stream.why}",
            self._registry.why,
            self._keeper.fault,
            self._gateways.fault and f"store: {self._gateways.fault}",
            phones["accounts"],
        )
        samples = dict(self._keeper.counts)
        told = {"samples": samples, "phones": phones, "gateways": dict(self._gateways.counts)}
        return told | {
            "why": "; ".join(filter(None, why)),
            "look_at": ["samples"] * bool(samples.get("poisoned")) + ["phones"] * ("full" in phones["refused"]),
        }

    def _hamlets(self) -> list[tuple[float, float]]:
        """Return where hamlets are."""
        registry, day = self._registry.now, hanoi(self._clock.utc_ms()).date()
        found = [registry.hamlet(code, day) for code in registry.hamlets]
        return [(one.lat, one.lon) for one in found if one is not None]


def build(config: CloudConfig, clock: Clock, _listener: socket.socket | None) -> CoverageRoom:
    """Return the room of a configuration."""
    return CoverageRoom(config, clock)
