"""What was suspected before: the newest first, by how it was closed and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.staff.book.bindings import named
from cloud.staff.duty.seen import CLOSINGS
from cloud.staff.duty.told import card

if TYPE_CHECKING:
    from starlette.responses import Response

    from cloud.staff.visit import Visit

A_PAGE = 40


def listed(visit: Visit) -> Response:
    """The list."""
    closed_as, place, s = visit.asked("la"), visit.asked("noi"), visit.s
    before = visit.whole(visit.asked("truoc"), 9) or None
    closed_as = closed_as if closed_as in CLOSINGS else ""
    found = visit.staff.duty.past(before, A_PAGE + 1, closed_as=closed_as, place=place[:128])
    more = found[A_PAGE - 1].number if len(found) > A_PAGE else None
    return visit.page(
        "duty_history.html",
        cards=[card(visit, one) for one in found[:A_PAGE]],
        closings=[(one, s.word("closed_as", one), one == closed_as) for one in CLOSINGS],
        places=[(f"{kind}:{code}", called, f"{kind}:{code}" == place) for (kind, code), called in named(visit).items()],
        onward={"la": closed_as, "noi": place, "truoc": str(more or "")},
        more=more,
    )
