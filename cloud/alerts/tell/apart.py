"""What fails for one letter, or in one part of the post office's turn, costs the others nothing.

Faults of the journal pass, for the office tries its turn again in memory then, and so does a machine without memory.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from settings.words import Taken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cloud.alerts.tell.outbox import Row

LOG = logging.getLogger(__name__)
_OF_ALL = (sqlite3.Error, OSError, Taken, MemoryError)
_OF_ONE_ROW = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)


class Apart:
    """Keeps faults apart, each logged once, and counts them. Used by the post office's thread alone."""

    def __init__(self) -> None:
        self.faults = 0
        self._said: dict[str, str] = {}

    @contextmanager
    def __call__(self, what: str, instead: Callable[[str], object] | None = None) -> Iterator[None]:
        """Log what fails within, and go on: with `instead`, which is told why, where that is given."""
        try:
            yield
        except Exception as fault:
            if isinstance(fault, _OF_ALL) and not isinstance(fault, _OF_ONE_ROW):
                raise
            why = f"{type(fault).__name__}: {fault}"
            self.faults += 1
            if self._said.get(what) != why:
                LOG.exception("post-failed at=%r", what)
            self._said[what] = why
            if instead:
                instead(why)

    def each(
        self,
        what: str,
        do: Callable[[list[Row]], object],
        rows: list[Row],
        instead: Callable[[Row, str], object] = lambda _row, _why: None,
    ) -> None:
        """Do something for all letters at once; where that fails for each alone, so that it fails for one only."""

        def alone(_: str) -> None:
            for row in rows:
                with self(f"{what}, letter {row.id}", partial(instead, row)):
                    do([row])

        with self(what, alone):
            do(rows)
