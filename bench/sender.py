"""The sending side of the benches: gateways that keep the contract, and a plain publisher for a peer.

It shares the cores with what is measured, so it speaks the few words of MQTT 3.1.1 that it needs itself, in one thread:
a library's client would cost more than the server. A gateway's window is that of the edge.
"""

from __future__ import annotations

import hashlib
import select
import socket
import time
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from edge.send.window import Window
from wire import codec, topics
from wire.batch import Status, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

AGAIN_S = 5.0  # edge.config: resend_s
PATIENCE_S = 60.0
_CONNECT, _PUBLISH, _SUBSCRIBE, _DISCONNECT = 0x10, 0x30, 0x82, 0xE0
_AT_LEAST_ONCE = 0x02
_CHUNK = 1 << 18


class Link:
    """One clean connection to a broker on loopback, without keep-alive. Bytes wait here while the broker takes none."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._out, self._in = bytearray(), bytearray()
        self._number = 0
        self._out += _packet(_CONNECT, b"\0\4MQTT\4\2\0\0" + _text(f"bench-{port}-{time.monotonic_ns()}"))

    def subscribe(self, topic: str) -> None:
        """Ask for a topic at QoS 0."""
        self._out += _packet(_SUBSCRIBE, self._next() + _text(topic) + b"\0")

    def publish(self, topic: bytes, payload: bytes) -> None:
        """Queue a message at QoS 1; `topic` as `name` returns it."""
        self._out += _packet(_PUBLISH | _AT_LEAST_ONCE, topic + self._next() + payload)

    @property
    def waiting(self) -> int:
        """How many bytes the broker has not taken yet."""
        return len(self._out)

    def turn(self, wait_s: float) -> Iterator[tuple[int, bytes]]:
        """Send and take what can be; yield kind and content of each packet that came."""
        came, free, _ = select.select([self._socket], [self._socket] if self._out else [], [], wait_s)
        if free:
            del self._out[: self._socket.send(memoryview(self._out)[:_CHUNK])]
        if came:
            got = self._socket.recv(_CHUNK)
            if not got:
                raise ConnectionError("the broker hung up")
            self._in += got
            yield from self._taken()

    def close(self) -> None:
        """Say goodbye."""
        self._socket.setblocking(True)
        self._socket.sendall(bytes([_DISCONNECT, 0]))
        self._socket.close()

    def _next(self) -> bytes:
        self._number = self._number % 65_535 + 1
        return self._number.to_bytes(2, "big")

    def _taken(self) -> Iterator[tuple[int, bytes]]:
        at, held = 0, bytes(self._in)
        while (head := _head(held, at)) and head[1] <= len(held):
            start, end = head
            yield held[at] & 0xF0, held[start:end]
            at = end
        del self._in[:at]


def name(topic: str) -> bytes:
    """Return a topic as it stands in a packet."""
    return _text(topic)


def _text(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()


def _packet(kind: int, content: bytes) -> bytes:
    left, length = len(content), bytearray()
    while True:
        left, digit = left >> 7, left & 0x7F
        length.append(digit | (0x80 if left else 0))
        if not left:
            return bytes([kind]) + length + content


def _head(held: bytes, at: int) -> tuple[int, int] | None:
    """Return where the content of the packet at `at` begins and ends, None where its length has not come yet."""
    length = shift = 0
    for place in range(at + 1, len(held)):
        length |= (held[place] & 0x7F) << shift
        shift += 7
        if held[place] < 0x80:
            return place + 1, place + 1 + length
    return None


class _Gateway:
    """What one gateway still has to send, and what of it is not acknowledged, by first sequence number."""

    def __init__(self, topic: bytes, packets: Sequence[tuple[int, bytes]]) -> None:
        self._topic = topic
        self._waiting = deque(packets)
        self._flying: dict[int, tuple[bytes, float]] = {}
        self._window = Window()

    def send(self, link: Link) -> None:
        while self._waiting and self._window.room:
            first, packet = self._waiting.popleft()
            self._flying[first] = packet, time.monotonic()
            self._window.sent(len(packet))
            link.publish(self._topic, packet)

    def again(self, link: Link) -> int:
        for packet, _ in self._flying.values():
            link.publish(self._topic, packet)
        return len(self._flying)

    def stored(self, first: int) -> bool:
        """Take an acknowledgement; tell whether it is the first one of its batch."""
        flight = self._flying.pop(first, None)
        if flight is None:
            return False
        packet, sent_s = flight
        self._window.answered(len(packet), (time.monotonic() - sent_s) * 1000)
        return True


class Gateways:
    """Gateways that send the same readings, each under a name and an epoch of its own, and free what the cloud has."""

    def __init__(self, port: int, names: Sequence[str], packets: Sequence[bytes]) -> None:
        self._link = Link(port)
        self._link.subscribe("gocche/v1/+/ack")
        said = [codec.opened(packet)[1] for packet in packets]
        self._gateways = {one: _Gateway(name(topics.up(one)), list(_own(one, said))) for one in names}
        self._left = len(names) * len(packets)
        self.again = 0  # messages sent once more

    def run(self) -> tuple[float, float]:
        """Send everything and return when the first was sent and the last acknowledged (monotonic seconds)."""
        self._greet()
        started = heard = time.monotonic()
        for gateway in self._gateways.values():
            gateway.send(self._link)
        while self._left:
            now = time.monotonic()
            if self._turn(AGAIN_S):
                heard = now
            elif now > started + PATIENCE_S:
                raise TimeoutError(f"{self._left} batches were not acknowledged within {PATIENCE_S:g} s")
            elif now > heard + AGAIN_S:
                self.again += sum(gateway.again(self._link) for gateway in self._gateways.values())
                heard = now
        ended = time.monotonic()
        self._link.close()
        return started, ended

    def _greet(self) -> None:
        """Announce a gateway until the cloud answers: then both directions work."""
        topic = name(topics.status(next(iter(self._gateways))))
        birth = msgspec.json.encode(Status(v=1, state="online", epoch="00" * 8))
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            self._link.publish(topic, birth)
            until = time.monotonic() + 0.2
            while time.monotonic() < until:
                if any(kind == _PUBLISH for kind, _ in self._link.turn(0.05)):
                    return
        raise TimeoutError("the ingester does not answer")

    def _turn(self, wait_s: float) -> bool:
        """Take what came and send what may go; tell whether any batch was acknowledged."""
        before = self._left
        for kind, content in self._link.turn(wait_s):
            if kind == _PUBLISH:
                length = int.from_bytes(content[:2], "big") + 2
                gateway, _ = topics.parse(content[2:length].decode())
                self._acknowledged(self._gateways[gateway], content[length:])
        return self._left < before

    def _acknowledged(self, gateway: _Gateway, payload: bytes) -> None:
        for item in codec.decode_ack(payload).items:
            if item.code != Verdict.STORED:
                raise RuntimeError(
                    f"the cloud did not store a batch of the bench: {Verdict(item.code).name}: {item.words}"
                )
            self._left -= gateway.stored(item.first)
        gateway.send(self._link)


def _own(gateway: str, said: Sequence[codec.Envelope]) -> Iterator[tuple[int, bytes]]:
    """Yield first number and packet of each message as this gateway sends it."""
    epoch = hashlib.blake2b(gateway.encode(), digest_size=8).digest()
    for each in said:
        yield each.first, codec.encode_message(msgspec.structs.replace(each, epoch=epoch))


def publish(port: int, messages: Sequence[tuple[str, bytes]]) -> float:
    """Publish all messages at QoS 1 as fast as the broker takes them; return when that began (monotonic seconds)."""
    link = Link(port)
    started = time.monotonic()
    for topic, payload in messages:
        link.publish(name(topic), payload)
    confirmed = 0
    while confirmed < len(messages):
        confirmed += sum(kind == 0x40 for kind, _ in link.turn(PATIENCE_S))
    link.close()
    return started
