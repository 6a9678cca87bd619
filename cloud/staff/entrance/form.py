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

PATIENCE_S, PATIENT_BYTES = 120.0, 8e6  # for a whole body: 600 kbit/s
_FIELDS, _FILES = 500, 1


async def read(request: Request, visit: Visit, way: Way) -> Response | None:
    """Read the form into the visit; return the answer where it is too long, is none, or is not one of ours."""
    try:
        async with asyncio.timeout(PATIENCE_S * max(1.0, way.limit / PATIENT_BYTES)):
            if way.spooled:
                await _taken(Request(request.scope, _bounded(request.receive, way.limit)), visit, keep=True)
            else:
                body = b"".join(
                    [piece async for piece in Request(request.scope, _bounded(request.receive, way.limit)).stream()]
                )
    except _TooLong:
        return visit.told("too_long", status=413, limit=visit.s.number(way.limit / 1e6))
    except (ClientDisconnect, TimeoutError):
        return PlainTextResponse("", 408)
    except HTTPException:
        return visit.told("no_form", status=400)
    if way.machine:
        visit.body = body
        return None
    try:
        if not way.spooled:
            await _taken(Request(request.scope, _again(body)), visit)
    except HTTPException:
        return visit.told("no_form", status=400)
    visit.s = Speaker(visit.given("lang") or visit.s.lang, visit.s.now_ms) if not visit.session else visit.s
    return None if way.proven or visit.proves(visit.given("token")) else visit.told("stale_form", status=403)


class _TooLong(Exception):
    """More came than a way takes."""


async def _taken(request: Request, visit: Visit, *, keep: bool = False) -> None:
    """Read the fields of a form into the visit; a file's body, or where it is to be kept on the disk the file."""
    form = await request.form(max_files=_FILES, max_fields=_FIELDS)
    for key, value in form.multi_items():
        if not isinstance(value, UploadFile):
            visit.form.setdefault(key, []).append(value)
        elif keep:
            visit.upload = Upload(value.filename or "", b"", value.file)
        else:
            visit.upload = Upload(value.filename or "", await value.read())
    if not keep:
        await form.close()


def _bounded(receive: Receive, limit: int) -> Receive:
    """Return what hears a body, and raises _TooLong at its first byte beyond a limit."""
    left = limit

    async def heard() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise _TooLong
        return message

    return heard


def _again(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
