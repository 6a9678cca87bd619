"""What is found wrong in devices.toml: file, place, and in words that are data (words.toml) the rule and the remedy."""

from __future__ import annotations

import difflib
import json
import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN = 80  # characters of a value: enough to find it again


class Finding(msgspec.Struct, frozen=True):
    """One thing that must be mended, or looked at."""

    file: Path
    place: str
    kind: str  # a row of words.toml
    facts: dict[str, Any]

    def told(self, language: str) -> str:
        """Return it as one sentence: file, place, rule; remedy."""
        rule, remedy = (text.format(**self.facts) for text in words()[self.kind][language])
        return ": ".join(filter(None, (str(self.file), self.place, rule))) + f"; {remedy}"


class ConfigError(Exception):
    """The configuration cannot be used: nothing is started, exit code 2. Its text is English, for the log."""

    def __init__(self, file: Path, place: str, kind: str, **facts: Any) -> None:
        self.finding = Finding(file, place, kind, facts)
        super().__init__(self.finding.told("en"))

    def told(self, language: str) -> str:
        """Return it in one language."""
        return self.finding.told(language)


@cache
def words() -> dict[str, dict[str, Any]]:
    """Return words.toml."""
    return tomllib.loads(resources.files(__package__).joinpath("words.toml").read_text(encoding="utf-8"))


def shown(value: object) -> str:
    """Return a value as it may stand in the file, on one line, cut where it is long."""
    if isinstance(value, dict):
        text = "{ " + ", ".join(f"{key} = {shown(one)}" for key, one in list(value.items())[:8]) + " }"
    elif isinstance(value, list):
        text = "[" + ", ".join(shown(one) for one in value[:8]) + "]"
    elif isinstance(value, str | bool) or value is None:
        text = json.dumps(value[:SHOWN] if isinstance(value, str) else value, ensure_ascii=False)
    elif isinstance(value, int):
        text = str(value) if abs(value) < 1 << 256 else "a number of more than 77 digits"
    else:
        text = str(value)
    text = "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def suggestion(word: str, known: Iterable[str], *, listed: bool = False) -> dict[str, str]:
    """Return the facts `suggestion` and `suggestion_vi`: the nearest of the known words, else (or `listed`) all."""
    every = sorted(known)
    close = difflib.get_close_matches(word[:64], every, 1, 0.5)
    parts = [0, 1] if close and listed else [0] if close else [1]
    said = {language: " ".join(words()["suggestion"][language][part] for part in parts) for language in ("vi", "en")}
    facts = {"close": shown(close[0]) if close else "", "known": ", ".join(every)}
    return {"suggestion": said["en"].format(**facts), "suggestion_vi": said["vi"].format(**facts)}
