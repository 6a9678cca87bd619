"""Rows that no gocche wrote, or that rotted: each costs itself, is counted with its reason, and the rest is read.

A database is open to others (somebody writes a text into a field, an older version wrote a code that is gone), and one
such row must not hide all that stand around it.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

log = logging.getLogger(__name__)
ROTTEN = (ValueError, TypeError, LookupError, RecursionError)

_R = TypeVar("_R")
_T = TypeVar("_T")


class Unreadable:
    """How many rows of each kind were passed over. May be used from any thread."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def each(self, what: str, rows: Iterable[_R], make: Callable[[_R], _T]) -> list[_T]:
        """Return what `make` makes of the rows; where it raises, the row is passed over and counted."""
        made = []
        for row in rows:
            try:
                made.append(make(row))
            except ROTTEN as error:
                self.pass_over(what, row, error)
        return made

    def pass_over(self, what: str, row: object, error: Exception) -> None:
        """Count one, and say the first, second, fourth, eighth … of its kind: it is read again and again."""
        self.counts[what] += 1
        n = self.counts[what]
        if n & (n - 1) == 0:
            log.warning(
                "unreadable, passed over what=%r n=%s row=%s why=%r", what, n, repr(row)[:200], str(error)[:200]
            )
