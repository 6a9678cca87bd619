"""Warnings for other systems: the CAP feed and its messages, for whoever shows the key.

No session and no cookie: a program reads this. The key stands in `?key=` or in `Authorization: Bearer`; without the
right one there is nothing here, as at any address that does not exist. Where it came in the address, the links of the
feed carry it too: most readers of feeds know no other way. Who has read the same already is told so (ETag), and has it
sent no second time: readers ask each few minutes, over lines that are thin.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cloud.cap.book import UNREADABLE
from cloud.cap.feed import FEED_TYPE, Frame, feed
from cloud.cap.message import TYPE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from cloud.cap.book import InForce
    from cloud.cap.message import Alert

log = logging.getLogger(__name__)
FEED, MESSAGE = "/cap/feed.atom", "/cap/{identifier}.xml"


@dataclass(frozen=True)
class Warnings:
    """What is given out. `key` may raise OSError; `in_force` and `xml` raise what is UNREADABLE."""

    key: Callable[[], str]
    in_force: Callable[[], InForce]
    xml: Callable[[str], bytes | None]
    url: str
    author: str

    def routes(self) -> list[Route]:
        """Return the ways in."""
        return [Route(FEED, self._answer(self._feed)), Route(MESSAGE, self._answer(self._message))]

    def _answer(self, made: Callable[[Request, str], Response]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            return await run_in_threadpool(self._guarded, made, request)

        return answer

    def _guarded(self, made: Callable[[Request, str], Response], request: Request) -> Response:
        shown = request.query_params.get("key", "")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not self._is_known(shown or (token.strip() if scheme.lower() == "bearer" else "")):
            raise HTTPException(404)
        try:
            return made(request, f"?{urlencode({'key': shown})}" if shown else "")
        except UNREADABLE as error:
            notes = getattr(error, "__notes__", [])
            log.warning("cap-unreadable why=%r", " ".join([str(error), *notes]))
            return PlainTextResponse("warnings cannot be read now\n", 503, {"Retry-After": "30"})

    def _is_known(self, shown: str) -> bool:
        try:
            key = self.key()
        except OSError as error:
            log.warning("cap-key-unreadable why=%r", str(error))
            return False
        return bool(key) and hmac.compare_digest(key.encode(), shown.encode("utf-8", "replace"))

    def _feed(self, request: Request, query: str) -> Response:
        frame = Frame("gocche:feed", f"{self.url}{FEED}{query}", self.author)
        given = self.in_force()
        body = feed(given.alerts, frame, given.updated_ms, lambda one: f"{self.url}{_path(one)}{query}")
        return _answer(request, body, FEED_TYPE, "private, no-cache")

    def _message(self, request: Request, _query: str) -> Response:
        xml = self.xml(request.path_params["identifier"])
        if xml is None:
            raise HTTPException(404)
        return _answer(request, xml, TYPE, "private, max-age=31536000, immutable")


def _answer(request: Request, body: bytes, media_type: str, keep: str) -> Response:
    """Return a body with its tag, or that it is what the reader has."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": keep}
    known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    if known & {tag, "*"}:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def _path(one: Alert) -> str:
    return MESSAGE.format(identifier=quote(one.identifier, safe=":.-_"))
