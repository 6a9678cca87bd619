"""The fast lane of a connection: messages are taken from the bytes themselves; paho gets everything else.

paho asks the kernel for a packet in four pieces, acknowledges each alone and wakes itself for it: nine system calls a
message, and at each of them our other threads may take the interpreter away for 5 ms. Here the bytes that have come
are read in one piece, all messages in them acknowledged in one, and what is published leaves in one. Connecting, TLS,
subscribing, pings and the end of a connection are rare and stay paho's, which takes this for its socket.
"""

from __future__ import annotations

import ssl
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    OnMessage = Callable[[bytes, bytes | None, int, bool], None]

CHUNK = 64 * 1024
MOST_UNSENT = 16 * 1024 * 1024  # bytes that the broker does not take; a bound for a connection that hangs
_PUBLISH, _PUBACK = 0x30, b"\x40\x02"
_WAIT = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Lane:
    """A socket to paho, of MQTT 3.1.1 or 5. `publish` may be called from any thread, all else from the stream's.

    `on_message` gets topic, payload (None where it is longer than `longest`), its length, and whether it was retained.
    """

    def __init__(self, sock: Any, longest: int, on_message: OnMessage, *, five: bool = False) -> None:
        self._socket, self._longest, self._on_message, self._five = sock, longest, on_message, five
        self._ours: deque[bytes] = deque()  # published, by any thread
        self._out = bytearray()
        self._in = b""
        self._others = bytearray()  # packets that are paho's
        self._skip = 0  # bytes of a message that is too long
        self._fault: OSError | None = None
        self._ended = False

    def __getattr__(self, name: str) -> Any:
        """Whatever else paho asks of a socket."""
        return getattr(self._socket, name)

    # --- paho's side

    def recv(self, size: int) -> bytes:
        """Return bytes of packets that are no messages. Raises what reading raised, once all before it is read."""
        if not self._others:
            if self._fault is not None:
                raise self._fault
            if self._ended:
                return b""
            raise BlockingIOError
        taken = bytes(self._others[:size])
        del self._others[:size]
        return taken

    def send(self, packet: bytes) -> int:
        """Queue a whole packet, so that none of ours comes into its middle."""
        self._out += packet
        return len(packet)

    def close(self) -> None:
        """Close; what still can be sent at once is."""
        self.flush()
        self._socket.close()

    # --- our side

    @property
    def busy(self) -> bool:
        """Whether there is something that the broker has not taken."""
        return bool(self._out or self._ours)

    @property
    def for_paho(self) -> bool:
        """Whether paho has something to read, be it the end."""
        return bool(self._others) or self._ended or self._fault is not None

    def publish(self, topic: str, payload: bytes) -> None:
        """Queue a message at QoS 0."""
        self._ours.append(published(topic, payload, five=self._five))

    def flush(self) -> None:
        """Send as much as the broker takes now."""
        while self._ours:
            self._out += self._ours.popleft()
        try:
            while self._out and self._fault is None:
                del self._out[: self._socket.send(memoryview(self._out)[:CHUNK])]
        except _WAIT:
            if len(self._out) > MOST_UNSENT:
                self._fault = TimeoutError(f"the broker has not taken {len(self._out)} bytes")
        except OSError as error:
            self._fault = error

    def read(self) -> None:
        """Take what has come: messages are handed over and acknowledged, other packets left to paho."""
        try:
            chunk = self._socket.recv(CHUNK)
            while chunk and getattr(self._socket, "pending", int)():  # TLS holds more than select() sees
                chunk += self._socket.recv(CHUNK)
        except _WAIT:
            return
        except OSError as error:
            self._fault = error
            return
        self._ended = not chunk
        passed = min(self._skip, len(chunk))
        self._skip -= passed
        self._packets(self._in + chunk[passed:])

    def _packets(self, held: bytes) -> None:
        at, size = 0, len(held)
        while (found := _head(held, at)) is not None:
            start, end = found
            if held[at] & 0xF0 != _PUBLISH:
                if end > size and end - at <= CHUNK:
                    break
                self._others += held[at:end]  # one that is too long to be true is paho's to refuse
            elif not self._message(held, at, start, end):
                break
            at = end
        self._skip += max(at - size, 0)
        self._in = held[at:]

    def _message(self, held: bytes, at: int, start: int, end: int) -> bool:
        """Hand over the message that begins at `at`; tell whether enough of it has come."""
        size, flags = len(held), held[at]
        if start + 2 > size:
            return False
        topic_end = start + 2 + (held[start] << 8 | held[start + 1])
        content = number_end = topic_end + (2 if flags & 0x06 else 0)
        if self._five:  # properties, which tell us nothing, behind their length
            told = _length(held, content)
            if told is None:
                return False
            content = sum(told)
        too_long = end - content > self._longest
        if (content if too_long else end) > size:
            return False
        payload = None if too_long else held[content:end]
        self._on_message(held[start + 2 : topic_end], payload, end - content, bool(flags & 1))
        if flags & 0x06:
            self._out += _PUBACK + held[topic_end:number_end]
        return True


def _head(held: bytes, at: int) -> tuple[int, int] | None:
    """Return where the content of the packet at `at` begins and ends, None where its length has not come yet."""
    if at + 2 < len(held):  # of one byte or two, as nearly always
        low, high = held[at + 1], held[at + 2]
        if low < 0x80:
            return at + 2, at + 2 + low
        if high < 0x80:
            return at + 3, at + 3 + (low & 0x7F | high << 7)
    told = _length(held, at + 1)
    return None if told is None else (told[0], sum(told))


def _length(held: bytes, at: int) -> tuple[int, int] | None:
    """Return where the length at `at` ends, and the length; None where it has not come yet.

    One of more than four bytes ends there: what reads the packet will not make sense of it.
    """
    length = 0
    for place, digit in enumerate(held[at : at + 4]):
        length |= (digit & 0x7F) << 7 * place
        if digit < 0x80 or place == 3:
            return at + place + 1, length
    return None


def published(topic: str, payload: bytes, *, five: bool = False) -> bytes:
    """Return the packet that publishes a message at QoS 0."""
    name = _name(topic) + b"\0" if five else _name(topic)
    left = len(name) + len(payload)
    packet = bytearray([_PUBLISH])
    while left > 0x7F:
        packet.append(left & 0x7F | 0x80)
        left >>= 7
    packet.append(left)
    return b"".join((packet, name, payload))


@lru_cache(4_096)
def _name(topic: str) -> bytes:
    said = topic.encode()
    return len(said).to_bytes(2, "big") + said
