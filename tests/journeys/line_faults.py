"""What befalls an answer on a serial line, alone and together.

A fault is a function: it takes the request, the true answer and the one before, and says which bytes the line brings
after how many seconds.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import cycle

TIMEOUT_S = 0.3
SHARE = 1 / 4  # of the answers: of more, a poll of two questions seldom gets through, and the device is left to rest
RANDOM = random.Random(6)
Pieces = list[tuple[float, bytes]]  # seconds of waiting before each, and the bytes
Fault = Callable[[bytes, bytes, bytes], Pieces]
Noise = Callable[[bytes, bytes], bytes]  # made from request and answer


def befalls() -> bool:
    """Draw whether an answer is of those that a fault befalls."""
    return RANDOM.random() < SHARE


def well(_request: bytes, frame: bytes, _last: bytes) -> Pieces:
    """Bring the answer as it is."""
    return [(0, frame)]


def echo(request: bytes, frame: bytes, _last: bytes) -> Pieces:
    """Repeat the request first, as a half-duplex adapter does."""
    return [(0, request), (0.01, frame)]


def glitch(_request: bytes, frame: bytes, _last: bytes) -> Pieces:
    """Bring rubbish first, as when the driver of the line is switched on."""
    return [(0, RANDOM.randbytes(RANDOM.randint(1, 3)) + frame)]


def flipped(bits: int) -> Fault:
    """Flip so many bits of a share of the answers."""

    def fault(_request: bytes, frame: bytes, _last: bytes) -> Pieces:
        number = int.from_bytes(frame)
        for bit in RANDOM.sample(range(8 * len(frame)), bits if befalls() else 0):
            number ^= 1 << bit
        return [(0, number.to_bytes(len(frame)))]

    return fault


def truncated(_request: bytes, frame: bytes, _last: bytes) -> Pieces:
    """Break a share of the answers off."""
    return [(0, frame[: RANDOM.randrange(len(frame))] if befalls() else frame)]


def split(_request: bytes, frame: bytes, _last: bytes) -> Pieces:
    """Bring it byte by byte, with pauses that a USB adapter makes."""
    return [(0.016, bytes([byte])) for byte in frame]


def glued(_request: bytes, frame: bytes, last: bytes) -> Pieces:
    """Bring the answer to the question before once more, in the same breath."""
    return [(0, frame + last)]


def again(_request: bytes, frame: bytes, _last: bytes) -> Pieces:
    """Say every answer twice, as a repeater does that heard it on both of its sides."""
    return [(0, frame), (0.05, frame)]


def wrong_slave(_request: bytes, frame: bytes, _last: bytes) -> Pieces:
    """Let somebody else answer a share of the questions, with a right checksum."""
    return [(0, _of(2, frame) if befalls() else frame)]


def late(time_outs: float, timeout_s: float = TIMEOUT_S) -> Fault:
    """Bring a share of the answers late by so many time-outs."""

    def fault(_request: bytes, frame: bytes, _last: bytes) -> Pieces:
        return [(time_outs * timeout_s * befalls(), frame)]

    return fault


def ever(time_outs: float) -> Fault:
    """Bring every answer late by so many time-outs."""
    return lambda _request, frame, _last: [(time_outs * TIMEOUT_S, frame)]


def after(noise: Noise, fault: Fault) -> Fault:
    """Bring some bytes at once, and after them what a fault brings."""
    return lambda request, frame, last: [(0, noise(request, frame)), *fault(request, frame, last)]


def before(fault: Fault, noise: Noise) -> Fault:
    """Bring what a fault brings, and some bytes a moment later."""
    return lambda request, frame, last: [*fault(request, frame, last), (0.02, noise(request, frame))]


def delayed(fault: Fault, time_outs: float) -> Fault:
    """Bring what another fault brings, a share of it late by so many time-outs."""

    def both(request: bytes, frame: bytes, last: bytes) -> Pieces:
        ((pause_s, first), *rest) = fault(request, frame, last)
        return [(pause_s + time_outs * TIMEOUT_S * befalls(), first), *rest]

    return both


def both(first: Fault, second: Fault) -> Fault:
    """Let a second fault befall what the first one brings."""

    def fault(request: bytes, frame: bytes, last: bytes) -> Pieces:
        brought = first(request, frame, last)
        ((pause_s, begin), *rest) = second(request, b"".join(data for _, data in brought), last) or [(0, b"")]
        return [(sum(pause_s for pause_s, _ in brought) + pause_s, begin), *rest]

    return fault


def in_turn(*faults: Fault) -> Fault:
    """Let one fault befall the first answer, the next the second, and begin again."""
    turns = cycle(faults)
    return lambda request, frame, last: next(turns)(request, frame, last)  # noqa: PLW0108 - each time another


def other_question(_request: bytes, frame: bytes, _last: bytes) -> Pieces:
    """Let the slave answer what it was not asked: the other kind of registers, with a right checksum."""
    other = frame[:1] + bytes(7 - byte & 0xFF for byte in frame[1:2]) + frame[2:-2]
    return [(0, _summed(other) if befalls() else frame)]


def of_right_length(_request: bytes, frame: bytes, _last: bytes) -> Pieces:
    """Bring something as long as the answer in place of a share of them."""
    return [(0, RANDOM.randbytes(len(frame)) if befalls() else frame)]


def rubbish(_request: bytes, _frame: bytes) -> bytes:
    """Return a few bytes."""
    return RANDOM.randbytes(RANDOM.randint(1, 3))


def of_its_length(_request: bytes, frame: bytes) -> bytes:
    """Return as many bytes as the answer has."""
    return RANDOM.randbytes(len(frame))


def own_words(request: bytes, _frame: bytes) -> bytes:
    """Return what was sent."""
    return request


def disturbed_words(request: bytes, frame: bytes) -> bytes:
    """Return what was sent, behind a glitch or without its first byte, or as it was."""
    return RANDOM.choice((rubbish(request, frame) + request, request[1:], request))


def of_another(_request: bytes, frame: bytes) -> bytes:
    """Return the answer as another slave would have given it."""
    return _of(2, frame)


def _of(address: int, frame: bytes) -> bytes:
    return _summed(bytes([address]) + frame[1:-2])


def _summed(body: bytes) -> bytes:
    crc = 0xFFFF
    for byte in body:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return body + crc.to_bytes(2, "little")
