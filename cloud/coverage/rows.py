"""Samples and spots as the rows of coverage.db: its form, what is counted of a sample, and back. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h3.api.basic_int as h3
import msgspec

from cloud.coverage.runs import PLACE
from cloud.coverage.sample import LIMITED, NONE, SERVED, Heard, Sample
from cloud.coverage.seam import Spot, Strength

if TYPE_CHECKING:
    from collections.abc import Sequence

STEPS = (
    """CREATE TABLE teller (id INTEGER PRIMARY KEY, source TEXT NOT NULL, name TEXT NOT NULL, UNIQUE (source, name));
    CREATE TABLE sample (time_ms INTEGER NOT NULL, key INTEGER NOT NULL, cell INTEGER NOT NULL, place INTEGER NOT NULL,
    teller INTEGER NOT NULL, plmn INTEGER NOT NULL, service INTEGER NOT NULL, told BLOB NOT NULL,
    PRIMARY KEY (time_ms, key)) WITHOUT ROWID;
    CREATE INDEX stay ON sample (place, teller, plmn, time_ms, key, service, cell);
    CREATE TABLE spot (month INTEGER NOT NULL, cell INTEGER NOT NULL, plmn INTEGER NOT NULL, moments INTEGER NOT NULL,
    none INTEGER NOT NULL, limited INTEGER NOT NULL, dead INTEGER NOT NULL, days INTEGER NOT NULL,
    first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, lte_n INTEGER NOT NULL, lte_sum INTEGER NOT NULL,
    lte_squares INTEGER NOT NULL, lte_best INTEGER NOT NULL, nr_n INTEGER NOT NULL, nr_sum INTEGER NOT NULL,
    nr_squares INTEGER NOT NULL, nr_best INTEGER NOT NULL, nr_looked INTEGER NOT NULL,
    PRIMARY KEY (month, cell, plmn)) WITHOUT ROWID;
    CREATE TABLE compacted (month INTEGER PRIMARY KEY, samples INTEGER NOT NULL, late INTEGER NOT NULL);
    CREATE TABLE effort (month INTEGER NOT NULL, teller INTEGER NOT NULL, hex INTEGER NOT NULL,
    PRIMARY KEY (month, teller, hex)) WITHOUT ROWID;
    CREATE TABLE changed (hex INTEGER NOT NULL, month INTEGER NOT NULL, PRIMARY KEY (hex, month)) WITHOUT ROWID;
    CREATE TABLE sheet (layer TEXT NOT NULL, plmn INTEGER NOT NULL, month INTEGER NOT NULL, res INTEGER NOT NULL,
    made_ms INTEGER NOT NULL, cells BLOB NOT NULL, PRIMARY KEY (layer, plmn, month, res));
    CREATE TABLE upload (id INTEGER PRIMARY KEY, file TEXT NOT NULL, team TEXT NOT NULL, asked_ms INTEGER NOT NULL,
    size INTEGER NOT NULL, read INTEGER NOT NULL, records INTEGER NOT NULL, new INTEGER NOT NULL,
    known INTEGER NOT NULL, late INTEGER NOT NULL, refused TEXT NOT NULL, done_ms INTEGER, why TEXT NOT NULL);
    CREATE TABLE kept (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID""",
    """ALTER TABLE spot ADD COLUMN lte_sinr_n INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE spot ADD COLUMN lte_sinr_sum INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE spot ADD COLUMN nr_sinr_n INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE spot ADD COLUMN nr_sinr_sum INTEGER NOT NULL DEFAULT 0""",
)
SPOT = (
    "month, cell, plmn, moments, none, limited, dead, days, first_ms, last_ms, lte_n, lte_sum, lte_squares, lte_best,"
    " nr_n, nr_sum, nr_squares, nr_best, nr_looked, lte_sinr_n, lte_sinr_sum, nr_sinr_n, nr_sinr_sum"
)
_SUMMED = ("moments", "none", "limited", "dead", "lte_n", "lte_sum", "lte_squares", "nr_n", "nr_sum", "nr_squares",
           "nr_looked", "lte_sinr_n", "lte_sinr_sum", "nr_sinr_n", "nr_sinr_sum")  # fmt: skip
ADD = (
    f"INSERT INTO spot ({SPOT}) VALUES ({', '.join('?' * 23)}) ON CONFLICT DO UPDATE SET "  # noqa: S608 - own names
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in _SUMMED)
    + ", days = days | excluded.days, first_ms = min(first_ms, excluded.first_ms)"
    ", last_ms = max(last_ms, excluded.last_ms), lte_best = max(lte_best, excluded.lte_best)"
    ", nr_best = max(nr_best, excluded.nr_best)"
)
_LEAST = -2_000  # tenths of a dBm: no strength
_MOMENTS, _NONE, _LIMITED, DEAD, _DAYS, _FIRST, _LAST, _LTE, _NR, _LOOKED, _LTE_SINR, _NR_SINR = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    11,
    15,
    16,
    18,
)
Row = tuple[int, int, int, int, int, int, int, bytes]


class _Told(msgspec.Struct, array_like=True, omit_defaults=True):
    """What a sample says beside the columns."""

    lat: float
    lon: float
    accuracy_m: float | None = None
    alt_m: float | None = None
    radio: int | None = None
    lte: tuple[Any, ...] | None = None
    nr: tuple[Any, ...] | None = None
    nr_looked: bool = False
    rssi_dbm: float | None = None
    rtt_ms: float | None = None
    loss: float | None = None


_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(_Told).decode
_HEARD = Heard.__struct_fields__


def row(sample: Sample, key: int, teller: int) -> Row:
    """Return a sample as its row."""
    cell = sample.spot
    told = _Told(
        sample.lat,
        sample.lon,
        sample.accuracy_m,
        sample.alt_m,
        sample.radio,
        None if sample.lte is None else msgspec.structs.astuple(sample.lte),
        None if sample.nr is None else msgspec.structs.astuple(sample.nr),
        sample.nr_looked,
        sample.rssi_dbm,
        sample.rtt_ms,
        sample.loss,
    )
    place = int(h3.cell_to_parent(cell, PLACE))
    return sample.time_ms, key, cell, place, teller, sample.plmn, sample.service, _encode(told)


def sample_of(time_ms: int, source: Any, by: str, plmn: int, service: int, said: bytes) -> Sample:
    """Return the sample of a row. Raises msgspec.DecodeError, UnicodeDecodeError for one that rotted."""
    told = _decode(said)
    return Sample(
        time_ms=time_ms,
        lat=told.lat,
        lon=told.lon,
        source=source,
        by=by,
        service=service,
        plmn=plmn,
        accuracy_m=told.accuracy_m,
        alt_m=told.alt_m,
        radio=told.radio,
        lte=_heard(told.lte),
        nr=_heard(told.nr),
        nr_looked=told.nr_looked,
        rssi_dbm=told.rssi_dbm,
        rtt_ms=told.rtt_ms,
        loss=told.loss,
    )


def _heard(told: tuple[Any, ...] | None) -> Heard | None:
    return None if told is None else Heard(**dict(zip(_HEARD, told, strict=False)))


def nothing() -> list[int]:
    """Return the figures of a spot at which nobody was, as they stand behind month, cell and network."""
    return [0, 0, 0, 0, 0, 2**62, 0, *(0, 0, 0, _LEAST), *(0, 0, 0, _LEAST), 0, *(0, 0), *(0, 0)]


def count(figures: list[int], sample: Sample, bit: int) -> None:
    """Add a sample to the figures of its spot. Strength counts where its network served; tenths of a dBm are whole."""
    time_ms, service = sample.time_ms, sample.service
    figures[_MOMENTS] += 1
    figures[_NONE] += service == NONE
    figures[_LIMITED] += service == LIMITED
    figures[_DAYS] |= bit
    figures[_FIRST] = min(figures[_FIRST], time_ms)
    figures[_LAST] = max(figures[_LAST], time_ms)
    figures[_LOOKED] += sample.nr_looked or sample.nr is not None
    if service == SERVED:
        for at, sinr, heard in ((_LTE, _LTE_SINR, sample.lte), (_NR, _NR_SINR, sample.nr)):
            if heard is not None and heard.rsrp_dbm is not None:
                if heard.sinr_db is not None:
                    figures[sinr] += 1
                    figures[sinr + 1] += round(heard.sinr_db * 10)
                tenths = round(heard.rsrp_dbm * 10)
                figures[at] += 1
                figures[at + 1] += tenths
                figures[at + 2] += tenths * tenths
                figures[at + 3] = max(figures[at + 3], tenths)


def spot_of(row: Sequence[Any]) -> Spot:
    """Return the spot of a row in the order of `SPOT`."""
    month, cell, plmn, moments, none, limited, dead, days, first_ms, last_ms, *rest = row
    lte, nr = _strength(*rest[:4], *rest[9:11]), _strength(*rest[4:8], *rest[11:13])
    return Spot(cell, month, plmn, moments, none, limited, dead, days, first_ms, last_ms, lte, nr, rest[8])


def _strength(n: int, total: int, squares: int, best: int, sinr_n: int, sinr: int) -> Strength:
    return Strength(n, total / 10, squares / 100, best / 10, sinr_n, sinr / 10)
