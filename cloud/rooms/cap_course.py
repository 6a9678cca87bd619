"""Incidents of the journal as CAP tells them: each as it is now, by its last step."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import msgspec

from cloud.alerts.journal import read_life
from cloud.alerts.listing import history
from cloud.alerts.words import units
from cloud.cap.course import LASTS_MS, LEAST_KM, ClosedAs, Course, Step, measured
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.alerts.incident import Incident

MOST = 1_000  # incidents
# Which events lead to a stage: the last of them says since when.
_LEADS = {
    "suspected": ("opened", "reopened", "split"),
    "closed": ("closed", "ended", "merged"),
} | {stage: (stage, "joined", "split") for stage in ("probable", "confirmed", "under-control")}

_SEEN = ("probable", "confirmed", "under-control")


def courses(journal: Path, now_ms: int) -> list[Course]:
    """Return the courses of incidents about life. Raises sqlite3.Error."""
    found = read_life(journal, now_ms - LASTS_MS, MOST)
    return [course for one in found if (course := _course(journal, one))]


def _course(journal: Path, one: Incident) -> Course | None:
    """Return an incident as it is; None of one that another tells, or nobody: a part, a sensor that fell silent."""
    rain = not one.may_burn and one.basis == "readings"
    if one.muted or not (one.lives or rain):
        return None
    rows = history(journal, one.id)
    merged = any(event == "merged" for _, _, event, _ in rows)
    if not rows or (one.part_of is not None and not merged):
        return None
    closed_as = _closed_as(one)
    stage = "closed" if closed_as else one.stage
    if one.basis == "people" and not any(event in _SEEN for _, _, event, _ in rows):
        return None  # what anybody may report is no warning to other systems before one of the duty says so
    entered = [at_ms for _, at_ms, event, _ in rows if event in _LEADS[stage]]
    return Course(
        number=one.id,
        opened_ms=rows[0][1],
        since_ms=one.since_ms,
        place={"vi": one.place_vi, "en": one.place_en},
        step=Step(max(entered, default=one.touched_ms), stage, closed_as, _measured(one, rain=rain)),
        lat=one.lat,
        lon=one.lon,
        radius_km=_radius_km(one),
        exercise=one.exercise,
        rain=rain,
        into=one.part_of or 0,
    )


def _closed_as(one: Incident) -> ClosedAs:
    """Return as what it ended, empty while it goes on."""
    if one.part_of is not None:
        return "merged"
    if one.going:
        return ""
    return one.closed_as if one.closed_as in get_args(ClosedAs) and one.closed_as else "unknown"  # type: ignore[return-value]


def _radius_km(one: Incident) -> float:
    """Return within how far its source may be: as the detector says, and never less than is told of any incident."""
    radius_m = msgspec.json.decode(one.claim).get("radius_m") if one.claim else None
    return max(LEAST_KM, (radius_m or 0) / 1000)


def _measured(one: Incident, *, rain: bool) -> dict[str, str]:
    """Return the worst that its sensor has shown; nothing where that is no number that people read."""
    row, value = QUANTITIES.get(one.quantity), one.value if one.peak is None else one.peak
    if row is None or row.codes is not None or value is None:
        return {}
    return measured({"vi": row.vi, "en": row.en}, value, units().get(row.unit, row.unit), rain=rain)
