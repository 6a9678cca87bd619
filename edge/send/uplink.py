"""The way to the broker: the only place at the edge that knows paho. A pipe, never a place where data rests.

Nothing that the broker says frees a reading: a PUBACK means that a message was taken, not that it was stored (killed
brokers lost what they had acknowledged in every setting tried). paho reconnects without jitter, so each attempt gets
its own random delay here: a province coming back after a power cut must not arrive in one second.
"""

from __future__ import annotations

import logging
import random
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from wire import topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.config import Broker

log = logging.getLogger(__name__)
LONGEST_WAIT_S = 60.0


class Uplink:
    """One MQTT 3.1.1 connection of one gateway.

    `on_ack(payload)` and `on_link(up)` are called from paho's thread and must only queue. `will()` is the retained
    status that the broker publishes when the gateway vanishes, asked for before every attempt to connect.
    """

    def __init__(
        self,
        broker: Broker,
        gateway: str,
        will: Callable[[], bytes],
        on_ack: Callable[[bytes], None],
        on_link: Callable[[bool], None],
    ) -> None:
        self._broker, self._gateway = broker, gateway
        self._on_ack, self._on_link = on_ack, on_link
        self._failures = 0
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"gocche-{gateway}", clean_session=True)
        client.max_inflight_messages_set(20)
        client.max_queued_messages_set(40)  # beyond, publish() refuses: the spool is the queue
        self._will = will
        client.on_connect, client.on_disconnect = self._connected, self._lost
        client.on_connect_fail, client.on_message = self._unreachable, self._message
        self._client = client
        _secure(client, broker)

    def start(self) -> None:
        """Begin connecting, and go on for ever, from a thread of paho's own."""
        self._wait()
        self._client.connect_async(self._broker.host, self._broker.port, keepalive=self._broker.keepalive_s)
        self._client.loop_start()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """Hand a message to the connection; tell whether it was taken. Without a connection it is not."""
        if not self._client.is_connected():
            return False
        return self._client.publish(topic, payload, qos=1, retain=retain).rc == mqtt.MQTT_ERR_SUCCESS

    def stop(self, farewell: bytes) -> None:
        """Say goodbye with a last retained status and disconnect, within two seconds."""
        if self._client.is_connected():
            last = self._client.publish(topics.status(self._gateway), farewell, qos=1, retain=True)
            try:
                last.wait_for_publish(timeout=2.0)
            except (ValueError, RuntimeError) as error:
                log.info("farewell not-sent why=%r", str(error))
        self._client.disconnect()
        self._client.loop_stop()

    def _wait(self) -> None:
        self._client.will_set(topics.status(self._gateway), self._will(), qos=1, retain=True)
        ceiling = min(LONGEST_WAIT_S, 2.0 ** min(self._failures, 6))
        delay = random.uniform(0.1, ceiling)
        self._client.reconnect_delay_set(min_delay=delay, max_delay=delay)  # type: ignore[arg-type]

    def _connected(self, client: mqtt.Client, _data: Any, _flags: Any, code: Any, _props: Any) -> None:
        if code.is_failure:
            self._failures += 1
            log.warning("broker refused host=%s why=%r", self._broker.host, str(code))
            self._wait()
            return
        self._failures = 0
        client.subscribe(topics.ack(self._gateway), qos=0)
        self._wait()
        self._on_link(True)

    def _lost(self, _client: mqtt.Client, _data: Any, _flags: Any, _code: Any, _props: Any) -> None:
        self._failures += 1
        self._wait()
        self._on_link(False)

    def _unreachable(self, _client: mqtt.Client, _data: Any) -> None:
        self._failures += 1
        self._wait()

    def _message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if not message.retain:  # an old answer tells an old time
            self._on_ack(bytes(message.payload))


def _secure(client: mqtt.Client, broker: Broker) -> None:
    if broker.user:
        client.username_pw_set(broker.user, Path(broker.password_file).read_text(encoding="utf-8").strip())
    if broker.ca_file:
        context = ssl.create_default_context(cafile=broker.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if broker.cert_file:
            context.load_cert_chain(broker.cert_file, broker.key_file)
        client.tls_set_context(context)
