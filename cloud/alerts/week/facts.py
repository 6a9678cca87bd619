"""What a commune is told of a week: its hamlets, hours without service, incidents, the map, where to walk, SIM cards.

Read from the journal, the registry and coverage.db as they are when it is made; nothing is computed that is not in
them. What cannot be read is said to be so, and costs nothing else. Hours that rest on silence alone are told apart from
hours that a modem measured without service; what later readings refuted is none.
"""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import h3.api.basic_int as h3
import msgspec

from cloud.alerts.journal import selected
from cloud.alerts.places import communes
from cloud.clock import DAY_MS, hanoi, midnight_ms
from cloud.coverage.seam import COVERED, LAYERS, MONTH_NOW
from cloud.coverage.shelf import UNREADABLE, invented, sheet
from cloud.coverage.walk import walk_next
from cloud.registry.alphabet import order
from wire.quantities import IN_SERVICE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from cloud.alerts.incident import Incident
    from cloud.coverage.seam import Judged
    from cloud.registry import HamletNow, Registry
    from cloud.registry.kinds import Binding

HOUR_MS = 3_600_000
FRESH_MS = DAY_MS  # a modem's last word is called now for so long
FAR_M = 5_000.0  # a cell belongs to the nearest hamlet, no farther than that
RES, RES_WALK, WALKS = 8, 9, 3


class HamletWeek(msgspec.Struct, frozen=True):
    """A hamlet: served, lost, silent (nothing is heard of its gateway), nodata, or unmeasured where no modem hangs.

    `lost_h` hours were measured without service, in `silent_h` more nothing was heard. `radio` is what its modem uses.
    """

    code: str
    name: str
    state: str
    since_ms: int | None = None
    lost_h: float = 0.0
    silent_h: float = 0.0
    radio: int | None = None


class Happened(msgspec.Struct, frozen=True):
    """An incident of the week; `until_ms` None while it goes on."""

    what_vi: str
    what_en: str
    place_vi: str
    place_en: str
    since_ms: int
    until_ms: int | None
    cause: str = ""


class Sim(msgspec.Struct, frozen=True):
    """A SIM card that ends."""

    gateway: str
    what_vi: str
    what_en: str
    quantity: str
    value: float | None


class Cells(msgspec.Struct, frozen=True):
    """The map around the hamlets: cells measured in the week, gained and lost since last month, without 5G and with it.

    `gained` and `lost` are the hamlets that they lie at, once for each cell.
    """

    measured: int
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    no_5g: int
    with_5g: int = 0


class Walk(msgspec.Struct, frozen=True):
    """A cell to visit next, from a hamlet: how far, in which of the eight directions (0 is north), and why."""

    hamlet: str
    distance_m: int
    direction: int
    why: str


class Week(msgspec.Struct, frozen=True):
    """All of it. `cells` is None where there is no map: `why` says what keeps it from being read, "" where none is.

    `invented`: it is that of a sample garden, nobody measured it.
    """

    label: str
    start_ms: int
    end_ms: int
    made_ms: int
    commune: str
    name: str
    hamlets: tuple[HamletWeek, ...]
    happened: tuple[Happened, ...]
    sims: tuple[Sim, ...]
    cells: Cells | None
    walks: tuple[Walk, ...]
    why: str = ""
    invented: bool = False


class Span(NamedTuple):
    """The week before a Monday."""

    monday: date

    @property
    def label(self) -> str:
        """Return it as ISO 8601 counts weeks."""
        year, week, _ = (self.monday - timedelta(7)).isocalendar()
        return f"{year}-W{week:02d}"

    @property
    def start_ms(self) -> int:
        """When it began."""
        return midnight_ms(self.monday - timedelta(7))

    @property
    def end_ms(self) -> int:
        """When it was over."""
        return midnight_ms(self.monday)


def monday_of(day: date) -> date:
    """Return the Monday of a day's week."""
    return day - timedelta(day.weekday())


def communes_of(registry: Registry, on: date) -> list[str]:
    """Return the communes that have hamlets on a day."""
    return sorted({commune for code in registry.hamlets if (commune := registry.commune_of(code, on))})


