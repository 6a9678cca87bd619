"""Incidents, events and letters as people read them: names instead of codes, figures with their unit, one language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cloud.registry.people import RUNGS
from cloud.staff.duty.claim import why
from cloud.staff.duty.seen import STAGES
from cloud.staff.words import UNITS
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from markupsafe import Markup

    from cloud.staff.duty.seen import Event, Seen
    from cloud.staff.visit import Visit

_SHOWN = ("closed_as", "into", "part", "scope", "before", "channel", "why")  # of an event's inputs
_BEGINS = ("opened", "late", "reopened")
_SURE = {
    "suspected": "sure_one",
    "probable": "sure_several",
    "confirmed": "sure_person",
    "under-control": "sure_person",
}


class Card(NamedTuple):
    """An incident on the board. `next` says who is told when; `figures` value and limit; `sure` how sure that is."""

    one: Seen
    what: str
    place: str
    stage: str
    figures: str
    sure: str
    acked: str
    assignee: str
    next: Markup | str
    closer: str
    forms: bool


def card(visit: Visit, one: Seen) -> Card:
    """Return an incident as the board shows it."""
    s = visit.s
    more = len(one.parts)
    doubt = "sure_people" if one.reported and one.stage == "suspected" else _SURE.get(one.stage, "sure_one")
    sure = s.say(f"duty.{doubt}") if one.grade == "life" else ""
    if more and sure:
        sure = f"{sure} · {s.say('duty.also', n=more)}"
    return Card(
        one,
        s.one(one.what_vi, one.what_en),
        s.one(one.place_vi, one.place_en) or s.say("duty.no_place"),
        s.word("stage", one.stage) if one.grade == "life" else _class(visit, one),
        figures(visit, one),
        sure,
        name(visit, one.acked_by),
        name(visit, one.assignee),
        following(visit, one),
        name(visit, one.closed_by),
        visit.may("duty act") and one.alive,
    )


def _class(visit: Visit, one: Seen) -> str:
    """Return what kind of thing it is that is no danger to life, and whether it goes on."""
    return f"{visit.s.word('grade', one.grade)}: {visit.s.say('duty.going' if one.going else 'duty.over')}"


def figures(visit: Visit, one: Seen) -> str:
    """Return the worst figure of an incident and its limit, or why the detector claims it; "" where there is none."""
    if reasons := why(visit, one):
        return "; ".join(reasons[:2])
    if one.reported:
        return visit.s.say("duty.reported", n=one.reported)
    if one.value is None or one.quantity not in QUANTITIES:
        return ""
    s, own = visit.s, QUANTITIES[one.quantity]
    told = f"{s.one(own.vi, own.en)}: {amount(visit, one.value, one.quantity)}"
    if one.peak is not None and one.peak != one.value:
        told += f" · {s.say('duty.peak')} {amount(visit, one.peak, one.quantity)}"
    if one.limit is not None:
        told += f" · {s.say('duty.limit')} {amount(visit, one.limit, one.quantity)}"
    return told


def amount(visit: Visit, value: float, quantity: str) -> str:
    """Return a value with its unit."""
    own = QUANTITIES[quantity]
    if own.codes and int(value) in own.codes:
        return visit.s.one(*own.codes[int(value)])
    unit = own.unit
    return f"{visit.s.exactly(value, quantity)} {UNITS.get(unit, unit)}".strip()


def name(visit: Visit, code: str) -> str:
    """Return what people call somebody; the code of who is in the registry no more."""
    person = visit.staff.shelf.person(code) if code else None
    return person.name if person else code


def following(visit: Visit, one: Seen) -> Markup | str:
    """Return who is told next and when, as long as nobody has answered; or when it is asked again."""
    if one.next_ms is None or not one.going:
        return ""
    s, when = visit.s, visit.s.when(one.next_ms)
    if one.next_rung < 0:
        return when.__class__("{} {}").format(s.say("duty.kept_until"), when)
    rung = RUNGS[one.next_rung] if one.next_rung < len(RUNGS) else "everybody"
    key = "duty.asks_again" if one.acked_ms is not None else "duty.next"
    return when.__class__("{} {}").format(s.say(key, rung=s.word("rung", rung)), when)


class Line(NamedTuple):
    """A line of the timeline. `own` are the words that a person said, or the machine's own in this language."""

    at_ms: int
    what: str
    who: str
    own: str
    facts: str
    stage: str  # from here on, "" as before
    by_hand: bool


def line(visit: Visit, event: Event, of: Seen) -> Line:
    """Return an event of an incident as people read it: only what is about life has stages, and is suspected."""
    s, hand = visit.s, bool(event.who)
    inputs = dict(event.inputs)
    stage = event.event if event.event in STAGES else "suspected" if event.event in _BEGINS else ""
    by = s.word("by", str(inputs["by"])) if inputs.get("by") else ""
    who = f"{name(visit, event.who)}{f' ({by})' if by else ''}" if hand else ""
    shown = ("to", *_SHOWN) if event.event == "assigned" else _SHOWN  # of a letter it is an address
    facts = [_fact(visit, key, inputs[key]) for key in shown if inputs.get(key) not in (None, "")]
    if isinstance(rung := inputs.get("rung"), int) and event.event == "escalated":
        facts.append(s.word("rung", RUNGS[rung] if 0 <= rung < len(RUNGS) else "everybody"))
    if event.event == "hotspot":
        seen = s.say("duty.above", satellite=inputs.get("satellite", ""), km=s.number(float(inputs.get("km") or 0.0)))
        facts.append(f"{seen} {s.when(int(inputs.get('seen_ms') or 0))}")
    value = inputs.get("value")
    if isinstance(value, (int, float)) and (quantity := str(inputs.get("quantity", ""))) in QUANTITIES:
        facts.append(amount(visit, float(value), quantity))
    own = event.words if hand or s.lang == "en" else str(inputs.get("vi", ""))
    what = f"{event.event}_by" if hand and event.event in ("opened", "reopened") else event.event
    if what in ("opened", "evidence") and of.reported:
        what = f"{what}_people"
    if of.grade != "life":
        stage, what = "", f"{what}_{of.grade}" if event.event in ("opened", "ended", "reopened") else what
    return Line(event.at_ms, s.word("event", what), who, own, " · ".join(facts), stage, hand)


def _fact(visit: Visit, key: str, value: Any) -> str:
    s = visit.s
    if key == "closed_as":
        return s.word("closed_as", str(value))
    if key == "to":
        return name(visit, str(value))
    if key in ("into", "part"):
        return s.say("duty.number", n=value)
    return str(value)
