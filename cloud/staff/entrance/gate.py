"""The one way in: origin, session, role, size and form are judged here, before any handler runs.

Handlers are plain functions in threads: `desk` for all that asks the disk, `door` for the two at a time that verify a
password.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.responses import Response

from cloud.serve.throttle import network_behind
from cloud.staff.entrance.above import SCRIPTED
from cloud.staff.entrance.access import ANYBODY, MATRIX
from cloud.staff.entrance.form import read
from cloud.staff.shelf import NotYet
from cloud.staff.visit import Visit
from cloud.staff.way import FORM_BYTES
from cloud.staff.words import Speaker
from settings.words import Taken

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from cloud.staff.visit import Staff
    from cloud.staff.way import Way

_T = TypeVar("_T")
log = logging.getLogger(__name__)
AT_THE_DOOR = 2  # passwords verified at once: 19 MiB and a core each
WAITING = 20  # at the door; who comes then is told to come again


class Gate:
    """Turns ways into endpoints."""

    def __init__(self, staff: Staff) -> None:
        self._staff = staff
        self._desk = ThreadPoolExecutor(4, "desk")
        self._door = ThreadPoolExecutor(AT_THE_DOOR, "door")
        self._waiting = 0
        self._uploads = asyncio.Semaphore(2)  # large bodies in memory at once
        self._spooled = asyncio.Semaphore(2)  # larger ones on the disk, each for as long as a slow line takes

    def endpoint(self, way: Way) -> Callable[[Request], Any]:
        """Return what answers a way."""

        async def answer(request: Request) -> Response:
            visit = await self._run(self._desk, self._enter, way, request)
            if isinstance(visit, Response):
                return visit
            if not way.post:
                return await self._run(self._pool(way), self._handled, way, visit)
            async with self._spooled if way.spooled else self._uploads if way.limit > FORM_BYTES else nullcontext():
                refused = await read(request, visit, way)
                if refused is not None:
                    return refused
                if way.door and self._waiting >= WAITING:
                    return visit.told("busy", status=503)
                return await self._run(self._pool(way), self._handled, way, visit)

        return answer

    async def refused(self, request: Request, error: Exception) -> Response:
        """Say that there is no such page, or not by this method."""
        status = int(getattr(error, "status_code", 404))
        visit = self._visit(None, request)
        with suppress(NotYet, sqlite3.Error):
            await self._run(self._desk, self._recognise, visit, request)
        answer = visit.told("method" if status == 405 else "missing", status=status)
        answer.headers.update(getattr(error, "headers", None) or {})
        return answer

    async def broken(self, request: Request, _error: Exception) -> Response:
        """Say that the fault is ours, without its inner parts; the log has them."""
        return self._visit(None, request).told("broken", status=500)

    def close(self) -> None:
        """Let the threads end."""
        self._desk.shutdown(wait=False, cancel_futures=True)
        self._door.shutdown(wait=False, cancel_futures=True)

    def _pool(self, way: Way) -> ThreadPoolExecutor:
        return self._door if way.door else self._desk

    async def _run(self, pool: ThreadPoolExecutor, call: Callable[..., _T], *args: Any) -> _T:
        self._waiting += pool is self._door
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, call, *args)
        finally:
            self._waiting -= pool is self._door

    def _enter(self, way: Way, request: Request) -> Visit | Response:
        """Return the visit, or the answer that ends it: from elsewhere, not signed in, not in this role."""
        visit = self._visit(way, request)
        if way.post and not way.machine and not _from_us(request, self._staff.url):
            return visit.told("elsewhere", status=403)
        roles = MATRIX[way.name]
        try:
            self._recognise(visit, request)
        except (NotYet, sqlite3.Error) as error:
            if roles is not ANYBODY:
                log.warning("not-recognised why=%r", str(error) or "registry: not made yet")
                return visit.told("not_yet", status=503)
        if roles is ANYBODY or (visit.person is not None and visit.person.access in roles):
            return visit
        if visit.person is not None:
            return visit.told("forbidden", status=403)
        return visit.go("/dang-nhap", tiep=visit.path) if visit.path != "/" else visit.go("/dang-nhap")

    def _recognise(self, visit: Visit, request: Request) -> None:
        secret = request.cookies.get(self._staff.cookie("session"), "")
        session = self._staff.accounts.session(secret) if secret else None
        person = self._staff.shelf.person(session.code) if session else None
        if session is None or person is None or not person.access:
            return
        visit.secret, visit.session, visit.person = secret, session, person
        visit.s = Speaker(session.lang or person.lang, visit.s.now_ms)

    def _handled(self, way: Way, visit: Visit) -> Response:
        try:
            answer = way.handler(visit)
        except NotYet:
            return visit.told("not_yet", status=503)
        except (sqlite3.Error, OSError, Taken):  # Taken: a book of a newer gocche, after a step back
            log.exception("nothing was written way=%r", way.name)
            return visit.told("disk", status=503)
        if way.script:
            for name, value in SCRIPTED.items():
                answer.headers.setdefault(name, value)
        return answer

    def _visit(self, way: Way | None, request: Request) -> Visit:
        query = list(request.query_params.multi_items())
        lang = next((value for key, value in query if key == "lang"), "vi")
        peer = request.client.host if request.client else ""
        return Visit(
            self._staff,
            way.name if way else "",
            way.chapter if way else "hom-nay",
            request.url.path,
            query,
            network_behind(peer, request.headers.get("x-forwarded-for", "")),
            request.headers.get("user-agent", ""),
            request.cookies.get(self._staff.cookie("door"), "") or secrets.token_urlsafe(32),
            Speaker(lang, self._staff.clock.utc_ms()),
            parts=dict(request.path_params),
            headers=dict(request.headers),
        )


def _from_us(request: Request, url: str) -> bool:
    """Tell whether a form was sent from a page of ours; a browser that says neither is not believed."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    return origin == url if origin is not None else site == "same-origin"
