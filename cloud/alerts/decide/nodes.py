"""Which channels are one node, where it hangs, and which others are near: read from the registry as it is today."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from cloud.alerts.places import area_of, place_of
from cloud.clock import hanoi
from cloud.registry.map import METRES_A_DEGREE, distance_m

if TYPE_CHECKING:
    from datetime import date

    from cloud.alerts.rules.detect import RULE
    from cloud.registry import Current, Registry

Key = tuple[str, str]  # gateway, and the place as kind:code, or the first channel where the rule names it
HOUR_MS = 3_600_000
MOST_NEAR = 6  # the nearest: whether air is hazy is no surer by more
APART_M = 50.0  # nearer than that the same plume, or the same stove, is at both: the other one is no second witness


class Nodes:
    """The nodes of one rule. What is looked up is remembered until the registry or the hour is another."""

    def __init__(self, rule: RULE, registry: Current) -> None:
        self._rule, self._registry = rule, registry
        self._read: tuple[Registry, int] | None = None
        self._keys: dict[tuple[str, str], Key] = {}
        self._at: dict[Key, tuple[float, float] | None] = {}
        self._exact: set[Key] = set()  # a tree is where it is; of a zone or a hamlet a point is known, not the node's
        self._areas: dict[Key, str] = {}
        self._cells: dict[tuple[int, int], list[Key]] = defaultdict(list)
        self._near: dict[Key, list[Key]] = {}

    def of(self, gateway: str, channel: str, now_ms: int) -> Key:
        """Return the node that a channel belongs to; what is bound to nothing is one node of its gateway."""
        registry, hour = self._registry.now, now_ms // HOUR_MS  # where a day begins, an hour does
        if self._read is None or self._read[0] is not registry or self._read[1] != hour:
            self._read = registry, hour
            for known in (self._keys, self._at, self._exact, self._areas, self._cells, self._near):
                known.clear()
        key = self._keys.get((gateway, channel))
        return key if key is not None else self._look_up(registry, gateway, channel, hanoi(now_ms).date())

    def area(self, key: Key) -> str:
        """Return the zone that a node hangs in, as zone:code; else what is known of its place."""
        return self._areas.get(key, "")

    def near(self, key: Key) -> list[Key]:
        """Return the nearest other nodes that have spoken today, within the rule's distance, not at one spot."""
        found = self._near.get(key)
        if found is None:
            found = self._near[key] = self._look_around(key)
        return found

    def _look_up(self, registry: Registry, gateway: str, channel: str, today: date) -> Key:
        place = place_of(registry, gateway, channel, today)
        key = self._keys[gateway, channel] = (gateway, self._rule.nodes.get((gateway, channel), place.key))
        if key not in self._at:
            at = None if place.lat is None or place.lon is None else (place.lat, place.lon)
            self._at[key], self._areas[key] = at, area_of(registry, place.key, gateway)
            if place.key.startswith("tree:"):
                self._exact.add(key)
            if at is not None:
                self._cells[self._cell(at)].append(key)
                for other in self._around(at):
                    self._near.pop(other, None)
        return key

    def _look_around(self, key: Key) -> list[Key]:
        at = self._at.get(key)
        if at is None:
            return []
        away = [(distance_m(at, self._at[one] or at), one) for one in self._around(at) if one != key]
        exact = key in self._exact
        apart = [one for one in sorted(away) if one[0] >= APART_M or not (exact and one[1] in self._exact)]
        return [one for metres, one in apart if metres <= self._rule.near_m][:MOST_NEAR]

    def _around(self, at: tuple[float, float]) -> list[Key]:
        row, column = self._cell(at)
        cells = ((row + up, column + along) for up in (-1, 0, 1) for along in (-1, 0, 1))
        return [key for cell in cells for key in self._cells.get(cell, ())]

    def _cell(self, at: tuple[float, float]) -> tuple[int, int]:
        """Return a square at least as wide as nodes may be apart, up to 60 degrees from the equator."""
        degrees = max(self._rule.near_m, 100.0) / METRES_A_DEGREE
        return int(at[0] // degrees), int(at[1] // (2 * degrees))
