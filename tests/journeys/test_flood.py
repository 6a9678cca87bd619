"""A flood of visitors beside ingest and a smoke: readings are stored as they come, and the officer is told as soon."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from bench import visits
from tests.journeys.test_alerts import FIRE, SMOKE, SOON_S, Watch
from tests.journeys.world import World
from tests.rules.garden import Post, serving
from tests.servers import free_port, until
from tests.visitors import TREE

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.journey, pytest.mark.timeout(200)]

FLOOD_S = 30
BUDGET_S = 60


def test_a_flood_of_visitors_holds_up_neither_readings_nor_smoke(tmp_path: Path) -> None:
    if absent := visits.missing():
        (pytest.fail if os.environ.get("GOCCHE_REQUIRE_SERVERS") == "1" else pytest.skip)(absent)
    began, post = time.monotonic(), Post(free_port())
    with World(tmp_path) as world, serving(post):
        watch = Watch(world, post, persist_s=2)
        watch.start()
        before = world.health()["ingest"]["audit"]
        flood = visits.Flood(f"http://127.0.0.1:{world.http}/T/{TREE}", FLOOD_S)
        until(lambda: world.figure().get("quality") == "live", 10, "a visitor among many is answered")
        smoke = time.monotonic()
        watch.tell(**SMOKE)
        watch.arrive(FIRE, 1, watch.persist_s + SOON_S)
        told_s = time.monotonic() - smoke
        seen = flood.end()
        after = world.health()["ingest"]["audit"]
        restarts = {name: room.get("restarts", 0) for name, room in world.health()["rooms"].items()}
    stored = after["stored"] - before["stored"]
    assert after["unknown"] == 0
    assert stored > FLOOD_S, "three sensors twice a second: readings went on being stored"
    assert seen.rate > 100
    assert not any(restarts.values()), "no room was so busy that it was taken for dead"
    took_s = time.monotonic() - began
    print(
        f"\n{seen.rate:,.0f} visits/s (p99 {seen.p99_ms:.0f} ms, generator {seen.generator:.2f} cores): "
        f"smoke told after {told_s:.1f} s, {stored} readings stored; {took_s:.0f} s of {BUDGET_S} s",
        end="",
    )
