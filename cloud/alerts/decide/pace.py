"""How far apart the readings of a series are, and the patience that a rule needs with it. Pure but for `refuse`.

A rule whose `gap_s` is shorter than that would never see two readings that add up: smoke for hours would be no alert.
Whoever writes such a rule is refused at start, as far as the journal knows the pace. Where a sensor becomes slower
later, nobody has written anything: then the gap is widened for its series and the health says so, and a restart in the
night does not end alerts for everybody.
"""

from __future__ import annotations

import sqlite3
from statistics import median
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from cloud.alerts.decide.progress import Series, read_series
from cloud.alerts.journal import reading
from cloud.alerts.rules import DAY_MS
from cloud.config import CLOUD_TOML, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cloud.alerts.rules import Rule
    from cloud.alerts.spans import Patience, Point
    from settings.finding import File

ACCEPTED = "rules"  # in the journal: the rules as they were when alerts last started
RECENT_MS = 7 * DAY_MS
KEPT, ENOUGH = 9, 4
WIDER = 2.5  # one reading may be missing


def with_pace(state: Series, points: Sequence[Point]) -> Series:
    """Return the state with the intervals to readings that are newer than all before."""
    newest_ms, intervals = state.newest_ms, list(state.intervals)
    for utc_ms, _, _ in points:
        if utc_ms > newest_ms:
            intervals += [utc_ms - newest_ms] if newest_ms else []
            newest_ms = utc_ms
    return replace(state, newest_ms=newest_ms, intervals=intervals[-KEPT:])


def pace_ms(state: Series) -> int:
    """Return how far apart its readings usually are, in ms; 0 while that is not known. A cut does not count."""
    return round(median(state.intervals)) if len(state.intervals) >= ENOUGH else 0


def patience_with(patience: Patience, state: Series) -> Patience:
    """Return the patience with a gap that its readings can bridge; the very same where the gap is wide enough."""
    pace = pace_ms(state)
    return patience if pace <= patience.gap_ms else replace(patience, gap_ms=round(WIDER * pace))


def written(tables: Iterable[dict[str, Any]]) -> str:
    """Return the tables of the rules as the journal remembers them."""
    return msgspec.json.encode({str(table.get("name")): table for table in tables}, order="deterministic").decode()


def refuse(
    path: Path, rules: Sequence[Rule], tables: Sequence[dict[str, Any]], now_ms: int, file: File = CLOUD_TOML
) -> None:
    """Raise ConfigError for a rule that is new or changed and slower than a sensor of its quantity.

    Only what the journal has seen in the last week counts; where there is no journal yet, nothing is refused.
    """
    if not path.exists():
        return
    try:
        accepted, series = _known(path)
    except (sqlite3.Error, msgspec.DecodeError):
        return  # the room itself says what is wrong with its journal
    quantities = {rule.name: rule.quantity for rule in rules}
    for number, (rule, table) in enumerate(zip(rules, tables, strict=True), 1):
        if accepted.get(rule.name) == table or rule.silence.of == "sensor":
            continue
        gap_ms = rule.patience.gap_ms
        for name, gateway, channel, text in series:
            state = read_series(text) or Series()
            same = rule.quantity and quantities.get(name) == rule.quantity
            if same and now_ms - state.newest_ms < RECENT_MS and pace_ms(state) > gap_ms:
                facts = {"pace": f"{pace_ms(state) / 1000:g}", "better": f"{WIDER * pace_ms(state) / 1000:g}"}
                place, sensor = f"[[rule]] {number} ({rule.name}) gap_s", f"{gateway}/{channel}"
                raise ConfigError(file, place, "slower_than_sensor", value=f"{gap_ms / 1000:g}", sensor=sensor, **facts)


def _known(path: Path) -> tuple[dict[str, Any], list[tuple[str, str, str, str]]]:
    with reading(path) as db:
        row = db.execute("SELECT value FROM meta WHERE key = ?", (ACCEPTED,)).fetchone()
        series = db.execute("SELECT rule, gateway, channel, state FROM series").fetchall()
    return (msgspec.json.decode(row[0]) if row else {}), series
