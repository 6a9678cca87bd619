"""Stories of trees: written by one person, seen as visitors see them, published by another who has read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from cloud.registry.cells import Bad
from cloud.registry.draft import Rejected
from cloud.registry.kinds import LANGUAGES, TONGUES, Story, Tree
from cloud.registry.rows import read, write
from cloud.staff.book.fields import fields, typed
from cloud.staff.prose import blocks

if TYPE_CHECKING:
    from starlette.responses import Response

    from cloud.registry.book import Held
    from cloud.staff.visit import Visit

STATES = ("draft", "review", "published")
QUEUE = "/duyet"  # where who reviews comes from, and goes on
LONGEST_REMARK = 300
A_PAGE = 50


def listed(visit: Visit) -> Response:
    """Every tree, with what is told of it in each language; or only what waits."""
    waits, typed = visit.asked("cho"), visit.asked("q")[:100]
    known = {(one.tree, one.lang): one.status for one in visit.staff.shelf.rows("story") if isinstance(one, Story)}
    cards = []
    for tree in visit.staff.shelf.found("tree", typed):
        if isinstance(tree, Tree):
            states = {lang: known.get((tree.code, lang), "") for lang in (*LANGUAGES, *TONGUES)}
            if waits not in STATES or waits in states.values():
                cards.append((tree, states))
    start = int(visit.asked("tu")) if visit.asked("tu").isdecimal() and len(visit.asked("tu")) < 9 else 0
    return visit.page(
        "stories.html", cards=cards[start : start + A_PAGE], count=len(cards), start=start, q=typed, waits=waits,
        states=STATES, after=start + A_PAGE if start + A_PAGE < len(cards) else None,
    )  # fmt: skip


def one(visit: Visit) -> Response:
    """One story, to read or to write."""
    return _page(visit)


def save(visit: Visit) -> Response:
    """Show how it will look, keep it as a draft, or send it to be read."""
    found, what, text = _tree(visit), visit.given("what"), visit.given("text")
    if found is None or what not in {"preview", "draft", "review"}:
        return visit.told("missing", status=404)
    if what == "preview":
        return _page(visit, text=text, preview=True)
    tree, lang = found
    held = _held(visit, tree, lang)
    before = held.record if held and isinstance(held.record, Story) else None
    author = before.author if before and before.text == text.strip() else visit.somebody.name
    cells = {"tree": tree.code, "lang": lang, "status": what, "author": author, "text": text.replace("\r\n", "\n")}
    cells |= {"standing": before.shown if before else "", "consents": typed(visit, "story")["consents"]}
    try:
        story = read(Story, cells)
        assert isinstance(story, Story), "of this kind"
        story = visit.staff.shelf.consented(story)
    except Bad as bad:
        return _page(visit, text=text, why=visit.s.why(bad), status=422)
    return _written(visit, story, text)


def review(visit: Visit) -> Response:
    """Publish what somebody else has written, give it back with words, or take down what the world reads.

    Nobody publishes their own words.
    """
    found, what, remark = _tree(visit), visit.given("what"), " ".join(visit.given("remark").split())[:LONGEST_REMARK]
    held = _held(visit, *found) if found else None
    if held is None or not isinstance(held.record, Story) or what not in {"publish", "back", "down"}:
        return visit.told("missing", status=404)
    story = held.record
    if what == "down":
        return _written(visit, replace(story, status="draft", standing="", reviewer=""), story.text)
    if story.status != "review":
        return _page(visit, why=visit.s.say("story.not_waiting"), status=409)
    own = writer_of(visit, story) == visit.who
    if what == "back" and not (remark or own):
        return _page(visit, why=visit.s.say("queue.no_words"), status=422)
    if what == "publish" and own:
        return _page(visit, why=visit.s.say("story.own"), status=403)
    if what == "back":
        return _written(visit, replace(story, status="draft", reviewer="", remark=remark), story.text)
    new = replace(story, status="published", standing="", remark="", reviewer=visit.somebody.name)
    try:
        return _written(visit, visit.staff.shelf.consented(new), story.text)
    except Bad as bad:
        return _page(visit, why=visit.s.why(bad), status=422)


def _written(visit: Visit, story: Story, text: str) -> Response:
    try:
        with visit.staff.shelf.act(visit.who, f"story {story.tree} {story.lang}") as draft:
            draft.put([story], visit.seen)
    except Rejected as rejected:
        return _page(visit, text=text, why=visit.s.why(rejected.faults[0][1]), status=422)
    except Bad as changed:
        return _page(visit, text=text, why=visit.s.why(changed), theirs=True, status=409)
    if visit.given("onward") == QUEUE:
        return visit.go(QUEUE, xong="published" if story.status == "published" else "back")
    return visit.go(visit.path.removesuffix("/duyet"), xong=story.status)


def _page(
    visit: Visit,
    *,
    text: str | None = None,
    why: str = "",
    preview: bool = False,
    theirs: bool = False,
    status: int = 200,
) -> Response:
    found = _tree(visit)
    if found is None:
        return visit.told("missing", status=404)
    tree, lang = found
    held = _held(visit, tree, lang)
    story = held.record if held and isinstance(held.record, Story) else None
    kept = story.text if story else ""
    shown = kept if text is None else text
    mine = story is not None and writer_of(visit, story) == visit.who
    named = write(story) if story else {"consents": ""}
    return visit.page(
        "story.html",
        status=status,
        tree=tree,
        lang=lang,
        story=story,
        text=shown,
        seen=held.seen if held and (not preview or not visit.given("seen")) else visit.given("seen") or 0,
        blocks=blocks(shown),
        preview=preview,
        theirs=blocks(kept) if theirs else [],
        why=why,
        may_write=visit.may("story save"),
        may_review=visit.may("story review") and story is not None and story.status == "review",
        mine=mine,
        standing=blocks(story.standing) if story and story.standing else [],
        may_take_down=visit.may("story review") and story is not None and bool(story.shown),
        consents=[one for one in fields(visit, "story", named) if one.name == "consents"],
    )


def _tree(visit: Visit) -> tuple[Tree, str] | None:
    lang = visit.parts["lang"]
    trees = (one for one in visit.staff.shelf.rows("tree") if isinstance(one, Tree))
    tree = next((one for one in trees if one.code == visit.parts["tree"]), None)
    return (tree, lang) if tree and lang in (*LANGUAGES, *TONGUES) else None


def _held(visit: Visit, tree: Tree, lang: str) -> Held | None:
    with visit.staff.shelf.book() as book:
        return book.held("story", (tree.code, lang))


def writer_of(visit: Visit, story: Story) -> str:
    """Return who wrote the words that stand there, as the registry keeps it: a name can be written by anybody."""
    with visit.staff.shelf.book() as book:
        history: list[Any] = book.history("story", (story.tree, story.lang), 100)
    for act, change in history:
        if isinstance(change.after, Story) and change.after.text == story.text:
            before = change.before
            if not isinstance(before, Story) or before.text != story.text:
                return str(act.who)
    return ""
