"""Finished sheets of the map: of each layer, network and month, and of now; only what has changed is made again.

Every sample marks the cell of the map and the month that it changes. A cell is judged from all its spots, for every
network and the best of them; what changed in a month is seen on the sheet of that month and on that of now. Cells of
resolution 9 are made near hamlets alone: elsewhere nobody looks so closely.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from typing import TYPE_CHECKING

import h3.api.basic_int as h3
import msgspec

from cloud.coverage.judge import of_each
from cloud.coverage.months import HEX, day_of, hex_of
from cloud.coverage.seam import LAYERS, MONTH_NOW, Judged
from cloud.coverage.shelf import ROTTEN, cells_of
from cloud.store import Retry

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from cloud.coverage.book import Book
    from cloud.coverage.scale import Scale
    from cloud.coverage.seam import Spot

log = logging.getLogger(__name__)
MADE_BY = "sheets"
FORM = 3  # of what sheets say: another one has all of them made again
FINE, NEAR_M = 9, 3_000.0
AT_ONCE = 200  # cells of the map in one transaction: half a second
Place = tuple[float, float]
_Key = tuple[str, int, int, int]  # layer, plmn, month, res


class Sheets:
    """Makes them in the book's own thread. Raises the store's Retry."""

    def __init__(self, book: Book, scale: Scale) -> None:
        self._book, self._scale = book, scale
        self._hamlets: frozenset[Place] | None = None
        self._near: frozenset[int] = frozenset()
        self._around: set[int] = set()  # cells of the map with some of those in them

    def make(self, hamlets: Iterable[Place], now_ms: int, at_most: int = AT_ONCE) -> int:
        """Judge up to so many of the cells that have changed; return how many, 0 when there are none.

        What is so now comes first, months later. All has changed where the scale is another, or the hamlets are.
        """
        places = frozenset(hamlets)
        if places != self._hamlets:
            self._near, self._hamlets = near(places), places
            self._around = {hex_of(cell) for cell in self._near}
        with self._book.changing() as db:
            self._renew(db)
            months = self._months(db, now_ms)
            (month,) = db.execute("SELECT min(month) FROM changed").fetchone()
            if month is None:
                return 0
            where = month, at_most
            changed = db.execute("SELECT hex FROM changed WHERE month = ? ORDER BY hex LIMIT ?", where).fetchall()
            months = months if month == MONTH_NOW else [month]
            found: defaultdict[_Key, list[Judged]] = defaultdict(list)
            for (hexagon,) in changed:
                try:
                    self._judge(hexagon, self._book.spots_in(hexagon, months), month, found)
                except Retry:
                    raise
                except Exception:  # a row that rotted costs its cell
                    log.exception("coverage-cell-passed-over cell=%x month=%d", hexagon, month)
            for key, cells in found.items():
                _merge(db, key, cells, now_ms)
            db.execute("DELETE FROM changed WHERE month = ? AND hex <= ?", (month, changed[-1][0]))
        return len(changed)

    def _months(self, db: sqlite3.Connection, now_ms: int) -> list[int]:
        """Return the months that tell of now: one that a clock dated ahead, which was wrong for a day, is none.

        Where such a month has come, or is believed, the cells that it tells of are judged again.
        """
        months, last = self._book.months(), day_of(now_ms).month
        if months and months[-1] > last:
            last = max(last, self._book.newest())
        ahead = [month for month in months if month > last]
        before = msgspec.json.decode(self._book.kept("ahead") or "[]", type=list[int])
        if ahead != before:
            db.create_function("hex_of", 1, hex_of, deterministic=True)
            for month in {*ahead} ^ {*before}:
                query = "INSERT OR IGNORE INTO changed SELECT DISTINCT hex_of(cell), ? FROM spot WHERE month = ?"
                db.execute(query, (MONTH_NOW, month))
            self._book.keep("ahead", msgspec.json.encode(ahead).decode())
        return [month for month in months if month <= last]

    def _renew(self, db: sqlite3.Connection) -> None:
        """Have everything made again where what sheets are made by has changed."""
        told = repr((FORM, self._scale, sorted(self._near)))
        by = hashlib.sha256(told.encode()).hexdigest()
        if self._book.kept(MADE_BY) != by:
            db.execute("DELETE FROM sheet")
            db.create_function("hex_of", 1, hex_of, deterministic=True)
            db.execute("INSERT OR IGNORE INTO changed SELECT DISTINCT hex_of(cell), month FROM spot")
            db.execute("INSERT OR IGNORE INTO changed SELECT DISTINCT hex, 0 FROM changed")
            self._book.keep(MADE_BY, by)

    def _judge(self, hexagon: int, spots: Sequence[Spot], month: int, found: defaultdict[_Key, list[Judged]]) -> None:
        """Add what is to be said of one cell of the map, and of those in it that lie near hamlets."""
        cells: defaultdict[int, list[Spot]] = defaultdict(list)
        for spot in spots if hexagon in self._around else ():
            cells[h3.cell_to_parent(spot.cell, FINE)].append(spot)
        for cell in self._near.intersection(cells):
            self._add(cell, cells[cell], month, FINE, found)
        if spots:
            self._add(hexagon, spots, month, HEX, found)

    def _add(
        self, cell: int, spots: Sequence[Spot], month: int, res: int, found: defaultdict[_Key, list[Judged]]
    ) -> None:
        for layer in LAYERS:
            for plmn, judged in of_each(cell, spots, layer, self._scale, month).items():
                found[layer, plmn, month, res].append(judged)


def near(hamlets: Iterable[Place]) -> frozenset[int]:
    """Return the cells of the fine resolution that lie near hamlets."""
    rings = round(NEAR_M / (3**0.5 * h3.average_hexagon_edge_length(FINE, "m")))
    return frozenset(cell for lat, lon in hamlets for cell in h3.grid_disk(h3.latlng_to_cell(lat, lon, FINE), rings))


def _merge(db: sqlite3.Connection, key: _Key, cells: Sequence[Judged], now_ms: int) -> None:
    """Write cells into their sheet, over what it said of them."""
    where = "WHERE layer = ? AND plmn = ? AND month = ? AND res = ?"
    row = db.execute(f"SELECT cells FROM sheet {where}", key).fetchone()  # noqa: S608 - own words
    try:
        sheet = {one.cell: one for one in cells_of(row[0])} if row else {}
    except ROTTEN:
        log.exception("coverage-sheet-rotten sheet=%s", key)
        db.execute("DELETE FROM kept WHERE name = ?", (MADE_BY,))  # all are made again
        sheet = {}
    sheet.update({one.cell: one for one in cells})
    packed = msgspec.msgpack.encode([sheet[cell] for cell in sorted(sheet)])
    db.execute("INSERT OR REPLACE INTO sheet VALUES (?, ?, ?, ?, ?, ?)", (*key, now_ms, packed))
