"""cloud.toml as a whole: what every room will read of it, read before any of them starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud import registry
from cloud.alerts import wiring
from cloud.store import check_store

if TYPE_CHECKING:
    from cloud.config import CloudConfig


def check(config: CloudConfig, *, running: bool = True) -> None:
    """Refuse what a room would refuse. Without `running` what only the service may read is passed over.

    Raises Refused: ConfigError for the file, TableError for one of the garden's.
    """
    check_store(config.file, config.store, running=running)
    wiring.check(config, running=running)
    registry.load(config.folder / config.garden.path)
