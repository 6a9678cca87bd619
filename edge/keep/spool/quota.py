"""What the spool may weigh on the card: beyond, the oldest is forgotten and declared, urgent readings last.

It is held against the pages that are really in use, before anything is written, so that there is always room for the
newest. No look-up reads the table: two marks say up to which row everything of a kind is gone. To a quota that was
lowered the spool gets down step by step: whoever makes room has more to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.keep.spool import names, repair, rows
from edge.words import note

if TYPE_CHECKING:
    from pathlib import Path

    from edge.keep.spool.file import File
    from settings.words import Sentence

SLACK_BYTES = 256 * 1024  # more is freed than must be, at once: fewer writes
STEP_BYTES = 1024 * 1024  # the most that is freed beyond the need at a time: some seconds on a small Pi
SQUEEZED_BYTES = 1024 * 1024  # on a full disk the spool keeps this much, whatever is new
AT_ONCE = 500  # batches that one transaction forgets: bounds the WAL
MOST_GAPS, GAP_SHARE = 10_000, 1024  # gap records: so many at most, and one for so many bytes of the quota
_OLDEST = "SELECT id FROM batch WHERE id > ? AND kind = 1 AND aside = 0 AND urgent = ? ORDER BY id LIMIT 1"


class Quota:
    """The room of one spool: its file, and the damaged ones that were set aside beside it."""

    def __init__(self, file: File, limit_bytes: int, notes: list[Sentence]) -> None:
        self._file, self._limit, self._notes = file, limit_bytes, notes
        self._gone = {0: 0, 1: 0}  # ids up to which no plain and no urgent batch is left
        self._damaged: list[tuple[Path, int]] = []  # files set aside and what each weighs, oldest first
        self.aside: list[int] = []  # batches that nobody ever answered: they are declared already

    @property
    def used_bytes(self) -> int:
        """What is held against the quota."""
        return self._file.used_bytes + sum(size for _, size in self._damaged)

    def counts(self, damaged: Path) -> None:
        """Hold a damaged file against the quota from now on: what was in it is taken over."""
        self._damaged.append((damaged, sum(part.stat().st_size for part in names.parts(damaged) if part.exists())))

    def enforce(self, need_bytes: int = 0, floor_bytes: int = 0) -> None:
        """Make room for `need_bytes` more, but not below `floor_bytes`.

        Raises SpoolFull where the disk does not even take that.
        """
        if self.used_bytes + need_bytes <= self._limit:
            return
        target = max(self._limit - min(self._limit // 64, SLACK_BYTES) - need_bytes, floor_bytes)
        while self._damaged and self.used_bytes > target:
            damaged, _ = self._damaged.pop(0)
            try:
                for part in names.parts(damaged):
                    part.unlink(missing_ok=True)
            except OSError as error:
                self._notes.append(note("irremovable", file=damaged.name, why=error))
            else:
                self._notes.append(note("removed", file=damaged.name))
        while self.used_bytes > target and self._forget(target):
            pass

    def approach(self, need_bytes: int = 0) -> None:
        """Make room as `enforce` does, but only one step towards a quota that is far below. Raises SpoolFull."""
        self.enforce(need_bytes, self.used_bytes - STEP_BYTES - need_bytes)

    def forget_gaps(self) -> None:
        """Let go of the oldest gap records where there are too many.

        Those of two epochs never become one: a machine that starts again and again for months without a link would
        keep nothing else. What they declared stays counted as dropped. It reads the table: once an epoch.
        """
        gaps = "FROM batch WHERE kind = 2 AND aside = 0"
        beyond = self._file.one(f"SELECT count(*) {gaps}") - min(MOST_GAPS, self._limit // GAP_SHARE)
        sql = f"SELECT id {gaps} ORDER BY id LIMIT ?"
        for (number,) in self._file.db.execute(sql, (max(beyond, 0),)).fetchall():
            self._file.forget(number)

    def squeeze(self) -> bool:
        """The disk is full: forget the oldest, unless the spool is too small to be why; tell whether it did."""
        used = self._file.used_bytes
        if used < SQUEEZED_BYTES:
            return False
        self._file.relieve()
        return self._forget(used - SLACK_BYTES)

    def _forget(self, target: int) -> bool:
        """Forget the oldest in one transaction; tell whether there was anything."""
        gone, forgotten = self._gone.copy(), 0
        with self._file.transaction():
            while self._file.used_bytes > target and forgotten < AT_ONCE:
                number = self.aside[forgotten] if forgotten < len(self.aside) else self._oldest(gone)
                if number is None:
                    break
                self._drop(number)
                forgotten += 1
        self._gone = gone
        del self.aside[:forgotten]
        return forgotten > 0

    def _oldest(self, gone: dict[int, int]) -> int | None:
        for urgent, until in list(gone.items()):
            number = self._file.one(_OLDEST, until, urgent)
            gone[urgent] = int(number or self._file.one("SELECT max(id) FROM batch") or 0)
            if number is not None:
                return int(number)
        return None

    def _drop(self, number: int) -> None:
        row = self._file.db.execute(f"SELECT aside, {rows.COLUMNS} FROM batch WHERE id = ?", (number,)).fetchone()
        kept = rows.kept(number, row[1:])
        if row[0]:
            self._file.forget(number)
        elif kept is None:
            repair.lose(self._file, number)
        else:
            self._file.forget(number)
            self._file.declare(*kept.identity, "quota", number)
