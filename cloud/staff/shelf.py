"""The registry as the screens read and write it: rows kept as long as nobody changes them, found by what people type.

One connection, one caller at a time. A write is an act of the book, so that it is judged, kept and can be undone.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import unicodedata
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from cloud.clock import hanoi
from cloud.registry import Registry, consent
from cloud.registry.book import Book
from cloud.registry.cells import Bad
from cloud.registry.kinds import KINDS, Consent, Person, Record, key_of, read_key, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path

    from cloud.clock import Clock
    from cloud.registry.draft import Draft
    from cloud.registry.periods import Periods


_Kind = TypeVar("_Kind", bound=Record)


class NotYet(Exception):
    """There is no registry yet: the room alerts makes it at the first start."""


class Shelf:
    """The registry. From any thread. Raises NotYet while there is none, and sqlite3.Error for what the disk refuses."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._lock = threading.RLock()
        self._book: Book | None = None
        self._kept: dict[str, tuple[list[Record], list[str]]] = {}
        self._version: tuple[int, int] = (0, 0)
        self._own = 0

    @contextmanager
    def book(self) -> Iterator[Book]:
        """Let the body ask the book; nobody else does meanwhile."""
        with self._lock:
            try:
                yield self._opened()
            except sqlite3.DatabaseError:
                self.close()
                raise

    @contextmanager
    def act(self, who: str, what: str) -> Iterator[Draft]:
        """Let the body change records: an act of `who`. Raises Bad and Rejected as `Book.writing`."""
        with self.book() as book:
            try:
                with book.writing(who, what, self._clock.utc_ms()) as draft:
                    yield draft
            finally:  # what was read meanwhile is not what stands there now
                self._own += 1

    def undo(self, act: int, who: str) -> None:
        """Take an act back. Raises Bad and Rejected as `Book.undo`."""
        with self.book() as book:
            self._own += 1
            book.undo(act, who, self._clock.utc_ms())

    def changed(self) -> None:
        """Be told that somebody wrote through `book`."""
        self._own += 1

    def rows(self, kind: str) -> list[Record]:
        """Return all records of a kind, in the order of what people call them."""
        return self._of(kind)[0]

    def found(self, kind: str, typed: str) -> list[Record]:
        """Return the records in which every word that was typed stands, whatever its accents."""
        words = plain(typed).split()
        records, texts = self._of(kind)
        return [one for one, text in zip(records, texts, strict=True) if all(word in text for word in words)]

    def person(self, code: str) -> Person | None:
        """Return somebody by code."""
        people = (one for one in self.rows("person") if isinstance(one, Person))
        return next((one for one in people if one.code == code), None)

    def called(self, typed: str) -> Person | None:
        """Return who signs in under what was typed: a code or an e-mail address."""
        meant = typed.strip().casefold()
        people = [one for one in self.rows("person") if isinstance(one, Person)] if meant else []
        return next((one for one in people if meant in (one.code, one.email.casefold())), None)

    def maintained(self) -> dict[tuple[str, str], Periods]:
        """Return when each (gateway, channel) that ever was is under maintenance."""
        return Registry({"maintenance": self.rows("maintenance")}).maintained

    def meaning(self) -> Registry:
        """Return what says how numbers are to be read: maintenance and calibrations."""
        return Registry({kind: self.rows(kind) for kind in ("maintenance", "calibration")})

    def may_be_named(self, person: Person) -> bool:
        """Tell whether somebody has consented to be named."""
        return any(one.person == person.code and one.what == "name" for one in self._in_force)

    def consented(self, record: _Kind) -> _Kind:
        """Return a record that also lists the consents in force of whom it names.

        Raises Bad where it is published on a consent that is over.
        """
        if not record.by_consent:
            return record
        people = [one for one in self.rows("person") if isinstance(one, Person)]
        told = consent.with_consents(record, people, self._in_force, self.today)
        over = consent.lapsed(told, {one.code: one for one in self._in_force}, self.today)
        if over and consent.is_public(told):
            raise Bad("consent_over", column="consents", value=", ".join(over))
        return told

    @property
    def today(self) -> date:
        """Return the day in Vietnam."""
        return hanoi(self._clock.utc_ms()).date()

    @property
    def _in_force(self) -> list[Consent]:
        rows = (one for one in self.rows("consent") if isinstance(one, Consent))
        return [one for one in rows if one.in_force(self.today)]

    def close(self) -> None:
        """Close the file; the next question opens it anew."""
        with self._lock:
            if self._book is not None:
                self._book.close()
            self._book, self._kept = None, {}

    def _opened(self) -> Book:
        if self._book is None:
            if not self._path.exists():
                raise NotYet
            with Book(self._path, writer=False) as made:
                if made.empty:
                    raise NotYet
            try:
                self._book = Book(self._path, writer=True)
            except sqlite3.OperationalError:  # a full disk: what stands there can be read
                self._book = Book(self._path, writer=False)
        return self._book

    def _of(self, kind: str) -> tuple[list[Record], list[str]]:
        with self.book() as book:
            version = (book.version, self._own)
            if version != self._version:
                self._kept, self._version = {}, version
            if kind not in self._kept:
                records = sorted(book.rows(kind), key=_order)
                self._kept[kind] = records, [plain(" ".join(write(one).values())) for one in records]
            return self._kept[kind]


def _order(record: Record) -> list[tuple[int, str]]:
    """Return how records stand in a list: by what people call them, numbers as numbers."""
    called = getattr(record, "name_vi", "") or getattr(record, "name", "") or " ".join(map(str, key_of(record)))
    parts = re.split(r"(\d+)", called)
    return [(int(part[:18]), "") if part.isascii() and part.isdecimal() else (-1, part.casefold()) for part in parts]


def plain(text: str) -> str:
    """Return a text as it is searched: small letters without accents, đ as d."""
    apart = unicodedata.normalize("NFD", text.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).replace("đ", "d")


def key_of_texts(kind: str, texts: list[str]) -> tuple[Any, ...] | None:
    """Return the key that an address names; None where it is none."""
    try:
        return read_key(KINDS[kind], texts)
    except Bad:
        return None
