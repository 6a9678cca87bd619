"""Files that teams bring, read into coverage.db a piece at a time, with how far it is for everybody to see.

A file lies in `coverage-in/` of the data folder under a name that nobody else has, and a question in the room's inbox
names it. Every piece is kept together with what became of its records. Who dies amid a file reads it again from its
beginning: what is kept is known by then, and is counted as new where it was.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from contextlib import suppress
from itertools import islice
from typing import IO, TYPE_CHECKING, Any

import msgspec

from cloud.coverage.into.file import read
from cloud.coverage.sample import BadSample, Sample
from cloud.coverage.seam import Put
from cloud.store import Retry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloud.clock import Clock
    from cloud.coverage.book import Book
    from cloud.inbox import Inbox, Question

log = logging.getLogger(__name__)
FOLDER = "coverage-in"
ROOM, KIND = "coverage", "import"
PART, PART_S = ".part", 86_400.0  # the ending of a copy that is not whole yet, and how long one may take
MOST_BYTES = 50_000_000
TRIES = 3  # to read a file that the disk refuses
AT_ONCE = 2_000  # records in one transaction: a tenth of a second
FILE = re.compile(r"[a-z0-9-]{1,64}(\.[a-z]{1,8})?")
TEAM = re.compile(r"[a-z0-9-]{1,32}")
_SAID = "read = ?, records = ?, new = ?, known = ?, late = ?, refused = ?, done_ms = ?, why = ?"


class Uploads:
    """Answers the questions of the inbox, one after the other, in the book's own thread."""

    def __init__(self, book: Book, inbox: Inbox, folder: Path, clock: Clock) -> None:
        self._book, self._inbox, self._folder, self._clock = book, inbox, folder / FOLDER, clock
        self._now: _Reading | None = None
        self._swept = False
        self._tries: Counter[int] = Counter()

    def step(self) -> bool:
        """Read a piece of the file that is next; tell whether there was one. Raises Retry.

        A file that cannot be read is tried some times, and then answered with that: the next one has its turn.
        """
        self._sweep()
        question = self._now.question if self._now else None
        try:
            if self._now is None:
                question = next(iter(self._inbox.take()), None)
                self._now = self._begun(question) if question else None
            if self._now is None:
                return question is not None
            if not self._now.piece(self._book):
                self._done(self._now)
        except _NoFile as fault:
            self.close()
            assert question is not None, "a file is read for a question"
            self._tries[question.id] += 1
            if self._tries[question.id] < TRIES:
                raise Retry(str(fault)) from fault
            self._inbox.done(question.id, {"error": str(fault)})
        except _Anew as fault:
            self.close()
            raise Retry("the book began anew: the file is read again from its beginning", 1) from fault
        return True

    def _sweep(self) -> None:
        """Once, let copies go that were broken off: whoever made them died over it, and nobody asks for them."""
        if self._swept:
            return
        for path in self._folder.glob(f"*{PART}"):
            with suppress(OSError):
                if self._clock.utc_ms() / 1000 - path.stat().st_mtime > PART_S:
                    path.unlink()
        self._swept = True

    def close(self) -> None:
        """Let go of the file that is being read."""
        if self._now is not None:
            self._now.close()
            self._now = None

    def _begun(self, question: Question) -> _Reading | None:
        """Open what a question names; one that cannot be is answered with why."""
        name, team = str(question.body.get("file", "")), str(question.body.get("team", ""))
        if question.kind != KIND or not FILE.fullmatch(name) or not TEAM.fullmatch(team):
            self._inbox.done(question.id, {"error": "no import: which file, of which team?"})
            return None
        with self._book.changing() as db:
            row = db.execute("SELECT id, new, done_ms FROM upload WHERE file = ?", (name,)).fetchone()
            if row and row[2] is not None:  # we died before we could say so
                self._answer(question.id, row[0], {})
                return None
            try:
                file = (self._folder / name).open("rb")
                size = file.seek(0, 2)
                file.seek(0)
            except OSError as fault:
                raise _NoFile(f"{FOLDER}/{name}: {fault.strerror}") from fault
            if row is None:
                said = name, team, question.asked_ms, size
                db.execute("INSERT INTO upload VALUES (NULL, ?, ?, ?, ?, 0, 0, 0, 0, 0, '{}', NULL, '')", said)
                row = db.execute("SELECT last_insert_rowid(), 0").fetchone()
            else:
                log.info("coverage-import-again file=%s", name)
        return _Reading(question, row[0], file, team, row[1], self._clock)

    def _done(self, reading: _Reading) -> None:
        reading.close()
        self._now = None
        self._answer(reading.question.id, reading.upload, reading.first)

    def _answer(self, question: int, upload: int, first: dict[str, str]) -> None:
        """Say what became of a file, and let it go."""
        with self._book.using() as db:
            query = "SELECT file, new, known, late, refused, why FROM upload WHERE id = ?"
            name, new, known, late, refused, why = db.execute(query, (upload,)).fetchone()
        told: dict[str, Any] = {"new": new, "known": known, "late": late, "refused": msgspec.json.decode(refused)}
        self._inbox.done(question, told | {"first": first} | ({"error": why} if why else {}))
        with suppress(FileNotFoundError):
            (self._folder / name).unlink()
        log.info("coverage-imported file=%s new=%d known=%d late=%d why=%r", name, new, known, late, why)


