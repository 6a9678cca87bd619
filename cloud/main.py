"""The server: wiring, threads and signals only."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud import registry
from cloud.alerts import wiring as alerts_wiring
from cloud.config import ConfigError
from cloud.coverage.hamlets import Coverage
from cloud.ingest import quarantine
from cloud.ingest.audit import Books
from cloud.ingest.ingester import Ingester
from cloud.pages.app import build
from cloud.pages.garden import Garden
from cloud.pages.serve import listen, server
from cloud.store import Store, open_store
from cloud.store.patience import insist
from cloud.stream.connection import Stream
from cloud.stream.follower import Follower
from cloud.stream.latest import Latest
from wire import topics

if TYPE_CHECKING:
    import uvicorn

    from cloud.clock import Clock
    from cloud.config import CloudConfig
    from cloud.stream.connection import Arrival

log = logging.getLogger(__name__)


def store_of(config: CloudConfig, *, writer: bool) -> Store:
    """Return the store of a configuration. Raises ConfigError."""
    table = dict(config.store)
    if "path" in table:
        table["path"] = str(Path(config.data.path) / table["path"])
    try:
        return open_store(table, writer=writer)
    except ValueError as error:  # msgspec.ValidationError is one
        raise ConfigError(f"cloud.toml: [store]: {error}") from error


class Cloud:
    """One server process. `run` returns its exit code after SIGINT or SIGTERM.

    Raises ConfigError or ValueError for what is written wrongly, RuntimeError for a file that is in use or of a newer
    gocche, OSError or sqlite3.Error for what the machine refuses.
    """

    def __init__(self, config: CloudConfig, clock: Clock) -> None:
        self._config, self._clock = config, clock
        folder = Path(config.data.path)
        folder.mkdir(parents=True, exist_ok=True)
        self._garden = registry.load(config.folder / config.garden.path)
        self._socket = listen(config.http.host, config.http.port)
        self._store = store_of(config, writer=True)
        self._quarantine = quarantine.opened(folder / "quarantine.db")
        self._books, self._latest = Books(), Latest()
        self._ingest_stream = Stream(config.broker, "gocche-ingest", topics.FROM_GATEWAYS, clock, self._arrived)
        self._ingester = Ingester(self._store, self._quarantine, self._books, clock, self._ingest_stream.publish)
        self._ingester.prepare()  # a second writer is found out before anything is served
        self._alerts = alerts_wiring.build(config, folder, self._store, self._garden, clock)
        self._follower = Follower([self._alerts.offer], self._alerts.heard, self._alerts.unstored)
        self._follow_stream = Stream(
            config.broker,
            "gocche-follow",
            topics.FROM_GATEWAYS,
            clock,
            self._followed,
            self._linked,
        )

    def run(self) -> int:
        """Serve until a signal comes; then stop in order."""
        stop = threading.Event()
        rooms = {
            "ingest": self._ingester.run,
            "recall": self._recall,
            "latest": self._fill,
            "follow": self._follower.run,
        } | self._alerts.loops
        threads = [threading.Thread(target=run, args=(stop,), name=name) for name, run in rooms.items()]
        for thread in threads:
            thread.start()
        self._follow_stream.start()
        self._ingest_stream.start()
        pages = server(build(self._pages()))
        _end_on_signals(pages)
        log.info("pages url=%s", self._url())
        try:
            pages.run(sockets=[self._socket])  # returns on SIGINT or SIGTERM
        finally:
            stop.set()
            for stream in (self._ingest_stream, self._follow_stream):
                stream.close()
            for thread in threads:
                thread.join()
            self._alerts.close()
            self._quarantine.close()
            self._store.close()
        return 0

    def _arrived(self, arrival: Any) -> None:
        self._ingester.offer(arrival)

    def _recall(self, stop: threading.Event) -> None:
        """Take what the store knows of the time before: nothing waits for it, however long it takes."""
        insist(self._ingester.recall, self._clock, stop)

    def _fill(self, stop: threading.Event) -> None:
        self._latest.run(self._store, self._clock, stop)

    def _followed(self, arrival: Arrival) -> None:
        self._latest.hear(arrival)
        self._follower.offer(arrival)

    def _linked(self, up: bool) -> None:
        self._latest.listening(up)
        self._alerts.listening(up)

    def _pages(self) -> Garden:
        return Garden(
            registry=self._garden,
            latest=self._latest,
            store=self._store,
            clock=self._clock,
            public_url=self._config.http.public_url or self._url(),
            coverage=Coverage(self._garden, self._latest, self._store, self._clock),
            incidents=lambda: self._alerts.incidents(100),
            health=self._health,
        )

    def _url(self) -> str:
        host, port = self._socket.getsockname()[:2]
        return f"http://{host}:{port}"

    def _health(self) -> dict[str, Any]:
        accounts = self._books.accounts()
        ingest = self._ingester.health()
        alerts = self._alerts.health()
        ill = [
            name
            for name in (
                "without_place",
                "without_contact",
                "given_up",
                "untold",
                "channels_ill",
                "ledger_fault",
                "rules_failed",
            )
            if alerts[name]
        ]
        ill += [name for name, sign in (("clones", "clones"), ("quarantined", "quarantined_24h")) if ingest[sign]]
        return {
            "ok": not ingest["why"] and not ill and self._ingest_stream.connected,
            "ill": ill,
            "audit": {
                name: sum(getattr(account, name) for account in accounts)
                for name in ("acquired", "stored", "quarantined", "declared", "spooled", "unknown")
            },
            "broker": {
                name: getattr(self._ingest_stream, name) for name in ("connected", "why", "strangers", "too_long")
            },
            "ingest": ingest,
            "follower": {"missed": self._follower.missed},
            "store": self._store.health(),
            "alerts": alerts,
            "registry": [f"{problem.file}:{problem.line}: {problem.words}" for problem in self._garden.problems],
        }


def _end_on_signals(server: uvicorn.Server) -> None:
    """Let SIGINT and SIGTERM end the server and nothing else.

    uvicorn takes the signals over while it runs and raises them again when it has ended, for whoever had them before:
    with Python's own handlers that would kill the process before its rooms have closed.
    """

    def end(*_: object) -> None:
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
