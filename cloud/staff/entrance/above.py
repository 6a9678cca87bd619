"""What stands above every answer, errors too: the security headers, and the one host name that is answered."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse

from cloud.staff.words import Speaker
from settings.words import LANGUAGES

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from cloud.staff.visit import Staff

log = logging.getLogger(__name__)
YEAR_S = 31_536_000
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; media-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # without any, browsers would not say where a form comes from
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


SCRIPTED = HEADERS | {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; style-src 'self'; "
        "img-src 'self'; media-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(), geolocation=(self), microphone=()",
}


class Above:
    """The application under the headers that all answers carry; who asks for another host is told so and no more."""

    def __init__(self, site: ASGIApp, staff: Staff) -> None:
        self._site = site
        self._host = urlsplit(staff.url).netloc.encode()
        headers = HEADERS | ({"Strict-Transport-Security": f"max-age={YEAR_S}"} if staff.safe else {})
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._site(scope, receive, send)
            return

        async def above(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(one for one in self._headers if one[0] not in own)]
            await send(message)

        host = dict(scope["headers"]).get(b"host")
        if host != self._host and scope["path"] != "/healthz":
            words = "".join(f"{Speaker(one, 0).say('site.host', host=self._host.decode())}\n" for one in LANGUAGES)
            await PlainTextResponse(words, 421)(scope, receive, above)
            return
        try:
            await self._site(scope, receive, above)
        except Exception:
            log.exception("page stumbled path=%r", scope["path"])
