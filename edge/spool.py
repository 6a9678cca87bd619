"""Readings that nobody else has yet: kept in SQLite until the cloud says that they are stored.

WAL with synchronous=FULL lost nothing in 2,000 explored power cuts, where NORMAL lost acknowledged commits in 1,228
(docs/decisions/0003-spool.md).
One file, one connection, one owner thread: SQLite's WAL-reset fault needs two. SQLite does not checksum its main
file, so every row carries a CRC-32 that is checked before it is sent. A damaged file is set aside, what is intact is
salvaged under its old identity, and the rest is declared; a spool always opens.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import msgspec

from wire.batch import Identity, Source
from wire.codec import BATCH, GAP, MAX_READINGS, MAX_VALUES, Envelope, encode_body, encode_gap, encode_message
from wire.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from edge.clock import Anchor

SCHEMA_VERSION = 1
BALLAST_BYTES = 1024 * 1024  # freed when the disk is full: a full disk wedges WAL, even DELETE fails
ROW_BYTES = 96  # what a row costs beyond its bytes, for the quota
SET_ASIDE_AFTER = 20

_SCHEMA = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value, crc INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE boot(number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL,
  offset_ms INTEGER, source INTEGER, uncertainty_ms INTEGER);
CREATE TABLE fresh(first INTEGER PRIMARY KEY, n INTEGER NOT NULL, boot TEXT NOT NULL,
  crc INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE TABLE batch(id INTEGER PRIMARY KEY AUTOINCREMENT,
  epoch TEXT NOT NULL, first INTEGER NOT NULL, n INTEGER NOT NULL,
  kind INTEGER NOT NULL, boot TEXT NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
  offset_ms INTEGER, source INTEGER NOT NULL, uncertainty_ms INTEGER NOT NULL, date_crc INTEGER NOT NULL,
  urgent INTEGER NOT NULL, refusals INTEGER NOT NULL DEFAULT 0, crc INTEGER NOT NULL, bytes BLOB NOT NULL,
  UNIQUE(epoch, first, n));
CREATE INDEX undated ON batch(boot) WHERE offset_ms IS NULL;
CREATE TABLE aside(epoch TEXT, first INTEGER, n INTEGER, why TEXT, bytes BLOB);
"""

_FIRST_META = {"acquired": 0, "dropped": 0, "dated_until": 0, "floor": 1}
_FreshRow = tuple[int, int, str, int, bytes]  # first, n, boot, crc, bytes

_readings = msgspec.msgpack.Decoder(list[Reading])
_encoder = msgspec.msgpack.Encoder()


class SpoolFull(Exception):
    """The disk or the file's limit leaves no room: nothing was kept, what was kept before still is."""


class Kept(msgspec.Struct, frozen=True):
    """One frozen batch or gap record as it lies in the spool."""

    id: int
    identity: Identity
    kind: int
    boot: str
    first_ms: int
    last_ms: int
    offset_ms: int | None
    source: int
    uncertainty_ms: int
    urgent: bool
    body: bytes

    @property
    def dated(self) -> bool:
        """A gap record needs no date."""
        return self.offset_ms is not None or self.kind == GAP

    def packet(self) -> bytes:
        """Return the message to publish."""
        epoch, first, n = self.identity
        return encode_message(
            Envelope(
                1,
                self.kind,
                bytes.fromhex(epoch),
                first,
                n,
                bytes.fromhex(self.boot),
                self.offset_ms,
                self.source,
                self.uncertainty_ms,
                self.body,
            )
        )


def _crc(*parts: object, body: bytes = b"") -> int:
    """Guard the fields of a row that make no sense when one bit of them is wrong."""
    return zlib.crc32(body, zlib.crc32(repr(parts).encode()))


def _date(boot: str, offset_ms: int | None, source: int, uncertainty_ms: int) -> tuple[int | None, int, int, int]:
    source = int(source)
    return offset_ms, source, uncertainty_ms, _crc(boot, offset_ms, source, uncertainty_ms)


_COLUMNS = "id, epoch, first, n, kind, boot, first_ms, last_ms, offset_ms, source, uncertainty_ms, urgent, date_crc, crc, bytes"


