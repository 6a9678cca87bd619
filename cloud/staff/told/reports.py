"""What people report, as staff read it: judged by a moderator, with words where it was not so; kept who said what.

Fires have reached the duty already: what is said here is of the report, and no fire is confirmed by it.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from cloud.reports.book import Book, NotNow
from cloud.reports.read import count_waiting, judged, waiting
from cloud.reports.report import tidy, without_numbers
from settings.words import Refused

if TYPE_CHECKING:
    from starlette.responses import Response

    from cloud.reports.read import Kept
    from cloud.staff.visit import Visit

PATH = "/tin-bao"
SHOWN, DONE_SHOWN = 50, 20
LONGEST_REASON = 300
CANNOT = {"judged": "reports.judged", "no_reason": "reports.no_reason", "no_other": "reports.no_other"}
WHAT = ("confirmed", "rejected", "duplicate")


class Card(NamedTuple):
    """A report as a page shows it. `others` are those that it may be a duplicate of."""

    one: Kept
    place: str
    who: str
    others: list[Kept]


def screen(visit: Visit) -> Response:
    """What waits, and what was judged last."""
    return _page(visit)


def judge(visit: Visit) -> Response:
    """Say what a report is."""
    what, reason = visit.given("what"), without_numbers(tidy(visit.given("reason")))[:LONGEST_REASON]
    number, of = visit.whole(visit.given("report"), 12), visit.whole(visit.given("of"), 12)
    if what not in WHAT or visit.staff.reports is None:
        return visit.told("missing", status=404)
    try:
        with Book(visit.staff.reports) as book:
            book.judge(number, what, reason, visit.somebody.code, visit.s.now_ms, of)
    except LookupError:
        return visit.told("missing", status=404)
    except NotNow as why:
        return _page(visit, why=visit.s.say(CANNOT[why.why]), status=409 if why.why == "judged" else 422)
    return visit.go(PATH, xong="judged")


def count(visit: Visit) -> int:
    """Return how many wait; none where that cannot be read now."""
    try:
        return count_waiting(visit.staff.reports) if visit.staff.reports else 0
    except (sqlite3.Error, OSError, Refused):
        return 0


def _page(visit: Visit, *, why: str = "", status: int = 200) -> Response:
    path = visit.staff.reports
    found = waiting(path, SHOWN + 1) if path else []
    done = judged(path, DONE_SHOWN) if path else []
    shown = found[:SHOWN]
    heads = [*shown, *(one for one, _ in done if one.state == "confirmed")]
    alike = [[one for one in heads if one.kind == card.kind and one.id != card.id] for card in shown]
    cards = [Card(one, _place(visit, one), "", others) for one, others in zip(shown, alike, strict=True)]
    past = [Card(one, _place(visit, one), _name(visit, who), []) for one, who in done]
    more = len(found) > SHOWN
    return visit.page("reports.html", status=status, why=why, cards=cards, past=past, more=more)


def _place(visit: Visit, one: Kept) -> str:
    kind, _, code = one.place.partition(":")
    rows = [row for row in visit.staff.shelf.rows(kind) if row.code == code] if kind in ("tree", "hamlet") else []  # type: ignore[attr-defined]
    return visit.s.title(rows[-1]) if rows else visit.s.say("duty.no_place")


def _name(visit: Visit, code: str) -> str:
    person = visit.staff.shelf.person(code)
    return person.name if person else code
