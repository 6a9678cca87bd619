"""The registry as a room sees it: read again within seconds after somebody changed it, by a thread of its own."""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING

from cloud.clock import hanoi
from cloud.registry import Registry
from cloud.registry.book import Book
from cloud.registry.kinds import KINDS, Consent
from cloud.registry.sheets import SheetError
from cloud.registry.transfer import bring, load, read_any
from settings.words import Taken

if TYPE_CHECKING:
    import threading
    from datetime import date
    from pathlib import Path

    from cloud.clock import Clock

log = logging.getLogger(__name__)
LOOK_S = 2.0
NOT_YET = "registry: not made yet, the tables are read instead; the room alerts makes it at its first start"


def found(path: Path, folder: Path, clock: Clock) -> None:
    """Make a registry out of a folder's tables, if there is none: once. What cannot be used is told on the log.

    Where there is one, the folder is not looked at. Raises SheetError where a table is not ours, sqlite3.Error on a
    disk that takes nothing.
    """
    with Book(path, writer=True) as book:
        if not book.empty:
            return
        rows, problems = read_any(folder)
        what, at_ms = f"first start, from {folder}", clock.utc_ms()
        report = bring(book, rows, problems, who="gocche", what=what, at_ms=at_ms, partial=True)
    for one in report.problems:
        log.warning("registry-row-left-out file=%s line=%d why=%r", one.file, one.line, one.words)
    log.info("registry-made path=%s rows=%d left_out=%d", path, sum(report.new.values()), len(report.problems))


def known(path: Path | None, folder: Path) -> Registry:
    """Return what the rooms will read: of the registry, or of the tables that it will be made from at the first start.

    Raises as `found`.
    """
    if path is not None and path.exists():
        with Book(path, writer=False) as book:
            if not book.empty:
                return Registry({kind: book.rows(kind) for kind in KINDS}, gone=book.gone)
    return load(folder)


class Live:
    """`now` is what was read last: of the registry, and of its tables while there is none.

    `private` rooms read people, too. The room that the world looks at does not: it reads consents, and keeps of them
    no more than what they let be seen today; it shows nothing while there is a registry that it cannot read, for what
    the tables said may be the garden's own by now. One room `makes` it where there is none, and tries until the disk
    takes it. Raises SheetError.
    """

    def __init__(self, path: Path, folder: Path, clock: Clock, *, private: bool, makes: bool = False) -> None:
        self._path, self._folder, self._clock, self._makes = path, folder, clock, makes
        self._private = private
        self._kinds = [kind for kind, struct in KINDS.items() if private or not struct.private or struct is Consent]
        self._book: Book | None = None
        self._version: tuple[int, date] | None = None
        self.why = ""  # why `now` may be out of date
        self.now = Registry({})
        if not self.look():
            tables = private or self.why == NOT_YET
            self.now = self._shown(load(folder, self._kinds)) if tables else Registry({})

    def look(self) -> bool:
        """Read it again if it has changed; tell whether it could be read. If not, what was read before stays."""
        try:
            if self._makes:
                self._make()
            if self._book is None:
                self._book = Book(self._path, writer=False)
            version = self._book.version, self._today
            if version != self._version:
                if self._book.empty:
                    return self._ill(NOT_YET)
                records = {kind: self._book.rows(kind) for kind in self._kinds}
                self.now = self._shown(Registry(records, gone=self._book.gone))
                self._version = version
                if self._book.bridged:  # the room that makes it is about to bring it forward: then it is opened anew
                    self.close()
        except SheetError as error:
            return self._ill(f"registry: not made yet: {error}")
        except Taken as error:
            return self._ill(f"registry: {error}")
        except sqlite3.Error as error:
            known = self._makes or self._path.exists()
            return self._ill(f"registry: {self._path}: {error}" if known else NOT_YET)
        self.why = ""
        return True

    def _make(self) -> None:
        """Make it, or bring it forward; where a disk takes nothing, one that is there can be read all the same."""
        try:
            found(self._path, self._folder, self._clock)
            self._makes = False
        except sqlite3.Error:
            if not self._path.exists():
                raise
            with Book(self._path, writer=False) as there:
                if there.empty:
                    raise

    def run(self, stop: threading.Event) -> None:
        """Look until stopped."""
        while not stop.is_set():
            self.look()
            self._clock.wait(stop, LOOK_S)
        self.close()

    def close(self) -> None:
        """Close the file; the next look opens it anew."""
        if self._book is not None:
            self._book.close()
        self._book, self._version = None, None

    @property
    def _today(self) -> date:
        return hanoi(self._clock.utc_ms()).date()

    def _shown(self, read: Registry) -> Registry:
        return read if self._private else read.public(self._today)

    def _ill(self, why: str) -> bool:
        if why != self.why:
            begins = why == NOT_YET  # every first start does; where it stays so, health goes on saying it
            log.log(logging.INFO if begins else logging.WARNING, "registry-unread why=%r", why)
        self.why = why
        self.close()
        return False
