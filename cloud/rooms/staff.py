"""Staff: where people sign in and keep the registry. It reads the store and the journal, and writes what people say."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud.access.fleet import Fleet
from cloud.alerts.channels import open_channels
from cloud.alerts.journal import read_between, read_open
from cloud.alerts.wiring import JOURNAL
from cloud.coverage.brought import Desk as Surveys
from cloud.labels import BadLabel
from cloud.labels.address import address, advice
from cloud.registry import codes
from cloud.registry.book import NAME as REGISTRY
from cloud.registry.book import PHOTOS
from cloud.reports.book import NAME as REPORTS
from cloud.rooms import store_of
from cloud.rooms.cap import warnings_of
from cloud.rooms.duty import DutyDesk
from cloud.rooms.listener import listen, url
from cloud.serve import Server
from cloud.serve.throttle import Throttle
from cloud.staff.app import build as build_app
from cloud.staff.aside.jobs import Jobs
from cloud.staff.day.today import Gatherer
from cloud.staff.entrance.accounts import NAME, Accounts
from cloud.staff.incidents import Alarm, Suspicion
from cloud.staff.shelf import Shelf
from cloud.staff.visit import Staff

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable

    from cloud.clock import Clock
    from cloud.config import CloudConfig
    from settings.words import Sentence

log = logging.getLogger(__name__)
SHOWN = 200  # incidents that are open
TICK_S = 5.0  # of `[alerts]`, where it says none
AT_ONCE = 100  # connections; staff are few


class StaffRoom:
    """The room."""

    def __init__(self, config: CloudConfig, clock: Clock, listener: socket.socket | None) -> None:
        self._folder = Path(config.data.path)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._socket = listener or listen(config.staff.host, config.staff.port)
        self._shelf = Shelf(self._folder / REGISTRY, clock)
        self._accounts = Accounts(self._folder / NAME, clock, self._shelf.shut_out_ms)
        self._store = store_of(config, writer=False)
        self._gatherer = Gatherer(self._shelf, self._store, self._alarms, clock)
        channels = partial(open_channels, config.channels, config.file)
        self._duty = DutyDesk(self._folder, self._shelf, config.rules, clock, _tick_s(config), channels)
        staff = Staff(
            self._accounts,
            self._shelf,
            Throttle(clock),
            clock,
            config.staff.public_url.rstrip("/") or url(self._socket),
            config.http.public_url.rstrip("/"),
            lambda: self._gatherer.now,
            self._folder / PHOTOS,
            self._store,
            Jobs(clock),
            self._suspicions,
            tag_advice(config.http.public_url),
            config.ways,
            self._duty,
            Fleet(self._folder, config.coverage, clock),
            Surveys(self._folder, clock),
            self._folder / REPORTS,
        )
        app, self._gate = build_app(
            staff, warnings_of(config, staff.url, clock, self._shelf.law, config.http.public_url.rstrip("/"))
        )
        self._server = Server(app, self._socket, limit_concurrency=AT_ONCE)

    @property
    def loops(self) -> dict[str, Callable[[threading.Event], None]]:
        """Return what runs in threads."""
        return {"serve": self._server.run, "today": self._gatherer.run}

    def start(self) -> None:
        """Say where it is."""
        log.info("staff url=%s", url(self._socket))

    def stop(self) -> None:
        """Nothing but the loops lets anybody in."""

    def close(self) -> None:
        """Close the files."""
        self._gate.close()
        self._duty.close()
        self._shelf.close()
        self._accounts.close()
        self._store.close()

    def health(self) -> dict[str, Any]:
        """Return what keeps the screens from being true."""
        return {"why": self._gatherer.why, "look_at": []}

    def _alarms(self) -> list[Alarm]:
        return [
            Alarm(
                one.id,
                one.what_vi,
                one.what_en,
                one.place_vi,
                one.place_en,
                one.since_ms,
                f"{one.gateway}/{one.channel}" if one.gateway and one.channel else one.gateway,
                one.silent_ms is not None,
            )
            for one in read_open(self._folder / JOURNAL, SHOWN)
        ]

    def _suspicions(self, start_ms: int, end_ms: int) -> list[Suspicion]:
        return [
            Suspicion(one.place, one.what_vi, one.what_en, one.place_vi, one.place_en, one.since_ms, one.ended_ms)
            for one in read_between(self._folder / JOURNAL, start_ms, end_ms, SHOWN)
        ]


def _tick_s(config: CloudConfig) -> float:
    """Return how often the alerts' room writes that it listens; what it refuses is its own to say."""
    told = config.alerts.get("tick_s")
    return float(told) if isinstance(told, (int, float)) else TICK_S


def tag_advice(public_url: str) -> Sentence | None:
    """Return what staff should know before they print tags; without a public address the sheet itself is refused."""
    try:
        return advice(address(public_url, "0" * codes.LENGTH))
    except BadLabel:
        return None


def build(config: CloudConfig, clock: Clock, listener: socket.socket | None) -> StaffRoom:
    """Return the room of a configuration."""
    return StaffRoom(config, clock, listener)
