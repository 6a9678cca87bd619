"""Which letter an answer belongs to, and the letter that is written back.

What is written back is a letter of the outbox like any other, with words of its own (`says`): by the channel by which
its reader answered and no other, worth `BACK_S`, after whatever waits about life. It is no news of its incident.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cloud.alerts.tell.route import ANSWER, LEVELS
from cloud.clock import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cloud.alerts.journal import Journal
    from cloud.alerts.tell.route import Reader

BACK_S = 600.0  # later nobody wonders any more whether they were heard
SERVICE = LEVELS.index("service")
_NEW = """
INSERT INTO letter
  (at_ms, grp, level, person, lang, channel, address, state, attempts, waited_s, lifetime_s, name, says)
VALUES (?, ?, ?, ?, ?, ?, ?, 'waiting', 0, 0, ?, '', ?)"""


class Said(msgspec.Struct, frozen=True):
    """Words that stand from when a letter was written: of a Message."""

    subject: str
    text: str
    short: str
    exercise: bool = False


class Answered:
    """Looks up and writes, within the caller's transaction."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def to(self, code: str, people: Collection[str], *, code_needed: bool) -> tuple[int, str] | None:
        """Return (letter, person) that a code answers, if it was written to one of them.

        Where no code is needed, and none given, it is the one incident about life that they were last told of, if
        there is no other with which people are not done.
        """
        db, marks = self._journal.db, ", ".join("?" * len(people))
        if code:
            query = f"SELECT id, person FROM letter WHERE code = ? AND person IN ({marks}) ORDER BY id DESC LIMIT 1"
            found = db.execute(query, (code, *people)).fetchone()
            return (int(found[0]), str(found[1])) if found else None
        if code_needed:
            return None
        query = (
            "SELECT max(letter.id), min(person), count(DISTINCT incident) FROM letter"
            " JOIN about ON about.letter = letter.id JOIN incident ON incident.id = about.incident"
            f" WHERE code != '' AND person IN ({marks}) AND closed_ms IS NULL"
        )
        number, person, incidents = db.execute(query, tuple(people)).fetchone()
        return (int(number), str(person)) if incidents == 1 else None

    def write_back(
        self, reader: Reader, way: tuple[str, str], said: Said, incidents: Sequence[int], now_ms: int, group: str
    ) -> None:
        """Write down what is said to somebody who has answered, by the way by which they did."""
        db = self._journal.db
        values = (now_ms, group, SERVICE, reader.person, reader.lang, *way, BACK_S, msgspec.json.encode(said).decode())
        number = int(db.execute(_NEW, values).lastrowid or 0)
        db.execute("UPDATE letter SET name = ? WHERE id = ?", (f"{self._journal.meta('uid')}.{number}", number))
        rows = [(number, incident, ANSWER) for incident in incidents]
        db.executemany("INSERT INTO about VALUES (?, ?, ?, '')", rows)

    def written(self, group: str, now_ms: int) -> int:
        """Return how many letters of a group were written within an hour of now, by whichever clock."""
        query = "SELECT count(*) FROM letter WHERE grp = ? AND at_ms BETWEEN ? AND ?"
        return int(self._journal.db.execute(query, (group, now_ms - HOUR_MS, now_ms + HOUR_MS)).fetchone()[0])
