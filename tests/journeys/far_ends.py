"""Far ends of serial lines that misbehave: pymodbus answers as an independent slave, and a fault befalls its answer.

A fault is a function: it takes the request, the true answer and the one before, and says which bytes the line brings
after how many seconds. Every value that the slave drew is kept with its time, so that a test can tell a value that
was never served, or not for this poll, from a right one.
"""

from __future__ import annotations

import os
import random
import threading
from typing import TYPE_CHECKING

from cloud.clock import SystemClock as WallClock
from gocche.garden.line import Line
from gocche.garden.modbus import READ_HOLDING, SOIL, Bus, Slave
from gocche.garden.served import Served
from gocche.garden.stage import Stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.clock import Clock

TIMEOUT_S = 0.3
Pieces = list[tuple[float, bytes]]  # seconds of waiting before each, and the bytes
RANDOM = random.Random(6)
CYCLES = 100


def well(_request: bytes, frame: bytes, _last: bytes) -> Pieces:
    """Bring the answer as it is."""
    return [(0, frame)]


def echo(request: bytes, frame: bytes, _last: bytes) -> Pieces:
    """Repeat the request first, as a half-duplex adapter does."""
    return [(0, request), (0.01, frame)]


def glitch(_request: bytes, frame: bytes, _last: bytes) -> Pieces:
    """Bring rubbish first, as when the driver of the line is switched on."""
    return [(0, RANDOM.randbytes(RANDOM.randint(1, 3)) + frame)]


def flipped(bits: int) -> Callable[[bytes, bytes, bytes], Pieces]:
    """Flip so many bits of every second answer."""

    def fault(_request: bytes, frame: bytes, _last: bytes) -> Pieces:
        number = int.from_bytes(frame)
        for bit in RANDOM.sample(range(8 * len(frame)), bits * RANDOM.randint(0, 1)):
            number ^= 1 << bit
        return [(0, number.to_bytes(len(frame)))]

    return fault


def truncated(_request: bytes, frame: bytes, _last: bytes) -> Pieces:
    """Break every second answer off."""
    return [(0, frame[: RANDOM.randrange(len(frame))] if RANDOM.randint(0, 1) else frame)]


def split(_request: bytes, frame: bytes, _last: bytes) -> Pieces:
    """Bring it byte by byte, with pauses that a USB adapter makes."""
    return [(0.016, bytes([byte])) for byte in frame]


def glued(_request: bytes, frame: bytes, last: bytes) -> Pieces:
    """Bring the answer to the question before once more, in the same breath."""
    return [(0, frame + last)]


def wrong_slave(_request: bytes, frame: bytes, _last: bytes) -> Pieces:
    """Let somebody else answer every second time, with a right checksum."""
    return [(0, _of(2, frame) if RANDOM.randint(0, 1) else frame)]


def late(time_outs: float) -> Callable[[bytes, bytes, bytes], Pieces]:
    """Bring every second answer late by so many time-outs."""

    def fault(_request: bytes, frame: bytes, _last: bytes) -> Pieces:
        return [(time_outs * TIMEOUT_S * RANDOM.randint(0, 1), frame)]

    return fault


def _of(address: int, frame: bytes) -> bytes:
    body = bytes([address]) + frame[1:-2]
    crc = 0xFFFF
    for byte in body:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return body + crc.to_bytes(2, "little")


def draw(n: int, _utc_s: float) -> dict[str, float]:
    """Return values that no register shares with another, and that no two of a hundred draws in a row share."""
    return {
        "soil_moisture": 20 + n % 100 / 10,
        "soil_temperature": 30 + n % 100 / 10,
        "soil_ec": 1000 + n % 100,
        "soil_ph": 5 + n % 20 / 10,
        **dict.fromkeys(("soil_nitrogen", "soil_phosphorus", "soil_potassium"), 0),
    }


class FarEnd:
    """One pseudo-terminal with a slave behind it, served by a thread from `start` to `close`."""

    def __init__(self, link: Path, clock: Clock, fault: Callable[[bytes, bytes, bytes], Pieces] = well) -> None:
        self._line, self._clock, self._fault = Line(link), clock, fault
        slave = Slave(link.name, 1, READ_HOLDING, SOIL, draw)
        self._slave = Bus(link.name, [slave], Served(None, WallClock()), WallClock())
        self.served: list[tuple[int, dict[str, float]]] = []
        self.requests = 0
        self._last = b""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"far-{link.name}")

    def start(self) -> None:
        """Plug the line in and serve."""
        self._line.plug()
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self._ended.set()
        self._thread.join(10)
        self._line.unplug()

    def _serve(self) -> None:
        while not self._ended.is_set():
            self.turn(0.01)

    def turn(self, wait_s: float) -> None:
        """Answer what comes within `wait_s`."""
        request = self._line.receive(wait_s)
        for answer in self._slave.hear(request, Stage()):
            self.requests += 1
            self.served.append((self._clock.mono_ms(), answer.values))
            for pause_s, piece in self._fault(request, answer.frame, self._last):
                self._ended.wait(pause_s)
                self._line.send(piece)
            self._last = answer.frame


class Talker(FarEnd):
    """Somebody at another speed: bytes without end, and none of them means anything."""

    def turn(self, wait_s: float) -> None:
        """Talk."""
        self._ended.wait(wait_s)
        self._line.send(RANDOM.randbytes(10))


class Full(FarEnd):
    """A port whose far end takes no byte more: its buffer is full from the start."""

    def start(self) -> None:
        """Fill the buffer and leave it so."""
        super().start()
        into = os.open(self._line._link, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            while os.write(into, bytes(512)):
                pass
        except BlockingIOError:
            pass
        finally:
            os.close(into)

    def turn(self, wait_s: float) -> None:
        """Take nothing."""
        self._ended.wait(wait_s)


class Vanishing(FarEnd):
    """An adapter with a loose plug: there for a moment, gone for a moment."""

    cycles = 0

    def turn(self, wait_s: float) -> None:
        """Serve a little, go away, and come back."""
        super().turn(wait_s)
        if self.cycles < CYCLES and RANDOM.random() < 0.05:
            self._line.unplug()
            self._ended.wait(RANDOM.uniform(0.01, 0.3))
            self._line.plug()
            self.cycles += 1