def gather(db: sqlite3.Connection, registry: Registry, path: Path, commune: str, span: Span, now_ms: int) -> Week:
    """Return the week of a commune. `path` is coverage.db, which may not be there. Raises sqlite3.Error of the journal.

    Hamlets are those of the week's last day.
    """
    on = span.monday - timedelta(1)
    known = [
        hamlet
        for code in registry.hamlets
        if registry.commune_of(code, on) == commune and (hamlet := registry.hamlet(code, on)) is not None
    ]
    known.sort(key=lambda one: (order(one.name), one.code))
    gateways = {gateway for gateway, own in communes(registry, on).items() if own == commune}
    incidents = _incidents(db, {f"hamlet:{one.code}" for one in known}, gateways, span)
    cells, walks, why, sample = _map(path, known, span, now_ms)
    return Week(
        label=span.label,
        start_ms=span.start_ms,
        end_ms=span.end_ms,
        made_ms=now_ms,
        commune=commune,
        name=known[0].commune if known else commune,
        hamlets=tuple(_hamlet(db, registry, one, incidents, span, now_ms) for one in known),
        happened=tuple(_happened(one) for one in incidents if not one.quantity.startswith("sim_")),
        sims=tuple(_sims(db, gateways)),
        cells=cells,
        walks=walks,
        why=why,
        invented=sample,
    )


def _incidents(db: sqlite3.Connection, places: set[str], gateways: set[str], span: Span) -> list[Incident]:
    """Return what is about mobile service in the week, oldest first: what was refuted, or is a part, is none."""
    where = (
        "kind IN ('absence', 'baseline') AND part_of IS NULL AND muted = '' AND basis != 'refuted'"
        " AND since_ms < ? AND coalesce(ended_ms, ?) >= ? ORDER BY since_ms, id"
    )
    found = selected(db, where, span.end_ms, span.end_ms, span.start_ms)
    return [one for one in found if one.place in places or one.gateway in gateways]


def _hamlet(
    db: sqlite3.Connection,
    registry: Registry,
    hamlet: HamletNow,
    incidents: Sequence[Incident],
    span: Span,
    now_ms: int,
) -> HamletWeek:
    mine = [one for one in incidents if one.place == f"hamlet:{hamlet.code}" and one.kind == "absence" and one.quantity]
    silent = [one for one in mine if one.basis == "silence"]
    lost = [one for one in mine if one.basis != "silence"]
    lost_spans = _joined(_clipped(lost, span, now_ms))
    silent_h = _hours(_joined([*_clipped(silent, span, now_ms), *lost_spans])) - _hours(lost_spans)
    modems = registry.bound_to("hamlet", hamlet.code, hanoi(now_ms).date())
    state, since_ms, radio = _now(db, modems, now_ms)
    for going in (one for one in mine if one.open and not one.late):
        state, since_ms = ("silent" if going.basis == "silence" else "lost"), going.since_ms
    return HamletWeek(
        hamlet.code, hamlet.name, state, since_ms, round(_hours(lost_spans), 1), round(silent_h, 1), radio
    )


def _now(db: sqlite3.Connection, modems: Sequence[Binding], now_ms: int) -> tuple[str, int | None, int | None]:
    """Return what the modems of a hamlet said last, when, and which radio they use: the best of them."""
    if not modems:
        return "unmeasured", None, None
    said = [_said(db, one, "registration") for one in modems]
    fresh = [(bound, row) for bound, row in zip(modems, said, strict=True) if row and now_ms - row[0] <= FRESH_MS]
    if not fresh:
        return "nodata", max((row[0] for row in said if row), default=None), None
    served = [(bound, row) for bound, row in fresh if int(row[1]) in IN_SERVICE]
    if not served:
        return "lost", max(row[0] for _, row in fresh), None
    radios = [_said(db, bound, "radio") for bound, _ in served]
    radio = max((int(row[1]) for row in radios if row and now_ms - row[0] <= FRESH_MS), default=None)
    return "served", max(row[0] for _, row in served), radio


def _said(db: sqlite3.Connection, bound: Binding, quantity: str) -> tuple[int, float] | None:
    query = "SELECT value_ms, value FROM sensor WHERE gateway = ? AND channel = ? AND quantity = ?"
    row = db.execute(query, (bound.gateway, bound.channel, quantity)).fetchone()
    return (int(row[0]), float(row[1])) if row and row[1] is not None else None


