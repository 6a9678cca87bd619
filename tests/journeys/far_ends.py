"""Far ends of serial lines that misbehave: pymodbus answers as an independent slave, and a fault befalls its answer.

Every value that a device drew is kept with its time, so that a test can tell a value that was never served, or not for
this poll, from a right one.
"""

from __future__ import annotations

import os
import threading
from functools import partial
from typing import TYPE_CHECKING

from cloud.clock import SystemClock as WallClock
from gocche.garden.device import Answer
from gocche.garden.line import Line
from gocche.garden.modbus import READ_HOLDING, SOIL, Bus, Slave
from gocche.garden.served import Served
from gocche.garden.stage import Stage
from tests.journeys.line_faults import RANDOM, well

if TYPE_CHECKING:
    from pathlib import Path

    from edge.clock import Clock
    from tests.journeys.line_faults import Fault, Pieces

CYCLES = 100


def draw(first: int, n: int, _utc_s: float) -> dict[str, float]:
    """Return values that no register shares with another, and that no two of a hundred draws in a row share."""
    n += first
    return {
        "soil_moisture": 20 + n % 100 / 10,
        "soil_temperature": 30 + n % 100 / 10,
        "soil_ec": 1000 + n % 100,
        "soil_ph": 5 + n % 20 / 10,
        **dict.fromkeys(("soil_nitrogen", "soil_phosphorus", "soil_potassium"), 0),
    }


class Modem:
    """What else may hang on a line: a modem that says how well it hears."""

    def __init__(self, channel: str) -> None:
        self._channel, self._n = channel, 0

    def hear(self, data: bytes, _stage: Stage) -> list[Answer]:
        """Answer AT+CSQ."""
        if data != b"AT+CSQ\r":
            return []
        self._n += 1
        level = self._n % 31
        return [Answer(b"\r\n+CSQ: %d,99\r\n\r\nOK\r\n" % level, self._channel, self._n, {"rssi": -113 + 2 * level})]


def stuffed(link: Path) -> None:
    """Fill the buffer of a terminal, so that it takes no byte more until its far end reads."""
    into = os.open(link, os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        while os.write(into, bytes(512)):
            pass
    except BlockingIOError:
        pass
    finally:
        os.close(into)


class End:
    """One pseudo-terminal, served by a thread from `start` to `close`: `serve` is called again and again."""

    def __init__(self, link: Path, clock: Clock) -> None:
        self._line, self._clock = Line(link), clock
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"far-{link.name}")

    def start(self) -> None:
        """Plug the line in and serve."""
        self._line.plug()
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self._ended.set()
        self._thread.join(10)
        self._line.unplug()

    def serve(self) -> None:
        """Answer what comes, soon."""
        raise NotImplementedError

    def _run(self) -> None:
        while not self._ended.is_set():
            self.serve()

    def _bring(self, pieces: Pieces, byte_s: float = 0.0) -> None:
        for pause_s, piece in pieces:
            self._ended.wait(pause_s + len(piece) * byte_s)
            if piece and self._line.plugged:
                self._line.send(piece)


class FarEnd(End):
    """Devices behind one pseudo-terminal.

    They are probes at the addresses 1, 2 …, the first called as the line, and perhaps a `modem`; the fault befalls the
    first one's answers. A `siren` confirms that its coil is set.
    """

    def __init__(
        self, link: Path, clock: Clock, fault: Fault = well, *, probes: int = 1, modem: bool = False, siren: bool = True
    ) -> None:
        super().__init__(link, clock)
        self._fault, self._siren = fault, siren
        self.probes = [f"{link.name}-{n}" if n else link.name for n in range(probes)]
        self.modem = f"{link.name}-modem" if modem else ""
        slaves = [
            Slave(channel, address, READ_HOLDING, SOIL, partial(draw, 37 * address))
            for address, channel in enumerate(self.probes, 1)
        ]
        self._devices = [Bus(link.name, slaves, Served(None, WallClock()), WallClock()), Modem(self.modem)]
        self.served: dict[str, list[tuple[int, dict[str, float]]]] = {}
        self.coils_set: list[int] = []
        self._last = b""

    def serve(self) -> None:
        """Answer what comes within a hundredth of a second."""
        self.turn(0.01)

    def turn(self, wait_s: float) -> None:
        """Answer what comes within `wait_s`."""
        request = self._line.receive(wait_s)
        if request[1:2] == b"\x05":
            self._set(request)
            return
        for answer in [one for device in self._devices for one in device.hear(request, Stage())]:
            self.served.setdefault(answer.device, []).append((self._clock.mono_ms(), answer.values))
            first = answer.device == self.probes[0]
            self._bring(self._fault(request, answer.frame, self._last) if first else [(0, answer.frame)])
            self._last = answer.frame if first else self._last

    def _set(self, request: bytes) -> None:
        if self._siren:
            self.coils_set.append(self._clock.mono_ms())
        self._bring(self._fault(request, request if self._siren else b"", b""))


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
        stuffed(self._line._link)

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
