"""The public pages as an application: `build` wires the garden to its routes, behind the one way out.

Everything here runs in one event loop and answers from memory: a page is made within some milliseconds, once for all
who ask within a second, and what the store must tell is asked aside and waited for a moment at most. Nothing here
sets a cookie, needs a script, loads anything from elsewhere or notes who came.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cloud.pages import headers, tree, words
from cloud.pages.day import Day
from cloud.pages.front import Front
from cloud.pages.remembered import Known, Remembered, aside
from cloud.registry import codes
from cloud.store import Retry
from wire.quantities import IN_SERVICE, RADIO, REGISTRATION

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from cloud.pages.garden import Garden
    from cloud.pages.tree import TreeView

HTML = "text/html"
JSON = "application/json"
PAST_S, INCIDENTS_S = 60.0, 2.0  # how long an answer serves all who ask
REST_S = 5.0  # who did not answer is left alone for this long
_TEMPLATES = Path(__file__).parent / "templates"
_LONGEST_ECHO = 40  # characters of a mistyped code that are shown again
_VARY = {"Vary": "Accept-Language"}


def build(garden: Garden) -> Front:
    """Return the application. Every answer, errors too, carries the headers of `cloud.pages.headers.security`."""
    style = (_TEMPLATES / "style.css").read_text("utf-8")
    return Front(site(garden, style), headers.security(style), garden.clock)


def site(garden: Garden, style: str = "") -> Starlette:
    """Return the routes alone, as they stand behind `cloud.pages.front`."""
    made = _Site(garden, style)
    routes = [
        Route("/", made.index),
        Route("/T/{code}.json", made.tree_json),
        Route("/t/{code}.json", made.tree_json),
        Route("/T/{code}", made.tree),
        Route("/t/{code}", made.tree),
        Route("/phu-song", made.coverage),
        Route("/phu-song.json", made.coverage_json),
        Route("/canh-bao", made.alerts),
        Route("/icon.svg", made.icon),
        Route("/healthz", made.up),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: made.refused, Exception: made.broken})


class _Site:
    def __init__(self, garden: Garden, style: str) -> None:
        self._garden = garden
        self._day = Day(garden.store, garden.clock, garden.patience_s)
        self._past = self._asked("ask-past", lambda _: garden.coverage.search(), PAST_S)
        self._incidents = self._asked("ask-incidents", lambda _: garden.incidents(), INCIDENTS_S)
        self._templates = _templates(style)

    def _asked(self, name: str, ask: Callable[[Any], Any], keep_s: float) -> Remembered[Any, Any]:
        garden = self._garden
        return Remembered(aside(name, ask), garden.clock, keep_s, patience_s=garden.patience_s, rest_s=REST_S)

    async def index(self, request: Request) -> Response:
        """The garden: every tree, and a box for the code on a tag."""
        typed = request.query_params.get("ma", "").strip()
        code = codes.normalise(typed)
        if code:
            return RedirectResponse(f"/T/{code}{_query(request)}", status_code=303)
        registry = self._garden.registry
        zones = registry.zones
        shown = [one for one in registry.trees.values() if one.published]
        trees = sorted(shown, key=lambda one: (one.zone, _natural(one.label_no)))
        groups = [(zone, [one for one in trees if one.zone == zone.code]) for zone in zones.values()]
        return self._page(request, "index.html", groups=[pair for pair in groups if pair[1]], typed=_echo(typed))

    async def tree(self, request: Request) -> Response:
        """One tree. Lower case, dashes and look-alike letters are read as they were meant, without a redirect."""
        typed = request.path_params["code"]
        seen = self._view(typed, self._garden.clock.utc_ms())
        if seen is None:
            return self._unknown(request, typed)
        spans = await self._day.spans(figure for group in seen.groups for figure in group.figures)
        return self._page(request, "tree.html", view=seen, spans=spans, shown_code=codes.shown(seen.tree.code))

    async def tree_json(self, request: Request) -> Response:
        """The same tree, the same numbers, for machines. When it was asked for makes it no other answer."""
        speaker = self._speaker(request)
        seen = self._view(request.path_params["code"], speaker.now_ms)
        if seen is None:
            return _json({"error": "no tree carries this code"}, 404)
        return _json(tree.as_json(seen, speaker), asked=words.iso(speaker.now_ms))

    async def coverage(self, request: Request) -> Response:
        """The table of hamlets: what modems say now, and what the store knows of the past."""
        past = await _or_none(self._past, "")
        rows = self._garden.coverage.rows(past and past.value)
        return self._page(request, "coverage.html", rows=rows, stale_ms=self._stale_ms(past))

    async def coverage_json(self, _request: Request) -> Response:
        """The same table, for machines."""
        past = await _or_none(self._past, "")
        rows = self._garden.coverage.rows(past and past.value)
        return _json({"hamlets": [_hamlet(row) for row in rows]})

    async def alerts(self, request: Request) -> Response:
        """What the rules have noticed."""
        known = await _or_none(self._incidents, "")
        rows, status = (known.value, 200) if known else (None, 503)
        return self._page(request, "alerts.html", status=status, rows=rows, stale_ms=self._stale_ms(known))

    async def up(self, _request: Request) -> Response:
        """That the pages are served, and no more: how the server is, the operator asks at the door."""
        return Response("up\n", 200, headers.NO_STORE, "text/plain")

    async def icon(self, _request: Request) -> Response:
        """A tea leaf."""
        return Response((_TEMPLATES / "icon.svg").read_bytes(), media_type="image/svg+xml")

    async def refused(self, request: Request, error: Exception) -> Response:
        """A path that does not exist, or a method other than reading."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        key = "missing.method" if status == 405 else "missing.lead"
        answer = self._page(request, "missing.html", title="missing.title", lead=key, code="", status=status)
        answer.headers.update(getattr(error, "headers", None) or {})
        return answer

    async def broken(self, request: Request, _error: Exception) -> Response:
        """A fault of ours: the visitor gets a page without its inner parts, the log gets the traceback."""
        return self._page(
            request, "missing.html", title="missing.broken_title", lead="missing.broken_lead", code="", status=500
        )

    def _unknown(self, request: Request, typed: str) -> Response:
        """Say why there is no tree to see. A code that was minted answers for ever: only what was not is a 404."""
        code, registry = codes.normalise(typed), self._garden.registry
        kind = "slip" if code is None else registry.state(code)
        return self._page(
            request,
            "missing.html",
            title=f"missing.{kind}_title",
            lead=f"missing.{kind}_lead",
            code=codes.shown(code) if code else _echo(typed),
            status=404 if kind in {"slip", "unknown"} else 200,
        )

    def _view(self, typed: str, now_ms: int) -> TreeView | None:
        """Return the tree that carries a code, all of it out of one reading of the registry."""
        registry, code = self._garden.registry, codes.normalise(typed)
        found = registry.carrier(code) if code else None
        return tree.view(self._garden, registry, found, now_ms) if found and found.published else None

    def _speaker(self, request: Request) -> words.Speaker:
        lang = words.choose(request.query_params.get("lang"), request.headers.get("accept-language", ""))
        return words.Speaker(lang, self._garden.clock.utc_ms())

    def _stale_ms(self, known: Known[Any] | None) -> int | None:
        """Return when an answer was given that could not be had anew."""
        return self._garden.clock.utc_ms() - round(known.age_s * 1000) if known and known.stale else None

    def _page(self, request: Request, template: str, *, status: int = 200, **context: Any) -> Response:
        html = self._templates.get_template(template).render(
            s=self._speaker(request),
            query=_query(request),
            public_url=self._garden.public_url.rstrip("/"),
            filled=self._garden.latest.filled,
            **context,
        )
        return Response(html, status, _VARY, HTML)


