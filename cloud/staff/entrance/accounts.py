"""staff.db: who may sign in, and from which devices they have. Who they are and what they may do: the registry.

Nothing here opens a door if it is read by a stranger: of passwords there are argon2id hashes, of links and sessions
the SHA-256 of 256 random bits.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

import msgspec

from disk import form

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from cloud.clock import Clock

NAME = "staff.db"
LINK_HOURS = 72
_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000
IDLE_MS, HARD_MS = 12 * _HOUR_MS, 30 * _DAY_MS  # a session ends when it is not used, and in any case
TOUCH_MS = _MINUTE_MS  # how exactly it is known when a session was used last
LONGEST_AGENT = 200  # characters of what a browser says of itself
_FORMS = (
    """
CREATE TABLE IF NOT EXISTS account (
  code TEXT PRIMARY KEY, hash TEXT NOT NULL, changed_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS link (
  code TEXT PRIMARY KEY, digest BLOB NOT NULL UNIQUE, name TEXT NOT NULL, role TEXT NOT NULL, until_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS session (
  id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, code TEXT NOT NULL, made_ms INTEGER NOT NULL,
  seen_ms INTEGER NOT NULL, agent TEXT NOT NULL, lang TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS session_of ON session (code);
""",
)


class Invitation(msgspec.Struct, frozen=True):
    """Whom a link lets in. `role` is what they are to become; "" where they keep the role that they have."""

    code: str
    name: str
    role: str


class Session(msgspec.Struct, frozen=True):
    """One device on which somebody has signed in; times are UTC ms. `lang` is what they chose there, "" nothing."""

    id: int
    code: str
    made_ms: int
    seen_ms: int
    agent: str
    lang: str


class Accounts:
    """The accounts. From any thread; what it is asked takes no longer than the disk.

    `shut_out_ms` says when somebody was last let in no more: a password, a device or a link of before opens nothing,
    whoever took the access and however, also once it is given again. Who lets nobody in here need not know.

    Raises Taken for a file that a newer gocche wrote, and sqlite3.Error for what the disk refuses.
    """

    def __init__(self, path: Path, clock: Clock, shut_out_ms: Callable[[str], int] = lambda _: 0) -> None:
        self._clock, self._shut_out_ms = clock, shut_out_ms
        self._lock = threading.Lock()
        path.touch(mode=0o600)
        self._db = form.opened(path, _FORMS)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def anybody(self) -> bool:
        """Return whether there is an account at all."""
        return bool(self._rows("SELECT 1 FROM account LIMIT 1"))

    def codes(self) -> set[str]:
        """Return who has chosen a password."""
        return {row[0] for row in self._rows("SELECT code FROM account")}

    def invite(self, code: str, name: str, role: str) -> str:
        """Return the secret of a new link for somebody; an older one of theirs is good no more."""
        token = secrets.token_urlsafe(32)
        until_ms = self._clock.utc_ms() + LINK_HOURS * _HOUR_MS
        with self._writing() as db:
            row = (code, _digest(token), name, role, until_ms)
            db.execute("INSERT OR REPLACE INTO link (code, digest, name, role, until_ms) VALUES (?, ?, ?, ?, ?)", row)
        return token

    def invited(self, token: str) -> Invitation | None:
        """Return whom a link lets in, while it is good."""
        query = "SELECT code, name, role, until_ms FROM link WHERE digest = ? AND until_ms > ?"
        rows = self._rows(query, _digest(token), self._clock.utc_ms())
        of_now = rows and rows[0][3] - LINK_HOURS * _HOUR_MS > self._shut_out_ms(rows[0][0])
        return Invitation(*rows[0][:3]) if of_now else None

    def accept(self, token: str, hashed: str) -> bool:
        """Use up a link: its person has this password from now on, and no device. Tell whether it was still good."""
        with self._writing() as db:
            query = "DELETE FROM link WHERE digest = ? AND until_ms > ? RETURNING code"
            rows = db.execute(query, (_digest(token), self._clock.utc_ms())).fetchall()
            if rows:
                self._keep(db, rows[0][0], hashed)
        return bool(rows)

    def hash_of(self, code: str) -> str | None:
        """Return the hash of somebody's password."""
        rows = self._rows("SELECT hash, changed_ms FROM account WHERE code = ?", code)
        return rows[0][0] if rows and rows[0][1] > self._shut_out_ms(code) else None

    def rehash(self, code: str, hashed: str) -> None:
        """Keep the same password under newer parameters."""
        with self._writing() as db:
            db.execute("UPDATE account SET hash = ? WHERE code = ?", (hashed, code))

    def change(self, code: str, hashed: str) -> None:
        """Give somebody another password; all of their devices are signed out."""
        with self._writing() as db:
            self._keep(db, code, hashed)

    def sign_in(self, code: str, agent: str) -> str:
        """Return the secret of a new session; those that have ended are forgotten."""
        token, now_ms = secrets.token_urlsafe(32), self._clock.utc_ms()
        with self._writing() as db:
            db.execute("DELETE FROM session WHERE seen_ms <= ? OR made_ms <= ?", (now_ms - IDLE_MS, now_ms - HARD_MS))
            db.execute("DELETE FROM link WHERE until_ms <= ?", (now_ms,))
            row = (_digest(token), code, now_ms, now_ms, agent[:LONGEST_AGENT], "")
            db.execute(
                "INSERT INTO session (digest, code, made_ms, seen_ms, agent, lang) VALUES (?, ?, ?, ?, ?, ?)", row
            )
        return token

    def session(self, token: str) -> Session | None:
        """Return the session of a secret, while it lasts; it has been used now."""
        now_ms = self._clock.utc_ms()
        query = f"{_SESSION} WHERE digest = ? AND seen_ms > ? AND made_ms > ?"
        rows = self._rows(query, _digest(token), now_ms - IDLE_MS, now_ms - HARD_MS)
        if not rows:
            return None
        session = Session(*rows[0])
        if session.made_ms <= self._shut_out_ms(session.code):
            return None
        if now_ms - session.seen_ms >= TOUCH_MS:
            with suppress(sqlite3.OperationalError), self._writing() as db:  # a full disk signs nobody out
                db.execute("UPDATE session SET seen_ms = ? WHERE id = ?", (now_ms, session.id))
        return session

    def sessions(self, code: str) -> list[Session]:
        """Return on which devices somebody is signed in, the last used first."""
        now_ms = self._clock.utc_ms()
        query = f"{_SESSION} WHERE code = ? AND seen_ms > ? AND made_ms > ? ORDER BY seen_ms DESC, id DESC"
        since_ms = max(now_ms - HARD_MS, self._shut_out_ms(code))
        return [Session(*row) for row in self._rows(query, code, now_ms - IDLE_MS, since_ms)]

    def end(self, code: str, session: int | None = None) -> None:
        """Sign somebody out on one device, or on all."""
        with self._writing() as db:
            query = "DELETE FROM session WHERE code = ? AND (id = ? OR ? IS NULL)"
            db.execute(query, (code, session, session))

    def dossier(self, code: str) -> dict[str, Any]:
        """Return what is held of somebody: since when they have a password, their devices, a link that waits."""
        account = self._rows("SELECT changed_ms FROM account WHERE code = ?", code)
        link = self._rows("SELECT name, role, until_ms FROM link WHERE code = ?", code)
        sessions = self._rows("SELECT made_ms, seen_ms, agent, lang FROM session WHERE code = ?", code)
        return {
            "password_since_ms": account[0][0] if account else None,
            "link": [dict(zip(("name", "role", "until_ms"), row, strict=True)) for row in link],
            "devices": [dict(zip(("made_ms", "seen_ms", "browser", "lang"), row, strict=True)) for row in sessions],
        }

    def forget(self, code: str, *, dry: bool) -> int:
        """Take away all that is held of somebody, or only count it; what is freed is overwritten."""
        own = ("account", "link", "session")
        if not dry:
            with self._writing() as db:
                gone = sum(db.execute(f"DELETE FROM {table} WHERE code = ?", (code,)).rowcount for table in own)  # noqa: S608 - own names
            self._rows("VACUUM")
            self._rows("PRAGMA wal_checkpoint(TRUNCATE)")
            return gone
        return sum(self._rows(f"SELECT count(*) FROM {table} WHERE code = ?", code)[0][0] for table in own)  # noqa: S608

    def speak(self, session: int, lang: str) -> None:
        """Remember the language that was chosen on a device."""
        with self._writing() as db:
            db.execute("UPDATE session SET lang = ? WHERE id = ?", (lang, session))

    def _keep(self, db: sqlite3.Connection, code: str, hashed: str) -> None:
        row = (code, hashed, self._clock.utc_ms())
        db.execute("INSERT OR REPLACE INTO account (code, hash, changed_ms) VALUES (?, ?, ?)", row)
        db.execute("DELETE FROM session WHERE code = ?", (code,))

    def _rows(self, query: str, *values: object) -> list[Any]:
        with self._lock:
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, form.whole(self._db) as db:
            yield db


_SESSION = "SELECT id, code, made_ms, seen_ms, agent, lang FROM session"


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
