"""How an answer is made: a template filled in a visitor's language, or numbers for machines."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from markupsafe import Markup
from starlette.responses import Response

from cloud import serve
from cloud.pages import headers, words
from cloud.pages.charts import spark
from cloud.pages.remembered import Source
from cloud.registry import codes
from settings.words import said
from wire.quantities import IN_SERVICE, RADIO, REGISTRATION

if TYPE_CHECKING:
    from jinja2 import Environment
    from starlette.requests import Request

    from cloud.pages.garden import Garden

HTML = "text/html"
JSON = "application/json"
VARY = {"Vary": "Accept-Language"}
TEMPLATES = Path(__file__).parent / "templates"
_LONGEST_ECHO = 40  # characters of a mistyped code that are shown again


class Answers:
    """Made once for all pages. `style` and `script` are the whole of what stands in a page besides words."""

    def __init__(self, garden: Garden, style: str, script: str) -> None:
        self.garden = garden
        self.store = Source()
        self._templates = _templates(style, script)

    def speaker(self, request: Request) -> words.Speaker:
        """Return who speaks the visitor's language."""
        lang = words.choose(request.query_params.get("lang"), request.headers.get("accept-language", ""))
        return words.Speaker(lang, self.garden.clock.utc_ms(), still=self.garden.still)

    def page(self, request: Request, template: str, *, status: int = 200, **context: Any) -> Response:
        """Return a page of a template."""
        html = self._templates.get_template(template).render(
            s=self.speaker(request),
            query=query(request),
            public_url=self.public_url,
            filled=self.garden.latest.filled,
            licence=self.garden.licence,
            live_s=round(self.garden.live_s),
            reporting=self.garden.reports is not None,
            **context,
        )
        return Response(html, status, VARY, HTML)

    def state(self, typed: str) -> tuple[str, str] | None:
        """Return (code, state) of a code that was minted and shows no tree (`Registry.state`), None for any other."""
        code = codes.normalise(typed)
        state = self.garden.registry.state(code) if code else "unknown"
        return None if code is None or state == "unknown" else (code, state)

    def unknown(self, request: Request, typed: str) -> Response:
        """Say why there is no tree to see. A code that was minted answers for ever: only what was not is a 404."""
        code, registry = codes.normalise(typed), self.garden.registry
        kind = "slip" if code is None else registry.state(code)
        staff = "" if self.garden.still else self.garden.staff_url
        return self.page(
            request,
            "missing.html",
            title=f"missing.{kind}_title",
            lead=f"missing.{kind}_lead",
            code=codes.shown(code) if code else echo(typed),
            bind=f"{staff}/gan/{code}" if kind == "blank" and staff else "",
            status=404 if kind in {"slip", "unknown"} else 200,
        )

    def nowhere(self, request: Request, status: int = 404) -> Response:
        """Say that there is nothing at this address."""
        key = "missing.method" if status == 405 else "missing.lead"
        return self.page(request, "missing.html", title="missing.title", lead=key, code="", bind="", status=status)

    @property
    def public_url(self) -> str:
        """Return how the world reaches us, without a slash at its end."""
        return self.garden.public_url.rstrip("/")


def json(answer: dict[str, Any], status: int = 200, media: str = JSON, **besides: Any) -> Response:
    """Return an answer for machines; what stands `besides` does not make it another one."""
    tag = {"ETag": headers.tag(msgspec.json.encode(answer))}
    return Response(msgspec.json.encode(answer | besides), status, VARY | tag, media)


def query(request: Request) -> str:
    """Return what links must carry so that a language chosen by hand stays chosen: there is no cookie."""
    asked = request.query_params.get("lang")
    return f"?lang={asked}" if asked in words.LANGS else ""


def echo(typed: str) -> str:
    """Return what a visitor typed, as far as it is shown again."""
    return typed if len(typed) <= _LONGEST_ECHO else typed[:_LONGEST_ECHO] + "…"


@cache
def _templates(style: str, script: str) -> Environment:
    """Return what makes pages: its templates are compiled once in a process, however many applications it builds.

    All of them now: it takes a third of a second, for which the first visitors would wait.
    """
    made = serve.templates(TEMPLATES)
    made.globals.update(radio=RADIO, registration=REGISTRATION, in_service=IN_SERVICE, spark=spark, told=said)
    # style sheet and script are files of ours, and the policy names the digest of exactly these bytes
    made.globals.update(style=Markup(style), script=Markup(script))  # noqa: S704
    besides = (TEMPLATES / "besides.css").read_text("utf-8")  # what a tree's page, seen under trees, need not carry
    made.globals.update(besides=Markup(besides))  # noqa: S704
    for name in made.list_templates(extensions=["html"]):
        made.get_template(name)
    return made
