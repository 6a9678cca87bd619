"""What somebody means who writes back: the code of the letter, and a word for what they do. Pure; words are data."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import cache
from pathlib import Path

import msgspec

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
    plain = plainly(rest).strip(" .,!?:;-")
    return Answer(code, _meanings().get(plain, "comment"), rest[:2_000])


def plainly(text: str) -> str:
    """Return a text in small letters without the marks of Vietnamese: as it is typed on an old phone."""
    return unmarked(text).lower()


def unmarked(text: str) -> str:
    """Return a text in plain ASCII, all of which an SMS has in its own alphabet: without the marks of Vietnamese."""
    parted = unicodedata.normalize("NFKD", text.replace("đ", "d").replace("Đ", "D"))
    plain = "".join(char for char in parted if not unicodedata.combining(char)).replace("–", "-")
    return "".join(char if char.isascii() and char not in "`[]{}^~|\\" else "?" for char in plain)


@cache
def _meanings() -> dict[str, str]:
    table: dict[str, list[str]] = tomllib.loads(_WORDS.read_text(encoding="utf-8"))["answers"]
    return {plainly(word): does for does, words in table.items() for word in words}
