"""A real agent is cut off, told to stop, and killed: what is said of its silence is what happened, or not known."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from cloud.alerts.causes import Cause, read
from cloud.alerts.journal import read_incidents
from tests.journeys.proxy import Proxy
from tests.journeys.world import World
from tests.servers import until

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.alerts.incident import Incident

pytestmark = [pytest.mark.journey, pytest.mark.timeout(900), pytest.mark.usefixtures("budget")]
BUDGET_S = 600

AFTER_S, BOUND_S = 61.0, 200.0  # the shortest silence that a rule may call one
RULES = f"""
[alerts]
tick_s = 0.5
ledger_s = 2
signal_night = ""
[[rule]]
name = "gateway-silent"
kind = "absence"
of = "gateway"
after_s = {AFTER_S}
clear_s = 5
[[rule]]
name = "no-signal"
kind = "absence"
of = "service"
quantity = "registration"
after_s = 3600
"""


class Silences:
    """The incidents of one gateway, the newest first."""

    def __init__(self, world: World) -> None:
        self._world = world

    def known(self) -> list[Incident]:
        with suppress(sqlite3.Error):
            return [one for one in read_incidents(self._world.server / "alerts.db", 100) if one.basis == "absence"]
        return []

    def begun(self, n: int) -> Cause:
        until(lambda: len(self.known()) == n and self.known()[0].open, BOUND_S, f"silence {n} is found")
        return self.cause

    def over(self) -> Cause:
        until(lambda: not self.known()[0].open, BOUND_S, "it is over")
        return self.cause

    @property
    def cause(self) -> Cause:
        return read(self.known()[0].cause)


def _why(cause: Cause) -> set[str]:
    return {one.why for one in cause.reasons}


def test_why_a_gateway_is_silent_is_what_happened_to_it(tmp_path: Path) -> None:
    with World(tmp_path) as world, Proxy(world.broker_port) as link:
        world.agent_broker = link.port
        world.write_devices(1.0, ("soil-1", "modem-hang-tay"), keepalive_s=10)
        world.write_cloud(RULES)
        world.tell(pace=0.5)
        world.start()
        until(lambda: world.health()["ingest"]["audit"]["stored"] > 10, BOUND_S, "values are stored")
        silences = Silences(world)

        link.stall()  # its link is gone, it goes on measuring
        assert silences.begun(1).likely == "unknown", "nothing was to be seen before"
        until(lambda: world.status()["oldest_s"] > 120, BOUND_S, "it has measured for two minutes into its silence")
        link.heal()
        silences.over()
        until(lambda: "lived" in _why(silences.cause), BOUND_S, "its backlog tells")
        assert (silences.cause.likely, silences.cause.certain) == ("link", True)
        world.drain()

        world.parts["agent"].end()  # somebody stops it
        assert (silences.begun(2).likely, _why(silences.cause)) == ("stopped", {"stopped"})
        world.start("agent")
        assert silences.over().likely == "stopped"

        world.parts["agent"].kill()  # its program dies, its machine lives on
        assert silences.begun(3).likely == "unknown"
        world.start("agent")
        assert (silences.over().likely, silences.cause.certain) == ("no_power", False)
        assert world.health()["alerts"]["faults"] == 0
