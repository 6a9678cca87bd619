"""A row of values as it is stored: the texts of the wire, joined by commas in the order of its shape."""

from __future__ import annotations


def present(names: list[str], texts: str) -> list[tuple[str, float]]:
    """Return (quantity, value) of a row, without the absent ones."""
    return [(name, float(text)) for name, text in zip(names, texts.split(","), strict=True) if text]
