"""What commands print to people: the sentences of words.toml beside this file; log lines are English."""

from __future__ import annotations

from typing import Any

from settings import words as sentences
from settings.words import LANGUAGES

__all__ = ["LANGUAGES", "Refused", "both", "said", "words"]
_HERE = "gocche"


def words() -> dict[str, Any]:
    """Return words.toml."""
    return sentences.words(_HERE)


def said(part: str, name: str, language: str, /, **facts: Any) -> str:
    """Return one sentence in one language."""
    return sentences.said(_HERE, part, name, language, **facts)


def both(part: str, name: str, /, **facts: Any) -> str:
    """Return one sentence in Vietnamese, and below it in English."""
    return "\n".join(said(part, name, language, **facts) for language in LANGUAGES)


class Refused(sentences.Refused):
    """What was asked of a command makes no sense: exit code 2."""

    def __init__(self, part: str, name: str, /, **facts: Any) -> None:
        super().__init__(_HERE, part, name, **facts)
