"""What was done to the registry: who, when, what was before and what after; and taking it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cloud.registry import pictures
from cloud.registry.cells import Bad
from cloud.registry.draft import Rejected
from cloud.registry.kinds import key_of, spoken
from cloud.registry.rows import write
from cloud.staff.entrance.access import READ, WRITE

if TYPE_CHECKING:
    from starlette.responses import Response

    from cloud.registry.trail import Change
    from cloud.staff.visit import Visit

A_PAGE = 50
MOST_SHOWN = 200  # rows of one act


class Difference(NamedTuple):
    """One row of an act: its table, its key, and (column, before, after) of what differs."""

    kind: str
    key: str
    how: str  # new, gone, changed
    cells: list[tuple[str, str, str]]


def listed(visit: Visit) -> Response:
    """The newest acts."""
    before = visit.asked("truoc")
    with visit.staff.shelf.book() as book:
        found = book.acts(A_PAGE + 1, int(before) if before.isdecimal() and len(before) < 18 else None)
    more = found[A_PAGE - 1].id if len(found) > A_PAGE else None
    return visit.page("acts.html", acts=found[:A_PAGE], more=more)


def one(visit: Visit) -> Response:
    """One act, row by row."""
    return _one(visit)


def undo(visit: Visit) -> Response:
    """Take an act back: an act of its own. Refused where somebody changed one of its rows since."""
    number = _number(visit)
    with visit.staff.shelf.book() as book:
        changes = book.changes(number)
    if not changes:
        return visit.told("missing", status=404)
    if not all(visit.somebody.access in WRITE[change.kind] for change in changes):
        return visit.told("forbidden", status=403)
    photos = [change for change in changes if change.kind in pictures.KINDS]
    if any(one.after is None and not pictures.of(visit.staff.photos, one.key[0]) for one in photos):
        return _one(visit, why=visit.s.say("act.erased"), status=409)
    try:
        visit.staff.shelf.undo(number, visit.who)
    except Rejected as rejected:
        return _one(visit, why=visit.s.why(rejected.faults[0][1]), status=409)
    except Bad as bad:
        return _one(visit, why=visit.s.why(bad), status=409)
    with visit.staff.shelf.book() as book:
        pictures.sweep(visit.staff.photos, [one.key[0] for one in photos], book)
    return visit.go("/viec", xong="undone", gi=str(number))


def _one(visit: Visit, *, why: str = "", status: int = 200) -> Response:
    number = _number(visit)
    with visit.staff.shelf.book() as book:
        found = [act for act in book.acts(1, number + 1) if act.id == number]
        changes = book.changes(number) if found else []
    if not found:
        return visit.told("missing", status=404)
    access = visit.somebody.access
    readable = [change for change in changes if access in READ[change.kind]][:MOST_SHOWN]
    return visit.page(
        "act.html",
        status=status,
        act=found[0],
        rows=[difference(visit, change) for change in readable],
        hidden_rows=len(changes) - len(readable),
        may_undo=bool(changes) and all(access in WRITE[change.kind] for change in changes),
        why=why,
    )


def difference(visit: Visit, change: Change) -> Difference:
    """Return a change as people read it: what a choice is called, not how it lies in the registry."""
    before, after = ({} if one is None else write(one) for one in (change.before, change.after))
    how = "new" if change.before is None else "gone" if change.after is None else "changed"
    names = [name for name in before | after if before.get(name, "") != after.get(name, "")]
    s = visit.s
    cells = [
        (s.label(change.kind, name), s.word(name, before.get(name, "")), s.word(name, after.get(name, "")))
        for name in names
    ]
    record = change.after or change.before
    assert record is not None
    return Difference(change.kind, visit.s.name(record) or spoken(key_of(record)), how, cells)


def _number(visit: Visit) -> int:
    text = visit.parts["act"]
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else -1
