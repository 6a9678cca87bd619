"""Dates of what lies in the spool: a boot is dated once it is known, and boots that died undated between others.

Here they are only kept; which date a boot gets is decided in `edge.clock.dating`. The date lies with the boot first;
its batches are given it a slice at a time: all of them at once would write the whole spool anew, for which a card may
have no room, and which takes longer than the watchdog waits.
"""

from __future__ import annotations

from bisect import bisect
from itertools import accumulate, groupby, islice
from typing import TYPE_CHECKING, NamedTuple

from edge.clock import BUILT_MS, Anchor, Judged, drift_ms
from edge.keep.spool import rows
from wire.batch import Source

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping

    from edge.keep.spool.file import File

KEPT_BOOTS = 100
AT_ONCE = 100  # batches that one transaction dates: the largest of them take half of the ballast


_Span = tuple[str, int, int, int]  # a boot, its first and last millisecond, and its first row


class _Place(NamedTuple):
    """Where a boot stands in the order of time."""

    known: bool
    number: int
    row: int


class Dates:
    """The dates in one spool file."""

    def __init__(self, file: File) -> None:
        self._file, self._db = file, file.db

    # --- of boots

    def anchor(self, boot: str, anchor: Anchor) -> int:
        """Date a boot: its undated batches for good, and what will be cut later. Returns how many were dated.

        Where there are many undated ones, `go_on` dates the others: the newest are sent first. What a battery clock
        says lies with the boot alone; its batches wait for a better clock.
        """
        with self._file.transaction():
            self._keep(boot, anchor)
            return 0 if anchor.source is Source.RTC else self._date({boot: anchor}, newest_first=True)

    def go_on(self, *, battery: bool = True) -> int:
        """Date some of what is still undated of boots that have a date, oldest first; return how many.

        Those that only the `battery` clock dates, which a better one has looked at by now, or not these.
        """
        known = dated(self._db)
        return self._date({boot: one for boot, one in known.items() if battery or one.source is not Source.RTC})

    def of(self, boot: str) -> Anchor | None:
        """Return what dates a boot, None where nothing does or it fails its CRC."""
        return dated(self._db, "AND id = ?", boot).get(boot)

    def given(self, boot: str) -> Anchor | None:
        """Return what dates that which is cut of a boot now, None where it waits for its date."""
        anchor = self.of(boot)
        return None if anchor is None or anchor.source is Source.RTC else anchor

    def _keep(self, boot: str, anchor: Anchor) -> None:
        values = (anchor.offset_ms, int(anchor.source), anchor.uncertainty_ms, anchor.heard_ms)
        columns = "offset_ms = ?, source = ?, uncertainty_ms = ?, heard_ms = ?, date_crc = ?"
        self._db.execute("INSERT OR IGNORE INTO boot(id) VALUES (?)", (boot,))
        self._db.execute(f"UPDATE boot SET {columns} WHERE id = ?", (*values, rows.crc32(boot, *values), boot))

    def _date(self, dates: Mapping[str, Anchor], *, newest_first: bool = False) -> int:
        """Date batches of these boots, as many as one transaction may; return how many."""
        some = list(islice(self._undated(dates, "DESC" if newest_first else "ASC"), AT_ONCE))
        if some:
            sql = "UPDATE batch SET offset_ms = ?, source = ?, uncertainty_ms = ?, date_crc = ? WHERE id = ?"
            with self._file.transaction():
                self._db.executemany(sql, some)
        return len(some)

    def _undated(self, dates: Mapping[str, Anchor], order: str) -> Iterator[tuple[int | None, int, int, int, int]]:
        which = f"boot = ? AND offset_ms IS NULL AND kind = 1 ORDER BY id {order} LIMIT ?"
        for boot, anchor in dates.items():
            sql = f"SELECT first_ms, last_ms, id FROM batch INDEXED BY undated WHERE {which}"
            for first_ms, last_ms, number in self._db.execute(sql, (boot, AT_ONCE)).fetchall():
                yield *rows.date(boot, anchor, first_ms, last_ms), number

    def undated_before(self, number: int) -> bool:
        """Whether a boot that died undated may lie before a batch: then that batch's date bounds it from above only."""
        sql = "SELECT 1 FROM batch INDEXED BY undated WHERE offset_ms IS NULL AND kind = 1 AND id < ? LIMIT 1"
        return self._db.execute(sql, (number,)).fetchone() is not None

    def forget_boots(self) -> None:
        """Forget boots of which nothing is left to cut or to date, but for the last that judged the battery clock."""
        judged = "SELECT max(number) FROM boot WHERE rtc_utc_ms IS NOT NULL"
        self._db.execute(
            f"DELETE FROM boot WHERE number <= (SELECT max(number) FROM boot) - ? AND number <> ifnull(({judged}), 0)"
            " AND id NOT IN (SELECT boot FROM batch WHERE offset_ms IS NULL)",
            (KEPT_BOOTS,),
        )

    # --- of boots that died undated

    def bound(self, boot: str, booted_ms: int, *, borne_out: bool = False) -> int:
        """Date the boots that died undated, between their neighbours; `boot` began at `booted_ms` (UTC) at the latest.

        The span lies in the middle of what is possible, and its uncertainty is half of the room that is left. Returns
        how many boots these were. A boot that only the battery clock dated is one of them, unless that clock was
        `borne_out` in `boot`, was not caught wrong in between, and puts it before that.
        """
        self._unbelieve(boot, booted_ms, borne_out=borne_out)
        known = [boot, *dated(self._db)]
        dead = self._db.execute(
            "SELECT boot, min(first_ms), max(last_ms), min(id) FROM batch WHERE offset_ms IS NULL AND kind = 1"
            f" AND boot NOT IN ({','.join('?' * len(known))}) GROUP BY boot", known
        ).fetchall()  # fmt: skip
        if not dead:
            return 0
        dates = self._by_rows()
        around = self._around([row for row in dead if row[0] not in dates], booted_ms)
        for (before, after), group in groupby(around, lambda one: one[0]):
            dates |= _laid_between(before, after, [row for _, row in group])
        with self._file.transaction():
            for name, anchor in dates.items():
                self._keep(name, anchor)
            self._date(dates)
        return len(dead)

    def _unbelieve(self, boot: str, booted_ms: int, *, borne_out: bool) -> None:
        """Forget what the battery clock said of boots before this one, as far as it cannot be believed."""
        caught = "SELECT 1 FROM boot WHERE rtc_utc_ms = 0 AND number > (SELECT number FROM boot WHERE id = ?)"
        for one, (anchor, last_ms) in self._told(f"AND source = {int(Source.RTC)}").items():
            beyond = last_ms + anchor.offset_ms - anchor.off_ms(last_ms) > booted_ms
            if one != boot and (beyond or not borne_out or self._file.one(caught, one)):
                with self._file.transaction():
                    self._db.execute("UPDATE boot SET offset_ms = NULL, date_crc = NULL WHERE id = ?", (one,))

    def _told(self, which: str = "") -> dict[str, tuple[Anchor, int]]:
        """Return of boots that have a date, and batches that wait for it, the date and the last millisecond."""
        sql = "SELECT max(last_ms) FROM batch INDEXED BY undated WHERE boot = ? AND offset_ms IS NULL AND kind = 1"
        told = {boot: (anchor, self._file.one(sql, boot)) for boot, anchor in dated(self._db, which).items()}
        return {boot: (anchor, last_ms) for boot, (anchor, last_ms) in told.items() if last_ms is not None}

    def _by_rows(self) -> dict[str, Anchor]:
        """Return what dates boots of which some rows are dated: the file that knew their date was damaged."""
        found = self._db.execute(
            "SELECT boot, offset_ms, source, uncertainty_ms, last_ms FROM batch WHERE offset_ms IS NOT NULL"
            f" AND source <> {int(Source.BOUNDED)}"
            " AND boot IN (SELECT boot FROM batch WHERE offset_ms IS NULL AND kind = 1)"
        )
        return {boot: Anchor(offset_ms, Source(source), off_ms, at) for boot, offset_ms, source, off_ms, at in found}

    def _around(self, dead: list[_Span], booted_ms: int) -> Iterator[tuple[tuple[int, int], _Span]]:
        """Yield boots in the order of time, each after the UTC before which, and after which, it cannot lie.

        Boots that this file gave numbers are in the order of those. One that it does not know is older than all of
        them, wherever its rows stand: a damaged file may be taken over long after later boots were kept, where a full
        disk cut that off. Tables are read once, whatever number of boots died.
        """
        numbers = dict(self._db.execute("SELECT id, number FROM boot").fetchall())
        told = [
            (_Place(boot in numbers, numbers.get(boot, 0), at), from_ms, until_ms)
            for boot, at, from_ms, until_ms in self._db.execute(
                "SELECT boot, min(id), max(last_ms + offset_ms - uncertainty_ms),"
                " min(first_ms + offset_ms + uncertainty_ms) FROM batch"
                f" WHERE offset_ms IS NOT NULL AND source <> {int(Source.BOUNDED)} GROUP BY boot"
            )
        ]
        told += [
            (_Place(True, numbers[boot], 0), 0, anchor.offset_ms + anchor.off_ms(0))
            for boot, anchor in dated(self._db).items()
            if anchor.source is not Source.BOUNDED
        ]
        told.sort()
        freed_ms, aside = self._file.meta("dated_until"), self._file.one("SELECT 1 FROM taken_over")
        before = list(accumulate((from_ms for _, from_ms, _ in told), max, initial=BUILT_MS))
        after = list(accumulate((until_ms for *_, until_ms in reversed(told)), min, initial=booted_ms))[::-1]
        places = [place for place, *_ in told]
        for place, row in sorted((_Place(row[0] in numbers, numbers.get(row[0], 0), row[3]), row) for row in dead):
            at = bisect(places, place)
            freed = freed_ms if place.known or not aside else 0  # which may be newer than one it does not know
            yield (max(before[at], freed), after[at]), row

    # --- what a battery clock is worth

    def judged(self) -> Judged | None:
        """Return what a better clock said of the battery clock last."""
        return judged(self._db)

    def judge(self, judged: Judged) -> None:
        """Keep what a better clock says of the battery clock in this boot."""
        with self._file.transaction():
            self._db.execute("INSERT OR IGNORE INTO boot(id) VALUES (?)", (judged.boot,))
            self._db.execute(
                "UPDATE boot SET rtc_utc_ms = ?, rtc_error_ms = ?, rtc_doubted = ? WHERE id = ?",
                (judged.utc_ms, judged.error_ms, judged.doubted, judged.boot),
            )

    def adopt(self, told: Judged) -> None:
        """Keep what another spool of this boot says of it; one that was caught wrong here stays so for this boot."""
        known = self.judged()
        if known is None or known.utc_ms or known.boot != told.boot:
            self.judge(told)

    def newest_ms(self) -> int:
        """Return the newest date that a reading in the spool, or one that the cloud has, is known to have.

        What waits for its date has the one that the battery clock told.
        """
        dated = "FROM batch WHERE offset_ms IS NOT NULL"
        held = self._file.one(f"SELECT max(last_ms + offset_ms) {dated} AND source <> {int(Source.BOUNDED)}") or 0
        told = self._told().values()
        waits = max((last_ms + one.offset_ms for one, last_ms in told if one.source is not Source.BOUNDED), default=0)
        return int(max(held, waits, self._file.meta("dated_until")))


