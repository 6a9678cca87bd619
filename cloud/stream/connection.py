"""The way in from the broker: the only place in the cloud that knows paho.

Each room has a stream of its own. Subscriptions are clean: the broker keeps nothing for us, because what matters is
kept at the edge until the store has it. A client id is made for each process: two servers under one id would put each
other out for ever, and each would say no more than "connection lost".

MQTT 3.1.1, which every broker speaks; with a shared subscription MQTT 5, of which it is a part: a broker that does not
have it says so, where an older one grants `$share/…` as a name like any other, and never brings anything.
"""

from __future__ import annotations

import logging
import random
import secrets
import socket
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties

from wire import codec, topics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cloud.clock import Clock
    from cloud.config import Broker

log = logging.getLogger(__name__)
LONGEST_WAIT_S = 30.0
PULSE_S = 1.0
CLOSE_S = 5.0
LONGEST_PACKET = codec.MAX_PACKET + 1_024  # a message with its topic: a broker of MQTT 5 keeps longer ones to itself
CONNECT = 1  # the packet's number
UNSUPPORTED = "Unsupported protocol version"
NO_SHARE = "broker knows no shared subscription ($share, MQTT 5): leave [broker] share out, or take one that does"
GRANT_S = 20.0  # patience for the answer to our subscription: a connection that hears nothing is none


class Arrival(msgspec.Struct, frozen=True):
    """One message as it came."""

    gateway: str
    kind: str  # up | status | beat
    payload: bytes
    arrival_ms: int
    retained: bool


