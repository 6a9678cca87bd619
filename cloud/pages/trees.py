"""All that is shown of a tree: its page, its figures over time, its portrait, and the same for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from markupsafe import Markup
from starlette.responses import Response

from cloud.pages import lots, plan, tree, words
from cloud.pages.answers import VARY, Answers, json
from cloud.pages.course import Course
from cloud.pages.past import Past, keeps_history
from cloud.pages.readings import Figure
from cloud.pages.remembered import Remembered, aside
from cloud.registry import codes
from cloud.registry.kinds import TONGUES
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from starlette.requests import Request

    from cloud.pages.danger import Dangers
    from cloud.pages.past import Day
    from cloud.pages.pictures import Pictures
    from cloud.pages.tree import TreeView
    from cloud.registry.kinds import Tree
    from cloud.store import Hour

CSV, GEOJSON = "text/csv", "application/geo+json"
ALL_S = 5.0  # of tens of thousands of trees
TABLE_S = 0.5  # for each quantity: who takes a whole table away waits longer than a visitor


class Trees:
    """Answers about trees."""

    def __init__(self, answers: Answers, pictures: Pictures, danger: Dangers) -> None:
        self._answers, self._pictures, self._danger = answers, pictures, danger
        self._garden = answers.garden
        self.past = Past(self._garden.store, self._garden.clock, self._garden.patience_s, answers.store)
        self._all = Remembered(aside("ask-trees", self._features), self._garden.clock, ALL_S, patience_s=None)

    async def page(self, request: Request) -> Response:
        """One tree. Lower case, dashes and look-alike letters are read as they were meant, without a redirect."""
        return await self.shown(request, request.path_params["code"])

    async def shown(self, request: Request, typed: str) -> Response:
        """Return the page of the tree that a code was meant to be."""
        seen = self._view(typed)
        if seen is None:
            return self._answers.unknown(request, typed)
        registry = self._garden.registry
        figures = [figure for group in seen.groups for figure in group.figures]
        spans = await self.past.spans(figures)
        sketch, bar_m = plan.plan(registry, seen.tree)
        page = self._answers.page(
            request,
            "tree.html",
            tongues=TONGUES,
            opened=self._garden.visits.of(seen.tree.code) if self._garden.visits else None,
            frugal=request.headers.get("save-data") == "on",
            view=seen,
            spans=spans,
            coming=self.past.coming,
            climate=await self._climate(seen),
            courses=[one for one in figures if keeps_history(one)],
            end_ms=self._garden.clock.utc_ms(),
            plan=sketch,
            bar_m=bar_m,
            photo=self._pictures.of(seen.tree.code),
            voices=self._pictures.voices(seen.tree.code),
            lots=lots.of_tree(registry, seen.tree),
            neighbours=plan.neighbours(registry, seen.tree),
            danger=(await self._danger.lines()).get(seen.zone.code),
            shown_code=codes.shown(seen.tree.code),
            summary=tree.summary(seen, self._answers.speaker(request)),
            about=_about(seen, self._answers.speaker(request), self._answers.public_url),
        )
        page.headers["Vary"] = f"{page.headers['Vary']}, Save-Data"
        return page

    async def json(self, request: Request) -> Response:
        """The same tree, the same numbers, for machines. When it was asked for makes it no other answer."""
        speaker = self._answers.speaker(request)
        seen = self._view(request.path_params["code"])
        if seen is None:
            return self._untold(request.path_params["code"])
        told = tree.as_json(seen, speaker) | _licensed(self._garden.licence)
        return json(told, asked=words.iso(speaker.now_ms))

    async def course(self, request: Request) -> Response:
        """One quantity at a tree over a day, a month and a year, with its tables."""
        quantity = request.path_params["quantity"]
        seen = self._view(request.path_params["code"])
        if seen is None:
            return self._answers.unknown(request, request.path_params["code"])
        figure = next((one for one in seen.figures if one.quantity.name == quantity), None)
        if figure is None or not keeps_history(figure):
            return self._answers.nowhere(request)
        spans = await self.past.spans([figure])
        course = await self._course(seen, figure, spans.hours(figure))
        still = self._garden.still  # files are written of what the tree's own page links to
        others = [one for one in _with_past(seen) if not (still and one.technical)]
        return self._answers.page(
            request, "course.html", view=seen, course=course, courses=others, coming=self.past.coming
        )

    async def history(self, request: Request) -> Response:
        """The days of a year of all public quantities at a tree, as a table."""
        seen = self._view(request.path_params["code"])
        if seen is None:
            return self._untold(request.path_params["code"])
        registry = self._garden.registry
        lines = [f"# {self._garden.licence}"] if self._garden.licence else []
        lines.append("day,quantity,unit,mean,lowest,highest,hours,measured,source,distance_m,invented,calibrated")
        for figure in _with_past(seen):
            days = await self.past.days(registry, figure, code_of(figure, seen.tree), TABLE_S)
            if days is None:
                return json({"error": "the store does not answer at the moment"}, 503)
            lines += [_row(figure, day) for day in days if day]
        name = {"Content-Disposition": f'inline; filename="{seen.tree.code}.csv"'}
        return Response("\n".join([*lines, ""]), 200, VARY | name, CSV)

    async def geojson(self, request: Request) -> Response:
        """All trees that have a page, each where the world may know it to be."""
        told = (await self._all.get(self._answers.speaker(request).lang)).value
        return json(told, media=GEOJSON)

    def _features(self, lang: str) -> dict[str, Any]:
        speaker, url = words.Speaker(lang, 0), self._answers.public_url
        trees = [one for one in self._garden.registry.trees.values() if one.published]
        features = [tree.feature(one, speaker, f"{url}/T/{one.code}") for one in trees]
        return {"type": "FeatureCollection"} | _licensed(self._garden.licence) | {"features": features}

    async def trail(self, request: Request) -> Response:
        """What a visitor takes along of a zone: the pages of its trees, and their portraits."""
        registry, zone = self._garden.registry, request.path_params["zone"]
        if zone not in registry.zones:
            return json({"error": "there is no such zone"}, 404)
        trees = [one.code for one in registry.trees.values() if one.zone == zone and one.published]
        photos = {code: self._pictures.of(code) for code in sorted(trees)}
        pairs = [
            (f"/T/{code}", f"/anh/{one.code}-360.webp" if one else f"/T/{code}/hinh.svg")
            for code, one in photos.items()
        ]
        return json({"paths": [path for pair in pairs for path in pair]})

    async def _climate(self, seen: TreeView) -> Course | None:
        """Return the warmth of a year at a tree: of the thermometer that is seen, else of one that is silent now."""
        air = QUANTITIES["air_temperature"]
        figures = [one for group in seen.groups for one in group.figures if one.quantity is air]
        figures += [Figure(air, it.place, it.source, it.distance_m, "none", since=it.since) for it in seen.silent]
        for figure in figures:
            course = await self._course(seen, figure, ())
            if course.known:
                return course
        return None

    async def _course(self, seen: TreeView, figure: Figure, hours: tuple[Hour, ...]) -> Course:
        days = await self.past.days(self._garden.registry, figure, code_of(figure, seen.tree))
        return Course(figure, self._garden.clock.utc_ms(), hours, days or ())

    def _untold(self, typed: str) -> Response:
        """Say for machines what the page of such a code says: only what was never minted is a 404."""
        told = self._answers.state(typed)
        return json({"code": told[0], "state": told[1]}) if told else json({"error": "no tree carries this code"}, 404)

    def _view(self, typed: str) -> TreeView | None:
        """Return the tree that carries a code, all of it out of one reading of the registry."""
        registry = self._garden.registry
        found = registry.shown(typed)
        return tree.view(self._garden, registry, found, self._garden.clock.utc_ms()) if found else None


def code_of(figure: Figure, tree: Tree) -> str:
    """Return the code of the place that a tree's figure was measured at."""
    return tree.code if figure.place == "tree" else tree.zone


