"""Alerts as cloud.toml describes them: `[alerts]`, `[[rule]]` and `[[channel]]` become one `Alerts`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cloud.alerts.around import around
from cloud.alerts.channels import Named, open_channels
from cloud.alerts.decide.pace import refuse
from cloud.alerts.engine import Alerts
from cloud.alerts.rules import Rule, open_rules
from cloud.alerts.settings import AlertsConfig
from cloud.alerts.tell import link
from cloud.clock import SystemClock
from settings.expected import convert

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloud.clock import Clock
    from cloud.config import CloudConfig
    from cloud.hotspots.lookout import Lookout
    from cloud.registry import Current
    from cloud.store import Ledger

JOURNAL = "alerts.db"


def check(config: CloudConfig, *, running: bool = True) -> tuple[AlertsConfig, list[Rule], list[Named]]:
    """Return `[alerts]`, the rules and the channels. Raises ConfigError naming table, key and rule."""
    rules = open_rules(config.rules, config.file)
    refuse(Path(config.data.path) / JOURNAL, rules, config.rules, SystemClock().utc_ms(), config.file)
    return (
        convert(config.file, "[alerts]", config.alerts, AlertsConfig),
        rules,
        open_channels(config.channels, config.file, running=running),
    )


def build(
    config: CloudConfig, folder: Path, store: Ledger, registry: Current, clock: Clock, lookout: Lookout | None = None
) -> Alerts:
    """Return the alerts room with its journal in `folder`. Raises ConfigError naming table, key and rule."""
    alerts, _, channels = check(config)
    return Alerts(
        config=alerts,
        rules=config.rules,
        store=store,
        registry=registry,
        channels=channels,
        clock=clock,
        journal_path=folder / JOURNAL,
        door=_door(config, folder, clock),
        around=around(folder, registry, clock, lookout),
        pages=config.http.public_url.rstrip("/"),
    )


def _door(config: CloudConfig, folder: Path, clock: Clock) -> Callable[[int], str]:
    """Return what makes the address at which a letter's reader opens its incident: among the staff's pages."""
    staff = config.staff
    base = staff.public_url.rstrip("/") or (f"http://{staff.host}:{staff.port}" if staff.port else "")
    if not base:
        return lambda _: ""
    return lambda letter: f"{base}/i/{link.token(link.key_of(folder), letter, clock.utc_ms())}"
