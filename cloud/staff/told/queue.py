"""What waits for a moderator, in one list: stories, photos and voices, and consents that something rests on."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from cloud.registry import consent
from cloud.registry.cells import Bad
from cloud.registry.draft import Rejected
from cloud.registry.kinds import KIND_OF, KINDS, Consent, Person, Photo, Story, Voice
from cloud.registry.rows import write
from cloud.registry.sheets import STEMS
from cloud.staff.book.fields import consents_for
from cloud.staff.prose import blocks
from cloud.staff.told.stories import LONGEST_REMARK, QUEUE, writer_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.responses import Response

    from cloud.registry.kinds import Record
    from cloud.staff.prose import Block
    from cloud.staff.visit import Visit

SHOWN = 20  # of each sort at a time
SOON = timedelta(30)


class Waits(NamedTuple):
    """A story, a photo or a voice: what it is of, who sent it, what to judge, and the change that is judged."""

    title: str
    by: str
    path: str
    picture: str
    alt: str
    text: list[Block]
    lang: str
    rests: list[str]
    standing: bool
    mine: bool
    seen: int


class Doubt(NamedTuple):
    """Something published whose consent is not, or soon not, in force."""

    title: str
    path: str
    why: str


def screen(visit: Visit) -> Response:
    """The list."""
    return _page(visit)


def photo(visit: Visit) -> Response:
    """Show a photo to the world, or give it back with words."""
    return _reviewed(visit, Photo)


def voice(visit: Visit) -> Response:
    """Let the world hear a voice, or give it back with words. Nobody publishes what they sent themselves."""
    return _reviewed(visit, Voice)


def _reviewed(visit: Visit, struct: type[Photo | Voice]) -> Response:
    kind, code, what, remark = (
        KIND_OF[struct], visit.parts["code"], visit.given("what"), " ".join(visit.given("remark").split())
    )  # fmt: skip
    with visit.staff.shelf.book() as book:
        held = book.held(kind, (code,))
    if held is None or not isinstance(held.record, struct) or what not in {"publish", "back"}:
        return visit.told("missing", status=404)
    if what == "back" and not remark:
        return _page(visit, why=visit.s.say("queue.no_words"), status=422)
    shows = what == "publish"
    if shows and isinstance(held.record, Voice) and _sent(visit, held.record):
        return _page(visit, why=visit.s.say("voice.own"), status=403)
    new = replace(held.record, published=shows, remark="" if shows else remark[:LONGEST_REMARK])
    try:
        new = visit.staff.shelf.consented(new)
        with visit.staff.shelf.act(visit.who, f"{kind} {code}") as draft:
            draft.put([new], visit.seen)
    except Rejected as rejected:
        return _page(visit, why=visit.s.why(rejected.faults[0][1]), status=422)
    except Bad as bad:
        return _page(visit, why=visit.s.why(bad), status=409)
    return visit.go(QUEUE, xong="shown" if shows else "back")


def waiting(visit: Visit) -> int:
    """Return how much waits for this visitor."""
    own = sum(_writes(visit, one) for one in _stories(visit))
    return (
        len(_stories(visit))
        - own
        + len(_photos(visit))
        + _foreign(visit)
        + sum(bool(over) for _, over in _published(visit))
    )


def _page(visit: Visit, *, why: str = "", status: int = 200) -> Response:
    stories, photos, voices, doubts = _stories(visit), _photos(visit), _voices(visit), list(_doubts(visit))
    groups = [
        ("stories", [_story(visit, one) for one in stories[:SHOWN]], len(stories)),
        ("photos", [_photo(visit, one) for one in photos[:SHOWN]], len(photos)),
        ("voices", [_voice(visit, one) for one in voices[:SHOWN]], len(voices)),
    ]
    return visit.page(
        "queue.html", status=status, why=why, groups=groups, doubts=doubts[:SHOWN], doubted=len(doubts), shown=SHOWN
    )


def _stories(visit: Visit) -> list[Story]:
    return [one for one in visit.staff.shelf.rows("story") if isinstance(one, Story) and one.status == "review"]


def _photos(visit: Visit) -> list[Photo]:
    rows = visit.staff.shelf.rows("photo")
    return [one for one in rows if isinstance(one, Photo) and not one.published and not one.remark]


def _voices(visit: Visit) -> list[Voice]:
    rows = visit.staff.shelf.rows("voice")
    return [one for one in rows if isinstance(one, Voice) and not one.published and not one.remark]


def _foreign(visit: Visit) -> int:
    return sum(not _sent(visit, one) for one in _voices(visit))


def _sent(visit: Visit, voice: Voice) -> bool:
    """Tell whether the visitor sent a recording, or was the last to say what it is."""
    with visit.staff.shelf.book() as book:
        history = book.history("voice", (voice.code,), 100)
    return visit.who in {history[0][0].who, history[-1][0].who} if history else False


def _writes(visit: Visit, story: Story) -> bool:
    return writer_of(visit, story) == visit.who


def _story(visit: Visit, one: Story) -> Waits:
    path = f"/chuyen/{one.tree}/{one.lang}"
    title = visit.s.say("story.of", name=_tree(visit, one.tree), lang=visit.s.tongue(one.lang))
    standing, mine, text = bool(one.standing), _writes(visit, one), blocks(one.text)
    by = visit.s.say("story.by", author=one.author) if one.author else ""
    return Waits(title, by, path, "", "", text, one.lang, _rests(visit, one), standing, mine, _seen(visit, one))


def _photo(visit: Visit, one: Photo) -> Waits:
    alt = visit.s.one(one.alt_vi, one.alt_en)
    return Waits(
        _tree(visit, one.tree), visit.s.say("photo.by", author=one.author, licence=one.licence), f"/anh/{one.code}",
        f"/anh/{one.code}-720.jpg", alt, [], "", rests=_rests(visit, one),
        standing=False, mine=False, seen=_seen(visit, one),
    )  # fmt: skip


def _voice(visit: Visit, one: Voice) -> Waits:
    title = visit.s.say("voice.of", name=_tree(visit, one.tree), lang=visit.s.tongue(one.lang))
    by = visit.s.say("voice.by", speaker=one.speaker) if one.speaker else ""
    path, rests, mine = f"/giong/{one.code}", _rests(visit, one), _sent(visit, one)
    return Waits(title, by, path, "", "", [], one.lang, rests, standing=False, mine=mine, seen=_seen(visit, one))


def _rests(visit: Visit, one: Story | Photo | Voice) -> list[str]:
    """Return whose consents it rests on, as forms say them."""
    return [words for code, words in consents_for(visit, type(one)) if code in one.consents] if one.consents else []


def _doubts(visit: Visit) -> Iterator[Doubt]:
    """Yield what is hidden for want of a consent, what names somebody without one, and what will be hidden soon."""
    shelf, today = visit.staff.shelf, visit.staff.shelf.today
    people = [one for one in shelf.rows("person") if isinstance(one, Person)]
    consents = {one.code: one for one in shelf.rows("consent") if isinstance(one, Consent)}
    ending = {
        one.code: one.valid_to for one in consents.values() if one.valid_to and today < one.valid_to <= today + SOON
    }
    for one, over in _published(visit):
        if over:
            yield Doubt(*_place(visit, one), visit.s.say("queue.hidden", codes=", ".join(over)))
            continue
        try:
            consent.judge(one, people, consents)
        except Bad as bad:
            yield Doubt(*_place(visit, one), visit.s.say("queue.unnamed", name=bad.value))
        for end in sorted(ending[code] for code in getattr(one, "consents", ()) if code in ending)[:1]:
            yield Doubt(*_place(visit, one), visit.s.say("queue.ends", day=f"{end:%d/%m/%Y}"))


def _published(visit: Visit) -> Iterator[tuple[Record, list[str]]]:
    """Yield what is meant for the world, each with those of its consents that are not in force."""
    shelf = visit.staff.shelf
    consents = {one.code: one for one in shelf.rows("consent") if isinstance(one, Consent)}
    for kind in (kind for kind, struct in KINDS.items() if struct.by_consent):
        for one in filter(consent.is_public, shelf.rows(kind)):
            yield one, consent.lapsed(one, consents, shelf.today)


def _place(visit: Visit, one: Record) -> tuple[str, str]:
    if isinstance(one, Story):
        title = visit.s.say("story.of", name=_tree(visit, one.tree), lang=visit.s.tongue(one.lang))
        return title, f"/chuyen/{one.tree}/{one.lang}"
    kind = KIND_OF[type(one)]
    return f"{visit.s.say(f'kind.{kind}')}: {visit.s.title(one)}", f"/bang/{STEMS[kind]}/dong?k={write(one)['code']}"


def _tree(visit: Visit, code: str) -> str:
    with visit.staff.shelf.book() as book:
        held = book.held("tree", (code,))
    return visit.s.name(held.record) if held else code


def _seen(visit: Visit, one: Record) -> int:
    key = tuple(getattr(one, name) for name in one.key)
    with visit.staff.shelf.book() as book:
        held = book.held(KIND_OF[type(one)], key)
    return held.seen if held else 0
