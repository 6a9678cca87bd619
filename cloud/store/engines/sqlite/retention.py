"""What is old goes: single readings first, what became of their batches later, hours never.

Readings go by whole hours. The *horizon* is the first hour that is still kept: before it moves, every hour that it
passes is counted; from then on what comes for that hour is added to its count, and its readings are removed in
steps so small that no commit waits long. The ledger is pruned only where the kept summary has counted it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.store.keys import HOUR_MS, MS_NS

if TYPE_CHECKING:
    import sqlite3

    from cloud.store.engines.sqlite.config import SqliteConfig
    from cloud.store.summary import Mark

STRIDE_MS = 12 * HOUR_MS
STATUS_MS = 30 * 24 * HOUR_MS  # the status of an epoch that is over; its high-water is in the summary
ROWS, STATUSES = 2_000, 200  # removed in one step: some 10 ms
_KEYS = {"reading": "hour, channel, time", "missing": "hour, channel, time, quantity"}
_OVER = (
    "SELECT gateway, epoch FROM status s WHERE arrival_ms < ? AND EXISTS"
    " (SELECT 1 FROM status t WHERE t.gateway = s.gateway AND t.arrival_ms > s.arrival_ms) LIMIT ?"
)


class Horizon:
    """Which hours are kept, and what time it is, as far as a clock can be believed that decides what is destroyed.

    `seen_ms` follows the arrivals, but never runs ahead of them faster than twice the time that passes between two,
    and no more than twice `STRIDE_MS` at once: a clock that jumps years ahead costs a day, after a long pause
    retention takes as long again to catch up.
    """

    def __init__(self, db: sqlite3.Connection, config: SqliteConfig) -> None:
        self.hour: int
        self.seen_ms: int
        self.hour, self.seen_ms = db.execute("SELECT hour, seen_ms FROM horizon").fetchone()
        self._keep_ms, self._ledger_ms = config.keep_ms, config.ledger_ms
        self._last_ms: int | None = None

    def look(self, db: sqlite3.Connection, arrival_ms: int) -> None:
        """Take the time of an arrival. It begins with the newest reading, which its gateway has dated."""
        passed_ms = 0 if self._last_ms is None else min(max(arrival_ms - self._last_ms, 0), STRIDE_MS)
        self._last_ms = arrival_ms
        seen_ms = self.seen_ms or (db.execute("SELECT max(end_ns) FROM ledger").fetchone()[0] or 0) // MS_NS
        self.seen_ms = min(arrival_ms, seen_ms + 2 * passed_ms)

    @property
    def due_hour(self) -> int:
        """Where the horizon should stand now."""
        return max((self.seen_ms - self._keep_ms) // HOUR_MS, self.hour) if self._keep_ms else self.hour

    @property
    def ledger_ms(self) -> int:
        """From which arrival on the ledger is kept, 0 where all of it is."""
        return max(self.seen_ms - self._ledger_ms, 0) if self._ledger_ms else 0

    def move(self, db: sqlite3.Connection) -> None:
        """Let the hours go that are due; all of them are counted."""
        db.execute("UPDATE horizon SET hour = ?, seen_ms = ?", (self.due_hour, self.seen_ms))
        self.hour = self.due_hour


def kept_since_hour(db: sqlite3.Connection) -> int:
    """Return the first hour whose readings are kept."""
    hour: int = db.execute("SELECT hour FROM horizon").fetchone()[0]
    return hour


def has_old(db: sqlite3.Connection, hour: int) -> bool:
    """Tell whether readings of before `hour` are still there."""
    return any(
        db.execute(f"SELECT 1 FROM {table} WHERE hour < ? LIMIT 1", (hour,)).fetchone()  # noqa: S608 - own constants
        for table in _KEYS
    )


def remove(db: sqlite3.Connection, hour: int) -> None:
    """Remove some readings of before `hour`, the oldest first."""
    for table, key in _KEYS.items():
        cut = f"SELECT {key} FROM {table} WHERE hour < ? ORDER BY {key} LIMIT 1 OFFSET ?"  # noqa: S608 - own constants
        first_kept = db.execute(cut, (hour, ROWS)).fetchone() or (hour,)
        columns = ", ".join(key.split(", ")[: len(first_kept)])
        marks = ", ".join("?" * len(first_kept))
        db.execute(f"DELETE FROM {table} WHERE ({columns}) < ({marks})", first_kept)  # noqa: S608 - own constants


def forget(db: sqlite3.Connection, horizon: Horizon, mark: Mark) -> bool:
    """Remove some ledger rows that are old enough and counted, and statuses of epochs that are over; tell of more."""
    until_ms = min(horizon.ledger_ms, mark.until_ms, mark.expired_ms)
    after = db.execute(
        "SELECT arrival_ms FROM ledger WHERE arrival_ms < ? ORDER BY arrival_ms LIMIT 1 OFFSET ?", (until_ms, ROWS)
    ).fetchone()
    db.execute("DELETE FROM ledger WHERE arrival_ms < ?", (after[0] if after else until_ms,))
    over = db.execute(_OVER, (min(horizon.seen_ms - STATUS_MS, mark.until_ms), STATUSES)).fetchall()
    db.executemany("DELETE FROM status WHERE (gateway, epoch) = (?, ?)", over)
    db.execute("UPDATE horizon SET seen_ms = ?", (horizon.seen_ms,))
    return after is not None or len(over) == STATUSES
