"""How far apart the readings of a sensor are, and the patience that a rule needs with it. Pure but for `refuse`.

A rule whose `gap_s` is shorter than that would never see two readings that add up: smoke for hours would be no alert;
one whose `after_s` is would call a sensor dead between any two. Whoever writes such a rule is refused at start, as far
as the journal knows the pace. Where a sensor becomes slower later, nobody has written anything: then the rule is given
patience with it and the health says so, and a restart in the night does not end alerts for everybody.
"""

from __future__ import annotations

import sqlite3
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec.structs import replace

from cloud.alerts.decide.progress import Sensor, read_sensors
from cloud.alerts.decide.series import Series, read_series
from cloud.alerts.journal import is_of_today, reading
from cloud.alerts.rules import DAY_MS
from cloud.config import CLOUD_TOML, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cloud.alerts.rules import Rule
    from cloud.alerts.spans import Patience, Point
    from settings.finding import File
    from wire.excerpt import Stretch

ACCEPTED = "rules"  # in the journal: the rules as they were when alerts last started
RECENT_MS = 7 * DAY_MS
KEPT, ENOUGH = 9, 4
WIDER = 2.5  # one reading may be missing


def with_pace(state: Series, points: Sequence[Point]) -> Series:
    """Return the state with the intervals to readings, in order of time, that are newer than all before."""
    newest = points[-KEPT - 1 :]
    newer = sorted({point[0] for point in newest if point[0] > state.newest_ms})
    if len(newer) < len(newest) < len(points):  # some at the same time: the bus of a gateway has neighbours
        newer = sorted({point[0] for point in points if point[0] > state.newest_ms})[-KEPT - 1 :]
    if not newer:
        return state
    known = [state.newest_ms, *newer] if state.newest_ms else newer
    intervals = [*state.intervals, *(after - before for before, after in pairwise(known))]
    return replace(state, newest_ms=newer[-1], intervals=intervals[-KEPT:])


def with_paces(state: Series, stretches: Sequence[Stretch]) -> Series:
    """Return the state with the intervals to stretches, all of them newer than all before."""
    intervals, newest_ms = state.intervals, state.newest_ms
    for stretch in stretches:
        to_it = [stretch.first_ms - newest_ms] if newest_ms else []
        intervals = [*intervals, *to_it, *stretch.paces_ms[-KEPT:]]
        newest_ms = stretch.last_ms
    return replace(state, newest_ms=newest_ms, intervals=intervals[-KEPT:])


def pace_ms(intervals: Sequence[int]) -> int:
    """Return how far apart they usually are, in ms; 0 while that is not known. A cut does not count."""
    return round(median(intervals)) if len(intervals) >= ENOUGH else 0


def patient_ms(after_ms: int, sensor: Sensor) -> int:
    """Return how long this sensor may bring nothing before that is news: at least `after_ms`."""
    if max(sensor.intervals, default=0) < after_ms:
        return after_ms
    pace = pace_ms(sensor.intervals)
    return after_ms if pace < after_ms else round(WIDER * pace)


def patience_with(patience: Patience, state: Series) -> Patience:
    """Return the patience with a gap that its readings can bridge; the very same where the gap is wide enough."""
    if max(state.intervals, default=0) <= patience.gap_ms:
        return patience
    pace = pace_ms(state.intervals)
    return patience if pace <= patience.gap_ms else replace(patience, gap_ms=round(WIDER * pace))


def written(tables: Iterable[dict[str, Any]]) -> str:
    """Return the tables of the rules as the journal remembers them."""
    return msgspec.json.encode({str(table.get("name")): table for table in tables}, order="deterministic").decode()


def refuse(
    path: Path, rules: Sequence[Rule], tables: Sequence[dict[str, Any]], now_ms: int, file: File = CLOUD_TOML
) -> None:
    """Raise ConfigError for a rule that is new or changed and slower than a sensor of its quantity.

    Only what the journal has seen in the last week counts; where there is no journal yet, or it is still that of an
    earlier gocche, nothing is refused.
    """
    if not path.exists():
        return
    try:
        accepted, seen = _known(path)
    except (sqlite3.Error, msgspec.DecodeError):
        return  # the room itself says what is wrong with its journal
    quantities = {rule.name: rule.quantity for rule in rules}
    for number, (rule, table) in enumerate(zip(rules, tables, strict=True), 1):
        if accepted.get(rule.name) == table or not rule.quantity:
            continue
        guards = rule.silence.of == "sensor"
        key, limit_ms = ("after_s", rule.silence.after_ms) if guards else ("gap_s", rule.patience.gap_ms)
        for one in seen:
            same = rule.quantity == (one.of if guards else quantities.get(one.of)) and guards == one.arrivals
            if same and now_ms - one.newest_ms < RECENT_MS and one.pace_ms > limit_ms:
                pace, better = f"{one.pace_ms / 1000:g}", f"{WIDER * one.pace_ms / 1000:g}"
                facts = {"value": f"{limit_ms / 1000:g}", "sensor": one.sensor, "pace": pace, "better": better}
                word = "slower_than_arrivals" if guards else "slower_than_sensor"
                raise ConfigError(file, f"[[rule]] {number} ({rule.name}) {key}", word, **facts)


class _Seen(NamedTuple):
    """The pace of a sensor: of its readings to a rule (`of` is the rule), or of its arrivals (`of` is the quantity)."""

    of: str
    arrivals: bool
    sensor: str
    newest_ms: int
    pace_ms: int


def _known(path: Path) -> tuple[dict[str, Any], list[_Seen]]:
    with reading(path) as db:
        if not is_of_today(db):
            return {}, []
        row = db.execute("SELECT value FROM meta WHERE key = ?", (ACCEPTED,)).fetchone()
        series = db.execute("SELECT rule, gateway, channel, state FROM series").fetchall()
        sensors = read_sensors(db)
    seen = [
        _Seen(one.quantity, True, f"{one.gateway}/{one.channel}", one.value_ms, pace_ms(one.intervals))
        for one in sensors
    ]
    for rule, gateway, channel, text in series:
        state = read_series(text) or Series()
        seen.append(_Seen(rule, False, f"{gateway}/{channel}", state.newest_ms, pace_ms(state.intervals)))
    return (msgspec.json.decode(row[0]) if row else {}), seen
