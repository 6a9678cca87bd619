"""That people are to be told something: one row for each, written in the transaction that decided it.

This is the seam between deciding and telling. Deciding writes `intent` rows and knows nobody's address; telling reads
them in order of their number, and decides whom, over what and together with what. What an incident *is* stands in the
incident, so a message that is sent late says what has become of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from cloud.alerts.rules import Rule

Grade = Literal["life", "service", "upkeep"]
Tell = Literal["onset", "again", "silent", "end", "end_unknown", "was", "late", "late_end"]
FRESH_S: dict[str, float] = {"life": 900.0, "service": 3_600.0, "upkeep": 14_400.0}


class Intent(msgspec.Struct, frozen=True):
    """One thing to be told about one incident. Numbers only grow and are never given twice.

    `tell`: it began (onset), again after its end was told, its sensor fell silent while it lasted (silent), it ended
    (end), nobody will know when (end_unknown), it is known only after it was over (was), it is known from old readings
    (late, late_end), which is not happening now. `grade` is what is at stake: life (smoke), service (a hamlet without
    signal), upkeep (something of ours). `due_s` after `at_ms` (UTC) it may be told, and `fresh_s` after `at_ms` it is
    no news any more: then only what the incident has become is worth telling, as past. Both are seconds, so that a
    server clock that is put right in between need not matter.
    """

    id: int
    at_ms: int
    incident: int
    tell: Tell
    grade: Grade
    due_s: float
    fresh_s: float


def of_rule(rule: Rule | None, incident: int, tell: Tell, at_ms: int) -> Intent:
    """Return an intent that has no number yet; a rule that cloud.toml no longer has counts as upkeep."""
    grade: Grade = rule.grade if rule is not None else "upkeep"
    return Intent(0, at_ms, incident, tell, grade, 0.0, FRESH_S[grade])
