"""What a store promises, and how one is opened by its name: three protocols, one package per engine.

An engine is `cloud/store/engines/<name>/` with a frozen struct `CONFIG` (its keys under `[store]` in cloud.toml) and
a class `STORE`; it is proved by `tests/contracts/test_store.py`, which runs on every engine.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any, Protocol

import msgspec

from cloud.store import engines as found
from cloud.store.history import Absent, History, Hour, Sample
from cloud.store.ledger import TWICE, Ledger, LedgerRow, Refusal, Refused, each_row
from cloud.store.statuses import Statuses, StatusRow

__all__ = [
    "TWICE",
    "Absent",
    "History",
    "Hour",
    "Ledger",
    "LedgerRow",
    "Refusal",
    "Refused",
    "Retry",
    "Sample",
    "StatusRow",
    "Statuses",
    "Store",
    "each_row",
    "engines",
    "open_store",
]


class Retry(Exception):
    """Nothing of this commit counts as stored; ask again after `after_s` seconds."""

    def __init__(self, words: str, after_s: float = 5.0) -> None:
        super().__init__(words)
        self.after_s = after_s


class Store(Ledger, History, Statuses, Protocol):
    """Where readings and the ledger live. Reading methods may be called from any thread; `commit` from one.

    Every method raises `Retry` when the database is out of reach, full or busy beyond its patience.
    """

    def setup(self) -> None:
        """Create what is missing, migrate what is old, and (where only one writer may be) take the writer's lock.

        Raises RuntimeError, with the remedy in its words, when another writer holds the lock.
        """

    def health(self) -> dict[str, Any]:
        """Return what an operator must know: engine, version, size, last fault."""

    def close(self) -> None:
        """Let go of files and connections. May be called twice."""


def engines() -> list[str]:
    """Return the names of the engines in this folder, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(found.__path__))


def open_store(table: dict[str, Any], *, writer: bool) -> Store:
    """Return the store that a `[store]` table describes; relative paths are already resolved.

    Raises ValueError for an unknown engine and msgspec.ValidationError for a wrong key or value.
    """
    engine = table.get("engine", "sqlite")
    if engine not in engines():
        raise ValueError(f"engine {engine!r} is unknown; there are: {', '.join(engines())}")
    module = importlib.import_module(f"{found.__name__}.{engine}")
    store: Store = module.STORE(msgspec.convert(table, type=module.CONFIG), writer=writer)
    return store
