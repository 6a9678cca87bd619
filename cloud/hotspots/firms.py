"""CSV of NASA FIRMS to hotspots: VIIRS and MODIS, as the area API and the archive give them. Pure.

FIRMS answers what is wrong in plain text with status 200 ("Invalid MAP_KEY."), so what does not begin with the columns
is no list of hotspots. A head alone is one: nothing burnt that a satellite saw. `acq_time` is HHMM in UTC, in many
exports without its leading zeros: 7 is 00:07. Confidence is l, n, h of VIIRS and 0 to 100 of MODIS (low below 30, high
from 80: FIRMS FAQ). A row that cannot be true costs itself and is said; what a file ends within is such a row.
"""

from __future__ import annotations

import csv
import io
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from cloud.hotspots import NoHotspots

if TYPE_CHECKING:
    from collections.abc import Iterable

Confidence = Literal["low", "nominal", "high"]
NEEDED = ("latitude", "longitude", "acq_date", "acq_time", "satellite", "instrument", "confidence", "frp")
LETTERS: dict[str, Confidence] = {"l": "low", "n": "nominal", "h": "high"}
LARGEST = 16 * 1024 * 1024  # bytes of a file; a day of all the world has 5 MB
SHOWN = 80
FIRST_MS = 946_684_800_000  # 2000-01-01: MODIS flies since then
_MINUTE_MS = 60_000


class Hotspot(msgspec.Struct, frozen=True):
    """One hot pixel. `seen_ms` is when the satellite passed, UTC; `frp_mw` its fire radiative power."""

    lat: float
    lon: float
    seen_ms: int
    satellite: str
    instrument: str
    confidence: Confidence
    frp_mw: float | None = None
    day: bool | None = None

    @property
    def pixel_km(self) -> float:
        """How wide its pixel is, at the least."""
        return 1.0 if self.instrument == "MODIS" else 0.375


class Fault(msgspec.Struct, frozen=True):
    """A row that is no hotspot: its line in the file, and why, in English."""

    line: int
    words: str


class Listed(msgspec.Struct, frozen=True):
    """What a file says."""

    hotspots: tuple[Hotspot, ...]
    faults: tuple[Fault, ...] = ()


def read(body: bytes, now_ms: int) -> Listed:
    """Return what a body of FIRMS says. Raises NoHotspots for one that is no list of hotspots."""
    if len(body) > LARGEST:
        raise NoHotspots("large", size=len(body), limit=LARGEST)
    text = body.decode("utf-8-sig", "replace")
    rows = csv.reader(io.StringIO(text, newline=""), strict=False)
    try:
        head = [name.strip().lower() for name in next(rows, [])]
        if missing := [name for name in NEEDED if name not in head]:
            raise NoHotspots("no_csv", said=_shown(text), missing=", ".join(missing))
        return _listed(head, rows, now_ms)
    except csv.Error as error:
        raise NoHotspots("damaged", line=rows.line_num, why=str(error)) from error


def _listed(head: list[str], rows: Iterable[list[str]], now_ms: int) -> Listed:
    found: dict[Hotspot, None] = {}
    faults: list[Fault] = []
    for line, row in enumerate(rows, 2):
        if not any(cell.strip() for cell in row):
            continue
        try:
            found[_hotspot(_named(head, row), now_ms)] = None
        except ValueError as error:
            faults.append(Fault(line, str(error)))
    return Listed(tuple(found), tuple(faults))


def _named(head: list[str], row: list[str]) -> dict[str, str]:
    if len(row) != len(head):
        raise ValueError(f"has {len(row)} cells, the head has {len(head)}")
    return dict(zip(head, map(str.strip, row), strict=True))


def _hotspot(row: dict[str, str], now_ms: int) -> Hotspot:
    """Return one row. Raises ValueError with what cannot be."""
    instrument = row["instrument"].upper()
    if instrument not in ("VIIRS", "MODIS"):
        raise ValueError(f"instrument is {_shown(row['instrument'])!r}, neither VIIRS nor MODIS")
    if not row["satellite"]:
        raise ValueError("satellite is empty")
    seen_ms = _time(row["acq_date"], row["acq_time"])
    if not FIRST_MS <= seen_ms <= now_ms + 3_600_000:
        raise ValueError(
            f"acq_date is {row['acq_date']} {row['acq_time']}: not yet, or before there were such satellites"
        )
    return Hotspot(
        lat=_number(row, "latitude", -90, 90),
        lon=_number(row, "longitude", -180, 180),
        seen_ms=seen_ms,
        satellite=row["satellite"][:20],
        instrument=instrument,
        confidence=_confidence(row["confidence"], instrument),
        frp_mw=_number(row, "frp", 0, 1e6) if row["frp"] else None,
        day={"D": True, "N": False}.get(row.get("daynight", "")),
    )


def _number(row: dict[str, str], name: str, low: float, high: float) -> float:
    try:
        value = float(row[name])
    except ValueError:
        value = math.nan
    if not low <= value <= high or "_" in row[name]:
        raise ValueError(f"{name} is {_shown(row[name])!r}, not a number from {low:g} to {high:g}")
    return value


def _time(day: str, clock: str) -> int:
    """Return UTC in ms. The archive writes 00:42, the API 42 or 0042."""
    digits = clock.replace(":", "")
    if not (digits.isascii() and digits.isdecimal() and 1 <= len(digits) <= 4):
        raise ValueError(f"acq_time is {_shown(clock)!r}, not HHMM")
    try:
        at = datetime.strptime(f"{day} {digits.zfill(4)}", "%Y-%m-%d %H%M").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"acq_date and acq_time are {_shown(f'{day} {clock}')!r}, not YYYY-MM-DD and HHMM") from None
    return round(at.timestamp()) * 1000


def _confidence(text: str, instrument: str) -> Confidence:
    known = LETTERS.get(text[:1].lower()) if text.lower() in ("l", "n", "h", "low", "nominal", "high") else None
    if known is not None:
        return known
    if instrument == "MODIS" and text.isascii() and text.isdecimal() and int(text) <= 100:
        return "low" if int(text) < 30 else "high" if int(text) >= 80 else "nominal"
    raise ValueError(f"confidence is {_shown(text)!r}, neither l, n, h nor 0 to 100")


def _shown(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * SHOWN]).split())[:SHOWN]
