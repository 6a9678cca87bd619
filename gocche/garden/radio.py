"""An invented valley and its radio: hills, masts of two networks, and how strong each is at every point.

What the sample garden shows as surveyed and what `python -m bench survey` judges by come from this one model. Same
seed, same ground. It is written apart from what judges samples and knows none of its figures.

- *Hills*: four octaves of value noise (wave lengths 4,000 to 500 m, amplitudes 400 to 35 m) on a grid of 125 m.
- *Masts*: each stands on the highest of 60 points tried within 800 m of a village, 40 m tall; each network has its own.
- *Path loss*: 37.5 dB at 1 m (1.8 GHz), exponent 2.6, less 28 dBm of EIRP a resource element; 5G at 3.5 GHz has 6 dB
  more to lose, and no mast of its own.
- *Ridges*: the knife edge that stands highest between mast and telephone (ITU-R P.526), at most 40 dB.
- *Shadows*: 8 dB (standard deviation) around that, falling to 1/e within 50 m (Gudmundson), half of its variance
  common to all masts.
- *Service*: a network is lost below its limit, -122 dBm for the one and -118 for the other (cells set it differently).
"""

from __future__ import annotations

import heapq
import math
from random import Random
from typing import NamedTuple

STEP_M = 125.0  # grid of hills and ridges
SHADE_M = 25.0  # grid of shadows
SHADOW_DB, SHADOW_M = 8.0, 50.0
EIRP_DBM, FIRST_DB, EXPONENT = 28.0, 37.5, 2.6
NR_MORE_DB, RIDGE_MOST_DB = 6.0, 40.0
MAST_M, HAND_M = 40.0, 1.5
WAVE_M = 299_792_458 / 1.8e9
OCTAVES = ((4_000, 400.0), (2_000, 200.0), (1_000, 80.0), (500, 35.0))
M_DEG = 111_320.0  # of latitude

Point = tuple[float, float]  # metres east and north of the south-western corner
Field = list[list[float]]
_Knot = tuple[int, int]


class Network(NamedTuple):
    """Who serves: its code, the masts it has, and the strength below which its telephones lose it."""

    plmn: int
    masts: list[Point]
    nr: list[bool]  # which of them have 5G
    lost_dbm: float


