"""What the community's teams did: a page, and the same as a table for others. Of teams alone, by effort alone."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from typing import TYPE_CHECKING, NamedTuple

from starlette.responses import Response

from cloud.clock import hanoi, midnight_ms
from cloud.coverage import shelf
from cloud.pages.remembered import Remembered, aside
from cloud.pages.score import Period, Score, checks, scores
from cloud.registry.periods import valid_on
from cloud.registry.sheets import GUARDED
from cloud.reports.read import answered
from cloud.store import Retry

if TYPE_CHECKING:
    from starlette.requests import Request

    from cloud.pages.answers import Answers
    from cloud.reports.read import Answered
    from cloud.store.history import Series

KEEP_S, REST_S = 300.0, 5.0
LONGEST = timedelta(730)  # of days that are counted as heard; reports are kept as long
LATELY = timedelta(31)  # asked anew: what a gateway brings later than that counts from the next start of the room on
HEARD = ("registration", "battery_voltage", "air_temperature")  # what says that somebody looks after a station


class Told(NamedTuple):
    """The tables, whether something could not be asked and is missing, and whether cells are those of a sample."""

    tables: list[tuple[Period, list[Score]]]
    partly: bool
    invented: bool


class Teams:
    """Answers about teams."""

    def __init__(self, answers: Answers) -> None:
        self._answers, self._garden = answers, answers.garden
        ask = aside("ask-teams", self._ask)
        self._asked: Remembered[date, Told] = Remembered(
            ask, self._garden.clock, KEEP_S, patience_s=self._garden.patience_s, rest_s=REST_S
        )
        self._days: dict[Series, set[date]] = {}  # on which each was heard: two years are seconds of a database's work

    async def page(self, request: Request) -> Response:
        """The board."""
        told = await self._told()
        return self._answers.page(request, "teams.html", status=200 if told else 503, told=told)

    async def csv(self, _request: Request) -> Response:
        """The same, a row for each team and period."""
        told = await self._told()
        if told is None:
            return Response("", 503, {"Retry-After": "5"}, media_type="text/csv")
        out = io.StringIO()
        write = csv.writer(out).writerow
        write(("period", "rank", "team", "name", "hamlet", "days_heard", "cells_measured", "tags_checked", "reports",
               "reports_answered", "median_hours"))  # fmt: skip
        for period, rows in told.tables:
            name = f"{period.month // 100}-{period.month % 100:02d}" if period.month else "all"
            for one in rows:
                told_of = (one.days, one.cells, one.tags, one.reports, one.answered, one.median_h)
                write((name, one.rank, one.code, _guarded(one.name), _guarded(one.hamlet),
                       *("" if value is None else value for value in told_of)))  # fmt: skip
        headers = {"Content-Disposition": 'attachment; filename="doi.csv"'}
        return Response("\ufeff" + out.getvalue(), 200, headers, "text/csv")

    async def _told(self) -> Told | None:
        try:
            return (await self._asked.get(self._garden.today)).value
        except Retry:
            return None

    def _ask(self, today: date) -> Told:
        """Count everything, aside: a garden of tens of thousands of tags takes a while."""
        before = today.replace(day=1) - timedelta(1)
        periods = [Period(day.year * 100 + day.month) for day in (today, before)] + [Period(0)]
        registry, efforts, answers = self._garden.registry, self._efforts(), self._answered(today)
        heard, checked = self._heard(today), checks(registry, today)
        tables = [(one, scores(registry, today, one, efforts or (), answers or (), heard, checked)) for one in periods]
        invented = bool(efforts and self._garden.surveyed and shelf.invented(self._garden.surveyed))
        return Told(tables, efforts is None or answers is None or heard is None, invented)

    def _efforts(self) -> list[tuple[str, int, int]] | None:
        try:
            return shelf.effort(self._garden.surveyed, 0) if self._garden.surveyed else []
        except shelf.UNREADABLE:
            return None

    def _answered(self, today: date) -> list[Answered] | None:
        try:
            since_ms = midnight_ms(today - LONGEST)
            return answered(self._garden.reports.path, since_ms) if self._garden.reports else []
        except shelf.UNREADABLE:
            return None

    def _heard(self, today: date) -> dict[str, set[date]] | None:
        """Return on which days a station or modem of each team's hamlet was heard."""
        bound = [one for one in self._garden.registry.bindings if one.place == "hamlet"]
        wanted = list(dict.fromkeys((one.gateway, one.channel, quantity) for one in bound for quantity in HEARD))
        new, known = ([one for one in wanted if (one in self._days) == asked] for asked in (False, True))
        try:
            for series, span in ((new, LONGEST), (known, LATELY)):
                start_ms, end_ms = midnight_ms(today - span), midnight_ms(today + timedelta(1))
                for own, hours in self._garden.store.each_hourly(series, start_ms, end_ms) if series else ():
                    days = {hanoi(hour.start_ms).date() for hour in hours if hour.n}
                    self._days[own] = self._days.get(own, set()) | days
        except Retry:
            return None
        found = dict[str, set[date]]()
        for one in bound:  # what hung there on another day was another hamlet's
            told = set().union(*(self._days[one.gateway, one.channel, quantity] for quantity in HEARD))
            found.setdefault(one.code, set()).update(day for day in told if valid_on(one, day))
        return found


def _guarded(text: str) -> str:
    """Return a text that no spreadsheet reads as a formula."""
    return f"'{text}" if text.startswith(GUARDED) else text
