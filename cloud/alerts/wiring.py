"""Alerts as cloud.toml describes them: `[alerts]`, `[[rule]]` and `[[channel]]` become one `Alerts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cloud.alerts.channels import open_channels
from cloud.alerts.engine import Alerts, AlertsConfig
from cloud.config import CloudConfig, ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.clock import Clock
    from cloud.registry import Registry
    from cloud.store import Store

JOURNAL = "alerts.db"


def build(config: CloudConfig, folder: Path, store: Store, registry: Registry, clock: Clock) -> Alerts:
    """Return the alerts room with its journal in `folder`. Raises ConfigError naming table, key and rule."""
    try:
        return Alerts(
            config=msgspec.convert(config.alerts, type=AlertsConfig),
            rules=config.rules,
            store=store,
            registry=registry,
            channels=open_channels(config.channels),
            clock=clock,
            journal_path=folder / JOURNAL,
        )
    except msgspec.ValidationError as error:
        keys = ", ".join(field.name for field in msgspec.structs.fields(AlertsConfig))
        raise ConfigError(f"cloud.toml: [alerts]: {error}; its keys are: {keys}") from error
    except ValueError as error:
        raise ConfigError(f"cloud.toml: {error}") from error
