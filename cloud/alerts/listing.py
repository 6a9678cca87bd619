"""What the journal can tell an operator, read by any thread or process without disturbing the writer."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from cloud.alerts.journal import reading

if TYPE_CHECKING:
    from pathlib import Path


def health(path: Path, now_ms: int) -> dict[str, Any]:
    """Return counts of incidents and messages, and how old the oldest waiting message is."""
    if not path.exists():
        return {"journal": "not yet begun"}
    try:
        with reading(path) as db:
            return _counts(db, now_ms)
    except sqlite3.Error as error:
        return {"journal": f"cannot be read: {error}"}


def events(path: Path, incident: int) -> list[tuple[int, str, str, str, str]]:
    """Return an incident's history: (UTC ms, event, who, words, inputs as JSON), oldest first."""
    query = "SELECT at_ms, event, who, what, inputs FROM journal WHERE incident = ? ORDER BY id"
    with reading(path) as db:
        return list(db.execute(query, (incident,)))


def _counts(db: sqlite3.Connection, now_ms: int) -> dict[str, Any]:
    oldest_ms = _one(db, "SELECT min(created_ms) FROM outbox WHERE state IN ('waiting', 'sending')")
    last = db.execute("SELECT words FROM outbox WHERE words != '' ORDER BY id DESC LIMIT 1").fetchone()
    return {
        "journal": "ok",
        "open": _one(db, "SELECT count(*) FROM incident WHERE ended_ms IS NULL"),
        "without_place": _one(db, "SELECT count(*) FROM incident WHERE place = ''"),
        "without_contact": _one(db, "SELECT count(*) FROM incident WHERE untold"),
        "waiting": _one(db, "SELECT count(*) FROM outbox WHERE state IN ('waiting', 'sending')"),
        "oldest_waiting_s": 0 if oldest_ms is None else max(0, (now_ms - oldest_ms) // 1000),
        "given_up": _one(db, "SELECT count(*) FROM outbox WHERE state = 'given up'"),
        "last_refusal": last[0] if last else "",
        "ledger_read_to_ms": int(_one(db, "SELECT max(value) FROM meta WHERE key = 'cursor'") or 0),
    }


def _one(db: sqlite3.Connection, query: str) -> Any:
    return db.execute(query).fetchone()[0]
