"""Dates of what lies in the spool: a boot is dated once it is known, and boots that died undated between others.

Here they are only kept; which date a boot gets is decided in `edge.clock.dating`.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from edge.clock import BUILT_MS, Anchor, Judged, drift_ms
from edge.keep.spool import rows
from wire.batch import Source

if TYPE_CHECKING:
    from edge.keep.spool.file import File

KEPT_BOOTS = 100


class Dates:
    """The dates in one spool file."""

    def __init__(self, file: File) -> None:
        self._file, self._db = file, file.db

    # --- of boots

    def anchor(self, boot: str, anchor: Anchor) -> int:
        """Date a boot: its undated batches for good, and what will be cut later. Returns how many were dated."""
        values = (anchor.offset_ms, int(anchor.source), anchor.uncertainty_ms, anchor.heard_ms)
        columns = "offset_ms = ?, source = ?, uncertainty_ms = ?, heard_ms = ?, date_crc = ?"
        with self._file.transaction():
            self._db.execute("INSERT OR IGNORE INTO boot(id) VALUES (?)", (boot,))
            self._db.execute(f"UPDATE boot SET {columns} WHERE id = ?", (*values, rows.crc32(boot, *values), boot))
            return self._date_batches(boot, anchor)

    def of(self, boot: str) -> Anchor | None:
        """Return what dates that which is cut of a boot now, None where nothing does or it fails its CRC."""
        sql = "SELECT offset_ms, source, uncertainty_ms, heard_ms, date_crc FROM boot WHERE id = ?"
        row = self._db.execute(sql, (boot,)).fetchone()
        if row is None or row[4] != rows.crc32(boot, *row[:4]):
            return None
        return Anchor(row[0], Source(row[1]), row[2], row[3])

    def forget_boots(self) -> None:
        """Forget boots of which nothing is left to cut, but for the last that judged the battery clock."""
        judged = "SELECT max(number) FROM boot WHERE rtc_utc_ms IS NOT NULL"
        self._db.execute(
            f"DELETE FROM boot WHERE number <= (SELECT max(number) FROM boot) - ? AND number <> ifnull(({judged}), 0)",
            (KEPT_BOOTS,),
        )

    # --- of boots that died undated

    def bound(self, boot: str, booted_ms: int) -> int:
        """Date the boots that died undated, between their neighbours; `boot` began at `booted_ms` (UTC) at the latest.

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
        before = self._file.one(f"SELECT max(last_ms + offset_ms - uncertainty_ms) {dated} < ?", number) or 0
        after = self._file.one(f"SELECT min(first_ms + offset_ms + uncertainty_ms) {dated} > ?", number) or booted_ms
        return max(before, self._file.meta("dated_until"), BUILT_MS), min(after, booted_ms)

    def _lay_between(self, before: int, after: int, dead: list[tuple[str, int, int, int]]) -> None:
        """Date boots that died one after the other, in the middle of the room that they leave together."""
        spans = [last_ms - first_ms for _, first_ms, last_ms, _ in dead]
        start = min(before, after - sum(spans))
        room = after - start - sum(spans)
        at = start + room // 2
        uncertainty = room // 2 + 1000 + drift_ms(sum(spans))
        for (name, first_ms, _, _), span in zip(dead, spans, strict=True):
            self._date_batches(name, Anchor(at - first_ms, Source.BOUNDED, uncertainty, first_ms))
            at += span

    def _date_batches(self, boot: str, anchor: Anchor) -> int:
        sql = "SELECT first_ms, last_ms, id FROM batch WHERE boot = ? AND offset_ms IS NULL AND kind = 1 LIMIT 1000"
        n = 0
        while undated := self._db.execute(sql, (boot,)).fetchall():
            self._db.executemany(
                "UPDATE batch SET offset_ms = ?, source = ?, uncertainty_ms = ?, date_crc = ? WHERE id = ?",
                [(*rows.date(boot, anchor, first_ms, last_ms), number) for first_ms, last_ms, number in undated],
            )
            n += len(undated)
        return n

    # --- what a battery clock is worth

    def judged(self) -> Judged | None:
        """Return what a better clock said of the battery clock last."""
        columns = "id, rtc_utc_ms, rtc_error_ms, rtc_doubted"
        sql = f"SELECT {columns} FROM boot WHERE rtc_utc_ms IS NOT NULL ORDER BY number DESC LIMIT 1"
        row = self._db.execute(sql).fetchone()
        return None if row is None else Judged(row[0], row[1], row[2], doubted=bool(row[3]))

    def judge(self, judged: Judged) -> None:
        """Keep what a better clock says of the battery clock in this boot."""
        with self._file.transaction():
            self._db.execute("INSERT OR IGNORE INTO boot(id) VALUES (?)", (judged.boot,))
            self._db.execute(
                "UPDATE boot SET rtc_utc_ms = ?, rtc_error_ms = ?, rtc_doubted = ? WHERE id = ?",
                (judged.utc_ms, judged.error_ms, judged.doubted, judged.boot),
            )

    def newest_ms(self) -> int:
        """Return the newest date that a reading in the spool, or one that the cloud has, is known to have."""
        dated = "FROM batch WHERE offset_ms IS NOT NULL"
        held = self._file.one(f"SELECT max(last_ms + offset_ms) {dated} AND source <> {int(Source.BOUNDED)}") or 0
        return int(max(held, self._file.meta("dated_until")))
