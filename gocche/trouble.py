"""What befell a sensor, for a person: what it is, in their language, and what to look at."""

from __future__ import annotations

import re

from edge.driver import REASONS
from edge.sense.sampler import NO_VALUE
from gocche.words import said, words
from settings.words import why_absent
from wire.reading import Reason


def remedy(why: str, channel: str, language: str) -> str:
    """Return what to look at when a sensor's `why` (edge/sense/health.py) is this."""
    row = next(row for row in words()["remedy"] if re.search(row["why"], why))
    text: str = row[language].format(name=channel)
    return said("status", "look_at", language, what=text)


def readable(why: str, language: str) -> str:
    """Return a sensor's `why`: in Vietnamese its reason stands before the words of the talk, which are English."""
    if language == "en":
        return why
    kind, _, rest = why.partition(": ")
    busy = kind not in REASONS and "another program" in why
    named = [one for one in Reason if one.name.lower() in rest.split(", ")]
    reasons = named if kind == NO_VALUE else [Reason.PORT_BUSY if busy else _reason(kind)]
    return f"{', '.join(why_absent(reason, language) for reason in reasons)} ({why})"


def _reason(kind: str) -> Reason:
    return Reason.FAULTY if kind == "faulty" else REASONS.get(kind.partition(":")[0], Reason.PORT_LOST)
