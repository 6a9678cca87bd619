"""A `Store` in one SQLite file: each promise handed to the part that keeps it."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud.store import Retry
from cloud.store.engines.sqlite import history, ledger, retention, statuses, summary
from cloud.store.engines.sqlite.file import Faults, Readers, size
from cloud.store.engines.sqlite.many import each
from cloud.store.engines.sqlite.writer import Writer
from cloud.store.keys import HOUR_MS, MS_NS
from cloud.store.ledger import Committed, each_row
from cloud.store.unreadable import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cloud.store import Shown
    from cloud.store.engines.sqlite.config import SqliteConfig
    from cloud.store.history import Absent, Hour, Past, Sample, Series
    from cloud.store.ledger import Entry, LedgerRow, Refused
    from cloud.store.statuses import StatusRow
    from cloud.store.summary import Mark, Tallied
    from wire.batch import Batch, Dated, Status


class SqliteStore:
    """A `Store` in one file. Beside it lie SQLite's `-wal` and `-shm`, and `.lock`, which the one writer holds."""

    settle_s = 0.0

    def __init__(self, config: SqliteConfig, *, writer: bool) -> None:
        self._config = config
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
                self._writer = Writer(self._path, self._config, self._faults, self._unreadable)

    def pack(self, batch: Batch, now_ms: int) -> Batch:  # noqa: ARG002 - nothing of it needs a date
        """Return a batch as it is: what this engine makes of it needs the numbers that stand for names in its file."""
        return batch

    def commit(self, entries: Sequence[Entry], arrival_ms: int) -> list[list[Refused]]:
        """Store everything in one transaction. This engine itself refuses no reading: the lists are empty."""
        return self.begin(entries, arrival_ms).end()

    def begin(self, entries: Sequence[Entry], arrival_ms: int) -> Committed:
        """Store everything: there is nothing to wait for but the disk, in this thread."""
        self._open().commit(entries, arrival_ms)
        return Committed([[] for _ in entries])

    def write_status(self, gateway: str, status: Status, arrival_ms: int) -> None:
        """Keep the newest status of the epoch, with the highest `acquired` ever told: a last will is older than it."""
        self._open().write_status(gateway, status, arrival_ms)

    def _open(self) -> Writer:
        if self._writer is None and self._is_writer:
            raise Retry(f"{self._path} is not open for writing yet")
        if self._writer is None:
            raise RuntimeError("this store is not open for writing: open it with writer=True and call setup() first")
        return self._writer

    def statuses(self) -> list[StatusRow]:
        """Return the newest status of every (gateway, epoch), without those of epochs that ended a month ago."""
        found: list[tuple[str, str, int, bytes]] = []
        after = ("", "")
        while True:
            with self._readers.read() as db:
                page = statuses.page(db, after)
            if not page:
                return sorted(
                    self._unreadable.each("status", found, statuses.row), key=lambda row: (row.gateway, row.arrival_ms)
                )
            found += page
            after = page[-1][:2]

    def kept_since_ms(self, now_ms: int) -> int:  # noqa: ARG002 - this engine knows what it let go
        """Return from when on single readings are kept."""
        with self._readers.read() as db:
            return retention.kept_since_hour(db) * HOUR_MS

    def ledger(self, since_ms: int = 0, at_most: int = 0) -> list[LedgerRow]:
        """Return the ledger rows that arrived at or after `since_ms`, in order of arrival."""
        if not at_most:
            return list(each_row(self, since_ms=since_ms))
        with self._readers.read() as db:
            return ledger.rows(db, self._unreadable, since_ms, at_most)

    def rows_of(self, gateway: str, epoch: str, firsts: Sequence[int]) -> list[LedgerRow]:
        """Return the ledger rows of one epoch that begin with these sequence numbers, each batch once."""
        with self._readers.read() as db:
            return ledger.rows_of(db, self._unreadable, gateway, epoch, firsts)

    def batch_readings(self, row: LedgerRow) -> list[Dated]:
        """Return the stored readings of one ledger row, with their sequence numbers, in order."""
        if not row.end_ns:
            return []
        with self._readers.read() as db:
            where = ledger.whole(db, row)
        found: list[Dated] = []
        for part in history.sliced(where):
            with self._readers.read() as db:
                found += ledger.readings(db, self._unreadable, part, row)
        return sorted(found, key=lambda dated: dated.seq)

    def latest(self) -> list[Sample]:
        """Return the newest value of every series."""
        with self._readers.read() as db:
            return history.latest(db, self._unreadable)

    def series(self, gateway: str, channel: str, quantity: str, start_ns: int, end_ns: int) -> list[tuple[int, float]]:
        """Return (stored time, value) of one series within [start, end), in order of time."""
        return next(self.each_series([(gateway, channel, quantity)], start_ns, end_ns))[1]

    def each_series(
        self, wanted: Sequence[Series], start_ns: int, end_ns: int
    ) -> Iterator[tuple[Series, list[tuple[int, float]]]]:
        """Yield each of many series with its (stored time, value) within [start, end), channel by channel."""
        return each(self._readers, self._unreadable, wanted, ("reading",), (start_ns, end_ns), history.series)

    def hourly(self, gateway: str, channel: str, quantity: str, start_ms: int, end_ms: int) -> list[Hour]:
        """Return the hours of one series that begin within [start, end); hours not yet at rest are counted now."""
        return next(self.each_hourly([(gateway, channel, quantity)], start_ms, end_ms))[1]

    def each_hourly(self, wanted: Sequence[Series], start_ms: int, end_ms: int) -> Iterator[tuple[Series, list[Hour]]]:
        """Yield each of many series with its hours that begin within [start, end), channel by channel."""
        span = start_ms * MS_NS, end_ms * MS_NS
        return each(self._readers, self._unreadable, wanted, history.COUNTED, span, history.hourly)

    def missing(self, gateway: str, channel: str, start_ns: int, end_ns: int) -> list[Absent]:
        """Return the absent values of a channel within [start, end), in order of time and quantity."""
        with self._readers.read() as db:
            where = history.whole(db, ("missing",), (start_ns, end_ns))
            where["channel"] = history.number_of(db, gateway, channel)
        found: list[Absent] = []
        for part in history.sliced(where):
            with self._readers.read() as db:
                found += history.missing(db, part)
        return found

    def write_hours(self, past: Sequence[Past]) -> bool:
        """Write hours without readings, in one transaction."""
        self._open().write_hours(past)
        return True

    def show(self, points: Sequence[Shown]) -> bool:  # noqa: ARG002
        """Copy nothing: no board reads this file, and the pages read the books themselves."""
        return False

    def last_held(
        self, series: Sequence[tuple[str, str]], quantity: str, values: Sequence[float], start_ns: int, end_ns: int
    ) -> dict[tuple[str, str], int]:
        """Return by (gateway, channel) the newest stored time within [start, end) that had one of these values."""
        found = {}
        for one in series:  # a read transaction each: none outlives the reading of one series
            with self._readers.read() as db:
                whole = history.whole(db, ("reading",), (start_ns, end_ns))
                whole["channel"] = history.number_of(db, *one)
            for where in history.sliced(whole, history.MANY_HOURS, newest_first=True):
                with self._readers.read() as db:
                    time_ns = history.last_held(db, where, quantity, values)
                if time_ns is not None:
                    found[one] = time_ns
                    break
        return found

    def keep_summary(self, tallies: Sequence[Tallied], mark: Mark, by: str = "-") -> None:  # noqa: ARG002 - one writer
        """Keep what the ledger adds up to. A commit waits for some of it at most."""
        self._open().keep_summary(tallies, mark)

    def summary(self) -> tuple[Mark, list[Tallied]]:
        """Return how far the summary goes, and what was kept of each epoch."""
        with self._readers.read() as db:
            return summary.read(db)

    def tidy(self, now_ms: int, turn: Callable[[], object] = lambda: None) -> None:
        """Do nothing: this engine does a little of what is due with each commit."""

    def health(self) -> dict[str, Any]:
        """Return engine, version, sizes in bytes and the last fault of each kind; never raises."""
        wal = size(Path(f"{self._path}-wal"))
        disk = os.statvfs(next(path for path in self._path.absolute().parents if path.is_dir()))
        return {
            "engine": "sqlite",
            "version": sqlite3.sqlite_version,
            "path": str(self._path),
            "size_bytes": size(self._path) + wal,
            "wal_bytes": wal,
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
