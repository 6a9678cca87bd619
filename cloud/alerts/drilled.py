"""What a drill needs of the alerts room from outside: to ask it, to see what it suspects, and what became of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec

from cloud.alerts import listing
from cloud.alerts.counter import ROOM
from cloud.alerts.journal import read_open, reading
from cloud.alerts.wiring import JOURNAL
from cloud.inbox import Asker

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.clock import Clock

ANSWERS = ("acknowledged", "confirmed", "under-control", "closed")
SHOWN = (*ANSWERS, "told", "tell-failed", "receipt", "escalated", "comment")


class Line(msgspec.Struct, frozen=True):
    """What a report says of one letter, in seconds since the incident was opened."""

    person: str
    channel: str
    told_s: float | None
    state: str
    receipt: str


class Report(msgspec.Struct, frozen=True):
    """Who was told, who answered first and after how long, and which channels failed."""

    incident: int
    lines: list[Line]
    answered_by: str
    answered_s: float | None
    failed: list[str]


class Course(msgspec.Struct, frozen=True):
    """How long staged smoke took from step to step of its way, in seconds since it was staged; None: not yet."""

    seen_s: float | None  # its first sample was measured
    sure_s: float | None  # the sample was measured that completes the suspicion
    opened_s: float | None  # the incident was opened: the duty page rings when it asks next
    told_s: float | None  # the first letter was taken by its channel


_COURSE = """
SELECT since_ms, opened_ms, (SELECT min(at_ms) FROM journal WHERE journal.incident = incident.id),
  (SELECT min(done_ms) FROM letter JOIN about ON letter = letter.id WHERE incident = incident.id AND state = 'told')
FROM incident WHERE id = ?"""


def asker_of(folder: Path, clock: Clock) -> Asker:
    """Return who asks the alerts room of a data folder."""
    return Asker(folder, ROOM, clock)


def newest(folder: Path) -> int:
    """Return the number of the newest incident with which people are not done, 0 where there is none."""
    return max((one.id for one in read_open(folder / JOURNAL, 1)), default=0)


def exercise_after(folder: Path, number: int) -> int | None:
    """Return the number of an exercise that was opened after an incident, if there is one."""
    return next((one.id for one in read_open(folder / JOURNAL, 20) if one.exercise and one.id > number), None)


def happened(folder: Path, incident: int, past: int) -> list[tuple[str, str, str, str]]:
    """Return (event, who, channel, words) of an incident's history without its first `past` events."""
    history = listing.events(folder / JOURNAL, incident)[past:]
    return [(event, who, json.loads(inputs).get("channel", ""), what) for _, event, who, what, inputs in history]


def course(folder: Path, incident: int, staged_ms: int) -> Course:
    """Return how long an incident's steps took since its smoke was staged. Raises LookupError where there is none."""
    with reading(folder / JOURNAL) as db:
        row = db.execute(_COURSE, (incident,)).fetchone()
    if row is None:
        raise LookupError(f"incident {incident} is not there")
    return Course(*(None if at_ms is None else (at_ms - staged_ms) / 1000 for at_ms in row))


def report(folder: Path, incident: int, drilled_by: str) -> Report:
    """Return what became of an incident's letters and who answered. Raises LookupError where there is none."""
    history = listing.events(folder / JOURNAL, incident)
    if not history:
        raise LookupError(f"incident {incident} is not there")
    began_ms = history[0][0]

    def since_s(at_ms: int | None) -> float | None:
        return None if at_ms is None else (at_ms - began_ms) / 1000

    sent = listing.letters(folder / JOURNAL, incident)
    lines = [Line(one.person, one.channel, since_s(one.done_ms), one.state, one.receipt or one.words) for one in sent]
    answers = [(at_ms, who) for at_ms, event, who, _, _ in history if event in ANSWERS]
    at_ms, who = next((one for one in answers if one[1] not in ("alerts", drilled_by)), (None, ""))
    failed = sorted({one.channel for one in sent if one.state in ("given up", "undelivered")})
    return Report(incident, lines, who, since_s(at_ms), failed)
