"""Rows of the journal that are in use, in memory: read once, changed there, and written when somebody says so.

What a committed transaction has changed may be written by a later one. One that is undone takes its own changes back
and leaves those of the transactions before it, written or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST = 2_000  # rows of a table: 30 MB of series that are read every ten seconds
K = TypeVar("K")
S = TypeVar("S")


class InUse(Generic[K, S]):
    """The rows of one table by key. `read` asks the database for one, `save` writes some."""

    def __init__(self, read: Callable[[K], S | None], save: Callable[[Iterable[tuple[K, S]]], None]) -> None:
        self._read, self._save = read, save
        self._rows: dict[K, S] = {}
        self._unwritten: dict[K, S] = {}
        self._writing: dict[K, S] = {}  # by the transaction that is open
        self._before: dict[K, S | None] = {}  # as it was when that began, of what it has changed

    def get(self, key: K) -> S | None:
        """Return a row, None where there is none."""
        row = self._rows.get(key)
        if row is None:
            row = self._read(key)
            if row is not None:
                self._rows[key] = row
        return row

    def known(self, key: K) -> S | None:
        """Return a row that is in memory; from any thread."""
        return self._rows.get(key)

    def put(self, key: K, row: S) -> None:
        """Change a row that `get` was asked for."""
        self._before.setdefault(key, self._rows.pop(key, None))  # so that the first was not in use for longest
        self._rows[key] = self._unwritten[key] = row

    def drop(self, key: K) -> None:
        """Let go of a row that the caller has changed, written or deleted in the database."""
        self._before.setdefault(key, self._rows.pop(key, None))
        self._unwritten.pop(key, None)

    def is_unwritten(self, key: K) -> bool:
        """Tell whether memory is ahead of the database."""
        return key in self._unwritten

    @property
    def unwritten(self) -> int:
        """How many rows are not written yet."""
        return len(self._unwritten)

    def write(self) -> None:
        """Write what is not written yet, within the transaction that is open."""
        if self._unwritten:
            self._save(self._unwritten.items())
            self._writing |= self._unwritten
            self._unwritten = {}

    def done(self) -> None:
        """The transaction is committed."""
        self._before, self._writing = {}, {}
        for key in list(self._rows)[: max(len(self._rows) - MOST, 0)]:
            if key not in self._unwritten:
                del self._rows[key]

    def undo(self) -> None:
        """The transaction is undone."""
        self._unwritten = self._writing | self._unwritten
        for key, row in self._before.items():
            self._rows.pop(key, None)
            self._unwritten.pop(key, None)
            if row is not None:
                self._rows[key] = self._unwritten[key] = row
        self._before, self._writing = {}, {}

    def forget(self) -> None:
        """The journal is elsewhere, and may differ from what was read: what is not written yet goes with it."""
        self._rows = dict(self._unwritten)
