"""Pages: what the world may see. It writes one file, of its own: how often each tree's page was opened."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud.alerts.journal import read_public
from cloud.alerts.wiring import JOURNAL
from cloud.coverage.book import NAME as SURVEYED
from cloud.coverage.hamlets import Coverage
from cloud.coverage.scale import scale_of
from cloud.danger.book import NAME as DANGER
from cloud.danger.told import load as danger_words
from cloud.hotspots.book import NAME as HOTSPOTS
from cloud.inbox import Asker
from cloud.pages.app import build as build_app
from cloud.pages.garden import Garden
from cloud.pages.visits import NAME as VISITS
from cloud.pages.visits import Visits
from cloud.registry.book import NAME as REGISTRY
from cloud.registry.book import PHOTOS
from cloud.registry.live import Live
from cloud.reports.book import NAME as REPORTS
from cloud.reports.door import Door
from cloud.reports.telling import Telling
from cloud.rooms import store_of
from cloud.rooms.hotspots import seen
from cloud.rooms.listener import listen, url
from cloud.serve import Server
from cloud.stream.connection import Stream
from cloud.stream.latest import Latest
from wire import topics

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable

    from cloud.clock import Clock
    from cloud.config import CloudConfig
    from cloud.registry import Current
    from cloud.store import Store

log = logging.getLogger(__name__)
SHOWN = 100  # incidents


class Pages:
    """The room."""

    def __init__(self, config: CloudConfig, clock: Clock, listener: socket.socket | None) -> None:
        self._config, self._clock = config, clock
        tables = config.folder / config.garden.path
        self._registry = Live(Path(config.data.path) / REGISTRY, tables, clock, private=False)
        self._socket = listener or listen(config.http.host, config.http.port)
        self._store = store_of(config, writer=False)
        self._latest = Latest()
        self._stream = Stream(
            config.broker,
            "gocche-pages",
            topics.FROM_GATEWAYS,
            clock,
            self._latest.hear,
            self._latest.listening,
            only_follows=True,
        )
        folder = Path(config.data.path)
        self._visits, self._door = Visits(folder / VISITS, clock), Door(folder / REPORTS, clock)
        self._telling = Telling(self._door, Asker(folder, "alerts", clock), clock)
        near = url(self._socket)
        made = garden_of(
            config, self._registry, self._latest, self._store, clock, near=near, visits=self._visits, reports=self._door
        )
        self._server = Server(build_app(made), self._socket)

    @property
    def loops(self) -> dict[str, Callable[[threading.Event], None]]:
        """Return what runs in threads."""
        return {
            "registry": self._registry.run,
            "latest": self._fill,
            "serve": self._server.run,
            "visits": self._visits.run,
            "reports": self._telling.run,
        }

    def start(self) -> None:
        """Connect to the broker."""
        self._stream.start()
        log.info("pages url=%s", url(self._socket))

    def stop(self) -> None:
        """Leave the broker."""
        self._stream.close()

    def close(self) -> None:
        """Close the store, and the book of reports."""
        self._door.close()
        self._store.close()

    def health(self) -> dict[str, Any]:
        """Return what keeps pages from being true."""
        why = (
            "" if self._stream.connected else f"broker: {self._stream.why}",
            self._registry.why,
            "" if self._latest.filled else "what the store holds is not read yet",
            self._door.why and f"people's reports cannot be kept: {self._door.why}",
            self._telling.why and f"reports of fire do not reach the alerts room: {self._telling.why}",
        )
        return {"why": "; ".join(filter(None, why)), "look_at": []}

    def _fill(self, stop: threading.Event) -> None:
        self._latest.run(self._store, self._clock, stop)


def garden_of(
    config: CloudConfig, current: Current, latest: Latest, store: Store, clock: Clock, near: str = "", **how: Any
) -> Garden:
    """Return what pages show, of a configuration; `near` is their address where the world's is not known."""
    journal, scale = Path(config.data.path) / JOURNAL, scale_of(config)
    return Garden(
        current=current,
        latest=latest,
        store=store,
        clock=clock,
        public_url=config.http.public_url or near,
        coverage=Coverage(current, latest, store, clock, scale),
        scale=scale,
        near_m=config.coverage.near_m,
        photos=Path(config.data.path) / PHOTOS,
        surveyed=Path(config.data.path) / SURVEYED,
        danger=Path(config.data.path) / DANGER,
        danger_told=danger_words(config.folder / config.garden.path),
        staff_url=config.staff.public_url.rstrip("/") or f"http://{config.staff.host}:{config.staff.port}",
        licence=config.garden.licence,
        duty_tel=config.http.duty_tel,
        duty_sms=config.http.duty_sms,
        incidents=lambda: read_public(journal, SHOWN),
        hotspots=lambda: seen(Path(config.data.path) / HOTSPOTS, current.now.zones.values(), clock.utc_ms()),
        **how,
    )


def build(config: CloudConfig, clock: Clock, listener: socket.socket | None) -> Pages:
    """Return the room of a configuration."""
    return Pages(config, clock, listener)
