"""The way out of the pages: bytes kept for a second, a tag to compare them by, and the headers that all answers carry.

A kept answer is given in one piece where the server can take it so (`cloud.serve.protocol`), by ASGI everywhere else;
what a request means is thought about once for all that say the same in the headers that are read.

A hundred visitors of one tree within a second are shown the same bytes, so they are made once. What is made depends on
the path, the query, the language and whether data is to be saved alone: the application behind is asked with nothing
else of a visitor's request, so no header of one visitor can end up in what another is shown. Path and language are read
here in one way: slashes too many mean nothing ("//host/x" is a path of ours that does not exist), a browser's list of
languages becomes the one that the page begins with, and who asks an address of GS1 for its links asks another path.
"""

from __future__ import annotations

import gzip
import logging
import re
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from cloud.pages import headers as above
from cloud.pages import posted, words
from cloud.pages.remembered import Remembered

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from cloud.clock import Clock
    from cloud.pages.visits import Visits

log = logging.getLogger(__name__)
KEEP_S = 1.0
MOST_KEPT = 32_000_000  # bytes of pages: more than a thousand of 20 kB, or the map of a province in a few forms
AT_ONCE = 1_000  # pages in the making: each waits a moment for the store at most
CACHE = b"public, max-age=60"
PACKED = frozenset({b"image/webp", b"image/jpeg", b"audio/mpeg", b"application/pdf"})  # already
PACK_FROM = 500  # bytes; below that gzip gains nothing
_LANGS = {b"": None, b"lang=vi": "vi", b"lang=en": "en"}  # queries whose pages are kept
_TREES = ("/T/", "/t/")
_THINGS = (*_TREES, "/8004/", "/01/")  # addresses of GS1 Digital Link: other doors to the same pages
_EVERY_LINK, LINKSET = b"linkType=all", b"application/linkset+json"
_TYPED = b"ma="  # what stands in the box of the first page: made anew each time

READ = (b"accept-encoding", b"accept-language", b"accept", b"save-data")  # the headers that are read, but for the tag
MOST_MEANT, LONGEST_SAID = 1_024, 1_000  # requests by their words, and bytes of these
_IN_PARTS = (b"accept-ranges", b"bytes")
_RANGE = re.compile(rb"bytes=([0-9]{0,12})-([0-9]{0,12})")
_GZIP = (b"content-encoding", b"gzip")
Headers = list[tuple[bytes, bytes]]
Said = tuple[bytes | None, ...]


class Asked(NamedTuple):
    """All of a request that an answer depends on."""

    method: str
    path: str
    query: bytes
    lang: str
    frugal: bool = False  # the visitor's browser saves data: a tree's page asks for its smallest photo


class Form(NamedTuple):
    """An answer in one form. `head` is status and headers as they go over the wire, without the server's own."""

    status: int
    headers: Headers
    head: bytes
    body: bytes


class Page(NamedTuple):
    """An answer in the forms in which it may be asked for. `tag` is empty where it is not to be compared."""

    tag: bytes
    plain: Form
    packed: Form
    unchanged: Form


class Wanted(NamedTuple):
    """What a request asks for: what its answer depends on, and the form in which it is wanted."""

    asked: Asked
    kept: bool  # may it be answered with what was made for others?
    packed: bool
    head: bool
    tree: bool  # a tree's own page, which is counted


