"""Plain prose as blocks: paragraphs, headings and lists, and nothing that could be anything else on a page."""

from __future__ import annotations

from typing import NamedTuple


class Block(NamedTuple):
    """A paragraph (`p`), a heading (`h2`), or a list (`ul`, `ol`) with its lines."""

    tag: str
    lines: list[str]


def blocks(text: str) -> list[Block]:
    """Return the blocks of a text: an empty line ends each; "## ", "- " and "1. " begin headings and lists."""
    return [_block(part) for part in text.replace("\r\n", "\n").split("\n\n") if part.strip()]


def _block(part: str) -> Block:
    lines = [line.strip() for line in part.strip().splitlines()]
    if lines[0].startswith("## "):
        return Block("h2", [lines[0][3:]])
    if all(line.startswith("- ") for line in lines):
        return Block("ul", [line[2:] for line in lines])
    if all(line[:1].isdigit() and line.lstrip("0123456789").startswith(". ") for line in lines):
        return Block("ol", [line.partition(". ")[2] for line in lines])
    return Block("p", [" ".join(lines)])
