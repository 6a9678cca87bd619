"""Smoke on a link that carries next to nothing, behind a backlog and more readings than it can ever carry.

Everything is real from the keeper to the broker; between them a relay carries so many bytes a second. The cloud's part
is played by a client of the broker that acknowledges what it gets.
"""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge.board import Board
from edge.clock import Anchor, SystemClock
from edge.clock.dating import Dating
from edge.config import Broker, SpoolConfig
from edge.keep.inbox import Inbox
from edge.keep.keeper import Keeper
from edge.keep.spool import Spool
from edge.send.carrier import Ends
from edge.send.courier import Courier
from edge.send.heartbeat import Heartbeat
from edge.send.uplink import Uplink
from edge.status import Own, compose, encoded
from tests.journeys.proxy import Proxy
from tests.servers import until
from wire import codec, topics
from wire.batch import AckItem, Batch, Source, Verdict
from wire.reading import Reading

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from tests import servers
    from wire.batch import Status

pytestmark = [pytest.mark.journey, pytest.mark.mosquitto, pytest.mark.timeout(300), pytest.mark.usefixtures("budget")]
BUDGET_S = 150

GATEWAY, NEVER_MS = "sg-01", 2**53


class Cloud:
    """Acknowledges all that comes, and notes when."""

    def __init__(self, port: int, clock: SystemClock) -> None:
        self.came: list[tuple[int, Batch]] = []
        self._clock = clock
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="cloud")
        self._client.on_connect = lambda client, *_: client.subscribe(topics.ALL_UP, 1)
        self._client.on_message = self._message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def smoke_ms(self) -> int | None:
        """When smoke came first."""
        return next((at for at, batch in self.came if any(r.channel == "air-1" for r in batch.readings())), None)

    def _message(self, client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        now, batch = self._clock.mono_ms(), codec.decode_message(GATEWAY, message.payload, NEVER_MS)
        assert isinstance(batch, Batch)
        self.came.append((now, batch))
        answer = AckItem(bytes.fromhex(batch.epoch), batch.first, batch.n, Verdict.STORED, "")
        client.publish(topics.ack(GATEWAY), codec.encode_ack(round(time.time() * 1000), [answer]))


class Gateway:
    """A keeper and an uplink, whose spool has what an outage left: `backlog` full batches."""

    def __init__(self, folder: Path, port: int, clock: SystemClock, backlog: int) -> None:
        self.clock, self.board, self.inbox = clock, Board(), Inbox(clock)
        self.spool = Spool(folder / "spool.db", 1 << 24)
        self.spool.dates.anchor(clock.boot, Anchor(round(time.time() * 1000) - clock.mono_ms(), Source.NTP, 100))
        for _ in range(backlog):
            self.spool.append(noise(clock, 500), clock.boot)
            self.spool.cut()
        self._own = Own(clock.boot, 1.0, 2.0, "1", "c")
        ends = Ends(lambda: encoded(self._status("offline")), self.inbox.acknowledged, self.inbox.linked)
        self.uplink = Uplink(Broker(host="127.0.0.1", port=port, spread_s=0), GATEWAY, ends, self.board, clock)
        dating = Dating(clock, self.spool.dates, self.board)
        heartbeat = Heartbeat(self.uplink, GATEWAY, self.board, lambda: self._status("online"), dating.asked)
        courier = Courier(self.spool, self.uplink, heartbeat, self.board, clock.boot, GATEWAY, 30.0)
        settings = SpoolConfig(commit_s=1.0, batch_s=2.0)
        self._keeper = Keeper(self.inbox, self.spool, courier, dating, settings, clock, self.board)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keeper.run, args=(self._stop,), name="keeper")

    def __enter__(self) -> Self:
        self._thread.start()
        self.uplink.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.uplink.stop(b"")
        self.spool.close()

    def _status(self, state: str) -> Status:
        return compose(self.board, self._own, self.clock.mono_ms(), state)


def noise(clock: SystemClock, n: int) -> list[Reading]:
    """Readings that do not deflate to nothing."""
    now = clock.mono_ms()
    return [
        Reading("soil-1", now, {"soil_ec": random.randrange(20_000), "soil_moisture": random.randrange(10_000)}, {})
        for _ in range(n)
    ]


@pytest.mark.parametrize(("bytes_s", "most_s"), [(1_000, 15), (200, 45)])
def test_smoke_overtakes_a_backlog_and_all_that_a_thin_link_cannot_carry(
    tmp_path: Path, mosquitto: servers.Mosquitto, bytes_s: int, most_s: float
) -> None:
    clock = SystemClock()
    cloud = Cloud(mosquitto.port, clock)
    with Proxy(mosquitto.port, bytes_s) as link, Gateway(tmp_path, link.port, clock, backlog=40) as gateway:
        until(lambda: cloud.came, 60, "the first batch")
        end = time.monotonic() + 20
        while time.monotonic() < end:  # three times what even the better link carries
            for reading in noise(clock, 250):
                gateway.inbox.put(reading)
            time.sleep(0.25)
        began_ms = clock.mono_ms()
        gateway.inbox.put(Reading("air-1", began_ms, {"pm2_5": 300}, {}))
        until(cloud.smoke_ms, 200, "smoke")
        took_s = ((cloud.smoke_ms() or 0) - began_ms) / 1000
        print(f"\n{bytes_s} B/s: smoke there after {took_s:.1f} s", end="")
    cloud.close()
    assert took_s < most_s