def _clipped(incidents: Iterable[Incident], span: Span, now_ms: int) -> list[tuple[int, int]]:
    """Return the times of incidents within the week."""
    found = []
    for one in incidents:
        until_ms = one.until_ms or one.ended_ms or (one.bad_ms if one.late else now_ms)
        found.append((max(one.since_ms, span.start_ms), min(until_ms, span.end_ms)))
    return [(start, end) for start, end in found if start < end]


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined


def _hours(spans: Iterable[tuple[int, int]]) -> float:
    return sum(end - start for start, end in spans) / HOUR_MS


def _happened(one: Incident) -> Happened:
    until_ms = one.until_ms or one.ended_ms
    return Happened(one.what_vi, one.what_en, one.place_vi, one.place_en, one.since_ms, until_ms, one.cause)


def _sims(db: sqlite3.Connection, gateways: set[str]) -> list[Sim]:
    found = selected(db, "quantity LIKE 'sim!_%' ESCAPE '!' AND ended_ms IS NULL AND NOT late ORDER BY gateway, id")
    return [
        Sim(one.gateway, one.what_vi, one.what_en, one.quantity, one.value) for one in found if one.gateway in gateways
    ]


def _map(
    path: Path, hamlets: Sequence[HamletNow], span: Span, now_ms: int
) -> tuple[Cells | None, tuple[Walk, ...], str, bool]:
    """Return what the map says around hamlets, where to walk next, why it cannot be read, whether it is a sample."""
    try:
        now = sheet(path, LAYERS[0], 0, MONTH_NOW, RES)
        before = sheet(path, LAYERS[0], 0, _month_before(span), RES)
        fast = sheet(path, LAYERS[1], 0, MONTH_NOW, RES)
        near = sheet(path, LAYERS[0], 0, MONTH_NOW, RES_WALK)
        if now is None:
            return None, (), "", False
        at = _nearest(hamlets, [*now.cells, *(before.cells if before else ())])
        was = {one.cell: one.state for one in before.cells} if before else {}
        mine = [one for one in now.cells if one.cell in at and one.state != "unmeasured"]
        gained = [at[one.cell] for one in mine if one.state in COVERED and was.get(one.cell) == "none"]
        lost = [at[one.cell] for one in mine if one.state == "none" and was.get(one.cell) in COVERED]
        measured = sum(1 for one in mine if span.start_ms <= one.last_ms < span.end_ms)
        states_5g = [one.state for one in fast.cells if one.cell in at] if fast else []
        with_5g = sum(map(states_5g.count, COVERED))
        walks = _walks(near.cells if near else [], hamlets, now_ms)
        sample = invented(path)
    except UNREADABLE as error:
        return None, (), str(error) or type(error).__name__, False
    cells = Cells(measured, tuple(sorted(gained)), tuple(sorted(lost)), states_5g.count("none"), with_5g)
    return cells, walks, "", sample


def _month_before(span: Span) -> int:
    """Return the month before that of the week's last day, as yyyymm."""
    last = span.monday - timedelta(1)
    first = last.replace(day=1) - timedelta(1)
    return first.year * 100 + first.month


def _nearest(hamlets: Sequence[HamletNow], cells: Iterable[Judged]) -> Mapping[int, str]:
    """Return the name of the nearest hamlet of each cell, of those that are not too far from any."""
    found = {}
    for cell in {one.cell for one in cells}:
        at = h3.cell_to_latlng(cell)
        away = [(float(h3.great_circle_distance((one.lat, one.lon), at, "m")), one.name) for one in hamlets]
        nearest_m, name = min(away, default=(math.inf, ""))
        if nearest_m <= FAR_M:
            found[cell] = name
    return found


def _walks(cells: Sequence[Judged], hamlets: Sequence[HamletNow], now_ms: int) -> tuple[Walk, ...]:
    names = {one.code: one.name for one in hamlets}
    return tuple(
        Walk(names.get(one.hamlet, one.hamlet), one.distance_m, round(one.bearing / 45) % 8, one.why)
        for one in walk_next(cells, hamlets, now_ms, RES_WALK, WALKS)
    )
