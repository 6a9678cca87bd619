"""What could not be stored is kept here with its reason, until somebody looks or an upgrade can read it.

SQLite beside the store, whatever the engine: a row must be durable before the edge is told that it may forget. What is
kept in one step is one transaction. Its limit counts what the disk holds, whole pages with the indexes, and not the
payloads: twenty thousand messages of five bytes take seventeen times their payloads.

Beside the cases lie the *suspects*: batches that the store does not take while it takes others, and since when. They
are no cases yet: nobody has been told that they may be forgotten (see `commit.py`).
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from cloud.store import Retry
from disk.form import bring_forward, form_of, is_damaged, set_aside
from wire import codec
from wire.batch import Identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)
LIMIT_BYTES = 256 * 1024 * 1024
DAMAGED_SHARE = 16  # anybody can send damaged bytes: they get one sixteenth of the room
SUSPECTS = 10_000
PAGE = 4_096  # of the file
ROW_BYTES = 400  # what a row takes beside payload and reason: its columns, and its entry in the unique index
WAL_BYTES = 4 * 1024 * 1024
FULL = "quarantine holds {held} bytes, its limit is {limit}; look at `gocche quarantine`"

Who = tuple[str, str, int, int]  # gateway, epoch, first, n

_MIGRATIONS = (
    """
    CREATE TABLE IF NOT EXISTS quarantine(
        id INTEGER PRIMARY KEY, arrival_ms INTEGER NOT NULL, gateway TEXT NOT NULL, epoch TEXT NOT NULL,
        first INTEGER NOT NULL, n INTEGER NOT NULL, reason TEXT NOT NULL, crc INTEGER NOT NULL, payload BLOB NOT NULL,
        UNIQUE(gateway, epoch, first, n, crc)
    );
    """,
    """
    CREATE TABLE suspect(
        gateway TEXT NOT NULL, epoch TEXT NOT NULL, first INTEGER NOT NULL, n INTEGER NOT NULL,
        since_ms INTEGER NOT NULL, PRIMARY KEY(gateway, epoch, first, n)
    ) WITHOUT ROWID;
    CREATE INDEX quarantine_arrival ON quarantine(arrival_ms);
    """,
)
_PUT = (
    "INSERT INTO quarantine(arrival_ms, gateway, epoch, first, n, reason, crc, payload)"
    " VALUES (?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING"
)
_CASES = (
    "SELECT id, arrival_ms, gateway, epoch, first, n, reason, length(payload)"
    " FROM quarantine WHERE id > ? ORDER BY id LIMIT ?"
)
_DAMAGED = "SELECT total(weight(length(payload) + length(reason))) FROM quarantine WHERE epoch = ''"


class Case(msgspec.Struct, frozen=True):
    """One message in quarantine. Without an identity (`epoch` "") its bytes were damaged on the way."""

    id: int
    arrival_ms: int
    gateway: str
    epoch: str
    first: int
    n: int
    reason: str
    size: int  # of the payload, in bytes


class Unstorable(msgspec.Struct, frozen=True):
    """What is to be kept, as it came. `identity` is ("", 0, 0) for bytes that were damaged on the way."""

    gateway: str
    identity: Identity
    reason: str
    payload: bytes
    arrival_ms: int


class Quarantine:
    """The one place for what is refused; ingest alone writes it. May be used from any thread.

    Raises Taken for a file of a newer gocche, and `Retry`, from every method, where SQLite cannot now.
    """

    def __init__(self, path: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            _prepare(self._db, path)
            self._db.create_function("weight", 1, _weight, deterministic=True)
            (self._damaged,) = self._db.execute(_DAMAGED).fetchone()
        except BaseException:
            self._db.close()
            raise

    def keep(self, items: Sequence[Unstorable]) -> list[bool]:
        """Keep each durably, once, in one transaction; tell which are. For the others there is no room.

        Damaged bytes never crowd out what must be kept before a gateway may forget it: nothing hangs on them.
        """
        with self._changing() as db:
            db.execute("BEGIN IMMEDIATE")
            return [self._put(item) for item in items]

    def _put(self, item: Unstorable) -> bool:
        payload = item.payload[: codec.MAX_PACKET]
        weight = _weight(len(payload) + len(item.reason[:500]))
        damaged = not item.identity[0]
        if damaged and self._damaged + weight > self._limit / DAMAGED_SHARE:
            return False
        if self._held() + weight > self._limit:
            return False
        row = (item.arrival_ms, item.gateway, *item.identity, item.reason[:500], zlib.crc32(payload), payload)
        if self._db.execute(_PUT, row).rowcount > 0 and damaged:
            self._damaged += weight
        return True

    def full(self) -> str:
        """Return in words how full it is, for who has just been told that there is no room."""
        with self._changing():
            return FULL.format(held=self._held(), limit=self._limit)

    def cases(self, after: int = 0, at_most: int = 1_000) -> list[Case]:
        """Return the next cases by their id, oldest first, without their bytes."""
        with self._changing() as db:
            return [Case(*row) for row in db.execute(_CASES, (after, at_most))]

    def payload(self, number: int) -> bytes:
        """Return the bytes of one case as they came; none when it is no more."""
        with self._changing() as db:
            row = db.execute("SELECT payload FROM quarantine WHERE id = ?", (number,)).fetchone()
            return bytes(row[0]) if row else b""

    def release(self, numbers: Sequence[int]) -> None:
        """Forget cases, once they are stored."""
        with self._changing() as db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("DELETE FROM quarantine WHERE id = ?", [(number,) for number in numbers])
            (self._damaged,) = db.execute(_DAMAGED).fetchone()

    def suspects(self) -> dict[Who, int]:
        """Return since when, in ms UTC, the store takes others and not these."""
        with self._changing() as db:
            return {(gateway, epoch, first, n): since for gateway, epoch, first, n, since in db.execute(
                "SELECT gateway, epoch, first, n, since_ms FROM suspect ORDER BY since_ms LIMIT ?", (SUSPECTS,)
            )}  # fmt: skip

    def suspect(self, who: Who, since_ms: int) -> None:
        """Remember a suspect."""
        with self._changing() as db:
            db.execute("INSERT OR IGNORE INTO suspect VALUES (?, ?, ?, ?, ?)", (*who, since_ms))

    def acquit(self, who: Who) -> None:
        """Forget a suspect: the store has taken it, or it is a case now."""
        with self._changing() as db:
            db.execute("DELETE FROM suspect WHERE (gateway, epoch, first, n) = (?, ?, ?, ?)", who)

    def newer(self, since_ms: int) -> int:
        """Return how many batches arrived here at or after `since_ms`. Damaged bytes are not counted."""
        with self._changing() as db:
            query = "SELECT count(*) FROM quarantine WHERE arrival_ms >= ? AND epoch != ''"
            return int(db.execute(query, (since_ms,)).fetchone()[0])

    def reasons(self) -> dict[str, int]:
        """Return how many cases there are for each reason, the most frequent twenty."""
        with self._changing() as db:
            rows = db.execute("SELECT reason, count(*) FROM quarantine GROUP BY reason ORDER BY 2 DESC LIMIT 20")
            return dict(rows.fetchall())

    def _held(self) -> int:
        """Return the bytes of the pages in use, those of an open transaction with them."""
        pages, free = (self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count"))
        return int(pages - free) * PAGE

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._db.close()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._db
                if self._db.in_transaction:
                    self._db.execute("COMMIT")
            except sqlite3.Error as error:
                raise Retry(f"quarantine: {error}", 30) from error
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")


def _weight(size: int) -> int:
    """Return what a row with so much payload and reason takes at most: a long one leaves the rest of its page empty."""
    return ROW_BYTES + (size if size <= PAGE // 4 else -(-size // PAGE) * PAGE)


def opened(path: Path, limit_bytes: int = LIMIT_BYTES) -> Quarantine:
    """Return the quarantine in a file.

    A damaged one is set aside whole, for a person to read, and a new one begun: it must not keep ingest from storing
    what is well.
    """
    try:
        return Quarantine(path, limit_bytes)
    except sqlite3.DatabaseError as error:
        if not is_damaged(error):
            raise
        log.exception("quarantine was damaged and is set aside file=%s", set_aside(path))
        return Quarantine(path, limit_bytes)


def listing(path: Path) -> Iterator[Case]:
    """Yield all cases in a file that another process writes, oldest first; nothing where there is none."""
    if not path.exists():
        return
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        after = 0
        while rows := db.execute(_CASES, (after, 1_000)).fetchall():
            yield from (Case(*row) for row in rows)
            after = rows[-1][0]
    finally:
        db.close()


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    form_of(db, path, len(_MIGRATIONS))
    db.execute(f"PRAGMA page_size = {PAGE}")
    db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    bring_forward(db, path, _MIGRATIONS)
