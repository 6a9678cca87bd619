"""The map as GeoJSON (RFC 7946): a hexagon a cell, for a GIS, for Grafana, and for whoever draws their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h3.api.basic_int as h3
import msgspec

from cloud.clock import hanoi
from cloud.coverage.out import shown
from cloud.coverage.scale import name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cloud.coverage.seam import Judged
    from cloud.coverage.shelf import Sheet

TYPE = "application/geo+json"
_encode = msgspec.json.Encoder().encode


def write(sheet: Sheet, months: Iterable[Sheet] = (), licence: str = "", *, invented: bool = False) -> Iterator[bytes]:
    """Yield a FeatureCollection of a sheet, in pieces. `months` are sheets of single months: each cell's own history.

    Beside the list stands of what it tells: layer, network (mcc·1000+mnc, 0 the best of all), month (0 of now), and
    when it was made, and `invented` where a sample garden's survey is among it. A cell with too few moments is left
    out: it is not measured.
    """
    history = _history(months)
    about = (
        {
            "type": "FeatureCollection",
            "layer": sheet.layer,
            "network": sheet.plmn,
            "month": sheet.month,
            "made": hanoi(sheet.made_ms).isoformat(timespec="seconds"),
        }
        | ({"licence": licence} if licence else {})
        | ({"invented": True} if invented else {})
    )
    yield _encode(about)[:-1] + b',"features":['
    for n, cell in enumerate(shown(sheet)):
        yield (b"," if n else b"") + b"\n" + _encode(_feature(cell, sheet.layer, history.get(cell.cell, {})))
    yield b"\n]}\n"


def _feature(cell: Judged, layer: str, months: Mapping[str, str]) -> dict[str, object]:
    corners = [[round(lon, 6), round(lat, 6)] for lat, lon in h3.cell_to_boundary(cell.cell)]
    said: dict[str, object] = {
        "state": cell.state,
        "vi": name(cell.state, "vi", layer),
        "en": name(cell.state, "en", layer),
        "moments": cell.moments,
        "days": cell.days,
        "last": hanoi(cell.last_ms).date().isoformat(),
    }
    if cell.rsrp_dbm is not None:
        said["rsrp_dbm"] = round(cell.rsrp_dbm, 1)
    if months:
        said["months"] = months
    geometry = {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
    return {"type": "Feature", "id": h3.int_to_str(cell.cell), "properties": said, "geometry": geometry}


def _history(months: Iterable[Sheet]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    for sheet in sorted(months, key=lambda sheet: sheet.month):
        for cell in shown(sheet):
            found.setdefault(cell.cell, {})[f"{sheet.month // 100}-{sheet.month % 100:02}"] = cell.state
    return found
