"""A month of the garden on paper: for each zone what was measured, how completely, what was suspected and changed.

The page and the PDF are made of one `Report` of texts, so they cannot differ.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from cloud.clock import hanoi, midnight_ms
from cloud.registry.kinds import KINDS, PLACES, Binding, Tree, Zone, spoken
from cloud.registry.periods import valid_on
from cloud.staff.figures import picture, sheet
from cloud.staff.figures.gather import Source
from cloud.staff.figures.picture import Plot
from cloud.staff.figures.question import HOUR, RAIN, Question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cloud.registry import Registry
    from cloud.registry.kinds import Record
    from cloud.registry.trail import Act, Change
    from cloud.staff.figures.table import Column, Table
    from cloud.staff.incidents import Suspicion
    from cloud.staff.words import Speaker
    from cloud.store.history import History

REPORTED = (
    "air_temperature", "air_humidity", RAIN, "soil_moisture", "soil_temperature", "wind_speed", "pm2_5",
)  # fmt: skip
MOST_LINES = 200  # of one zone: what is more flows onto further pages
MOST_TOLD = 40  # alarms of a zone, and changes; the others are counted


class Chart(msgspec.Struct, frozen=True):
    """One quantity of a zone by days, with what stands at the top and at the bottom."""

    title: str
    high: str
    low: str
    drawn: Plot


class Part(msgspec.Struct, frozen=True):
    """One zone: rows of a table, pictures of some of them, and lines."""

    title: str
    rows: list[list[str]]
    charts: list[Chart]
    alarms: list[str]
    changes: list[str]
    notes: list[str]


class Report(msgspec.Struct, frozen=True):
    """All of it, as it is read."""

    title: str
    made: str
    names: list[str]
    heads: list[str]  # of a table, of pictures, of alarms, of changes
    legend: str  # of the pictures
    days: tuple[str, str]  # the first and the last
    parts: list[Part]
    without: str  # the zones of which there is nothing to say


class Garden(NamedTuple):
    """What the registry says, and the journal: read before the store is asked."""

    zones: list[Zone]
    trees: list[Tree]
    bindings: list[Binding]
    names: dict[tuple[str, str], str]
    acts: list[tuple[Act, list[Change]]]
    alarms: list[Suspicion]
    meaning: Registry  # maintenance and calibrations


def month_of(text: str, today: date) -> date:
    """Return the first day of the month that was asked for; of the last whole one where it was not."""
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        return (today.replace(day=1) - timedelta(1)).replace(day=1)
    return first if 2000 <= first.year <= 2200 else today.replace(day=1)


def next_month(first: date) -> date:
    """Return the first day of the month after."""
    return (first + timedelta(31)).replace(day=1)


def made(store: History, garden: Garden, first: date, s: Speaker, step: Callable[[int, int], None]) -> Report:
    """Return the report of a month. Raises Retry."""
    parts, without = [], []
    for number, zone in enumerate(garden.zones):
        step(number, len(garden.zones))
        part = _part(store, garden, zone, first, s)
        if part is None:
            without.append(garden.names["zone", zone.code])
        else:
            parts.append(part)
    return Report(
        s.say("report.of", month=f"{first:%m/%Y}"),
        f"{s.say('data.made')} {hanoi(s.now_ms):%H:%M, %d/%m/%Y}",
        [s.say(f"report.{name}") for name in _NAMES],
        [s.say(f"report.{name}") for name in ("figures", "charts", "alarms", "changes")],
        s.say("report.legend"),
        (f"{first:%d/%m}", f"{next_month(first) - timedelta(1):%d/%m}"),
        parts,
        s.say("report.without", names=", ".join(without)) if without else "",
    )


_NAMES = ("what", "mean", "low", "high", "complete")


def _part(store: History, garden: Garden, zone: Zone, first: date, s: Speaker) -> Part | None:
    places = (("zone", zone.code), *(("tree", tree.code) for tree in garden.trees if tree.zone == zone.code))
    asked = Question(places, REPORTED, first, next_month(first) - timedelta(1), HOUR)
    hung = [one for one in garden.bindings if (one.place, one.code) in set(places)]
    table = Source(store, garden.meaning, s.now_ms).table(asked, hung, MOST_LINES) if hung else None
    columns = table.columns if table else []
    alarms = [_alarm(one, s) for one in garden.alarms if tuple(one.place.split(":", 1)) in places]
    codes = _Codes(
        frozenset(places),
        frozenset(one.gateway for one in hung),
        frozenset(one.device for one in hung if one.device),
    )
    changes = [line for act, own in garden.acts for line in _changes(act, own, garden, codes, s)]
    if not (columns or alarms or changes):
        return None
    rows = [_row(column, table, garden, s) for column in columns] if table else []
    return Part(
        garden.names["zone", zone.code],
        rows,
        list(_charts(columns, garden, s)),
        _short(alarms, s) or [s.say("report.no_alarm")],
        _short(changes, s) or [s.say("report.no_change")],
        list(_notes(columns, s)),
    )


def _notes(columns: Sequence[Column], s: Speaker) -> Iterator[str]:
    if any(column.invented for column in columns):
        yield s.say("report.invented", n=sum(c.invented for c in columns), of=sum(len(c.there) for c in columns))
    if not columns:
        yield s.say("report.nothing")
    if any(column.line.quantity == RAIN for column in columns):
        yield s.say("report.rain")


def _charts(columns: Sequence[Column], garden: Garden, s: Speaker) -> Iterator[Chart]:
    """Yield a picture of each quantity, by days: of the line that is most complete."""
    best: dict[str, Column] = {}
    for column in columns:
        if column.found > (best[column.line.quantity].found if column.line.quantity in best else 0):
            best[column.line.quantity] = column
    for column in best.values():
        drawn = picture.plot(column, 24)
        if drawn is not None:
            high, low = (s.exactly(value, column.line.quantity) for value in (drawn.high, drawn.low))
            yield Chart(_called(column, garden, s), high, low, drawn)


def _row(column: Column, table: Table, garden: Garden, s: Speaker) -> list[str]:
    line = column.line
    whole = "—" if column.complete is None else f"{s.number(column.complete)} % ({column.found}/{column.due})"
    mean = "—" if column.mean is None else s.exactly(column.mean, line.quantity)
    low = "—" if line.quantity == RAIN else _edge(column, column.lowest, column.lows, table, s)
    return [_called(column, garden, s), mean, low, _edge(column, column.highest, column.highs, table, s), whole]


def _called(column: Column, garden: Garden, s: Speaker) -> str:
    line = column.line
    own = "" if line.place[0] == "zone" else f" · {garden.names.get(line.place, line.place[1])}"
    return f"{sheet.called(column, s, HOUR)}{own} · {line.source}"


def _edge(column: Column, at: int | None, own: Any, table: Table, s: Speaker) -> str:
    if at is None:
        return "—"
    return f"{s.exactly(own[at], column.line.quantity)} ({hanoi(table.times[at]):%d/%m %H:%M})"


def _alarm(one: Suspicion, s: Speaker) -> str:
    ended = s.say("report.lasts") if one.ended_ms is None else f"{hanoi(one.ended_ms):%d/%m %H:%M}"
    what, where = s.one(one.what_vi, one.what_en), s.one(one.place_vi, one.place_en)
    return f"{hanoi(one.since_ms):%d/%m %H:%M} – {ended}: {what} · {where}"


def _changes(act: Act, changes: Sequence[Change], garden: Garden, codes: _Codes, s: Speaker) -> Iterator[str]:
    """Yield a line for each table of which an act added, changed or removed something that belongs to a zone."""
    of_kind: dict[tuple[str, str], list[Change]] = {}
    for one in changes:
        if any(codes.hold(one.kind, record) for record in (one.before, one.after) if record is not None):
            how = "added" if one.before is None else "removed" if one.after is None else "changed"
            of_kind.setdefault((one.kind, how), []).append(one)
    for (kind, how), own in of_kind.items():
        which = ", ".join(_named(one, garden, act.at_ms) for one in own[:3]) + (
            f" … ({len(own)})" if len(own) > 3 else ""
        )
        yield f"{hanoi(act.at_ms):%d/%m %H:%M} · {s.say(f'kind.{kind}')} · {s.say(f'report.{how}')}: {which}"


def _named(change: Change, garden: Garden, at_ms: int) -> str:
    """Return what people call the row of a change: by its name, else by its sensor or code, and where that hung."""
    if name := garden.names.get((change.kind, str(change.key[0]))):
        return name
    record = change.after or change.before
    sensor = (getattr(record, "gateway", ""), getattr(record, "channel", ""))
    own_bindings = (one for one in garden.bindings if (one.gateway, one.channel) == sensor)
    hung = next((one for one in own_bindings if valid_on(one, hanoi(at_ms).date())), None)
    own = record if isinstance(record, Binding) else hung
    place = (own.place, own.code) if own else ("tree", getattr(record, "tree", ""))
    at, what = garden.names.get(place, ""), "/".join(sensor) if all(sensor) else spoken(change.key)
    return f"{what} ({at})" if at else what


class _Codes(NamedTuple):
    """What belongs to a zone: places, stations and devices."""

    places: frozenset[tuple[str, str]]
    stations: frozenset[str]
    devices: frozenset[str]

    def hold(self, kind: str, record: Record) -> bool:
        """Tell whether a record is told of at the zone."""
        if KINDS[kind].private or kind in _UNTOLD:
            return False
        code = getattr(record, "code", "")
        if kind in PLACES:
            return (kind, code) in self.places
        if kind == "device":
            return code in self.devices
        station = code if kind == "gateway" else getattr(record, "gateway", "")
        return (
            (getattr(record, "place", ""), code) in self.places
            or ("tree", getattr(record, "tree", "")) in self.places
            or station in self.stations
        )


_UNTOLD = frozenset({"story", "photo", "voice", "lot", "lot_input"})  # they are no work on what measures


def _short(lines: list[str], s: Speaker) -> list[str]:
    more = len(lines) - MOST_TOLD
    return [*lines[:MOST_TOLD], s.say("report.more", n=more)] if more > 0 else lines


def acts_of(book: Any, start_ms: int, end_ms: int) -> list[tuple[Act, list[Change]]]:
    """Return what was done to the registry in a time, newest first, with what it changed."""
    found, before = [], None
    while acts := book.acts(100, before):
        found += [(act, book.changes(act.id)) for act in acts if start_ms <= act.at_ms < end_ms]
        before = acts[-1].id
        if acts[-1].at_ms < start_ms:
            break
    return found


def span_of(first: date) -> tuple[int, int]:
    """Return [start, end) of a month in ms."""
    return midnight_ms(first), midnight_ms(next_month(first))
