"""Stories of trees: written by one person, seen as visitors see them, published by another who has read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from cloud.registry.cells import Bad
from cloud.registry.draft import Rejected
from cloud.registry.kinds import LANGUAGES, Story, Tree, read
from cloud.staff.prose import blocks

if TYPE_CHECKING:
    from starlette.responses import Response

    from cloud.registry.book import Held
    from cloud.staff.visit import Visit

STATES = ("draft", "review", "published")
A_PAGE = 50


def listed(visit: Visit) -> Response:
    """Every tree, with what is told of it in each language; or only what waits."""
    waits, typed = visit.asked("cho"), visit.asked("q")[:100]
    known = {(one.tree, one.lang): one.status for one in visit.staff.shelf.rows("story") if isinstance(one, Story)}
    cards = []
    for tree in visit.staff.shelf.found("tree", typed):
        if isinstance(tree, Tree):
            states = {lang: known.get((tree.code, lang), "") for lang in LANGUAGES}
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
    try:
        story = read(Story, cells)
    except Bad as bad:
        return _page(visit, text=text, why=visit.s.why(bad), status=422)
    assert isinstance(story, Story), "of this kind"
    return _written(visit, story, text)


def review(visit: Visit) -> Response:
    """Publish what somebody else has written, or give it back. Nobody publishes their own words."""
    found, what = _tree(visit), visit.given("what")
    held = _held(visit, *found) if found else None
    if held is None or not isinstance(held.record, Story) or what not in {"publish", "back"}:
        return visit.told("missing", status=404)
    story = held.record
    if story.status != "review":
        return _page(visit, why=visit.s.say("story.not_waiting"), status=409)
    if what == "publish" and _writer(visit, story) == visit.who:
        return _page(visit, why=visit.s.say("story.own"), status=403)
    if what == "publish":
        return _written(visit, replace(story, status="published", reviewer=visit.somebody.name), story.text)
    return _written(visit, replace(story, status="draft", reviewer=""), story.text)


def _written(visit: Visit, story: Story, text: str) -> Response:
    seen = visit.given("seen")
    try:
        with visit.staff.shelf.act(visit.who, f"story {story.tree} {story.lang}") as draft:
            draft.put([story], int(seen) if seen.isdecimal() and len(seen) < 16 else 0)
    except Rejected as rejected:
        return _page(visit, text=text, why=visit.s.why(rejected.faults[0][1]), status=422)
    except Bad as changed:
        return _page(visit, text=text, why=visit.s.why(changed), theirs=True, status=409)
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
    mine = story is not None and _writer(visit, story) == visit.who
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
    )


def _tree(visit: Visit) -> tuple[Tree, str] | None:
    lang = visit.parts["lang"]
    trees = (one for one in visit.staff.shelf.rows("tree") if isinstance(one, Tree))
    tree = next((one for one in trees if one.code == visit.parts["tree"]), None)
    return (tree, lang) if tree and lang in LANGUAGES else None


def _held(visit: Visit, tree: Tree, lang: str) -> Held | None:
    with visit.staff.shelf.book() as book:
        return book.held("story", (tree.code, lang))


def _writer(visit: Visit, story: Story) -> str:
    """Return who wrote the words that stand there, as the registry keeps it: a name can be written by anybody."""
    with visit.staff.shelf.book() as book:
        history: list[Any] = book.history("story", (story.tree, story.lang), 100)
    for act, change in history:
        if isinstance(change.after, Story) and change.after.text == story.text:
            before = change.before
            if not isinstance(before, Story) or before.text != story.text:
                return str(act.who)
    return ""
