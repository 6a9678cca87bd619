"""A `Store` in one SQLite file: each promise handed to the part that keeps it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud.store.engines.sqlite import history, ledger, statuses
from cloud.store.engines.sqlite.file import Faults, Readers, size
from cloud.store.engines.sqlite.writer import Writer
from cloud.store.unreadable import Unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.store.engines.sqlite.config import SqliteConfig
    from cloud.store.history import Absent, Hour, Sample
    from cloud.store.ledger import LedgerRow, Refusal, Refused
    from cloud.store.statuses import StatusRow
    from wire.batch import Batch, Dated, Gap, Status


class SqliteStore:
    """A `Store` in one file. Beside it lie SQLite's `-wal` and `-shm`, and `.lock`, which the one writer holds."""

    settle_s = 0.0

    def __init__(self, config: SqliteConfig, *, writer: bool) -> None:
        self._path = Path(config.path)
        self._is_writer = writer
        self._faults = Faults(self._path)
        self._readers = Readers(self._path, self._faults)
        self._writer: Writer | None = None
        self._unreadable = Unreadable()

    def setup(self) -> None:
        """Take the writer's lock, create the file or migrate it. A reader only checks that it can read."""
        with self._faults.guard("setup"):
            if not self._is_writer:
                self._readers.connection()
            elif self._writer is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._writer = Writer(self._path, self._faults, self._unreadable)

    def commit(self, entries: Sequence[Batch | Gap | Refusal], arrival_ms: int) -> list[list[Refused]]:
        """Store everything in one transaction. This engine itself refuses no reading: the lists are empty."""
        self._open().commit(entries, arrival_ms)
        return [[] for _ in entries]

    def write_status(self, gateway: str, status: Status, arrival_ms: int) -> None:
        """Keep the newest status of the epoch, with the highest `acquired` ever told: a last will is older than it."""
        self._open().write_status(gateway, status, arrival_ms)

    def twice(self) -> dict[str, int]:
        """Return by gateway how many batches since the start came under an identity of other readings."""
        return dict(self._writer.twice) if self._writer else {}

    def _open(self) -> Writer:
        if self._writer is None:
            raise RuntimeError("this store is not open for writing: open it with writer=True and call setup() first")
        return self._writer

    def statuses(self) -> list[StatusRow]:
        """Return the newest status of every (gateway, epoch)."""
        with self._readers.read() as db:
            return statuses.newest(db, self._unreadable)

    def ledger(self, since_ms: int = 0, at_most: int = 0) -> list[LedgerRow]:
        """Return the ledger rows that arrived at or after `since_ms`, in order of arrival."""
        with self._readers.read() as db:
            return ledger.rows(db, self._unreadable, since_ms, at_most)

    def batch_readings(self, row: LedgerRow) -> list[Dated]:
        """Return the stored readings of one ledger row, with their sequence numbers, in order."""
        with self._readers.read() as db:
            return ledger.readings(db, self._unreadable, row)

    def latest(self) -> list[Sample]:
        """Return the newest value of every series."""
        with self._readers.read() as db:
            return history.latest(db, self._unreadable)

    def series(self, gateway: str, channel: str, quantity: str, start_ns: int, end_ns: int) -> list[tuple[int, float]]:
        """Return (stored time, value) of one series within [start, end), in order of time."""
        with self._readers.read() as db:
            return history.series(db, self._unreadable, gateway, channel, quantity, start_ns, end_ns)

    def missing(self, gateway: str, channel: str, start_ns: int, end_ns: int) -> list[Absent]:
        """Return the absent values of a channel within [start, end), in order of time and quantity."""
        with self._readers.read() as db:
            return history.missing(db, gateway, channel, start_ns, end_ns)

    def hourly(self, gateway: str, channel: str, quantity: str, start_ms: int, end_ms: int) -> list[Hour]:
        """Return the hours of one series that begin within [start, end); hours not yet at rest are counted now."""
        with self._readers.read() as db:
            return history.hourly(db, self._unreadable, gateway, channel, quantity, start_ms, end_ms)

    def last_held(
        self, series: Sequence[tuple[str, str]], quantity: str, values: Sequence[float], start_ns: int, end_ns: int
    ) -> dict[tuple[str, str], int]:
        """Return by (gateway, channel) the newest stored time within [start, end) that had one of these values."""
        found = {}
        for one in series:  # a read transaction each: none outlives the reading of one series
            with self._readers.read() as db:
                time_ns = history.last_held(db, one, quantity, values, (start_ns, end_ns))
            if time_ns is not None:
                found[one] = time_ns
        return found

    def health(self) -> dict[str, Any]:
        """Return engine, version, sizes in bytes and the last fault of each kind; never raises."""
        wal = size(Path(f"{self._path}-wal"))
        disk = os.statvfs(next(path for path in self._path.absolute().parents if path.is_dir()))
        return {
            "engine": "sqlite",
            "version": sqlite3.sqlite_version,
            "path": str(self._path),
            "size_bytes": size(self._path) + wal,
            "log_bytes": wal,
            "free_bytes": disk.f_bavail * disk.f_frsize,
            "fault": str(self._faults),
            "unreadable": dict(self._unreadable.counts),
        }

    def close(self) -> None:
        """Close all connections and let the lock go. May be called twice."""
        self._readers.close()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
