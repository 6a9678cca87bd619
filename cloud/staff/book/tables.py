"""The tables of the registry: found, read, written and removed, by whoever may; who was first is not overwritten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from msgspec.structs import replace
from starlette.responses import Response

from cloud.registry import address, pictures
from cloud.registry.cells import Bad
from cloud.registry.draft import Rejected
from cloud.registry.kinds import KIND_OF, KINDS, Duty, Person, Photo, Record, Voice, key_of, spoken
from cloud.registry.rows import write
from cloud.registry.sheets import STEMS, comma
from cloud.staff.book.fields import blank, fields, judged, typed
from cloud.staff.entrance.access import TABLES
from cloud.staff.shelf import key_of_texts

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloud.staff.visit import Visit

A_PAGE = 50  # rows of a list
SHOWN = {  # what a list says of a row below its name; else its first columns
    "tree": ("code", "label_no", "zone", "state"),
    "tag": ("state", "tree", "batch"),
    "zone": ("code", "commune"),
    "gateway": ("code", "zone", "hamlet"),
    "device": ("code", "serial_no", "note"),
    "binding": ("place", "code", "valid_from", "valid_to"),
    "calibration": ("quantity", "valid_from", "valid_to"),
    "maintenance": ("starts", "ends", "why"),
    "danger_table": ("place", "code", "valid_from", "valid_to"),
    "official_level": ("level", "source", "valid_from", "valid_to"),
    "lot": ("code", "picked_from", "picked_to"),
    "lot_input": ("place", "code", "weight_kg"),
    "person": ("code", "access", "roles"),
    "photo": ("tree", "author", "published"),
    "voice": ("tree", "lang", "speaker", "published"),
    "duty": ("rung", "commune", "hamlet", "zone", "valid_to"),
    "burn_permit": ("code", "starts", "ends"),
    "known_source": ("code", "clock_from", "clock_to", "valid_to"),
    "consent": ("person", "what", "valid_to"),
    "hamlet": ("code", "commune", "valid_from"),
    "team": ("code", "hamlet", "valid_from", "valid_to"),
}


def index(visit: Visit) -> Response:
    """Every table that the visitor may read."""
    rows = [(STEMS[kind], kind, len(visit.staff.shelf.rows(kind))) for kind in TABLES if visit.may(f"{kind} list")]
    return visit.page("tables.html", rows=rows)


def listed(kind: str) -> Callable[[Visit], Response]:
    """Return the list of a kind."""

    def answer(visit: Visit) -> Response:
        typed_words = visit.asked("q")[:100]
        found = visit.staff.shelf.found(kind, typed_words)
        start = visit.whole(visit.asked("tu"))
        cards = [(_title(visit, one), _facts(visit, kind, one), _keys(one)) for one in found[start : start + A_PAGE]]
        return visit.page(
            "list.html", kind=kind, stem=STEMS[kind], q=typed_words, cards=cards, start=start, count=len(found),
            after=start + A_PAGE if start + A_PAGE < len(found) else None         )  # fmt: skip

    return answer


def row(kind: str) -> Callable[[Visit], Response]:
    """Return one row: as a form for who may write it, else as it is."""

    def answer(visit: Visit) -> Response:
        key = key_of_texts(kind, [value for name, value in visit.query if name == "k"])
        return _row(visit, kind, key) if key else visit.told("missing", status=404)

    return answer


def new(kind: str) -> Callable[[Visit], Response]:
    """Return the form of a new row."""

    def answer(visit: Visit) -> Response:
        return _form(visit, kind, blank(kind), seen=0, key=None)

    return answer


def export(kind: str) -> Callable[[Visit], Response]:
    """Return the whole table as the file that import takes back."""

    def answer(visit: Visit) -> Response:
        with visit.staff.shelf.book() as book:
            text = comma.text_of(kind, book.rows(kind))
        headers = {"Content-Disposition": f'attachment; filename="{STEMS[kind]}.csv"'}
        return Response("\ufeff" + text, headers=headers, media_type="text/csv")

    return answer


def save(kind: str) -> Callable[[Visit], Response]:
    """Return what writes a row: all of it, or nothing and why."""

    def answer(visit: Visit) -> Response:
        texts, seen = typed(visit, kind), visit.seen
        record, bads = judged(kind, texts)
        if record is None:
            return _form(visit, kind, texts, seen=seen, key=None, bads=bads, status=422)
        key = key_of(record)
        try:
            record = visit.staff.shelf.consented(_moderated(visit, record))
        except Bad as bad:
            return _form(visit, kind, texts, seen=seen, key=None, bads=[bad], status=422)
        try:
            with visit.staff.shelf.act(visit.who, f"{kind} {spoken(key)}") as draft:
                draft.put([record], seen)
        except Rejected as rejected:
            bads = [bad for one, bad in rejected.faults if one == record]
            others = [(one, bad) for one, bad in rejected.faults if one != record]
            return _form(visit, kind, texts, seen=seen, key=None, bads=bads, others=others, status=422)
        except Bad as changed:
            return _conflict(visit, kind, key, texts, changed, seen)
        return visit.go(f"/bang/{STEMS[kind]}/dong?{_keys(record)}&xong=saved")

    return answer


def remove(kind: str) -> Callable[[Visit], Response]:
    """Return what takes a row away, where nothing refers to it."""

    def answer(visit: Visit) -> Response:
        key = key_of_texts(kind, visit.form.get("k", []))
        if key is None:
            return visit.told("missing", status=404)
        try:
            with visit.staff.shelf.act(visit.who, f"{kind} {spoken(key)}") as draft:
                gone = draft.remove(kind, key, visit.seen)
                if gone and kind in pictures.KINDS:
                    pictures.erase(visit.staff.photos, key[0])
        except Rejected as rejected:
            return _row(visit, kind, key, others=rejected.faults, status=422)
        except Bad as changed:
            return _row(visit, kind, key, why=visit.s.why(changed), status=409)
        return visit.go(f"/bang/{STEMS[kind]}", xong="erased" if kind in pictures.KINDS else "removed", gi=spoken(key))

    return answer


def _moderated(visit: Visit, record: Record) -> Record:
    """Return a photo or a voice as this visitor may save it: it waits for a moderator. Raises Bad where it is shown.

    A moderator may show a photo here; a voice is shown by its review alone, for that is somebody else's.
    """
    if not isinstance(record, (Photo, Voice)) or (isinstance(record, Photo) and visit.may("photo review")):
        return record
    with visit.staff.shelf.book() as book:
        held = book.held(KIND_OF[type(record)], (record.code,))
    if held is not None and held.record == record:
        return record
    if record.published:
        raise Bad("moderated", column="published", value="yes")
    return replace(record, remark="")


def _row(visit: Visit, kind: str, key: tuple[Any, ...], *, status: int = 200, **more: Any) -> Response:
    with visit.staff.shelf.book() as book:
        held = book.held(kind, key)
        history = book.history(kind, key, 1)
    if held is None:
        return visit.told("missing", status=404)
    name, doubt = visit.s.title(held.record), _doubt(visit, held.record)
    return _form(
        visit, kind, write(held.record), seen=held.seen, key=key, name=name, last=history, doubt=doubt, status=status,
        **more,
    )  # fmt: skip


def _doubt(visit: Visit, record: Record) -> str:
    """Return that no channel reaches somebody who is to be told; "" where one does, or where there is none at all."""
    ways, shelf = visit.staff.ways, visit.staff.shelf
    one = shelf.person(record.person) if isinstance(record, Duty) else record
    if not isinstance(one, Person) or any(address(one, *way) for way in ways):
        return ""
    if not one.roles and all(getattr(row, "person", "") != one.code for row in shelf.rows("duty")):
        return ""
    return visit.s.say("person.unreached", known=", ".join(dict(ways))) if ways else ""


def _conflict(visit: Visit, kind: str, key: tuple[Any, ...], texts: dict[str, str], changed: Bad, saw: int) -> Response:
    """Show both: what the visitor typed stays in the fields, what stands in the registry is said beside them.

    Who thought that the row was new is told that it is there, and where.
    """
    with visit.staff.shelf.book() as book:
        held = book.held(kind, key)
        seen = next((change.id for _, change in book.history(kind, key, 1)), 0)  # none where it came back from a backup
    if held and not saw:
        why = visit.s.say("table.exists", key=spoken(key))
        return _form(visit, kind, texts, seen=0, key=None, why=why, status=409)
    theirs = write(held.record) if held else {}
    why = visit.s.why(changed)
    return _form(visit, kind, texts, seen=seen, key=key if held else None, theirs=theirs, why=why, status=409)


def _form(
    visit: Visit,
    kind: str,
    texts: dict[str, str],
    *,
    seen: int,
    key: tuple[Any, ...] | None,
    bads: list[Bad] | None = None,
    others: list[tuple[Record, Bad]] | None = None,
    theirs: dict[str, str] | None = None,
    why: str = "",
    name: str = "",
    last: list[Any] | None = None,
    doubt: str = "",
    status: int = 200,
) -> Response:
    """Return a row's page. `seen` is the change that its editor saw, `key` None while the row is not there."""
    s = visit.s
    names = set(texts)
    if seen and not name:
        name = next((text for text in map(texts.get, s.names) if text), "") or spoken(tuple(texts.values())[:1])
    faults = {bad.column: s.why(bad) for bad in bads or () if bad.column in names}
    general = [s.why(bad) for bad in bads or () if bad.column not in names]
    general += [
        f"{s.say(f'kind.{KIND_OF[type(one)]}')} {spoken(key_of(one))}: {s.why(bad)}" for one, bad in others or ()
    ]
    return visit.page(
        "row.html",
        status=status,
        kind=kind,
        stem=STEMS[kind],
        fields=fields(visit, kind, texts, faults=faults, theirs=theirs, fixed=key is not None or seen > 0),
        key=[texts[name] for name in KINDS[kind].key] if key else [],
        name=name,
        seen=seen,
        general=general + ([why] if why else []),
        conflict=theirs is not None,
        last=last[0][0] if last else None,
        doubt=doubt,
        may_write=visit.may(f"{kind} save"),
    )


def _keys(record: Record) -> str:
    """Return the part of an address that names a row."""
    texts = write(record)
    return urlencode([("k", texts[name]) for name in record.key])


def _title(visit: Visit, record: Record) -> str:
    """Return what a record is called in a list: of who is on duty, or has consented, their name."""
    person = visit.staff.shelf.person(getattr(record, "person", ""))
    return person.name if person else visit.s.title(record)


def _facts(visit: Visit, kind: str, record: Record) -> str:
    texts = write(record)
    names = SHOWN.get(kind) or tuple(texts)[:3]
    said = [visit.s.word(name, texts[name]) for name in names if texts[name]]
    return " · ".join(said)
