"""Coverage as the world may see it: a map of what was surveyed, the hamlets beside it as a table, months side by side.

Two things are shown beside each other and never mixed: what a hamlet's modem says now, and what everybody who went
there with a telephone or a modem has heard of late. "No signal", "no data" and "not measured" are different words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cloud.coverage import scale
from cloud.coverage.networks import names
from cloud.pages import words
from cloud.pages.answers import json
from cloud.pages.coverage_map import CLASSES, WIDTH, patterns, swatch
from cloud.pages.remembered import Known, Remembered, Source, aside
from cloud.pages.surveyed import Surveyed
from cloud.pages.views import Asked, Shown, View, view_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from cloud.coverage.around import Around
    from cloud.pages.answers import Answers
    from cloud.pages.garden import HamletRow

PAST_S, MAP_S, REST_S = 60.0, 30.0, 5.0  # how long an answer serves all who ask
FIRST_S = 1.0  # a map that nobody has asked for yet is waited for: of many hamlets it takes that long
MOST_MAPS = 200  # kept


class Coverages:
    """Answers about coverage. `past` is when each modem was in service last, which other pages ask for, too."""

    def __init__(self, answers: Answers) -> None:
        self._answers, self._garden = answers, answers.garden
        self.past = self._asked("ask-past", lambda _: self._garden.coverage.search(), PAST_S, answers.store)
        self._surveyed = Surveyed(self._garden.surveyed, self._garden.current, self._garden.clock, self._garden.near_m)
        self._maps: Remembered[Asked, Shown] = self._asked(
            "ask-coverage",
            self._surveyed.ask,
            MAP_S,
            Source(),
            worth=lambda shown: shown.made_ms or shown.view == View(),
        )

    def _asked(
        self, name: str, ask: Callable[[Any], Any], keep_s: float, source: Source, **more: Any
    ) -> Remembered[Any, Any]:
        how: Any = {"patience_s": self._garden.patience_s, "rest_s": REST_S, "source": source, "most": MOST_MAPS} | more
        return Remembered(aside(name, ask), self._garden.clock, keep_s, **how)

    async def index(self, request: Request) -> Response:
        """The map and the table of hamlets; another layer, network or month by its address."""
        view = view_of(request.path_params.get("view", View().name))
        if view is None:
            return self._answers.nowhere(request)
        past, known = await self.past.known(""), await self._map(Asked(view))
        if view != View() and known is not None and view not in known.value.views:
            return self._answers.nowhere(request)
        rows = self._garden.coverage.rows(past and past.value)
        named = {row.code: row.name for row in rows}
        return self._page(request, "coverage.html", view, known, rows=rows, named=named, stale_ms=self._stale_ms(past))

    async def hamlet(self, request: Request) -> Response:
        """One hamlet: the cells around it, by network, and what its modem says."""
        view = view_of(request.path_params.get("view", View().name))
        code = request.path_params["hamlet"].lower()
        past = await self.past.known("")
        own = [row for row in self._garden.coverage.rows(past and past.value) if row.code == code]
        if view is None or not own:
            return self._answers.nowhere(request)
        known = await self._map(Asked(view, code))
        if view != View() and known is not None and view not in known.value.views:
            return self._answers.nowhere(request)
        return self._page(request, "coverage_hamlet.html", view, known, row=own[0], stale_ms=self._stale_ms(past))

    async def months(self, request: Request) -> Response:
        """The newest months side by side, and what each knows otherwise than the one before."""
        view = view_of(request.path_params.get("view", View().name))
        if view is None or view.month:
            return self._answers.nowhere(request)
        known = await self._map(Asked(view, months=True))
        return self._page(request, "coverage_months.html", view, known)

    async def json(self, _request: Request) -> Response:
        """The table for machines: what modems say, the cells around each hamlet, and which maps there are."""
        past, known = await self.past.known(""), await self._map(Asked(View()))
        rows = self._garden.coverage.rows(past and past.value)
        shown = known.value if known else None
        cells = shown.hamlets if shown else {}
        return json(
            {
                "hamlets": [_hamlet(row) | {"cells": _cells(cells.get(row.code))} for row in rows],
                "cells": None if shown is None else {"resolution": shown.res, "within_m": self._surveyed.near_m},
                "map": None if shown is None or not shown.made_ms else _map(shown),
                "maps": None if shown is None else [view._asdict() for view in shown.views],
            }
        )

    async def _map(self, asked: Asked) -> Known[Shown] | None:
        return await self._maps.known(asked, FIRST_S)

    def _page(self, request: Request, template: str, view: View, known: Known[Shown] | None, **more: Any) -> Response:
        shown = known.value if known else Shown(view, ())
        return self._answers.page(
            request,
            template,
            view=view,
            shown=shown,
            away=known is None,
            map_stale_ms=self._stale_ms(known),
            levels=scale.rows(self._garden.scale, view.layer),
            patterns=patterns(),
            swatch=swatch,
            classes=CLASSES,
            width=WIDTH,
            near_m=round(self._surveyed.near_m),
            networks=names(),
            views=_beside(view, shown.views),
            **more,
        )

    def _stale_ms(self, known: Known[Any] | None) -> int | None:
        """Return when an answer was given that could not be had anew."""
        return self._garden.clock.utc_ms() - round(known.age_s * 1000) if known and known.stale else None


def _beside(view: View, views: tuple[View, ...]) -> dict[str, list[View]]:
    """Return what a visitor may look at from a view by changing one thing of it."""
    layers = [own for own in views if own[1:] == view[1:]]
    networks = [own for own in views if (own.layer, own.month) == (view.layer, view.month)]
    months = [own for own in views if own[:2] == view[:2]]
    now, past = [own for own in months if not own.month], [own for own in months if own.month]
    return {"layer": layers, "network": networks, "month": [*now, *past]}


def _map(shown: Shown) -> dict[str, Any]:
    return {"made": words.iso(shown.made_ms), "cells": dict(shown.counts), "left_out": shown.left_out}


def _cells(own: Around | None) -> dict[str, Any] | None:
    if own is None:
        return None
    return {
        "covered": own.covered,
        "uncovered": own.uncovered,
        "uncertain": own.uncertain,
        "unmeasured": own.unmeasured,
        "last_measured": None if own.last_ms is None else words.iso(own.last_ms),
        "uncovered_since": None if own.since_month is None else f"{own.since_month // 100}-{own.since_month % 100:02d}",
    }


def _hamlet(row: HamletRow) -> dict[str, Any]:
    return {
        "code": row.code,
        "name": row.name,
        "commune": row.commune,
        "province": row.province,
        "households": row.households,
        "state": row.state,
        "measured": None if row.time_ms is None else words.iso(row.time_ms),
        "registration": row.registration,
        "radio": row.radio,
        "rsrp_dbm": row.rsrp_dbm,
        "last_service": None if row.last_service_ms is None else words.iso(row.last_service_ms),
        "searched": row.searched,
    }
