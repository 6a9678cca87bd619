"""What was before: the newest first, by what was at stake, how it was closed, where, when, and exercise or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.clock import DAY_MS, midnight_ms
from cloud.staff.book.bindings import named
from cloud.staff.duty.seen import CLOSINGS, GRADES, LIFE, OPEN, Wanted
from cloud.staff.duty.told import card

if TYPE_CHECKING:
    from starlette.responses import Response

    from cloud.staff.visit import Visit

A_PAGE = 40
TRUE_ONES = {"no": False, "yes": True}


def listed(visit: Visit) -> Response:
    """The list. What of an address cannot be read is left out of it, and the form shows what was understood."""
    place, drill, s = visit.asked("noi")[:128], visit.asked("tap"), visit.s
    first, last = visit.day(visit.asked("tu")), visit.day(visit.asked("den"))
    closed_as = visit.asked("la") if visit.asked("la") in (OPEN, *CLOSINGS) else ""
    grade = visit.asked("loai") if visit.asked("loai") in GRADES else LIFE
    wanted = Wanted(
        below=visit.whole(visit.asked("truoc"), 9) or None,
        from_ms=midnight_ms(first) if first else None,
        to_ms=midnight_ms(last) + DAY_MS if last else None,
        closed_as=closed_as,
        place=place,
        exercise=TRUE_ONES.get(drill),
        grade=grade,
    )
    found = visit.staff.duty.past(wanted, A_PAGE + 1)
    more = found[A_PAGE - 1].number if len(found) > A_PAGE else None
    return visit.page(
        "duty_history.html",
        cards=[card(visit, one) for one in found[:A_PAGE]],
        closings=[(OPEN, s.say("duty.still_open"), closed_as == OPEN)]
        + [(one, s.word("closed_as", one), one == closed_as) for one in CLOSINGS],
        places=[(f"{kind}:{code}", called, f"{kind}:{code}" == place) for (kind, code), called in named(visit).items()],
        drills=[
            ("no", s.say("duty.drill_no"), drill == "no"),
            ("yes", s.say("duty.drill_yes"), drill == "yes"),
        ],
        grades=[(one, s.word("grade", one), one == grade) for one in GRADES],
        first=first or "",
        last=last or "",
        onward={
            "loai": grade,
            "la": closed_as,
            "noi": place,
            "tap": drill,
            "tu": first or "",
            "den": last or "",
            "truoc": more,
        },
        more=more,
    )
