"""The invented ground: the same for the same seed, and of the shape that its head describes."""

from __future__ import annotations

import math
from random import Random
from statistics import mean, pstdev

import h3.api.basic_int as h3
import pytest

from cloud.coverage.sample import NONE, SERVED, Sample
from gocche.garden.radio import SHADE_M, SHADOW_M, Ground, _shadow
from gocche.garden.walkers import paths, phones, walk

A, B = 452_004, 452_001
VILLAGES = [(1_500.0, 1_500.0), (4_500.0, 4_000.0), (2_000.0, 4_800.0)]


def ground(seed: str) -> Ground:
    return Ground(seed, (21.66, 103.97), 6_000, VILLAGES, {A: (VILLAGES[:1], -122.0), B: (VILLAGES[1:2], -118.0)})


def walked(seed: str) -> list[Sample]:
    made, random = ground(seed), Random(seed)
    ways = paths(random, made)
    teams = phones(random, ["one", "two"], made.networks, 3)
    return [told for phone in teams for told in walk(random, made, ways[0], phone, 1_780_000_000_000)]


def test_one_seed_is_one_ground_and_one_survey() -> None:
    assert walked("a") == walked("a")
    assert walked("a") != walked("b")


def test_shadows_fall_to_a_third_within_fifty_metres() -> None:
    field = _shadow(Random(1), 300)
    flat = [value for line in field for value in line]
    assert pstdev(flat) == pytest.approx(1, abs=0.05)
    apart = int(SHADOW_M / SHADE_M)
    product = mean(line[at] * line[at + apart] for line in field for at in range(300 - apart))
    assert product == pytest.approx(math.exp(-1), abs=0.05)


def test_it_falls_with_the_distance_and_behind_ridges() -> None:
    made, random = ground("a"), Random(2)
    network = made.networks[0]
    by_km: dict[int, list[float]] = {}
    for _ in range(3_000):
        point = random.uniform(0, 6_000), random.uniform(0, 6_000)
        by_km.setdefault(int(math.dist(point, network.masts[0]) / 1000), []).append(made.rsrp(network, point))
    means = [mean(by_km[km]) for km in range(4)]
    assert means == sorted(means, reverse=True)
    assert pstdev(by_km[3]) > 10  # shadows of 8 dB, and ridges


def test_what_a_walk_says_can_be_kept_and_has_every_kind_of_moment() -> None:
    samples = walked("a")
    assert {one.checked(1_790_000_000_000).service for one in samples} >= {NONE, SERVED}
    assert all(one.lte is None for one in samples if one.service != SERVED)
    home = ground("a").place(VILLAGES[0])
    away = [h3.great_circle_distance(home, (one.lat, one.lon), "m") for one in samples]
    assert min(away) < 50
    assert max(away) < 8_000
