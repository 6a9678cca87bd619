"""New codes: random, so that nobody guesses a neighbour's, and each once for ever."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from cloud.registry import codes
from cloud.registry.kinds import Tag, key_of

if TYPE_CHECKING:
    from datetime import date

    from cloud.registry.book import Book

MOST = 5_000  # in one batch


def taken(book: Book) -> set[str]:
    """Return every code that stands for something: those of tags, and each tree's own."""
    return {str(key_of(record)[0]) for kind in ("tree", "tag") for record in book.rows(kind)}


def mint(book: Book, count: int, batch: str, today: date, *, who: str, at_ms: int) -> list[Tag]:
    """Write `count` blank tags into the registry as one act; return them. Raises what the registry refuses."""
    with book.writing(who, f"mint {batch} ({count})", at_ms) as draft:
        used = taken(book) | book.gone
        minted: list[Tag] = []
        while len(minted) < count:
            five = "".join(secrets.choice(codes.ALPHABET) for _ in range(codes.LENGTH - 1))
            code = five + codes.check_char(five)
            if code not in used:
                used.add(code)
                minted.append(Tag(code=code, batch=batch, minted_on=today))
        draft.put(minted)
    return minted
