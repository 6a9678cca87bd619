"""Readings that nobody else has yet: kept in SQLite until the cloud says that they are stored.

`rows` are its values, `schema` and `file` its file, `quota` its room, `repair` and `salvage` its bad days. Here are its
promises: what `append` returned is safe, a reading is in exactly one batch, a date once given never changes, only an
exact identity frees, and what is lost is declared.
"""

from __future__ import annotations

import os
import secrets
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from edge.clock import SystemClock
from edge.keep.spool import names, repair, rows
from edge.keep.spool.dates import Dates
from edge.keep.spool.file import File, SpoolFull, lock, machine
from edge.keep.spool.other import Other, note_twins
from edge.keep.spool.quota import Quota
from edge.keep.spool.repair import is_damage
from edge.keep.spool.rows import Kept
from edge.keep.spool.salvage import take_over
from edge.words import note

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from settings.words import Sentence
    from wire.batch import Identity
    from wire.reading import Reading

__all__ = ["Kept", "Spool", "SpoolFull", "is_damage", "named", "note_twins"]

T = TypeVar("T")
ROW_BYTES = 96  # what a row costs beyond its bytes
_UNHEARD = "SELECT sum(n) FROM fresh WHERE first > ?"
EARLIER = 32  # epochs that a status names: it stays small


