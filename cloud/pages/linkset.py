"""What is known of a thing elsewhere, as a linkset (RFC 9264): how GS1 Digital Link resolvers answer `?linkType=all`.

Link types are those of GS1's web vocabulary: `pip` is a page about the thing, `traceability` what it came from or
went into.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloud.pages import words
from cloud.pages.answers import json
from cloud.pages.lots import of_tree, origins
from cloud.registry import codes
from cloud.registry.kinds import Tree

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from cloud.pages.answers import Answers
    from cloud.pages.lots import Lots
    from cloud.registry.kinds import Lot

VOC = "https://ref.gs1.org/voc/"
LINKSET = "application/linkset+json"
NONE = "nothing is known under this number"


class Linksets:
    """Answers about trees and lots, for who resolves GS1's numbers."""

    def __init__(self, answers: Answers, lots: Lots) -> None:
        self._answers, self._lots, self._garden = answers, lots, answers.garden

    async def tree(self, request: Request) -> Response:
        """A tree's links, by its code or its GIAI."""
        parts, registry = request.path_params, self._garden.registry
        giai = parts.get("giai", "")
        found = registry.shown(parts["code"]) if "code" in parts else self._lots.tree_of(giai)
        if found is None:
            return self._untold(parts.get("code", ""), self._answers.speaker(request))
        lots = [self._link(f"/l/{lot.code}", lot.product_vi) for lot in of_tree(registry, found)]
        return self._told(f"/8004/{found.giai}" if giai else f"/T/{found.code}", f"/T/{found.code}", found, lots)

    async def lot(self, request: Request) -> Response:
        """A lot's links, by GTIN and lot number."""
        lot = self._lots.lot_of(request.path_params["gtin"], request.path_params["lot"])
        if lot is None:
            return json({"error": NONE}, 404)
        trees, _ = origins(self._garden.registry, lot)
        came_from = [self._link(f"/T/{tree.code}", tree.name_vi) for tree in trees]
        return self._told(f"/01/{lot.gtin.zfill(14)}/10/{lot.code}", f"/l/{lot.code}", lot, came_from)

    def _untold(self, typed: str, speaker: words.Speaker) -> Response:
        """Lead who asks for a code that was minted to the page that says why it shows no tree."""
        told = self._answers.state(typed)
        if told is None:
            return json({"error": NONE}, 404)
        code, state = told
        title, page = speaker.say(f"missing.{state}_title", code=codes.shown(code)), f"/T/{code}"
        links: dict[str, Any] = {
            "anchor": f"{self._answers.public_url}{page}",
            f"{VOC}defaultLink": [self._link(page, title)],
            "alternate": [self._link(f"{page}.json", title, type="application/json")],
        }
        return json({"linkset": [links]}, media=LINKSET)

    def _told(self, anchor: str, page: str, thing: Tree | Lot, near: list[dict[str, Any]]) -> Response:
        vi, en = (thing.name_vi, thing.name_en) if isinstance(thing, Tree) else (thing.product_vi, thing.product_en)
        pages = [
            self._link(f"{page}?lang={lang}", words.Speaker(lang, 0).one(vi, en), hreflang=[lang], type="text/html")
            for lang in words.LANGS
        ]
        links: dict[str, Any] = {
            "anchor": f"{self._answers.public_url}{anchor}",
            f"{VOC}defaultLink": [self._link(page, vi)],
            f"{VOC}pip": pages,
        }
        if near:
            links[f"{VOC}traceability"] = near
        if page.startswith("/T/"):
            links["alternate"] = [self._link(f"{page}.json", vi, type="application/json")]
        return json({"linkset": [links]}, media=LINKSET)

    def _link(self, path: str, title: str, **facts: Any) -> dict[str, Any]:
        return {"href": f"{self._answers.public_url}{path}", "title": title} | facts
