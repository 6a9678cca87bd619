"""The public pages as a Starlette application: `build` wires the garden to its routes.

Endpoints are plain functions, which Starlette runs in its threads: what they ask is memory, seldom the store. Nothing
here sets a cookie, needs a script, loads anything from elsewhere or notes who came.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cloud.pages import headers, tree, words
from cloud.pages.day import Day
from cloud.registry import codes
from cloud.store import Retry
from wire.quantities import IN_SERVICE, RADIO, REGISTRATION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from cloud.pages.garden import Garden
    from cloud.registry import Tree

HTML = "text/html"
JSON = "application/json"
_TEMPLATES = Path(__file__).parent / "templates"
_LONGEST_ECHO = 40  # characters of a mistyped code that are shown again
_SPEAKS = "Accept-Language"


def build(garden: Garden) -> Starlette:
    """Return the application. Every answer, errors too, carries the headers of `cloud.pages.headers.security`."""
    site = _Site(garden)
    routes = [
        Route("/", site.index),
        Route("/T/{code}.json", site.tree_json),
        Route("/t/{code}.json", site.tree_json),
        Route("/T/{code}", site.tree),
        Route("/t/{code}", site.tree),
        Route("/phu-song", site.coverage),
        Route("/phu-song.json", site.coverage_json),
        Route("/canh-bao", site.alerts),
        Route("/icon.svg", site.icon),
        Route("/healthz", site.health),
    ]
    return Starlette(
        routes=routes,
        middleware=[
            Middleware(headers.Guard, headers=site.security),
            Middleware(GZipMiddleware, minimum_size=500),
        ],
        exception_handlers={HTTPException: site.refused, Exception: site.broken},
    )


class _Site:
    def __init__(self, garden: Garden) -> None:
        self._garden = garden
        self._day = Day(garden.store, garden.clock)
        style = (_TEMPLATES / "style.css").read_text("utf-8")
        self.security = headers.security(style)
        self._templates = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(radio=RADIO, registration=REGISTRATION, in_service=IN_SERVICE)
        # the style sheet is a file of ours, and the policy names the digest of exactly these bytes
        self._templates.globals["style"] = Markup(style)  # noqa: S704

    def index(self, request: Request) -> Response:
        """The garden: every tree, and a box for the code on a tag."""
        typed = request.query_params.get("ma", "").strip()
        code = codes.normalise(typed)
        if code:
            return RedirectResponse(f"/T/{code}{_query(request)}", status_code=303)
        zones = self._garden.registry.zones
        trees = sorted(self._garden.registry.trees.values(), key=lambda one: (one.zone, _natural(one.label_no)))
        groups = [(zone, [one for one in trees if one.zone == zone.code]) for zone in zones.values()]
        return self._page(request, "index.html", groups=[pair for pair in groups if pair[1]], typed=_echo(typed))

    def tree(self, request: Request) -> Response:
        """One tree. Lower case, dashes and look-alike letters are read as they were meant, without a redirect."""
        typed = request.path_params["code"]
        found = self._find(typed)
        if found is None:
            return self._unknown(request, typed)
        seen = tree.view(self._garden, self._day, found, self._garden.clock.utc_ms())
        return self._page(request, "tree.html", view=seen, shown_code=codes.shown(found.code))

    def tree_json(self, request: Request) -> Response:
        """The same tree, the same numbers, for machines."""
        speaker = self._speaker(request)
        found = self._find(request.path_params["code"])
        if found is None:
            return self._json(request, {"error": "no tree carries this code"}, 404)
        seen = tree.view(self._garden, self._day, found, speaker.now_ms)
        return self._json(request, tree.as_json(seen, speaker))

    def coverage(self, request: Request) -> Response:
        """The table of hamlets."""
        rows = _or_none(self._garden.coverage)
        return self._page(request, "coverage.html", rows=rows, status=200 if rows is not None else 503)

    def coverage_json(self, request: Request) -> Response:
        """The same table, for machines."""
        rows = _or_none(self._garden.coverage)
        if rows is None:
            return self._json(request, {"error": "the store does not answer"}, 503)
        return self._json(request, {"hamlets": [_hamlet(row) for row in rows]})

    def alerts(self, request: Request) -> Response:
        """What the rules have noticed."""
        rows = _or_none(self._garden.incidents)
        return self._page(request, "alerts.html", rows=rows, status=200 if rows is not None else 503)

    def health(self, _request: Request) -> Response:
        """How the server is, for the operator: 503 when it is not well."""
        try:
            answer = self._garden.health()
        except Retry as error:
            answer = {"ok": False, "why": str(error)}
        status = 503 if answer.get("ok") is False else 200
        return Response(msgspec.json.encode(answer), status, {"Cache-Control": "no-store"}, JSON)

    def icon(self, request: Request) -> Response:
        """A tea leaf."""
        return headers.tagged(request, (_TEMPLATES / "icon.svg").read_bytes(), "image/svg+xml", 200)

    def refused(self, request: Request, error: Exception) -> Response:
        """A path that does not exist, or a method other than reading."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        key = "missing.method" if status == 405 else "missing.lead"
        answer = self._page(request, "missing.html", title="missing.title", lead=key, code="", status=status)
        answer.headers.update(getattr(error, "headers", None) or {})
        return answer

    def broken(self, request: Request, _error: Exception) -> Response:
        """A fault of ours: the visitor gets a page without its inner parts, the log gets the traceback."""
        answer = self._page(
            request, "missing.html", title="missing.broken_title", lead="missing.broken_lead", code="", status=500
        )
        answer.headers.update({**self.security, "Cache-Control": "no-store"})  # this handler stands outside the guard
        return answer

    def _unknown(self, request: Request, typed: str) -> Response:
        code = codes.normalise(typed)
        kind = "unknown" if code else "slip"
        return self._page(
            request,
            "missing.html",
            title=f"missing.{kind}_title",
            lead=f"missing.{kind}_lead",
            code=codes.shown(code) if code else _echo(typed),
            status=404,
        )

    def _find(self, typed: str) -> Tree | None:
        code = codes.normalise(typed)
        return self._garden.registry.trees.get(code) if code else None

    def _speaker(self, request: Request) -> words.Speaker:
        lang = words.choose(request.query_params.get("lang"), request.headers.get("accept-language", ""))
        return words.Speaker(lang, self._garden.clock.utc_ms())

    def _page(self, request: Request, template: str, *, status: int = 200, **context: Any) -> Response:
        html = self._templates.get_template(template).render(
            s=self._speaker(request),
            query=_query(request),
            path=request.url.path,
            public_url=self._garden.public_url.rstrip("/"),
            **context,
        )
        return headers.tagged(request, html.encode(), HTML, status, _SPEAKS)

    @staticmethod
    def _json(request: Request, answer: dict[str, Any], status: int = 200) -> Response:
        return headers.tagged(request, msgspec.json.encode(answer), JSON, status, _SPEAKS)


def _query(request: Request) -> str:
    """Return what links must carry so that a language chosen by hand stays chosen: there is no cookie."""
    asked = request.query_params.get("lang")
    return f"?lang={asked}" if asked in words.LANGS else ""


def _echo(typed: str) -> str:
    return typed if len(typed) <= _LONGEST_ECHO else typed[:_LONGEST_ECHO] + "…"


def _natural(label: str) -> tuple[int, str]:
    return (int(label) if label.isdecimal() else 1 << 30), label


def _or_none(ask: Callable[[], Sequence[Any]]) -> Sequence[Any] | None:
    try:
        return ask()
    except Retry:
        return None


def _hamlet(row: Any) -> dict[str, Any]:
    return {
        "code": row.code,
        "name": row.name,
        "commune": row.commune,
        "province": row.province,
        "households": row.households,
        "state": row.state,
        "measured": None if row.time_ms is None else words.iso(row.time_ms),
        "registration": row.registration,
        "radio": row.radio,
        "rsrp_dbm": row.rsrp_dbm,
        "last_service": None if row.last_service_ms is None else words.iso(row.last_service_ms),
        "searched": row.searched,
    }
