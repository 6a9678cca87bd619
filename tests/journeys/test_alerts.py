"""Smoke at a simulated node becomes one e-mail, a hamlet without service one alert, whatever is killed in between.

The mails go to a real SMTP server. Persistence is a few seconds here, so that a journey does not take an afternoon;
late evidence keeps its fifteen minutes.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from cloud.alerts.journal import read_incidents
from tests import build, servers
from tests.conftest import need
from tests.journeys.observer import Observer
from tests.journeys.world import GATEWAY, World
from tests.rules.garden import Post, serving
from tests.servers import free_port, until
from wire import topics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloud.alerts.incident import Incident

pytestmark = [pytest.mark.journey, pytest.mark.timeout(400)]

FIRE, HAMLET, TELECOM = "fire-watch@example.org", "hamlet-team@example.org", "telecom@example.org"
BOUND_S, SOON_S = 60.0, 10.0
CALM_BATCHES = 8  # so many batches later nothing more comes
SMOKE = {"smoke": {"pm2_5": 300}}
RULES = """
[[channel]]
kind = "email"
host = "127.0.0.1"
port = {port}
sender = "gocche@example.org"
starttls = false
[alerts]
quiet_s = 0
signal_night = ""
tick_s = 0.5
ledger_s = 2
[[rule]]
name = "smoke"
kind = "limit"
quantity = "pm2_5"
over = 55.0
clear_below = 35.0
persist_s = {persist_s}
clear_s = 2
[[rule]]
name = "no-signal"
kind = "absence"
of = "service"
quantity = "registration"
persist_s = 2
clear_s = 2
after_s = 600
[[rule]]
name = "gateway-silent"
kind = "absence"
of = "gateway"
after_s = 600
"""


class Watch:
    """A garden with a fire officer's mailbox."""

    def __init__(self, world: World, post: Post, persist_s: float) -> None:
        self.world, self.post, self.persist_s = world, post, persist_s

    def start(self) -> None:
        self.world.write_devices(0.5, ("soil-1", "smoke-1", "modem-hang-tay"), resend_s=1.0)
        self.world.write_cloud(RULES.format(port=self.post.port, persist_s=self.persist_s))
        self.tell()
        self.world.start()
        until(lambda: self.world.health()["ingest"]["audit"]["stored"] > 10, BOUND_S, "values are stored")

    def tell(self, **words: Any) -> None:
        self.world.tell(pace=0.25, **words)

    def mails(self, to: str) -> list[Any]:
        return [mail for who, mail in list(self.post.mails) if who == to]

    def arrive(self, to: str, n: int, bound_s: float = BOUND_S) -> None:
        until(lambda: len(self.mails(to)) >= n, bound_s, f"mail {n} to {to}")

    def nothing_more(self) -> None:
        """Wait until a good deal more was judged than anything open could need.

        What is calm waits a second to be judged, and new comes every half of one: the queue need not be seen empty.
        """
        done = self.world.health()["ingest"]["counts"].get("stored", 0) + CALM_BATCHES
        until(lambda: self.judged() >= done, BOUND_S, "some batches later")

    def judged(self) -> int:
        """Return how many batches are stored and do not wait to be judged."""
        health = self.world.health()
        return int(health["ingest"]["counts"].get("stored", 0) - health["alerts"]["queued"])

    def incidents(self) -> list[Incident]:
        with suppress(sqlite3.Error):
            return read_incidents(self.world.server / "alerts.db", 100)
        return []

    def cloud_again(self) -> None:
        self.world.start("cloud")
        until(
            lambda: self.world.health().get("ingest", {}).get("broker", {}).get("connected"),
            BOUND_S,
            "the cloud listens",
        )


@pytest.fixture
def post() -> Iterator[Post]:
    return Post(free_port())


