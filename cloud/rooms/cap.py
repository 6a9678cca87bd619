"""What other systems are warned of: incidents about life, in force or just over, and danger at levels IV and V."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from cloud.alerts.incident import RAIN
from cloud.alerts.journal import read_life
from cloud.alerts.listing import history
from cloud.alerts.wiring import JOURNAL
from cloud.alerts.words import units
from cloud.cap.course import LASTS_MS, ClosedAs, Course, Sender, Step, measured, messages, newest
from cloud.rooms.cap_levels import DANGER, levels
from cloud.staff.warnings import Warnings
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from cloud.alerts.incident import Incident
    from cloud.cap.message import Alert
    from cloud.clock import Clock
    from cloud.config import Cap, CloudConfig
    from cloud.registry import Registry

MOST = 200  # incidents
_AGAIN = {"opened": "suspected", "reopened": "suspected", "probable": "probable", "confirmed": "confirmed"} | {
    "under-control": "under-control"
}


def warnings_of(config: CloudConfig, url: str, clock: Clock, registry: Callable[[], Registry]) -> Warnings | None:
    """Return what the staff room gives out; None where nobody has a key for it."""
    if not config.cap.key_file:
        return None
    folder, sender = Path(config.data.path), sender_of(config.cap)
    journal = folder / JOURNAL

    def in_force() -> list[Alert]:
        now_ms = clock.utc_ms()
        found = (newest(one, sender, now_ms) for one in courses(journal, now_ms))
        return [one for one in found if one is not None] + levels(folder / DANGER, registry(), sender, now_ms)

    def find(identifier: str) -> Alert | None:
        number, now_ms = _number(identifier), clock.utc_ms()
        if identifier.startswith("gocche:danger-"):
            known = levels(folder / DANGER, registry(), sender, now_ms)
            return next((one for one in known if one.identifier == identifier), None)
        own = [one for one in courses(journal, now_ms, number) if one.number == number]
        found = (alert for one in own for alert in messages(one, sender, now_ms) if alert.identifier == identifier)
        return next(found, None)

    def key() -> str:
        return Path(config.cap.key_file).read_text("utf-8").strip()

    return Warnings(key, in_force, find, clock.utc_ms, url, config.cap.name_vi or config.cap.sender)


def sender_of(cap: Cap) -> Sender:
    """Return who warns, as a configuration says."""
    return Sender(cap.sender, {"vi": cap.name_vi, "en": cap.name_en or cap.name_vi}, cap.restriction)


def courses(journal: Path, now_ms: int, number: int = 0) -> list[Course]:
    """Return the courses of incidents about life, of one of them where it is named. Raises sqlite3.Error."""
    found = read_life(journal, now_ms - LASTS_MS, MOST, number)
    told = ((one, _steps(one, history(journal, one.id))) for one in found if not one.muted)
    return [_course(one, steps) for one, steps in told if steps]


def _number(identifier: str) -> int:
    """Return the incident in a name like gocche:20260314T141205-12-2.1; -1 in any other."""
    parts = identifier.split("-")
    known = len(parts) == 3 and parts[1].isascii() and parts[1].isdecimal() and len(parts[1]) < 16
    return int(parts[1]) if known else -1


def _course(one: Incident, steps: list[Step]) -> Course:
    return Course(
        number=one.id,
        place={"vi": one.place_vi, "en": one.place_en},
        steps=tuple(steps),
        lat=one.lat,
        lon=one.lon,
        exercise=one.exercise,
    )


def _steps(one: Incident, rows: Iterable[tuple[int, int, str, str]]) -> list[Step]:
    """Return the steps of an incident from its journal. Of what is only a part of another the other tells."""
    steps: list[Step] = []
    part = one.part_of is not None
    for row, at_ms, event, inputs in rows:
        said: dict[str, Any] = msgspec.json.decode(inputs)
        if stage := _AGAIN.get(event):
            rain = one.kind == RAIN
            steps.append(Step(at_ms, "rain" if rain else stage, measured=_measured(one, said), id=row))  # type: ignore[arg-type]
        elif event in ("closed", "ended", "merged"):
            closed_as = _closed_as(one, "merged" if event == "merged" else said.get("closed_as"))
            steps.append(Step(at_ms, "closed", closed_as, id=row))
    if part and not (steps and steps[-1].closed_as == "merged"):
        return []
    return steps if one.closed_ms is not None or part else _going(steps)


def _going(steps: list[Step]) -> list[Step]:
    """Return the steps without the ends of single sensors: people are not done with it."""
    return [step for step in steps if step.stage != "closed"]


def _closed_as(one: Incident, said: Any) -> ClosedAs:
    if one.kind == RAIN and said != "merged":
        return "rain"
    return said if said in get_args(ClosedAs) and said else "unknown"


def _measured(one: Incident, said: dict[str, Any]) -> dict[str, str]:
    """Return what the sensor showed then; nothing where the event does not say."""
    row, value = QUANTITIES.get(one.quantity), (said.get("span") or {}).get("value")
    if row is None or row.codes is not None or not isinstance(value, (int, float)):
        return {}
    return measured({"vi": row.vi, "en": row.en}, value, units().get(row.unit, row.unit), rain=one.kind == RAIN)
