"""Ways out: the map and the samples in forms that others read. They are written to files, and never sent anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cloud.coverage.sample import Sample
    from cloud.coverage.seam import Judged
    from cloud.coverage.shelf import Sheet

TEST_COUNTRY = 1  # mcc of networks for trials, and of samples that are invented: no map of radio cells wants them
ENOUGH = 3  # moments: with fewer a cell tells of somebody's way and not of a place


def shown(sheet: Sheet) -> Iterator[Judged]:
    """Return the cells of a sheet that are measured well enough to be told to anybody."""
    return (cell for cell in sheet.cells if cell.moments >= ENOUGH and cell.state != "unmeasured")


def real(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Return samples of networks that somebody can meet."""
    return (sample for sample in samples if sample.plmn // 1000 != TEST_COUNTRY)