def _with_past(seen: TreeView) -> list[Figure]:
    """Return the figures that have a course, one of each quantity: that which everybody sees, or the nearest."""
    found: dict[str, Figure] = {}
    for one in seen.figures:
        if keeps_history(one):
            found.setdefault(one.quantity.name, one)
    return list(found.values())


def _row(figure: Figure, day: Day) -> str:
    quantity = figure.quantity
    numbers = [quantity.text(quantity.scale(value)) for value in (day.mean, day.low, day.high)]
    unit = words.Speaker("en", 0).unit(quantity)
    invented = "yes" if day.invented else "no"
    cells = [quantity.name, unit, *numbers, day.hours, figure.place, figure.source, figure.distance_m, invented]
    cells.append("yes" if day.calibrated else "no")
    return ",".join([day.on.isoformat(), *map(str, cells)])


def _licensed(licence: str) -> dict[str, str]:
    return {"licence": licence} if licence else {}


def _about(seen: TreeView, speaker: words.Speaker, public_url: str) -> Markup:
    """Return what search engines read of a tree (schema.org, JSON-LD): nothing of it can end the script element."""
    own = seen.tree
    place = {"@type": "GeoCoordinates", "latitude": seen.lat, "longitude": seen.lon, "elevation": own.alt_m}
    told = {
        "@context": "https://schema.org",
        "@type": "TouristAttraction",
        "name": speaker.one(own.name_vi, own.name_en),
        "description": tree.summary(seen, speaker),
        "url": f"{public_url}/T/{own.code}",
        "identifier": own.code,
        "isAccessibleForFree": True,
        "geo": place,
        "containedInPlace": {"@type": "Place", "name": speaker.one(seen.zone.name_vi, seen.zone.name_en)},
    }
    text = msgspec.json.encode(told).decode()
    return Markup(text.replace("<", "\\u003c").replace("&", "\\u0026"))  # noqa: S704 - no mark of HTML is left
