"""What is found wrong in a file of settings: file, place, and in words that are data the rule and the remedy."""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import msgspec

from settings.words import LANGUAGES, Refused, words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_P = ParamSpec("_P")
_T = TypeVar("_T")
MOST = 10  # mistakes of one file that are told at once
SHOWN = 80  # characters of a value: enough to find it again


class File(msgspec.Struct, frozen=True):
    """A file of settings: which tables it has, and how people are told what is wrong with it."""

    path: Path
    told_by: tuple[str, ...]  # the packages whose words.toml have the sentences
    unit: str  # the service that reads it
    single: tuple[str, ...]  # [table]
    several: tuple[str, ...]  # [[table]]
    gone: dict[str, str] = {}  # what a table of an earlier gocche is called now: the kind of finding

    def __str__(self) -> str:
        return str(self.path)

    @property
    def words(self) -> dict[str, Any]:
        """The sentences: [rule, remedy] by kind and language."""
        return words(*self.told_by)


class Finding(msgspec.Struct, frozen=True):
    """One thing that must be mended, or looked at."""

    file: File
    place: str
    kind: str  # a row of words.toml
    facts: dict[str, Any]

    def told(self, language: str) -> str:
        """Return it as one sentence: file, place, rule; remedy."""
        facts = {"unit": self.file.unit} | self.facts
        rule, remedy = (text.format(**facts) for text in self.file.words[self.kind][language])
        place = re.sub(r"^line (?=\d+$)", self.file.words["types"][language]["line"] + " ", self.place)
        return ": ".join(filter(None, (str(self.file), place, rule))) + f"; {remedy}"


class ConfigError(Refused):
    """The configuration cannot be used: nothing is started, exit code 2. Its text is English, for the log."""

    def __init__(self, file: File, place: str, kind: str, **facts: Any) -> None:
        self.finding = Finding(file, place, kind, facts)
        RuntimeError.__init__(self, self.finding.told("en"))

    def told(self, language: str) -> str:
        """Return it in one language."""
        return self.finding.told(language)


class Mistakes:
    """What is wrong in the parts of one file: who mends the first should not meet the next only then."""

    def __init__(self) -> None:
        self._found: list[ConfigError] = []

    def tried(self, part: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T | None:
        """Return what a part is read as; None where it is wrong, which is kept for `end`."""
        try:
            return part(*args, **kwargs)
        except ConfigError as error:
            self._found.append(error)
            return None

    def end(self) -> None:
        """Raise the first that was found, with the others behind it; nothing where none was."""
        if self._found:
            first, *others = self._found
            first.further = tuple(others[: MOST - 1])
            raise first


class Unfit(ValueError):
    """What a struct, a driver or a rule says against its own table: the key, a sentence, its facts.

    It knows neither file nor place: whoever knows them makes a ConfigError of it (expected.py).
    """

    def __init__(self, key: str, kind: str, **facts: Any) -> None:
        super().__init__(f"{key}: {kind} {facts}")
        self.key, self.kind, self.facts = key, kind, facts


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
    close = difflib.get_close_matches(word[:64], every, 1, 0.55)
    parts = [0, 1] if close and listed else [0] if close else [1]
    said = {
        language: " ".join(words("settings")["suggestion"][language][part] for part in parts) for language in LANGUAGES
    }
    facts = {"close": shown(close[0]) if close else "", "known": ", ".join(every)}
    return {"suggestion": said["en"].format(**facts), "suggestion_vi": said["vi"].format(**facts)}


def unknown(key: str, word: str, known: Iterable[str]) -> Unfit:
    """Return what is said against a word that names nothing: the nearest, and all that there are."""
    return Unfit(key, "unknown_word", name=key, value=shown(word), **suggestion(word, known, listed=True))
