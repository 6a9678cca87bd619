"""The registry as a room sees it: read again within seconds after somebody changed it, by a thread of its own."""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING

from cloud.registry import Registry
from cloud.registry.book import Book
from cloud.registry.kinds import KINDS
from cloud.registry.transfer import bring, load, read_any

if TYPE_CHECKING:
    import threading
    from pathlib import Path

    from cloud.clock import Clock

log = logging.getLogger(__name__)
LOOK_S = 2.0
SOON_S = 0.1
NOT_YET = "registry: not there yet; the room alerts makes it at its first start"


def found(path: Path, folder: Path, clock: Clock) -> None:
    """Make a registry out of a folder's tables, if there is none: once. What cannot be used is told on the log.

    Raises SheetError where a table is not ours, sqlite3.Error or OSError for what the disk refuses.
    """
    with Book(path, writer=True) as book:
        if not book.empty:
            return
        what = f"first start, from {folder}"
        report = bring(book, *read_any(folder), who="gocche", what=what, at_ms=clock.utc_ms(), partial=True)
    for one in report.problems:
        log.warning("registry-row-left-out file=%s line=%d why=%r", one.file, one.line, one.words)
    log.info("registry-made path=%s rows=%d left_out=%d", path, sum(report.new.values()), len(report.problems))


def known(path: Path | None, folder: Path) -> Registry:
    """Return what the rooms will read: of the registry, or of the tables that it will be made from at the first start.

    Raises as `found`.
    """
    if path is None or not path.exists():
        return load(folder)
    with Book(path, writer=False) as book:
        return Registry({kind: book.rows(kind) for kind in KINDS})


class Live:
    """`now` is what was read last. `private` rooms read people, too; the room that the world looks at does not."""

    def __init__(self, path: Path, clock: Clock, *, private: bool) -> None:
        self._path, self._clock = path, clock
        self._kinds = [kind for kind, struct in KINDS.items() if private or not struct.private]
        self._book: Book | None = None
        self._version = -1
        self.now = Registry({})
        self._read = False
        self.why = NOT_YET  # why it may be out of date; blank: is not

    def look(self) -> None:
        """Read it again if it has changed. A registry that cannot be read leaves what was read before, and says why."""
        try:
            if self._book is None:
                self._book = Book(self._path, writer=False)
            version = self._book.version
            if version != self._version:
                self.now = Registry({kind: self._book.rows(kind) for kind in self._kinds})
                self._version, self._read = version, True
            self.why = ""
        except sqlite3.Error as error:
            why = f"registry: {self._path}: {error}" if self._path.exists() else NOT_YET
            if why != self.why:
                log.warning("registry-unread why=%r", why)
            self.why = why
            self.close()

    def run(self, stop: threading.Event) -> None:
        """Look until stopped."""
        while not stop.is_set():
            self.look()
            self._clock.wait(stop, LOOK_S if not self.why else SOON_S)
        self.close()

    def wait(self, stop: threading.Event) -> None:
        """Wait until it has been read once, or until stopped: nothing is judged, and nobody told, without a place."""
        while not self._read and not stop.is_set():
            self._clock.wait(stop, SOON_S)

    def close(self) -> None:
        """Close the file; the next look opens it anew."""
        if self._book is not None:
            self._book.close()
        self._book, self._version = None, -1
