"""Finished sheets of the map: of each layer, network and month, and of now; only what has changed is made again.

Every sample marks the cell of the map and the month that it changes. A cell is judged from all its spots, for every
network and the best of them; what changed in a month is seen on the sheet of that month and on that of now. Cells of
resolution 9 are made near hamlets alone: elsewhere nobody looks so closely.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import h3.api.basic_int as h3
import msgspec

from cloud.coverage.judge import sheet_of
from cloud.coverage.months import HEX, day_of, hex_of
from cloud.coverage.seam import LAYERS, MONTH_NOW, Judged
from cloud.coverage.shelf import cells_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from cloud.coverage.book import Book
    from cloud.coverage.scale import Scale
    from cloud.coverage.seam import Spot

FORM = 1  # of what sheets say: another one has all of them made again
FINE, NEAR_M = 9, 3_000.0
AT_ONCE = 500  # cells of the map in one transaction: some seconds, some 20 MB
Place = tuple[float, float]
_Key = tuple[str, int, int, int]  # layer, plmn, month, res


class Sheets:
    """Makes them in the book's own thread. Raises the store's Retry."""

    def __init__(self, book: Book, scale: Scale) -> None:
        self._book, self._scale = book, scale
        self._hamlets: frozenset[Place] | None = None
        self._near: frozenset[int] = frozenset()

    def make(self, hamlets: Iterable[Place], now_ms: int, at_most: int = AT_ONCE) -> int:
        """Judge up to so many of the cells that have changed; return how many, 0 when there are none.

        All have where the scale is another one, or other hamlets are there.
        """
        places = frozenset(hamlets)
        if places != self._hamlets:
            self._near, self._hamlets = near(places), places
        with self._book.changing() as db:
            self._renew(db)
            rows = db.execute("SELECT DISTINCT hex FROM changed ORDER BY hex LIMIT ?", (at_most,)).fetchall()
            if not rows:
                return 0
            first, last = rows[0][0], rows[-1][0]
            changed: dict[int, list[int]] = {}
            for hexagon, month in db.execute("SELECT hex, month FROM changed WHERE hex BETWEEN ? AND ?", (first, last)):
                changed.setdefault(hexagon, []).append(month)
            months = self._book.months(until=day_of(now_ms).month)  # what a wrong clock dated ahead is none of now
            found: dict[_Key, list[Judged]] = {}
            for hexagon, touched in changed.items():
                self._judge(self._book.spots_in(hexagon, months), touched, found)
            for key, cells in found.items():
                _merge(db, key, cells, now_ms)
            db.execute("DELETE FROM changed WHERE hex BETWEEN ? AND ?", (first, last))
        return len(rows)

    def _renew(self, db: sqlite3.Connection) -> None:
        """Have everything made again where what sheets are made by has changed."""
        told = repr((FORM, self._scale, sorted(self._near)))
        by = hashlib.sha256(told.encode()).hexdigest()
        if self._book.kept("sheets") != by:
            db.execute("DELETE FROM sheet")
            db.create_function("hex_of", 1, hex_of, deterministic=True)
            db.execute("INSERT OR IGNORE INTO changed SELECT DISTINCT hex_of(cell), month FROM spot")
            self._book.keep("sheets", by)

    def _judge(self, spots: Sequence[Spot], months: Sequence[int], found: dict[_Key, list[Judged]]) -> None:
        """Add what is to be said of one cell of the map, and of those in it."""
        fine = [spot for spot in spots if h3.cell_to_parent(spot.cell, FINE) in self._near]
        for month in (MONTH_NOW, *months):
            for res, all_of_them in ((HEX, spots), (FINE, fine)):
                own = [spot for spot in all_of_them if month in {MONTH_NOW, spot.month}]
                for plmn in sorted({0, *(spot.plmn for spot in own)}) if own else ():
                    for layer in LAYERS:
                        if cells := sheet_of(own, layer, plmn, month, res, self._scale):
                            found.setdefault((layer, plmn, month, res), []).extend(cells)


def near(hamlets: Iterable[Place]) -> frozenset[int]:
    """Return the cells of the fine resolution that lie near hamlets."""
    rings = round(NEAR_M / (3**0.5 * h3.average_hexagon_edge_length(FINE, "m")))
    return frozenset(cell for lat, lon in hamlets for cell in h3.grid_disk(h3.latlng_to_cell(lat, lon, FINE), rings))


def _merge(db: sqlite3.Connection, key: _Key, cells: Sequence[Judged], now_ms: int) -> None:
    """Write cells into their sheet, over what it said of them."""
    where = "WHERE layer = ? AND plmn = ? AND month = ? AND res = ?"
    row = db.execute(f"SELECT cells FROM sheet {where}", key).fetchone()  # noqa: S608 - own words
    sheet = {one.cell: one for one in cells_of(row[0])} if row else {}
    sheet.update({one.cell: one for one in cells})
    packed = msgspec.msgpack.encode([sheet[cell] for cell in sorted(sheet)])
    db.execute("INSERT OR REPLACE INTO sheet VALUES (?, ?, ?, ?, ?, ?)", (*key, now_ms, packed))
