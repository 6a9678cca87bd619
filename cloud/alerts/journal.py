"""The alerts' memory: one SQLite file, in which the journal can only grow and everything moves in one transaction.

Events, incidents, intents, rule states, processed ranges and the ledger cursor are written together or not at all: a
kill at any point leaves a state from which the next start goes on. WAL with synchronous=FULL, because what was
decided must survive a power cut before anybody is told.
"""

from __future__ import annotations

import contextlib
import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from cloud.alerts.incident import Incident
from cloud.alerts.intent import Intent
from cloud.alerts.schema import STEPS
from cloud.alerts.site import Site, as_far_as_it_reads
from disk.form import bring_forward, form_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_FIELDS = tuple(field.name for field in msgspec.structs.fields(Incident))
_ROW = f"SELECT {', '.join(_FIELDS)} FROM incident"  # noqa: S608 - own constants
_GOING = "grade = 'life' AND closed_ms IS NULL AND NOT late AND part_of IS NULL"  # heads people are not done with
_OVER = (
    "id IN (SELECT incident FROM intent WHERE tell = 'end')"
    " AND grade = 'life' AND closed_ms IS NOT NULL AND closed_by = '' AND part_of IS NULL"
)
Spot = tuple[float, float] | None
NEAR_DEG = 0.03  # of latitude and longitude: more than evidence of one fire is apart, in Vietnam and far beyond
_NEAR = "AND (lat IS NULL OR lon IS NULL OR lat BETWEEN ? AND ? AND lon BETWEEN ? AND ?)"
_TOLD = "SELECT 1 FROM about JOIN letter ON id = letter WHERE incident = ? AND state NOT IN ('overtaken', 'given up')"
_SAVE = f"INSERT OR REPLACE INTO incident ({', '.join(_FIELDS)}) VALUES ({', '.join('?' * len(_FIELDS))})"  # noqa: S608
_INTEND = "INSERT INTO intent (at_ms, incident, tell, grade, due_s, fresh_s, rung) VALUES (?, ?, ?, ?, ?, ?, ?)"
_INTENTS = "SELECT id, at_ms, incident, tell, grade, due_s, fresh_s, rung FROM intent WHERE id > ? ORDER BY id LIMIT ?"


class Keeper(Protocol):
    """Who keeps rows of a journal in memory."""

    def write(self) -> None:
        """Write what must be in the transaction that is open."""

    def done(self) -> None:
        """That transaction is committed."""

    def undo(self) -> None:
        """That transaction is undone."""

    def forget(self) -> None:
        """Read anew from now on: the journal has moved."""


