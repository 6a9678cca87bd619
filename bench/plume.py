"""Synthetic air at nodes, with and without a fire: seeded, so that a figure can be had again. No science but this page.

Smoke is a Gaussian ground plume (Briggs, open country, neutral air) of a surface fire that grows in a circle; 9.1 g of
PM2.5 and 93 g of CO a kilogram burnt (Akagi 2011, tropical forest). How much of it stays near the ground is drawn
between a half and a tenth, and the wind wanders about its mean, so the plume comes and goes. Haze lifts every node of
a valley, fog only what light scatters; sun moves temperature at a constant dew point.
"""

from __future__ import annotations

from math import atan2, cos, exp, pi, radians, sin, sqrt
from random import Random
from typing import NamedTuple

from detect.state import Sample

NODES = {"A": (0.0, 0.0), "B": (250.0, 60.0), "C": (-180.0, 420.0)}
PM_PER_KG, CO_PER_KG = 9.1e6, 93e3  # µg and mg
CO_PPM = 1.145  # mg/m³ of one ppm at 25 °C
FUEL = 0.5  # kg/m²
START_MS = 1_767_225_600_000
_STUCK = {"pm": 60.0, "co": 1.7, "t": 7.5}  # multiples of it
CALM_KINDS = (
    "plain",
    "fog",
    "haze",
    "haze-fast",
    "sun",
    "rain",
    "stuck-pm",
    "stuck-co",
    "stuck-t",
    "brown-out",
    "dust",
)


class Scene(NamedTuple):
    """What nodes said, in steps; `onset_s` is when a fire began, `burnt_s` when it took a node."""

    name: str
    steps: list[tuple[int, dict[str, Sample]]]
    onset_s: float | None = None
    lost: str = ""
    burnt_s: float | None = None


class Fire(NamedTuple):
    """A fire: where, since when (s), how fast it spreads (m/min), what part of its smoke stays low; wind towards."""

    x: float
    y: float
    onset_s: float
    spread: float
    low: float
    speed: float
    towards_deg: float
    most_m: float = 40.0
    ends_s: float = 1e9


def calm_day(kind: str, seed: int, *, hours: float = 24.0, every_s: int = 60, nodes: str = "ABC") -> Scene:
    """Return a day without any fire."""
    return _scene(kind, kind, Random(f"{kind}-{seed}"), hours, every_s, nodes, None)


def fire(
    seed: int, near_m: float, far_m: float, *, every_s: int = 60, nodes: str = "ABC", burns: bool = False
) -> Scene:
    """Return six hours with a fire so far upwind of node A; with `burns` it reaches the node and takes it."""
    rng = Random(f"fire-{near_m}-{far_m}-{seed}")
    metres, towards = rng.uniform(near_m, far_m), rng.uniform(0, 360)
    off = rng.uniform(-15, 15)  # the node need not be on the axis
    x, y = -metres * cos(radians(towards + off)), -metres * sin(radians(towards + off))
    one = Fire(
        x, y, rng.uniform(120, 200) * 60, rng.uniform(0.2, 0.5), 1 / rng.uniform(2, 10), rng.uniform(0.8, 2.5), towards
    )
    return _scene("fire", "plain", rng, 6.0, every_s, nodes, one, burns=burns)


def cooking(seed: int, minutes: float, *, every_s: int = 60, nodes: str = "ABC") -> Scene:
    """Return three hours in which somebody burns wood near node A for so many minutes."""
    rng = Random(f"cooking-{seed}")
    towards, start_s = rng.uniform(0, 360), rng.uniform(70, 100) * 60
    metres = rng.uniform(8, 25)
    x, y = -metres * cos(radians(towards)), -metres * sin(radians(towards))
    one = Fire(x, y, start_s, 0.25, 1 / rng.uniform(2, 8), rng.uniform(0.8, 2), towards, 0.8, start_s + 60 * minutes)
    return _scene("cooking", "plain", rng, 3.0, every_s, nodes, one)


