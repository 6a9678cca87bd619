"""The public pages as an application: `build` wires the garden to its routes, behind the one way out.

Everything here runs in one event loop and answers from memory: a page is made within some milliseconds, once for all
who ask within a second, and what the store must tell is asked aside and waited for a moment at most. Nothing here
sets a cookie, needs a script, loads anything from elsewhere or notes who came.
"""

from __future__ import annotations

from collections import defaultdict
from heapq import nsmallest
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cloud.pages import headers
from cloud.pages.answers import TEMPLATES, Answers, echo, query
from cloud.pages.coverage import Coverages
from cloud.pages.coverage_files import CoverageFiles
from cloud.pages.danger import Dangers
from cloud.pages.emergency import Emergency
from cloud.pages.front import Front
from cloud.pages.hotspots import Hotspots
from cloud.pages.linkset import Linksets
from cloud.pages.lots import Lots
from cloud.pages.pictures import JPEG, SHARED, SVG, Pictures
from cloud.pages.remembered import Known, Remembered, Source, aside
from cloud.pages.reports import Reports
from cloud.pages.teams import Teams
from cloud.pages.trees import Trees
from cloud.registry import codes
from cloud.registry.kinds import Tree

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from cloud.pages.garden import Garden

INCIDENTS_S = 2.0  # how long an answer serves all who ask
MOST_LISTED = 500  # trees on the first page: a page of all trees of the highlands has 20 MB and takes seconds to make
REST_S = 5.0  # who did not answer is left alone for this long


def build(garden: Garden) -> Front:
    """Return the application. Every answer, errors too, carries the headers of `cloud.pages.headers.security`."""
    style, script, form, queue = (
        (TEMPLATES / name).read_text("utf-8") for name in ("style.css", "page.js", "besides.css", "report.js")
    )
    told = headers.security((style, form), (script, queue))
    return Front(site(garden, style, script, (form, queue)), told, garden.clock, garden.visits)


def site(garden: Garden, style: str = "", script: str = "", form: tuple[str, str] = ("", "")) -> Starlette:
    """Return the routes alone, as they stand behind `cloud.pages.front`."""
    answers = Answers(garden, style, script)
    pictures, danger = Pictures(answers), Dangers(answers)
    made, trees = _Site(answers, danger), Trees(answers, pictures, danger)
    lots = Lots(answers, trees)
    hotspots, coverage = Hotspots(answers), Coverages(answers)
    linksets = Linksets(answers, lots)
    of_a_tree = {
        ".json": trees.json,
        "/linkset": linksets.tree,
        "": trees.page,
        "/hinh.svg": pictures.portrait,
        "/history.csv": trees.history,
        "/{quantity}": trees.course,
    }
    routes = [
        Route("/", made.index),
        *(Route(f"/{door}/{{code}}{tail}", show) for tail, show in of_a_tree.items() for door in ("T", "t")),
        Route("/anh/{name}", pictures.photo),
        Route("/giong/{name}", pictures.voice),
        Route("/z/{zone}.json", trees.trail),
        Route("/cay.geojson", trees.geojson),
        Route("/l/{lot}", lots.page),
        Route("/01/{gtin}/10/{lot}", lots.by_gtin),
        Route("/01/{gtin}/10/{lot}/linkset", linksets.lot),
        Route("/8004/{giai}", lots.by_giai),
        Route("/8004/{giai}/linkset", linksets.tree),
        Route("/phu-song", coverage.index),
        Route("/phu-song.json", coverage.json),
        *CoverageFiles(answers).routes(),
        Route("/phu-song/lop/{view}", coverage.index),
        Route("/phu-song/thang", coverage.months),
        Route("/phu-song/thang/{view}", coverage.months),
        Route("/phu-song/{hamlet}", coverage.hamlet),
        Route("/phu-song/{hamlet}/{view}", coverage.hamlet),
        Route("/canh-bao", made.alerts),
        Route("/nguy-co", danger.index),
        Route("/nguy-co/{zone}.json", danger.json),
        Route("/nguy-co/{zone}.txt", danger.aloud),
        Route("/nguy-co/{zone}.pdf", danger.sheet),
        Route("/nguy-co/{zone}", danger.page),
        Route("/diem-nong", hotspots.page),
        Route("/diem-nong.json", hotspots.json),
        *_of_people(answers, coverage, *form),
        Route("/mat-song", made.unseen),
        Route("/icon.svg", made.icon),
        Route(SHARED, made.shared),
        Route("/sw.js", made.worker),
        Route("/healthz", made.up),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: made.refused, Exception: made.broken})


