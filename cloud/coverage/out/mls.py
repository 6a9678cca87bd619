"""Radio cells as MLS and OpenCelliD keep them: one row a cell, where it is heard and how strong on average.

`range` is how far from the middle it was heard; a cell that was heard fewer than three times is left out. NR is
written as such, with the NCI: their older readers know 2G, 3G and 4G only. Samples of 2G and 3G have no identity here.
"""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt
from typing import TYPE_CHECKING

from cloud.coverage.out import ENOUGH, real
from cloud.coverage.sample import SERVED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cloud.coverage.sample import Heard, Sample

COLUMNS = "radio,mcc,net,area,cell,unit,lon,lat,range,samples,changeable,created,updated,averageSignal"
_EARTH_M = 6_371_008.8


class _Cell:
    """What was heard of one cell so far."""

    __slots__ = ("dbm", "east", "first_ms", "heard", "last_ms", "lat", "lon", "n", "north", "pci", "south", "west")

    def __init__(self, sample: Sample, pci: int | None) -> None:
        self.n = self.heard = 0
        self.lat = self.lon = self.dbm = 0.0
        self.north = self.south = sample.lat
        self.east = self.west = sample.lon
        self.first_ms = self.last_ms = sample.time_ms
        self.pci = pci

    def add(self, sample: Sample, heard: Heard) -> None:
        self.n += 1
        self.lat += sample.lat
        self.lon += sample.lon
        self.north, self.south = max(self.north, sample.lat), min(self.south, sample.lat)
        self.east, self.west = max(self.east, sample.lon), min(self.west, sample.lon)
        self.first_ms, self.last_ms = min(self.first_ms, sample.time_ms), max(self.last_ms, sample.time_ms)
        if heard.rsrp_dbm is not None:
            self.dbm += heard.rsrp_dbm
            self.heard += 1


def write(samples: Iterable[Sample]) -> Iterator[bytes]:
    """Yield the table of the cells that serve in samples. Memory grows with the cells, not with the samples."""
    cells: dict[tuple[str, int, int, int], _Cell] = {}
    for sample in real(samples):
        for radio, heard in (("LTE", sample.lte), ("NR", sample.nr)):
            if sample.service != SERVED or heard is None or heard.cell is None or heard.tac is None or not sample.plmn:
                continue
            key = radio, sample.plmn, heard.tac, heard.cell
            cells.setdefault(key, _Cell(sample, heard.pci)).add(sample, heard)
    yield f"{COLUMNS}\r\n".encode()
    for (radio, plmn, area, cell), found in sorted(cells.items()):
        if found.n < ENOUGH:
            continue
        lat, lon = found.lat / found.n, found.lon / found.n
        corners = ((y, x) for y in (found.north, found.south) for x in (found.east, found.west))
        reach = round(max(_metres(lat, lon, *corner) for corner in corners))
        signal = round(found.dbm / found.heard) if found.heard else ""
        row = (
            radio, plmn // 1000, plmn % 1000, area, cell, "" if found.pci is None else found.pci, f"{lon:.6f}",
            f"{lat:.6f}", reach, found.n, 1, found.first_ms // 1000, found.last_ms // 1000, signal,
        )  # fmt: skip
        yield (",".join(map(str, row)) + "\r\n").encode()


def _metres(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    y, x = radians(other_lat - lat) / 2, radians(other_lon - lon) / 2
    return 2 * _EARTH_M * asin(sqrt(sin(y) ** 2 + cos(radians(lat)) * cos(radians(other_lat)) * sin(x) ** 2))
