"""paho on a lane of ours: it connects, subscribes and pings, and writes only when it is told to."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from cloud.stream.lane import Lane
from wire import codec

if TYPE_CHECKING:
    from cloud.config import Broker
    from cloud.stream.lane import OnMessage


class Client(mqtt.Client):
    """A clean session of MQTT 3.1.1, or of 5. `lane` is that of the newest connection, None before the first.

    Raises OSError for a password or certificate file that cannot be read.
    """

    def __init__(self, own_id: str, broker: Broker, on_message: OnMessage, *, five: bool) -> None:
        spoken: Any = {"protocol": mqtt.MQTTv5} if five else {"protocol": mqtt.MQTTv311, "clean_session": True}
        super().__init__(CallbackAPIVersion.VERSION2, client_id=own_id, **spoken)
        self._taken, self._five = on_message, five
        self.lane: Lane | None = None
        self.on_socket_open = at_once
        self.on_socket_register_write = lambda *_: None  # then it only queues
        _secure(self, broker)

    def _create_socket(self) -> Any:
        self.lane = Lane(super()._create_socket(), codec.MAX_PACKET, self._taken, five=self._five)
        return self.lane


def at_once(_client: mqtt.Client, _data: Any, sock: Any) -> None:
    """Small packets go at once; else each window of acknowledgements waits for the other side's delayed one (40 ms)."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _secure(client: mqtt.Client, broker: Broker) -> None:
    if broker.user:
        client.username_pw_set(broker.user, Path(broker.password_file).read_text(encoding="utf-8").strip())
    if broker.ca_file:
        context = ssl.create_default_context(cafile=broker.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if broker.cert_file:
            context.load_cert_chain(broker.cert_file, broker.key_file)
        client.tls_set_context(context)
