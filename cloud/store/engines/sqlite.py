"""The store that needs nothing installed: SQLite, one row a reading, one writer, any number of readers.

The key of a reading is (hour, channel, time): with the hour in front, the rows of now share some tens of pages, where
a key of (series, time) would dirty a page for every value (measured: 54 times fewer bytes written). A row's values
are the texts of the wire, joined by commas in the order of its shape, so nothing is converted on the way in. Rollups
are never added to: a batch marks its hours dirty, dirty hours are counted anew, and a re-sent batch is known by its
ledger row and its times before anything is written. WAL with synchronous=FULL: what `commit` returned from survives a
power cut, as far as the disk tells the truth about flushing.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from cloud.store import TWICE, Absent, Hour, LedgerRow, Refusal, Refused, Retry, Sample, StatusRow
from wire.batch import Batch, Dated, Gap, Status
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wire.batch import Block

HOUR_MS = 3_600_000
HOUR_NS = HOUR_MS * 1_000_000
SEQ_MODULUS = 1_000_000  # see Block.stored_ns
QUIET_MS = 120_000  # an hour is counted once nothing came for it this long
FOLD_EVERY_MS, FOLD_AT_MOST = 10_000, 32  # (hour, channel) counted per commit, so that no commit takes long
WAL_BYTES = 16 * 2**20  # readers back to back keep SQLite from resetting its log: beyond this the writer insists

VERDICTS = ("stored", "quarantined", "declared")  # in order of precedence; the index is what the table holds

_MIGRATIONS = (
    """
    CREATE TABLE channel (id INTEGER PRIMARY KEY, gateway TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (gateway, name));
    CREATE TABLE epoch (id INTEGER PRIMARY KEY, gateway TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (gateway, name));
    CREATE TABLE shape (
        id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, quantities TEXT NOT NULL, UNIQUE (epoch, quantities)
    );
    CREATE TABLE reading (
        hour INTEGER NOT NULL, channel INTEGER NOT NULL, time INTEGER NOT NULL,
        shape INTEGER NOT NULL, texts TEXT NOT NULL,
        PRIMARY KEY (hour, channel, time)
    ) WITHOUT ROWID;
    CREATE TABLE missing (
        hour INTEGER NOT NULL, channel INTEGER NOT NULL, time INTEGER NOT NULL,
        quantity TEXT NOT NULL, reason INTEGER NOT NULL,
        PRIMARY KEY (hour, channel, time, quantity)
    ) WITHOUT ROWID;
    CREATE TABLE latest (
        channel INTEGER NOT NULL, quantities TEXT NOT NULL, time INTEGER NOT NULL, texts TEXT NOT NULL,
        PRIMARY KEY (channel, quantities)
    ) WITHOUT ROWID;
    CREATE TABLE hourly (
        hour INTEGER NOT NULL, channel INTEGER NOT NULL, quantity TEXT NOT NULL,
        n INTEGER NOT NULL, mean REAL NOT NULL, low REAL NOT NULL, high REAL NOT NULL,
        PRIMARY KEY (hour, channel, quantity)
    ) WITHOUT ROWID;
    CREATE TABLE dirty_hour (
        hour INTEGER NOT NULL, channel INTEGER NOT NULL, touched_ms INTEGER NOT NULL,
        PRIMARY KEY (hour, channel)
    ) WITHOUT ROWID;
    CREATE TABLE ledger (
        epoch INTEGER NOT NULL, first INTEGER NOT NULL, n INTEGER NOT NULL, verdict INTEGER NOT NULL,
        arrival_ms INTEGER NOT NULL, start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, words TEXT NOT NULL,
        PRIMARY KEY (epoch, first, n)
    ) WITHOUT ROWID;
    CREATE INDEX ledger_arrival ON ledger (arrival_ms);
    CREATE TABLE status (
        gateway TEXT NOT NULL, epoch TEXT NOT NULL, arrival_ms INTEGER NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (gateway, epoch)
    ) WITHOUT ROWID;
    """,
    "ALTER TABLE missing ADD COLUMN raw REAL",  # the number that stood beside the reason
)

# All full hours of a range, so that each is one seek in a table whose key begins with the hour.
_SPAN = "WITH RECURSIVE span (h) AS (SELECT :low WHERE :low <= :high UNION ALL SELECT h + 1 FROM span WHERE h < :high)"

_KNOWN = "SELECT verdict, start_ns, end_ns FROM ledger WHERE (epoch, first, n) = (?, ?, ?)"
_PUT_READING = "INSERT INTO reading VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_PUT_MISSING = "INSERT INTO missing VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_PUT_LATEST = (
    "INSERT INTO latest VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE"
    " SET time = excluded.time, texts = excluded.texts WHERE excluded.time > latest.time"
)
_PUT_DIRTY = "INSERT INTO dirty_hour VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET touched_ms = excluded.touched_ms"


class SqliteConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[store]` of cloud.toml for this engine."""

    engine: Annotated[str, msgspec.Meta(description="this engine")] = "sqlite"
    path: Annotated[str, msgspec.Meta(description="the file, in the data folder")] = "store.db"


