"""What was surveyed, ready to be shown: a view of coverage.db becomes a map, the hamlets' cells, and what changed.

A view is made when somebody asks for it and kept as long as the sheets that it is made from: the room coverage makes
new ones after new samples came. All of it runs in a thread aside, and raises the store's Retry for a book that is not
to be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import h3.api.basic_int as h3

from cloud.clock import hanoi
from cloud.coverage import shelf
from cloud.coverage.around import NEAR_M, around, change, near, states
from cloud.coverage.walk import walk_next
from cloud.pages.coverage_map import CLASSES, LETTER, MOST, Frame, Place, Ring, chart
from cloud.pages.views import FINE, LAYERS, MONTH_NOW, Asked, Month, Shown, View
from cloud.registry.alphabet import order
from cloud.store import Retry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cloud.clock import Clock
    from cloud.coverage.around import Around, Change, States
    from cloud.coverage.seam import Judged
    from cloud.coverage.walk import Next
    from cloud.pages.coverage_map import Drawn
    from cloud.registry import Current, HamletNow

WIDE = 8  # H3 resolution of the map
DISTRICT, RINGS = 6, 3  # what lies in so many rings of cells around a hamlet's, 20 km and a little more, is on the map
ZOOM_M = 2_500.0
LEAST_M = 4_000.0  # that a map shows
MOST_MONTHS, BESIDE = 24, 3  # looked at for "since when"; side by side
MOST_VIEWS, MOST_WALKS = 200, 10  # kept; listed


class Surveyed:
    """Makes what is asked for. `path` is coverage.db; None: this server has none."""

    def __init__(self, path: Path | None, current: Current, clock: Clock, near_m: float = NEAR_M) -> None:
        self._path, self._current, self._clock, self.near_m = path, current, clock, near_m
        self._made: dict[Asked, tuple[object, Shown]] = {}

    def ask(self, asked: Asked) -> Shown:
        """Return what a question has for an answer. Raises Retry where the book cannot be read now."""
        if self._path is None:
            return Shown(asked.view, ())
        try:
            listed = shelf.sheets(self._path)
            registry, today = self._current.now, hanoi(self._clock.utc_ms()).date()
            state = (tuple(listed), today, registry)
            before = self._made.get(asked)
            if before is not None and before[0] == state:
                return before[1]
            hamlets = [one for code in registry.hamlets if (one := registry.hamlet(code, today)) is not None]
            made = _Making(self._path, self.near_m, listed, hamlets, asked, self._clock.utc_ms()).shown()
        except shelf.UNREADABLE as error:
            raise Retry(f"coverage: {error}") from error
        if made.made_ms:  # what is no view is soon found out again
            if len(self._made) >= MOST_VIEWS:
                self._made.clear()
            self._made[asked] = state, made
        return made


class _Making:
    """One answer in the making."""

    def __init__(
        self, path: Path, near_m: float, listed: Sequence[tuple[str, int, int, int, int]],
        hamlets: Sequence[HamletNow], asked: Asked, now_ms: int,
    ) -> None:  # fmt: skip
        self._path, self._near_m, self._asked, self._now_ms = path, near_m, asked, now_ms
        self._listed = {(View(layer, plmn, month), res): made_ms for layer, plmn, month, res, made_ms in listed}
        self._hamlets = sorted(hamlets, key=lambda one: order(one.name))

    def shown(self) -> Shown:
        asked, view = self._asked, self._asked.view
        views = tuple(
            sorted({own for own, _ in self._listed}, key=lambda own: (LAYERS.index(own.layer), own.plmn, -own.month))
        )
        made_ms = max((self._listed.get((view, res), 0) for res in (WIDE, FINE)), default=0)
        shown = Shown(view, views, made_ms, invented=shelf.invented(self._path))
        if not made_ms:
            return shown
        if asked.hamlet:
            own = [one for one in self._hamlets if one.code == asked.hamlet]
            return self._zoomed(shown, own[0]) if own else shown
        if asked.months:
            return shown._replace(beside=self._beside())
        return self._district(shown)

    def _district(self, shown: Shown) -> Shown:
        cells, left_out = self._window(self._cells(shown.view, WIDE))
        res = FINE if (shown.view, FINE) in self._listed else WIDE
        fine = self._cells(shown.view, res)
        months = self._states_of(self._months(shown.view), res)
        walks = self._walks(shown.view, fine, self._hamlets, res)
        return shown._replace(
            drawn=self._drawn(cells, walks=walks) if cells else None,
            counts=_counts(cells),
            left_out=left_out,
            hamlets={one.code: self._around(one, fine, months, res) for one in self._hamlets},
            res=res,
            change=self._changed(shown.view),
            walks=walks,
        )

    def _zoomed(self, shown: Shown, hamlet: HamletNow) -> Shown:
        res = FINE if (shown.view, FINE) in self._listed else WIDE
        at = hamlet.lat, hamlet.lon
        window = near(*at, ZOOM_M, res)
        fine = self._cells(shown.view, res)
        cells = [fine[cell] for cell in window if cell in fine]
        months = self._states_of(self._months(shown.view), res)
        frame = Frame(window, [at], LEAST_M)
        places = [Place(one.name, (one.lat, one.lon)) for one in self._hamlets if _within(frame, (one.lat, one.lon))]
        walks = self._walks(shown.view, fine, [hamlet], res)
        networks = [
            (own.plmn, self._around(hamlet, self._cells(own, res), (), res))
            for own, of in self._listed
            if of == res and own.plmn and (own.layer, own.month) == (shown.view.layer, shown.view.month)
        ]
        return shown._replace(
            drawn=chart(frame, _classes(cells), places, [one.cell for one in walks], Ring(at, self._near_m)),
            counts=_counts(cells),
            hamlets={hamlet.code: self._around(hamlet, fine, months, res)},
            res=res,
            networks=tuple(sorted(networks, key=lambda pair: (-pair[1].covered, pair[0]))),
            walks=walks,
        )

    def _beside(self) -> tuple[Month, ...]:
        chosen = self._months(self._asked.view._replace(month=MONTH_NOW))[:BESIDE][::-1]
        sheets = [(view, self._window(self._cells(view, WIDE))[0]) for view in chosen]
        every = [one for _, cells in sheets for one in cells]
        if not every:
            return ()
        found: list[Month] = []
        before: States | None = None
        for view, cells in sheets:
            after = states(cells)
            own = None if before is None else change(before, after)
            found.append(Month(view.month, self._drawn(cells, every), _counts(cells), own))
            before = after
        return tuple(found)

    def _walks(
        self, view: View, cells: Mapping[int, Judged], hamlets: Sequence[HamletNow], res: int
    ) -> tuple[Next, ...]:
        if view.month != MONTH_NOW:
            return ()
        return tuple(walk_next(list(cells.values()), hamlets, self._now_ms, res, MOST_WALKS))

    def _drawn(self, cells: Sequence[Judged], of: Sequence[Judged] = (), walks: Sequence[Next] = ()) -> Drawn:
        """Return the map of cells; one of several side by side is small, and in the frame of all of them."""
        places = [Place(one.name, (one.lat, one.lon)) for one in self._hamlets]
        every = {one.cell for one in of or cells}
        return chart(
            Frame(every, [place.at for place in places], LEAST_M),
            _classes(cells),
            places,
            [one.cell for one in walks],
            letter=2 * LETTER if of else LETTER,
        )

    def _around(
        self, hamlet: HamletNow, cells: Mapping[int, Judged], months: Sequence[tuple[int, States]], res: int
    ) -> Around:
        return around(near(hamlet.lat, hamlet.lon, self._near_m, res), cells, months)

    def _cells(self, view: View, res: int) -> dict[int, Judged]:
        sheet = shelf.sheet(self._path, view.layer, view.plmn, view.month, res)
        return {} if sheet is None else {one.cell: one for one in sheet.cells}

    def _window(self, cells: Mapping[int, Judged]) -> tuple[list[Judged], int]:
        """Return the cells of the district of the hamlets, those near them first, and how many are left out."""
        measured = [one for one in cells.values() if one.state in CLASSES]
        if not self._hamlets:
            return measured[:MOST], max(0, len(measured) - MOST)
        home = {h3.latlng_to_cell(one.lat, one.lon, DISTRICT) for one in self._hamlets}
        district = {cell for own in home for cell in h3.grid_disk(own, RINGS)}
        own: list[Judged] = []
        around_it: list[Judged] = []
        for one in measured:
            parent = h3.cell_to_parent(one.cell, DISTRICT)
            if parent in district:
                (own if parent in home else around_it).append(one)
        shown = [*own, *around_it][:MOST]
        return shown, len(measured) - len(shown)

    def _months(self, view: View) -> list[View]:
        """Return the months of a view's layer and network before its own, the newest first."""
        found = {
            own
            for own, _ in self._listed
            if own[:2] == view[:2] and own.month and (not view.month or own.month < view.month)
        }
        return sorted(found, key=lambda own: -own.month)[:MOST_MONTHS]

    def _states_of(self, views: Sequence[View], res: int) -> list[tuple[int, States]]:
        return [(own.month, states(self._cells(own, res).values())) for own in views]

    def _changed(self, view: View) -> tuple[int, Change] | None:
        """Return what a month's map knows otherwise than the one before; of now, what the newest month does."""
        months = ([view] if view.month else []) + self._months(view)
        if len(months) < 2:
            return None
        new, old = (states(self._window(self._cells(own, WIDE))[0]) for own in months[:2])
        return months[1].month, change(old, new)


def _classes(cells: Sequence[Judged]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for one in cells:
        found.setdefault(one.state, []).append(one.cell)
    return found


def _counts(cells: Sequence[Judged]) -> dict[str, int]:
    return {kind: len(own) for kind, own in _classes(cells).items()}


def _within(frame: Frame, at: tuple[float, float]) -> bool:
    x, y = frame.at(at)
    return 0 <= x <= 1000 and 0 <= y <= frame.height
