"""A gateway that boots in 1970 without any clock loses nothing; the first acknowledgement dates it.

Boots of one gateway: the first sends before any cloud is there and is dated by the first answer; the second has no
network and is killed, so nobody ever tells it the time; the third is dated again, and bounds the second between them;
a fourth brings what is left.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

from tests import servers
from tests.conftest import need
from tests.journeys import accounting
from tests.journeys.observer import Observer
from tests.journeys.world import GATEWAY, World
from tests.servers import until

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

SLACK_MS = 5_000  # a neighbour is dated by an acknowledgement, which knows the time to a few seconds
BOOTS = {"first": "a1" * 8, "second": "b2" * 8, "third": "c3" * 8, "fourth": "d4" * 8}
ASKED = ("soil-1", "soil-2", "air-1")  # no GNSS, no modem: nobody but the cloud knows the time
COMMIT_S, BOUND_S = 0.2, 60.0


@pytest.mark.parametrize("broker", ["embedded", "mosquitto"])
def test_boots_without_a_clock(broker: str, tmp_path: Path) -> None:
    if broker == "mosquitto":
        need(servers.MOSQUITTO)
    with World(tmp_path, broker=broker) as world:
        world.write_devices(0.2, ASKED, commit_s=COMMIT_S)
        world.write_cloud()
        boot = "first"
        world.parts["agent"].use(
            lambda: [
                *(sys.executable, str(Path(__file__).with_name("boot.py"))),
                *(str(tmp_path / "devices.toml"), str(world.field), BOOTS[boot]),
            ]
        )
        with Observer(world.broker_port) as observer:
            world.start("devices", "broker", "agent")
            until(lambda: observer.sent, BOUND_S, "batches go out although nobody knows the time")
            assert world.status()["clock"]["source"] == "none"
            world.start("cloud")
            until(lambda: world.health()["ingest"]["audit"]["stored"] > 10, BOUND_S, "they are stored")
            assert dated_by(world) == "ack"
            world.parts["agent"].end()

            world.parts["broker"].kill()
            boot, second_ms = "second", now_ms()
            world.start("agent")
            until(lambda: len(since(world, second_ms)) > 30, BOUND_S, "the second boot reads")
            until(lambda: world.status()["acquired"] > 10 and now_ms() > second_ms + 8000, BOUND_S, "and keeps")
            assert world.status()["clock"]["source"] == "none"
            killed_ms = now_ms()
            world.parts["agent"].kill()
            outages = [accounting.Outage(killed_ms, now_ms())]
            time.sleep(2)

            world.start("broker")
            boot, third_ms = "third", now_ms()
            world.start("agent")
            until(lambda: len(since(world, third_ms)) > 30, BOUND_S, "the third boot reads")
            until(lambda: dated_by(world) == "ack", BOUND_S, "and is dated")
            boot = "fourth"
            status = world.drain()
        accounts = world.audit()
        assert len(accounts) == len(BOOTS), "each boot has its own epoch"
        for account in accounts:
            assert account["unknown"] == account["declared"] == account["quarantined"] == 0
            assert account["stored"] == account["acquired"]
        assert status["acquired"] in {account["acquired"] for account in accounts}
        judge(world, second_ms, third_ms, outages)


def judge(world: World, second_ms: int, third_ms: int, outages: list[accounting.Outage]) -> None:
    """Everything is there once; dated boots are right, the dead one is as wrong as it says, and no more."""
    store = world.store()
    widest = (third_ms - second_ms + SLACK_MS) / 1000
    options = {"outages": outages, "commit_s": COMMIT_S, "devices": ASKED}
    result = accounting.compare(world.log, store, GATEWAY, late_s=widest, **options)
    assert not result.faults
    assert result.stored_twice == 0
    dated = bounded = 0
    for device in ASKED:
        answers = accounting.served(world.log)[device]
        names = [*accounting.KEYS[device], "clock_uncertainty"]
        for row in accounting.stored(store, GATEWAY, device, names, (second_ms - 600_000, third_ms + 600_000)):
            answer = answers[tuple(row.values[name] for name in accounting.KEYS[device])]
            apart_s = abs(row.time_ms - answer.t_ms) / 1000
            uncertain_s = row.values.get("clock_uncertainty")
            if second_ms <= answer.t_ms < third_ms:
                bounded += 1
                assert uncertain_s is not None, "a boot that nobody dated says so"
                assert apart_s <= uncertain_s
                assert second_ms - SLACK_MS <= row.time_ms <= third_ms + SLACK_MS, "it lies between its neighbours"
            else:
                dated += 1
                assert uncertain_s is None
                assert apart_s < 1.0
    assert dated > 60
    assert bounded > 30
    store.close()
    print(f"\n{world.broker}: dated={dated} bounded={bounded} cut_by_kill={result.cut_by_kill}", end="")


def dated_by(world: World) -> str:
    """Return what last dated the agent, from its log: the file of its status is seconds old."""
    found = re.findall(r"boot dated source=(\w+)", world.parts["agent"].said(100_000).rpartition("agent started")[2])
    return found[-1] if found else ""


def since(world: World, start_ms: int) -> list[accounting.Answer]:
    """Return what the first soil probe served from then on."""
    return [answer for answer in accounting.served(world.log)["soil-1"].values() if answer.t_ms >= start_ms]


def now_ms() -> int:
    return time.time_ns() // 1_000_000
