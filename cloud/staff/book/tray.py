"""Files that were tried and are not written yet: in memory, a few of them, each for its owner alone."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cloud.staff.book.sheet_reader import Sheet

MOST_WAITING = 8  # the oldest is forgotten


class Waiting(NamedTuple):
    """A file that was tried, until its owner has it written. `seen` is the newest change of what it was tried upon."""

    code: str
    name: str
    sheet: Sheet
    seen: int = 0


class Tray:
    """What waits. In memory: who waits longer than a restart sends the file once more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, Waiting] = OrderedDict()

    def put(self, waiting: Waiting) -> str:
        """Keep a file; return the name under which its owner has it written."""
        ticket = secrets.token_urlsafe(16)
        with self._lock:
            self._waiting[ticket] = waiting
            while len(self._waiting) > MOST_WAITING:
                self._waiting.popitem(last=False)
        return ticket

    def get(self, ticket: str, code: str) -> Waiting | None:
        """Return a file of its owner's."""
        with self._lock:
            found = self._waiting.get(ticket)
        return found if found and found.code == code else None

    def tried(self, ticket: str, seen: int) -> None:
        """Keep upon what a file was tried."""
        with self._lock:
            if (waiting := self._waiting.get(ticket)) is not None:
                self._waiting[ticket] = waiting._replace(seen=seen)

    def drop(self, ticket: str) -> None:
        """Forget a file: it is written."""
        with self._lock:
            self._waiting.pop(ticket, None)
