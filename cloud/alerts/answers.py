"""What somebody means who writes back: the code of the letter, and a word for what they do. Pure; words are data.

Read is what a telephone of any make may send: digits of full width (NFKC), accents or none, the code anywhere, beside
other numbers.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import cache
from pathlib import Path

import msgspec

from at.alphabet import plain
from cloud.alerts.incident import CLOSINGS

_CODE = re.compile(r"(?<![0-9])[0-9]{4}(?![0-9])")
_WORDS = Path(__file__).parent / "words.toml"


class Answer(msgspec.Struct, frozen=True):
    """`does` is an act, or one of CLOSINGS to close as; `words` are all that was said beside the code."""

    code: str
    does: str
    words: str

    @property
    def act(self) -> str:
        """The act that is meant."""
        return "close" if self.does in CLOSINGS else self.does

    @property
    def closed_as(self) -> str:
        """As what it is to be closed; empty where it is not."""
        return self.does if self.does in CLOSINGS else ""


def codes(text: str) -> list[str]:
    """Return what may be the code in a reply, in the order in which it stands there."""
    return list(dict.fromkeys(_CODE.findall(unicodedata.normalize("NFKC", text))))


def understood(text: str, code: str = "") -> Answer:
    """Return what a reply says beside its code; what is no known word is a comment of somebody who has it."""
    whole = unicodedata.normalize("NFKC", text)
    parts = re.split(rf"(?<![0-9]){code}(?![0-9])", whole, maxsplit=1) if code else [whole]
    rest = " ".join(" ".join(parts).split())
    said = " ".join(plainly(rest).strip(" .,!?:;-").split())
    return Answer(code, _meanings().get(said, "comment"), rest[:2_000])


def plainly(text: str) -> str:
    """Return a text in small letters without the marks of Vietnamese: as it is typed on an old phone."""
    return plain(text).lower()


@cache
def _meanings() -> dict[str, str]:
    table: dict[str, list[str]] = tomllib.loads(_WORDS.read_text(encoding="utf-8"))["answers"]
    return {plainly(word): does for does, words in table.items() for word in words}
