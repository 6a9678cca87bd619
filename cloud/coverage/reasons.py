"""Why records were no samples, in words: the reasons of BadSample are counted by name, people read sentences."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path


def told(reason: str, language: str) -> str:
    """Return a reason in words of a language; one that has none as it is."""
    return words().get(reason, {}).get(language, reason)


@cache
def words() -> dict[str, dict[str, str]]:
    """Return all of them, by reason and language."""
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
