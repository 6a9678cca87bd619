"""coverage.db: samples once each, the spots that they make, finished sheets of the map, and how far files are read.

Spots are kept up to date with every sample, in the same transaction and in whole tenths of a dBm: they are the same in
whatever order samples come, and a month that is compacted has just no samples any more. The coverage room writes the
file, in one thread; others read it while it does (shelf.py).
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from heapq import merge
from typing import TYPE_CHECKING

from cloud.coverage.file import File
from cloud.coverage.months import day_of, hex_of, month_ms, plus, span_ms, spots_of
from cloud.coverage.rows import ADD, DEAD, SPOT, count, nothing, row, sample_of, spot_of
from cloud.coverage.runs import GAP_MS, Moment, dead
from cloud.coverage.sample import SERVED, Sample
from cloud.coverage.seam import MONTH_NOW, Put, Spot
from cloud.coverage.shelf import SAMPLES, Sheet, Upload, compacted, effort, networks, sheet, sheets, uploads

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cloud.coverage.rows import Row

__all__ = ["NAME", "Book", "Sheet", "Upload", "compacted", "effort", "networks", "sheet", "sheets", "uploads"]
log = logging.getLogger(__name__)
NAME = "coverage.db"
KEPT_MONTHS = 12  # before the newest, of which samples are kept one by one
BELIEVED_DAYS = 3  # of a month on which somebody was there: a clock that is wrong for a day makes no month the newest
AT_ONCE = 20_000  # samples that are let go in one transaction
_WITHIN = f"SELECT {SPOT} FROM spot WHERE month = ? AND cell BETWEEN ? AND ? ORDER BY cell, plmn"  # noqa: S608 - own names
_STAY = "FROM sample WHERE place = ? AND teller = ? AND plmn = ? AND time_ms BETWEEN ? AND ?"
_LET_GO = """DELETE FROM sample WHERE (time_ms, key) IN
(SELECT time_ms, key FROM sample WHERE time_ms BETWEEN ? AND ? ORDER BY time_ms, key LIMIT ?)"""
_ALL = 0, 2**63 - 1
_Stay = tuple[int, int, int, int]  # place, teller, plmn, day


class Book(File):
    """Keeps samples as the seam says; one thread. Every method raises Retry for what the disk refuses now."""

    def __init__(self, path: Path, kept_months: int = KEPT_MONTHS) -> None:
        super().__init__(path)
        self._kept_months = kept_months

    def put(self, samples: Sequence[Sample], now_ms: int) -> Put:  # noqa: ARG002 - what it was checked against
        """Keep each once, durably, all or nothing. They are checked already."""
        new: dict[tuple[int, int], tuple[Sample, Row]] = {}
        late: Counter[int] = Counter()
        known = 0
        with self.changing() as db:
            for sample in samples:
                identity = sample.time_ms, sample.key
                if (month := day_of(sample.time_ms).month) in self.compacted:
                    late[month] += 1
                elif identity in new or _is_there(db, identity):
                    known += 1
                else:
                    new[identity] = sample, row(sample, identity[1], self.teller(db, sample.source, sample.by))
            if new:
                self._keep(db, list(new.values()))
            for month, n in late.items():
                db.execute("UPDATE compacted SET late = late + ? WHERE month = ?", (n, month))
        return Put(len(new), known, late.total())

    def _keep(self, db: sqlite3.Connection, new: list[tuple[Sample, Row]]) -> None:
        """Write samples that are not there yet, and all that they change."""
        spots: dict[tuple[int, int, int], list[int]] = {}
        stays: defaultdict[_Stay, list[tuple[int, bool]]] = defaultdict(list)
        efforts: set[tuple[int, int, int]] = set()
        for sample, (time_ms, _, cell, place, teller, plmn, service, _) in new:
            day, month, bit = day_of(time_ms)
            if (figures := spots.get((month, cell, plmn))) is None:
                figures = spots[month, cell, plmn] = nothing()
            count(figures, sample, bit)
            stays[place, teller, plmn, day].append((time_ms, service == SERVED))
            efforts.add((month, teller, hex_of(cell)))
        stirred = [stay for stay, moments in stays.items() if _may_change(db, stay, moments)]
        runs = _dead(db, stirred)
        runs = Counter({spot: -n for spot, n in runs.items()})
        db.executemany("INSERT INTO sample VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [row for _, row in new])
        runs.update(_dead(db, stirred))
        for spot in (spot for spot, n in runs.items() if n):
            spots.setdefault(spot, nothing())[DEAD] += runs[spot]
        db.executemany(ADD, [(*spot, *figures) for spot, figures in spots.items()])
        db.executemany("INSERT OR IGNORE INTO effort VALUES (?, ?, ?)", efforts)
        changed = {(hex_of(cell), of) for month, cell, _ in spots for of in (month, MONTH_NOW)}
        db.executemany("INSERT OR IGNORE INTO changed VALUES (?, ?)", changed)

    def spots(self, since: int, until: int) -> Iterator[Spot]:
        """Return what the months from `since` to `until` (both included) have, of every network, by cell."""
        yield from self._within(self.months(since, until), *_ALL)

    def spots_in(self, hexagon: int, months: Sequence[int]) -> list[Spot]:
        """Return what months have within one cell of the map, by cell."""
        return list(self._within(months, *spots_of(hexagon)))

    def months(self, since: int = 0, until: int = 999_999) -> list[int]:
        """Return the months of which there is anything, the oldest first."""
        found, after = list[int](), since - 1
        with self.using() as db:
            while True:
                (month,) = db.execute("SELECT min(month) FROM spot WHERE month > ?", (after,)).fetchone()
                if month is None or month > until:
                    return found
                found.append(after := month)

    def _within(self, months: Sequence[int], first: int, last: int) -> Iterator[Spot]:
        with self.using() as db:
            lists = [db.execute(_WITHIN, (month, first, last)) for month in months]
            rows = lists[0] if len(lists) == 1 else merge(*lists, key=lambda one: (one[1], one[0], one[2]))
            yield from map(spot_of, rows)

    def samples(self, since_ms: int, until_ms: int) -> Iterator[Sample]:
        """Return those of [since, until) that are still kept one by one, by time: for exports."""
        with self.using() as db:
            for one in db.execute(SAMPLES, (since_ms, until_ms)):
                yield sample_of(*one)

    def compact(self, now_ms: int) -> int:
        """Let samples of months go that are over for long, a part at a time; return how many, 0 when there are none.

        Their spots stay. Counted from the newest month on which somebody was there on several days, and never beyond
        now: a clock that is ahead for a day destroys nothing.
        """
        newest = self.newest(day_of(now_ms).month)
        if not newest:
            return 0
        for month in self.months(until=plus(newest, -self._kept_months - 1)):
            with self.changing() as db:
                n = db.execute(_LET_GO, (*month_ms(month), AT_ONCE)).rowcount
                if n or month not in self.compacted:
                    db.execute("INSERT OR IGNORE INTO compacted VALUES (?, 0, 0)", (month,))
                    db.execute("UPDATE compacted SET samples = samples + ? WHERE month = ?", (n, month))
            self.compacted.add(month)
            if n:
                return n
        return 0

    def newest(self, until: int = 999_999) -> int:
        """Return the newest month that can be believed, on several days of which somebody was there; 0 for none."""
        for month in reversed(self.months(until=until)):
            seen = 0
            with self.using() as db:
                for (days,) in db.execute("SELECT DISTINCT days FROM spot WHERE month = ?", (month,)):
                    seen |= days
            if seen.bit_count() >= BELIEVED_DAYS:
                return month
        return 0


def _is_there(db: sqlite3.Connection, identity: tuple[int, int]) -> bool:
    return db.execute("SELECT 1 FROM sample WHERE time_ms = ? AND key = ?", identity).fetchone() is not None


def _may_change(db: sqlite3.Connection, stay: _Stay, moments: list[tuple[int, bool]]) -> bool:
    """Tell whether moments may make, lengthen or break a dead run: where all near them are served none is."""
    if not all(served for _, served in moments):
        return True
    times = [time_ms for time_ms, _ in moments]
    near = (*stay[:3], min(times) - GAP_MS, max(times) + GAP_MS)
    return db.execute(f"SELECT 1 {_STAY} AND service <> {SERVED} LIMIT 1", near).fetchone() is not None


def _dead(db: sqlite3.Connection, stays: Sequence[_Stay]) -> Counter[tuple[int, int, int]]:
    """Return by month, cell and network how many dead runs began at a spot in some stays."""
    found: Counter[tuple[int, int, int]] = Counter()
    query = f"SELECT time_ms, service, cell {_STAY} ORDER BY time_ms, key"
    for *stay, day in stays:
        low_ms, high_ms = span_ms(day)
        for cell in dead(map(Moment._make, db.execute(query, (*stay, low_ms, high_ms)))):
            found[day_of(low_ms).month, cell, stay[2]] += 1
    return found
