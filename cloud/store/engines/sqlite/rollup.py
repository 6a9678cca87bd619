"""Hours: counted anew whenever something came for them, once they have come to rest.

An hour whose single readings are gone cannot be counted anew: what comes for it later is added to it, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.store.engines.sqlite.texts import present
from cloud.store.keys import HOUR_MS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from cloud.store.history import Past
    from cloud.store.unreadable import Unreadable

QUIET_MS = 120_000  # an hour is counted once nothing came for it this long
FOLD_AT_MOST, FOLD_VALUES = 32, 20_000  # (hour, channel) and about so many values in one step: some 20 ms

Counted = tuple[int, float, float, float]  # number, mean, lowest, highest
_ADD = (
    "INSERT INTO hourly VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n,"
    " mean = (n * mean + excluded.n * excluded.mean) / (n + excluded.n),"
    " low = min(low, excluded.low), high = max(high, excluded.high)"
)


def counted(values: Mapping[str, list[float]]) -> dict[str, Counted]:
    """Return number, mean, lowest and highest of each quantity."""
    return {quantity: (len(own), sum(own) / len(own), min(own), max(own)) for quantity, own in values.items()}


def count(db: sqlite3.Connection, unreadable: Unreadable, hour: int, channel: int) -> dict[str, Counted]:
    """Return what the stored readings of a channel in one hour add up to, by quantity."""
    values: dict[str, list[float]] = {}
    rows = db.execute(
        "SELECT quantities, texts FROM reading JOIN shape ON id = shape WHERE hour = ? AND channel = ?", (hour, channel)
    )
    for of_row in unreadable.each("reading", rows, lambda row: present(row[0].split(","), row[1])):
        for quantity, value in of_row:
            values.setdefault(quantity, []).append(value)
    return counted(values)


def at_rest(db: sqlite3.Connection, now_ms: int) -> list[tuple[int, int]]:
    """Return some (hour, channel) that are over and for which nothing came lately."""
    return db.execute(
        "SELECT hour, channel FROM dirty_hour WHERE hour < ? AND touched_ms <= ? LIMIT ?",
        (now_ms // HOUR_MS, now_ms - QUIET_MS, FOLD_AT_MOST),
    ).fetchall()


def before(db: sqlite3.Connection, hour: int) -> list[tuple[int, int]]:
    """Return some (hour, channel) before `hour` that are not counted yet, at rest or not."""
    return db.execute("SELECT hour, channel FROM dirty_hour WHERE hour < ? LIMIT ?", (hour, FOLD_AT_MOST)).fetchall()


def fold(db: sqlite3.Connection, unreadable: Unreadable, hours: Iterable[tuple[int, int]]) -> None:
    """Write the rollup of some hours, as many as one step may take."""
    values = 0
    for hour, channel in hours:
        rows = [(hour, channel, quantity, *found) for quantity, found in count(db, unreadable, hour, channel).items()]
        db.execute("DELETE FROM hourly WHERE hour = ? AND channel = ?", (hour, channel))
        db.executemany("INSERT INTO hourly VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        db.execute("DELETE FROM dirty_hour WHERE hour = ? AND channel = ?", (hour, channel))
        values += sum(row[3] for row in rows)
        if values > FOLD_VALUES:
            break


def add(db: sqlite3.Connection, hour: int, channel: int, values: Mapping[str, list[float]]) -> None:
    """Add values to an hour whose single readings are gone. To be done once for each reading."""
    db.executemany(_ADD, [(hour, channel, quantity, *found) for quantity, found in counted(values).items()])


def put(db: sqlite3.Connection, past: Iterable[tuple[int, Past]]) -> None:
    """Write hours of (channel, series) that stand for themselves, in the order of the table's key."""
    rows = [
        (hour.start_ms // HOUR_MS, channel, one.quantity, hour.n, hour.mean, hour.low, hour.high)
        for channel, one in past
        for hour in one.hours
    ]
    db.executemany("INSERT INTO hourly VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", sorted(rows))
