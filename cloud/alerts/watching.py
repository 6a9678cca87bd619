"""What the journal tells who is on duty, read by any process without disturbing the writer.

Every question opens the file anew and gets one state of it. Where there is no journal yet, or it is still of an earlier
gocche, nothing is known. Raises sqlite3.Error.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from cloud.alerts import ways
from cloud.alerts.incident import Incident
from cloud.alerts.journal import is_of_today, reading, selected

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path


_HEADS = "part_of IS NULL"
# What is about life now comes first, so that no number of sensors that want mending pushes a fire off the board.
_GOING = "closed_ms IS NULL AND part_of IS NULL ORDER BY (grade = 'life' AND NOT late) DESC, id DESC LIMIT ?"
_LETTERS = (
    "SELECT letter.at_ms, person, channel, tell, state, done_ms, words, receipt FROM letter"
    " JOIN about ON about.letter = letter.id WHERE about.incident = ? ORDER BY letter.id DESC LIMIT ?"
)
_QUIET = (
    "SELECT max(CASE WHEN grade = 'life' AND NOT exercise AND NOT late THEN closed_ms END),"
    " max(CASE WHEN grade = 'life' AND exercise THEN opened_ms END) FROM incident"
)


class Told(msgspec.Struct, frozen=True):
    """A letter about an incident, as the outbox has it."""

    at_ms: int
    person: str
    channel: str
    tell: str
    state: str
    done_ms: int | None
    words: str
    receipt: str


class Story(msgspec.Struct, frozen=True):
    """An incident, its parts, its journal as (UTC ms, event, who, words, inputs as JSON), and letters, newest first.

    `older` lines of the journal are not among them.
    """

    incident: Incident
    parts: Sequence[Incident] = ()
    events: Sequence[tuple[int, str, str, str, str]] = ()
    letters: Sequence[Told] = ()
    older: int = 0


class Watching:
    """Reads one journal file. From any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def going(self, limit: int) -> list[tuple[Incident, tuple[int, ...], tuple[int, int] | None]]:
        """Return (head, numbers of parts, (rung, due in UTC ms) or None) of what is not closed, life first."""
        with self._journal() as db:
            if db is None:
                return []
            heads = selected(db, _GOING, limit)
            return [(head, _parts(db, head.id), _step(db, head.id)) for head in heads]

    def story(self, number: int, most: int) -> Story | None:
        """Return all of one incident, and of its parts their journal too; None where there is none."""
        with self._journal() as db:
            found = selected(db, "id = ?", number) if db else []
            if db is None or not found:
                return None
            parts = selected(db, "part_of = ? ORDER BY id", number)
            numbers = [number, *(one.id for one in parts)][:500]
            marks = ", ".join("?" * len(numbers))
            query = (
                "SELECT at_ms, event, who, what, inputs FROM"
                f" (SELECT * FROM journal WHERE incident IN ({marks}) ORDER BY id DESC LIMIT ?) ORDER BY id"
            )
            events = db.execute(query, (*numbers, most)).fetchall()
            count = db.execute(f"SELECT count(*) FROM journal WHERE incident IN ({marks})", numbers).fetchone()[0]
            letters = [Told(*row) for row in db.execute(_LETTERS, (number, most))]
            return Story(found[0], parts, events, letters, count - len(events))

    def step(self, number: int) -> tuple[int, int] | None:
        """Return (rung, UTC ms) at which the next are told of an incident."""
        with self._journal() as db:
            return _step(db, number) if db else None

    def past(
        self,
        limit: int,
        places: Sequence[str] = (),
        *,
        below: int | None = None,
        from_ms: int | None = None,
        to_ms: int | None = None,
        closed_ms: int | None = None,
        closed_as: str = "",
        exercise: bool | None = None,
        grade: str = "life",
    ) -> list[Incident]:
        """Return heads of a grade, newest first.

        With numbers below one, that began in a time, closed since, as what ("open": not yet), at places, exercises or
        not: whatever is not said is not asked for.
        """
        asked: dict[str, object] = {
            "id < ?": below,
            "since_ms >= ?": from_ms,
            "since_ms < ?": to_ms,
            "closed_ms >= ?": closed_ms,
            "closed_as = ?": closed_as if closed_as != "open" else "",
            "exercise = ?": exercise,
            "grade = ?": grade,
            "place IN (SELECT value FROM json_each(?))": msgspec.json.encode(list(places)).decode() if places else None,
        }
        asked = {what: value for what, value in asked.items() if value not in (None, "")}
        where = " AND ".join([_HEADS, *(["closed_ms IS NULL"] if closed_as == "open" else []), *asked])
        with self._journal() as db:
            return selected(db, f"{where} ORDER BY id DESC LIMIT ?", *asked.values(), limit) if db else []

    def silences(self, now_ms: int) -> list[tuple[int, str, str, str, int, int]]:
        """Return (number, scope, author, reason, from, until) of what is silenced now."""
        query = "SELECT id, scope, author, reason, from_ms, until_ms FROM silence WHERE from_ms <= ? AND until_ms > ?"
        with self._journal() as db:
            return db.execute(query, (now_ms, now_ms)).fetchall() if db else []

    def quiet(self) -> tuple[int | None, int | None]:
        """Return when the last incident about life was closed, and the last exercise began."""
        with self._journal() as db:
            found: Any = db.execute(_QUIET).fetchone() if db else (None, None)
            return found[0], found[1]

    def channels(self, now_ms: int) -> list[ways.Way]:
        """Return how each channel of cloud.toml is, and how its last weekly test went."""
        with self._journal() as db:
            return ways.read(db, now_ms) if db else []

    def nodes(self) -> list[tuple[str, str, str, int]]:
        """Return (gateway, place or channel, faults, patience in ms) of the detector's nodes that are not as usual."""
        query = "SELECT gateway, node, faults, patient_ms FROM node WHERE faults != '' OR patient_ms > 300000"
        with self._journal() as db:
            return db.execute(query).fetchall() if db else []

    def listened_ms(self) -> int:
        """Return for how long alerts have listened in all, as it was last written down: each tick while they do."""
        with self._journal() as db:
            row = db.execute("SELECT value FROM meta WHERE key = 'listened_ms'").fetchone() if db else None
            return int(row[0]) if row else 0

    def letter(self, number: int) -> tuple[str, list[int]] | None:
        """Return to whom a letter was written, and the heads that it is about; None where it is forgotten."""
        with self._journal() as db:
            row = db.execute("SELECT person FROM letter WHERE id = ?", (number,)).fetchone() if db else None
            if db is None or row is None:
                return None
            about = (
                "SELECT DISTINCT coalesce(part_of, id) FROM about JOIN incident ON incident.id = about.incident"
                " WHERE letter = ? ORDER BY 1"
            )
            return str(row[0]), [int(one) for (one,) in db.execute(about, (number,))]

    @contextmanager
    def _journal(self) -> Iterator[sqlite3.Connection | None]:
        if not self._path.exists():
            yield None
            return
        with reading(self._path) as db:
            db.execute("BEGIN")  # one state for all that is read
            yield db if is_of_today(db) else None


def _parts(db: sqlite3.Connection, head: int) -> tuple[int, ...]:
    return tuple(number for (number,) in db.execute("SELECT id FROM incident WHERE part_of = ? ORDER BY id", (head,)))


def _step(db: sqlite3.Connection, number: int) -> tuple[int, int] | None:
    row = db.execute("SELECT rung, due_ms FROM step WHERE incident = ?", (number,)).fetchone()
    return None if row is None else (int(row[0]), int(row[1]))
