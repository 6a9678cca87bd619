"""Smoke, a server killed while an SMS is in the air, a modem pulled out: told, hardly twice, answered, written back.

Server and broker are processes of their own; the modem is one on a pseudo-terminal (tests/modem.py), and the gateway
is the messages that it would send.
"""

from __future__ import annotations

import re
import shutil
import time
from typing import TYPE_CHECKING

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from cloud.alerts.listing import events
from tests import build
from tests.journeys.world import ROOT, World
from tests.modem import TestModem, deliver
from tests.servers import until
from wire import topics

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.journey, pytest.mark.timeout(200)]

BOUND_S = 60.0
NUMBER, WRITTEN = "+84912345678", "0912345678"
TABLES = """
[[channel]]
kind = "sms_modem"
name = "sms"
port = "{port}"
[alerts]
tick_s = 0.5
ledger_s = 2
[[rule]]
name = "smoke"
kind = "limit"
quantity = "pm2_5"
over = 55.0
clear_below = 35.0
persist_s = 5
"""


def smoke(gateway: str, epoch: int) -> tuple[str, bytes]:
    rows = [{"smoke-1": {"pm2_5": 300.0}} for _ in range(12)]
    start_ms = time.time_ns() // 1_000_000 - 12_000
    return topics.up(gateway), build.packet(epoch=f"{epoch:016x}", rows=rows, start_ms=start_ms)


def test_smoke_is_told_by_sms_whatever_becomes_of_server_and_modem(tmp_path: Path) -> None:
    with TestModem(tmp_path) as modem, World(tmp_path) as world:
        shutil.copytree(ROOT / "config" / "garden", tmp_path / "garden")
        rows = ["code,name,roles,email,lang,addresses", f"lu,Trực cháy rừng,fire-watch,,vi,sms:{WRITTEN}"]
        (tmp_path / "garden" / "people.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        world.write_cloud(TABLES.format(port=modem.port))
        cloud = tmp_path / "cloud.toml"
        cloud.write_text(cloud.read_text().replace(str(ROOT / "config" / "garden"), str(tmp_path / "garden")))
        world.start("broker", "cloud")
        until(lambda: world.health().get("alerts", {}).get("listening"), BOUND_S, "alerts listen")
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="gateway")
        client.connect("127.0.0.1", world.broker_port)
        client.loop_start()

        modem.take_s = 5.0  # the network has it, and has not said so when the server dies
        client.publish(*smoke("gw-001", 1), qos=1).wait_for_publish(BOUND_S)
        until(lambda: modem.sent, BOUND_S, "the message is in the air")
        world.parts["cloud"].kill()
        modem.take_s = 0.0
        world.start("cloud")
        until(lambda: len(modem.sent) == 2, BOUND_S, "nobody knew that it had left: it leaves again, once")
        until(lambda: world.health().get("alerts", {}).get("listening"), BOUND_S, "alerts listen again")
        assert {to for to, _, _ in modem.sent} == {NUMBER}

        modem.unplug()
        client.publish(*smoke("gw-002", 2), qos=1).wait_for_publish(BOUND_S)
        until(lambda: world.health()["alerts"]["channels_ill"] == ["sms"], BOUND_S, "the channel is ill")
        modem.plug()
        until(lambda: len(modem.sent) == 3, 2 * BOUND_S, "it is told as soon as the modem is back")
        until(lambda: world.health()["alerts"]["channels_ill"] == [], BOUND_S, "and well")

        code = re.search(r"(?<![\d.])\d{4}(?![\d.])", modem.texts[2])
        assert code, modem.texts[2]
        modem.receive(deliver("+84987654321", f"{code[0]} 1"))  # a stranger, who knows the code
        modem.take_s = 5.0
        modem.receive(deliver(NUMBER, f"{code[0]} 1"))
        journal = world.server / "alerts.db"
        until(lambda: any(one[1] == "acknowledged" for n in (1, 2) for one in events(journal, n)), BOUND_S, "answered")
        until(lambda: len(modem.sent) == 4, BOUND_S, "what is written back is in the air")
        world.parts["cloud"].kill()
        modem.take_s = 0.0
        world.start("cloud")
        until(lambda: len(modem.sent) == 5, BOUND_S, "it is written back again, once")
        assert [text[:6] for text in modem.texts[3:]] == ["Da ghi"] * 2
        assert [one[1] for n in (1, 2) for one in events(journal, n)].count("acknowledged") == 1
        assert [one[1] for one in events(journal, 0)].count("reply-refused") == 1
        until(lambda: not modem.sim, BOUND_S, "the SIM is empty again")
        client.disconnect()
        client.loop_stop()
        assert NUMBER[4:] not in world.parts["cloud"].said(1_000_000), "no number stands on the log"
        assert len(modem.sent) == 5
