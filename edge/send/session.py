"""One MQTT 3.1.1 connection, from the name of the broker to its end: the only place at the edge that knows paho.

Nothing outlives it: what was not sent when it ends is forgotten, because the spool is the queue and an old status must
never come after a newer one. Files of keys and passwords are read for each connection, so a renewed certificate needs
no restart. Every silence has a bound; what was wrong is told as a row of causes.toml.

paho's own thread is not used: an exception in a callback or a name that cannot be encoded ends it without a word, and
it tells nobody why it cannot connect.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, LogLevel

from edge.send import causes
from edge.send.causes import Ended
from edge.send.dial import dial, handshake, hurry, tune, under
from wire import topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.clock import Clock
    from edge.config import Broker

# Messages handed over and not confirmed, more than a window; beyond, publish() refuses: the spool is the queue.
ROOM = 272
DIAL_S = 15.0  # to reach one of the broker's addresses
HANDSHAKE_S = 10.0  # for each step of TLS
ANSWER_S = 15.0  # for the broker to say yes to us, and to our subscription
RECEIPT_S = 120.0  # without a confirmation of the oldest that is owed one; on a thin link one packet may take a minute
AGAIN_S = 60.0  # before a refused subscription is asked for again
PULSE_S = 1.0  # between two looks at a connection that owes us something
REST_S = 5.0  # and at one that owes nothing


class _Client(mqtt.Client):
    """paho, on a socket of ours: it knows neither several addresses within one bound nor how to be broken off."""

    def __init__(self, name: str, connected: Callable[[], socket.socket]) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, client_id=name, clean_session=True, reconnect_on_failure=False)
        self._connected = connected

    def _create_socket_connection(self) -> socket.socket:
        return self._connected()


class Session:
    """One connection. `put`, `wake` and `abort` may be called from any thread, the rest belongs to the uplink's.

    `deliver(payload)` is called with each answer of the cloud. Everything else raises Ended when there is no
    connection, or none any more.
    """

    def __init__(self, broker: Broker, gateway: str, deliver: Callable[[bytes], None], clock: Clock) -> None:
        self._broker, self._gateway, self._deliver, self._clock = broker, gateway, deliver, clock
        self._client = _Client(f"gocche-{gateway}", self._connected)
        self._client.max_inflight_messages_set(ROOM)
        self._client.on_connect, self._client.on_subscribe = self._welcomed, self._subscribed
        self._client.on_publish, self._client.on_disconnect = self._confirmed, self._lost
        self._client.on_message, self._client.on_log = self._message, self._overheard
        self._rest_s = min(REST_S, broker.keepalive_s / 4)  # paho pings when it is looked after
        self._attempt = 0
        self._handle: socket.socket | None = None  # of the connection, for other threads: TLS takes the socket itself
        self._trust: ssl.SSLContext | None = None
        self._aborted = False
        self._outbox: deque[tuple[str, bytes, bool]] = deque()
        self._behind: deque[tuple[str, bytes, bool]] = deque()  # what waits for all that is in the outbox
        self._owed: dict[int, None] = {}  # messages that the broker has not confirmed, oldest first
        self._receipt_ms = 0  # when it last confirmed the oldest of them, or nothing was owed
        self._welcome: int | None = None
        self._answers: bool | None = None  # may we hear the answers?
        self._subscribe_ms = 0
        self._ended: Ended | None = None
        self._last_words = ""
        self._ear, self._bell = socket.socketpair()
        self._ear.setblocking(False)
        self._bell.setblocking(False)

    # --- from any thread

    def put(self, topic: str, payload: bytes, *, retain: bool, waits: bool) -> bool:
        """Hand a message over, which may wait for all that may not; tell whether there was room for it."""
        if len(self._outbox) + len(self._behind) + len(self._owed) >= ROOM:
            return False
        (self._behind if waits else self._outbox).append((topic, payload, retain))
        self.wake()
        return True

    @property
    def idle(self) -> bool:
        """Whether the broker has confirmed all that was handed over."""
        return not (self._outbox or self._behind or self._owed)

    def wake(self) -> None:
        """Let the uplink's thread look up."""
        with suppress(OSError):
            self._bell.send(b"!")

    def abort(self) -> None:
        """Break off whatever goes on. Asking for the broker's name cannot be broken off."""
        self._aborted = True
        self.wake()
        if self._handle is not None:
            with suppress(OSError):
                self._handle.shutdown(socket.SHUT_RDWR)

    # --- the uplink's thread

    def open(self, attempt: int, will: bytes) -> None:
        """Connect, say who we are, ask for the answers. `will` is what the broker tells when we vanish."""
        self._attempt = attempt
        self._client.will_set(topics.status(self._gateway), will, qos=1, retain=True)
        self._show_papers()
        try:
            self._client.connect(self._broker.host, self._broker.port, keepalive=self._broker.keepalive_s)
        except (OSError, ValueError) as error:
            end = causes.of(error)
            raise Ended("tls-broken-off", end.detail) if self._trust and end.code == "closed" else end from error
        self._await(lambda: self._welcome == 0, "to CONNECT")
        self._subscribe()
        self._await(lambda: self._answers is not None, "to SUBSCRIBE")

    @property
    def deaf(self) -> bool:
        """Whether the broker keeps the cloud's answers from us."""
        return self._answers is False

    def turn(self, wait_s: float | None = None) -> None:
        """Send what was handed over and take what came, waiting at most so long for either."""
        if wait_s is None:
            wait_s = PULSE_S if self._owed or self.deaf else self._rest_s
        sock = self._client.socket()
        if sock is None or self._aborted:
            raise self._ended or Ended("lost", self._last_words)
        buffered = getattr(sock, "pending", int)()
        full = self._client.want_write()
        at_once = buffered or (not full and (self._outbox or self._behind))
        came, free, _ = select.select([sock, self._ear], [sock] if full else [], [], 0 if at_once else wait_s)
        if self._ear in came:
            with suppress(BlockingIOError):
                self._ear.recv(4096)
        while (lane := self._outbox or self._behind) and not self._client.want_write():
            self._publish(*lane.popleft())  # no more than the kernel takes: what lies here can be overtaken
        if sock in came or buffered:
            self._client.loop_read()
            if self._handle is not None:
                hurry(self._handle)
        if free:
            self._client.loop_write()
        self._client.loop_misc()
        self._judge()

    def farewell(self, status: bytes, within_s: float) -> None:
        """Leave a last retained status and disconnect; what the broker does not confirm in time is given up."""
        end_ms = self._clock.mono_ms() + round(within_s * 1000)
        self._outbox.append((topics.status(self._gateway), status, True))  # after what was said before
        while not self.idle and (rest_ms := end_ms - self._clock.mono_ms()) > 0:
            self.turn(rest_ms / 1000)
        self._client.disconnect()

    def close(self) -> None:
        """Let go of everything. May be called twice."""
        self._client.on_disconnect = None
        self._client.on_socket_close = None
        if (sock := self._client.socket()) is not None:
            sock.close()
        for end in (self._handle, self._ear, self._bell):
            if end is not None:
                end.close()

    def _show_papers(self) -> None:
        broker = self._broker
        try:
            if broker.user:
                self._client.username_pw_set(broker.user, Path(broker.password_file).read_text("utf-8").strip())
            if broker.ca_file:
                self._trust = trusting(broker)
        except (OSError, ValueError, MemoryError) as error:
            if short := causes.shortage(error):
                raise short from error
            files = (broker.password_file, broker.ca_file, broker.cert_file, broker.key_file)
            raise Ended("files", f"{error}; one of {', '.join(filter(None, files))}") from error

    def _connected(self) -> socket.socket:
        broker = self._broker
        sock = dial(broker.host, broker.port, self._attempt, DIAL_S, self._clock, self._opened)
        if isinstance(sock, ssl.SSLSocket):
            handshake(sock, HANDSHAKE_S)
        return sock

    def _opened(self, sock: socket.socket) -> socket.socket:
        tune(sock, 2 * self._broker.keepalive_s)
        if self._handle is not None:
            self._handle.close()
        self._handle = sock.dup()
        if self._aborted:
            raise Ended("lost", "broken off")
        return under(self._trust, sock, self._broker.host) if self._trust else sock

    def _await(self, answered: Callable[[], bool], to_what: str) -> None:
        end_ms = self._clock.mono_ms() + round(ANSWER_S * 1000)
        while not answered():
            if self._clock.mono_ms() > end_ms:
                raise Ended("no-answer", f"{to_what} within {ANSWER_S:g} s")
            self.turn(PULSE_S)

    def _subscribe(self) -> None:
        self._subscribe_ms = self._clock.mono_ms()
        self._client.subscribe(topics.ack(self._gateway), qos=0)

    def _publish(self, topic: str, payload: bytes, retain: bool) -> None:
        if not self._owed:
            self._receipt_ms = self._clock.mono_ms()
        self._owed[self._client.publish(topic, payload, qos=1, retain=retain).mid] = None

    def _judge(self) -> None:
        now = self._clock.mono_ms()
        if self._ended is not None:
            raise self._ended
        if self._owed and now - self._receipt_ms > RECEIPT_S * 1000:
            raise Ended("no-receipt", f"{len(self._owed)} messages, the oldest not within {RECEIPT_S:g} s")
        if self.deaf and now - self._subscribe_ms > AGAIN_S * 1000:
            self._subscribe()

    # --- what paho tells

    def _welcomed(self, _client: mqtt.Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        self._welcome = code.value

    def _subscribed(self, _client: mqtt.Client, _data: Any, _mid: int, codes: Any, _properties: Any) -> None:
        self._answers = not any(code.is_failure for code in codes)

    def _confirmed(self, _client: mqtt.Client, _data: Any, mid: int, _code: Any, _properties: Any) -> None:
        if mid == next(iter(self._owed), None):  # they come in order: one that is passed over never comes
            self._receipt_ms = self._clock.mono_ms()
        self._owed.pop(mid, None)

    def _message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        if not message.retain and not self._aborted:  # an old answer tells an old time
            self._deliver(bytes(message.payload))

    def _overheard(self, _client: mqtt.Client, _data: Any, level: int, words: str) -> None:
        if level == LogLevel.MQTT_LOG_ERR:
            self._last_words = words.partition("socket: ")[2] or words

    def _lost(self, _client: mqtt.Client, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        if self._welcome:
            self._ended = Ended(causes.refusal(self._welcome), f"CONNACK {self._welcome}")
        elif code.getName() == "Keep alive timeout":
            self._ended = Ended("silent", f"for {2 * self._broker.keepalive_s} s")
        elif code.getName() == "Protocol error":
            self._ended = Ended("protocol", self._last_words)
        elif told := causes.of_alert(self._last_words):
            self._ended = told
        elif self._welcome is None:  # the alert that says why is often overtaken by the end
            self._ended = Ended("tls-closed" if self._trust else "closed", self._last_words)
        else:
            self._ended = Ended("lost", self._last_words)


def trusting(broker: Broker) -> ssl.SSLContext:
    """Return what we show and whom we trust. Raises OSError (ssl.SSLError among them) for a file of no use."""
    context = ssl.create_default_context(cafile=broker.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if broker.cert_file:
        context.load_cert_chain(broker.cert_file, broker.key_file, lambda: "")  # nobody is there to type a pass phrase
    return context