class _NoFile(Exception):
    """A file of the folder cannot be read."""


class _Anew(Exception):
    """The book knows nothing of a file that is being read: it was damaged, and is another one."""


class _Reading:
    """A file that is being read. `before` of its samples were new to who read it before us, and died."""

    def __init__(self, question: Question, upload: int, file: IO[bytes], team: str, before: int, clock: Clock) -> None:
        self.question, self.upload = question, upload
        self._file, self._before, self._clock = file, before, clock
        self._bytes = self._records = 0
        self._put, self._why = Put(0, 0, 0), ""
        self._some: list[Sample | BadSample] | None = None  # those that the disk did not take yet
        self._refused: Counter[str] = Counter()
        self.first: dict[str, str] = {}  # where the first of each reason stands
        self._over = False
        self._items: Iterator[Sample | BadSample | None] = read(file, team, clock.utc_ms(), self._progress)

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._file.close()

    def piece(self, book: Book) -> bool:
        """Keep the next records and what became of them; tell whether there may be more. What Retry stops waits."""
        if self._some is None:
            self._some = self._read()
        some, now_ms = self._some, self._clock.utc_ms()
        good = [one for one in some if isinstance(one, Sample)]
        refused = self._refused + Counter(one.reason for one in some if isinstance(one, BadSample))
        over = self._over
        with book.changing() as db:
            put = Put(*map(sum, zip(self._put, book.put(good, now_ms), strict=True)))
            told = self._before + put.new, max(put.known - self._before, 0), put.late
            words = msgspec.json.encode(refused, order="sorted").decode()
            said = self._bytes, self._records + len(some), *told, words, now_ms if over else None, self._why
            done = db.execute(f"UPDATE upload SET {_SAID} WHERE id = ?", (*said, self.upload))  # noqa: S608 - own names
            if not done.rowcount:
                raise _Anew
        self._put, self._refused, self._records, self._some = put, refused, self._records + len(some), None
        return not over

    def _read(self) -> list[Sample | BadSample]:
        """Return the next records, of a file's long parts that give none an empty list. Raises _NoFile."""
        some: list[Sample | BadSample] = []
        try:
            for one in islice(self._items, AT_ONCE):
                if one is None:
                    return some
                some.append(one)
                if isinstance(one, BadSample):
                    self.first.setdefault(one.reason, one.value)
        except OSError as fault:
            raise _NoFile(f"the file is not to be read: {fault.strerror}") from fault
        except Exception as error:
            log.exception("coverage-import-unreadable upload=%d", self.upload)
            self._why = f"unreadable: {type(error).__name__}"
        self._over = len(some) < AT_ONCE
        return some

    def _progress(self, done: int) -> None:
        self._bytes = done
