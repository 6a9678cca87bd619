"""Telephones of teams that measure the network: invited by a symbol that is seen once, listed, revoked."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

from cloud.access import NotInvited, words
from cloud.access.fleet import MOST, Phone
from cloud.coverage import reasons
from cloud.registry.alphabet import order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response

    from cloud.staff.visit import Visit

PATH = "/dien-thoai"
DAYS = (30, 90, 180)
USUAL = 90
FEW = 10  # telephones of a page that people wait for
assert FEW <= MOST, "the fleet takes what the form offers"


class Crew(NamedTuple):
    """The telephones of a team, those that hold first. `name` is its code where it is no team any more."""

    name: str
    phones: list[Phone]


def screen(visit: Visit) -> Response:
    """Who was invited, and when each was heard."""
    return _screen(visit)


def invite(visit: Visit) -> Response:
    """Show the symbols of new telephones, once."""
    teams = visit.staff.shelf.teams
    team = teams.get(visit.given("team"))
    if team is None:
        return _screen(visit, why=visit.s.say("phones.no_team"))
    if find_spec("segno") is None:
        return visit.told("no_pdf", status=503)
    count, days = visit.whole(visit.given("count"), 3), visit.whole(visit.given("days"), 4)
    if not 1 <= count <= FEW or days not in DAYS:
        return _screen(visit, why=visit.s.say("phones.count", most=FEW))
    gateways = {str(getattr(one, "code", "")) for one in visit.staff.shelf.rows("gateway")}
    try:
        made = visit.staff.fleet.invite(team, count, days, who=visit.who, taken=gateways.__contains__)
    except NotInvited as error:
        return _screen(visit, why=error.told(visit.s.lang))
    return visit.page("phones_invited.html", team=team, made=made, words=words)


def revoke(visit: Visit) -> Response:
    """Let one in no more, from this moment on."""
    user = visit.given("user")
    if not visit.staff.fleet.revoke([user], who=visit.who):
        return _screen(visit, why=visit.s.say("phones.gone"), status=409)
    return visit.go(PATH, xong="revoked", gi=user)


def _screen(visit: Visit, *, why: str = "", status: int = 0) -> Response:
    return visit.page(
        "phones.html",
        status=status or (422 if why else 200),
        why=why,
        crews=_crews(visit, visit.staff.fleet.phones()),
        teams=sorted(visit.staff.shelf.teams.values(), key=lambda one: order(one.name)),
        ready=visit.staff.fleet.ready,
        days=DAYS,
        usual=USUAL,
        few=FEW,
        reasons=reasons.told,
    )


def _crews(visit: Visit, phones: Sequence[Phone]) -> list[Crew]:
    found: dict[str, list[Phone]] = {}
    for one in phones:
        found.setdefault(one.account.owner, []).append(one)
    teams, now_ms = visit.staff.shelf.teams, visit.s.now_ms
    crews = []
    for code, own in found.items():
        own.sort(key=lambda one: (not one.account.holds(now_ms), -one.account.made_ms, one.account.user))
        crews.append(Crew(teams[code].name if code in teams else code, own))
    return sorted(crews, key=lambda one: order(one.name))
