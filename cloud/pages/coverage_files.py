"""The map of coverage as files: GeoJSON for a GIS or for Grafana, and a table for spreadsheets.

GeoJSON may be read by pages of any origin: it is public, asks for no sign-in, and a Grafana elsewhere draws it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route

from cloud.coverage import shelf
from cloud.coverage.months import HEX
from cloud.coverage.out import csv, geojson
from cloud.coverage.shelf import Sheet
from cloud.pages.answers import VARY, json
from cloud.pages.headers import tag
from cloud.pages.remembered import LONG_S, Remembered, Source, aside
from cloud.pages.views import View, view_of
from cloud.store import Retry

if TYPE_CHECKING:
    from starlette.requests import Request

    from cloud.pages.answers import Answers

KEEP_S, REST_S = 30.0, 5.0
MOST = 16_000_000  # bytes that are kept
ANY_ORIGIN = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}


class CoverageFiles:
    """Answers with files of the map."""

    def __init__(self, answers: Answers) -> None:
        garden = answers.garden
        self._path, self._licence, self._clock = garden.surveyed, garden.licence, garden.clock
        how: Any = {"patience_s": garden.patience_s, "rest_s": REST_S, "source": Source(), "most": MOST, "size": _size}
        self._made: Remembered[tuple[View, str], bytes | None] = Remembered(
            aside("write-coverage", self._write), garden.clock, KEEP_S, **how
        )

    def routes(self) -> list[Route]:
        """Return where they are; before the pages of views, whose names would take them in."""
        return [
            Route(f"/phu-song{below}.{form}", answer)
            for form, answer in (("geojson", self.geojson), ("csv", self.csv))
            for below in ("", "/lop/{view}")
        ]

    async def geojson(self, request: Request) -> Response:
        """Cells of a view as hexagons."""
        return await self._file(request, "geojson", geojson.TYPE, ANY_ORIGIN)

    async def csv(self, request: Request) -> Response:
        """Cells of a view as rows."""
        return await self._file(request, "csv", csv.TYPE, {})

    async def _file(self, request: Request, form: str, media: str, more: dict[str, str]) -> Response:
        view = view_of(request.path_params.get("view", View().name))
        if view is None:
            return json({"error": "there is no such map"}, 404)
        known = await self._made.known((view, form), LONG_S)  # a file is waited for longer than a page
        if known is None:
            return json({"error": "the map cannot be read at the moment"}, 503)
        if known.value is None:
            return json({"error": "there is no such map"}, 404)
        named = {"Content-Disposition": f'inline; filename="phu-song-{view.name}.{form}"', "ETag": tag(known.value)}
        return Response(known.value, 200, VARY | named | more, media)

    def _write(self, asked: tuple[View, str]) -> bytes | None:
        """Return a file; None where there is no such sheet, but an empty map of now where nobody surveyed yet."""
        view, form = asked
        try:
            sheet = shelf.sheet(self._path, *view, HEX) if self._path else None
            invented = self._path is not None and shelf.invented(self._path)
        except shelf.UNREADABLE as error:
            raise Retry(f"coverage: {error}") from error
        if sheet is None:
            if view != View():
                return None
            sheet = Sheet(*view, HEX, self._clock.utc_ms(), [])
        if form == "geojson":
            return b"".join(geojson.write(sheet, licence=self._licence, invented=invented))
        return b"".join(csv.write([sheet], invented=invented))


def _size(file: bytes | None) -> int:
    return len(file) if file else 1
