"""Somebody who listens on the broker beside all others: sees each batch go up and each acknowledgement come down."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from wire import codec, topics
from wire.batch import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

Identity = tuple[str, int, int]
NEVER_MS = 2**53  # an hour in which no time is too far ahead


class Observer:
    """Counts what passes. Who listens to "up" or "ack" is called at once, in paho's thread."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._guarded = threading.Lock()
        self.sent: Counter[Identity] = Counter()
        self.acked: set[Identity] = set()
        self.codes: Counter[str] = Counter()
        self.listeners: dict[str, list[Callable[[], None]]] = {"up": [], "ack": []}
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="observer", clean_session=True)
        client.on_connect, client.on_message = self._connected, self._message
        client.reconnect_delay_set(0.1, 0.2)  # type: ignore[arg-type]
        self._client = client

    @property
    def resent(self) -> int:
        """How many messages repeated one that was seen before. What a killed broker took along is not seen."""
        with self._guarded:
            return sum(n - 1 for n in self.sent.values())

    def __enter__(self) -> Self:
        self._client.connect_async("127.0.0.1", self._port, keepalive=5)
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe([(topics.ALL_UP, 1), (topics.ack("+"), 0)])

    def _message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        with suppress(ValueError):
            gateway, kind = topics.parse(message.topic)
            if kind == "up":
                identity = codec.decode_message(gateway, message.payload, NEVER_MS).identity
                with self._guarded:
                    self.sent[identity] += 1
            elif not self._answered(codec.decode_ack(message.payload).items):
                return
            for listener in list(self.listeners.get(kind, [])):
                listener()

    def _answered(self, items: list[Any]) -> bool:
        done = [
            (item.epoch.hex(), item.first, item.n)
            for item in items
            if item.code in {Verdict.STORED, Verdict.QUARANTINED}
        ]
        with self._guarded:
            self.codes.update(Verdict(item.code).name.lower() for item in items)
            self.acked.update(done)
        return bool(done)
