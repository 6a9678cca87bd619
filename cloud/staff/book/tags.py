"""Tags for who hangs them up: codes minted, sheets to print, and one that was lost printed again."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace
from starlette.responses import Response

from cloud.registry import codes
from cloud.registry.kinds import Tag, Zone
from cloud.registry.mint import mint, taken, to_hang
from cloud.staff.aside.uploads import MIB, Limit, read_aside

if TYPE_CHECKING:
    from cloud.staff.visit import Visit

WRITER = Limit(0, 512 * MIB, 60)
FORMS = ("3x4", "4x5", "60x80")  # of an A4 page, of an A4 page, one a page in millimetres
MOST = 500  # at once: forty sheets
BATCHES = 50


class Order(msgspec.Struct, frozen=True):
    """A sheet to draw: the first `skip` places of its first page stay free."""

    tags: list[str]
    public_url: str
    form: str
    skip: int


class Drawn(msgspec.Struct, frozen=True):
    """A PDF, or why there is none."""

    pdf: bytes = b""
    why_vi: str = ""
    why_en: str = ""


class Batch(NamedTuple):
    """Tags that were minted together, and how many of them are in each state."""

    name: str
    size: int
    states: list[tuple[str, int]]


class Portion(NamedTuple):
    """Trees of a zone that a sheet can hold, named as the form asks for them: the first of them is number `first`."""

    asked: str
    zone: str
    first: int
    trees: list[str]
    of: int


def screen(visit: Visit) -> Response:
    """What was minted, and what can be printed."""
    return _page(visit)


def mint_some(visit: Visit) -> Response:
    """Mint blank tags: codes that no tree carries yet."""
    count, today = visit.whole(visit.given("count"), 5), visit.staff.shelf.today
    batch = " ".join(visit.given("batch").split())[:40] or today.isoformat()
    if not 1 <= count <= MOST:
        return _page(visit, why=visit.s.say("tags.count", most=MOST), status=422)
    with visit.staff.shelf.book() as book:
        mint(book, count, batch, today, who=visit.who, at_ms=visit.staff.clock.utc_ms())
    visit.staff.shelf.changed()
    return visit.go("/the", xong="minted", gi=str(count))


def sheet(visit: Visit) -> Response:
    """A PDF of a batch, of the trees of a zone or of one code; what was blank is printed from then on."""
    form, skip, batch, zone = (
        visit.given("form"),
        visit.whole(visit.given("skip"), 5),
        visit.given("batch"),
        visit.given("zone"),
    )
    with visit.staff.shelf.book() as book:
        known = taken(book)
    one = codes.normalise(visit.given("code"))
    tags = [tag for tag in _tags(visit) if (tag.code == one if one else tag.batch == batch and tag.state != "retired")]
    wanted = [one] if one and one in known else [tag.code for tag in tags]
    if zone:
        tags, wanted = [], next((part.trees for part in _portions(visit) if part.asked == zone), [])
    if form not in FORMS or not 1 <= len(wanted) <= MOST or not 0 <= skip < 20:
        return _page(visit, why=visit.s.say("tags.nothing", most=MOST), status=422)
    if find_spec("reportlab") is None:
        return visit.told("no_pdf", status=503)
    order = msgspec.msgpack.encode(Order(wanted, visit.staff.public_url, form, skip))
    drawn = msgspec.msgpack.decode(read_aside("cloud.rooms.label_writer", "labels", order, WRITER), type=Drawn)
    if not drawn.pdf:
        return _page(visit, why=visit.s.one(drawn.why_vi, drawn.why_en), status=422)
    with visit.staff.shelf.act(visit.who, f"labels {zone or one or batch}") as draft:
        draft.put([replace(tag, state="printed") for tag in tags if tag.state == "blank"])
    name = f'attachment; filename="gocche-the-{one or ("khu" if zone else "lo")}.pdf"'
    return Response(drawn.pdf, headers={"Content-Disposition": name}, media_type="application/pdf")


def _page(visit: Visit, *, why: str = "", status: int = 200) -> Response:
    found: dict[str, dict[str, int]] = {}
    for tag in _tags(visit):
        states = found.setdefault(tag.batch, {})
        states[tag.state] = states.get(tag.state, 0) + 1
    batches = [
        Batch(name, sum(states.values()), [(visit.s.word("state", state), n) for state, n in sorted(states.items())])
        for name, states in sorted(found.items(), reverse=True)
    ]
    return visit.page(
        "tags.html", status=status, why=why, batches=batches[:BATCHES], forms=FORMS, most=MOST,
        portions=_portions(visit),
        advice=visit.staff.advice and visit.staff.advice.told(visit.s.lang),
        code=visit.asked("ma")[:20], today=visit.staff.shelf.today.isoformat(), may_write=visit.may("tags mint"),
    )  # fmt: skip


def _portions(visit: Visit) -> list[Portion]:
    """Return the trees that may need a tag, as many to a sheet as it can hold."""
    of = to_hang(visit.staff.shelf.rows("tree"), _tags(visit))
    zones = [one for one in visit.staff.shelf.rows("zone") if isinstance(one, Zone) and one.code in of]
    return [
        Portion(
            f"{zone.code} {start}",
            visit.s.name(zone),
            start + 1,
            of[zone.code][start : start + MOST],
            len(of[zone.code]),
        )
        for zone in zones
        for start in range(0, len(of[zone.code]), MOST)
    ]


def _tags(visit: Visit) -> list[Tag]:
    return [one for one in visit.staff.shelf.rows("tag") if isinstance(one, Tag)]
