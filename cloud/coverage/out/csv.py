"""The map as a table for spreadsheets, one row a cell. No text in it comes from outside, so none is a formula."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import h3.api.basic_int as h3

from cloud.clock import hanoi
from cloud.coverage.out import shown
from cloud.coverage.scale import name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cloud.coverage.shelf import Sheet

TYPE = "text/csv; charset=utf-8"
COLUMNS = (
    "cell", "lat", "lon", "layer", "network", "month", "state", "tinh_trang", "moments", "days", "last", "rsrp_dbm",
    "invented",
)  # fmt: skip


def write(sheets: Iterable[Sheet], *, invented: bool = False) -> Iterator[bytes]:
    """Yield a table of sheets, in pieces, with the byte order mark by which spreadsheets know UTF-8.

    Each row says so where a sample garden's `invented` survey is among them.
    """
    yield "\N{ZERO WIDTH NO-BREAK SPACE}".encode() + _row(COLUMNS)
    for sheet in sheets:
        month = f"{sheet.month // 100}-{sheet.month % 100:02}" if sheet.month else "now"
        for cell in shown(sheet):
            lat, lon = h3.cell_to_latlng(cell.cell)
            yield _row(
                (
                    h3.int_to_str(cell.cell),
                    f"{lat:.6f}",
                    f"{lon:.6f}",
                    sheet.layer,
                    sheet.plmn or "all",
                    month,
                    cell.state,
                    name(cell.state, "vi", sheet.layer),
                    cell.moments,
                    cell.days,
                    hanoi(cell.last_ms).date().isoformat(),
                    "" if cell.rsrp_dbm is None else f"{cell.rsrp_dbm:.1f}",
                    "yes" if invented else "no",
                )
            )


def _row(values: Iterable[object]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(values)
    return out.getvalue().encode()
