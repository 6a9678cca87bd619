"""What commands print to people: data (words.toml), Vietnamese first with English beside it; log lines are English."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any

LANGUAGES = ("vi", "en")


@cache
def words() -> dict[str, Any]:
    """Return words.toml."""
    text: dict[str, Any] = tomllib.loads(resources.files(__package__).joinpath("words.toml").read_text("utf-8"))
    return text


def said(part: str, name: str, language: str, /, **facts: Any) -> str:
    """Return one sentence in one language."""
    text: str = words()[part][name][language]
    return text.format(**facts)


def both(part: str, name: str, /, **facts: Any) -> str:
    """Return one sentence in Vietnamese, and below it in English."""
    return "\n".join(said(part, name, language, **facts) for language in LANGUAGES)


class Refused(Exception):
    """What was asked for makes no sense: said in words.toml, exit code 2."""

    def __init__(self, part: str, name: str, /, **facts: Any) -> None:
        super().__init__(said(part, name, "en", **facts))
        self._said = part, name, facts

    def told(self, language: str) -> str:
        """Return it in one language."""
        part, name, facts = self._said
        return said(part, name, language, **facts)
