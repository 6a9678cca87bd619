"""access.db: the accounts of the broker. Of a password there is only the hash that Mosquitto reads.

The staff's room and `gocche coverage` write it; the coverage room and `gocche access write` read it. An account that
is over stays in the book: its name is never given again, so what came under it can always be told whose it was.
"""

from __future__ import annotations

import itertools
import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Self

import msgspec

from cloud.access.mosquitto import hashed
from disk import form
from settings.words import Taken
from wire import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

NAME = "access.db"
CHANGED = "access.changed"  # beside it, touched by each change: what a path unit of systemd waits for
DAY_MS = 86_400_000
FIRST = "doi"  # with it begins every team's account (đội), and no gateway's name
BUSY_S = 1.0
Kind = Literal["team"]
_STEPS = (
    """CREATE TABLE account (user TEXT PRIMARY KEY, kind TEXT NOT NULL, owner TEXT NOT NULL, hash TEXT NOT NULL,
    made_ms INTEGER NOT NULL, made_by TEXT NOT NULL, until_ms INTEGER NOT NULL, revoked_ms INTEGER,
    revoked_by TEXT NOT NULL DEFAULT '') STRICT, WITHOUT ROWID""",
)
_ALL = "SELECT user, kind, owner, hash, made_ms, made_by, until_ms, revoked_ms, revoked_by FROM account ORDER BY user"


class Account(msgspec.Struct, frozen=True):
    """Who may speak to the broker by a password. `owner` is what it is of: the code of a team. Times are UTC ms."""

    user: str
    kind: Kind
    owner: str
    hash: str
    made_ms: int
    made_by: str
    until_ms: int
    revoked_ms: int | None = None
    revoked_by: str = ""

    def holds(self, now_ms: int) -> bool:
        """Tell whether it is neither revoked nor over."""
        return self.revoked_ms is None and now_ms < self.until_ms


@dataclass(frozen=True)
class Secret:
    """An account that has just been made, and its password: shown once, kept nowhere, printed by no accident."""

    account: Account
    password: str = field(repr=False)


class Book:
    """The file as a writer has it, in one thread. Raises Taken, and sqlite3.Error for what the disk refuses."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.touch(mode=0o600)
        self._db = form.opened(path, _STEPS)

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def accounts(self) -> list[Account]:
        """Return all that ever were, by name."""
        return [_account(row) for row in self._db.execute(_ALL)]

    def invite(
        self, team: str, count: int, *, until_ms: int, who: str, now_ms: int, taken: Callable[[str], bool]
    ) -> list[Secret]:
        """Make accounts of a team, one for each telephone, all or none. `taken` names are somebody else's already."""
        made = []
        with form.whole(self._db) as db:
            known = {row[0] for row in db.execute("SELECT user FROM account")}
            names = (named(team, number) for number in itertools.count(1))
            free = (name for name in names if name not in known and not taken(name))
            for user in itertools.islice(free, count):
                password = secrets.token_urlsafe(16)
                account = Account(user, "team", team, hashed(password), now_ms, who, until_ms)
                db.execute("INSERT INTO account VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", msgspec.structs.astuple(account))
                made.append(Secret(account, password))
            self._touch()
        return made

    def revoke(self, users: Collection[str], *, who: str, now_ms: int) -> list[str]:
        """Let these accounts in no more; return those that it ended, which others may have been before."""
        ended = []
        with form.whole(self._db) as db:
            for user in users:
                query = "UPDATE account SET revoked_ms = ?, revoked_by = ? WHERE user = ? AND revoked_ms IS NULL"
                if db.execute(query, (now_ms, who, user)).rowcount:
                    ended.append(user)
            self._touch()
        return ended

    def forget(self, who: Collection[str], alias: str, *, dry: bool) -> int:
        """Put an alias in the place of who made or revoked accounts, or only count; what is freed is overwritten."""
        found = 0
        for column in ("made_by", "revoked_by"):
            marks = ", ".join("?" * len(who))
            found += self._db.execute(f"SELECT count(*) FROM account WHERE {column} IN ({marks})", [*who]).fetchone()[0]  # noqa: S608
            if not dry:
                self._db.execute(f"UPDATE account SET {column} = ? WHERE {column} IN ({marks})", [alias, *who])  # noqa: S608 - own names
        if not dry:
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return found

    def _touch(self) -> None:
        """Tell who waits for a change; before it is committed, by less than such a one takes to start.

        The file is made anew: root's, of a command, is none that the server may touch.
        """
        changed = self._path.with_name(CHANGED)
        changed.unlink(missing_ok=True)
        changed.touch(mode=0o600)


