"""What a store promises, and how one is opened by its name: a protocol for each use, one package per engine.

An engine is `cloud/store/engines/<name>/` with a frozen struct `CONFIG` (its keys under `[store]` in cloud.toml), a
class `STORE`, and `COST`, what it takes on disk; it is proved by `tests/contracts/test_store.py`, which runs on every
engine.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from cloud.store import engines as found
from cloud.store.history import Absent, History, Hour, Past, Sample, Series
from cloud.store.ledger import (
    TWICE,
    VERDICTS,
    Commit,
    Committed,
    Ledger,
    LedgerRow,
    Packed,
    Refusal,
    Refused,
    code,
    each_row,
)
from cloud.store.statuses import Statuses, StatusRow
from cloud.store.summary import Mark, Summaries, Tallied
from settings import credentials
from settings.expected import chosen, convert
from settings.finding import ConfigError, shown

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from settings.finding import File

__all__ = [
    "TWICE",
    "VERDICTS",
    "Absent",
    "Boards",
    "Commit",
    "Committed",
    "Cost",
    "History",
    "Hour",
    "Ledger",
    "LedgerRow",
    "Mark",
    "Packed",
    "Past",
    "Refusal",
    "Refused",
    "Retry",
    "Sample",
    "Series",
    "Shown",
    "StatusRow",
    "Statuses",
    "Store",
    "Summaries",
    "Tallied",
    "check_store",
    "code",
    "each_row",
    "engines",
    "open_store",
]

FILE = re.compile(r"[^/]+\.db")  # beside the server's other files, where `gocche backup` finds it


class Retry(Exception):
    """Nothing of this commit counts as stored; ask again after `after_s` seconds."""

    def __init__(self, words: str, after_s: float = 5.0) -> None:
        super().__init__(words)
        self.after_s = after_s


class Cost(msgspec.Struct, frozen=True):
    """Bytes on disk, as measured: what an engine takes for a reading, each of its values, and a batch's ledger row."""

    a_reading: float
    a_value: float
    a_batch: float


class Shown(msgspec.Struct, frozen=True):
    """A point for boards, of what the server found: a day of `danger`, or a stage of an `incident`."""

    kind: str
    tags: dict[str, str]
    at_ns: int
    figures: dict[str, float] = {}
    words: dict[str, str] = {}


class Boards(Protocol):
    """Where boards look, if they look into this store at all."""

    def show(self, points: Sequence[Shown]) -> bool:
        """Copy points for boards; one of the same kind, tags and time is written over. False: no board looks here.

        At most a thousand at once, from any thread. Nothing that gocche decides or tells is read from them. Raises
        Retry.
        """


class Store(Ledger, History, Statuses, Summaries, Boards, Protocol):
    """Where readings and the ledger live, for who opens and closes it; who only uses it names the part that he needs.

    Reading methods may be called from any thread; `commit` from one.
    Every method raises `Retry` when the database is out of reach, full or busy beyond its patience.
    """

    def setup(self) -> None:
        """Create what is missing, migrate what is old, and (where only one writer may be) take the writer's lock.

        Raises Refused, with the remedy in its words, when another writer holds the lock.
        """

    def health(self) -> dict[str, Any]:
        """Return what an operator must know: engine, version, size, last fault."""

    def close(self) -> None:
        """Let go of files and connections. May be called twice."""


def engines() -> list[str]:
    """Return the names of the engines in this folder, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(found.__path__))


def check_store(file: File, table: dict[str, Any], *, running: bool = True, place: str = "[store]") -> Any:
    """Return the engine of a `[store]` table that `open_store` can use, and whose files can be read.

    Raises ConfigError. Without `running` what only the service may read is passed over.
    """
    name = chosen(file, place, {"engine": "sqlite"} | table, "engine", engines())
    config = convert(file, place, table, _engine(name).CONFIG)
    if hasattr(config, "path") and not FILE.fullmatch(config.path):
        raise ConfigError(file, f"{place} path", "store_elsewhere", value=shown(config.path))
    if hasattr(config, "user"):
        credentials.check_pair(file, place, config, "user", "password_file")
    credentials.check_files(file, place, table, running=running)
    return _engine(name)


def open_store(table: dict[str, Any], *, writer: bool, folder: Path | None = None) -> Store:
    """Return the store that a `[store]` table describes; a file of its own stands in `folder`.

    Raises ValueError for an unknown engine and msgspec.ValidationError for a wrong key or value.
    """
    engine = table.get("engine", "sqlite")
    if engine not in engines():
        raise ValueError(f"engine {engine!r} is unknown; there are: {', '.join(engines())}")
    module = _engine(engine)
    config = msgspec.convert(table, type=module.CONFIG)
    if folder is not None and hasattr(config, "path"):
        config = msgspec.structs.replace(config, path=str(folder / config.path))
    store: Store = module.STORE(config, writer=writer)
    return store


def _engine(name: str) -> Any:
    return importlib.import_module(f"{found.__name__}.{name}")