def named(waiting: Mapping[str, int]) -> dict[str, int]:
    """Return how many numbers wait of the epochs that a status names, of all in the order of their age.

    The oldest, which the cloud is getting just now, and the newest, of which it has the end already: what is between it
    has not heard of.
    """
    told = [(epoch, n) for epoch, n in waiting.items() if n]
    return dict(told if len(told) <= EARLIER else told[: EARLIER // 2] + told[-EARLIER // 2 :])


class Spool:
    """The one owner of the spool file. All methods belong to one thread.

    `quota_bytes` bounds what lies on the card: beyond, the oldest batches become gap records, urgent ones last. Each
    boot gives numbers of its own (an epoch): a card may lose the last writes of a power cut, and then the numbers that
    went with them would be given twice (docs/decisions/0012-an-epoch-for-each-boot.md). So does an older copy, of whose
    epoch this boot has `said` greater numbers; a `gateway` with another id, for the cloud counts by both; and a file
    of which another of this boot, at `other`, had its turn since: `take_in` takes over what that holds.
    """

    def __init__(
        self,
        path: Path,
        quota_bytes: int,
        own: str | None = None,
        boot: str | None = None,
        other: Path | None = None,
        gateway: str = "",
        said: Mapping[str, int] | None = None,
    ) -> None:
        opened = partial(self._open, path, quota_bytes, machine() if own is None else own, other, gateway)
        self._boot, self._said = SystemClock().boot if boot is None else boot, said or {}
        self.notes: list[Sentence] = []  # what happened to the file, for the log and the status
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock: int | None = lock(path)
        try:
            repair.surely(opened, path, lambda: getattr(self, "_file", None), self.notes)
        except BaseException:
            if hasattr(self, "_file"):
                self._file.db.close()
            os.close(self._lock)
            raise

    def _open(self, path: Path, quota_bytes: int, own: str, other: Path | None, gateway: str) -> None:
        self.notes += repair.mend(path, own)
        self._file = File(path, quota_bytes, own, self.notes)
        self._db, self.dates, self._quota = self._file.db, Dates(self._file), Quota(self._file, quota_bytes, self.notes)
        self.epoch: str = self._file.meta("epoch")
        self.other = Other(self._file, other, self._boot, self._quota.approach)
        self._anew = self.other.there or repair.renamed(self._file.meta("gateway"), gateway)
        if self._anew:
            self.other.follow(self.epoch)
        fresh = self._db.execute("SELECT first, n FROM fresh").fetchall()
        self.acquired = max(int(self._file.meta("acquired")), rows.end(fresh) - 1)
        self._anew |= self.acquired < self._said.get(self.epoch, 0)
        self.uncut: int = sum(n for _, n in fresh)
        try:
            repair.fit_indexes(self._file)
            self.begin()
            repair.name(self._file, gateway)
            repair.try_again(self._file)
            for damaged in names.damaged(path):
                self.notes += take_over(self._file, damaged, self._quota.enforce)
                self._quota.counts(damaged)
            self._quota.approach()
        except SpoolFull as error:
            if self._anew:  # an epoch that comes back is a second gateway's to the cloud
                raise
            self._file.relieve()
            self.notes.append(note("untidy", why=error))
        self.found = int(self._file.one("SELECT seq FROM sqlite_sequence WHERE name = 'batch'") or 0)

    def begin(self, *, anew: bool = False) -> None:
        """Begin an epoch, unless this boot has one and needs none `anew`; what was left uncut is cut under the old.

        Raises SpoolFull: then nothing is kept until it has begun.
        """
        self._anew |= anew
        if self._file.meta("boot") == self._boot and not self._anew:
            return
        epoch = secrets.token_hex(8)
        with self._file.transaction():
            self._freeze(urgent=False)
            self._file.note_ends({self.epoch: self.acquired + 1})
            for key, value in (("epoch", epoch), ("boot", self._boot), ("acquired", 0), ("floor", 1), ("uncut", 1)):
                self._file.set_meta(key, value)
            self._quota.forget_gaps()
            self.dates.forget_boots()
        self.epoch, self.acquired, self.uncut, self._anew = epoch, 0, 0, False

    # --- a value becomes safe

    def append(self, readings: Sequence[Reading], boot: str) -> int:
        """Keep the readings and return the first one's sequence number; they are safe when this returns.

        Raises SpoolFull, with nothing kept. After any other exception the same readings come again, before others.
        """
        return self._with_room(lambda: self._append(readings, boot))

    def _append(self, readings: Sequence[Reading], boot: str) -> int:
        self.begin()
        unheard = 0 if self._db.in_transaction else self._file.one(_UNHEARD, self.acquired)
        if unheard:  # of what is safe there was no memory to say so
            self.acquired, self.uncut, readings = self.acquired + unheard, self.uncut + unheard, readings[unheard:]
        first = self.acquired + 1
        fresh = rows.fresh_rows(first, readings, boot)
        self._quota.approach(sum(len(row[4]) + ROW_BYTES for row in fresh))
        with self._file.transaction():
            self._db.execute("INSERT OR IGNORE INTO boot(id) VALUES (?)", (boot,))
            self._db.executemany("INSERT INTO fresh VALUES (?,?,?,?,?)", fresh)
        self.acquired, self.uncut = self.acquired + len(readings), self.uncut + len(readings)
        return first

    def declare(self, n: int, reason: str) -> None:
        """Take `n` sequence numbers for readings that could not be kept at all, and declare them as a gap.

        What lies uncut before them is cut first, so that batches and gaps follow each other by their numbers.
        """
        self.begin()
        self.cut()
        first, last = self.acquired + 1, self.acquired + n
        with self._file.transaction():
            self._file.declare(self.epoch, first, n, reason)
            self._file.set_meta("acquired", last)
            self._file.set_meta("uncut", last + 1)
        self.acquired = last

    def cut(self, *, urgent: bool = False, only_full: bool = False) -> list[Kept]:
        """Turn uncut readings, all or as far as they fill batches, into frozen batches; return them, oldest first."""
        if not self.uncut:
            return []
        ids, self.uncut = self._with_room(lambda: self._cut(urgent=urgent, only_full=only_full))
        return [kept for kept in map(self.get, ids) if kept]

    def _cut(self, *, urgent: bool, only_full: bool) -> tuple[list[int], int]:
        self._quota.approach()
        with self._file.transaction():
            return self._freeze(urgent=urgent, only_full=only_full)

    def _freeze(self, *, urgent: bool, only_full: bool = False) -> tuple[list[int], int]:
        """Cut inside the transaction that is open; return ids, and how many readings stay uncut."""
        fresh = self._db.execute("SELECT first, n, boot, crc, bytes FROM fresh ORDER BY first").fetchall()
        packs, at, ids = list(rows.packs(fresh)), self._file.meta("uncut"), list[int]()
        left = packs.pop() if only_full and packs else None
        if left and not packs:
            return ids, self.uncut
        end = left.first if left else self.acquired + 1
        for pack in packs:
            self._file.declare(self.epoch, at, pack.first - at, "damage")
            ids.append(self._file.insert(pack.batch(self.epoch, self.dates.given(pack.boot), urgent=urgent)))
            at = pack.end
        self._file.declare(self.epoch, at, end - at, "damage")
        self._file.set_meta("acquired", self.acquired)
        self._file.set_meta("uncut", end)
        self._db.execute("DELETE FROM fresh")
        again = rows.fresh_rows(left.first, left.readings, left.boot) if left else []
        self._db.executemany("INSERT INTO fresh VALUES (?,?,?,?,?)", again)
        return ids, self.acquired + 1 - end

    # --- what waits for the cloud

    def get(self, number: int) -> Kept | None:
        """Return one batch, or None where it is gone. A row that fails its CRC is gone, and declared from then on."""
        row = self._db.execute(f"SELECT {rows.COLUMNS} FROM batch WHERE id = ?", (number,)).fetchone()
        if row is None:
            return None
        kept = rows.kept(number, row)
        if kept is None:
            repair.lose(self._file, number)
        return kept

    def waiting(self, limit: int) -> list[int]:
        """Return the ids of up to `limit` dated batches and gap records, oldest first.

        What is undated waits for its date: sent now, it would be judged as if it were of now.
        """
        sql = "SELECT id FROM batch WHERE aside = 0 AND (kind = 2 OR offset_ms IS NOT NULL) ORDER BY id LIMIT ?"
        return [number for (number,) in self._db.execute(sql, (limit,))]

    def foremost(self, boot: str, since_ms: int, limit: int) -> list[int]:
        """Return the ids to send first after an outage: the newest batch of this boot, then recent urgent ones.

        Dated or not: the cloud knows how old this boot is, and alerts judge what is undated by that.
        """
        newest, urgent = list[int](), list[int]()
        sql = "SELECT id, boot, urgent, last_ms FROM batch WHERE (epoch, kind, aside) = (?, 1, 0) ORDER BY first DESC"
        for number, its_boot, is_urgent, last_ms in self._db.execute(sql, (self.epoch,)):
            if its_boot != boot or (newest and last_ms < since_ms) or len(urgent) == limit:
                break
            newest = newest or [number]
            if is_urgent and last_ms >= since_ms:
                urgent.append(number)
        return list(dict.fromkeys(newest + urgent))

    def free(self, identity: Identity) -> bool:
        """Forget a batch that the cloud has, by its exact identity; tell whether it was known."""
        sql = "SELECT id, last_ms + offset_ms - uncertainty_ms FROM batch WHERE (epoch, first, n, aside) = (?, ?, ?, 0)"
        if (row := self._db.execute(sql, identity).fetchone()) is None:
            return False
        with self._file.transaction(durable=False):  # undone by a power cut, it is sent and freed again
            self._file.forget(row[0])
            if identity[0] == self.epoch:
                self._file.set_meta("floor", self._file.lowest(self.epoch) or self._file.meta("uncut"))
            else:
                self._file.note_freed(identity[0])
            if row[1] is not None and row[1] > self._file.meta("dated_until") and not self.dates.undated_before(row[0]):
                self._file.set_meta("dated_until", row[1])
        return True

    def refused(self, number: int) -> bool:
        """Count that a batch came to nothing while others were answered; after 20 set it aside and declare it."""
        if gave_up := repair.give_up(self._file, number, self.get):
            self._quota.aside.append(number)
        return gave_up

    def spooled(self) -> tuple[int, Kept | None]:
        """Return how many numbers of this epoch the cloud has not answered yet, and the oldest batch of any."""
        oldest = self._file.one("SELECT min(id) FROM batch WHERE kind = 1 AND aside = 0")
        n = self._file.held.get(self.epoch, 0) + self.uncut
        return n, None if oldest is None else self.get(oldest)

    def earlier(self) -> dict[str, int]:
        """Return how many numbers of each earlier epoch, of 32 at most, wait for an answer, the other spool's too."""
        held = self.other.beside(self._file.held)
        return named({epoch: n for epoch, n in held.items() if epoch != self.epoch})

    @property
    def dropped(self) -> int:
        """How many readings were ever declared lost."""
        return int(self._file.meta("dropped"))

    @property
    def over(self) -> str:
        """Why only a new start can help, by the name of the fault; "" where it may take something yet."""
        return self._file.over

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

    def _with_room(self, change: Callable[[], T]) -> T:
        """Change the file; where the disk is full of what the spool itself holds, its oldest goes first."""
        try:
            return change()
        except SpoolFull:
            if not self._quota.squeeze():
                raise
            return change()