class Journal:
    """The file, written by one process. Each of its threads that writes has a `Journal` of its own.

    The first holds and migrates the file; one made by `beside` joins it, and is `ready` once that has happened. While
    the file takes nothing they are all in memory (see site.py).
    """

    def __init__(self, path: Path, *, site: Site | None = None) -> None:
        self._path, self._joins = path, site is not None
        self._site = site or Site(path, partial(bring_forward, path=path, steps=STEPS))
        self._db: sqlite3.Connection | None = None
        self._at: int | None = None  # after which move of the journal that connection was opened
        self._keepers: list[Keeper] = []
        self.decided = False  # whether the transaction that is open writes history

    def beside(self) -> Journal:
        """Return another one on the same file, for another thread."""
        return Journal(self._path, site=self._site)

    def kept_by(self, keeper: Keeper) -> None:
        """Have someone who keeps rows in memory write before each commit, and told how it ended."""
        self._keepers.append(keeper)

    @property
    def ready(self) -> bool:
        """Whether the file exists as this gocche wants it; only then may a journal that joins be used."""
        if self._db is not None:
            return True
        try:
            with self.reading() as db:
                return form_of(db, self._path, len(STEPS)) == len(STEPS)
        except sqlite3.Error:  # not there yet, or just being made
            return False

    @property
    def db(self) -> sqlite3.Connection:
        """The one writing connection, opened and migrated at first use, and again after the journal has moved.

        Raises Taken for a file that a newer gocche has written, or that another process writes now: two
        would tell everybody twice.
        """
        if self._db is None or self._at != self._site.moves:
            self._let_go()
            self._at = self._site.moves
            self._db = self._site.open(joins=self._joins)
        return self._db

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Commit at the end, undo everything on an error."""
        with self._site.lock:
            db = self.db
            db.execute("BEGIN IMMEDIATE")
            self.decided = False
            try:
                yield db
                for keeper in self._keepers:
                    keeper.write()
                db.execute("COMMIT")
            except BaseException:
                for keeper in self._keepers:
                    keeper.undo()
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            for keeper in self._keepers:
                keeper.done()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a read-only connection, for any thread. Raises sqlite3.Error if there is no journal yet."""
        with _opened(self._site.uri) as db:
            yield db

    def leave_file(self, fault: Exception) -> bool:
        """Go on in memory where a fault shows that the file takes nothing; tell whether to try again what failed."""
        return self._site.leave(fault, self._site.moves if self._at is None else self._at)

    def come_back(self) -> bool:
        """Go on in the file if it takes what memory holds; tell whether it did."""
        if self._at != self._site.moves:
            self._let_go()  # of a file that may be set aside: whoever closes one last takes its log away, by name
        return self._site.come_back()

    @property
    def begun(self) -> bool:
        """Whether there is anything to read."""
        return bool(self.in_memory) or self._path.exists()

    @property
    def in_memory(self) -> str:
        """What keeps the file from being written, while the journal is in memory; empty when well."""
        return self._site.why

    def event(self, at_ms: int, incident: int, event: str, words: str = "", **inputs: Any) -> int:
        """Append one event, what happened to which incident and the values that it rests on; return its number."""
        self.decided = True
        row = (at_ms, incident, event, inputs.pop("who", "alerts"), words, msgspec.json.encode(inputs).decode())
        new = "INSERT INTO journal (at_ms, incident, event, who, what, inputs) VALUES (?,?,?,?,?,?)"
        return int(self.db.execute(new, row).lastrowid or 0)

    def save(self, incident: Incident) -> Incident:
        """Write the incident's present state; a new one (id 0) is given its number."""
        self.decided = True
        values: list[Any] = [getattr(incident, name) for name in _FIELDS]
        values[0] = incident.id or None
        cursor = self.db.execute(_SAVE, values)
        return msgspec.structs.replace(incident, id=incident.id or int(cursor.lastrowid or 0))

    def intend(self, intent: Intent) -> None:
        """Write that people are to be told."""
        self.db.execute(_INTEND, msgspec.structs.astuple(intent)[1:])

    def intents(self, after: int, at_most: int = 100) -> list[Intent]:
        """Return the intents with a number above `after`, oldest first."""
        return [Intent(*row) for row in self.db.execute(_INTENTS, (after, at_most))]

    def over(self, at: Spot) -> list[Incident]:
        """Return the heads about life that are over and of which that is not told yet, oldest first: near a spot."""
        return _near(self.db, _OVER, at)

    def never_mind(self, incident: int, tell: str) -> bool:
        """Strike out that something is to be told of an incident; tell whether it was not told yet."""
        query = "DELETE FROM intent WHERE incident = ? AND tell = ?"
        return self.db.execute(query, (incident, tell)).rowcount > 0

    def has_letters(self, incident: int) -> bool:
        """Tell whether anybody was told of an incident, or is just being told."""
        return self.db.execute(_TOLD, (incident,)).fetchone() is not None

    def last_ms(self) -> int:
        """Return what the clock showed when it was last noted."""
        return int(self.meta("clock_ms", "0"))

    def note_clock(self, now_ms: int) -> None:
        """Note what the clock shows: each few seconds, and when it was set."""
        self.set_meta("clock_ms", str(now_ms))

    def newest_intent(self) -> int:
        """Return the highest number that an intent ever had, 0 before the first."""
        row = self.db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'intent'").fetchone()
        return int(row[0]) if row else 0

    def dealt_with(self, intents: Sequence[int]) -> None:
        """Strike out intents that have become letters, or need none."""
        self.db.executemany("DELETE FROM intent WHERE id = ?", [(number,) for number in intents])

    def grade(self, grades: Mapping[str, str]) -> None:
        """Note what is at stake in what goes on, by rule: a journal of before did not say, and a rule may change."""
        rows = [(grade, rule) for rule, grade in grades.items()]
        self.db.executemany("UPDATE incident SET grade = ? WHERE closed_ms IS NULL AND rule = ?", rows)

    def nobody_told(self, incident: int) -> None:
        """Note that an incident found nobody to be told."""
        self.db.execute("UPDATE incident SET untold = 1 WHERE id = ?", (incident,))

    def incident(self, number: int) -> Incident:
        """Return one incident. Raises KeyError."""
        found = self._incidents(f"{_ROW} WHERE id = ?", number)
        if not found:
            raise KeyError(number)
        return found[0]

    def known(self, rule: str, gateway: str, channel: str, ended_after_ms: int) -> list[Incident]:
        """Return the incidents of one series that are open or ended at or after a time, oldest first."""
        of = f"{_ROW} WHERE rule = ? AND gateway = ? AND channel = ?"
        key = (rule, gateway, channel)
        query = f"{of} AND ended_ms IS NULL UNION ALL {of} AND ended_ms >= ? ORDER BY since_ms"  # each by the index
        return self._incidents(query, *key, *key, ended_after_ms)

    def open_silences(self, gateway: str) -> list[Incident]:
        """Return the open incidents that rest on the silence of a gateway."""
        of_silence = "basis IN ('absence', 'silence', 'both', 'refuted')"
        return self._incidents(f"{_ROW} WHERE gateway = ? AND ended_ms IS NULL AND {of_silence}", gateway)

    def open_measured(self) -> list[Incident]:
        """Return the open incidents that rest on a sensor: on its values, or on their absence."""
        of_sensor = "basis IN ('readings', 'unstored', 'dead', 'stuck')"
        return self._incidents(f"{_ROW} WHERE ended_ms IS NULL AND NOT late AND {of_sensor}")

    def unseen(self, gateway: str, channel: str, quantity: str) -> list[Incident]:
        """Return the open incidents of a sensor of which it was told that nobody sees them any more."""
        key = "gateway = ? AND ended_ms IS NULL AND silent_ms IS NOT NULL AND channel = ? AND quantity = ?"
        return self._incidents(f"{_ROW} WHERE {key}", gateway, channel, quantity)

    def open_keys(self, rule: str) -> set[tuple[str, str]]:
        """Return (gateway, channel) of a rule's open incidents that are not late."""
        # not by the index of rules, whose rows are mostly history: few are open
        query = "SELECT gateway, channel FROM incident WHERE ended_ms IS NULL AND NOT late AND +rule = ?"
        return set(self.db.execute(query, (rule,)))

    def stale_late(self, touched_before_ms: int) -> list[Incident]:
        """Return late incidents without an end to which nothing was added for a while."""
        return self._incidents(f"{_ROW} WHERE ended_ms IS NULL AND late AND touched_ms < ?", touched_before_ms)

    def going(self, at: Spot = None) -> list[Incident]:
        """Return the heads about life with which people are not done, oldest first; with a spot those near it."""
        return _near(self.db, _GOING, at)

    def suspected(self, beyond: int = 0, *, over: bool = False) -> list[Incident]:
        """Return those of them that are mere suspicions, beyond a number; only what shows nothing more itself."""
        query = f"{_ROW} WHERE {_GOING} AND stage = 'suspected' AND id > ? AND (NOT ? OR ended_ms IS NOT NULL)"
        return [one for one in self._incidents(f"{query} ORDER BY id", beyond, over) if one.lives]

    def silences(self, now_ms: int) -> list[tuple[int, str, str, str, int]]:
        """Return (number, scope, author, reason, until in UTC ms) of the silences in force, oldest first."""
        query = (
            "SELECT id, scope, author, reason, until_ms FROM silence WHERE from_ms <= ? AND until_ms > ? ORDER BY id"
        )
        return list(self.db.execute(query, (now_ms, now_ms)))

    def parts(self, head: int) -> list[Incident]:
        """Return the parts of an incident, oldest first."""
        return self._incidents(f"{_ROW} WHERE part_of = ? ORDER BY id", head)

    def forget(self, before_ms: int) -> None:
        """Prune what only serves for a while: sequence numbers not met since, and answers to acts.

        Incidents and their journal are history and stay; what is to be told stays until it is told, by whatever clock.
        """
        self.db.execute("DELETE FROM processed WHERE at_ms < ?", (before_ms,))
        self.db.execute("DELETE FROM act WHERE at_ms < ?", (before_ms,))

    def meta(self, key: str, default: str = "") -> str:
        """Return a remembered value."""
        row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else default

    def set_meta(self, key: str, value: str) -> None:
        """Remember a value."""
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        self._let_go()
        if not self._joins:
            self._site.close()

    def _let_go(self) -> None:
        for keeper in self._keepers:
            keeper.forget()
        if self._db is not None:
            self._db.close()
            self._db = None

    def _incidents(self, query: str, *values: object) -> list[Incident]:
        return [_incident(row) for row in self.db.execute(query, values)]


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a read-only connection, for other processes. Raises sqlite3.Error if there is no journal."""
    with _opened(path.absolute().as_uri()) as db:
        yield db


def is_of_today(db: sqlite3.Connection) -> bool:
    """Tell whether a journal has this gocche's form: its room brings an earlier one forward and refuses a later one."""
    return int(db.execute("PRAGMA user_version").fetchone()[0]) == len(STEPS)


