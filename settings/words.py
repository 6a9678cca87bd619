"""What people are told is data: a words.toml in the package that tells it, Vietnamese first and English beside it."""

from __future__ import annotations

import errno
import os
import re
import tomllib
from functools import cache
from importlib import resources
from typing import Any, Self

LANGUAGES = ("vi", "en")
# What Python puts around the words of the system.
_AROUND = re.compile(
    r"\[(?:Errno -?\d+|(?:SSL|X509)(?:: \w+)?)\] |, certificate is not valid for '[^']*'\.| ?\(_ssl\.c:\d+\)"
)


@cache
def words(*packages: str) -> dict[str, Any]:
    """Return what the words.toml of these packages say as one; where two have the same part, the later's counts."""
    told: dict[str, Any] = {}
    for package in packages:
        told |= tomllib.loads(resources.files(package).joinpath("words.toml").read_text("utf-8"))
    return told


class Sentence(str):
    """A sentence of a words.toml that is read in both languages: its own text is English, for the log."""

    __slots__ = ("_vi",)
    _vi: str

    def __new__(cls, package: str, part: str, name: str, /, **facts: Any) -> Self:
        """Say one sentence."""
        made = super().__new__(cls, said(package, part, name, "en", **facts))
        made._vi = said(package, part, name, "vi", **facts)
        return made

    def told(self, language: str) -> str:
        """Return it in one language."""
        return self._vi if language == "vi" else str(self)


class Refused(RuntimeError):
    """A person must act before it can work: said in a words.toml, exit code 2. Its own text is English, for the log."""

    further: tuple[Refused, ...] = ()  # what else must be mended, of the same kind

    def __init__(self, package: str, part: str, name: str, /, **facts: Any) -> None:
        self._said = package, part, name
        self._facts = facts
        super().__init__(self.told("en"))

    def told(self, language: str) -> str:
        """Return it in one language."""
        package, part, name = self._said
        return said(package, part, name, language, **self._facts)


class Taken(Refused):
    """A file or an address is somebody else's: another process, a newer gocche. Who waits may yet get it."""


def said(package: str, part: str, name: str, language: str, /, **facts: Any) -> str:
    """Return one sentence in one language. A fact that is itself refused, or an exception, is told in that language."""
    text: str = words(package)[part][name][language]
    return text.format(**{key: _told(fact, language) for key, fact in facts.items()})


def why_absent(reason: int, language: str) -> str:
    """Return why a reading brings no value, of its `Reason`."""
    return said(__package__, "reason", str(int(reason)), language)


def _told(fact: Any, language: str) -> Any:
    if hasattr(fact, "told"):
        return fact.told(language)
    return because(str(fact))["why_vi" if language == "vi" else "why"] if isinstance(fact, Exception) else fact


def because(why: Exception | str) -> dict[str, str]:
    """Return the facts `why` and `why_vi`: the words of [because] for ours, or for what the system says.

    What the system says may stand behind a place (`host:587: timed out`): each part between colons that has a row is
    told by it, the rest as it came.
    """
    text = str(why)
    if isinstance(why, Exception):
        number = getattr(why, "errno", None) or 0  # OpenSSL's own numbers lie beyond the system's
        text = os.strerror(number) if number in errno.errorcode else str(getattr(why, "strerror", None) or why)
        if isinstance(reason := getattr(why, "reason", None), str):  # OpenSSL's
            text = reason.lower().replace("_", " ")
    text = _AROUND.sub("", text)
    rows = words(__package__)["because"]
    why_en, why_vi = (
        ": ".join(rows.get(one, {}).get(language, one) for one in text.split(": ")) for language in ("en", "vi")
    )
    return {"why": why_en, "why_vi": why_vi}
