"""The letters: a row before the first try, a stable id, and "told" only after the other side accepted.

A row is `waiting`, marked `sending` before each try, then `told`, `given up` or `overtaken` (when its turn came there
was nothing new to say). A crash between acceptance and our commit leaves `sending`, which is tried again: at most one
repeat per crash, under the same id. An ordered restart waits a little for what is being sent and repeats nothing else.
Everything here happens within the caller's transaction, on the post office's own connection.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any

import msgspec

from cloud.alerts.tell.route import DAY_MS, ENDS, LIFE, Past, Reader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cloud.alerts.incident import Incident
    from cloud.alerts.journal import Journal
    from cloud.alerts.tell.route import Letter, Notice

LOG = logging.getLogger(__name__)
TESTS = "self-test"  # the group of the letters that test channels
WAITS = "state IN ('waiting', 'sending')"
CODES_KEPT = 4_000  # letters whose codes are not drawn again, of 9,000 that there are
KEPT = 20_000  # finished letters; by number and not by age, so that a wrong clock forgets nobody
PRUNED_AT_ONCE = 200
_NEW = """
INSERT INTO letter (at_ms, grp, level, person, lang, channel, address, state, attempts, waited_s, lifetime_s, name)"""
# What came or went, and was not overtaken before it was said: the letters of the chain and of stages are none of it.
_SERIES = """
FROM incident JOIN about ON about.incident = incident.id JOIN letter ON letter.id = about.letter
WHERE rule = ? AND gateway = ? AND incident.channel = ? AND (closed_ms IS NULL OR closed_ms >= ?) AND late = ?
AND letter.at_ms BETWEEN ? AND ? AND says = '' AND state != 'overtaken'
AND tell NOT IN ('unanswered', 'assigned', 'probable', 'confirmed', 'controlled', 'reopened')"""
_GROUP = "FROM letter WHERE grp = ? AND at_ms BETWEEN ? AND ?"
_ON = """
SELECT count(*) FROM letter JOIN about ON about.letter = letter.id JOIN incident ON incident.id = about.incident
WHERE grp = ? AND letter.at_ms BETWEEN ? AND ? AND state != 'given up' AND closed_ms IS NULL"""


class Row(msgspec.Struct, frozen=True):
    """One letter that waits. `waited_s` was counted by the monotonic clock, over all lives of the server."""

    id: int
    name: str
    level: int
    person: str
    lang: str
    channel: str
    address: str
    attempts: int
    waited_s: float
    lifetime_s: float
    words: str
    copy_of: int | None
    code: str  # what an answer to it begins with; empty where none is asked for
    says: str = ""  # its words, where they are not put on paper when it leaves: see answered.py
    grp: str = ""  # what it shares letters by; of a bulletin which one it is

    @property
    def alone(self) -> bool:
        """Whether no other channel may carry it: it tests its own, or is written back by the way by which it came."""
        return bool(self.says) or self.grp == TESTS

    @property
    def root(self) -> int:
        """The number of the first of the same letters, one a channel."""
        return self.copy_of or self.id


_FIELDS = tuple(field.name for field in msgspec.structs.fields(Row))
# Of what is one incident now: whoever was told of a part, before it was merged, was told of it.
_ALL_OF = "incident IN (SELECT ? UNION ALL SELECT id FROM incident WHERE part_of = ?)"
# Letters about life with which people are not done, or were not a day ago: who was told is told what becomes of it.
_NEEDED = """
SELECT letter FROM about JOIN incident AS one ON one.id = about.incident
JOIN incident AS head ON head.id = coalesce(one.part_of, one.id)
WHERE letter <= ? AND head.grade = 'life' AND (head.closed_ms IS NULL OR head.closed_ms > ?)"""
UNDELIVERED = "undelivered"  # accepted, and then not delivered: until the office has looked at it
_UNDELIVERED = f"SELECT {', '.join(_FIELDS)} FROM letter WHERE state = '{UNDELIVERED}' ORDER BY id"
_WAITING = f"SELECT {', '.join(_FIELDS)} FROM letter WHERE {WAITS} ORDER BY level, id"


class Outbox:
    """The tables `letter` (one to one person by one channel) and `about` (its incidents, and what was said of each)."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._pruned = 0  # up to which letter those that are not needed are gone

    def put(self, letter: Letter, channel: str, address: str, now_ms: int) -> int:
        """Write a letter down and return its number."""
        uid, reader = self._journal.meta("uid"), letter.reader
        values = (now_ms, letter.group, letter.level, reader.person, reader.lang, channel, address)
        new = f"{_NEW} VALUES (?, ?, ?, ?, ?, ?, ?, 'waiting', 0, 0, ?, '')"
        number = int(self._journal.db.execute(new, (*values, letter.lifetime_s)).lastrowid or 0)
        self._name(number, uid, letter.level)
        rows = [(number, incident, tell) for incident, tell in letter.about]
        self._journal.db.executemany("INSERT INTO about VALUES (?, ?, ?, '')", rows)
        return number

    def copy(self, row: Row, channel: str, address: str, now_ms: int) -> None:
        """Write the same letter down for another channel of the same person."""
        number = self._again(row, row.person, row.lang, (channel, address), now_ms)
        self._journal.db.execute("UPDATE letter SET copy_of = ? WHERE id = ?", (row.root, number))

    def forward(self, row: Row, others: Sequence[Reader], now_ms: int) -> int:
        """Write a letter down for others, once, where some of it has reached nobody; return how many of them get it.

        One that is given up waits for what may still reach somebody else; one that has waited too long does not.
        """
        db = self._journal.db
        hope = f"state = 'told' OR ({WAITS} AND EXISTS (SELECT 1 FROM letter WHERE id = ? AND state = 'given up'))"
        reached = f"SELECT 1 FROM about JOIN letter ON id = letter WHERE incident = this.incident AND ({hope})"
        query = f"SELECT count(*) FROM about AS this WHERE letter = ? AND NOT EXISTS ({reached})"
        if not db.execute(query, (row.id, row.id)).fetchone()[0]:
            return 0
        have = {one.person for number, _ in self.about(row) for one in self.readers(number)}
        missing = [other for other in others if other.person not in have]
        for other in missing:
            self._again(row, other.person, other.lang, other.by(row.level)[0], now_ms)
        return len(missing)

    def _again(self, row: Row, person: str, lang: str, way: tuple[str, str], now_ms: int) -> int:
        """Write the same letter down for another address, and return its number."""
        db, uid = self._journal.db, self._journal.meta("uid")
        fields = "grp, level, ?, ?, ?, ?, 'waiting', 0, 0, lifetime_s, ''"
        values = (now_ms, person, lang, *way, row.id)
        number = int(db.execute(f"{_NEW} SELECT ?, {fields} FROM letter WHERE id = ?", values).lastrowid or 0)
        self._name(number, uid, row.level)
        db.execute("INSERT INTO about SELECT ?, incident, tell, '' FROM about WHERE letter = ?", (number, row.id))
        return number

    def _name(self, number: int, uid: str, level: int) -> None:
        """Give a letter the id that channels know it by, and one about life the code that answers it."""
        db, code = self._journal.db, ""
        while level == LIFE and not code:
            drawn = f"{secrets.randbelow(9_000) + 1_000}"
            recent = "SELECT count(*) FROM letter WHERE code = ? AND id > ?"  # none that somebody may still answer
            code = "" if db.execute(recent, (drawn, number - CODES_KEPT)).fetchone()[0] else drawn
        db.execute("UPDATE letter SET name = ?, code = ? WHERE id = ?", (f"{uid}.{number}", code, number))

    def incidents(self, letter: int) -> list[int]:
        """Return the incidents that a letter is about."""
        query = "SELECT incident FROM about WHERE letter = ? ORDER BY incident"
        return [number for (number,) in self._journal.db.execute(query, (letter,))]

    def receipt(self, name: str, words: str, now_ms: int, *, ok: bool) -> bool:
        """Note what the network says about a letter it had accepted; tell whether there is one.

        One that was not delivered after all is to be given up, and told by another way.
        """
        db = self._journal.db
        row = db.execute("SELECT id, channel, state FROM letter WHERE name = ?", (name,)).fetchone()
        if row is None:
            return False
        number, channel, state = row
        said = f"{'delivered' if ok else 'failed'}: {words}".rstrip(": ")
        after = state if ok or state != "told" else UNDELIVERED
        db.execute("UPDATE letter SET receipt = ?, state = ? WHERE id = ?", (said, after, number))
        for incident in self.incidents(number):
            self._journal.event(now_ms, incident, "receipt", said, channel=channel, message_id=name)
        return True

    def undelivered(self) -> list[Row]:
        """Return what a channel had accepted and then could not deliver."""
        return self._rows(_UNDELIVERED)

    def tried(self, row: Row) -> list[str]:
        """Return the channels that have this letter, or have given it up."""
        query = "SELECT channel FROM letter WHERE id = ? OR copy_of = ? ORDER BY id"
        return [channel for (channel,) in self._journal.db.execute(query, (row.root, row.root))]

    def waiting(self) -> list[Row]:
        """Return what waits or was being sent when the server ended, the most urgent and oldest first."""
        return self._rows(_WAITING)

    def _rows(self, query: str) -> list[Row]:
        """Return letters; a damaged one, which nobody can read, is given up and holds up no other."""
        db, rows = self._journal.db, []
        for values in db.execute(query).fetchall():
            try:
                rows.append(msgspec.convert(dict(zip(_FIELDS, values, strict=True)), Row))
            except msgspec.ValidationError as why:
                LOG.error("letter-damaged letter=%d why=%r", values[0], str(why))  # noqa: TRY400 - no trace tells more
                words = f"it is damaged: {why}"
                db.execute("UPDATE letter SET state = 'given up', words = ? WHERE id = ?", (words, values[0]))
        return rows

    def about(self, row: Row) -> list[tuple[int, str]]:
        """Return (incident, tell) of a letter."""
        query = "SELECT incident, tell FROM about WHERE letter = ? ORDER BY incident"
        return list(self._journal.db.execute(query, (row.id,)))

    def knows(self, person: str, incident: int) -> str:
        """Return what somebody was last told of an incident, by whatever channel; empty when nothing."""
        query = (
            "SELECT said FROM about JOIN letter ON letter.id = about.letter"
            f" WHERE {_ALL_OF} AND person = ? AND state = 'told' AND said != '' ORDER BY told_event DESC LIMIT 1"
        )
        row = self._journal.db.execute(query, (incident, incident, person)).fetchone()
        return str(row[0]) if row else ""

    def on_its_way(self, row: Row, incident: int) -> str:
        """Return what a letter said of an incident when the server ended while it was being sent: it may be known."""
        query = "SELECT said FROM about JOIN letter ON id = letter WHERE id = ? AND incident = ? AND state = 'sending'"
        found = self._journal.db.execute(query, (row.id, incident)).fetchone()
        return str(found[0]) if found else ""

    def begin(self, row: Row, said: Mapping[int, str], waited_s: float) -> None:
        """Note that it is being tried, and what it says of each incident."""
        self.set(row, "sending", attempts=row.attempts + 1, waited_s=waited_s)
        self._journal.db.execute("UPDATE about SET said = '' WHERE letter = ?", (row.id,))
        self._journal.db.executemany(
            "UPDATE about SET said = ? WHERE letter = ? AND incident = ?",
            [(words, row.id, incident) for incident, words in said.items()],
        )

    def told(self, row: Row, event: int, now_ms: int) -> None:
        """Note that it was accepted; the same letter that still waits for another channel says nothing new.

        What an earlier try accepted late, and could not deliver, is not accepted by being known there already.
        """
        failed = "SELECT count(*) FROM letter WHERE id = ? AND receipt LIKE 'failed%'"
        if self._journal.db.execute(failed, (row.id,)).fetchone()[0]:
            self.set(row, UNDELIVERED, words="")
            return
        self.set(row, "told", told_event=event, done_ms=now_ms, words="")
        overtaken = (
            "UPDATE letter SET state = 'overtaken', done_ms = ? WHERE state = 'waiting' AND (id = ? OR copy_of = ?)"
        )
        self._journal.db.execute(overtaken, (now_ms, row.root, row.root))

    def told_elsewhere(self, row: Row) -> bool:
        """Tell whether the same letter has reached its reader by another channel."""
        query = "SELECT count(*) FROM letter WHERE state = 'told' AND (id = ? OR copy_of = ?)"
        return bool(self._journal.db.execute(query, (row.root, row.root)).fetchone()[0])

    def times(self, incident: Incident, now_ms: int) -> int:
        """Return how often what an incident shows has come in the last day."""
        query = (
            "SELECT count(*) FROM incident WHERE rule = ? AND gateway = ? AND channel = ?"
            " AND (ended_ms IS NULL OR ended_ms >= ?) AND opened_ms > ?"
        )
        key = (incident.rule, incident.gateway, incident.channel, now_ms - DAY_MS, now_ms - DAY_MS)
        return int(self._journal.db.execute(query, key).fetchone()[0])

    def set(self, row: Row, state: str, **columns: Any) -> None:
        """Note what became of a letter."""
        columns["state"] = state
        settings = ", ".join(f"{name} = ?" for name in columns)
        self._journal.db.execute(f"UPDATE letter SET {settings} WHERE id = ?", (*columns.values(), row.id))

    def series(self, notice: Notice, now_ms: int) -> Past:
        """Return what was written in the last day of what may come and go; what has a date to come is passed over."""
        *which, late = notice.series
        key = (*which, now_ms - DAY_MS, late, now_ms - DAY_MS, now_ms)
        db = self._journal.db
        letters = db.execute(f"SELECT count(DISTINCT letter.at_ms) {_SERIES}", key).fetchone()[0]
        newest = f"SELECT letter.at_ms, tell, said, state {_SERIES} ORDER BY letter.id DESC LIMIT 1"
        last = db.execute(newest, key).fetchone()
        if last is None:
            return Past()
        at_ms, tell, said, state = last
        return Past(letters, at_ms, on=(said or tell) not in ENDS and state != "given up")

    def group(self, name: str, now_ms: int) -> Past:
        """Return what was written in the last day of what shares letters."""
        db, key = self._journal.db, (name, now_ms - DAY_MS, now_ms)
        letters = db.execute(f"SELECT count(DISTINCT at_ms) {_GROUP}", key).fetchone()[0]
        last = db.execute(f"SELECT at_ms {_GROUP} ORDER BY id DESC LIMIT 1", key).fetchone()
        return Past(letters, last[0] if last else None, on=bool(db.execute(_ON, key).fetchone()[0]))

    def readers(self, incident: int) -> list[Reader]:
        """Return everybody who has a letter about an incident, by the addresses that it went to: what told first."""
        query = (
            "SELECT person, lang, channel, address FROM letter JOIN about ON about.letter = letter.id"
            f" WHERE {_ALL_OF} ORDER BY state != 'told', letter.id"
        )
        ways: dict[tuple[str, str], dict[tuple[str, str], None]] = {}
        for person, lang, channel, address in self._journal.db.execute(query, (incident, incident)):
            ways.setdefault((person, lang), {})[channel, address] = None
        return [Reader(person, lang, tuple(found)) for (person, lang), found in ways.items()]

    def prune(self, now_ms: int) -> None:
        """Forget the oldest letters beyond `KEPT`, but none about life that somebody may still have to be told more of.

        That is looked for once in a while: there may be many that stay.
        """
        db = self._journal.db
        last = int(db.execute("SELECT coalesce(max(id), 0) FROM letter").fetchone()[0]) - KEPT
        if last < self._pruned + PRUNED_AT_ONCE:
            return
        self._pruned = last
        gone = f"SELECT id FROM letter WHERE id <= ? AND NOT {WAITS} AND id NOT IN ({_NEEDED})"
        old = [(number,) for (number,) in db.execute(gone, (last, last, now_ms - DAY_MS)).fetchall()]
        db.executemany("DELETE FROM letter WHERE id = ?", old)
        db.executemany("DELETE FROM about WHERE letter = ?", old)
