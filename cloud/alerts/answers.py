"""What somebody means who writes back: the code of the letter, and a word for what they do. Pure; words are data."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

import msgspec

from at.alphabet import plain

_CODE = re.compile(r"(?<!\d)\d{4}(?!\d)")
_WORDS = Path(__file__).parent / "words.toml"


class Answer(msgspec.Struct, frozen=True):
    """`does` is an act, or one of CLOSINGS to close as; `words` are all that was said beside the code."""

    code: str
    does: str
    words: str


def understood(text: str) -> Answer:
    """Return what a reply says; what is no known word is a comment of somebody who has it."""
    found = _CODE.search(text)
    code = found.group() if found else ""
    rest = " ".join((text[: found.start()] + " " + text[found.end() :]).split()) if found else " ".join(text.split())
    said = plainly(rest).strip(" .,!?:;-")
    return Answer(code, _meanings().get(said, "comment"), rest[:2_000])


def plainly(text: str) -> str:
    """Return a text in small letters without the marks of Vietnamese: as it is typed on an old phone."""
    return plain(text).lower()


@cache
def _meanings() -> dict[str, str]:
    table: dict[str, list[str]] = tomllib.loads(_WORDS.read_text(encoding="utf-8"))["answers"]
    return {plainly(word): does for does, words in table.items() for word in words}
