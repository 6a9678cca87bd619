"""A relay board behind a pseudo-terminal: pymodbus holds its coils and frames what it says. And how it may be ill."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU
from pymodbus.simulator import DataType, SimData, SimDevice
from pymodbus.simulator.simcore import SimCore

from edge.framing import rtu
from gocche.garden.line import Line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

ADDRESS = 8
FLASH = 0x02  # the high byte of Waveshare's "flash on"


class Board:
    """Address 8: sixteen coils and inputs, and probes at other addresses that say 300 in every register.

    `ill` is called with each request and its answer and returns what goes over the line instead. `switched` has the
    moments (monotonic seconds) at which a coil changed, and to what.
    """

    def __init__(self, link: Path, probes: tuple[int, ...] = ()) -> None:
        self._line, self._ended = Line(link), threading.Event()
        bits = [SimData(0, datatype=DataType.BITS, values=[False] * 16) for _ in range(2)]
        words = [SimData(0, count=8, datatype=DataType.REGISTERS, values=300) for _ in range(2)]
        blocks = tuple([block] for block in (*bits, *words))
        self._core = SimCore([SimDevice(id=one, simdata=blocks) for one in (ADDRESS, *probes)])
        self._framer = FramerRTU(DecodePDU(True))
        self._addresses = {ADDRESS, *probes}
        self.ill: Callable[[bytes, bytes], bytes] = lambda _, answer: answer
        self.switched: list[tuple[float, bool]] = []
        self.asked: list[bytes] = []
        self._lets_go_s: float | None = None
        self._thread = threading.Thread(target=self._serve, name="board")

    def __enter__(self) -> Self:
        self._line.plug()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(10)
        self._line.unplug()

    @property
    def on(self) -> bool:
        """Tell whether coil 0 is set."""
        return bool(self._done(rtu.request(ADDRESS, 1, 0, 1))[3] & 1)

    @property
    def is_off(self) -> bool:
        """Tell whether it was told to be silent, or asked whether it is: an order that broke off is asked about."""
        return not self.on and any(one[0] == ADDRESS for one in self.asked)

    def set(self, on: bool) -> None:
        """Switch coil 0 by hand."""
        self._done(rtu.write_coil(ADDRESS, 0, on=on))

    def _serve(self) -> None:
        came = b""
        while not self._ended.is_set():
            data = self._line.receive(0.01)
            came = came + data if data else b""
            if self._lets_go_s is not None and time.monotonic() > self._lets_go_s:
                self._lets_go_s = None
                self._switch(rtu.write_coil(ADDRESS, 0, on=False))
            while len(came) >= rtu.REQUEST_SIZE:
                request, came = came[: rtu.REQUEST_SIZE], came[rtu.REQUEST_SIZE :]
                self.asked.append(request)
                answer = self._answer(request) if request[0] in self._addresses else b""
                if sent := self.ill(request, answer):
                    self._line.send(sent)

    def _answer(self, request: bytes) -> bytes:
        if request[1:3] == bytes((5, FLASH)):
            self._lets_go_s = time.monotonic() + int.from_bytes(request[4:6]) / 10
            self._switch(rtu.write_coil(ADDRESS, request[3], on=True))
            return request
        if request[1] == 5:
            self._lets_go_s = None
            return self._switch(request)
        return self._done(request)

    def _switch(self, request: bytes) -> bytes:
        before = self.on
        answer = self._done(request)
        if self.on is not before:
            self.switched.append((time.monotonic(), self.on))
        return answer

    def _done(self, request: bytes) -> bytes:
        try:
            _, asked = self._framer.handleFrame(request, 0, 0)
        except ModbusException:
            return b""
        if not asked:
            return b""
        try:
            asked.datastore_update(self._core, asked.dev_id).send(None)
        except StopIteration as end:
            end.value.dev_id = asked.dev_id
            answer: bytes = self._framer.buildFrame(end.value)
            return answer
        raise AssertionError("pymodbus waited")


def frame(co_ppm: float) -> bytes:
    """Return what a ZE07-CO says."""
    body = bytes((4, 3, 1)) + round(co_ppm * 10).to_bytes(2) + (5_000).to_bytes(2)
    return b"\xff" + body + bytes((-sum(body) & 0xFF,))


class Nose:
    """A ZE07-CO on a pseudo-terminal that tells `ppm`, ten times a second. `told` has when it told what."""

    def __init__(self, link: Path) -> None:
        self._line, self._ended = Line(link), threading.Event()
        self.ppm = 0.2
        self.told: list[tuple[float, float]] = []
        self._thread = threading.Thread(target=self._talk, name="nose")

    def __enter__(self) -> Self:
        self._line.plug()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(10)
        self._line.unplug()

    def _talk(self) -> None:
        while not self._ended.wait(0.1):
            ppm = self.ppm
            self.told.append((time.monotonic(), ppm))  # before: the siren may be faster than we are
            self._line.send(frame(ppm))
