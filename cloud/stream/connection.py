"""The way in from the broker: with client.py the only place in the cloud that knows paho.

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
import select
import socket
import threading
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.properties import Properties

from cloud.stream.client import Client
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
GATHER_S = 0.05  # what comes meanwhile is read at once; a room that only follows the stream has so much time
GRANT_S = 20.0  # patience for the answer to our subscription: a connection that hears nothing is none


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """One message as it came. What telephones say has their account for a gateway, and their stream for a kind."""

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
    bytes. Who `only_follows` hears a moment later, and at QoS 0: that costs room and broker less, and at either QoS a
    broker drops what a slow client leaves with it; others bring that. `parse` tells who says what kind of thing by its
    topic, and raises ValueError for one that is none of ours.

    Raises OSError for a password or certificate file that cannot be read any more: the
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
        *,
        only_follows: bool = False,
        parse: Callable[[str], tuple[str, str]] = topics.parse,
    ) -> None:
        self._broker, self._name, self._subscriptions, self._clock = broker, name, subscriptions, clock
        self._on_arrival, self._on_link, self._only_follows = on_arrival, on_link, only_follows
        self._parsed = lru_cache(8_192)(lambda topic: parse(topic.decode()))  # four of a gateway
        self._failures = 0
        self._asked_s = 0.0  # when the subscriptions were asked for, by the monotonic clock
        self._answered = False  # whether this connection was taken or refused in words
        self._asking = False  # whether it was taken, and our subscriptions wait for their answer
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"stream-{name}", daemon=True)  # a name may hang
        self.connected = False
        self.strangers = self.too_long = 0
        self.why = "not connected yet"
        own_id = f"{name}-{secrets.token_hex(4)}"  # 23 characters are what every broker takes
        self._shares = any(topic.startswith("$share/") for topic in subscriptions)
        self._or_share = ". Does it know [broker] share, which is of MQTT 5?" if self._shares else ""
        client = Client(own_id, broker, self._message, five=self._shares)
        client.on_connect, client.on_disconnect = self._welcomed, self._lost
        client.on_subscribe = self._granted
        self._client = client
        self._ends: tuple[socket.socket, ...] = ()  # ear and bell: what wakes our thread
        self._rung = self._leaving = False

    def start(self) -> None:
        """Begin connecting, and go on for ever."""
        self._ends = socket.socketpair()
        for end in self._ends:
            end.setblocking(False)
        self._thread.start()

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 0; what is lost is asked for again by re-sending."""
        if (lane := self._client.lane) is not None:
            lane.publish(topic, payload)
            self._ring()

    def _ring(self) -> None:
        """Let the stream's thread look up; once, however many call."""
        if self._ends and not self._rung:
            self._rung = True
            with suppress(OSError):
                self._ends[1].send(b"!")

    def close(self) -> None:
        """Disconnect. May be called twice."""
        self._leaving = True  # our thread may have said goodbye before this one goes on
        self._client.disconnect()
        self._stop.set()
        self._ring()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)
        for end in self._ends:
            end.close()

    def _run(self) -> None:
        """Connect and carry until told to stop. paho's own thread ends at any exception but an OSError."""
        self._client.connect_async(self._broker.host, self._broker.port, keepalive=30, **self._wishes())
        while not self._stop.is_set():
            try:
                self._answered = self._asking = False
                self._client.reconnect()
                self._asked_s = self._clock.monotonic()
                while self._turn() and not self._stop.is_set():
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

    def _turn(self) -> bool:
        """Take what came, send what waits, sleep at most a pulse where there is neither; tell whether to go on."""
        lane = self._client.lane
        if lane is None or self._client.socket() is None:
            return False
        ear = self._ends[0]
        writable = [lane] if lane.busy or self._client.want_write() else list[Any]()
        came, _, _ = select.select(list[Any]((lane, ear)), writable, [], PULSE_S)
        if ear in came:
            with suppress(BlockingIOError):
                ear.recv(4096)
            self._rung = False  # what was published before is flushed below; who publishes from now on rings again
        if lane in came:
            lane.read()
            if self._only_follows and not select.select([lane], [], [], 0)[0]:
                self._clock.wait(self._stop, GATHER_S)
        done = mqtt.MQTT_ERR_SUCCESS
        while lane.for_paho and done == mqtt.MQTT_ERR_SUCCESS and self._client.socket() is not None:
            done = self._client.loop_read()
        if done == mqtt.MQTT_ERR_SUCCESS:
            self._client.loop_write()
            lane.flush()
            done = self._client.loop_misc()
        return done == mqtt.MQTT_ERR_SUCCESS

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
            self._asking = True
            client.subscribe([(topic, 0 if self._only_follows else 1) for topic in self._subscriptions])

    def _granted(self, client: mqtt.Client, _data: Any, _mid: int, codes: Sequence[Any], _props: Any) -> None:
        """Count as connected, or not: a refused subscription is as deaf as no connection and looks like silence."""
        self._asking = False
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
        if self.connected and not self._leaving:
            self._tell(f"connection lost: {code}")
        elif not self._answered:
            what = "broker closes before it answers: does that port want TLS (ca_file), or a certificate (cert_file)?"
            self._tell(what + self._or_share)
        elif self._asking:
            self._tell("broker takes us and closes before it grants the subscriptions: why stands in its log")

    def _down(self) -> None:
        if self.connected:
            self.connected = False
            self._on_link(False)

    def _message(self, topic: bytes, payload: bytes | None, size: int, retained: bool) -> None:
        try:
            gateway, kind = self._parsed(topic)
        except ValueError as error:
            self.strangers += 1
            self._warn("message on a foreign topic", self.strangers, str(error))
            return
        if payload is None:
            self.too_long += 1
            why = f"{size} bytes, more than {codec.MAX_PACKET}, on {topic.decode()}"
            self._warn("message dropped where it arrived", self.too_long, why)
            return
        self._on_arrival(Arrival(gateway, kind, payload, self._clock.utc_ms(), retained))

    def _warn(self, what: str, n: int, why: str) -> None:
        """Say the first, second, fourth, eighth …: anybody who may publish could fill the log otherwise."""
        if n & (n - 1) == 0:
            log.warning("%s stream=%s n=%s why=%r", what, self._name, n, why)