class Known:
    """The accounts as the coverage room asks for them, message by message: what is revoked is refused at once.

    Where the file cannot be read, or is not there any more, they are those of before, and `why` says so. One that came
    back from a backup, or was begun anew, is another file of that name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._db: sqlite3.Connection | None = None
        self._inode = 0
        self._version = -1
        self._by_user: dict[str, Account] = {}
        self.why = ""

    def team_of(self, user: str, now_ms: int) -> str | None:
        """Return the code of the team whose account this is, None for who may not speak (now)."""
        self._look()
        account = self._by_user.get(user)
        return account.owner if account and account.kind == "team" and account.holds(now_ms) else None

    def close(self) -> None:
        """Close the file; the next question opens it anew."""
        if self._db is not None:
            self._db.close()
        self._db, self._version = None, -1

    def _look(self) -> None:
        try:
            inode = self._path.stat().st_ino if self._path.exists() else 0
            if self._db is not None and inode != self._inode:
                self.close()
            if self._db is None:
                if not inode:
                    self.why = f"{self._path.name} is not there any more" if self._by_user else ""
                    return
                self._db, self._inode = reading(self._path), inode
                if not form.form_of(self._db, self._path, len(_STEPS)):  # somebody makes it just now
                    self.close()
                    return
            version = self._db.execute("PRAGMA data_version").fetchone()[0]
            if version != self._version:
                self._by_user = {row[0]: _account(row) for row in self._db.execute(_ALL)}
                self._version = version
            self.why = ""
        except (sqlite3.Error, OSError, Taken) as error:
            self.why = f"{self._path.name}: {error}"
            self.close()


def accounts(path: Path) -> list[Account]:
    """Return all accounts that ever were, by name; none where there is no book. Raises Taken, sqlite3.Error."""
    if not path.exists():
        return []
    with closing(reading(path)) as db:
        return [_account(row) for row in db.execute(_ALL)] if form.form_of(db, path, len(_STEPS)) else []


def team_of(path: Path, user: str, now_ms: int) -> str | None:
    """Return the code of the team whose account this is, None for who may not speak (now)."""
    found = (one for one in accounts(path) if one.user == user)
    return next((one.owner for one in found if one.kind == "team" and one.holds(now_ms)), None)


def named(team: str, number: int) -> str:
    """Return the name of a team's account: doi-hang-tay-3. It is a level of a topic, whatever the code."""
    end = f"-{number}"
    name = f"{FIRST}-{team.strip('-')}"[: 32 - len(end)] + end
    if not topics.USER.fullmatch(name):
        raise ValueError(f"{name!r} is no level of a topic: is {team!r} a code?")
    return name


def reading(path: Path) -> sqlite3.Connection:
    """Return a connection to a book that is there, for who only reads. Raises sqlite3.Error."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S, check_same_thread=False)


def _account(row: tuple[object, ...]) -> Account:
    try:
        return msgspec.convert(row, _Row).account
    except msgspec.ValidationError as error:
        raise form.rotten(f"an account is none: {error}") from error


class _Row(msgspec.Struct, array_like=True):
    user: str
    kind: Kind
    owner: str
    hash: str
    made_ms: int
    made_by: str
    until_ms: int
    revoked_ms: int | None
    revoked_by: str

    @property
    def account(self) -> Account:
        return Account(*msgspec.structs.astuple(self))
