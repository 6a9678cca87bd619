"""The duty board: what is open, who has it and who is told next, read in five seconds, answered by one tap.

Its inner part is made here alone: a page without scripts loads it whole, one with scripts fetches it again every few
seconds, and says loudly when it cannot. A tap that did not arrive is said, and never kept for later.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from cloud.registry.kinds import Zone
from cloud.staff.duty.map import drawn
from cloud.staff.duty.nodes import nodes
from cloud.staff.duty.packed import packed
from cloud.staff.duty.seen import LIFE, Wanted
from cloud.staff.duty.told import card, name
from cloud.staff.visit import templates

if TYPE_CHECKING:
    from cloud.staff.duty.seen import Seen
    from cloud.staff.visit import Visit

SAID = (
    "armed", "not_armed", "blocked", "again", "fresh", "lost", "signed_out", "sending", "not_sent", "unsure", "alarm",
    "drill", "awake",
)  # fmt: skip
MOST = 60  # cards; what is more is in the history
JUST, JUST_MS = 5, 3_600_000  # of what was just closed: who comes back to the board finds what became of it


def screen(visit: Visit) -> Response:
    """The board."""
    said = {word: visit.s.say(f"bell.{word}") for word in SAID}
    found = _found(visit)
    return packed(visit, visit.page("duty.html", said=said, rings=_rings(found["cards"]), **found))


def state(visit: Visit) -> Response:
    """The inner part of the board as it is now, and what rings; nothing (304) where it is as the visitor has it."""
    found = _found(visit)
    html = templates().get_template("duty_board.html").render(v=visit, s=visit.s, **found)
    body = msgspec.json.encode({"rings": _rings(found["cards"]), "html": html})
    tag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    headers = {"ETag": tag}
    if visit.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return packed(visit, Response(body, headers=headers, media_type="application/json"))


def _rings(cards: list[Any]) -> list[tuple[int, str, bool]]:
    """Return what nobody has answered: (number, stage, whether it is an exercise). A raised stage is another ring."""
    return [(one.one.number, one.one.stage, one.one.exercise) for one in cards if one.one.rings]


def _found(visit: Visit) -> dict[str, Any]:
    desk, now_ms = visit.staff.duty, visit.s.now_ms
    going = sorted(desk.going(), key=_order)
    life = [one for one in going if one.alive]
    watched = nodes(visit)
    zones = [one for one in visit.staff.shelf.rows("zone") if isinstance(one, Zone)]
    return {
        "ill": desk.ill,
        "cards": [card(visit, one) for one in life[:MOST]],
        "open": len(life),
        "others": [card(visit, one) for one in going if not one.alive][:MOST],
        "closed": [card(visit, one) for one in desk.past(Wanted(closed_ms=now_ms - JUST_MS), JUST)],
        "silences": [(one, name(visit, one.author), scope(visit, one.scope)) for one in desk.silences()],
        "channels": sorted(desk.channels(), key=lambda one: not one.fails(now_ms)),
        "map": drawn(zones, watched, life[:MOST], now_ms),
        "quiet": desk.quiet() if not life else None,
        "nodes": watched,
        "watching": [one for one in watched if one.watches(now_ms)],
        "gathered": visit.staff.today() is not None,
    }


def scope(visit: Visit, told: str) -> str:
    """Return what a silence is about, as people call it."""
    kind, _, code = told.partition(":")
    if told == "*":
        return visit.s.say("duty.everywhere")
    found = next((one for one in _rows(visit, kind) if getattr(one, "code", "") == code), None)
    return (visit.s.name(found) if found else "") or code or told


def _rows(visit: Visit, kind: str) -> list[Any]:
    return visit.staff.shelf.rows(kind) if kind in ("zone", "tree", "hamlet", "commune", "gateway") else []


def _order(one: Seen) -> tuple[bool, bool, int, int]:
    """Life first, exercises after what is true, what nobody has before what somebody has, the newest first."""
    return one.grade != LIFE, one.exercise, one.acked_ms is not None, -one.number
