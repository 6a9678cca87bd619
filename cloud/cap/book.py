"""cap.db: every message that was given out, as it was; the same name is the same bytes for as long as it is kept.

Whoever gives messages out asks here first: what is news becomes a message, which is on the disk before anybody reads
it. A second truth beside the journal, and meant so: places are relabelled, words and senders change, a backup comes
back, and what others have read stays what they have read.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec

from cloud.cap.course import Said, following
from cloud.cap.message import Alert, written
from disk import form
from disk.form import whole
from settings.words import Taken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from cloud.cap.course import Notice

log = logging.getLogger(__name__)
NAME = "cap.db"
UNREADABLE = (sqlite3.Error, OSError, Taken)  # what a reader meets whose file is not to be read now
T = TypeVar("T")
KEPT_MS = 400 * 86_400_000  # after it has expired
_STEPS = (
    """CREATE TABLE message (identifier TEXT PRIMARY KEY, subject TEXT NOT NULL, state TEXT NOT NULL,
    sent_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, ends INTEGER NOT NULL, withdrawn INTEGER NOT NULL,
    alert BLOB NOT NULL, xml BLOB NOT NULL) WITHOUT ROWID;
    CREATE INDEX message_subject ON message (subject, sent_ms);
    CREATE INDEX message_expires ON message (expires_ms);
    CREATE TABLE feed (one INTEGER PRIMARY KEY CHECK (one = 1), digest TEXT NOT NULL, updated_ms INTEGER NOT NULL)""",
)
_BEFORE = """SELECT state, alert, ends, withdrawn FROM message WHERE subject = ? AND sent_ms >=
coalesce((SELECT min(sent_ms) FROM message WHERE subject = ? AND expires_ms > ?),
(SELECT max(sent_ms) FROM message WHERE subject = ?)) ORDER BY sent_ms"""
_CURRENT = """SELECT subject, alert, ends FROM message AS one WHERE expires_ms > ? AND NOT EXISTS
(SELECT 1 FROM message AS later WHERE later.subject = one.subject AND later.sent_ms > one.sent_ms)"""
_KEEP = "INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


class InForce(NamedTuple):
    """The newest message of each subject that has not expired, and when that list changed last."""

    alerts: list[Alert]
    updated_ms: int


class Book:
    """The file, in one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._db = form.opened_anew(path, _STEPS)

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._db.close()

    def publish(self, notices: Iterable[Notice], now_ms: int) -> InForce:
        """Keep what is news as messages, and return what is in force then. Raises sqlite3.Error: nothing is kept then.

        What could not be written as a valid message is logged and left out: it keeps no other from being read.
        """
        with whole(self._db):
            new = [self._put(told, now_ms) for told in notices]
            if any(new):
                self._db.execute("DELETE FROM message WHERE expires_ms < ?", (now_ms - KEPT_MS,))
            rows = self._db.execute(_CURRENT, (now_ms,)).fetchall()
            alerts = [_alert(alert) for _, alert, _ in rows]
            return InForce(alerts, self._updated_ms(alerts, now_ms))

    def going(self, now_ms: int) -> set[str]:
        """Return the subjects of which something is in force that has not ended."""
        return {subject for subject, _, ends in self._db.execute(_CURRENT, (now_ms,)) if not ends}

    def xml(self, identifier: str) -> bytes | None:
        """Return a message as it was given out; None for one that never was, or that is no longer kept."""
        row = self._db.execute("SELECT xml FROM message WHERE identifier = ?", (identifier,)).fetchone()
        return bytes(row[0]) if row else None

    def _put(self, told: Notice, now_ms: int) -> bool:
        rows = self._db.execute(_BEFORE, (told.subject, told.subject, now_ms, told.subject)).fetchall()
        before = [Said(state, _alert(alert), bool(ends), bool(gone)) for state, alert, ends, gone in rows]
        said = following(told, before, now_ms)
        if said is None:
            return False
        alert = said.alert
        try:
            xml = written(alert)
        except ValueError as error:
            log.error("cap-message-not-valid why=%r", str(error))  # noqa: TRY400 - the fault is named
            return False
        row = (alert.identifier, told.subject, said.state, alert.sent_ms, alert.expires_ms, said.ends, said.withdrawn)
        self._db.execute(_KEEP, (*row, msgspec.json.encode(alert), xml))
        return True

    def _updated_ms(self, alerts: Iterable[Alert], now_ms: int) -> int:
        """Return when the list became what it is: it only grows, whatever leaves the list and whatever clocks do."""
        digest = hashlib.sha256("\n".join(sorted(one.identifier for one in alerts)).encode()).hexdigest()
        row = self._db.execute("SELECT digest, updated_ms FROM feed").fetchone()
        if row and row[0] == digest:
            return int(row[1])
        updated_ms = max(now_ms // 1_000 * 1_000, int(row[1]) + 1_000 if row else 0)
        self._db.execute("INSERT OR REPLACE INTO feed VALUES (1, ?, ?)", (digest, updated_ms))
        return updated_ms


def asked(path: Path, ask: Callable[[Book], T]) -> T:
    """Return what the file answers; one with a damaged page is begun anew, as one that cannot be opened is.

    Raises what is UNREADABLE.
    """
    try:
        return _asked(path, ask)
    except sqlite3.Error as error:
        if not form.gone(path, error):
            raise
        return _asked(path, ask)


def _asked(path: Path, ask: Callable[[Book], T]) -> T:
    with closing(Book(path)) as book:
        return ask(book)


def _alert(kept: bytes) -> Alert:
    try:
        return msgspec.json.decode(kept, type=Alert)
    except (msgspec.MsgspecError, UnicodeDecodeError, TypeError) as error:
        raise form.rotten(f"a message of {NAME} cannot be read: {error}") from error
