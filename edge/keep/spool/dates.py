"""Dates of what lies in the spool: a boot is dated once it is known, and boots that died undated between others."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from edge.clock import BUILT_MS, Anchor
from edge.keep.spool import rows
from wire.batch import Source

if TYPE_CHECKING:
    from edge.keep.spool.file import File


class Dates:
    """The dates in one spool file."""

    def __init__(self, file: File) -> None:
        self._file, self._db = file, file.db

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
        if dead:
            with self._file.transaction():
                for (before, after), boots in groupby(dead, lambda row: self._neighbours(row[3], booted_ms)):
                    self._lay_between(before, after, list(boots))
        return len(dead)

    def _neighbours(self, number: int, booted_ms: int) -> tuple[int, int]:
        """Return the dated times around a row: UTC before which, and after which, its readings cannot lie."""
        dated = "FROM batch WHERE offset_ms IS NOT NULL AND id"
        before = self._file.one(f"SELECT max(last_ms + offset_ms) {dated} < ?", number) or 0
        after = self._file.one(f"SELECT min(first_ms + offset_ms) {dated} > ?", number) or booted_ms
        return max(before, self._file.meta("dated_until"), BUILT_MS), min(after, booted_ms)

    def _lay_between(self, before: int, after: int, dead: list[tuple[str, int, int, int]]) -> None:
        """Date boots that died one after the other, in the middle of the room that they leave together."""
        spans = [last_ms - first_ms for _, first_ms, last_ms, _ in dead]
        start = min(before, after - sum(spans))
        room = after - start - sum(spans)
        at = start + room // 2
        for (name, first_ms, _, _), span in zip(dead, spans, strict=True):
            self._date_batches(name, Anchor(at - first_ms, Source.BOUNDED, room // 2 + 1000))
            at += span

    def of(self, boot: str) -> rows.Date:
        """Return the columns that date what is cut of a boot now."""
        sql = "SELECT offset_ms, source, uncertainty_ms FROM boot WHERE id = ? AND offset_ms IS NOT NULL"
        row = self._db.execute(sql, (boot,)).fetchone()
        return rows.date(boot, Anchor(row[0], Source(row[1]), row[2]) if row else None)

    def _date_batches(self, boot: str, anchor: Anchor) -> int:
        return self._db.execute(
            "UPDATE batch SET offset_ms = ?, source = ?, uncertainty_ms = ?, date_crc = ?"
            " WHERE boot = ? AND offset_ms IS NULL AND kind = 1", (*rows.date(boot, anchor), boot)
        ).rowcount  # fmt: skip