def read_incidents(path: Path, limit: int) -> list[Incident]:
    """Return the newest incidents of a journal file; none where there is no journal yet."""
    if not path.exists():
        return []
    with reading(path) as db:
        return newest(db, limit)


def read_public(path: Path, limit: int) -> list[Incident]:
    """Return the newest incidents that the world may see; none where there is no journal yet.

    Readings must say so, and it may not be a fire: what is suspected is for those who go and look, and which of our own
    machines is silent or broken is for the operator. A modem without service, where another one has it, is no news.
    """
    if not path.exists():
        return []
    with reading(path) as db:
        seen = (
            "NOT may_burn AND grade != 'upkeep' AND muted = '' AND basis IN ('readings', 'unstored', 'both', 'modems')"
        )
        return [_incident(row) for row in db.execute(f"{_ROW} WHERE {seen} ORDER BY id DESC LIMIT ?", (limit,))]


def read_open(path: Path, limit: int) -> list[Incident]:
    """Return the incidents that people are not done with, newest first; none where there is no journal yet."""
    if not path.exists():
        return []
    with reading(path) as db:
        query = f"{_ROW} WHERE closed_ms IS NULL AND part_of IS NULL ORDER BY id DESC LIMIT ?"
        return [_incident(row) for row in db.execute(query, (limit,))]