def _scene(
    name: str, kind: str, rng: Random, hours: float, every_s: int, nodes: str, one: Fire | None, *, burns: bool = False
) -> Scene:
    air = _Air(rng, kind, nodes, every_s, hours * 3600, one)
    steps, burnt_s = [], None
    for number in range(round(hours * 3600 / every_s)):
        at_s = number * every_s
        said = air.at(at_s)
        if burns and one is not None:
            front = sqrt(one.x**2 + one.y**2) - one.spread * (at_s - one.onset_s) / 60
            if front <= 1.0 or burnt_s is not None:
                burnt_s = at_s if burnt_s is None else burnt_s
                del said["A"]
        steps.append((START_MS + at_s * 1000, said))
    return Scene(name, steps, one.onset_s if one else None, "A" if burnt_s is not None else "", burnt_s)


class _Air:
    """What all nodes share, and what each adds."""

    def __init__(self, rng: Random, kind: str, nodes: str, every_s: int, length_s: float, one: Fire | None) -> None:
        self._rng, self._kind, self._nodes, self._every_s, self._fire = rng, kind, nodes, every_s, one
        self._log_pm, self._base = 0.0, rng.uniform(8, 35)
        self._co = {node: rng.uniform(0.1, 0.6) for node in nodes}
        self._fade = {node: rng.uniform(0.85, 1.15) for node in nodes}
        self._mean, self._swing = rng.uniform(12, 24), rng.uniform(4, 8)
        self._dew = self._mean - rng.uniform(2, 8)
        self._angle = self._gust = 0.0
        self._from_s = rng.uniform(0.15, 0.5) * length_s
        self._until_s = self._from_s + rng.uniform(0.1, 0.4) * length_s
        self._ill = rng.choice(nodes)
        self._level = {"haze": rng.uniform(60, 400), "haze-fast": rng.uniform(60, 300)}.get(kind, 0.0)
        self._aged = rng.uniform(0.002, 0.004)  # ppm of CO beside a µg/m³ of haze: older haze has less
        self._held: dict[str, float] = {}
        self._fog = dict.fromkeys(nodes, 0.0)
        self._volts = rng.uniform(3.85, 4.1)

    def at(self, at_s: int) -> dict[str, Sample]:
        rng, root = self._rng, sqrt(self._every_s / 60)
        self._log_pm += -0.01 * self._log_pm * self._every_s / 60 + rng.gauss(0, 0.03) * root
        keep = exp(-self._every_s / 240)
        self._angle = keep * self._angle + rng.gauss(0, 18) * sqrt(1 - keep * keep)
        self._gust = keep * self._gust + rng.gauss(0, 0.3) * sqrt(1 - keep * keep)
        hour = (6 + at_s / 3600) % 24
        temp = self._mean + self._swing * cos((hour - 14.5) / 24 * 2 * pi)
        there = self._from_s <= at_s < self._until_s
        haze = self._haze(at_s)
        said = {}
        for node in self._nodes:
            one = self._node(node, at_s, temp, haze, there=there)
            if one is not None:
                said[node] = one
        return said

    def _haze(self, at_s: float) -> float:
        """Return the haze now, µg/m³: over hours, or a front within a quarter of an hour."""
        if not self._level or at_s < self._from_s:
            return 0.0
        rise_s = 900.0 if self._kind == "haze-fast" else 10_800.0
        up, down = min((at_s - self._from_s) / rise_s, 1.0), min(max(at_s - self._until_s, 0.0) / 7_200, 1.0)
        return self._level * max(up - down, 0.0) * exp(0.3 * self._log_pm)

    def _node(self, node: str, at_s: int, temp: float, haze: float, *, there: bool) -> Sample | None:
        rng, ill, kind = self._rng, node == self._ill, self._kind
        pm = self._base * exp(self._log_pm) * self._fade[node] + haze * self._fade[node]
        co = self._co[node] + self._aged * haze
        dew = self._dew
        if kind == "rain" and there:
            temp, dew, pm = temp - 4, temp - 5.0, pm * 0.35
        if kind == "fog":
            near = there and at_s % 7_200 < 6_300
            self._fog[node] = min(max(self._fog[node] + (0.04 if near else -0.1) * self._every_s / 60, 0.0), 1.0)
            dew = dew + (temp - 0.05 - dew) * self._fog[node]
            pm *= 1 + (3 + 5 * self._fade[node]) * max(self._fog[node] - 0.6, 0.0) * rng.uniform(0.8, 1.2)
        if kind == "sun" and ill and there:
            temp += rng.uniform(7, 14)
        if kind == "dust" and ill and there and at_s % 1_800 < 240:
            pm += rng.uniform(60, 250)
        smoke_pm, smoke_co, heat = self._smoke(NODES[node], at_s)
        pm, co, temp = pm + smoke_pm, co + smoke_co, temp + heat
        pm = min(pm * exp(rng.gauss(0, 0.08)) + rng.gauss(0, 1.0), 1_000.0)
        co = max(co + rng.gauss(0, 0.06), 0.0)
        temp += rng.gauss(0, 0.2)
        rh = min(max(100 * _vapour(dew) / _vapour(temp) + rng.gauss(0, 1), 2.0), 100.0)
        volts = self._volts + rng.gauss(0, 0.01)
        if kind == "brown-out" and ill and at_s >= self._from_s:
            volts = max(self._volts - 1.3 * (at_s - self._from_s) / (self._until_s - self._from_s), 2.6)
            if volts < 3.3:
                if rng.random() < 0.2:
                    return None
                temp = 85.0 if rng.random() < 0.05 else temp
                pm, co = (rng.uniform(0, 900), rng.uniform(0, 30)) if rng.random() < 0.05 else (pm, co)
        values = {"pm": float(max(round(pm), 0)), "co": round(co, 1), "t": round(temp, 1)}
        if kind.startswith("stuck") and ill and there:
            name = kind[6:]
            values[name] = self._held.setdefault(name, _STUCK[name] * rng.randint(1, 9))
        return Sample(START_MS + at_s * 1000, values["pm"], values["co"], values["t"], round(rh, 1), round(volts, 2))

    def _smoke(self, at: tuple[float, float], at_s: float) -> tuple[float, float, float]:
        """Return PM2.5 (µg/m³), CO (ppm) and warmth (K) of the fire at a place."""
        one = self._fire
        if one is None or not one.onset_s < at_s < one.ends_s:
            return 0.0, 0.0, 0.0
        radius = min(one.spread * (at_s - one.onset_s) / 60, one.most_m)
        kg_s = 2 * pi * radius * one.spread * FUEL / 60
        dx, dy = at[0] - one.x, at[1] - one.y
        metres = sqrt(dx * dx + dy * dy)
        angle = atan2(dy, dx) - radians(one.towards_deg + self._angle)
        along, across = metres * cos(angle), metres * sin(angle)
        heat = 60.0 * exp(-max(metres - radius, 0.0) / 3.0)
        if along < 3:
            return 0.0, 0.0, heat
        speed = max(one.speed + self._gust, 0.4)
        wide = 0.08 * along / sqrt(1 + 0.0001 * along) + radius
        high = 0.06 * along / sqrt(1 + 0.0015 * along) + 0.5
        share = one.low * exp(-(across**2) / (2 * wide * wide)) / (pi * speed * wide * high)
        return kg_s * PM_PER_KG * share, kg_s * CO_PER_KG * share / CO_PPM, heat + 2e-4 * kg_s * 1e6 * share


def _vapour(temp: float) -> float:
    """Return the pressure of saturated vapour, hPa (Magnus)."""
    return 6.112 * exp(17.62 * temp / (243.12 + temp))
