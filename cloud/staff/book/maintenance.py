"""Maintenance: sensors that somebody works at say nothing to the world until an end that is set when it begins."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from cloud.clock import hanoi
from cloud.registry.alphabet import plain
from cloud.registry.cells import Bad
from cloud.registry.kinds import Binding, Maintenance
from cloud.registry.rows import columns
from cloud.staff.book.bindings import hanging, named
from cloud.staff.shelf import key_of_texts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from starlette.responses import Response

    from cloud.staff.visit import Visit

MINUTES = {"30": ("minutes", 30), "60": ("hours", 1), "120": ("hours", 2), "240": ("hours", 4), "480": ("hours", 8)} | {
    str(1440 * days): ("days", days) for days in (1, 3, 7)
}
USUAL = "60"
MOST_SHOWN, PAST_SHOWN = 40, 20
MINUTE = timedelta(minutes=1)


class Choice(NamedTuple):
    """A sensor that may be chosen: gateway/channel, and where it hangs."""

    source: str
    place: str
    chosen: bool


def screen(visit: Visit) -> Response:
    """What is under maintenance, and the form."""
    chosen = {value for name, value in visit.query if name == "o"}
    if device := visit.asked("may"):
        chosen |= {_source(one) for one in hanging(visit) if one.device == device}
    return _screen(visit, chosen)


def begin(visit: Visit) -> Response:
    """Put sensors under maintenance from this minute on, all or none."""
    chosen, minutes = set(visit.form.get("o", [])), visit.given("bao-lau")
    known = _sensors(visit)
    if not chosen or not chosen <= known.keys() or minutes not in MINUTES:
        return _screen(visit, chosen & known.keys(), why=visit.s.say("rest.no_sensor"))
    now = hanoi(visit.s.now_ms).replace(second=0, microsecond=0)
    busy = {f"{one.gateway}/{one.channel}" for one in _rows(visit) if one.starts <= now < one.ends}
    if which := ", ".join(sorted(chosen & busy)):
        return _screen(visit, chosen, why=visit.s.say("rest.already", which=which), status=409)
    why = visit.given("why")
    try:
        cell = next(column.cell for column in columns(Maintenance) if column.name == "why")
        cell.read("why", why)
        rows = [_begun(known[source], now, int(minutes), why) for source in sorted(chosen)]
        with visit.staff.shelf.act(visit.who, f"maintenance {', '.join(sorted(chosen))}") as draft:
            draft.put(rows)
    except Bad as bad:
        return _screen(visit, chosen, why=visit.s.why(bad))
    return visit.go("/bao-tri", xong="rests", gi=", ".join(sorted(chosen)))


def end(visit: Visit) -> Response:
    """End one that runs, with this minute."""
    key = key_of_texts("maintenance", visit.form.get("k", []))
    row = next((one for one in _rows(visit) if (one.gateway, one.channel, one.starts) == key), None)
    if row is None:
        return visit.told("missing", status=404)
    now = hanoi(visit.s.now_ms).replace(second=0, microsecond=0)
    source = f"{row.gateway}/{row.channel}"
    if now < row.ends:
        with visit.staff.shelf.act(visit.who, f"maintenance {source}") as draft:
            draft.put([replace(row, ends=max(now, row.starts) + MINUTE)])
    return visit.go("/bao-tri", xong="works", gi=source)


def _screen(visit: Visit, chosen: Iterable[str], *, why: str = "", status: int = 0) -> Response:
    s, places, now = visit.s, named(visit), hanoi(visit.s.now_ms)
    words = plain(visit.asked("q")[:100]).split()
    choices = sorted(
        Choice(_source(one), places.get((one.place, one.code), one.code), _source(one) in chosen)
        for one in _sensors(visit).values()
    )
    found = [one for one in choices if one.chosen or all(word in plain(f"{one.place} {one.source}") for word in words)]
    found.sort(key=lambda one: not one.chosen)
    rows = sorted(_rows(visit), key=lambda one: one.ends, reverse=True)
    return visit.page(
        "maintenance.html",
        status=status or (422 if why else 200),
        why=why,
        running=[one for one in rows if now < one.ends],
        past=[one for one in rows if one.ends <= now][:PAST_SHOWN],
        choices=found[:MOST_SHOWN],
        more=len(found) - MOST_SHOWN,
        q=visit.asked("q")[:100],
        lengths=[(minutes, s.say(f"rest.{unit}", n=n), minutes == USUAL) for minutes, (unit, n) in MINUTES.items()],
        whys=[(one, s.word("why", one)) for one in ("cleaning", "calibration", "repair", "trial")],
        ms=lambda moment: round(moment.timestamp() * 1000),
    )


def _begun(bound: Binding, now: datetime, minutes: int, why: str) -> Maintenance:
    ends = now + timedelta(minutes=minutes)
    made = Maintenance(gateway=bound.gateway, channel=bound.channel, starts=now, ends=ends, why=why)
    made.check()
    return made


def _sensors(visit: Visit) -> dict[str, Binding]:
    """Return them by what they are called; of the places of one its nearest."""
    return {_source(one): one for one in sorted(hanging(visit), key=lambda one: -one.distance_m)}


def _rows(visit: Visit) -> list[Maintenance]:
    return [one for one in visit.staff.shelf.rows("maintenance") if isinstance(one, Maintenance)]


def _source(bound: Binding) -> str:
    return f"{bound.gateway}/{bound.channel}"
