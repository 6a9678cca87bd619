"""Files of surveys that teams bring: sent up to the disk, read by the coverage room, with how far that is."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cloud.coverage import reasons
from cloud.coverage.brought import TooLarge
from cloud.coverage.uploads import FILE, MOST_BYTES
from cloud.registry.alphabet import order
from cloud.staff.aside.uploads import FORM
from cloud.store import Retry

if TYPE_CHECKING:
    from starlette.responses import Response

    from cloud.staff.visit import Visit

log = logging.getLogger(__name__)
PATH = "/do-song"
LARGEST = MOST_BYTES + FORM
AGAIN_S = 3  # while a file is read its page shows itself anew


def screen(visit: Visit) -> Response:
    """What was sent, and a form for more."""
    return _screen(visit)


def send(visit: Visit) -> Response:
    """Hand a file to the coverage room."""
    file = visit.upload.file if visit.upload else None
    if file is None:
        return _screen(visit, why="surveys.no_file")
    with file:
        team = visit.staff.shelf.teams.get(visit.given("team"))
        if team is None:
            return _screen(visit, why="surveys.no_team")
        if not file.read(1):
            return _screen(visit, why="surveys.no_file")
        file.seek(0)
        try:
            _, name = visit.staff.surveys.bring(file, team.code)
        except TooLarge:
            return visit.told("too_long", status=413, limit=visit.s.number(MOST_BYTES / 1e6))
        except Retry as fault:
            log.warning("survey-not-taken why=%r", str(fault))
            return _screen(visit, why="surveys.no_room", status=503)
    return visit.go(f"{PATH}/{name}")


def one(visit: Visit) -> Response:
    """How far a file is read, and what became of it."""
    name = visit.parts["file"]
    if not FILE.fullmatch(name):
        return visit.told("missing", status=404)
    survey = next(iter(visit.staff.surveys.progress(name)), None)
    attended = visit.staff.surveys.attended
    page = visit.page(
        "survey.html", survey=survey, file=name, attended=attended, names=_names(visit), reasons=reasons.told
    )
    if survey.done_ms is None if survey else attended:
        page.headers["Refresh"] = str(AGAIN_S)
    return page


def _screen(visit: Visit, *, why: str = "", status: int = 422) -> Response:
    return visit.page(
        "surveys.html",
        status=status if why else 200,
        why=visit.s.say(why) if why else "",
        surveys=visit.staff.surveys.progress(),
        teams=sorted(visit.staff.shelf.teams.values(), key=lambda one: order(one.name)),
        names=_names(visit),
        most=MOST_BYTES // 1_000_000,
        reasons=reasons.told,
    )


def _names(visit: Visit) -> dict[str, str]:
    return {code: team.name for code, team in visit.staff.shelf.teams.items()}
