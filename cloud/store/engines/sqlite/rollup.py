"""Hours: counted anew whenever something came for them, once they have come to rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.store.engines.sqlite.texts import present
from cloud.store.keys import HOUR_MS

if TYPE_CHECKING:
    import sqlite3

    from cloud.store.unreadable import Unreadable

QUIET_MS = 120_000  # an hour is counted once nothing came for it this long
FOLD_EVERY_MS, FOLD_AT_MOST = 10_000, 32  # (hour, channel) counted per commit, so that no commit takes long


def count(
    db: sqlite3.Connection, unreadable: Unreadable, hour: int, channel: int
) -> dict[str, tuple[int, float, float, float]]:
    """Return number, mean, lowest and highest of each quantity of a channel in one hour."""
    values: dict[str, list[float]] = {}
    rows = db.execute(
        "SELECT quantities, texts FROM reading JOIN shape ON id = shape WHERE hour = ? AND channel = ?", (hour, channel)
    )
    for of_row in unreadable.each("reading", rows, lambda row: present(row[0].split(","), row[1])):
        for quantity, value in of_row:
            values.setdefault(quantity, []).append(value)
    return {quantity: (len(own), sum(own) / len(own), min(own), max(own)) for quantity, own in values.items()}


def fold(db: sqlite3.Connection, unreadable: Unreadable, now_ms: int) -> None:
    """Write the rollup of hours that are over and at rest, a bounded number at a time."""
    ripe = db.execute(
        "SELECT hour, channel FROM dirty_hour WHERE hour < ? AND touched_ms <= ? LIMIT ?",
        (now_ms // HOUR_MS, now_ms - QUIET_MS, FOLD_AT_MOST),
    ).fetchall()
    if not ripe:
        return
    db.execute("BEGIN IMMEDIATE")
    for hour, channel in ripe:
        found = count(db, unreadable, hour, channel)
        rows = [(hour, channel, quantity, *own) for quantity, own in found.items()]
        db.execute("DELETE FROM hourly WHERE hour = ? AND channel = ?", (hour, channel))
        db.executemany("INSERT INTO hourly VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        db.execute("DELETE FROM dirty_hour WHERE hour = ? AND channel = ?", (hour, channel))
    db.execute("COMMIT")