class Ground:
    """A square of invented ground with networks over it."""

    def __init__(
        self,
        seed: str,
        corner: tuple[float, float],
        size_m: float,
        villages: list[Point],
        masts: dict[int, tuple[list[Point], float]],
    ) -> None:
        """Make it. `masts` are, by network, near which points one stands, and where the network is lost."""
        random = Random(seed)
        self.corner, self.size_m, self.villages = corner, size_m, villages
        self._n = int(size_m / STEP_M) + 2
        self.heights = _hills(random, self._n)
        self.networks = [
            Network(
                plmn,
                own := [self._hill(random, near) for near in points],
                [at % 2 == 0 for at in range(len(own))],
                lost,
            )
            for plmn, (points, lost) in masts.items()
        ]
        shades = int(size_m / SHADE_M) + 2
        common = _shadow(random, shades)
        self._loss = {
            (network.plmn, at): (self._losses(mast), _both(common, _shadow(random, shades)))
            for network in self.networks
            for at, mast in enumerate(network.masts)
        }

    def place(self, point: Point) -> tuple[float, float]:
        """Return latitude and longitude."""
        lat, lon = self.corner
        return lat + point[1] / M_DEG, lon + point[0] / (M_DEG * math.cos(math.radians(lat)))

    def point(self, place: tuple[float, float]) -> Point:
        """Return metres from the corner."""
        lat, lon = self.corner
        return (place[1] - lon) * M_DEG * math.cos(math.radians(lat)), (place[0] - lat) * M_DEG

    def inside(self, point: Point) -> bool:
        """Tell whether a point lies on the ground."""
        return 0 <= point[0] < self.size_m and 0 <= point[1] < self.size_m

    def height(self, point: Point) -> float:
        """Return metres above the sea."""
        return _at(self.heights, point, STEP_M)

    def rsrp(self, network: Network, point: Point, *, nr: bool = False) -> float:
        """Return the strength at a point (dBm, the mean of a moment's fading) of a network's strongest mast."""
        best = -200.0
        for at, mast in enumerate(network.masts):
            if nr and not network.nr[at]:
                continue
            ridges, shadow = self._loss[network.plmn, at]
            away = max(math.dist(mast, point), 10.0)
            loss = FIRST_DB + 10 * EXPONENT * math.log10(away) + _at(ridges, point, STEP_M)
            best = max(best, EIRP_DBM - loss - (NR_MORE_DB if nr else 0.0) + _at(shadow, point, SHADE_M))
        return best

    def _hill(self, random: Random, near: Point) -> Point:
        tried = [
            (min(max(near[0] + random.uniform(-800, 800), 0), self.size_m - 1),
             min(max(near[1] + random.uniform(-800, 800), 0), self.size_m - 1))
            for _ in range(60)
        ]  # fmt: skip
        return max(tried, key=self.height)

    def _losses(self, mast: Point) -> Field:
        """Return what ridges take from a mast at every point of the grid (dB)."""
        top = self.height(mast) + MAST_M
        return [
            [self._ridge(mast, top, (column * STEP_M, line * STEP_M)) for column in range(self._n)]
            for line in range(self._n)
        ]

    def _ridge(self, mast: Point, top: float, point: Point) -> float:
        away = math.dist(mast, point)
        steps = int(away / STEP_M)
        if steps < 2:
            return 0.0
        foot = self.heights[int(point[1] / STEP_M)][int(point[0] / STEP_M)] + HAND_M
        heights, worst = self.heights, -1.0
        for step in range(1, steps):
            share = step / steps
            x, y = mast[0] + (point[0] - mast[0]) * share, mast[1] + (point[1] - mast[1]) * share
            above = heights[int(y / STEP_M + 0.5)][int(x / STEP_M + 0.5)] - (top + (foot - top) * share)
            v = above * math.sqrt(2 / (WAVE_M * away * share * (1 - share)))
            worst = max(worst, v)
        if worst <= -0.78:  # ITU-R P.526: nothing is lost below it
            return 0.0
        return min(6.9 + 20 * math.log10(math.sqrt((worst - 0.1) ** 2 + 1) + worst - 0.1), RIDGE_MOST_DB)

    def path(self, begin: Point, end: Point) -> list[Point]:
        """Return the way that people take: the one that climbs least for its length (Dijkstra on the grid of hills)."""
        start, goal = self._knot(begin), self._knot(end)
        cost, before, todo = {start: 0.0}, dict[_Knot, _Knot](), [(0.0, start)]
        while todo:
            spent, here = heapq.heappop(todo)
            if here == goal:
                break
            if spent > cost[here]:
                continue
            for dx in (-1, 0, 1):
                for dy in (-1, 0, 1):
                    there = here[0] + dx, here[1] + dy
                    if there == here or not (0 <= there[0] < self._n and 0 <= there[1] < self._n):
                        continue
                    run = STEP_M * math.hypot(dx, dy)
                    slope = abs(self.heights[there[1]][there[0]] - self.heights[here[1]][here[0]]) / run
                    more = spent + run * (1 + (6 * slope) ** 2)
                    if more < cost.get(there, math.inf):
                        cost[there], before[there] = more, here
                        heapq.heappush(todo, (more, there))
        way = [goal]
        while way[-1] != start:
            way.append(before[way[-1]])
        return [(x * STEP_M, y * STEP_M) for x, y in reversed(way)]

    def _knot(self, point: Point) -> _Knot:
        return min(int(point[0] / STEP_M), self._n - 1), min(int(point[1] / STEP_M), self._n - 1)


def _hills(random: Random, n: int) -> Field:
    heights = [[900.0] * n for _ in range(n)]
    for wave_m, amplitude in OCTAVES:
        knots = int(n * STEP_M / wave_m) + 3
        noise = [[random.uniform(-amplitude, amplitude) for _ in range(knots)] for _ in range(knots)]
        for line in range(n):
            own = heights[line]
            for column in range(n):
                own[column] += _at(noise, (column * STEP_M, line * STEP_M), wave_m)
    return heights


def _shadow(random: Random, n: int) -> Field:
    """Return a field of standard deviation 1 whose correlation falls to 1/e within `SHADOW_M` along each axis."""
    keep = math.exp(-SHADE_M / SHADOW_M)
    new = math.sqrt(1 - keep * keep)
    gauss = random.gauss
    field = [[gauss(0, 1) for _ in range(n)] for _ in range(n)]
    for line in field:
        for at in range(1, n):
            line[at] = keep * line[at - 1] + new * line[at]
    for at in range(1, n):
        last, line = field[at - 1], field[at]
        for column in range(n):
            line[column] = keep * last[column] + new * line[column]
    return field


def _both(common: Field, own: Field) -> Field:
    half = SHADOW_DB * math.sqrt(0.5)
    return [[half * (a + b) for a, b in zip(*lines, strict=True)] for lines in zip(common, own, strict=True)]


def _at(field: Field, point: Point, step_m: float) -> float:
    """Return a field's value between its knots; beyond its edge that of the edge."""
    last = len(field) - 2
    x, y = min(max(point[0] / step_m, 0.0), last), min(max(point[1] / step_m, 0.0), last)
    column, line = min(int(x), last), min(int(y), last)
    dx, dy = x - column, y - line
    low, high = field[line], field[line + 1]
    return (low[column] * (1 - dx) + low[column + 1] * dx) * (1 - dy) + (
        high[column] * (1 - dx) + high[column + 1] * dx
    ) * dy
