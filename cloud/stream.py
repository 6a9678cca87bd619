"""The way in from the broker: the only place in the cloud that knows paho.

Ingest and the followers (alerts, pages) each have a stream of their own. Subscriptions are clean: the broker keeps
nothing for us, because what matters is kept at the edge until the store has it.
"""

from __future__ import annotations

import logging
import random
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from cloud.config import Broker, ConfigError
from wire import topics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloud.clock import Clock

log = logging.getLogger(__name__)
LONGEST_WAIT_S = 30.0


class Arrival(msgspec.Struct, frozen=True):
    """One message as it came."""

    gateway: str
    kind: str  # up | status | beat
    payload: bytes
    arrival_ms: int
    retained: bool


class Stream:
    """One MQTT connection that follows some topics.

    `on_arrival` and `on_link` are called from paho's thread and must only queue. Messages on topics that are none of
    ours are counted in `strangers`. Raises ConfigError for a password or certificate file that cannot be used.
    """

    def __init__(
        self,
        broker: Broker,
        name: str,
        subscriptions: Sequence[str],
        clock: Clock,
        on_arrival: Callable[[Arrival], None],
        on_link: Callable[[bool], None] = lambda _up: None,
    ) -> None:
        self._broker, self._subscriptions, self._clock = broker, subscriptions, clock
        self._on_arrival, self._on_link = on_arrival, on_link
        self._failures = 0
        self.connected = False
        self.strangers = 0
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, clean_session=True)
        client.on_connect, client.on_disconnect = self._connected, self._lost
        client.on_connect_fail, client.on_message = self._unreachable, self._message
        self._client = client
        try:
            _secure(client, broker)
        except (OSError, UnicodeDecodeError) as error:
            files = ", ".join(filter(None, (broker.password_file, broker.ca_file, broker.cert_file, broker.key_file)))
            raise ConfigError(f"cloud.toml: [broker]: one of its files ({files}) cannot be used: {error}") from error

    def start(self) -> None:
        """Begin connecting, and go on for ever, from a thread of paho's own."""
        self._wait()
        self._client.connect_async(self._broker.host, self._broker.port, keepalive=30)
        self._client.loop_start()

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 0; what is lost is asked for again by re-sending."""
        self._client.publish(topic, payload, qos=0)

    def close(self) -> None:
        """Disconnect. May be called twice."""
        self._client.disconnect()
        self._client.loop_stop()

    def _wait(self) -> None:
        delay = random.uniform(0.05, min(LONGEST_WAIT_S, 2.0 ** min(self._failures, 5) / 2))
        self._client.reconnect_delay_set(min_delay=delay, max_delay=delay)  # type: ignore[arg-type]

    def _connected(self, client: mqtt.Client, _data: Any, _flags: Any, code: Any, _props: Any) -> None:
        if code.is_failure:
            self._failures += 1
            log.warning("broker refused host=%s why=%r", self._broker.host, str(code))
            self._wait()
            return
        self._failures = 0
        client.subscribe([(topic, 1) for topic in self._subscriptions])
        self._wait()
        self.connected = True
        self._on_link(True)

    def _lost(self, _client: mqtt.Client, _data: Any, _flags: Any, _code: Any, _props: Any) -> None:
        self._failures += 1
        self._wait()
        self.connected = False
        self._on_link(False)

    def _unreachable(self, _client: mqtt.Client, _data: Any) -> None:
        self._failures += 1
        self._wait()

    def _message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            gateway, kind = topics.parse(message.topic)
        except ValueError as error:
            self.strangers += 1
            log.warning("message on a foreign topic why=%r", str(error))
            return
        self._on_arrival(Arrival(gateway, kind, bytes(message.payload), self._clock.utc_ms(), message.retain))


def _secure(client: mqtt.Client, broker: Broker) -> None:
    if broker.user:
        client.username_pw_set(broker.user, Path(broker.password_file).read_text(encoding="utf-8").strip())
    if broker.ca_file:
        context = ssl.create_default_context(cafile=broker.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if broker.cert_file:
            context.load_cert_chain(broker.cert_file, broker.key_file)
        client.tls_set_context(context)
