"""Alerts: follows the stream and the ledger, judges, and tells people. Its journal has no other writer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud.alerts import wiring
from cloud.coverage.scale import scale_of
from cloud.danger.book import NAME as DANGER
from cloud.danger.daily import Daily
from cloud.danger.watch import Watch
from cloud.hotspots.book import NAME as HOTSPOTS
from cloud.hotspots.lookout import Lookout
from cloud.hotspots.watch import Asking
from cloud.registry.book import NAME as REGISTRY
from cloud.registry.live import Live
from cloud.rooms import store_of
from cloud.rooms.boards import Showing
from cloud.rooms.hotspots import fetching
from cloud.rooms.life import collect_rarely
from cloud.stream.connection import Stream
from cloud.stream.follower import Follower
from wire import topics

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable

    from cloud.clock import Clock
    from cloud.config import CloudConfig

POINTS = 200_000  # stay for a quarter of an hour, are no rings, and were counted as what might be some
LOOK_AT = ("without_place", "without_contact", "given_up", "contacts_unreached", "rules_slow", "self_test_failed",
           "channels_deaf", "bulletin_missed", "bulletin_unreached", "bulletin_unread",
           "bulletin_fault", "report_unreached", "post_faults")  # fmt: skip


class AlertsRoom:
    """The room."""

    def __init__(self, config: CloudConfig, clock: Clock) -> None:
        folder = Path(config.data.path)
        folder.mkdir(parents=True, exist_ok=True)
        tables = config.folder / config.garden.path
        self._registry = Live(folder / REGISTRY, tables, clock, private=True, makes=True)
        self._store = store_of(config, writer=False)
        self._lookout = Lookout(folder / HOTSPOTS)
        self._alerts = wiring.build(config, folder, self._store, self._registry, clock, self._lookout)
        self._danger = Watch(folder / DANGER, self._store, self._registry, clock)
        self._daily = Daily(folder, tables, self._registry, clock)
        self._boards = Showing(folder, self._store, self._registry, clock, scale_of(config))
        self._follower = Follower(self._alerts)
        self._hotspots = _hotspots(config, self._registry, clock)
        self._stream = Stream(
            config.broker,
            "gocche-alerts",
            topics.FROM_GATEWAYS,
            clock,
            self._follower.offer,
            self._alerts.listening,
            only_follows=True,
        )

    @property
    def loops(self) -> dict[str, Callable[[threading.Event], None]]:
        """Return what runs in threads."""
        own = {"registry": self._registry.run, "follow": self._follower.run, "danger": self._danger.run}
        own |= {"boards": self._boards.run, "bulletin": self._daily.run}
        if self._hotspots:
            own["hotspots"] = self._hotspots.run
        return own | self._alerts.loops

    def start(self) -> None:
        """Connect to the broker."""
        collect_rarely(POINTS)
        self._stream.start()

    def stop(self) -> None:
        """Leave the broker."""
        self._stream.close()

    def close(self) -> None:
        """Close the journal and the store."""
        self._alerts.close()
        self._store.close()

    def health(self) -> dict[str, Any]:
        """Return whether alerts hear and can tell."""
        told = self._alerts.health() | self._daily.health()
        why = (
            "" if self._stream.connected else f"broker: {self._stream.why}",
            self._registry.why,
            "" if told["journal"] in ("ok", "not yet begun") else f"journal: {told['journal']}",
            self._danger.fault and f"fire danger: {self._danger.fault}",
            told["fault"] and f"judging: {told['fault']}",
            told["ledger_fault"] and f"ledger: {told['ledger_fault']}",
            told["rules_failed"] and f"rules failed: {', '.join(sorted(told['rules_failed']))}",
            told["acts_fault"] and f"what people answer does not come in: {told['acts_fault']}",
            told["channels_ill"] and f"channels that cannot tell: {', '.join(told['channels_ill'])}",
            told.get("unreached") and f"people whom no letter about life has reached: {told['unreached']}",
            told["roles_unreached"] and f"no contact that a channel reaches: {', '.join(told['roles_unreached'])}",
            told["untold"] and f"letters about life that nobody has got: {told['untold']}",
        )
        late = (self._hotspots.why if self._hotspots else "") or self._lookout.still()
        return told | {
            "why": "; ".join(filter(None, why)),
            "hotspots_fault": late,
            "hotspots_unread": self._lookout.failed,
            "boards_fault": self._boards.why,
            "look_at": [name for name in LOOK_AT if told.get(name)]
            + ["hotspots_fault"] * bool(late)
            + ["boards_fault"] * bool(self._boards.why),
            "missed": self._follower.missed,
        }


def _hotspots(config: CloudConfig, registry: Live, clock: Clock) -> Asking | None:
    """Return what asks for hotspots; None without a key."""
    if not config.hotspots.key_file:
        return None

    def places() -> list[tuple[float, float]]:
        return [(zone.lat, zone.lon) for zone in registry.now.zones.values()]

    return Asking(Path(config.data.path) / HOTSPOTS, config.hotspots, places, fetching(config.hotspots), clock)


def build(config: CloudConfig, clock: Clock, _listener: socket.socket | None) -> AlertsRoom:
    """Return the room of a configuration."""
    return AlertsRoom(config, clock)