def read_life(path: Path, since_ms: int, limit: int) -> list[Incident]:
    """Return the incidents about life that people were not done with at a time.

    Newest first; none where there is no journal yet. What was merged into another is touched when that happens.
    """
    if not path.exists():
        return []
    with reading(path) as db:
        when = "(closed_ms IS NULL OR closed_ms >= ? OR touched_ms >= ?)"
        query = f"{_ROW} WHERE grade = 'life' AND NOT late AND {when} ORDER BY id DESC LIMIT ?"
        return [_incident(row) for row in db.execute(query, (since_ms, since_ms, limit))]


def read_between(path: Path, start_ms: int, end_ms: int, limit: int) -> list[Incident]:
    """Return the newest incidents of a journal file that were not over before a time and began before another."""
    if not path.exists():
        return []
    with reading(path) as db:
        query = f"{_ROW} WHERE since_ms < ? AND coalesce(ended_ms, ?) >= ? ORDER BY id DESC LIMIT ?"
        return [_incident(row) for row in db.execute(query, (end_ms, end_ms, start_ms, limit))]


def _near(db: sqlite3.Connection, which: str, at: Spot) -> list[Incident]:
    """Return what of these may be a fire, near a spot or at none that is known: a haze may have thousands."""
    box = (at[0] - NEAR_DEG, at[0] + NEAR_DEG, at[1] - NEAR_DEG, at[1] + NEAR_DEG) if at else ()
    return [one for one in selected(db, f"{which} {_NEAR if at else ''} ORDER BY id", *box) if one.lives]


def selected(db: sqlite3.Connection, where: str, *values: object) -> list[Incident]:
    """Return the incidents of a condition that stands in the program, never of one that somebody typed."""
    return [_incident(row) for row in db.execute(f"{_ROW} WHERE {where}", values)]


def newest(db: sqlite3.Connection, limit: int) -> list[Incident]:
    """Return the newest incidents, newest first."""
    return [_incident(row) for row in db.execute(f"{_ROW} ORDER BY id DESC LIMIT ?", (limit,))]


@contextlib.contextmanager
def _opened(uri: str) -> Iterator[sqlite3.Connection]:
    db = sqlite3.connect(f"{uri}{'&' if '?' in uri else '?'}mode=ro", uri=True, timeout=5.0)
    db.text_factory = as_far_as_it_reads
    try:
        yield db
    finally:
        db.close()


def _incident(row: tuple[Any, ...]) -> Incident:
    return msgspec.convert(dict(zip(_FIELDS, row, strict=True)), Incident, strict=False)
