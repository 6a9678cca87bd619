"""A sample: one moment in which a device listened for the mobile network at a place. Coverage is made of nothing else.

"No service" (a place is known, the device looked, no network served it) is a sample, and the most valuable one. "No
data" (no modem, a busy port, no fix) and "not measured" (nobody was there) are none: they never get here.

A sample knows no device and no subscriber, only the gateway or team that brings it: identities of telephones, SIMs and
people are dropped where it is made. What brings the same moment twice, at once and again from a file weeks later,
makes the same `key`.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import h3.api.basic_int as h3
import msgspec

from wire.quantities import QUANTITIES

NONE, LIMITED, SERVED = 0, 1, 2  # no network; emergency calls only, by somebody's network; registered
SPOT = 11  # H3 resolution at which moments are one place: cells 50 m across, about as far as shadows of hills reach
OLDEST_MS = 1_577_836_800_000  # 2020-01-01, as for readings (docs/protocol.md)
AHEAD_MS = 600_000
_WORST_ACCURACY_M = 500.0  # a place known worse than half a cell of the map says nothing of a cell


class BadSample(ValueError):
    """Why a record is no sample: `reason` is a word that is counted, `value` what stood there."""

    def __init__(self, reason: str, value: object = "") -> None:
        self.reason, self.value = reason, str(value)[:60]
        super().__init__(f"{reason}: {self.value}" if self.value else reason)


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """The serving cell of one radio, as it was told: raw dBm and dB, identities as numbers; None was not told."""

    rsrp_dbm: float | None = None
    rsrq_db: float | None = None
    sinr_db: float | None = None
    tac: int | None = None
    cell: int | None = None  # ECI or NCI
    pci: int | None = None
    arfcn: int | None = None
    band: int | None = None


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One moment at one place (WGS 84 degrees, metres, UTC milliseconds).

    `by` is the gateway or the team. `plmn` (mcc·1000+mnc) is the network of which it tells: the one that serves, else
    the home network of the SIM that found none; 0 where nobody said. `lte` and `nr` are what was heard at that moment;
    without `nr`, `nr_looked` tells whether the device can hear 5G at all: a 4G phone says nothing about 5G.
    `radio` is a code of `wire.quantities.RADIO`. `rtt_ms` and `loss` (0 to 1) are of a probe, where there was one.
    """

    time_ms: int
    lat: float
    lon: float
    source: Literal["gateway", "phone"]
    by: str
    service: int
    plmn: int = 0
    accuracy_m: float | None = None
    alt_m: float | None = None
    radio: int | None = None
    lte: Heard | None = None
    nr: Heard | None = None
    nr_looked: bool = False
    rssi_dbm: float | None = None  # of 2G and 3G, which have no RSRP
    rtt_ms: float | None = None
    loss: float | None = None

    @property
    def spot(self) -> int:
        """The H3 cell of resolution `SPOT`."""
        return int(h3.latlng_to_cell(self.lat, self.lon, SPOT))

    @property
    def key(self) -> int:
        """63 bits that are the same whoever brings this moment, by whatever way, in whatever spelling."""
        said = (
            self.time_ms,
            round(self.lat * 1e6),
            round(self.lon * 1e6),
            self.service,
            *(
                None if heard is None else (heard.cell, heard.pci, heard.arfcn, _tenths(heard.rsrp_dbm))
                for heard in (self.lte, self.nr)
            ),
            _tenths(self.rssi_dbm),
        )
        return int.from_bytes(hashlib.blake2b(repr(said).encode(), digest_size=8).digest()) >> 1

    def checked(self, now_ms: int) -> Sample:
        """Return it. Raises BadSample for what cannot be: a time, a place, a strength, a fix that is too coarse."""
        if not OLDEST_MS <= self.time_ms <= now_ms + AHEAD_MS:
            raise BadSample("time", self.time_ms)
        if not (-90 <= self.lat <= 90 and -180 <= self.lon <= 180) or (self.lat, self.lon) == (0, 0):
            raise BadSample("place", f"{self.lat}, {self.lon}")
        if self.accuracy_m is not None and not 0 <= self.accuracy_m <= _WORST_ACCURACY_M:
            raise BadSample("accuracy", self.accuracy_m)
        if self.service not in {NONE, LIMITED, SERVED}:
            raise BadSample("service", self.service)
        for prefix, heard in (("lte_", self.lte), ("nr_ss_", self.nr)):
            for name, value in () if heard is None else (("rsrp", heard.rsrp_dbm), ("sinr", heard.sinr_db)):
                if value is not None and not QUANTITIES[prefix + name].plausible(value):
                    raise BadSample(prefix + name, value)
        return self


def _tenths(dbm: float | None) -> int | None:
    return None if dbm is None else round(dbm * 10)
