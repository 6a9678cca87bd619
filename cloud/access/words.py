"""What an invitation says to the people of a team: sentences of words.toml beside this file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.clock import hanoi
from settings.words import said, words

if TYPE_CHECKING:
    from cloud.access.invitation import Invitation

_HERE = "cloud.access"


def title(one: Invitation, language: str) -> str:
    """Return for whom it is."""
    return said(_HERE, "sheet", "title", language, team=one.team)


def steps(one: Invitation, language: str) -> list[str]:
    """Return what to do, one after another, and what to know."""
    until = f"{hanoi(one.until_ms):%d/%m/%Y}"
    lines = [said(_HERE, "steps", name, language) for name in words(_HERE)["steps"]]
    numbered = [f"{number}. {line}" for number, line in enumerate(lines, 1)]
    return [*numbered, *(said(_HERE, "know", name, language, until=until) for name in words(_HERE)["know"])]
