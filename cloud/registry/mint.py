"""New codes: random, so that nobody guesses a neighbour's, and each once for ever."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from cloud.registry import codes
from cloud.registry.kinds import Tag, Tree, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

    from cloud.registry.book import Book
    from cloud.registry.kinds import Record

MOST = 5_000  # in one batch


def taken(book: Book) -> set[str]:
    """Return every code that stands for something: those of tags, and each tree's own."""
    return {str(key_of(record)[0]) for kind in ("tree", "tag") for record in book.rows(kind)}


def to_hang(trees: Iterable[Record], tags: Iterable[Record]) -> dict[str, list[str]]:
    """Return by zone the trees that their own code stands for: alive, and without a tag bound to them in the field."""
    bound = {tag.tree for tag in tags if isinstance(tag, Tag) and tag.state == "bound"}
    found: dict[str, list[str]] = {}
    for tree in trees:
        if isinstance(tree, Tree) and tree.state == "alive" and tree.code not in bound:
            found.setdefault(tree.zone, []).append(tree.code)
    return found


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
