"""Ways out: the map and the samples in forms that others read. They are written to files, and never sent anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.coverage.seam import Judged
    from cloud.coverage.shelf import Sheet

ENOUGH = 3  # moments: with fewer a cell tells of somebody's way and not of a place


def shown(sheet: Sheet) -> Iterator[Judged]:
    """Return the cells of a sheet that are measured well enough to be told to anybody."""
    return (cell for cell in sheet.cells if cell.moments >= ENOUGH and cell.state != "unmeasured")
