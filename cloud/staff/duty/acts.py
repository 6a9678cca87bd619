"""What somebody on duty does: a form becomes one act in the inbox of the alerts' room, which judges and writes it.

Who acts learns what became of it, or that it is not yet known: nothing is said to be done that is not written.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from cloud.staff.duty.seen import CLOSINGS
from cloud.store import Retry

if TYPE_CHECKING:
    from cloud.staff.visit import Visit

log = logging.getLogger(__name__)
MINUTES = (30, 60, 120, 240, 720, 1_430)  # of a silence; a day is the longest, and the way there takes a moment
PLAIN = (
    "acknowledge", "comment", "assign", "escalate", "confirm", "control", "close", "reopen", "merge", "split",
    "relabel",
)  # fmt: skip
LONGEST_WORDS = 2_000


def act(visit: Visit) -> Response:
    """Do what a form of the board or of an incident's page asks for."""
    told = body(visit)
    if told is None:
        return _answered(visit, "duty_unfit", 422, _back(visit))
    return done(visit, told | {"who": visit.somebody.code, "by": "page"}, _back(visit))


def done(visit: Visit, told: dict[str, Any], back: str) -> Response:
    """Ask for an act and return what became of it: on the page it came from, or why not. A form sent twice is once."""
    if visit.given("key"):
        sent = sorted((name, values) for name, values in visit.form.items() if name not in ("token", "as", "back"))
        told |= {"key": hashlib.sha256(msgspec.json.encode((told["who"], sent))).hexdigest()}
    try:
        outcome = visit.staff.duty.act(told)
    except (Retry, ValueError) as fault:
        log.error("act-not-taken act=%s why=%r", told.get("act"), str(fault))  # noqa: TRY400 - the words say it all
        return _answered(visit, "duty_not_taken", 503, back)
    if outcome.done is False:
        return _answered(visit, "duty_refused", 409, back, why=visit.s.one(outcome.vi, outcome.en))
    if visit.given("as") == "json":
        words = "" if outcome.done else visit.s.say("done.asked")
        return Response(msgspec.json.encode({"ok": True, "words": words}), media_type="application/json")
    return visit.go(back, xong="acted" if outcome.done else "asked")


def body(visit: Visit) -> dict[str, Any] | None:
    """Return what a form asks for as the alerts' room takes it; None for what none of ours can send."""
    name, incident = visit.given("act"), visit.whole(visit.given("incident"), 9)
    told: dict[str, Any] = {"act": name, "incident": incident, "words": visit.given("words").strip()[:LONGEST_WORDS]}
    if name == "silence":
        minutes = visit.whole(visit.given("minutes"), 4)
        if minutes not in MINUTES:
            return None
        return told | {"scope": visit.given("scope")[:128], "until_ms": visit.s.now_ms + 60_000 * minutes}
    if name == "unsilence":
        return told | {"number": visit.whole(visit.given("number"), 9)}
    if name not in PLAIN or not incident:
        return None
    if name == "close":
        return told | {"closed_as": visit.given("closed_as")} if visit.given("closed_as") in CLOSINGS else None
    return told | _more(visit, name)


def _more(visit: Visit, name: str) -> dict[str, Any]:
    """Return what an act needs beside its incident and words."""
    if name == "assign":
        return {"to": visit.given("to")[:128]}
    if name == "merge":
        return {"into": visit.whole(visit.given("into"), 9)}
    if name == "split":
        return {"parts": [visit.whole(one, 9) for one in visit.form.get("parts", [])][:1_000]}
    if name == "relabel":
        return {place: visit.given(place).strip()[:200] for place in ("place_vi", "place_en")}
    return {}


def _answered(visit: Visit, what: str, status: int, back: str, **facts: object) -> Response:
    title, lead = visit.s.say(f"told.{what}_title"), visit.s.say(f"told.{what}", **facts)
    if visit.given("as") != "json":
        return visit.page("told.html", status=status, title=title, lead=lead, back=back)
    words = f"{title}. {lead}"
    return Response(msgspec.json.encode({"ok": False, "words": words}), status, media_type="application/json")


def _back(visit: Visit) -> str:
    number = visit.whole(visit.given("back"), 9)
    return f"/truc/{number}" if number else "/truc"