def _of_people(answers: Answers, coverage: Coverages, style: str, queue: str) -> list[Route]:
    """Return the routes by which people report, of what their teams did, and of how they call for help."""
    reports, teams, emergency = Reports(answers, style, queue), Teams(answers), Emergency(answers, style, coverage.past)
    return [
        Route("/bao", reports.form),
        Route("/bao", reports.send, methods=["POST"]),
        Route("/bao/cay/{tree}", reports.form),
        Route("/bao/thon/{hamlet}", reports.form),
        Route("/bao/{code}", reports.receipt),
        Route("/doi", teams.page),
        Route("/doi.csv", teams.csv),
        Route("/khan-cap", emergency.index),
        Route("/khan-cap/{hamlet}", emergency.page),
        Route("/bao/{code}", reports.erase, methods=["POST"]),
    ]


class _Site:
    def __init__(self, answers: Answers, danger: Dangers) -> None:
        self._answers, self._danger = answers, danger
        self._garden = answers.garden
        self._incidents = self._asked("ask-incidents", lambda _: self._garden.incidents(), INCIDENTS_S, Source())

    def _asked(self, name: str, ask: Callable[[Any], Any], keep_s: float, source: Source) -> Remembered[Any, Any]:
        patience_s, clock = self._garden.patience_s, self._garden.clock
        return Remembered(aside(name, ask), clock, keep_s, patience_s=patience_s, rest_s=REST_S, source=source)

    async def index(self, request: Request) -> Response:
        """The garden: its trees, of many zones the first of each, and a box for the code on a tag."""
        typed = request.query_params.get("ma", "").strip()
        code = codes.normalise(typed)
        if code:
            return RedirectResponse(f"/T/{code}{query(request)}", status_code=303)
        registry, of = self._garden.registry, defaultdict[str, list[Tree]](list)
        for tree in registry.trees.values():
            if tree.published:
                of[tree.zone].append(tree)
        zones = [zone for zone in registry.zones.values() if zone.code in of]
        share = MOST_LISTED // max(len(zones), 1) or 1
        groups = [
            (zone, nsmallest(share, of[zone.code], key=lambda one: _natural(one.label_no)), len(of[zone.code]) - share)
            for zone in zones
        ]
        lines = await self._danger.lines()
        return self._answers.page(request, "index.html", groups=groups, typed=echo(typed), danger=lines)

    async def alerts(self, request: Request) -> Response:
        """What the rules have noticed."""
        known = await self._incidents.known("")
        rows, status = (known.value, 200) if known else (None, 503)
        return self._answers.page(request, "alerts.html", status=status, rows=rows, stale_ms=self._stale_ms(known))

    async def up(self, _request: Request) -> Response:
        """That the pages are served, and no more: how the server is, the operator asks at the door."""
        return Response("up\n", 200, headers.NO_STORE, "text/plain")

    async def icon(self, _request: Request) -> Response:
        """A tea leaf."""
        return Response((TEMPLATES / "icon.svg").read_bytes(), media_type=SVG)

    async def shared(self, _request: Request) -> Response:
        """A drawn tree for who shares the link of one that has no photo: there, no drawing of ours is understood."""
        return Response((TEMPLATES / "share.jpg").read_bytes(), media_type=JPEG)

    async def unseen(self, request: Request) -> Response:
        """What a visitor's browser keeps, to show without signal in the place of a page that he has not seen."""
        title, lead = "missing.unseen_title", "missing.unseen_lead"
        return self._answers.page(request, "missing.html", title=title, lead=lead, code="", bind="")

    async def worker(self, _request: Request) -> Response:
        """What keeps pages for a visitor without signal, in his own browser."""
        return Response((TEMPLATES / "worker.js").read_bytes(), media_type="text/javascript")

    async def refused(self, request: Request, error: Exception) -> Response:
        """A path that does not exist, or a method other than reading."""
        answer = self._answers.nowhere(request, error.status_code if isinstance(error, HTTPException) else 500)
        answer.headers.update(getattr(error, "headers", None) or {})
        return answer

    async def broken(self, request: Request, _error: Exception) -> Response:
        """A fault of ours: the visitor gets a page without its inner parts, the log gets the traceback."""
        return self._answers.page(
            request,
            "missing.html",
            title="missing.broken_title",
            lead="missing.broken_lead",
            code="",
            bind="",
            status=500,
        )

    def _stale_ms(self, known: Known[Any] | None) -> int | None:
        """Return when an answer was given that could not be had anew."""
        return self._garden.clock.utc_ms() - round(known.age_s * 1000) if known and known.stale else None


def _natural(label: str) -> tuple[int, str]:
    return (int(label) if label.isdecimal() else 1 << 30), label
