"""A lot of tea: which trees it came from, when it was picked, and what the weather was like; and GS1's addresses.

Where the cooperative has a prefix of GS1, a tree is known by its GIAI and a lot by GTIN and lot number, too
(GS1 Digital Link: `/8004/{GIAI}`, `/01/{GTIN}/10/{lot}`). These are other doors to the same pages, never redirects.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from cloud.pages.readings import Figure
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from cloud.pages.answers import Answers
    from cloud.pages.past import Day
    from cloud.pages.trees import Trees
    from cloud.registry import Registry
    from cloud.registry.kinds import Lot, Tree, Zone
    from wire.quantities import Quantity

SEASON_DAYS = 30  # before the first day of picking: buds grow in these
_TOLD = ("air_temperature", "air_humidity")


class Season(NamedTuple):
    """A quantity over the days in which the buds of a lot grew and were picked."""

    quantity: Quantity
    mean: float
    low: float
    high: float
    days: int
    invented: bool


class Lots:
    """Answers about lots, and at the addresses of GS1."""

    def __init__(self, answers: Answers, trees: Trees) -> None:
        self._answers, self._trees = answers, trees
        self._garden = answers.garden

    async def page(self, request: Request) -> Response:
        """One lot."""
        lot = self._garden.registry.lots.get(request.path_params["lot"].lower())
        return await self._shown(request, lot)

    async def by_gtin(self, request: Request) -> Response:
        """One lot, by GTIN and lot number."""
        found = self.lot_of(request.path_params["gtin"], request.path_params["lot"])
        return by_accept(await self._shown(request, found))

    async def by_giai(self, request: Request) -> Response:
        """One tree, by its GIAI."""
        found = self.tree_of(request.path_params["giai"])
        if found is None:
            return self._answers.nowhere(request)
        return by_accept(await self._trees.shown(request, found.code))

    def lot_of(self, gtin: str, number: str) -> Lot | None:
        """Return the lot of a GTIN and a lot number."""
        lot = self._garden.registry.lots.get(number.lower())
        same = lot and lot.gtin and is_gtin(gtin) and lot.gtin.zfill(14) == gtin.zfill(14)
        return lot if same else None

    def tree_of(self, giai: str) -> Tree | None:
        """Return the tree of a GIAI that has a page."""
        trees = self._garden.registry.northward
        return next((one for one in trees if one.giai and one.giai == giai.upper()), None)

    async def _shown(self, request: Request, lot: Lot | None) -> Response:
        if lot is None:
            return self._answers.nowhere(request)
        registry = self._garden.registry
        trees, zones = origins(registry, lot)
        where = [*zones, *(registry.zones[tree.zone] for tree in trees)]
        return self._answers.page(
            request,
            "lot.html",
            lot=lot,
            trees=trees,
            zones=zones,
            seasons=await self._seasons(lot, where[0].code) if where else [],
        )

    async def _seasons(self, lot: Lot, zone: str) -> list[Season]:
        """Return what the station of a zone measured while the buds grew, as far as that is less than a year ago."""
        registry, season = self._garden.registry, timedelta(SEASON_DAYS)
        found = []
        for quantity in map(QUANTITIES.__getitem__, _TOLD):
            for one in registry.bound_to("zone", zone, lot.picked_from):
                source = f"{one.gateway}/{one.channel}"
                figure = Figure(quantity, "zone", source, round(one.distance_m), "none", since=one.valid_from)
                days = await self._trees.past.days(registry, figure, zone) or ()
                grown = (day for day in days if day and lot.picked_from - day.on <= season)
                own = [day for day in grown if day.on <= lot.picked_to]
                if own:
                    found.append(_season(quantity, own))
                    break
        return found


def by_accept(answer: Response) -> Response:
    """Return an answer of an address of GS1: who accepts a linkset there is given one."""
    answer.headers["Vary"] = f"{answer.headers['Vary']}, Accept"
    return answer


def origins(registry: Registry, lot: Lot) -> tuple[list[Tree], list[Zone]]:
    """Return the trees and zones whose leaf went into a lot, those that have a page."""
    inputs = registry.inputs(lot.code)
    trees = [registry.trees.get(one.code) for one in inputs if one.place == "tree"]
    zones = [registry.zones.get(one.code) for one in inputs if one.place == "zone"]
    return [tree for tree in trees if tree and tree.published], [zone for zone in zones if zone]


def of_tree(registry: Registry, tree: Tree) -> list[Lot]:
    """Return the lots that leaf of a tree went into, the newest first."""
    codes = {one.lot for one in registry.lot_inputs if (one.place, one.code) == ("tree", tree.code)}
    lots = [registry.lots[code] for code in codes if code in registry.lots]
    return sorted(lots, key=lambda lot: lot.picked_from, reverse=True)


def is_gtin(text: str) -> bool:
    """Tell whether a text is a GTIN: 8, 12, 13 or 14 digits, the last of them right (GS1 General Specifications)."""
    if len(text) not in (8, 12, 13, 14) or not text.isascii() or not text.isdecimal():
        return False
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(text)))
    return total % 10 == 0


def _season(quantity: Quantity, days: list[Day]) -> Season:
    hours = sum(day.hours for day in days)
    return Season(
        quantity,
        sum(day.mean * day.hours for day in days) / hours,
        min(day.low for day in days),
        max(day.high for day in days),
        len(days),
        any(day.invented for day in days),
    )
