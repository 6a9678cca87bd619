"""Ways in without a sign-in: the link of a letter, and what networks post about letters.

A link shows its incident to who has it, and a button answers. Opening it, or following everything on its page, does
nothing: programs that guard mailboxes do just that. What is posted by a network is judged first, so that no flood of
others costs it its place, and laid down durably before it is told "taken". Nothing of it is written on a log.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse, Response

from cloud.staff.duty.acts import LONGEST_WORDS, done
from cloud.staff.duty.incident import lines
from cloud.staff.duty.packed import packed
from cloud.staff.duty.told import card, name
from cloud.store import Retry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloud.staff.duty.seen import Linked
    from cloud.staff.visit import Visit

log = logging.getLogger(__name__)
MOST = 50  # incidents of a letter that its page shows, as many as the letter names
LONGEST, HEADERS_LONGEST = 64 * 1024, 8 * 1024
TRIES = {"both": 20, "network": 30, "account": 600}  # a minute, of links that lead nowhere
ANSWERS = {"both": 240, "network": 240, "account": 6_000}  # a minute: a whole office may answer at once
WRONG = {"both": 20, "network": 60, "account": 120}  # a minute, of posts that are not taken: they are on the log
ANSWERED = {"refused": 403, "unfit": 400, "unknown": 404}
NOT_OURS = frozenset({"cookie", "host", "content-length", "connection"})


def shown(visit: Visit) -> Response:
    """Show what a letter is about, with a button; nothing is done by looking."""
    linked = visit.staff.duty.link(visit.parts["token"])
    if linked is None:
        return _often(visit, "link", TRIES) or visit.told("link_over", status=410)
    return _page(visit, linked)


def answer(visit: Visit) -> Response:
    """Say "I have it" (or only something) for who the letter was written to."""
    linked = visit.staff.duty.link(visit.parts["token"])
    if linked is None:
        return _often(visit, "link", TRIES) or visit.told("link_over", status=410)
    if often := _often(visit, "answer", ANSWERS):
        return often
    words = visit.given("words").strip()[:LONGEST_WORDS]
    number = visit.whole(visit.given("incident"), 9)
    what = "comment" if visit.given("act") == "comment" else "acknowledge"
    if number not in linked.incidents or (what == "comment" and not words):
        return _page(visit, linked, why=visit.s.say("duty.no_words"), status=422)
    told = {"act": what, "incident": number, "words": words, "who": linked.person, "by": "mail"}
    return done(visit, told, f"/i/{visit.parts['token']}")


def posted(visit: Visit) -> Response:
    """Take what a network posts about its channel."""
    channel = visit.parts["channel"]
    if channel not in dict(visit.staff.ways):
        return PlainTextResponse("", 404)
    headers = {key: value for key, value in visit.headers.items() if key not in NOT_OURS}
    if sum(len(key) + len(value) for key, value in headers.items()) > HEADERS_LONGEST:
        return PlainTextResponse("", 431)
    try:
        judged = visit.staff.duty.posted(channel, headers, visit.body)
    except Retry as fault:
        log.error("posted-not-taken channel=%s why=%r", channel, str(fault))  # noqa: TRY400 - the words say it all
        return PlainTextResponse("", 503, {"Retry-After": "10"})
    if judged == "taken":
        return PlainTextResponse("ok")
    if wait_s := visit.staff.throttle.wait_s(f"hook {channel}", f"hook {visit.network}", WRONG):
        return PlainTextResponse("", 429, {"Retry-After": str(wait_s)})
    if judged == "refused":
        log.warning("posted-refused channel=%s: the secret there and that of secret_file, are they the same?", channel)
    return PlainTextResponse("", ANSWERED[judged])


def _page(visit: Visit, linked: Linked, *, why: str = "", status: int = 200) -> Response:
    found = [whole for number in linked.incidents[:MOST] if (whole := visit.staff.duty.whole(number))]
    if not found:
        return visit.told("link_over", status=410)
    cards = [(card(visit, whole.one)._replace(forms=False), list(lines(visit, whole))[-8:]) for whole in found]
    asks = any(whole.one.alive for whole in found)
    more = max(0, len(linked.incidents) - MOST)
    reader = name(visit, linked.person)
    page = visit.page("letter.html", status=status, cards=cards, reader=reader, why=why, asks=asks, more=more)
    return packed(visit, page)


def _often(visit: Visit, what: str, limits: Mapping[str, int]) -> Response | None:
    wait_s = visit.staff.throttle.wait_s(what, f"{what} {visit.network}", limits)
    if not wait_s:
        return None
    told = visit.told("link_often", status=429)
    told.headers["Retry-After"] = str(wait_s)
    return told
