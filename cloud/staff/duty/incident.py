"""One incident: what was seen, who did what when, who was told and answered, and what can be done now."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from cloud.staff.duty.acts import MINUTES
from cloud.staff.duty.board import scope
from cloud.staff.duty.claim import sentences
from cloud.staff.duty.inputs import inputs
from cloud.staff.duty.packed import packed
from cloud.staff.duty.seen import CLOSINGS, STAGES
from cloud.staff.duty.told import card, line, name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.responses import Response

    from cloud.registry.kinds import Person
    from cloud.staff.duty.seen import Whole
    from cloud.staff.duty.told import Line
    from cloud.staff.visit import Visit


def screen(visit: Visit) -> Response:
    """The page of one incident."""
    whole = visit.staff.duty.whole(visit.whole(visit.parts["number"], 9))
    return packed(visit, _page(visit, whole, "incident.html")) if whole else visit.told("missing", status=404)


def replay(visit: Visit) -> Response:
    """The same, step by step: what was known at each moment. Without scripts it is a list."""
    whole = visit.staff.duty.whole(visit.whole(visit.parts["number"], 9))
    return _page(visit, whole, "replay.html") if whole else visit.told("missing", status=404)


def lines(visit: Visit, whole: Whole) -> Iterator[Line]:
    """Yield the journal of an incident, oldest first."""
    return (line(visit, event, whole.one) for event in whole.events)


def _page(visit: Visit, whole: Whole, template: str) -> Response:
    one, s = whole.one, visit.s
    desk = visit.staff.duty
    drawn, told = inputs(visit, one), list(lines(visit, whole))
    going = [other for other in desk.going() if other.alive and other.number != one.number] if one.alive else []
    return visit.page(
        template,
        card=card(visit, one),
        key=secrets.token_hex(8),
        one=one,
        lines=told,
        older=whole.older,
        stages=_stages(told),
        inputs=drawn,
        at=[drawn.at(visit, row.at_ms) for row in told] if template == "replay.html" else [],
        parts=[card(visit, part) for part in whole.parts],
        letters=[(letter, _reader(visit, letter.person)) for letter in whole.letters],
        reasons=sentences(visit, one),
        closings=[(word, s.word("closed_as", word)) for word in (("drill",) if one.exercise else CLOSINGS)],
        higher=_higher(one.stage) if one.going else set(),
        people=[(person.code, person.name) for person in _people(visit)] if visit.may("duty act") else [],
        merges=[card(visit, other) for other in going if other.exercise == one.exercise],
        scopes=_scopes(visit, whole),
        minutes=MINUTES,
        silences=[(silence, name(visit, silence.author), scope(visit, silence.scope)) for silence in desk.silences()],
        ill=desk.ill,
    )


def _higher(stage: str) -> set[str]:
    """Return the stages that an incident can be led to: what is under control may burn again."""
    above = STAGES[STAGES.index(stage) + 1 :]
    return {*above, "confirmed"} if stage == "under-control" else set(above)


def _reader(visit: Visit, person: str) -> str:
    """Return to whom a letter was written; of who is in the registry no more officers see the address."""
    called = name(visit, person)
    return called if called != person or visit.may("person list") else "…"


def _stages(told: list[Line]) -> list[str]:
    """Return the stage that an incident was at after each line."""
    now, found = "", []
    for row in told:
        now = row.stage or now
        found.append(now)
    return found


def _people(visit: Visit) -> list[Person]:
    """Return whom an incident can be given to: who is told of things, and is on duty, told of fires, or acts here."""
    shelf = visit.staff.shelf
    on_duty = {getattr(one, "person", "") for one in shelf.rows("duty")}
    rows: list[Any] = shelf.rows("person")
    return [
        one
        for one in rows
        if one.code in on_duty or "fire-watch" in one.roles or (one.roles and one.access in ("officer", "admin"))
    ]


def _scopes(visit: Visit, whole: Whole) -> list[tuple[str, str]]:
    """Return what can be silenced from here: the place, the sensor, or the whole gateway."""
    one, found = whole.one, []
    if one.place:
        found.append((one.place, visit.s.one(one.place_vi, one.place_en)))
    if one.gateway and one.channel:
        found.append((f"channel:{one.gateway}/{one.channel}", f"{one.gateway}/{one.channel}"))
    if one.gateway:
        found.append((f"gateway:{one.gateway}", one.gateway))
    return found
