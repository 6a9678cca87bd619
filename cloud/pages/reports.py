"""The form by which people report a fire, a lost signal, something else; and the receipt of a report.

It works without JavaScript and without a cookie. A report is durable before anybody is thanked; what cannot be kept now
is said, with the numbers to call. What is typed stands in the form again wherever it is not taken.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from starlette.responses import RedirectResponse, Response

from cloud.pages import headers, posted
from cloud.pages.answers import Answers, echo, json, query
from cloud.registry import codes
from cloud.registry.alphabet import order
from cloud.reports.report import KINDS, NoReport, as_receipt, place_of, read
from cloud.store import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from cloud.reports.door import Door

log = logging.getLogger(__name__)
PATIENCE_S = 12.0  # for the disk: longer than whoever else writes holds it
MOST_WAITING = 100  # for the disk; who comes then is told to call
TRAP = "website"  # a field that nobody sees
ASKS = {**headers.NO_STORE, "Permissions-Policy": "camera=(), geolocation=(self), microphone=()"}
REFUSED = {400: "unreadable", 403: "elsewhere", 408: "slow", 413: "long", 415: "unreadable"}


class Reports:
    """Answers about reports. The disk is asked in one thread of its own."""

    def __init__(self, answers: Answers, style: str, script: str) -> None:
        self._answers, self._garden = answers, answers.garden
        # files of ours, whose digests the policy names
        self._more = {"form_style": Markup(style), "queue": Markup(script)}  # noqa: S704
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reports")
        self._waiting = 0

    async def form(self, request: Request) -> Response:
        """The form; of a tree's or a hamlet's page with the place filled in."""
        given = request.path_params
        return self._form(request, {name: echo(given[name]) for name in ("tree", "hamlet") if name in given})

    async def send(self, request: Request) -> Response:
        """Keep a report, and lead to its receipt; or show the form again and say why."""
        door = self._garden.reports
        if door is None:
            return self._answers.nowhere(request)
        fields: dict[str, str] = getattr(request.state, posted.FIELDS)
        if status := getattr(request.state, posted.REFUSED):
            return self._again(request, {}, REFUSED[status], status)
        why = self._doubt(door, fields) or self._held_up(door, request)
        if why:
            return self._again(request, fields, *why)
        try:
            report = read(fields, self._garden.registry, self._garden.today)
        except NoReport as unfit:
            return self._again(request, fields, unfit.rule, 422)
        place = place_of(report, self._garden.registry, self._garden.today)
        try:
            kept = await self._aside(lambda: door.put(report, place))
        except Retry:
            return self._again(request, fields, "disk", 503)
        path = f"/bao/{kept.code}"
        if getattr(request.state, posted.MACHINE):
            return json({"code": kept.code, "path": path}, 201)
        return RedirectResponse(path + query(request), 303, headers.NO_STORE)

    async def receipt(self, request: Request) -> Response:
        """What became of a report: for whoever has its receipt, and without what was said in it."""
        door, code = self._garden.reports, as_receipt(request.path_params["code"])
        try:
            found = await self._aside(lambda: door.receipt(code)) if door and code else None
        except Retry:
            return self._page(request, "receipt.html", 503, kept=None, head=None, code=code)
        if found is None:
            return self._page(request, "receipt.html", 404, kept=None, head=None, code="")
        return self._page(request, "receipt.html", 200, kept=found[0], head=found[1], code=code)

    async def erase(self, request: Request) -> Response:
        """Erase what a reporter said, at their own wish."""
        door, code = self._garden.reports, as_receipt(request.path_params["code"])
        if door is None or not code or getattr(request.state, posted.REFUSED):
            return self._answers.nowhere(request)
        if door.wait_s(getattr(request.state, posted.NETWORK)):
            return self._page(request, "receipt.html", 429, kept=None, head=None, code=code)
        try:
            await self._aside(lambda: door.withdraw(code))
        except Retry:
            return self._page(request, "receipt.html", 503, kept=None, head=None, code=code)
        return RedirectResponse(f"/bao/{code}{query(request)}", 303, headers.NO_STORE)

    def _doubt(self, door: Door, fields: Mapping[str, str]) -> tuple[str, int] | None:
        if fields.get(TRAP):
            return "machine", 422
        doubt = door.doubt(fields.get("t", ""))
        return (doubt, 422) if doubt else None

    def _held_up(self, door: Door, request: Request) -> tuple[str, int] | None:
        return ("many", 429) if door.wait_s(getattr(request.state, posted.NETWORK)) else None

    async def _aside(self, does: Callable[[], Any]) -> Any:
        """Do something in the thread that may wait for the disk. Raises Retry where it takes too long, or many wait.

        What takes too long may still be done: the same report sent again is the same.
        """
        if self._waiting >= MOST_WAITING:
            raise Retry("too many reports wait for the disk", 10)
        self._waiting += 1
        doing = asyncio.get_running_loop().run_in_executor(self._thread, does)
        doing.add_done_callback(self._done)
        try:
            return await asyncio.wait_for(asyncio.shield(doing), PATIENCE_S)
        except TimeoutError as late:
            raise Retry("the disk of reports does not answer", 10) from late

    def _done(self, doing: asyncio.Future[Any]) -> None:
        self._waiting -= 1
        if not doing.cancelled():
            doing.exception()  # told by who waits, if anybody still does

    def _again(self, request: Request, fields: Mapping[str, str], why: str, status: int) -> Response:
        if getattr(request.state, posted.MACHINE, False):
            return json({"why": why, "words": self._answers.speaker(request).say(f"refusal.{why}")}, status)
        return self._form(request, fields, why, status)

    def _form(self, request: Request, fields: Mapping[str, str], why: str = "", status: int = 200) -> Response:
        door, registry, today = self._garden.reports, self._garden.registry, self._garden.today
        if door is None:
            return self._answers.nowhere(request)
        tree = registry.shown(fields.get("tree", ""))
        named = (registry.hamlet(code, today) for code in registry.hamlets)
        hamlets = sorted((one for one in named if one), key=lambda one: order(one.name))
        kept = fields.get("t", "") if why not in ("forged", "old") else ""  # a form that was too early is in time soon
        return self._page(
            request, "report.html", status, why=why, fields=fields, ticket=kept or door.ticket(), kinds=KINDS,
            tree=tree, tree_code=codes.shown(tree.code) if tree else fields.get("tree", ""), hamlets=hamlets,
        )  # fmt: skip

    def _page(self, request: Request, template: str, status: int, **context: Any) -> Response:
        tel = {"duty_tel": self._garden.duty_tel, "duty_sms": self._garden.duty_sms} | self._more
        answer = self._answers.page(request, template, status=status, **tel, **context)
        answer.headers.update(ASKS)
        return answer
