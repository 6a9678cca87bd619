"""What could not be stored is kept here with its reason, until somebody looks or an upgrade can read it.

SQLite beside the store, whatever the engine: a row must be durable before the edge is told that it may forget.
"""

from __future__ import annotations

import sqlite3
import threading
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from cloud.store import Retry
from wire import codec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA_VERSION = 1
LIMIT_BYTES = 256 * 1024 * 1024
DAMAGED_SHARE = 16  # anybody can send damaged bytes: they get one sixteenth of the room
_WEIGH = "SELECT total(length(payload)), total(length(payload) * (epoch = '')) FROM quarantine"


class Case(msgspec.Struct, frozen=True):
    """One message in quarantine, as it came. Without an identity (`epoch` "") its bytes were damaged on the way."""

    id: int
    arrival_ms: int
    gateway: str
    epoch: str
    first: int
    n: int
    reason: str
    payload: bytes


class Quarantine:
    """The one place for what is refused. May be used from any thread."""

    def __init__(self, path: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        if self._db.execute("PRAGMA user_version").fetchone()[0] > SCHEMA_VERSION:
            raise RuntimeError(f"{path} was written by a newer gocche; install that version again")
        self._db.executescript(
            "BEGIN; CREATE TABLE IF NOT EXISTS quarantine(id INTEGER PRIMARY KEY, arrival_ms INTEGER NOT NULL,"
            " gateway TEXT NOT NULL, epoch TEXT NOT NULL, first INTEGER NOT NULL, n INTEGER NOT NULL,"
            " reason TEXT NOT NULL, crc INTEGER NOT NULL, payload BLOB NOT NULL,"
            " UNIQUE(gateway, epoch, first, n, crc));"
            f" PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
        self._bytes, self._damaged = self._db.execute(_WEIGH).fetchone()

    def keep(self, gateway: str, identity: tuple[str, int, int], reason: str, payload: bytes, arrival_ms: int) -> None:
        """Keep the bytes durably, once. Raises Retry where there is no room: then nothing may be acknowledged."""
        row = (arrival_ms, gateway, *identity, reason[:500], zlib.crc32(payload), payload)
        with self._changing() as db:
            if self._bytes + len(payload) > self._limit:
                self._weigh()  # `gocche quarantine --retry` is another process
            if self._bytes + len(payload) > self._limit:
                raise Retry(f"quarantine holds {self._bytes:.0f} bytes, its limit; look at `gocche quarantine`", 60)
            added = db.execute(
                "INSERT INTO quarantine(arrival_ms, gateway, epoch, first, n, reason, crc, payload)"
                " VALUES (?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
                row,
            ).rowcount
            self._bytes += len(payload) * max(added, 0)
            self._damaged += len(payload) * max(added, 0) * (not identity[0])

    def keep_damaged(self, gateway: str, reason: str, payload: bytes, arrival_ms: int) -> bool:
        """Keep bytes that have no identity, cut to the longest packet, while they have room; tell whether they had.

        They never crowd out what must be kept before a gateway may forget it. Raises Retry.
        """
        payload = payload[: codec.MAX_PACKET]
        if self._damaged + len(payload) > self._limit / DAMAGED_SHARE or self._bytes + len(payload) > self._limit:
            return False
        self.keep(gateway, ("", 0, 0), reason, payload, arrival_ms)
        return True

    def cases(self) -> list[Case]:
        """Return everything in quarantine, oldest first."""
        with self._changing() as db:
            rows = db.execute(
                "SELECT id, arrival_ms, gateway, epoch, first, n, reason, payload FROM quarantine ORDER BY id"
            )
            return [Case(*row) for row in rows]

    def release(self, number: int) -> None:
        """Forget one case, once it is stored."""
        with self._changing() as db:
            db.execute("DELETE FROM quarantine WHERE id = ?", (number,))
            self._weigh()

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

    def _weigh(self) -> None:
        self._bytes, self._damaged = self._db.execute(_WEIGH).fetchone()

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._db.close()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._db
            except sqlite3.Error as error:
                raise Retry(f"quarantine: {error}", 30) from error
