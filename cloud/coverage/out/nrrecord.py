"""Samples of 5G as NrRecord, the survey app's own message, one JSON text a line: what formats older than 5G cannot say.

It has what a sample has: nothing of a device, of a mission, of a team.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cloud.clock import hanoi
from cloud.coverage.out import real
from cloud.coverage.sample import SERVED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from cloud.coverage.sample import Heard, Sample

VERSION = "1.1.0"
_encode = msgspec.json.Encoder().encode


def write(samples: Iterable[Sample]) -> Iterator[bytes]:
    """Yield a line for each sample in which 5G served."""
    n = 0
    for sample in real(samples):
        if sample.service != SERVED or sample.nr is None:
            continue
        n += 1
        yield _encode({"version": VERSION, "messageType": "NrRecord", "data": _data(n, sample, sample.nr)}) + b"\n"


def _data(n: int, sample: Sample, nr: Heard) -> dict[str, object]:
    said = {
        "deviceTime": hanoi(sample.time_ms).isoformat(timespec="milliseconds"),
        "latitude": round(sample.lat, 6),
        "longitude": round(sample.lon, 6),
        "altitude": sample.alt_m,
        "accuracy": sample.accuracy_m,
        "recordNumber": n,
        "groupNumber": n,
        "mcc": sample.plmn // 1000 or None,
        "mnc": sample.plmn % 1000 if sample.plmn else None,
        "tac": nr.tac,
        "nci": None if nr.cell is None else str(nr.cell),  # integers of 64 bits are texts in Protocol Buffers' JSON
        "narfcn": nr.arfcn,
        "pci": nr.pci,
        "ssRsrp": nr.rsrp_dbm,
        "ssRsrq": nr.rsrq_db,
        "ssSinr": nr.sinr_db,
        "servingCell": True,
    }
    return {field: value for field, value in said.items() if value is not None}
