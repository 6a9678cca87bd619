"""The rooms of the server: each is a process, wired on one screen, that lives and dies alone.

They share files and topics and never call each other; what one asks of another is a row in its inbox.
`docs/architecture.md` names the one writer of each file.
"""

from __future__ import annotations

import importlib
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.config.tables import ROOMS
from cloud.coverage.scale import scale_of
from cloud.danger import told
from cloud.registry.book import NAME as REGISTRY
from cloud.registry.live import known
from cloud.store import check_store, open_store
from settings.words import Taken

if TYPE_CHECKING:
    import socket

    from cloud.clock import Clock
    from cloud.config import CloudConfig
    from cloud.registry import Registry
    from cloud.rooms.life import Room
    from cloud.store import Store

SERVES = {"pages": "http", "staff": "staff"}  # those that get a listening socket, and the table that says where
STEPS_BACK = {*SERVES, "coverage"}
NICE = 10  # a flood of visitors, or a map, has a tenth of the weight of storing and telling (sched(7): 110 to 1,024)
__all__ = ["NICE", "ROOMS", "SERVES", "open_room", "step_back", "store_of"]


def open_room(name: str, config: CloudConfig, clock: Clock, listener: socket.socket | None = None) -> Room:
    """Return a room, not yet running. `listener` is for one that serves; else it opens its own.

    Raises Refused for what is written wrongly, Taken for a file that is in use or of a newer gocche, OSError or
    sqlite3.Error for what the machine refuses.
    """
    room: Room = importlib.import_module(f"{__name__}.{name}").build(config.of_room(name), clock, listener)
    return room


def step_back(name: str) -> None:
    """Have this process yield to the rooms that keep and tell, if it is none of them; call it before its threads.

    Linux keeps a priority for each thread, and a thread begins with that of whoever starts it.
    """
    os.nice(NICE if name in STEPS_BACK else 0)


def registry_of(config: CloudConfig) -> Registry:
    """Return the registry that the rooms of a configuration read, or will read. Raises SheetError."""
    return known(Path(config.data.path) / REGISTRY, config.folder / config.garden.path)


def check_tables(config: CloudConfig) -> None:
    """Raise SheetError where the first start could not make a registry of its tables.

    What befell a registry that is there is for the rooms that read it to say: it must not keep readings from being
    stored and smoke from being told. Raises ConfigError for a mistake in the garden's own words of fire danger, and in
    the levels of a signal.
    """
    scale_of(config)
    told.load(config.folder / config.garden.path)
    with suppress(sqlite3.Error, Taken):
        registry_of(config)


def store_of(config: CloudConfig, *, writer: bool) -> Store:
    """Return the store of a configuration. Raises ConfigError."""
    check_store(config.file, config.store)
    return open_store(config.store, writer=writer, folder=Path(config.data.path))
