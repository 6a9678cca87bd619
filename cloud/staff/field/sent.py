"""What was bound in the field, as it arrives: perhaps days later, perhaps twice, perhaps after somebody else's work.

It is written once, whole, as an act of the registry; where anything that it rests on has changed since the telephone
saw it, it is not written, and both sides are told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from starlette.responses import JSONResponse, Response

from cloud.clock import hanoi
from cloud.registry import codes
from cloud.registry.cells import Bad
from cloud.registry.draft import Rejected
from cloud.registry.hanging import corrected, hung
from cloud.registry.kinds import Binding, Tag, Tree
from cloud.staff.book.acts import difference
from cloud.staff.field import screen
from cloud.staff.field.work import Refused, photo, read
from cloud.staff.told.photos import kept

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloud.registry.draft import Draft
    from cloud.registry.trail import Change
    from cloud.staff.field.work import Work
    from cloud.staff.visit import Visit


class Before(Exception):
    """It was written when it came the first time."""


def send(visit: Visit) -> Response:
    """Write one binding, or say why not."""
    try:
        asked = read(visit)
        return _answer(visit, "done", [visit.s.say("field.done", what=_written(visit, asked))])
    except Before:
        return _answer(visit, "done", [visit.s.say("field.before")])
    except Refused as refused:
        lines = [visit.s.say(f"field.{refused.word}", **refused.facts)]
    except Rejected as rejected:
        lines = [visit.s.why(bad) for _, bad in rejected.faults]
    except Bad as bad:
        if bad.name == "changed":
            return _answer(visit, "conflict", [_mine(visit, asked), _theirs(visit, *bad.facts["act"])])
        lines = [visit.s.why(bad)]
    return _answer(visit, "refused", lines)


def _written(visit: Visit, asked: Work) -> str:
    """Write it with its photo, both or neither; return what was written.

    Its files are written and, where it fails, taken away while nobody else writes: the same message may be here twice
    at once (its answer took too long, and it was sent again), and one of the two must not take the other's files.
    """
    taken, shelf = photo(visit, asked), visit.staff.shelf
    made: list[Path] = []
    with shelf.book():
        try:
            with shelf.act(visit.who, f"{asked.act}{asked.what} → {':'.join(asked.place)}") as draft:
                _write(visit, draft, asked)
                if taken and draft.held("photo", (taken[0].code,)) is None:
                    made = kept(visit.staff.photos, taken[0].code, taken[1])
                    draft.put([taken[0]])
        except BaseException:
            for path in made:
                path.unlink(missing_ok=True)
            raise
    return _mine(visit, asked)


def _write(visit: Visit, draft: Draft, asked: Work) -> None:
    """Change what is asked for, where nobody else has changed anything that it rests on. Raises Before, Refused."""
    if draft.done(asked.act):
        raise Before
    draft.known(asked.seen)

    def rests_on(kind: str, key: tuple[Any, ...]) -> None:
        draft.unchanged(kind, key, asked.seen, visit.who)

    kind, code = asked.place
    if kind == "hamlet":  # known by its first day, too
        place = next((one for one in visit.staff.shelf.rows(kind) if getattr(one, "code", "") == code), None)
    else:
        place = draft.held(kind, (code,))
        rests_on(kind, (code,))
    if place is None or (isinstance(place, Tree) and place.state != "alive"):
        raise Refused("no_such_place", place=code)
    if asked.tag:
        _bind_tag(draft, asked, rests_on)
    else:
        _hang(visit, draft, asked, rests_on)


def _bind_tag(draft: Draft, asked: Work, rests_on: Callable[[str, tuple[Any, ...]], None]) -> None:
    code = codes.normalise(asked.tag)
    if code is None:
        raise Refused("tag_slip")
    if draft.held("tree", (code,)) is not None:
        raise Refused("tag_tree")
    tag = draft.held("tag", (code,))
    if not isinstance(tag, Tag):
        raise Refused("tag_unknown")
    if tag.state == "bound" and tag.tree == asked.place[1]:
        return
    rests_on("tag", (code,))
    if tag.state == "retired":
        raise Refused("tag_retired")
    draft.put([replace(tag, state="bound", tree=asked.place[1], bound_on=asked.day)])


def _hang(visit: Visit, draft: Draft, asked: Work, rests_on: Callable[[str, tuple[Any, ...]], None]) -> None:
    rows = [one for one in visit.staff.shelf.rows("binding") if isinstance(one, Binding)]
    if asked.how == "correct":
        change = corrected(rows, asked.sensor, asked.place, asked.day)
    else:
        change = hung(rows, asked.sensor, asked.place, asked.day, instead=asked.instead, device=asked.device)
    if not (change.put or change.gone):
        return
    for key in change.rests_on:
        rests_on("binding", key)
    for key in change.gone:
        draft.remove("binding", key)
    draft.put(change.put)


def _answer(visit: Visit, state: str, lines: list[str]) -> Response:
    """Return what became of it: for a script as JSON, else as the page, with what was said above the form."""
    status = {"done": 200, "conflict": 409, "refused": 422}[state]
    if visit.given("as") == "json":
        with visit.staff.shelf.book() as book:
            return JSONResponse({"state": state, "lines": lines, "seen": book.newest}, status)
    return screen.page(visit, tag=visit.given("tag")[:12], status=status, told=(state, lines))


def _mine(visit: Visit, asked: Work) -> str:
    what = codes.shown(asked.what) if codes.normalise(asked.what) else asked.what
    return visit.s.say("field.pair", what=what, place=_called(visit, *asked.place), day=f"{asked.day:%d/%m/%Y}")


def _theirs(visit: Visit, change: Change, who: str, at_ms: int) -> str:
    """Return what somebody else did meanwhile, in the words of the screens."""
    cells = [
        f"{label}: {_called(visit, 'tree', before) or '—'} → {_called(visit, 'tree', after) or '—'}"
        for label, before, after in difference(visit, change).cells
    ]
    when = f"{hanoi(at_ms):%H:%M %d/%m/%Y}"
    return visit.s.say("field.meanwhile", who=who, when=when, changes="; ".join(cells))


def _called(visit: Visit, kind: str, code: str) -> str:
    """Return what people call a place, with its code; what is no code as it is."""
    with visit.staff.shelf.book() as book:
        held = None if kind == "hamlet" else book.held(kind, (code,))
    name = visit.s.name(held.record) if held else ""
    return f"{name} ({code})" if name else code
