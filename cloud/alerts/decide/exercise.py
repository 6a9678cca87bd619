"""While smoke is staged at a gateway, what is suspected there is an exercise: a note in the journal's memory."""

from __future__ import annotations

LONGEST_EXERCISE_MS = 3_600_000
DRILLED_BY = "gocche drill"  # as which the command acts
EXERCISE = "exercise"  # of the journal's memory: until when what is suspected is one, and who has asked for it


def is_exercise(memory: str, gateway: str, now_ms: int) -> bool:
    """Tell whether what is suspected now at a gateway is an exercise, by what the journal remembers of it."""
    until_ms, _, scope = memory.partition(" ")
    return scope == gateway != "" and now_ms < int(until_ms) <= now_ms + LONGEST_EXERCISE_MS
