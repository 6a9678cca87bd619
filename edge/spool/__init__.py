"""Readings that nobody else has yet: kept in SQLite until the cloud says that they are stored.

`rows` are its values, `file` its file, and here are its promises: what `append` returned is safe, a reading is in
exactly one batch, a date once given never changes, only an exact identity frees, and what is lost is declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.clock import Anchor
from edge.spool import rows
from edge.spool.file import File, SpoolFull, damage, salvage, set_aside
from edge.spool.rows import Kept
from wire.batch import Identity, Source
from wire.codec import GAP

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wire.reading import Reading

__all__ = ["Kept", "Spool", "SpoolFull"]

ROW_BYTES = 96  # what a row costs beyond its bytes, for the quota
SET_ASIDE_AFTER = 20  # vain sendings while others were answered


class Spool:
    """The one owner of the spool file. All methods belong to one thread.

    `quota_bytes` bounds what lies in it: beyond, the oldest batches become gap records, urgent ones last.
    """

    def __init__(self, path: Path, quota_bytes: int) -> None:
        self._quota = quota_bytes
        self.notes: list[str] = []  # what opening found, for the log and the status
        path.parent.mkdir(parents=True, exist_ok=True)
        why = damage(path) if path.exists() else None
        aside = set_aside(path) if why else None
        self._file = File(path, quota_bytes)
        self._db = self._file.db
        self.epoch: str = self._file.meta("epoch")
        self.acquired: int = self._file.meta("acquired")
        self.dropped: int = self._file.meta("dropped")
        if aside is not None:
            self.notes.append(f"{path.name} was damaged ({why}); set aside as {aside.name}")
            self._take_over(aside)
        self.uncut = int(self._file.one("SELECT total(n) FROM fresh"))
        self.used_bytes = self._weigh()  # what the quota is held against

    # --- a value becomes safe

    def append(self, readings: Sequence[Reading], boot: str) -> int:
        """Keep the readings and return the first one's sequence number; they are safe when this returns.

        Raises SpoolFull, with nothing kept.
        """
        first = self.acquired + 1
        last = self.acquired + len(readings)
        fresh = rows.fresh_rows(first, readings, boot)
        with self._file.transaction():
            self._db.execute("INSERT OR IGNORE INTO boot(id) VALUES (?)", (boot,))
            self._db.executemany("INSERT INTO fresh VALUES (?,?,?,?,?)", fresh)
            self._file.set_meta("acquired", last)
        self.acquired = last
        self.uncut += len(readings)
        self.used_bytes += sum(len(row[4]) + ROW_BYTES for row in fresh)
        return first

    def declare(self, n: int, reason: str) -> None:
        """Take `n` sequence numbers for readings that could not be kept at all, and declare them as a gap.

        What lies uncut before them is cut first, so that batches and gaps follow each other by their numbers.
        """
        self.cut()
        first, last = self.acquired + 1, self.acquired + n
        with self._file.transaction():
            self._insert_gap(self.epoch, first, n, reason)
            self._file.set_meta("acquired", last)
            self._file.set_meta("uncut", last + 1)
        self.acquired = last

    def cut(self, *, urgent: bool = False) -> list[Kept]:
        """Turn all uncut readings into frozen batches, once, in one transaction; return them, oldest first."""
        fresh = self._db.execute("SELECT first, n, boot, crc, bytes FROM fresh ORDER BY first").fetchall()
        if not fresh:
            return []
        ids = []
        with self._file.transaction():
            at = self._file.meta("uncut")
            for pack in rows.packs(fresh):
                self._declare_hole(at, pack.first)
                ids.append(self._file.insert(pack.batch(self.epoch, self._date_of(pack.boot), urgent=urgent)))
                at = pack.end
            self._declare_hole(at, self.acquired + 1)
            self._file.set_meta("uncut", self.acquired + 1)
            self._db.execute("DELETE FROM fresh")
        self.uncut = 0
        self.used_bytes = self._weigh()
        return [kept for kept in map(self.get, ids) if kept]

    # --- dates

    def anchor(self, boot: str, anchor: Anchor) -> int:
        """Date a boot: its undated batches for good, and what will be cut later. Returns how many were dated."""
        values = (anchor.offset_ms, anchor.source, anchor.uncertainty_ms, boot)
        with self._file.transaction():
            self._db.execute("INSERT OR IGNORE INTO boot(id) VALUES (?)", (boot,))
            self._db.execute("UPDATE boot SET offset_ms = ?, source = ?, uncertainty_ms = ? WHERE id = ?", values)
            return self._date_batches(boot, anchor)

    def bound(self, boot: str, booted_ms: int) -> int:
        """Date the boots that died undated, between their neighbours; `boot`, which is dated, began at `booted_ms`.

        The span lies in the middle of what is possible, and its uncertainty is half of the room that is left.
        """
        dead = self._db.execute(
            "SELECT boot, min(first_ms), max(last_ms), min(id) FROM batch"
            " WHERE offset_ms IS NULL AND kind = 1 AND boot <> ? GROUP BY boot ORDER BY min(id)", (boot,)
        ).fetchall()  # fmt: skip
        with self._file.transaction():
            for name, first_ms, last_ms, row in dead:
                sql = "SELECT max(last_ms + offset_ms) FROM batch WHERE offset_ms IS NOT NULL AND id < ?"
                before = max(self._file.one(sql, row) or 0, self._file.meta("dated_until"))
                span = last_ms - first_ms
                earliest = before or booted_ms - span
                room = max(booted_ms - earliest - span, 0)
                self._date_batches(name, Anchor(earliest + room // 2 - first_ms, Source.BOUNDED, room // 2 + 1000))
        return len(dead)

    # --- what waits for the cloud

    def get(self, number: int) -> Kept | None:
        """Return one batch, or None where it is gone. A row that fails its CRC is gone, and declared from then on."""
        row = self._db.execute(f"SELECT {rows.COLUMNS} FROM batch WHERE id = ?", (number,)).fetchone()
        if row is None:
            return None
        kept = rows.kept(number, row)
        if kept is None:
            self._lose(number)
        return kept

    def waiting(self, limit: int) -> list[int]:
        """Return the ids of up to `limit` batches and gap records, oldest first."""
        return [number for (number,) in self._db.execute("SELECT id FROM batch ORDER BY id LIMIT ?", (limit,))]

    def free(self, identity: Identity) -> bool:
        """Forget a batch that the cloud has, by its exact identity; tell whether it was known."""
        sql = "SELECT id, length(bytes), last_ms + offset_ms FROM batch WHERE epoch = ? AND first = ? AND n = ?"
        row = self._db.execute(sql, identity).fetchone()
        if row is None:
            return False
        number, size, until = row
        with self._file.transaction():
            self._db.execute("DELETE FROM batch WHERE id = ?", (number,))
            self._file.set_meta("floor", self._next_first(0))
            if until is not None and until > self._file.meta("dated_until"):
                self._file.set_meta("dated_until", until)
        self.used_bytes -= size + ROW_BYTES
        return True

    def refused(self, number: int) -> bool:
        """Count that a batch came to nothing while others were answered; after 20 set it aside and declare it."""
        with self._file.transaction():
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
        before = self.dropped
        while self.used_bytes > self._quota:
            number = self._file.one("SELECT id FROM batch WHERE kind = 1 ORDER BY urgent, id LIMIT 1")
            if number is None:
                break
            self._to_gap(number, "quota")
        return self.dropped - before

    def spooled(self) -> tuple[int, Kept | None]:
        """Return the number of readings not yet freed, and the oldest batch among them."""
        n, oldest = self._db.execute("SELECT total(n), min(id) FROM batch WHERE kind = 1").fetchone()
        return int(n) + self.uncut, None if oldest is None else self.get(oldest)

    def relieve(self) -> None:
        """The disk is full: give SQLite the ballast's room, so that what is stored can at least be freed."""
        self._file.relieve()

    def close(self) -> None:
        """Checkpoint and close. May be called twice."""
        self._file.close()

    # --- inside

    def _date_of(self, boot: str) -> rows.Date:
        sql = "SELECT offset_ms, source, uncertainty_ms FROM boot WHERE id = ? AND offset_ms IS NOT NULL"
        row = self._db.execute(sql, (boot,)).fetchone()
        return rows.date(boot, Anchor(row[0], Source(row[1]), row[2]) if row else None)

    def _date_batches(self, boot: str, anchor: Anchor) -> int:
        return self._db.execute(
            "UPDATE batch SET offset_ms = ?, source = ?, uncertainty_ms = ?, date_crc = ?"
            " WHERE boot = ? AND offset_ms IS NULL AND kind = 1", (*rows.date(boot, anchor), boot)
        ).rowcount  # fmt: skip

    def _next_first(self, beyond: int) -> int:
        """Return the first number in the spool after the row `beyond`, of this epoch."""
        return int(
            self._file.one("SELECT min(first) FROM batch WHERE epoch = ? AND id > ?", self.epoch, beyond)
            or self._file.one("SELECT min(first) FROM fresh")
            or self.acquired + 1
        )

    def _lose(self, number: int) -> None:
        """Forget a row that cannot be trusted, and declare what must have stood in it by its neighbours."""
        end = self._file.one("SELECT max(first + n) FROM batch WHERE epoch = ? AND id < ?", self.epoch, number)
        with self._file.transaction():
            self._db.execute("DELETE FROM batch WHERE id = ?", (number,))
            self._declare_hole(end or self._file.meta("floor"), self._next_first(number))

    def _declare_hole(self, start: int, end: int) -> None:
        if end > start:
            self._insert_gap(self.epoch, start, end - start, "damage")

    def _insert_gap(self, epoch: str, first: int, n: int, reason: str) -> None:
        self._file.insert(rows.gap(epoch, first, n, reason))
        self._count_dropped(n)

    def _to_gap(self, number: int, reason: str) -> None:
        kept = self.get(number)
        if kept is None:
            return
        gap = rows.to_gap(kept, reason)
        *_, crc, body = rows.row(gap)
        with self._file.transaction():
            self._db.execute(
                "UPDATE batch SET kind = ?, crc = ?, bytes = ?, refusals = 0 WHERE id = ?", (GAP, crc, body, number)
            )
            self._count_dropped(kept.identity[2])
        self.used_bytes += len(body) - len(kept.body)

    def _count_dropped(self, n: int) -> None:
        self.dropped += n
        self._file.set_meta("dropped", self.dropped)

    def _take_over(self, aside: Path) -> None:
        saved = salvage(aside)
        with self._file.transaction():
            for one in saved.batches:
                self._file.insert(one)
            for first, n in saved.holes:
                self._insert_gap(saved.epoch, first, n, "damage")
        readings, lost = (sum(n for *_, n in part) for part in ([one.identity for one in saved.batches], saved.holes))
        self.notes.append(f"salvaged {readings} readings, declared {lost} as damaged")

    def _weigh(self) -> int:
        sql = f"SELECT total(length(bytes) + {ROW_BYTES}) FROM"
        return int(self._file.one(f"{sql} batch") + self._file.one(f"{sql} fresh"))
