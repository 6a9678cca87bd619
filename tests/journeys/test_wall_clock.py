"""Whatever the gateway's wall clock does, while it runs and between its starts, no reading is dated by its word.

The real agent under libfaketime (Debian: faketime), which puts the wall clock where a file says and leaves the boot's
milliseconds alone. The kernel here vouches for no wall clock, as on a gateway without NTP: the acknowledgements date.
"""

from __future__ import annotations

import re
import statistics
import time
from pathlib import Path

import pytest

from tests import servers
from tests.conftest import need
from tests.journeys import accounting
from tests.journeys.world import GATEWAY, World
from tests.servers import until

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300), pytest.mark.usefixtures("budget")]
BUDGET_S = 150

STEPS = ("+0", "+1d", "-1d", "-50y", "+14y")
ASKED = ("soil-1", "soil-2", "air-1")
BOUND_S = 60.0
LATE_S = 10.0  # a busy machine hears an answer when it comes to that (1.6 s were seen); the wall steps by days


def test_steps_of_the_wall_clock_date_nothing_and_cost_nothing(tmp_path: Path) -> None:
    need(servers.MOSQUITTO)
    library = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
    if library is None:
        pytest.skip("libfaketime absent: apt-get install faketime")
    wall = tmp_path / "wall"
    wall.write_text("+0")
    with World(tmp_path, broker="mosquitto") as world:
        agent = world.parts["agent"]
        agent.environment |= {"LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(wall)}
        agent.environment |= {"FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        world.write_devices(0.2, ASKED, commit_s=0.2)
        world.write_cloud()
        world.start()
        for step in STEPS:  # while it runs
            grow(world)
            wall.write_text(step)
        outages = []
        for step in STEPS:  # while it is away
            grow(world)
            began_ms = now_ms()
            assert agent.end() == 0
            wall.write_text(step)
            world.start("agent")
            outages.append(accounting.Outage(began_ms, now_ms()))
        grow(world)
        assert agent.runs
        assert agent.said(1_000_000).count("agent started") == len(STEPS) + 1, "no more often than it was told to"
        claims = [int(ms) for ms in re.findall(r"boot dated source=ack uncertainty_ms=(\d+)", agent.said(1_000_000))]
        world.drain()
        (account,) = world.audit()
        assert account["unknown"] == account["declared"] == account["quarantined"] == 0
        assert account["stored"] == account["acquired"]
        store = world.store()
        options = {"outages": outages, "commit_s": 0.2, "late_s": LATE_S, "devices": ASKED}
        result = accounting.compare(world.log, store, GATEWAY, **options)
        assert not result.faults
        assert result.stored_twice == result.cut_by_kill == 0
        apart = []
        for device in ASKED:
            answers = accounting.served(world.log)[device]
            for row in accounting.stored(store, GATEWAY, device, accounting.KEYS[device], (0, 2 * now_ms())):
                served = answers[tuple(row.values[name] for name in accounting.KEYS[device])]
                apart.append(abs(row.time_ms - served.t_ms) / 1000)
        store.close()
    off_s, may_s = statistics.median(apart), max(claims) / 1000
    print(f"\nstored={account['stored']} off_s={off_s:.3f} claimed_s={may_s:.2f} farthest_s={max(apart):.2f}", end="")
    assert len(apart) > 300
    assert max(apart) < LATE_S
    assert off_s < may_s < LATE_S, "what dates it is no farther off than it says"


def grow(world: World) -> None:
    """Wait until more is stored."""
    before = world.health()["ingest"]["audit"]["stored"]
    until(lambda: world.health()["ingest"]["audit"]["stored"] > before + 40, BOUND_S, "it goes on")


def now_ms() -> int:
    """Return the true time, which the devices' log tells too."""
    return time.time_ns() // 1_000_000