@pytest.mark.parametrize("broker", ["embedded", "mosquitto"])
def test_smoke_and_a_lost_signal_are_told_once(
    broker: str, tmp_path: Path, post: Post, capsys: pytest.CaptureFixture[str]
) -> None:
    if broker == "mosquitto":
        need(servers.MOSQUITTO)
    with World(tmp_path, broker=broker) as world, serving(post):
        watch = Watch(world, post, persist_s=2)
        watch.start()
        began = time.monotonic()
        watch.tell(**SMOKE)
        watch.arrive(FIRE, 1, watch.persist_s + SOON_S)
        took_s = time.monotonic() - began
        assert took_s > watch.persist_s
        assert "confirmed" not in watch.mails(FIRE)[0].get_content().casefold()
        watch.tell()
        watch.arrive(FIRE, 2, 2 + SOON_S)
        watch.tell(modem={"service": False})
        watch.arrive(TELECOM, 1, 2 + SOON_S)
        assert "Háng Tày" in watch.mails(TELECOM)[0]["Subject"]
        watch.nothing_more()
        assert [len(watch.mails(who)) for who in (FIRE, TELECOM)] == [2, 1]
        watch.tell()
        watch.arrive(TELECOM, 2, 2 + SOON_S)

        # what a cut kept back for half an hour is history, and wakes nobody
        deliver_late(world)
        until(lambda: any(each.late for each in watch.incidents()), BOUND_S, "a late incident")
        watch.nothing_more()
        assert [len(watch.mails(who)) for who in (FIRE, TELECOM)] == [2, 2]
        told = [(each.rule, each.state) for each in watch.incidents()]
        assert sorted(told) == [("no-signal", "ended"), ("smoke", "ended"), ("smoke", "late")]
        assert [len(watch.mails(who)) for who in (FIRE, HAMLET, TELECOM)] == [2, 2, 2]
        assert len({str(mail["Message-ID"]) for _, mail in post.mails}) == len(post.mails) == 6
        with capsys.disabled():
            print(f"\n{broker}: smoke told after {took_s:.1f} s (persistence {watch.persist_s} s)", end="")


def deliver_late(world: World) -> None:
    """Bring ten minutes of smoke, forty minutes old, as a gateway that was cut off would."""
    old = {"start_ms": time.time_ns() // 1_000_000 - 40 * 60_000, "step_ms": 10_000}
    packet = build.packet(epoch="0f" * 8, rows=[{"smoke-1": {"pm2_5": 300, "pm10": 375}}] * 60, **old)
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="late")
    with Observer(world.broker_port) as observer:
        client.connect("127.0.0.1", world.broker_port)
        client.loop_start()
        identity = ("0f" * 8, 1, 60)
        until(lambda: observer.codes, BOUND_S, "the observer hears")
        until(
            lambda: client.publish(topics.up(GATEWAY), packet, qos=1).wait_for_publish(1) or identity in observer.acked,
            BOUND_S,
            "the late batch is acknowledged",
        )
        client.disconnect()
        client.loop_stop()


def test_killed_at_the_worst_moments_alerts_lose_nothing(tmp_path: Path, post: Post) -> None:
    with World(tmp_path) as world:
        watch = Watch(world, post, persist_s=6)
        cloud = world.parts["cloud"]
        with serving(post):
            # while persistence is being counted
            watch.start()
            watch.tell(**SMOKE)
            onset_ms = time.time_ns() // 1_000_000
            until(lambda: bad_readings(world) >= 4, BOUND_S, "smoke is stored and counted")
            cloud.kill()
            assert not watch.incidents(), "nobody could be told yet"
            watch.cloud_again()
            watch.arrive(FIRE, 1)
            (incident,) = watch.incidents()
            assert abs(incident.since_ms - onset_ms) < 3000, "it began when it began, not when the server came back"
            # an ordered restart repeats nothing
            assert cloud.end() == 0
            watch.cloud_again()
            watch.nothing_more()
            assert len(watch.mails(FIRE)) == 1
            # killed when the mail server has the mail and has not said so: one repeat, under the same id
            post.accepted.clear()
            post.go_on.clear()
            watch.tell()
            assert post.accepted.wait(BOUND_S)
            cloud.kill()
            post.go_on.set()
            watch.cloud_again()
            watch.nothing_more()
            ends = watch.mails(FIRE)[1:]
            assert 1 <= len(ends) <= 2
            assert len({str(mail["Message-ID"]) for mail in ends}) == 1
        # killed between onset and mail: the mail server is away
        watch.tell(modem={"service": False})
        until(lambda: len(watch.incidents()) == 2, BOUND_S, "the hamlet's incident")
        until(lambda: world.health()["alerts"]["last_refusal"], BOUND_S, "the mail cannot be delivered")
        cloud.kill()
        before = len(post.mails)
        with serving(post):
            watch.cloud_again()
            watch.arrive(TELECOM, 1)
            watch.nothing_more()
            assert len(watch.mails(TELECOM)) == 1
            assert len(post.mails) == before + 1
            assert cloud.end() == 0
        assert len(watch.incidents()) == 2


def bad_readings(world: World) -> int:
    """Return how many readings of heavy smoke alerts have taken in."""
    now_ms = time.time_ns() // 1_000_000
    store = world.store()
    with closing(store):
        rows = store.series(GATEWAY, "smoke-1", "pm2_5", (now_ms - 600_000) * 1_000_000, (now_ms + 60_000) * 1_000_000)
    return sum(value > 250 for _, value in rows)
