"""What other systems are warned of: incidents about life, in force or just over, and danger at levels IV and V."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import msgspec

from cloud.alerts.incident import RAIN
from cloud.alerts.journal import read_life
from cloud.alerts.listing import history
from cloud.alerts.wiring import JOURNAL
from cloud.alerts.words import units
from cloud.cap.book import NAME, opened
from cloud.cap.course import LASTS_MS, ClosedAs, Course, Sender, Step, measured, notice
from cloud.rooms.cap_levels import DANGER, levels
from cloud.staff.warnings import Warnings
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cloud.alerts.incident import Incident
    from cloud.cap.book import InForce
    from cloud.cap.course import Notice
    from cloud.clock import Clock
    from cloud.config import Cap, CloudConfig
    from cloud.registry import Registry

MOST = 1_000  # incidents
# Which events lead to a stage: the last of them says since when.
_LEADS = {
    "suspected": ("opened", "reopened", "split"),
    "closed": ("closed", "ended", "merged"),
} | {stage: (stage, "joined", "split") for stage in ("probable", "confirmed", "under-control")}


class Given:
    """What is given out, each message as it was once given.

    `url` is where staff see incidents, `pages` where the world sees danger.
    """

    def __init__(
        self, config: CloudConfig, url: str, pages: str, clock: Clock, registry: Callable[[], Registry]
    ) -> None:
        self._folder, self._sender = Path(config.data.path), sender_of(config.cap)
        self._url, self._pages, self._clock, self._registry = url, pages, clock, registry
        self._lock = threading.Lock()  # what is read first is said first

    def in_force(self) -> InForce:
        """Return the messages that are in force; what is news is published by that. Raises sqlite3.Error."""
        with self._lock:
            book = opened(self._folder / NAME)
            try:
                now_ms = self._clock.utc_ms()
                return book.publish(self._notices(now_ms, book.going(now_ms)), now_ms)
            finally:
                book.close()

    def xml(self, identifier: str) -> bytes | None:
        """Return a message as it was given out, None where none was. Raises sqlite3.Error."""
        if not (self._folder / NAME).exists():
            return None
        book = opened(self._folder / NAME)
        try:
            return book.xml(identifier)
        finally:
            book.close()

    def _notices(self, now_ms: int, going: set[str]) -> Iterator[Notice]:
        for one in courses(self._folder / JOURNAL, now_ms):
            yield notice(msgspec.structs.replace(one, web=f"{self._url}/truc/{one.number}"), self._sender)
        yield from levels(self._folder / DANGER, self._registry(), self._sender, now_ms, going, self._pages)


def warnings_of(
    config: CloudConfig, url: str, clock: Clock, registry: Callable[[], Registry], pages: str = ""
) -> Warnings | None:
    """Return what the staff room gives out; None where nobody has a key for it."""
    if not config.cap.key_file:
        return None
    given = Given(config, url, pages, clock, registry)

    def key() -> str:
        return Path(config.cap.key_file).read_text("utf-8").strip()

    return Warnings(key, given.in_force, given.xml, url, config.cap.name_vi or config.cap.sender)


def sender_of(cap: Cap) -> Sender:
    """Return who warns, as a configuration says."""
    return Sender(cap.sender, {"vi": cap.name_vi, "en": cap.name_en or cap.name_vi}, cap.restriction, cap.contact)


def courses(journal: Path, now_ms: int) -> list[Course]:
    """Return the courses of incidents about life. Raises sqlite3.Error."""
    found = read_life(journal, now_ms - LASTS_MS, MOST)
    return [course for one in found if (course := _course(journal, one))]


def _course(journal: Path, one: Incident) -> Course | None:
    """Return an incident as it is; None of one that another tells, or nobody: a part, a sensor that fell silent."""
    if one.muted or not (one.lives or one.kind == RAIN):
        return None
    rows = history(journal, one.id)
    merged = any(event == "merged" for _, _, event, _ in rows)
    if not rows or (one.part_of is not None and not merged):
        return None
    closed_as = _closed_as(one)
    stage = "closed" if closed_as else one.stage
    entered = [at_ms for _, at_ms, event, _ in rows if event in _LEADS[stage]]
    return Course(
        number=one.id,
        opened_ms=rows[0][1],
        since_ms=one.since_ms,
        place={"vi": one.place_vi, "en": one.place_en},
        step=Step(max(entered, default=one.touched_ms), stage, closed_as, _measured(one)),
        lat=one.lat,
        lon=one.lon,
        exercise=one.exercise,
        rain=one.kind == RAIN,
    )


def _closed_as(one: Incident) -> ClosedAs:
    """Return as what it ended, empty while it goes on."""
    if one.part_of is not None:
        return "merged"
    if one.going:
        return ""
    return one.closed_as if one.closed_as in get_args(ClosedAs) and one.closed_as else "unknown"  # type: ignore[return-value]


def _measured(one: Incident) -> dict[str, str]:
    """Return the worst that its sensor has shown; nothing where that is no number that people read."""
    row, value = QUANTITIES.get(one.quantity), one.value if one.peak is None else one.peak
    if row is None or row.codes is not None or value is None:
        return {}
    return measured({"vi": row.vi, "en": row.en}, value, units().get(row.unit, row.unit), rain=one.kind == RAIN)
