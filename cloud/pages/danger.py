"""Fire danger as the world may see it: each zone's level or P, why, its course, and the bulletin on paper and aloud.

It is weather and nothing else: no smoke, no alarm and no satellite stands on these pages. A level stands only beside
the decision that it is read by; without one the page says so.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from cloud.danger import book
from cloud.danger.bulletin import bulletin, loudspeaker
from cloud.danger.sign import svg
from cloud.pages.answers import VARY, json
from cloud.pages.danger_map import chart
from cloud.pages.dial import Seen, as_json, courses, seen_of, sign_words
from cloud.pages.remembered import Remembered, Source, aside
from cloud.store import Retry
from settings.words import Taken

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request

    from cloud.danger.book import Rank
    from cloud.danger.course import Day
    from cloud.pages.answers import Answers
    from cloud.registry.kinds import Zone

KEEP_S, REST_S = 30.0, 5.0  # danger changes once a day, and when late data come
SHOWN_DAYS, TABLE_DAYS = 120, 30
TEXT, PDF = "text/plain", "application/pdf"


class Dangers:
    """Answers about danger."""

    def __init__(self, answers: Answers) -> None:
        self._answers, self._garden = answers, answers.garden
        how: Any = {"patience_s": self._garden.patience_s, "rest_s": REST_S, "source": Source()}
        self._newest = Remembered(aside("ask-danger", self._ask_newest), self._garden.clock, KEEP_S, **how)
        self._past = Remembered(aside("ask-danger", self._ask_past), self._garden.clock, KEEP_S, **how, most=500)
        self._sheets = Remembered(aside("ask-danger", self._drawn), self._garden.clock, KEEP_S, **how, most=100)

    async def lines(self) -> dict[str, Seen]:
        """Return what is known of each zone, for a line of another page; nothing where the book does not answer."""
        try:
            days = (await self._newest.get("")).value
        except Retry:
            return {}
        return {zone.code: self._seen(zone, days.get(zone.code)) for zone in self._garden.registry.zones.values()}

    async def index(self, request: Request) -> Response:
        """All zones."""
        lines = await self.lines()
        status = 200 if lines or not self._garden.registry.zones else 503
        seen = list(lines.values())
        made = chart(seen, self._answers.speaker(request).lang)
        return self._answers.page(request, "dangers.html", status=status, lines=seen, chart=made)

    async def page(self, request: Request) -> Response:
        """One zone, with why."""
        seen, away = await self._of(request)
        if seen is None:
            return self._answers.nowhere(request)
        speaker = self._answers.speaker(request)
        return self._answers.page(
            request,
            "danger.html",
            status=503 if away else 200,
            away=away,
            seen=seen,
            sign=svg(seen.level.number if seen.level else None, sign_words(seen, speaker)),
            courses=courses(seen),
            table=seen.days[-TABLE_DAYS:][::-1],
            print_pdf=not self._garden.still,
        )

    async def aloud(self, request: Request) -> Response:
        """The bulletin to be read aloud."""
        seen, away = await self._of(request)
        if seen is None or away or seen.day is None:
            return json({"error": "there is no danger known here"}, 503 if away else 404)
        lang = self._answers.speaker(request).lang
        text = loudspeaker(seen.zone, seen.days, seen.verdict, self._garden.danger_told, lang, seen.official)
        return Response(text, 200, VARY, TEXT)

    async def sheet(self, request: Request) -> Response:
        """The bulletin on an A4 page."""
        seen, away = await self._of(request)
        if seen is None or away or seen.day is None:
            return json({"error": "there is no danger known here"}, 503 if away else 404)
        lang = self._answers.speaker(request).lang
        made = bulletin(seen.zone, seen.days, seen.verdict, self._garden.danger_told, lang, seen.official)
        try:
            pdf = (await self._sheets.get((made, seen.level.number if seen.level else None))).value
        except Retry:
            return json({"error": "this server draws no sheets at the moment"}, 503)
        name = f'inline; filename="{seen.zone.code}-{seen.day.day.isoformat()}.pdf"'
        return Response(pdf, 200, VARY | {"Content-Disposition": name}, PDF)

    async def json(self, request: Request) -> Response:
        """The newest day of a zone, for machines, with the days before."""
        seen, away = await self._of(request)
        if seen is None or away:
            return json({"error": "there is no danger known here"}, 503 if away else 404)
        return json(as_json(seen))

    async def _of(self, request: Request) -> tuple[Seen | None, bool]:
        """Return what is known of the zone that was asked for, and whether the book does not answer."""
        zone = self._garden.registry.zones.get(request.path_params["zone"].lower())
        if zone is None:
            return None, False
        try:
            days, rank = (await self._past.get(zone.code)).value
        except Retry:
            return self._seen(zone, None), True
        return self._seen(zone, days[-1] if days else None)._replace(days=tuple(days), rank=rank), False

    def _seen(self, zone: Zone, day: Day | None) -> Seen:
        return seen_of(self._garden.registry, zone, day, self._garden.clock.utc_ms())

    def _ask_newest(self, _: str) -> dict[str, Day]:
        with self._asked() as path:
            return {} if path is None else book.newest(path, list(self._garden.registry.zones), self._garden.today)

    def _ask_past(self, zone: str) -> tuple[list[Day], Rank | None]:
        with self._asked() as path:
            return ([], None) if path is None else book.past(path, zone, SHOWN_DAYS, self._garden.today)

    @contextmanager
    def _asked(self) -> Iterator[Path | None]:
        try:
            yield self._garden.danger
        except (sqlite3.Error, Taken) as error:
            raise Retry(str(error)) from error

    def _drawn(self, asked: Any) -> bytes:
        try:
            from cloud.danger.sheet import NoFont, draw  # noqa: PLC0415 - of an extra that not every server has
        except ImportError as error:
            raise Retry(f"reportlab is not installed: {error}") from error
        try:
            return draw(*asked)
        except NoFont as error:
            raise Retry(str(error)) from error