class Front:
    """The pages as an ASGI application. What the site behind it raises is logged; the visitor gets its error page."""

    def __init__(self, site: ASGIApp, security: dict[str, str], clock: Clock, visits: Visits | None = None) -> None:
        self._site, self._visits = site, visits
        self._security: Headers = [(name.lower().encode(), value.encode()) for name, value in security.items()]
        self._pages = Remembered(
            self._made, clock, KEEP_S, patience_s=None, worth=_is_kept, at_once=AT_ONCE, most=MOST_KEPT, size=_size
        )
        self._wanted: dict[Said, Wanted] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; anything but HTTP is the site's own matter."""
        if scope["type"] != "http":
            await self._site(scope, receive, send)
            return
        told = dict(scope["headers"])
        wanted = _wanted(scope["method"], scope["path"], scope["query_string"], told)
        if posted.admitted(wanted.asked.method, wanted.asked.path):
            await self._post(wanted, scope, receive, send)
            return
        page = (await self._pages.get(wanted.asked)).value if wanted.kept else await self._made(wanted.asked)
        if wanted.kept and page.tag:
            self._learn(_as_said(scope, told), wanted)
        form = self._form(wanted, page, told)
        form = _part(form, told.get(b"range", b""))
        await send({"type": "http.response.start", "status": form.status, "headers": form.headers})
        await send({"type": "http.response.body", "body": form.body})

    async def _post(self, wanted: Wanted, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a form that was sent: never from what was made for others, and never kept by anybody."""
        form = await posted.received(scope, receive, dict(scope["headers"]))
        status, headers, body = await self.asked(wanted.asked, form)
        page = self._whole(status, headers, body)
        answer = page.packed if wanted.packed else page.plain
        close = [(b"connection", b"close")] if status in (408, 413) else []  # the rest of a body is not waited for
        await send({"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, *close]})
        await send({"type": "http.response.body", "body": answer.body})

    def at_once(self, method: bytes, url: bytes, told: dict[bytes, bytes]) -> Form | None:
        """Return an answer that is there and fresh, None where one must be made or waited for."""
        wanted = self._wanted.get((method, url, *map(told.get, READ)))
        page = self._pages.fresh(wanted.asked) if wanted else None
        return self._form(wanted, page, told) if wanted and page else None

    def _learn(self, said: Said, wanted: Wanted) -> None:
        """Keep what a request meant: whoever says the same next needs no thought."""
        if sum(len(word or b"") for word in said) > LONGEST_SAID:
            return
        if len(self._wanted) >= MOST_MEANT:
            self._wanted.clear()
        self._wanted[said] = wanted

    def _form(self, wanted: Wanted, page: Page, told: dict[bytes, bytes]) -> Form:
        """Return the page as this visitor wants it. A tree's own page is counted: of a request nothing but its path."""
        if wanted.tree and self._visits and page.tag:
            self._visits.seen(wanted.asked.path)
        compares = told.get(b"if-none-match")
        if compares and page.tag and (compares == page.tag or page.tag in compares.replace(b",", b" ").split()):
            form = page.unchanged
        else:
            form = page.packed if wanted.packed else page.plain
        return form._replace(body=b"") if wanted.head else form

    async def _made(self, asked: Asked) -> Page:
        return self._whole(*await self.asked(asked))

    def _whole(self, status: int, headers: Headers, body: bytes) -> Page:
        """Return a page with the headers that all have; a page may have one of these in words of its own."""
        own = {name for name, _ in headers}
        return _page(status, [*headers, *(pair for pair in self._security if pair[0] not in own)], body)

    async def asked(self, asked: Asked, state: dict[str, object] | None = None) -> tuple[int, Headers, bytes]:
        """Have the site make an answer; return its status, its own headers and its body."""
        said: list[Message] = []

        async def hear(message: Message) -> None:
            said.append(message)

        try:
            await self._site({**_scope(asked), "state": state or {}}, _nothing, hear)
        except Exception:
            log.exception("page stumbled path=%r", asked.path)
        status, headers = said[0]["status"], said[0]["headers"]
        return status, headers, b"".join(message.get("body", b"") for message in said[1:])


def _wanted(method: str, path: str, query: bytes, told: dict[bytes, bytes]) -> Wanted:
    accepts, languages, wants, frugal = (told.get(name, b"") for name in READ)
    path, said = "/" + path.strip("/"), query
    head = method == "HEAD"
    if head:
        method = "GET"
    if query not in _LANGS:
        query = _meant(path, query)
    if path.startswith(_THINGS):
        resolved = LINKSET in wants and not path.startswith(_TREES)
        if resolved or _EVERY_LINK in said.split(b"&"):
            path += "/linkset"
    of_trees = path.startswith(_TREES)
    asked = Asked(
        method, path, query, _LANGS.get(query) or _first(languages[:LONGEST_SAID]), frugal == b"on" and of_trees
    )
    tree = of_trees and path.count("/") == 2 and not head
    return Wanted(asked, query in _LANGS and method == "GET", b"gzip" in accepts, head, tree)


def _as_said(scope: Scope, told: dict[bytes, bytes]) -> Said:
    """Return all of a request that what it means depends on, word for word."""
    query = scope["query_string"]
    url = scope["raw_path"] + (b"?" + query if query else b"")
    return (scope["method"].encode(), url, *map(told.get, READ))


def _is_kept(page: Page) -> bool:
    return bool(page.tag)


def _size(page: Page) -> int:
    return len(page.plain.body) + len(page.packed.body)


def _page(status: int, headers: Headers, body: bytes) -> Page:
    """Return an answer in all its forms. What the site itself calls uncacheable gets no tag, and no error does."""
    told = dict(headers)
    tag = told.get(b"etag", b"")
    rest = [(name, value) for name, value in headers if name not in {b"etag", b"content-length", b"vary"}]
    if b"cache-control" not in told:
        tag = (tag or above.tag(body).encode()) if status == 200 else b""
        rest.append((b"cache-control", CACHE if tag else b"no-store"))
    if tag:
        rest.append((b"etag", tag))
    packs = len(body) >= PACK_FROM and told.get(b"content-type") not in PACKED
    packed = gzip.compress(body, 6, mtime=0) if packs else body
    vary = [told[b"vary"]] if b"vary" in told else []
    if packed is not body:
        vary.append(b"Accept-Encoding")
    if vary:
        rest.append((b"vary", b", ".join(vary)))
    plain = _form(status, [*rest, _length(body)], body)
    return Page(
        tag=tag,
        plain=plain,
        packed=plain if packed is body else _form(status, [*rest, _GZIP, _length(packed)], packed),
        unchanged=_form(304, [pair for pair in rest if pair[0] != b"content-type"], b""),
    )


def _form(status: int, headers: Headers, body: bytes) -> Form:
    lines = [b"HTTP/1.1 %d %s" % (status, HTTPStatus(status).phrase.encode())]
    lines += [name + b": " + value for name, value in headers]
    return Form(status, headers, b"\r\n".join([*lines, b""]), body)


def _part(form: Form, asked: bytes) -> Form:
    """Return the part of an answer that was asked for, where it is given in parts: telephones play nothing else.

    One part; what asks for several gets all, as it may (RFC 9110 §14.2).
    """
    found = _RANGE.fullmatch(asked) if form.status == 200 and _IN_PARTS in form.headers else None
    if found is None or not (found[1] or found[2]):
        return form
    whole = len(form.body)
    first = int(found[1]) if found[1] else max(0, whole - int(found[2]))
    last = min(int(found[2]), whole - 1) if found[1] and found[2] else whole - 1
    rest = [pair for pair in form.headers if pair[0] != b"content-length"]
    if found[1] and found[2] and int(found[2]) < first:
        return form
    if first >= whole:
        return _form(416, [*rest, (b"content-range", b"bytes */%d" % whole), _length(b"")], b"")
    body = form.body[first : last + 1]
    return _form(206, [*rest, (b"content-range", b"bytes %d-%d/%d" % (first, last, whole)), _length(body)], body)


def _length(body: bytes) -> tuple[bytes, bytes]:
    return b"content-length", str(len(body)).encode()


def _meant(path: str, query: bytes) -> bytes:
    """Return what a query says to us: links that were shared carry words of others (fbclid=…) that mean nothing."""
    words_of_it = query.split(b"&")
    if path == "/" and any(one.startswith(_TYPED) for one in words_of_it):
        return query
    return next((one for one in words_of_it if one in _LANGS), b"")


@lru_cache(maxsize=1_024)
def _first(languages: bytes) -> str:
    return words.choose(None, languages.decode("latin-1"))


def _scope(asked: Asked) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": asked.method,
        "scheme": "http",
        "path": asked.path,
        "raw_path": asked.path.encode(),
        "query_string": asked.query,
        "root_path": "",
        "headers": [(b"accept-language", asked.lang.encode()), *([(b"save-data", b"on")] if asked.frugal else [])],
        "client": None,
        "server": None,
    }


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}
