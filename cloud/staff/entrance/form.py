"""The form that a visitor sends: no longer than its way allows, readable, and made by us for this visitor."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from cloud.staff.visit import Upload
from cloud.staff.words import Speaker

if TYPE_CHECKING:
    from starlette.types import Message, Receive

    from cloud.staff.visit import Visit
    from cloud.staff.way import Way

PATIENCE_S = 120.0  # for a whole body: 8 MB at 600 kbit/s
_FIELDS, _FILES = 500, 1


async def read(request: Request, visit: Visit, way: Way) -> Response | None:
    """Read the form into the visit; return the answer where it is too long, is none, or is not one of ours."""
    body, limit = bytearray(), way.limit
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for piece in request.stream():
                body += piece
                if len(body) > limit:
                    return visit.told("too_long", status=413, limit=visit.s.number(limit / 1e6))
    except (ClientDisconnect, TimeoutError):
        return PlainTextResponse("", 408)
    if way.machine:
        visit.body = bytes(body)
        return None
    try:
        async with Request(request.scope, _again(bytes(body))).form(max_files=_FILES, max_fields=_FIELDS) as form:
            for key, value in form.multi_items():
                if isinstance(value, UploadFile):
                    visit.upload = Upload(value.filename or "", await value.read())
                else:
                    visit.form.setdefault(key, []).append(value)
    except HTTPException:
        return visit.told("no_form", status=400)
    visit.s = Speaker(visit.given("lang") or visit.s.lang, visit.s.now_ms) if not visit.session else visit.s
    return None if way.proven or visit.proves(visit.given("token")) else visit.told("stale_form", status=403)


def _again(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
