"""The short numbers that stand for names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3


class Ids:
    """The writer's memory of the short numbers that stand for names; forgotten when a transaction is undone."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[tuple[str, object, str], int] = {}

    def forget(self) -> None:
        """Forget all: some were given out in a transaction that is now undone."""
        self._known.clear()

    def channel(self, gateway: str, name: str) -> int:
        """Return the number of a gateway's channel."""
        return self._id("channel", "gateway, name", gateway, name)

    def epoch(self, gateway: str, name: str) -> int:
        """Return the number of a gateway's epoch."""
        return self._id("epoch", "gateway, name", gateway, name)

    def shape(self, epoch: int, quantities: str) -> int:
        """Return the number of a list of quantities within an epoch."""
        return self._id("shape", "epoch, quantities", epoch, quantities)

    def _id(self, table: str, columns: str, owner: object, name: str) -> int:
        key = (table, owner, name)
        if key not in self._known:
            self._db.execute(
                f"INSERT INTO {table} ({columns}) VALUES (?, ?) ON CONFLICT DO NOTHING",  # noqa: S608 - own constants
                (owner, name),
            )
            where = columns.replace(", ", " = ? AND ")
            query = f"SELECT id FROM {table} WHERE {where} = ?"  # noqa: S608 - own constants
            self._known[key] = self._db.execute(query, (owner, name)).fetchone()[0]
        return self._known[key]
