"""The first screen: how the garden is, and what waits for whoever looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.registry.kinds import Story
from cloud.staff.book.bindings import named
from cloud.staff.told import queue, reports
from cloud.staff.told.stories import QUEUE
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.responses import Response

    from cloud.staff.visit import Visit


def today(visit: Visit) -> Response:
    """The morning's look."""
    now = visit.staff.today()
    return visit.page(
        "today.html",
        today=now,
        resting=[one for one in now.sensors if one.rests_until_ms] if now else [],
        waiting=list(_waiting(visit)),
        places=named(visit),
        quantities={name: visit.s.one(one.vi, one.en) for name, one in QUANTITIES.items()},
    )


def _waiting(visit: Visit) -> Iterator[tuple[str, str]]:
    """Yield (path, words) of what somebody waits for this visitor to do."""
    stories = [one for one in visit.staff.shelf.rows("story") if isinstance(one, Story)]
    if visit.may("queue") and (n := queue.waiting(visit)):
        yield QUEUE, visit.s.say("today.to_review", n=n)
    if visit.may("reports") and (n := reports.count(visit)):
        yield reports.PATH, visit.s.say("today.reports", n=n)
    mine = [one for one in stories if one.status == "draft" and one.author == visit.somebody.name]
    if back := [one for one in mine if one.remark]:
        yield "/chuyen?cho=draft", visit.s.say("today.returned", n=len(back))
    if mine:
        yield "/chuyen?cho=draft", visit.s.say("today.drafts", n=len(mine))