class Stream:
    """One MQTT connection that follows some topics, made again for ever, in a thread of its own.

    `on_arrival` and `on_link` are called from that thread and must only queue. `connected` means that the broker has
    granted every subscription; `why` says what keeps us from that. Messages on topics that are none of ours are counted
    in `strangers`, those beyond the contract's limit in `too_long`, and go no further: what is queued is bounded in
    bytes. Raises OSError for a password or certificate file that cannot be read any more: the
    configuration was checked before.
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
        self._broker, self._name, self._subscriptions, self._clock = broker, name, subscriptions, clock
        self._on_arrival, self._on_link = on_arrival, on_link
        self._failures = 0
        self._asked_s = 0.0  # when the subscriptions were asked for, by the monotonic clock
        self._answered = False  # whether this connection was taken or refused in words
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"stream-{name}", daemon=True)  # a name may hang
        self.connected = False
        self.strangers = self.too_long = 0
        self.why = "not connected yet"
        own_id = f"{name}-{secrets.token_hex(4)}"  # 23 characters are what every broker takes
        self._shares = any(topic.startswith("$share/") for topic in subscriptions)
        self._or_share = ". Does it know [broker] share, which is of MQTT 5?" if self._shares else ""
        spoken = {"protocol": mqtt.MQTTv5} if self._shares else {"protocol": mqtt.MQTTv311, "clean_session": True}
        client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=own_id, **spoken)
        client.on_connect, client.on_disconnect, client.on_message = self._welcomed, self._lost, self._message
        client.on_subscribe = self._granted
        client.on_socket_open = at_once
        client.on_socket_register_write = lambda *_: None  # then publish() of another thread only queues and wakes us
        self._client = client
        _secure(client, broker)

    def start(self) -> None:
        """Begin connecting, and go on for ever."""
        self._thread.start()

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 0; what is lost is asked for again by re-sending."""
        self._client.publish(topic, payload, qos=0)

    def close(self) -> None:
        """Disconnect. May be called twice."""
        self._client.disconnect()
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        """Connect and carry until told to stop. paho's own thread ends at any exception but an OSError."""
        self._client.connect_async(self._broker.host, self._broker.port, keepalive=30, **self._wishes())
        while not self._stop.is_set():
            try:
                self._answered = False
                self._client.reconnect()
                self._asked_s = self._clock.monotonic()
                while self._client.loop(PULSE_S) == mqtt.MQTT_ERR_SUCCESS and not self._stop.is_set():
                    self._insist()
                self._client.loop_write()  # a goodbye that was said meanwhile
            except (OSError, ValueError) as error:  # a name that is none is a ValueError
                self._tell(str(error))
            except Exception as error:
                log.exception("stream stumbled name=%s", self._name)
                self._tell(f"{type(error).__name__}: {error}")
            self._failures += 1
            self._down()
            ceiling_s = min(LONGEST_WAIT_S, 2.0 ** min(self._failures, 5) / 2)
            self._clock.wait(self._stop, random.uniform(0.05, ceiling_s))

    def _wishes(self) -> dict[str, Any]:
        """Return what MQTT 5 lets us ask for."""
        if not self._shares:
            return {}
        wishes: Any = Properties(CONNECT)  # type: ignore[no-untyped-call]
        wishes.MaximumPacketSize = LONGEST_PACKET
        return {"clean_start": True, "properties": wishes}

    def _tell(self, why: str) -> None:
        """Say why there is no connection, once for each change."""
        if why != self.why and not self._stop.is_set():
            log.warning("broker away stream=%s host=%s why=%r", self._name, self._broker.host, why)
            self.why = why

    def _welcomed(self, client: mqtt.Client, _data: Any, _flags: Any, code: Any, props: Any) -> None:
        self._answered = True
        if self._shares and (code == UNSUPPORTED or getattr(props, "SharedSubscriptionAvailable", 1) == 0):
            self._tell(NO_SHARE)
            client.disconnect()
        elif code.is_failure:
            self._tell(f"broker refused: {code}")
        else:
            client.subscribe([(topic, 1) for topic in self._subscriptions])

    def _granted(self, client: mqtt.Client, _data: Any, _mid: int, codes: Sequence[Any], _props: Any) -> None:
        """Count as connected, or not: a refused subscription is as deaf as no connection and looks like silence."""
        refused = [topic for topic, code in zip(self._subscriptions, codes, strict=False) if code.is_failure]
        if refused:
            self._tell(f"broker refuses the subscription to {', '.join(refused)}: allow it in the broker's access list")
            client.disconnect()
            return
        log.info("broker here stream=%s host=%s", self._name, self._broker.host)
        self._failures, self.why, self.connected = 0, "", True
        self._on_link(True)

    def _insist(self) -> None:
        """Give up a connection that has not granted the subscriptions in time; a new one may."""
        if not self.connected and self._clock.monotonic() - self._asked_s > GRANT_S:
            self._tell(f"broker has not granted the subscriptions within {GRANT_S:g} s{self._or_share}")
            self._client.disconnect()

    def _lost(self, _client: mqtt.Client, _data: Any, _flags: Any, code: Any, _props: Any) -> None:
        if not code.is_failure:
            return  # we left
        if self.connected:
            self._tell(f"connection lost: {code}")
        elif not self._answered:
            what = "broker closes before it answers: does that port want TLS (ca_file), or a certificate (cert_file)?"
            self._tell(what + self._or_share)

    def _down(self) -> None:
        if self.connected:
            self.connected = False
            self._on_link(False)

    def _message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            gateway, kind = topics.parse(message.topic)
        except ValueError as error:
            self.strangers += 1
            self._warn("message on a foreign topic", self.strangers, str(error))
            return
        if len(message.payload) > codec.MAX_PACKET:
            self.too_long += 1
            why = f"{len(message.payload)} bytes, more than {codec.MAX_PACKET}, on {message.topic}"
            self._warn("message dropped where it arrived", self.too_long, why)
            return
        self._on_arrival(Arrival(gateway, kind, bytes(message.payload), self._clock.utc_ms(), message.retain))

    def _warn(self, what: str, n: int, why: str) -> None:
        """Say the first, second, fourth, eighth …: anybody who may publish could fill the log otherwise."""
        if n & (n - 1) == 0:
            log.warning("%s stream=%s n=%s why=%r", what, self._name, n, why)


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
