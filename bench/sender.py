"""The sending side of the pipeline bench: gateways that keep the contract, and a plain publisher for the peer."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from wire import codec, topics
from wire.batch import Status, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

WINDOW = 8  # edge.keep.keeper: batches in flight for one gateway
AGAIN_S = 5.0  # edge.config: resend_s
PATIENCE_S = 60.0


def _client(port: int) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(1000)
    client.connect("127.0.0.1", port)
    return client


class Gateways:
    """Gateways that send the same packets, each under its own name, and free them when they are stored."""

    def __init__(self, port: int, names: Sequence[str], packets: Sequence[bytes]) -> None:
        self._client = _client(port)
        self._client.on_message = self._acknowledged
        self._client.on_connect = lambda own, *_: own.subscribe("gocche/v1/+/ack")
        self._waiting = {name: deque(packets) for name in names}
        self._flying: dict[str, deque[bytes]] = {name: deque() for name in names}
        self._left = len(names) * len(packets)
        self._heard, self._done = threading.Event(), threading.Event()
        self._ended = 0.0
        self._refused = ""

    def run(self) -> tuple[float, float]:
        """Send everything and return when the first was sent and the last acknowledged (monotonic seconds)."""
        self._client.loop_start()
        self._greet()
        started = time.monotonic()
        for name in self._waiting:
            for _ in range(WINDOW):
                self._next(name)
        while not self._done.wait(AGAIN_S):
            if time.monotonic() > started + PATIENCE_S:
                raise TimeoutError(f"{self._left} batches were not acknowledged within {PATIENCE_S:g} s")
            for name, packets in self._flying.items():
                for packet in list(packets):
                    self._client.publish(topics.up(name), packet, qos=1)
        self._client.disconnect()
        self._client.loop_stop()
        if self._refused:
            raise RuntimeError(f"the cloud did not store a batch of the bench: {self._refused}")
        return started, self._ended

    def _greet(self) -> None:
        """Announce a gateway until the cloud answers: then both directions work."""
        name = next(iter(self._waiting))
        birth = msgspec.json.encode(Status(v=1, state="online", epoch="00" * 8))
        for _ in range(100):
            self._client.publish(topics.status(name), birth, qos=1)
            if self._heard.wait(0.2):
                return
        raise TimeoutError("the ingester does not answer")

    def _next(self, name: str) -> None:
        if self._waiting[name]:
            packet = self._waiting[name].popleft()
            self._flying[name].append(packet)
            self._client.publish(topics.up(name), packet, qos=1)

    def _acknowledged(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        name, _ = topics.parse(message.topic)
        ack = codec.decode_ack(bytes(message.payload))
        self._heard.set()
        for item in ack.items:
            if item.code != Verdict.STORED:
                self._refused = f"{Verdict(item.code).name}: {item.words}"
                self._done.set()
                return
            if not self._flying[name]:
                continue  # sent again, and answered twice
            self._flying[name].popleft()  # in the order of sending, as one broker and one ingester keep it
            self._left -= 1
            self._next(name)
        if not self._left:
            self._ended = time.monotonic()
            self._done.set()


def publish(port: int, messages: Sequence[tuple[str, bytes]]) -> float:
    """Publish all messages at QoS 1 as fast as the broker takes them; return when that began (monotonic seconds)."""
    client = _client(port)
    client.loop_start()
    started = time.monotonic()
    for topic, payload in messages:
        last = client.publish(topic, payload, qos=1)
    last.wait_for_publish(PATIENCE_S)
    client.disconnect()
    client.loop_stop()
    return started
