"""Alerts as cloud.toml describes them: `[alerts]`, `[[rule]]` and `[mail]` become one `Alerts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from cloud.alerts.channels import Channel, open_channel
from cloud.alerts.engine import Alerts, AlertsConfig
from cloud.alerts.outbox import CONSOLE, EMAIL
from cloud.config import CloudConfig, ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.clock import Clock
    from cloud.registry import Registry
    from cloud.store import Store

JOURNAL = "alerts.db"


def build(config: CloudConfig, folder: Path, store: Store, registry: Registry, clock: Clock) -> Alerts:
    """Return the alerts room with its journal in `folder`. Raises ConfigError naming table, key and rule."""
    mail: dict[str, Any] | None = None if config.mail is None else msgspec.to_builtins(config.mail)
    try:
        return Alerts(
            config=msgspec.convert(config.alerts, type=AlertsConfig),
            rules=config.rules,
            store=store,
            registry=registry,
            channels=_channels(mail),
            clock=clock,
            journal_path=folder / JOURNAL,
        )
    except msgspec.ValidationError as error:
        keys = ", ".join(field.name for field in msgspec.structs.fields(AlertsConfig))
        raise ConfigError(f"cloud.toml: [alerts]: {error}; its keys are: {keys}") from error
    except ValueError as error:
        raise ConfigError(f"cloud.toml: {error}") from error


def _channels(mail: dict[str, Any] | None) -> dict[str, Channel]:
    channels = {CONSOLE: open_channel(CONSOLE, {})}
    if mail is not None:
        channels[EMAIL] = open_channel(EMAIL, mail)
    return channels
