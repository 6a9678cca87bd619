"""The picture at the head of a tree's page: the photo that staff have published, else a drawing; and its voices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import Response

from cloud.pages.portrait import portrait
from cloud.pages.remembered import aside
from cloud.registry import pictures
from cloud.registry.pictures import HEARD, NAME, SOUND, TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from re import Match

    from starlette.requests import Request

    from cloud.pages.answers import Answers
    from cloud.registry.kinds import Photo, Voice

SVG, JPEG = "image/svg+xml", "image/jpeg"
SHARED = "/chia-se.jpg"
FOR_A_DAY = {"Cache-Control": "public, max-age=86400"}  # kept by browsers and proxies, not by us
FOR_AN_HOUR = {"Cache-Control": "private, max-age=3600"}  # by the browser alone: a consent may be withdrawn
IN_PARTS = {"Accept-Ranges": "bytes"}


class Pictures:
    """Answers that are pictures of trees that have a page."""

    def __init__(self, answers: Answers) -> None:
        self._answers, self._garden = answers, answers.garden
        self._read = aside("ask-photo", Path.read_bytes)

    async def portrait(self, request: Request) -> Response:
        """A tree as it is drawn where no photo is. A code that shows no tree has its page, which says why."""
        found = self._garden.registry.shown(request.path_params["code"])
        if found is None:
            return self._answers.unknown(request, request.path_params["code"])
        return Response(portrait(found.code), 200, FOR_A_DAY, SVG)

    async def photo(self, request: Request) -> Response:
        """One picture of a photo that is shown, of a tree that is."""
        named = NAME.fullmatch(request.path_params["name"])
        rows = self._garden.registry.photos.values()
        return await self._file(request, named, rows, FOR_AN_HOUR, TYPES[named[3]] if named else "")

    async def voice(self, request: Request) -> Response:
        """The recording of a story that is heard, of a tree that is shown. `cloud.pages.front` gives parts of it."""
        named = HEARD.fullmatch(request.path_params["name"])
        return await self._file(request, named, self._garden.registry.voices.values(), FOR_AN_HOUR | IN_PARTS, SOUND)

    async def _file(
        self, request: Request, named: Match[str] | None, rows: Iterable[Photo | Voice], how: dict[str, str], kind: str
    ) -> Response:
        """Give a file whose name begins with the code of one of these rows."""
        folder, registry = self._garden.photos, self._garden.registry
        found = next((one for one in rows if named and one.code == named[1]), None)
        if named is None or folder is None or found is None or registry.shown(found.tree) is None:
            return self._answers.nowhere(request)
        try:
            body = await self._read(folder / named[0])
        except OSError:
            return self._answers.nowhere(request)
        return Response(body, 200, how, kind)

    def voices(self, tree: str) -> dict[str, Voice]:
        """Return the recordings of a tree by their language, those whose files are there."""
        heard, folder = self._garden.registry.voices, self._garden.photos
        own = {lang: one for (code, lang), one in heard.items() if code == tree} if folder else {}
        return {lang: one for lang, one in own.items() if folder and pictures.of(folder, one.code)}

    def of(self, tree: str) -> Photo | None:
        """Return the photo of a tree, if its pictures are there."""
        found, folder = self._garden.registry.photos.get(tree), self._garden.photos
        return found if found and folder and pictures.of(folder, found.code) else None