class _Ids:
    """The writer's memory of the short numbers that stand for names; forgotten when a transaction is undone."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._known: dict[tuple[str, object, str], int] = {}

    def forget(self) -> None:
        self._known.clear()

    def channel(self, gateway: str, name: str) -> int:
        return self._id("channel", "gateway, name", gateway, name)

    def epoch(self, gateway: str, name: str) -> int:
        return self._id("epoch", "gateway, name", gateway, name)

    def shape(self, epoch: int, quantities: str) -> int:
        return self._id("shape", "epoch, quantities", epoch, quantities)

    def _id(self, table: str, columns: str, owner: object, name: str) -> int:
        key = (table, owner, name)
        if key not in self._known:
            self._db.execute(
                f"INSERT INTO {table} ({columns}) VALUES (?, ?) ON CONFLICT DO NOTHING",  # noqa: S608 - own constants
                (owner, name),
            )
            where = columns.replace(", ", " = ? AND ")
            query = f"SELECT id FROM {table} WHERE {where} = ?"  # noqa: S608 - own constants
            self._known[key] = self._db.execute(query, (owner, name)).fetchone()[0]
        return self._known[key]


class _Faults:
    """What went wrong last with each kind of work, until the same works again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._words: dict[str, str] = {}

    def __str__(self) -> str:
        return "; ".join(dict.fromkeys(self._words.values()))

    @contextmanager
    def guard(self, what: str) -> Iterator[None]:
        """Turn what SQLite and the system say into Retry."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            words, after_s = _words(error, self._path)
            self._words[what] = words
            raise Retry(words, after_s) from error
        self._words.pop(what, None)


class _Writer:
    """The one connection that writes, with the lock that makes it the one."""

    def __init__(self, path: Path, faults: _Faults) -> None:
        self._path = path
        self._faults = faults
        self._turn = threading.Lock()  # a status may come from another thread than the commits
        self._lock = _take_lock(path)
        try:
            self._db = _open_writer(path)
        except BaseException:
            os.close(self._lock)
            raise
        self._ids = _Ids(self._db)
        self._folded_ms = 0
        self._again: list[str] = []  # whose identities this transaction found used twice
        self.twice: Counter[str] = Counter()

    def commit(self, entries: Sequence[Batch | Gap | Refusal], arrival_ms: int) -> None:
        db = self._db
        with self._turn, self._faults.guard("commit"):
            self._again = []
            db.execute("BEGIN IMMEDIATE")
            try:
                for entry in entries:
                    self._enter(entry, arrival_ms)
                db.execute("COMMIT")
            except BaseException:
                self._undo()
                raise
            self.twice.update(self._again)
        if abs(arrival_ms - self._folded_ms) >= FOLD_EVERY_MS:
            with self._turn:
                self._tidy(arrival_ms)

    def _undo(self) -> None:
        self._ids.forget()  # some were given out in the transaction that is now undone
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _enter(self, entry: Batch | Gap | Refusal, arrival_ms: int) -> None:
        epoch = self._ids.epoch(entry.gateway, entry.epoch)
        key = (epoch, entry.first, entry.n)
        known = self._db.execute(_KNOWN, key).fetchone()
        verdict, words = _verdict(entry)
        if known is not None and known[0] <= verdict:
            if isinstance(entry, Batch) and known[1:] != _span(entry):
                self._enter_again(entry, key, arrival_ms)
            return
        start = end = 0
        if isinstance(entry, Batch):
            spans = [self._put(entry.gateway, epoch, block, arrival_ms) for block in entry.blocks]
            start, end = min(low for low, _ in spans), max(high for _, high in spans)
        row = (*key, verdict, arrival_ms, start, end, words)
        self._db.execute("INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def _enter_again(self, batch: Batch, key: tuple[int, int, int], arrival_ms: int) -> None:
        """Store other readings under a known identity: their keys differ, and the ledger row says so."""
        for block in batch.blocks:
            self._put(batch.gateway, key[0], block, arrival_ms)
        self._db.execute("UPDATE ledger SET words = ? WHERE (epoch, first, n) = (?, ?, ?)", (TWICE, *key))
        self._again.append(batch.gateway)

    def _put(self, gateway: str, epoch: int, block: Block, arrival_ms: int) -> tuple[int, int]:
        """Insert the rows of a block and what follows from them; return its lowest and highest stored time."""
        channel = self._ids.channel(gateway, block.channel)
        shape = self._ids.shape(epoch, ",".join(block.quantities))
        times = block.stored_ns()
        hours = [time // HOUR_NS for time in times]
        texts = list(map(",".join, zip(*block.columns, strict=True))) if block.columns else [""] * len(times)
        self._db.executemany(_PUT_READING, zip(hours, repeat(channel), times, repeat(shape), texts))
        if any(block.absent):
            self._db.executemany(_PUT_MISSING, _missing_rows(block, channel, hours, times))
        self._db.executemany(_PUT_LATEST, _newest(block, channel, times, texts))
        self._db.executemany(_PUT_DIRTY, zip(set(hours), repeat(channel), repeat(arrival_ms)))
        return min(times), max(times)

    def _tidy(self, arrival_ms: int) -> None:
        """Count hours that have come to rest and shorten the log; what fails here is told by `health` only."""
        self._folded_ms = arrival_ms
        try:
            with self._faults.guard("fold"):
                _fold(self._db, arrival_ms)
                if _size(Path(f"{self._path}-wal")) > WAL_BYTES:
                    self._db.execute("PRAGMA busy_timeout = 500")
                    self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                    self._db.execute("PRAGMA busy_timeout = 5000")
        except Retry:
            self._undo()

    def write_status(self, gateway: str, status: Status, arrival_ms: int) -> None:
        key = (gateway, status.epoch)
        with self._turn, self._faults.guard("commit"):
            known = self._db.execute("SELECT body FROM status WHERE (gateway, epoch) = (?, ?)", key).fetchone()
            if known is not None:
                before = msgspec.json.decode(known[0], type=Status)
                status = msgspec.structs.replace(status, acquired=max(status.acquired, before.acquired))
            row = (*key, arrival_ms, msgspec.json.encode(status))
            self._db.execute("INSERT OR REPLACE INTO status VALUES (?, ?, ?, ?)", row)

    def close(self) -> None:
        self._db.close()
        os.close(self._lock)


class SqliteStore:
    """A `Store` in one file. Beside it lie SQLite's `-wal` and `-shm`, and `.lock`, which the one writer holds."""

    def __init__(self, config: SqliteConfig, *, writer: bool) -> None:
        self._path = Path(config.path)
        self._is_writer = writer
        self._faults = _Faults(self._path)
        self._writer: _Writer | None = None
        self._local = threading.local()
        self._guarded = threading.Lock()
        self._readers: list[tuple[threading.Thread, sqlite3.Connection]] = []

    def setup(self) -> None:
        """Take the writer's lock, create the file or migrate it. A reader only checks that it can read."""
        with self._faults.guard("setup"):
            if not self._is_writer:
                self._reader()
            elif self._writer is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._writer = _Writer(self._path, self._faults)

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

    def _open(self) -> _Writer:
        if self._writer is None:
            raise RuntimeError("this store is not open for writing: open it with writer=True and call setup() first")
        return self._writer

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        """Give this thread's connection, in one short read transaction."""
        with self._faults.guard("read"):
            db = self._reader()
            db.execute("BEGIN")
            try:
                yield db
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def _reader(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = _open_reader(self._path)
            with self._guarded:
                for thread, old in self._readers:
                    if not thread.is_alive():
                        old.close()
                self._readers = [pair for pair in self._readers if pair[0].is_alive()]
                self._readers.append((threading.current_thread(), db))
            self._local.db = db
        return db

    def statuses(self) -> list[StatusRow]:
        """Return the newest status of every (gateway, epoch)."""
        with self._read() as db:
            rows = db.execute("SELECT gateway, arrival_ms, body FROM status ORDER BY gateway, arrival_ms").fetchall()
        return [StatusRow(gateway, at, msgspec.json.decode(body, type=Status)) for gateway, at, body in rows]

    def ledger(self, since_ms: int = 0, at_most: int = 0) -> list[LedgerRow]:
        """Return the ledger rows that arrived at or after `since_ms`, in order of arrival."""
        with self._read() as db:
            last = db.execute(_LAST_ARRIVAL, (since_ms, at_most - 1)).fetchone() if at_most else None
            rows = db.execute(
                "SELECT e.gateway, e.name, first, n, verdict, arrival_ms, start_ns, end_ns, words"
                " FROM ledger JOIN epoch e ON e.id = ledger.epoch WHERE arrival_ms BETWEEN ? AND ?"
                " ORDER BY arrival_ms, ledger.epoch, first",
                (since_ms, last[0] if last else 2**62),
            ).fetchall()
        return [
            LedgerRow(gateway, epoch, first, n, VERDICTS[verdict], at, start_ns=start, end_ns=end, words=words)
            for gateway, epoch, first, n, verdict, at, start, end, words in rows
        ]

    def batch_readings(self, row: LedgerRow) -> list[Dated]:
        """Return the stored readings of one ledger row, with their sequence numbers, in order."""
        if not row.end_ns:
            return []
        where = msgspec.structs.asdict(row) | {"low": row.start_ns // HOUR_NS, "high": row.end_ns // HOUR_NS}
        with self._read() as db:
            found = db.execute(_BATCH_READINGS, where).fetchall()
            absent = db.execute(_BATCH_MISSING, where).fetchall()
        reasons: dict[tuple[str, int], dict[str, Reason]] = {}
        for channel, time, quantity, reason in absent:
            reasons.setdefault((channel, time), {})[quantity] = Reason(reason)
        out = []
        for channel, time, quantities, texts in found:
            place = (time - row.first) % SEQ_MODULUS
            if place < row.n:
                seq, names = row.first + place, quantities.split(",")
                values = dict(_present(names, texts))
                why, bounded = reasons.get((channel, time), {}), "clock_uncertainty" in names
                ms = time // SEQ_MODULUS
                out.append(Dated(row.gateway, row.epoch, seq, channel, ms, values, why, bounded))
        return sorted(out, key=lambda dated: dated.seq)

    def latest(self) -> list[Sample]:
        """Return the newest value of every series."""
        with self._read() as db:
            rows = db.execute(
                "SELECT gateway, name, quantities, time, texts FROM latest JOIN channel ON id = channel ORDER BY time"
            ).fetchall()
        newest = {
            (gateway, channel, quantity): (time, value)
            for gateway, channel, quantities, time, texts in rows
            for quantity, value in _present(quantities.split(","), texts)
        }
        return [Sample(*series, *found) for series, found in sorted(newest.items())]

    def series(self, gateway: str, channel: str, quantity: str, start_ns: int, end_ns: int) -> list[tuple[int, float]]:
        """Return (stored time, value) of one series within [start, end), in order of time."""
        with self._read() as db:
            where = _range(db, "reading", (gateway, channel), (start_ns, end_ns))
            rows = db.execute(_SERIES, where).fetchall()
        out, names = [], dict[str, list[str]]()
        for time, quantities, texts in rows:
            if quantities not in names:
                names[quantities] = quantities.split(",")
            out += [(time, value) for name, value in _present(names[quantities], texts) if name == quantity]
        return out

    def missing(self, gateway: str, channel: str, start_ns: int, end_ns: int) -> list[Absent]:
        """Return the absent values of a channel within [start, end), in order of time and quantity."""
        with self._read() as db:
            where = _range(db, "missing", (gateway, channel), (start_ns, end_ns))
            return [Absent(*row) for row in db.execute(_MISSING, where)]

    def hourly(self, gateway: str, channel: str, quantity: str, start_ms: int, end_ms: int) -> list[Hour]:
        """Return the hours of one series that begin within [start, end); hours not yet at rest are counted now."""
        with self._read() as db:
            where = _range(db, "reading", (gateway, channel), (start_ms * 1_000_000, end_ms * 1_000_000))
            where |= {"low": max(where["low"], -(-start_ms // HOUR_MS)), "quantity": quantity}
            hours = {hour: Hour(hour * HOUR_MS, *rest) for hour, *rest in db.execute(_HOURLY, where)}
            dirty = db.execute(_DIRTY, where).fetchall()
            for (hour,) in dirty:
                found = _count(db, hour, where["channel"]).get(quantity)
                hours.pop(hour, None)
                if found is not None:
                    hours[hour] = Hour(hour * HOUR_MS, *found)
        return [hours[hour] for hour in sorted(hours)]

    def health(self) -> dict[str, Any]:
        """Return engine, version, sizes in bytes and the last fault of each kind; never raises."""
        wal = _size(Path(f"{self._path}-wal"))
        disk = os.statvfs(next(path for path in self._path.absolute().parents if path.is_dir()))
        return {
            "engine": "sqlite",
            "version": sqlite3.sqlite_version,
            "path": str(self._path),
            "size_bytes": _size(self._path) + wal,
            "log_bytes": wal,
            "free_bytes": disk.f_bavail * disk.f_frsize,
            "fault": str(self._faults),
        }

    def close(self) -> None:
        """Close all connections and let the lock go. May be called twice."""
        with self._guarded:
            for _, db in self._readers:
                db.close()
            self._readers.clear()
        self._local = threading.local()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()


_LAST_ARRIVAL = "SELECT arrival_ms FROM ledger WHERE arrival_ms >= ? ORDER BY arrival_ms LIMIT 1 OFFSET ?"
_BATCH_READINGS = f"""{_SPAN}
    SELECT c.name, r.time, s.quantities, r.texts FROM span
    CROSS JOIN channel c ON c.gateway = :gateway
    CROSS JOIN reading r ON r.hour = h AND r.channel = c.id AND r.time BETWEEN :start_ns AND :end_ns
    JOIN shape s ON s.id = r.shape JOIN epoch e ON e.id = s.epoch AND e.name = :epoch
"""  # noqa: S608 - own constants
_BATCH_MISSING = f"""{_SPAN}
    SELECT c.name, m.time, m.quantity, m.reason FROM span
    CROSS JOIN channel c ON c.gateway = :gateway
    CROSS JOIN missing m ON m.hour = h AND m.channel = c.id AND m.time BETWEEN :start_ns AND :end_ns
"""  # noqa: S608 - own constants
_SERIES = f"""{_SPAN}
    SELECT r.time, s.quantities, r.texts FROM span
    CROSS JOIN reading r ON r.hour = h AND r.channel = :channel AND r.time >= :start_ns AND r.time < :end_ns
    JOIN shape s ON s.id = r.shape ORDER BY r.time
"""  # noqa: S608 - own constants
_MISSING = f"""{_SPAN}
    SELECT m.time, m.quantity, m.reason, m.raw FROM span
    CROSS JOIN missing m ON m.hour = h AND m.channel = :channel AND m.time >= :start_ns AND m.time < :end_ns
    ORDER BY m.time, m.quantity
"""  # noqa: S608 - own constants
_HOURLY = f"""{_SPAN}
    SELECT x.hour, x.n, x.mean, x.low, x.high FROM span
    CROSS JOIN hourly x ON x.hour = h AND x.channel = :channel AND x.quantity = :quantity
"""  # noqa: S608 - own constants
_DIRTY = f"{_SPAN} SELECT h FROM span CROSS JOIN dirty_hour d ON d.hour = h AND d.channel = :channel"  # noqa: S608


def _take_lock(path: Path) -> int:
    """Return the open lock file. Raises RuntimeError, naming the other process, when it is taken."""
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        other = os.pread(lock, 20, 0).decode(errors="replace").strip()
        os.close(lock)
        who = f"process {other}" if other else "another process"
        raise RuntimeError(
            f"{who} already writes {path}, and SQLite has exactly one ingester: "
            "stop that one first, or give this one another path in [store]"
        ) from None
    with suppress(OSError):  # the name is a courtesy: a full disk must not cost the lock
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _open_writer(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        _check_version(db, path, least=0)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA cache_size = -16384")
        db.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        migrate(db, _MIGRATIONS)
    except BaseException:
        db.close()
        raise
    return db


def _open_reader(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5, isolation_level=None, check_same_thread=False
    )
    try:
        _check_version(db, path, least=len(_MIGRATIONS))
    except BaseException:
        db.close()
        raise
    return db


def _check_version(db: sqlite3.Connection, path: Path, *, least: int) -> None:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(_MIGRATIONS):
        raise RuntimeError(
            f"{path} has version {version} and this gocche knows {len(_MIGRATIONS)}: a newer gocche wrote it. "
            "Install that version again, or restore the backup from before the upgrade"
        )
    if version < least:
        raise sqlite3.OperationalError("the ingester has not prepared this file yet")


def migrate(db: sqlite3.Connection, scripts: Sequence[str]) -> None:
    """Bring a file from its `user_version` to the last script, each step whole or not at all."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    for number, script in enumerate(scripts[version:], version + 1):
        db.execute("BEGIN IMMEDIATE")
        try:
            for statement in script.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {number}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def _words(error: Exception, path: Path) -> tuple[str, float]:
    """Return what an operator reads, and after how many seconds to try again."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return f"no room for {path}: make space on its disk ({error})", 30.0
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return f"{path} is held by another program ({error})", 1.0
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return f"{path} is damaged ({error}): stop gocche, keep the file, restore the last backup", 60.0
    if code == sqlite3.SQLITE_IOERR:
        return f"{path} cannot be written or read: look at the disk, its room and its limits ({error})", 30.0
    return f"{path}: {error}", 5.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _span(batch: Batch) -> tuple[int, int]:
    times = [block.stored_ns() for block in batch.blocks]
    return min(map(min, times)), max(map(max, times))


def _verdict(entry: Batch | Gap | Refusal) -> tuple[int, str]:
    if isinstance(entry, Batch):
        return 0, ""
    return (1 if isinstance(entry, Refusal) else 2), entry.reason


def _missing_rows(
    block: Block, channel: int, hours: list[int], times: list[int]
) -> Iterator[tuple[int, int, int, str, int, float | None]]:
    raw = {(row, quantity): float(text) for row, quantity, text in block.raw}
    for quantity, pairs in zip(block.quantities, block.absent, strict=True):
        for row, reason in pairs:
            yield hours[row], channel, times[row], quantity, int(reason), raw.get((row, quantity))


def _newest(block: Block, channel: int, times: list[int], texts: list[str]) -> list[tuple[int, str, int, str]]:
    """Return the row, or the few rows where some values are absent, that hold each quantity's newest value."""
    top = max(range(len(times)), key=times.__getitem__)
    if not any(block.absent):
        return [(channel, ",".join(block.quantities), times[top], texts[top])] if block.columns else []
    by_row: dict[int, list[tuple[str, str]]] = {}
    for quantity, column in zip(block.quantities, block.columns, strict=True):
        present = [row for row, text in enumerate(column) if text]
        if present:
            row = max(present, key=times.__getitem__)
            by_row.setdefault(row, []).append((quantity, column[row]))
    return [
        (channel, ",".join(q for q, _ in pairs), times[row], ",".join(text for _, text in pairs))
        for row, pairs in by_row.items()
    ]


def _present(names: list[str], texts: str) -> list[tuple[str, float]]:
    return [(name, float(text)) for name, text in zip(names, texts.split(","), strict=True) if text]


def _range(db: sqlite3.Connection, table: str, series: tuple[str, str], span: tuple[int, int]) -> dict[str, Any]:
    """Return the parameters of a read in time, its hours cut to those that the table has."""
    found = db.execute("SELECT id FROM channel WHERE (gateway, name) = (?, ?)", series).fetchone()
    query = f"SELECT (SELECT min(hour) FROM {table}), (SELECT max(hour) FROM {table})"  # noqa: S608 - own constants
    low, high = db.execute(query).fetchone()
    if found is None or low is None:
        return {"channel": -1, "start_ns": 0, "end_ns": 0, "low": 0, "high": -1}
    return {
        "channel": found[0],
        "start_ns": span[0],
        "end_ns": span[1],
        "low": max(low, span[0] // HOUR_NS),
        "high": min(high, (span[1] - 1) // HOUR_NS),
    }


def _count(db: sqlite3.Connection, hour: int, channel: int) -> dict[str, tuple[int, float, float, float]]:
    """Return number, mean, lowest and highest of each quantity of a channel in one hour."""
    values: dict[str, list[float]] = {}
    rows = db.execute(
        "SELECT quantities, texts FROM reading JOIN shape ON id = shape WHERE hour = ? AND channel = ?", (hour, channel)
    )
    for quantities, texts in rows:
        for quantity, value in _present(quantities.split(","), texts):
            values.setdefault(quantity, []).append(value)
    return {quantity: (len(own), sum(own) / len(own), min(own), max(own)) for quantity, own in values.items()}


def _fold(db: sqlite3.Connection, now_ms: int) -> None:
    """Write the rollup of hours that are over and at rest, a bounded number at a time."""
    ripe = db.execute(
        "SELECT hour, channel FROM dirty_hour WHERE hour < ? AND touched_ms <= ? LIMIT ?",
        (now_ms // HOUR_MS, now_ms - QUIET_MS, FOLD_AT_MOST),
    ).fetchall()
    if not ripe:
        return
    db.execute("BEGIN IMMEDIATE")
    for hour, channel in ripe:
        rows = [(hour, channel, quantity, *found) for quantity, found in _count(db, hour, channel).items()]
        db.execute("DELETE FROM hourly WHERE hour = ? AND channel = ?", (hour, channel))
        db.executemany("INSERT INTO hourly VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        db.execute("DELETE FROM dirty_hour WHERE hour = ? AND channel = ?", (hour, channel))
    db.execute("COMMIT")


CONFIG = SqliteConfig
STORE = SqliteStore