def dated(db: sqlite3.Connection, which: str = "ORDER BY number", *values: str) -> dict[str, Anchor]:
    """Return what dates the boots of a file; a date that fails its CRC is none."""
    columns = "id, offset_ms, source, uncertainty_ms, heard_ms, date_crc"
    sql = f"SELECT {columns} FROM boot WHERE offset_ms IS NOT NULL {which}"
    return {
        boot: Anchor(date[0], Source(date[1]), date[2], date[3])
        for boot, *date, crc in db.execute(sql, values).fetchall()
        if crc == rows.crc32(boot, *date)
    }


def judged(db: sqlite3.Connection) -> Judged | None:
    """Return what a better clock said of the battery clock last, by a file."""
    columns = "id, rtc_utc_ms, rtc_error_ms, rtc_doubted"
    sql = f"SELECT {columns} FROM boot WHERE rtc_utc_ms IS NOT NULL ORDER BY number DESC LIMIT 1"
    row = db.execute(sql).fetchone()
    return None if row is None else Judged(row[0], row[1], row[2], doubted=bool(row[3]))


def _laid_between(before: int, after: int, dead: list[_Span]) -> dict[str, Anchor]:
    """Return dates of boots that died one after the other, in the middle of the room that they leave together."""
    spans = [last_ms - first_ms for _, first_ms, last_ms, _ in dead]
    start = min(before, after - sum(spans))
    room = after - start - sum(spans)
    at = start + room // 2
    uncertainty = room // 2 + 1000 + drift_ms(sum(spans))
    dates = {}
    for (name, first_ms, _, _), span in zip(dead, spans, strict=True):
        dates[name] = Anchor(at - first_ms, Source.BOUNDED, uncertainty, first_ms)
        at += span
    return dates