@cache
def _templates(style: str) -> Environment:
    """Return what makes pages: its templates are compiled once in a process, however many applications it builds."""
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(radio=RADIO, registration=REGISTRATION, in_service=IN_SERVICE)
    # the style sheet is a file of ours, and the policy names the digest of exactly these bytes
    made.globals["style"] = Markup(style)  # noqa: S704
    return made


async def _or_none(remembered: Remembered[Any, Any], key: Any) -> Known[Any] | None:
    try:
        return await remembered.get(key)
    except Retry:
        return None


def _json(answer: dict[str, Any], status: int = 200, **besides: Any) -> Response:
    """Return an answer for machines; what stands `besides` does not make it another one."""
    tag = {"ETag": headers.tag(msgspec.json.encode(answer))}
    return Response(msgspec.json.encode(answer | besides), status, _VARY | tag, JSON)


def _query(request: Request) -> str:
    """Return what links must carry so that a language chosen by hand stays chosen: there is no cookie."""
    asked = request.query_params.get("lang")
    return f"?lang={asked}" if asked in words.LANGS else ""


def _echo(typed: str) -> str:
    return typed if len(typed) <= _LONGEST_ECHO else typed[:_LONGEST_ECHO] + "…"


def _natural(label: str) -> tuple[int, str]:
    return (int(label) if label.isdecimal() else 1 << 30), label


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
