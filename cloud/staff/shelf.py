"""The registry as the screens read and write it: rows kept as long as nobody changes them, found by what people type.

One connection, one caller at a time. A write is an act of the book, so that it is judged, kept and can be undone.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from cloud.clock import hanoi
from cloud.registry import Registry, alphabet, consent
from cloud.registry.book import Book
from cloud.registry.cells import Bad
from cloud.registry.kinds import KINDS, Consent, Person, Record, Team, key_of
from cloud.registry.rows import read_key
from cloud.registry.sql import table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
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
        self._kept: dict[str, _Kept] = {}
        self._own = dict.fromkeys(KINDS, 0)  # what was written here, by kind: SQLite tells of others' writes alone

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
        with self.book() as book, book.writing(who, what, self._clock.utc_ms()) as draft:
            try:
                yield draft
            finally:  # what is read meanwhile may not be what stands there then
                self.changed({kind for kind, *_ in draft.changes})

    def undo(self, act: int, who: str) -> None:
        """Take an act back. Raises Bad and Rejected as `Book.undo`."""
        with self.book() as book:
            self.changed()
            book.undo(act, who, self._clock.utc_ms())

    def changed(self, kinds: Iterable[str] = tuple(KINDS)) -> None:
        """Be told that somebody wrote through `book`."""
        for kind in kinds:
            self._own[kind] += 1

    def rows(self, kind: str) -> list[Record]:
        """Return all records of a kind, in the order of what people call them."""
        return self._of(kind).records

    def found(self, kind: str, typed: str) -> list[Record]:
        """Return the records in which every word that was typed stands, whatever its accents."""
        return self._of(kind).found(alphabet.plain(typed).split())

    def person(self, code: str) -> Person | None:
        """Return somebody by code."""
        people = (one for one in self.rows("person") if isinstance(one, Person))
        return next((one for one in people if one.code == code), None)

    def shut_out_ms(self, code: str) -> int:
        """Return when somebody was last let in no more, as `Book.shut_out_ms`; 0 while there is no registry."""
        with suppress(NotYet), self.book() as book:
            return book.shut_out_ms(code)
        return 0

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

    def law(self) -> Registry:
        """Return zones, and what gives their danger a level."""
        return Registry(
            {kind: self.rows(kind) for kind in ("zone", "commune", "province", "danger_table", "official_level")}
        )

    @property
    def teams(self) -> dict[str, Team]:
        """Return the teams that there are today, by code."""
        return Registry({"team": self.rows("team")}).teams(self.today)

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

    def _of(self, kind: str) -> _Kept:
        with self.book() as book:
            version = (book.version, self._own[kind])
            kept = self._kept.get(kind)
            if kept is None or kept.version != version:
                kept = self._kept[kind] = _Kept(version, kind, book.lying(kind), kept)
            return kept


class _One(msgspec.Struct, gc=False):
    """A record on the shelf: where it stands, and what is searched of it, "" until somebody searches."""

    order: str
    record: Record
    text: str = ""


class _Kept:
    """A reading of a kind, in the order of what people call its records. What lies as `before` is not made again."""

    def __init__(
        self, version: tuple[int, int], kind: str, lying: Iterable[tuple[Any, ...]], before: _Kept | None
    ) -> None:
        self.version = version
        known = before.lie if before else {}
        self.lie: dict[tuple[Any, ...], _One] = {}
        new: list[_One] = []
        record_of = table(kind).readable
        for row in lying:
            one = known.get(row)
            if one is None:
                if (record := record_of(row)) is None:
                    continue
                new.append(one := _One(_order(record), record))
            self.lie[row] = one
        stays = before.ones if before else []
        if len(self.lie) < len(stays) + len(new):
            there = {id(one) for one in self.lie.values()}
            stays = [one for one in stays if id(one) in there]
        self.ones: list[_One] = sorted([*stays, *new], key=lambda one: one.order) if new else stays
        self.records = [one.record for one in self.ones]

    def found(self, words: list[str]) -> list[Record]:
        """Return the records in which every word stands."""
        if not words:
            return self.records
        for row, one in self.lie.items():
            one.text = one.text or alphabet.plain(" ".join([str(value) for value in row if value is not None]))
        return [one.record for one in self.ones if all(word in one.text for word in words)]


def _order(record: Record) -> str:
    """Return what sorts records as a list has them: by what people call them, numbers as numbers; then by key."""
    key = " ".join(map(str, key_of(record)))
    return f"{alphabet.order(getattr(record, 'name_vi', '') or getattr(record, 'name', '') or key)}\0\0{key}"


def key_of_texts(kind: str, texts: list[str]) -> tuple[Any, ...] | None:
    """Return the key that an address names; None where it is none."""
    try:
        return read_key(KINDS[kind], texts)
    except Bad:
        return None
