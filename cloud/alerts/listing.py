"""What the journal can tell an operator, read by any thread or process without disturbing the writer."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import msgspec

from cloud.alerts import ways
from cloud.alerts.journal import reading
from cloud.alerts.tell.outbox import WAITS
from cloud.alerts.tell.route import DAY_MS

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.alerts.journal import Journal

# Addresses to which a letter was lost in the last day, and none was delivered since.
_LOST = """
SELECT count(*) FROM (
  SELECT max(CASE WHEN state = 'given up' AND done_ms > {day_ms} THEN id END) AS lost,
    max(CASE WHEN state = 'told' THEN id END) AS got
  FROM letter GROUP BY channel, address)
WHERE lost > coalesce(got, 0)"""
# People whom a letter about life has reached by no channel, in the last day, and no letter since.
_UNREACHED = """
SELECT count(*) FROM (
  SELECT max(CASE WHEN state = 'given up' AND done_ms > {day_ms} AND level = 0 THEN coalesce(copy_of, id) END) AS lost,
    max(CASE WHEN state IN ('told', 'waiting', 'sending') THEN coalesce(copy_of, id) END) AS got
  FROM letter GROUP BY person)
WHERE lost > coalesce(got, 0)"""


def health(journal: Journal, now_ms: int) -> dict[str, Any]:
    """Return counts of incidents and messages, how old the oldest waiting message is, and how the journal is."""
    if not journal.begun:
        return {"journal": "not yet begun"}
    why = journal.in_memory
    try:
        with journal.reading() as db:
            return _counts(db, now_ms) | {"journal": f"in memory, its file takes nothing: {why}" if why else "ok"}
    except sqlite3.Error as error:
        return {"journal": f"cannot be read: {error}"}


def events(path: Path, incident: int) -> list[tuple[int, str, str, str, str]]:
    """Return an incident's history: (UTC ms, event, who, words, inputs as JSON), oldest first."""
    query = "SELECT at_ms, event, who, what, inputs FROM journal WHERE incident = ? ORDER BY id"
    with reading(path) as db:
        return list(db.execute(query, (incident,)))


def history(path: Path, incident: int) -> list[tuple[int, int, str, str]]:
    """Return an incident's history with the numbers of its rows: (number, UTC ms, event, inputs as JSON)."""
    query = "SELECT id, at_ms, event, inputs FROM journal WHERE incident = ? ORDER BY id"
    with reading(path) as db:
        return list(db.execute(query, (incident,)))


def _counts(db: sqlite3.Connection, now_ms: int) -> dict[str, Any]:
    """Count what is so now: what was wrong once and is over makes nobody ill."""
    day_ms = now_ms - DAY_MS
    recent = f"(ended_ms IS NULL OR ended_ms > {day_ms})"
    oldest_ms = _one(db, f"SELECT min(at_ms) FROM letter WHERE {WAITS}")
    lost = _one(db, f"SELECT count(*) FROM letter WHERE state = 'given up' AND done_ms > {day_ms}")
    last = db.execute("SELECT words FROM letter WHERE words != '' ORDER BY id DESC LIMIT 1").fetchone()
    return {
        "open": _one(db, "SELECT count(*) FROM incident WHERE closed_ms IS NULL AND part_of IS NULL"),
        "without_place": _one(db, f"SELECT count(*) FROM incident WHERE place = '' AND {recent}"),
        "without_contact": _one(db, f"SELECT count(*) FROM incident WHERE untold AND {recent}"),
        "waiting": _one(db, f"SELECT count(*) FROM letter WHERE {WAITS}"),
        "oldest_waiting_s": 0 if oldest_ms is None else max(0, (now_ms - oldest_ms) // 1000),
        "given_up": lost and _one(db, _LOST.format(day_ms=day_ms)),
        "unreached": lost and _one(db, _UNREACHED.format(day_ms=day_ms)),
        "last_refusal": last[0] if last else "",
        "self_test_ms": int(_one(db, "SELECT max(value) FROM meta WHERE key = 'self-test'") or 0),
        "self_test_failed": sorted(way.name for way in ways.read(db, now_ms) if way.test_why),
        "ledger_read_to_ms": int(_one(db, "SELECT max(value) FROM meta WHERE key = 'cursor'") or 0),
    }


def _one(db: sqlite3.Connection, query: str) -> Any:
    return db.execute(query).fetchone()[0]


class Staged(msgspec.Struct, frozen=True):
    """A step of an incident about fire that people speak of: which, when, and what it was called then."""

    event: int
    at_ms: int
    incident: int
    what: str
    gateway: str
    place_vi: str
    place_en: str
    exercise: bool


_STAGED = """
SELECT journal.id, at_ms, incident, event, gateway, place_vi, place_en, exercise FROM journal
JOIN incident ON incident.id = incident
WHERE journal.id > ? AND at_ms >= ?
AND event IN ('opened', 'reopened', 'probable', 'confirmed', 'under-control', 'closed')
AND grade = 'life' AND part_of IS NULL AND NOT late AND may_burn
AND basis IN ('readings', 'unstored', 'people', 'drill')
ORDER BY journal.id LIMIT ?"""


def staged(path: Path, after: int, since_ms: int, at_most: int) -> list[Staged]:
    """Return the steps with a number above `after`, oldest first; none where there is no journal yet."""
    if not path.exists():
        return []
    with reading(path) as db:
        return [Staged(*row) for row in db.execute(_STAGED, (after, since_ms, at_most))]


class Sent(msgspec.Struct, frozen=True):
    """One letter about an incident, and what became of it. `receipt` is what the network said later."""

    person: str
    channel: str
    at_ms: int
    done_ms: int | None
    state: str
    receipt: str
    words: str


def letters(path: Path, incident: int) -> list[Sent]:
    """Return the letters about an incident, oldest first; what was written back to who answered is none."""
    query = (
        "SELECT person, channel, at_ms, done_ms, state, receipt, words FROM letter"
        " JOIN about ON about.letter = letter.id WHERE incident = ? AND says = '' ORDER BY letter.id"
    )
    with reading(path) as db:
        return [Sent(*row) for row in db.execute(query, (incident,))]
