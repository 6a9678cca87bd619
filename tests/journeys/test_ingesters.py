"""Two ingesters share the batches on Mosquitto and InfluxDB; either hangs and is killed at random; nothing is unknown.

Each has a data folder of its own, as on two machines, and runs alone (`gocche cloud --room ingest`). The broker gives
each batch to one of them: an observer beside them counts the answers. At the end each has stored alone, and what the
devices served is looked for in the store, value by value.
"""

from __future__ import annotations

import json
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests import servers
from tests.conftest import need
from tests.journeys import accounting
from tests.journeys.observer import Observer
from tests.journeys.world import GATEWAY, GOCCHE, SERVERS, Part, World
from tests.servers import until

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.store import Store

pytestmark = [pytest.mark.journey, pytest.mark.mosquitto, pytest.mark.influx, pytest.mark.timeout(300)]

SECONDS, BOUND_S, BUDGET_S = 25.0, 60.0, 75.0
COMMIT_S = 0.2
EVERY_S = {"*": 0.1, "modem-hang-tay": 0.5}
NAMES = ("cloud", "cloud-2")


def shared(world: World) -> None:
    """Let two ingesters stand where the world has one server."""
    world.write_cloud()
    file = world.folder / "cloud.toml"
    file.write_text(file.read_text().replace("[broker]\n", '[broker]\nshare = "journey"\n'))
    for name in NAMES:
        folder = world.folder / name
        words = ["cloud", "--room", "ingest", "--config", str(file), "--data", str(folder)]
        part = Part(name, lambda words=words: [*GOCCHE, *words], folder, lambda: True)  # type: ignore[misc]
        part.ready = lambda part=part: "broker here" in part.said()  # type: ignore[misc, assignment]
        world.parts[name] = part
    world.parts["agent"] = world.parts.pop("agent")  # the last to start


def stores_alone(world: World, store: Store, dead: str) -> None:
    """Kill one, and see the other store what comes meanwhile; then bring the dead one back."""
    world.parts[dead].kill()
    before = len(store.ledger())
    until(lambda: len(store.ledger()) > before + 3, BOUND_S, f"batches are stored while {dead} is dead")
    world.parts[dead].start()


@pytest.mark.parametrize("engine", ["influx1", "influx2"])
def test_either_may_die_at_any_moment(engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    need(servers.MOSQUITTO)
    need(SERVERS[engine])
    dice, kills, began = random.Random(7), dict.fromkeys(NAMES, 0), time.monotonic()
    with World(tmp_path, engine=engine, broker="mosquitto") as world:
        shared(world)
        world.write_devices(EVERY_S, commit_s=COMMIT_S)
        world.tell(pace=0.1)
        with Observer(world.broker_port) as observer:
            world.start()
            store = world.store()
            until(lambda: len(store.ledger()) > 5, BOUND_S, "batches are stored")
            for name in NAMES:
                stores_alone(world, store, name)
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                time.sleep(dice.uniform(0.3, 1.5))
                name = dice.choice(NAMES)
                world.parts[name].send(signal.SIGSTOP)  # a fast machine has nothing in hand else
                time.sleep(dice.uniform(0.0, 0.5))
                world.parts[name].kill()
                kills[name] += 1
                time.sleep(dice.uniform(0.0, 0.5))
                world.parts[name].start()
            assert all(world.parts[name].runs for name in NAMES), "a lock of a dead one is nobody's"
            status = world.drain()
            sent, answers = sum(observer.sent.values()), observer.codes["stored"]
        for name in ("devices", *NAMES):
            world.parts[name].end()
        result = accounting.compare(world.log, store, GATEWAY, commit_s=COMMIT_S)
        (account,) = world.audit()
        store.close()
    took_s = time.monotonic() - began
    with capsys.disabled():
        print(
            f"\n{engine}: two ingesters acquired={account['acquired']} stored={account['stored']}"
            f" unknown={account['unknown']} kills={json.dumps(kills)} sent={sent} answers={answers}"
            f" resent={observer.resent} took_s={took_s:.0f} budget_s={BUDGET_S:g}",
            end="",
        )
    assert result.faults == []
    assert (account["unknown"], account["quarantined"], account["declared"], account["spooled"]) == (0, 0, 0, 0)
    assert account["stored"] == account["acquired"] == status["acquired"] > 500
    assert answers <= sent, "each batch goes to one of them: two answers would mean that both had it"
    assert min(kills.values()) >= 3
    assert observer.resent > 0, "nothing was ever in the hands of a dying one: the kills came too gently"
