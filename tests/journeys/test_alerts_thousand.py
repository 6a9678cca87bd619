"""A thousand fires while everything dies at random: each is told to everybody, and nobody twice but for a crash.

Every fire is a node of its own, which sends its batch until the cloud has acknowledged it. Meanwhile each room, the
keeper of all and the broker are killed with -9, the provider of the SMS hangs, loses what it should answer or refuses,
and for a while no link goes out at all: half an hour, pressed to `CUT_S` by nothing but its length, for in that time no
rule of ours ends (the next limit is a day; tests/test_alerts_again.py has the half hour by a clock moved by hand).
A duplicate is the same person told the same of the same fire once more, by whatever channel.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from cloud.alerts.journal import reading
from tests import build
from tests.journeys.observer import Observer
from tests.journeys.world import ROOT, World
from tests.servers import free_port, until
from wire import topics

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

pytestmark = [pytest.mark.journey, pytest.mark.timeout(400)]

FIRES, FIRE_S, BUDGET_S = 1_000, 0.12, 240.0
CUT_AT, CUT_S = 400, 40.0  # after so many fires nothing goes out for so long
KILL_S = (1.5, 4.0)  # between two kills
AGAIN_S, TOLD_S = 2.0, 90.0
VICTIMS = ("ingest", "alerts", "alerts", "staff", "pages", "broker", "cloud")
RULES = """
[[channel]]
kind = "sms_http"
name = "sms"
url = "{sms}"
template = "provider"
token_file = "{token}"
deadline_s = 2
[[channel]]
kind = "webhook"
url = "{hook}"
deadline_s = 2
[alerts]
budget = 1000
again_s = 86400
commune_s = 86400
ranger_s = 86400
province_s = 86400
repeat_s = 86400
ledger_s = 5
[[rule]]
name = "smoke"
kind = "limit"
quantity = "pm2_5"
over = 55.0
clear_below = 35.0
persist_s = 20
clear_s = 30
"""
PEOPLE = """code,name,roles,email,addresses,lang
p1,Trực một,fire-watch,,sms:+84900000001 webhook:p1,vi
p2,Trực hai,fire-watch,,webhook:p2,vi
"""


class Far:
    """An HTTP server at the other end of a channel. What it has accepted it keeps by the id of the letter."""

    def __init__(self, dice: random.Random, faults: float) -> None:
        self.accepted: list[str] = []
        self.lost = 0  # accepted, and the answer did not come
        self.down = False
        far = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self._say(503 if far.down else 200)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if far.down:
                    return
                fault = dice.random() / faults if faults else 9.0
                if fault < 0.2:
                    self._say(503)
                    return
                far.accepted.append(body.get("ref") or body["id"])
                if fault < 1.0:
                    far.lost += 1
                    if fault < 0.4:
                        threading.Event().wait(4.0)  # a modem that hangs, and has sent
                else:
                    self._say(200)

            def _say(self, status: int) -> None:
                with suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the library
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Nodes:
    """Nodes that burn, one after the other: each sends its batch until it is acknowledged."""

    def __init__(self, world: World, observer: Observer) -> None:
        self._observer, self._flying = observer, dict[int, tuple[float, bytes]]()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="nodes")
        self._client.reconnect_delay_set(0.1, 0.2)  # type: ignore[arg-type]
        self._client.connect("127.0.0.1", world.broker_port)
        self._client.loop_start()
        self.lit = 0

    def light(self) -> None:
        start_ms = time.time_ns() // 1_000_000 - 60_000
        rows = [{"smoke-1": {"pm2_5": 200, "pm10": 250}}] * 6
        self._flying[self.lit] = (
            0.0,
            build.packet(epoch=f"{self.lit:016x}", rows=rows, start_ms=start_ms, step_ms=10_000),
        )
        self.lit += 1

    def turn(self) -> None:
        """Send what is due, and forget what is acknowledged."""
        now = time.monotonic()
        for number, (sent_s, packet) in list(self._flying.items()):
            if (f"{number:016x}", 1, 6) in self._observer.acked:
                del self._flying[number]
            elif now - sent_s > AGAIN_S:
                self._flying[number] = now, packet
                self._client.publish(topics.up(f"fire-{number:04}"), packet, qos=1)

    @property
    def safe(self) -> bool:
        return not self._flying

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def kill(world: World, name: str) -> bool:
    """Kill one part with -9 by its id; tell whether there was one to be killed."""
    if name in world.parts:
        world.parts[name].kill()
        world.parts[name].start()
        return True
    pid = world.health().get("rooms", {}).get(name, {}).get("pid")
    with suppress(ProcessLookupError):
        if pid:
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def told(world: World, far: list[Far]) -> Counter[tuple[str, int]]:
    """Return how often each person was told of each fire, as the far ends have it."""
    with suppress(Exception), reading(world.server / "alerts.db") as db:
        query = "SELECT name, person, incident FROM letter JOIN about ON letter.id = letter"
        letters = {name: (person, incident) for name, person, incident in db.execute(query)}
        return Counter(letters[name] for one in far for name in list(one.accepted) if name in letters)
    return Counter()


def write(world: World, sms: Far, hook: Far) -> None:
    garden = world.folder / "garden"
    shutil.copytree(ROOT / "config" / "garden", garden)
    (garden / "people.csv").write_text(PEOPLE, encoding="utf-8")
    (garden / "duties.csv").write_text("person,rung,commune,hamlet,zone,valid_from,valid_to\n", encoding="utf-8")
    token = world.folder / "token"
    token.write_text("t0ken", encoding="ascii")
    world.write_cloud(RULES.format(sms=sms.url, hook=hook.url, token=token))
    file = world.folder / "cloud.toml"
    text = file.read_text(encoding="utf-8").replace("[staff]\nport = 0", f"[staff]\nport = {free_port()}")
    file.write_text(text.replace(str(ROOT / "config" / "garden"), str(garden)), encoding="utf-8")


@pytest.mark.parametrize("seed", [1])
def test_a_thousand_fires_are_told_whatever_dies(tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    began, dice, kills = time.monotonic(), random.Random(seed), Counter[str]()
    with World(tmp_path) as world, Far(dice, 0.06) as sms, Far(dice, 0.0) as hook, Observer(world.broker_port) as seen:
        write(world, sms, hook)
        world.start("broker", "cloud")
        with closing(Nodes(world, seen)) as nodes:
            fire_s = kill_s = time.monotonic()
            while nodes.lit < FIRES or not nodes.safe:
                now = time.monotonic()
                if nodes.lit < FIRES and now >= fire_s:
                    fire_s += FIRE_S
                    nodes.light()
                    if nodes.lit == CUT_AT:
                        sms.down = hook.down = True
                        heal_s = now + CUT_S
                if sms.down and now >= heal_s:
                    sms.down = hook.down = False
                if now >= kill_s:
                    kill_s = now + dice.uniform(*KILL_S)
                    victim = dice.choice(VICTIMS)
                    kills[victim] += kill(world, victim)
                nodes.turn()
                time.sleep(0.01)
                assert now < began + BUDGET_S, f"{nodes.lit} fires lit"
            world.parts["broker"].wait_ready()
            world.parts["cloud"].wait_ready()
        sms.down = hook.down = False
        with suppress(TimeoutError):
            until(lambda: len(told(world, [sms, hook])) >= 2 * FIRES, TOLD_S, "everybody knows of every fire")
        found = told(world, [sms, hook])
        with reading(world.server / "alerts.db") as db:
            heads = db.execute("SELECT count(*) FROM incident WHERE part_of IS NULL AND grade = 'life'").fetchone()[0]
        until(lambda: "faults" in world.health()["alerts"], TOLD_S, "the room that was killed last says how it is")
        said: dict[str, Any] = world.health()["alerts"]
    twice = {person: sum(n - 1 for (who, _), n in found.items() if who == person) for person, _ in found}
    crashes = kills["alerts"] + kills["cloud"]
    took_s = time.monotonic() - began
    with capsys.disabled():
        print(
            f"\nalerts={heads} letters={sum(found.values())} lost={2 * FIRES - len(found)} duplicates={twice}"
            f" kills={sum(kills.values())}({', '.join(f'{name}: {n}' for name, n in sorted(kills.items()))})"
            f" answers_lost={sms.lost} link_cut={CUT_S:g} s; {took_s:.0f} s of a budget of {BUDGET_S:g} s"
        )
    assert heads == FIRES
    assert len(found) == 2 * FIRES, "lost"
    assert said["faults"] == said["post_faults"] == 0
    assert min(kills[name] for name in set(VICTIMS)) >= 1, kills
    persons = sorted(twice)
    assert len(persons) == 2
    assert min(twice.values()) <= crashes, "who is told by one channel alone: one repeat a crash at most"
    assert max(twice.values()) <= crashes + sms.lost, "and one for each answer that was lost"
    assert took_s < BUDGET_S