class Spool:
    """The one owner of the spool file. All methods belong to one thread.

    `quota_bytes` bounds what lies in it: beyond, the oldest batches become gap records, urgent ones last.
    """

    def __init__(self, path: Path, quota_bytes: int) -> None:
        self.path = path
        self._quota = quota_bytes
        self._ballast = path.with_suffix(".ballast")
        self.notes: list[str] = []  # what opening found, for the log and the status
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and (why := _damage(path)):
            self._db = self._recover(why)
        else:
            self._db = _connect(path, quota_bytes)
        self.epoch: str = self._meta("epoch")
        self.acquired: int = self._meta("acquired")
        self.dropped: int = self._meta("dropped")
        self.uncut = int(self._db.execute("SELECT total(n) FROM fresh").fetchone()[0])
        self._bytes: int = self._db.execute(
            f"SELECT (SELECT total(length(bytes) + {ROW_BYTES}) FROM batch)"
            f" + (SELECT total(length(bytes) + {ROW_BYTES}) FROM fresh)"
        ).fetchone()[0]
        self._load_ballast()

    # --- a value becomes safe

    def append(self, readings: Sequence[Reading], boot: str) -> int:
        """Keep the readings and return the first one's sequence number; they are safe when this returns.

        Raises SpoolFull, with nothing kept.
        """
        first = seq = self.acquired + 1
        rows = []
        for chunk in _chunks(readings):
            body = _encoder.encode(chunk)
            rows.append((seq, len(chunk), boot, _crc(seq, len(chunk), boot, body=body), body))
            seq += len(chunk)
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO boot(id) VALUES (?)", (boot,))
            self._db.executemany("INSERT INTO fresh VALUES (?,?,?,?,?)", rows)
            self._set_meta("acquired", seq - 1)
        self.acquired = seq - 1
        self.uncut += len(readings)
        self._bytes += sum(len(row[4]) + ROW_BYTES for row in rows)
        return first

    def declare(self, n: int, reason: str) -> None:
        """Take `n` sequence numbers for readings that could not be kept at all, and declare them as a gap."""
        first = self.acquired + 1
        with self._transaction():
            self._insert_gap(self.epoch, first, n, reason)
            self._set_meta("acquired", first + n - 1)
            self._count_dropped(n)
        self.acquired = first + n - 1

    def cut(self, *, urgent: bool = False) -> list[Kept]:
        """Turn all uncut readings into frozen batches, once, in one transaction; return them, oldest first."""
        fresh = self._db.execute("SELECT first, n, boot, crc, bytes FROM fresh ORDER BY first").fetchall()
        if not fresh:
            return []
        ids = []
        with self._transaction():
            at = self._first_uncut()
            for pack in _packs(fresh):
                self._declare_hole(at, pack.first)
                ids.append(self._insert(_batch_row(self.epoch, pack, self._anchor_of(pack.boot), urgent=urgent)))
                at = pack.first + len(pack.readings)
            self._declare_hole(at, self.acquired + 1)
            self._db.execute("DELETE FROM fresh")
        self.uncut = 0
        self._bytes = self._db.execute(f"SELECT total(length(bytes) + {ROW_BYTES}) FROM batch").fetchone()[0]
        return [kept for kept in map(self.get, ids) if kept]

    # --- dates

    def anchor(self, boot: str, anchor: Anchor) -> int:
        """Date a boot: its undated batches for good, and what will be cut later. Returns how many were dated."""
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO boot(id) VALUES (?)", (boot,))
            date = _date(boot, anchor.offset_ms, anchor.source, anchor.uncertainty_ms)
            self._db.execute(
                "UPDATE boot SET offset_ms = ?, source = ?, uncertainty_ms = ? WHERE id = ?", (*date[:3], boot)
            )
            return self._date_batches(boot, date)

    def bound(self, boot: str, booted_ms: int) -> int:
        """Date the boots that died undated, between their neighbours; `boot`, which is dated, began at `booted_ms`.

        The span lies in the middle of what is possible, and its uncertainty is half of the room that is left.
        """
        dead = self._db.execute(
            "SELECT boot, min(first_ms), max(last_ms), min(id) FROM batch"
            " WHERE offset_ms IS NULL AND kind = 1 AND boot <> ? GROUP BY boot ORDER BY min(id)",
            (boot,),
        ).fetchall()
        for name, first_ms, last_ms, row in dead:
            before = self._db.execute(
                "SELECT max(last_ms + offset_ms) FROM batch WHERE offset_ms IS NOT NULL AND id < ?", (row,)
            ).fetchone()[0]
            known = self._meta("dated_until")
            earliest = max(before or 0, known or 0) or booted_ms - (last_ms - first_ms)
            room = max(booted_ms - earliest - (last_ms - first_ms), 0)
            offset = earliest + room // 2 - first_ms
            self._date_batches(name, _date(name, offset, Source.BOUNDED, room // 2 + 1000))
        return len(dead)

    def _date_batches(self, boot: str, date: tuple[int | None, int, int, int]) -> int:
        return self._db.execute(
            "UPDATE batch SET offset_ms = ?, source = ?, uncertainty_ms = ?, date_crc = ?"
            " WHERE boot = ? AND offset_ms IS NULL AND kind = 1",
            (*date, boot),
        ).rowcount

    # --- what waits for the cloud

    def get(self, number: int) -> Kept | None:
        """Return one batch, or None where it is gone. A row that fails its CRC is gone, and declared from then on."""
        row = self._db.execute(f"SELECT {_COLUMNS} FROM batch WHERE id = ?", (number,)).fetchone()
        if row is None:
            return None
        (
            number,
            epoch,
            first,
            n,
            kind,
            boot,
            first_ms,
            last_ms,
            offset,
            source,
            uncertainty,
            urgent,
            date_crc,
            crc,
            body,
        ) = row
        kept = Kept(
            number, (epoch, first, n), kind, boot, first_ms, last_ms, offset, source, uncertainty, bool(urgent), body
        )
        if crc != _batch_crc(kept) or date_crc != _date(boot, offset, source, uncertainty)[3]:
            self._lose(number)
            return None
        return kept

    def waiting(self, limit: int, beyond: int = 0) -> list[int]:
        """Return the ids of up to `limit` batches with a larger id than `beyond`, oldest first."""
        rows = self._db.execute("SELECT id FROM batch WHERE id > ? ORDER BY id LIMIT ?", (beyond, limit))
        return [number for (number,) in rows]

    def free(self, identity: Identity) -> int | None:
        """Forget a batch that the cloud has, by its exact identity; return its id, None where it is not known."""
        row = self._db.execute(
            "SELECT id, length(bytes), last_ms + offset_ms FROM batch WHERE epoch = ? AND first = ? AND n = ?", identity
        ).fetchone()
        if row is None:
            return None
        number, size, until = row
        with self._transaction():
            self._db.execute("DELETE FROM batch WHERE id = ?", (number,))
            floor = self._db.execute(
                "SELECT coalesce((SELECT min(first) FROM batch WHERE epoch = ?), (SELECT min(first) FROM fresh), ?)",
                (self.epoch, self.acquired + 1),
            ).fetchone()[0]
            self._set_meta("floor", floor)
            if until is not None and until > self._meta("dated_until"):
                self._set_meta("dated_until", until)
        self._bytes -= size + ROW_BYTES
        return int(number)

    def refused(self, number: int) -> bool:
        """Count that a batch came to nothing while others were answered; after 20 set it aside and declare it."""
        with self._transaction():
            self._db.execute("UPDATE batch SET refusals = refusals + 1 WHERE id = ?", (number,))
            row = self._db.execute("SELECT refusals, kind FROM batch WHERE id = ?", (number,)).fetchone()
            if row is None or row[0] < SET_ASIDE_AFTER or row[1] == GAP:
                return False
            self._db.execute(
                "INSERT INTO aside SELECT epoch, first, n, 'never answered', bytes FROM batch WHERE id = ?", (number,)
            )
        self._to_gap(number, "set-aside")
        return True

    def enforce_quota(self) -> int:
        """Turn the oldest batches into gap records until the quota holds, urgent ones last; return readings dropped."""
        dropped = 0
        while self._bytes > self._quota:
            row = self._db.execute("SELECT id, n FROM batch WHERE kind = 1 ORDER BY urgent, id LIMIT 1").fetchone()
            if row is None:
                break
            self._to_gap(row[0], "quota")
            dropped += row[1]
        return dropped

    def spooled(self) -> tuple[int, Kept | None]:
        """Return the number of readings not yet freed, and the oldest batch among them."""
        n, oldest = self._db.execute("SELECT total(n), min(id) FROM batch WHERE kind = 1").fetchone()
        return int(n) + self.uncut, None if oldest is None else self.get(oldest)

    @property
    def used_bytes(self) -> int:
        """What the quota is held against."""
        return self._bytes

    # --- room

    def relieve(self) -> None:
        """The disk is full: give SQLite the ballast's room, so that what is stored can at least be freed."""
        self._ballast.unlink(missing_ok=True)

    def _load_ballast(self) -> None:
        if self._ballast.exists() and self._ballast.stat().st_size == BALLAST_BYTES:
            return
        free = os.statvfs(self.path.parent)
        if free.f_bavail * free.f_frsize > 4 * BALLAST_BYTES:
            with suppress(OSError):
                self._ballast.write_bytes(bytes(BALLAST_BYTES))

    def close(self) -> None:
        """Checkpoint and close. May be called twice."""
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()

    # --- inside

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        if self._db.in_transaction:  # already inside one: the outer one commits
            yield
            return
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise SpoolFull(f"{self.path}: {error}") from error
        except BaseException:
            with suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    def _meta(self, key: str) -> Any:
        return self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()[0]

    def _set_meta(self, key: str, value: int) -> None:
        self._db.execute("UPDATE meta SET value = ?, crc = ? WHERE key = ?", (value, _crc(key, value), key))

    def _anchor_of(self, boot: str) -> tuple[int | None, int, int]:
        row = self._db.execute("SELECT offset_ms, source, uncertainty_ms FROM boot WHERE id = ?", (boot,)).fetchone()
        return (None, Source.NONE, 0) if row is None or row[0] is None else row

    def _insert(self, row: tuple[Any, ...]) -> int:
        cursor = self._db.execute(
            "INSERT INTO batch(epoch, first, n, kind, boot, first_ms, last_ms, offset_ms, source, uncertainty_ms,"
            " date_crc, urgent, crc, bytes) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            row,
        )
        return int(cursor.lastrowid or 0)

    def _insert_gap(self, epoch: str, first: int, n: int, reason: str) -> None:
        self._insert(
            _row(
                epoch,
                first,
                n,
                GAP,
                "00" * 8,
                0,
                0,
                _date("00" * 8, None, Source.NONE, 0),
                urgent=False,
                body=encode_gap(reason),
            )
        )
        self._bytes += len(reason) + ROW_BYTES

    def _lose(self, number: int) -> None:
        """Forget a row that cannot be trusted, and declare what must have stood in it by its neighbours."""
        before = self._db.execute(
            "SELECT max(first + n) FROM batch WHERE epoch = ? AND id < ?", (self.epoch, number)
        ).fetchone()[0]
        after = self._db.execute(
            "SELECT coalesce((SELECT min(first) FROM batch WHERE epoch = ? AND id > ?),"
            " (SELECT min(first) FROM fresh), ?)",
            (self.epoch, number, self.acquired + 1),
        ).fetchone()[0]
        start = max(before or 1, self._meta("floor") if before is None else 1)
        with self._transaction():
            self._db.execute("DELETE FROM batch WHERE id = ?", (number,))
            self._declare_hole(start, after)

    def _first_uncut(self) -> int:
        row = self._db.execute("SELECT max(first + n) FROM batch WHERE epoch = ?", (self.epoch,)).fetchone()
        return int(row[0] or self._meta("floor"))

    def _declare_hole(self, start: int, end: int) -> None:
        if end > start:
            self._insert_gap(self.epoch, start, end - start, "damage")
            self._count_dropped(end - start)

    def _to_gap(self, number: int, reason: str) -> None:
        kept = self.get(number)
        if kept is None:
            return
        body = encode_gap(reason)
        gap = msgspec.structs.replace(kept, kind=GAP, body=body)
        with self._transaction():
            self._db.execute(
                "UPDATE batch SET kind = ?, crc = ?, bytes = ?, refusals = 0 WHERE id = ?",
                (GAP, _batch_crc(gap), body, number),
            )
            self._count_dropped(kept.identity[2])
        self._bytes += len(body) - len(kept.body)

    def _count_dropped(self, n: int) -> None:
        self.dropped += n
        self._set_meta("dropped", self.dropped)

    def _recover(self, why: str) -> sqlite3.Connection:
        aside = next(p for i in range(1, 10_000) if not (p := self.path.with_suffix(f".damaged-{i}")).exists())
        self.notes.append(f"{self.path.name} was damaged ({why}); set aside as {aside.name}")
        for suffix in ("", "-wal", "-shm"):
            part = self.path.with_name(self.path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        db = _connect(self.path, self._quota)
        self._db, self._bytes, self.dropped = db, 0, 0
        saved = _salvage(aside)
        with self._transaction():
            for row in saved.batches:
                self._insert(row)
            for first, n in saved.holes:
                self._insert_gap(saved.epoch, first, n, "damage")
                self._count_dropped(n)
        self.notes.append(
            f"salvaged {sum(row[2] for row in saved.batches)} readings,"
            f" declared {sum(n for _, n in saved.holes)} as damaged"
        )
        return db


class _Salvage(msgspec.Struct):
    epoch: str = ""
    batches: list[tuple[Any, ...]] = []  # rows of `batch` without their id
    holes: list[tuple[int, int]] = []


def _chunks(readings: Iterable[Reading]) -> Iterator[list[Reading]]:
    chunk: list[Reading] = []
    values = 0
    for reading in readings:
        size = len(reading.values) + len(reading.reasons)
        if chunk and (len(chunk) == MAX_READINGS or values + size > MAX_VALUES):
            yield chunk
            chunk, values = [], 0
        chunk.append(reading)
        values += size
    if chunk:
        yield chunk


class _Pack:
    """Readings of one boot with running numbers, as long as they fit one batch."""

    def __init__(self, boot: str, first: int) -> None:
        self.boot, self.first = boot, first
        self.readings: list[Reading] = []
        self._names: dict[str, set[str]] = {}
        self._rows: dict[str, int] = {}
        self._values = 0

    def takes(self, boot: str, seq: int, reading: Reading) -> bool:
        """Add the reading unless another batch must begin with it; tell whether it was added."""
        names = self._names.get(reading.channel, set())
        wider = names | reading.values.keys() | reading.reasons.keys()
        rows = self._rows.get(reading.channel, 0)
        values = self._values - rows * len(names) + (rows + 1) * len(wider)
        fits = len(self.readings) < MAX_READINGS and values <= MAX_VALUES
        if self.readings and not (boot == self.boot and seq == self.first + len(self.readings) and fits):
            return False
        self._names[reading.channel], self._rows[reading.channel], self._values = wider, rows + 1, values
        self.readings.append(reading)
        return True


def _packs(fresh: Iterable[_FreshRow]) -> Iterator[_Pack]:
    """Yield packs that each fit one batch, oldest first; rows whose CRC is wrong leave a hole in the numbers."""
    pack: _Pack | None = None
    for first, n, boot, crc, body in fresh:
        if _crc(first, n, boot, body=body) != crc:
            continue
        for seq, reading in enumerate(_readings.decode(body), first):
            if pack is None or not pack.takes(boot, seq, reading):
                if pack is not None:
                    yield pack
                pack = _Pack(boot, seq)
                pack.takes(boot, seq, reading)
    if pack is not None:
        yield pack


def _row(
    epoch: str,
    first: int,
    n: int,
    kind: int,
    boot: str,
    first_ms: int,
    last_ms: int,
    date: tuple[int | None, int, int, int],
    *,
    urgent: bool,
    body: bytes,
) -> tuple[Any, ...]:
    crc = _crc(epoch, first, n, kind, boot, first_ms, last_ms, int(urgent), body=body)
    return (epoch, first, n, kind, boot, first_ms, last_ms, *date, int(urgent), crc, body)


def _batch_crc(kept: Kept) -> int:
    epoch, first, n = kept.identity
    return _crc(epoch, first, n, kept.kind, kept.boot, kept.first_ms, kept.last_ms, int(kept.urgent), body=kept.body)


def _batch_row(epoch: str, pack: _Pack, anchor: tuple[int | None, int, int], *, urgent: bool) -> tuple[Any, ...]:
    times = [reading.mono_ms for reading in pack.readings]
    body = encode_body(pack.first, pack.readings)
    date = _date(pack.boot, *anchor)
    return _row(
        epoch, pack.first, len(pack.readings), BATCH, pack.boot, min(times), max(times), date, urgent=urgent, body=body
    )


def _connect(path: Path, quota_bytes: int) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA wal_autocheckpoint = 64")  # keeps the room that a full disk must still offer small
    db.execute(f"PRAGMA max_page_count = {max(quota_bytes * 2 // 4096, 256)}")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        db.close()
        raise RuntimeError(
            f"{path} was written by a newer gocche (schema {version}, this one knows {SCHEMA_VERSION});"
            " install that version again"
        )
    if version == 0:
        epoch = secrets.token_hex(8)
        db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        db.executemany(
            "INSERT INTO meta VALUES (?, ?, ?)",
            [(key, value, _crc(key, value)) for key, value in _FIRST_META.items()]
            + [("epoch", epoch, _crc("epoch", epoch))],
        )
    return db


def _damage(path: Path) -> str | None:
    """Return what is wrong with the file itself, None where it can be used."""
    try:
        db = sqlite3.connect(path, isolation_level=None)
        try:
            words = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if db.execute("PRAGMA user_version").fetchone()[0]:
                db.execute("SELECT count(*) FROM batch").fetchone()
                meta = db.execute("SELECT key, value, crc FROM meta").fetchall()
                if len(meta) != len(_FIRST_META) + 1 or any(crc != _crc(key, value) for key, value, crc in meta):
                    return "the table `meta` fails its CRC"
        finally:
            db.close()
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if words == "ok" else str(words)


def _rows(db: sqlite3.Connection, table: str, key: str, columns: str) -> Iterator[tuple[Any, ...]]:
    """Yield what can be read of a damaged table, from both ends."""
    seen: set[object] = set()
    for order in ("ASC", "DESC"):
        with suppress(sqlite3.DatabaseError):
            for row in db.execute(f"SELECT {key}, {columns} FROM {table} ORDER BY {key} {order}"):
                if row[0] not in seen:
                    seen.add(row[0])
                    yield row[1:]


def _intact(row: tuple[Any, ...]) -> bool:
    """Tell whether a row of `batch` (without its id) passes both of its CRCs."""
    epoch, first, n, kind, boot, first_ms, last_ms, *date, urgent, crc, body = row
    if not isinstance(body, bytes) or not isinstance(boot, str):
        return False
    date_crc: int = date.pop()
    return crc == _crc(epoch, first, n, kind, boot, first_ms, last_ms, urgent, body=body) and date_crc == _crc(
        boot, *date
    )


def _salvage(path: Path) -> _Salvage:
    saved = _Salvage()
    db = sqlite3.connect(path, isolation_level=None)
    try:
        meta = {row[0]: row[1] for row in _rows(db, "meta", "key", "key, value, crc") if row[2] == _crc(*row[:2])}
        columns = _COLUMNS.removeprefix("id, ").replace("urgent, date_crc", "date_crc, urgent")
        saved.batches = [row for row in _rows(db, "batch", "id", columns) if _intact(row)]
        saved.epoch = str(meta.get("epoch") or (saved.batches[-1][0] if saved.batches else ""))
        fresh = sorted(
            r
            for r in _rows(db, "fresh", "first", "first, n, boot, crc, bytes")
            if isinstance(r[4], bytes) and isinstance(r[0], int)
        )
        for pack in _packs(fresh):
            saved.batches.append(_batch_row(saved.epoch, pack, (None, Source.NONE, 0), urgent=False))
    finally:
        db.close()
    own = sorted((row[1], row[2]) for row in saved.batches if row[0] == saved.epoch)
    high = max([int(meta.get("acquired") or 0), *(first + n - 1 for first, n in own)])
    at = int(meta.get("floor") or 1)
    for first, n in [*own, (high + 1, 0)]:
        if first > at and saved.epoch:
            saved.holes.append((at, first - at))
        at = max(at, first + n)
    return saved
