"""The broker is gone for a minute: nothing is lost, nothing is misdated, and the page says how old its figure is.

Twice at once, to spare a minute: the embedded broker is killed, and between everybody and Mosquitto the network holds
its breath, which no connection notices at first.
"""

from __future__ import annotations

import re
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from edge.status import AGAIN_MS
from tests import servers
from tests.conftest import need
from tests.journeys import accounting
from tests.journeys.proxy import Proxy
from tests.journeys.world import GATEWAY, TREE, World
from tests.servers import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.journey, pytest.mark.timeout(600)]

CUT_S, BOUND_S = 60.0, 150.0  # a gateway that has tried in vain for a minute may wait for another before it tries again
EVERY_S = 0.5


class Cut:
    """One garden, the way to cut its broker off, and what was seen before."""

    def __init__(self, world: World, cut: Callable[[], None], heal: Callable[[], None]) -> None:
        self.world, self.cut, self.heal = world, cut, heal
        self.before: dict[str, object] = {}
        self.cut_ms = self.healed_ms = 0


def killed(stack: ExitStack, folder: Path) -> Cut:
    """Return a garden whose embedded broker dies."""
    world = stack.enter_context(World(folder, broker="embedded"))
    return Cut(world, world.parts["broker"].kill, lambda: world.start("broker"))


def stalled(stack: ExitStack, folder: Path) -> Cut:
    """Return a garden whose Mosquitto lives on, while no byte gets through to it or back."""
    need(servers.MOSQUITTO)
    world = stack.enter_context(World(folder, broker="mosquitto"))
    links = [stack.enter_context(Proxy(world.broker_port)) for _ in range(2)]
    world.agent_broker, world.to_broker = links[0].port, links[1].port

    def both(what: str) -> None:
        for link in links:
            getattr(link, what)()

    return Cut(world, lambda: both("stall"), lambda: both("heal"))


def test_a_minute_without_the_broker(tmp_path: Path) -> None:
    with ExitStack() as stack:
        cuts = [killed(stack, tmp_path / "killed"), stalled(stack, tmp_path / "stalled")]
        for each in cuts:
            each.world.write_devices(EVERY_S)
            each.world.write_cloud()
            each.world.tell(pace=0.2)
            each.world.start()
        for each in cuts:
            until(each.world.figure, BOUND_S, "a soil moisture on the tree's page")
            each.cut_ms = now_ms()
            each.cut()
        time.sleep(1)  # what was on its way has arrived
        for each in cuts:
            each.before = each.world.figure()
            assert each.before["quality"] == "live"
        told: list[set[str]] = [set() for _ in cuts]
        end = time.monotonic() + CUT_S + 3  # a figure may have been measured in the very moment of the cut
        while time.monotonic() < end:
            for each, ages in zip(cuts, told, strict=True):
                assert each.world.figure().get("time") == each.before["time"], "no figure may look newer than it is"
                ages.add(age_on_page(each.world, each.before))
            time.sleep(1)
        for each, ages in zip(cuts, told, strict=True):
            assert len(ages) > 1, f"the page said the same age for a minute: {ages}"
            status = each.world.status()
            assert status["running"]
            assert status["oldest_s"] > CUT_S - 10 - AGAIN_MS / 1000  # the file may be as old as that
            each.healed_ms = now_ms()
            each.heal()
        for each in cuts:
            settle(each)


def settle(cut: Cut) -> None:
    """Wait until everything has arrived, and account for it."""
    world = cut.world
    until(lambda: world.figure().get("time") != cut.before["time"], BOUND_S, "a newer figure on the page")
    world.drain()
    (account,) = world.audit()
    assert account["unknown"] == account["declared"] == account["quarantined"] == 0
    assert account["stored"] == account["acquired"]
    store = world.store()
    result = accounting.compare(world.log, store, GATEWAY)
    assert not result.faults
    assert result.cut_by_kill == result.stored_twice == 0
    served = accounting.served(world.log)["soil-1"].values()
    within = [answer for answer in served if cut.cut_ms < answer.t_ms < cut.healed_ms]
    assert len(within) > 0.8 * CUT_S / EVERY_S, "the gateway went on reading"
    rows = accounting.stored(store, GATEWAY, "soil-1", ["soil_ec"], (cut.cut_ms + 1000, cut.healed_ms - 1000))
    assert len(rows) > 0.8 * CUT_S / EVERY_S, "and what it read stands in that very minute"
    store.close()
    print(f"\n{world.broker}: acquired={account['acquired']} stored={account['stored']} during_cut={len(rows)}", end="")


def age_on_page(world: World, figure: dict[str, object]) -> str:
    """Return the words by which the page says how old the soil's moisture is."""
    page = world.ask(f"/T/{TREE}?lang=en")[1].decode()
    tile = page[page.index("<h4>Soil moisture") :]
    found = re.search(
        rf'<span data-t="\d+">([^<]+)</span> · </span><time datetime="{re.escape(str(figure["time"]))}"', tile
    )
    assert found, tile[:600]
    return found[1].strip()


def now_ms() -> int:
    return time.time_ns() // 1_000_000
