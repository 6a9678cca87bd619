"""What the ledger adds up to, in the tables `tally` and `mark`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.store.summary import Mark, Tallied

if TYPE_CHECKING:
    import sqlite3


def mark(db: sqlite3.Connection) -> Mark:
    """Return how far the summary goes."""
    return Mark(*db.execute("SELECT until_ms, expired_ms FROM mark").fetchone())


def read(db: sqlite3.Connection) -> tuple[Mark, list[Tallied]]:
    """Return how far the summary goes, and what was kept of each epoch."""
    kept = db.execute("SELECT gateway, name, text FROM tally JOIN epoch ON id = epoch ORDER BY gateway, name")
    return mark(db), [Tallied(*row) for row in kept]


def keep(db: sqlite3.Connection, tallies: list[tuple[int, str]]) -> None:
    """Keep some tallies, each under the number of its epoch."""
    db.executemany("INSERT OR REPLACE INTO tally VALUES (?, ?)", tallies)


def keep_mark(db: sqlite3.Connection, new: Mark) -> None:
    """Keep how far they go."""
    db.execute("UPDATE mark SET until_ms = ?, expired_ms = ?", (new.until_ms, new.expired_ms))


def lower(db: sqlite3.Connection, until_ms: int) -> None:
    """Say that a row arrived before the mark: a clock was set back."""
    db.execute("UPDATE mark SET until_ms = ? WHERE until_ms > ?", (until_ms, until_ms))
