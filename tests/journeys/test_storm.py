"""A storm: three hundred gateways fall silent, sixty people are told of it one by one, a channel hangs, and it burns.

The letter about smoke leaves first. Broker, server process, mail server and the one that hangs are real; the gateways
are the messages that they would send.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from tests import build, servers
from tests.conftest import need
from tests.journeys.world import ROOT, World
from tests.rules.garden import Hook, Post, serving
from tests.servers import free_port, until
from wire import topics

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.journey, pytest.mark.timeout(200)]

GATEWAYS, OPERATORS = 300, 60
BOUND_S, WITHIN_S = 60.0, 10.0
A_MAIL_S = 0.2  # of a server that is slow and sound
OFFICER = "fire-watch@example.org"
TABLES = """
[[channel]]
kind = "webhook"
name = "sms"
url = "{url}"
deadline_s = 15
[[channel]]
kind = "email"
host = "127.0.0.1"
port = {port}
starttls = false
[alerts]
signal_night = ""
tick_s = 0.5
ledger_s = 2
[[rule]]
name = "smoke"
kind = "limit"
quantity = "pm2_5"
over = 55.0
clear_below = 35.0
persist_s = 5
[[rule]]
name = "gateway-silent"
kind = "absence"
of = "gateway"
after_s = 65
"""


class Slow(Post):
    """A mail server that takes its time for each mail."""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - the library's name
        await asyncio.sleep(A_MAIL_S)
        return await super().handle_DATA(server, session, envelope)


def garden(folder: Path) -> None:
    """Write the sample garden with many operators; the officer and one of them have an SMS number, too."""
    shutil.copytree(ROOT / "config" / "garden", folder)
    rows = [f"lu,Trực cháy rừng,fire-watch,{OFFICER},vi,", "ca,Điện thoại,operator,,vi,sms:+84900000000"]
    rows += [f"o{n},Người {n},operator,o{n}@example.org,vi," for n in range(OPERATORS)]
    text = "\n".join(["code,name,roles,email,lang,addresses", *rows]) + "\n"
    (folder / "people.csv").write_text(text, encoding="utf-8")


def packet(gateway: int, values: list[float]) -> tuple[str, bytes]:
    """Return topic and message of a gateway whose last reading was a second ago."""
    rows = [{"smoke-1": {"pm2_5": value}} for value in values]
    start_ms = time.time_ns() // 1_000_000 - 1_000 * len(values)
    return topics.up(f"gw-{gateway:03d}"), build.packet(epoch=f"{gateway:016x}", rows=rows, start_ms=start_ms)


def publish(client: mqtt.Client, messages: list[tuple[str, bytes]]) -> None:
    for sent in [client.publish(topic, payload, qos=1) for topic, payload in messages]:
        sent.wait_for_publish(BOUND_S)


def test_smoke_leaves_first_while_hundreds_are_silent_and_a_channel_hangs(tmp_path: Path) -> None:
    need(servers.MOSQUITTO)
    post = Slow(free_port())
    with Hook() as hook, serving(post), World(tmp_path, broker="mosquitto") as world:
        hook.waits.clear()  # it takes the connection and the message, and never answers
        garden(tmp_path / "garden")
        world.write_cloud(TABLES.format(port=post.port, url=hook.url))
        sample = str(ROOT / "config" / "garden")
        cloud = tmp_path / "cloud.toml"
        cloud.write_text(cloud.read_text().replace(sample, str(tmp_path / "garden")))
        world.start("broker", "cloud")
        until(lambda: world.health().get("alerts", {}).get("listening"), BOUND_S, "alerts listen")
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="storm")
        client.max_inflight_messages_set(100)
        client.connect("127.0.0.1", world.broker_port)
        client.loop_start()
        publish(client, [packet(number, [4.0]) for number in range(1, GATEWAYS + 1)])
        publish(client, [packet(999, [4.0])])

        until(lambda: len(post.mails) >= 3, 2 * BOUND_S, "the first operators are told of the silence")
        began = time.monotonic()
        burning = packet(888, [300.0] * 12)
        publish(client, [burning])
        until(lambda: post.subjects(OFFICER), WITHIN_S, "the officer is told of the smoke")
        took_s = time.monotonic() - began
        place = [to for to, _ in post.mails].index(OFFICER)
        assert not hook.got, "the other channel hangs all the while"
        assert "Suspected smoke" in post.subjects(OFFICER)[0]

        told = {f"o{n}@example.org" for n in range(OPERATORS)}
        until(lambda: told <= {to for to, _ in post.mails}, BOUND_S, "then everybody is told of the silence")
        overtaken = len({to for to, _ in post.mails[place + 1 :]} & told)
        assert overtaken > OPERATORS / 2, "letters about silence waited while it left"
        until(lambda: world.health()["alerts"]["channels_ill"] == ["sms"], BOUND_S, "the channel that hangs is ill")
        assert world.health()["ok"] is False
        client.disconnect()
        client.loop_stop()
        silent = sum(1 for to, _ in post.mails if to == "o0@example.org")
        print(
            f"\nstorm: {GATEWAYS} silent, {len(post.mails)} mails, {silent} to each operator; smoke was told after"
            f" {took_s:.1f} s as mail {place + 1} before {overtaken} that waited",
            end="",
        )
