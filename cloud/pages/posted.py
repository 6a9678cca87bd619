"""The one thing that visitors may send: a short form at the addresses of reports. Nothing else gets past here.

What stands behind is told of a request no more than its path, its language, the fields, and a name of the network it
came from; no header, no cookie, no file.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from cloud.reports.report import LONGEST_BODY
from cloud.serve.throttle import network_behind

if TYPE_CHECKING:
    from starlette.types import Receive, Scope

PATIENCE_S = 20.0  # for a whole form: 8 KB by a bad line
MOST_FIELDS = 20
FORM = b"application/x-www-form-urlencoded"
FIELDS, NETWORK, MACHINE, REFUSED = "fields", "network", "machine", "refused"  # what a handler finds in `request.state`


def admitted(method: str, path: str) -> bool:
    """Tell whether something may be sent there: a report, or the wish to have one erased."""
    return method == "POST" and (path == "/bao" or (path.startswith("/bao/") and path.count("/") == 2))


async def received(scope: Scope, receive: Receive, told: dict[bytes, bytes]) -> dict[str, object]:
    """Return what a handler is told of a form: its fields, or the status by which it is refused."""
    machine = told.get(b"accept", b"").startswith(b"application/json")
    fields = await _fields(receive, told)
    peer = (scope.get("client") or ("",))[0]
    network = network_behind(peer, told.get(b"x-forwarded-for", b"").decode("latin-1"))
    refused = fields if isinstance(fields, int) else 0
    return {FIELDS: {} if refused else fields, NETWORK: network, MACHINE: machine, REFUSED: refused}


async def _fields(receive: Receive, told: dict[bytes, bytes]) -> dict[str, str] | int:
    if told.get(b"sec-fetch-site", b"same-origin") not in (b"same-origin", b"none"):
        return 403
    if told.get(b"content-type", b"").partition(b";")[0].strip().lower() != FORM:
        return 415
    body = await _body(receive, told.get(b"content-length", b""))
    if isinstance(body, int):
        return body
    try:
        text = body.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except (UnicodeDecodeError, ValueError):
        return 400
    return dict(reversed(pairs))  # the first of a name counts


async def _body(receive: Receive, length: bytes) -> bytes | int:
    if length.isdigit() and int(length[:12]) > LONGEST_BODY:
        return 413
    body = b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return 400
                body += bytes(message.get("body", b""))
                if len(body) > LONGEST_BODY:
                    return 413
                if not message.get("more_body"):
                    return body
    except TimeoutError:
        return 408
