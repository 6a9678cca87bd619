"""That people are to be told something: one row for each, written in the transaction that decided it.

This is the seam between deciding and telling. Deciding writes `intent` rows and knows nobody's address; telling reads
them in order of their number, and decides whom, over what and together with what. What an incident *is* stands in the
incident, so a message that is sent late says what has become of it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Grade = Literal["life", "service", "upkeep"]
Tell = Literal[
    "onset",
    "again",
    "probable",
    "confirmed",
    "silent",
    "unanswered",
    "assigned",
    "reopened",
    "controlled",
    "false",
    "closed",
    "end",
    "end_unknown",
    "was",
    "test",
    "late",
    "late_end",
]
FRESH_S: dict[str, float] = {"life": 900.0, "service": 3_600.0, "upkeep": 14_400.0}


class Intent(msgspec.Struct, frozen=True):
    """One thing to be told about one incident. Numbers only grow and are never given twice.

    `tell`: it began (onset), again after its end was told, its sensor fell silent while it lasted (silent), it ended
    (end), nobody will know when (end_unknown), it is known only after it was over (was), it is known from old readings
    (late, late_end), which is not happening now. Of what is about life also: it became probable, a person confirmed it
    or opened it again (reopened), it is under control, it was none (false), it is closed, and that nobody has answered
    (unanswered), which `rung` of the chain is told. A test is told once by each channel. `grade` is what is at stake:
    life (smoke), service (a hamlet without signal), upkeep (something of ours). `due_s` after `at_ms` (UTC) it may be
    told, and `fresh_s` after `at_ms` it is no news any more: then only what the incident has become is worth telling,
    as past. Both are seconds, so that a server clock that is put right in between need not matter.
    """

    id: int
    at_ms: int
    incident: int
    tell: Tell
    grade: Grade
    due_s: float
    fresh_s: float
    rung: int = 0


def of_grade(grade: Grade, incident: int, tell: Tell, at_ms: int, rung: int = 0, due_s: float = 0.0) -> Intent:
    """Return an intent that has no number yet."""
    return Intent(0, at_ms, incident, tell, grade, due_s, FRESH_S[grade], rung)
