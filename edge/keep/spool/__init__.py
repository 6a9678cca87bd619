"""Readings that nobody else has yet: kept in SQLite until the cloud says that they are stored.

`rows` are its values, `file` its file, and here are its promises: what `append` returned is safe, a reading is in
exactly one batch, a date once given never changes, only an exact identity frees, and what is lost is declared.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edge.keep.spool import repair, rows
from edge.keep.spool.dates import Dates
from edge.keep.spool.file import File, SpoolFull, lock, machine
from edge.keep.spool.rows import Kept
from wire.codec import GAP

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.clock import Anchor
    from wire.batch import Identity
    from wire.reading import Reading

__all__ = ["Kept", "Spool", "SpoolFull"]

ROW_BYTES = 96  # what a row costs beyond its bytes, for the quota
SET_ASIDE_AFTER = 20  # vain sendings while others were answered


class Spool:
    """The one owner of the spool file. All methods belong to one thread.

    `quota_bytes` bounds what lies in it: beyond, the oldest batches become gap records, urgent ones last.
    """

    def __init__(self, path: Path, quota_bytes: int, own: str | None = None) -> None:
        own = machine() if own is None else own
        self._quota = quota_bytes
        self.notes: list[str] = []  # what opening found, for the log and the status
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock: int | None = lock(path)
        try:
            self._open(path, own)
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self, path: Path, own: str) -> None:
        why = repair.damage(path, own) if path.exists() else None
        if why:
            self.notes.append(f"{path.name} was not usable ({why}); set aside as {repair.set_aside(path).name}")
        self._file = File(path, self._quota, own)
        self._db, self.dates = self._file.db, Dates(self._file)
        self.epoch: str = self._file.meta("epoch")
        self.acquired: int = self._file.meta("acquired")
        for aside in sorted(path.parent.glob(f"{path.stem}.damaged-*[0-9]")):
            self.notes += repair.take_over(self._file, aside)
        repair.try_again(self._file)
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
            self._file.declare(self.epoch, first, n, reason)
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
                ids.append(self._file.insert(pack.batch(self.epoch, self.dates.of(pack.boot), urgent=urgent)))
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
        return self.dates.anchor(boot, anchor)

    def bound(self, boot: str, booted_ms: int) -> int:
        """Date the boots that died undated, between their neighbours; `boot` began at `booted_ms` at the latest."""
        return self.dates.bound(boot, booted_ms)

    # --- what waits for the cloud

    def get(self, number: int) -> Kept | None:
        """Return one batch, or None where it is gone. A row that fails its CRC is gone, and declared from then on."""
        row = self._db.execute(f"SELECT {rows.COLUMNS} FROM batch WHERE id = ?", (number,)).fetchone()
        if row is None:
            return None
        kept = rows.kept(number, row)
        if kept is None:
            repair.lose(self._file, number, self.epoch, self.acquired)
            self.used_bytes = self._weigh()
        return kept

    def waiting(self, limit: int) -> list[int]:
        """Return the ids of up to `limit` dated batches and gap records, oldest first.

        What is undated waits for its date: sent now, it would be judged as if it were of now.
        """
        sql = "SELECT id FROM batch WHERE aside = 0 AND (kind = 2 OR offset_ms IS NOT NULL) ORDER BY id LIMIT ?"
        return [number for (number,) in self._db.execute(sql, (limit,))]

    def foremost(self, boot: str, since_ms: int, limit: int) -> list[int]:
        """Return the ids to send first after an outage: the newest batch of this boot, then recent urgent ones.

        While the boot is undated it is the newest alone, dated or not.
        """
        newest = self._file.one("SELECT max(id) FROM batch WHERE kind = 1 AND aside = 0 AND boot = ?", boot)
        urgent = self._db.execute(
            "SELECT id FROM batch WHERE kind = 1 AND aside = 0 AND urgent = 1 AND boot = ? AND last_ms >= ?"
            " AND offset_ms IS NOT NULL ORDER BY id DESC LIMIT ?", (boot, since_ms, limit)
        )  # fmt: skip
        return list(dict.fromkeys([newest, *(number for (number,) in urgent)])) if newest is not None else []

    def free(self, identity: Identity) -> bool:
        """Forget a batch that the cloud has, by its exact identity; tell whether it was known."""
        sql = (
            "SELECT id, length(bytes), last_ms + offset_ms - uncertainty_ms FROM batch"
            " WHERE (epoch, first, n, aside) = (?, ?, ?, 0)"
        )
        row = self._db.execute(sql, identity).fetchone()
        if row is None:
            return False
        number, size, until = row
        with self._file.transaction():
            self._db.execute("DELETE FROM batch WHERE id = ?", (number,))
            self._file.set_meta("floor", self._next_first())
            if until is not None and until > self._file.meta("dated_until"):
                self._file.set_meta("dated_until", until)
        self.used_bytes -= size + ROW_BYTES
        return True

    def refused(self, number: int) -> bool:
        """Count that a batch came to nothing while others were answered; after 20 set it aside and declare it."""
        with self._file.transaction():
            self._db.execute("UPDATE batch SET refusals = refusals + 1 WHERE id = ?", (number,))
            row = self._db.execute("SELECT refusals, kind FROM batch WHERE id = ?", (number,)).fetchone()
            kept = self.get(number)
            if kept is None or row[0] < SET_ASIDE_AFTER or row[1] == GAP:
                return False
            self._db.execute("UPDATE batch SET aside = 1 WHERE id = ?", (number,))
            self._file.declare(*kept.identity, "set-aside")
        return True

    def enforce_quota(self) -> int:
        """Turn the oldest batches into gap records until the quota holds, urgent ones last; return readings dropped."""
        before = self.dropped
        if self.used_bytes > self._quota:  # what nobody ever answered goes first: it is declared already
            self._db.execute("DELETE FROM batch WHERE aside = 1")
            self.used_bytes = self._weigh()
        while self.used_bytes > self._quota:
            number = self._file.one("SELECT id FROM batch WHERE kind = 1 ORDER BY urgent, id LIMIT 1")
            if number is None:
                break
            self._to_gap(number, "quota")
        return self.dropped - before

    def spooled(self) -> tuple[int, Kept | None]:
        """Return how many numbers of this epoch the cloud has not answered yet, and the oldest batch of any."""
        n = self._file.one("SELECT total(n) FROM batch WHERE epoch = ? AND aside = 0", self.epoch)
        oldest = self._file.one("SELECT min(id) FROM batch WHERE kind = 1 AND aside = 0")
        return int(n) + self.uncut, None if oldest is None else self.get(oldest)

    @property
    def dropped(self) -> int:
        """How many readings were ever declared lost."""
        return int(self._file.meta("dropped"))

    def relieve(self) -> None:
        """The disk is full: give SQLite the ballast's room, so that what is stored can at least be freed."""
        self._file.relieve()

    def recovered(self) -> None:
        """There is room again: keep some of it for the next time."""
        self._file.load_ballast()

    def close(self) -> None:
        """Checkpoint, close and let go of the lock. May be called twice."""
        self._file.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # --- inside

    def _next_first(self) -> int:
        """Return the lowest number of this epoch that is still in the spool."""
        return int(
            self._file.one("SELECT min(first) FROM batch WHERE epoch = ?", self.epoch)
            or self._file.one("SELECT min(first) FROM fresh")
            or self.acquired + 1
        )

    def _declare_hole(self, start: int, end: int) -> None:
        if end > start:
            self._file.declare(self.epoch, start, end - start, "damage")

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
            self._file.count_dropped(kept.identity[2])
        self.used_bytes += len(body) - len(kept.body)

    def _weigh(self) -> int:
        sql = f"SELECT total(length(bytes) + {ROW_BYTES}) FROM"
        return int(self._file.one(f"{sql} batch") + self._file.one(f"{sql} fresh"))
