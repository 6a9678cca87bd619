"""What may stand under `port =`: a serial port, ModemManager, the way to a server, a recorded talk; and who opens it.

A replay line (`port = "replay:FILE"`) and a simulated one (a function that answers) are real parts of the product that
bug reports and tests use. A captured line is any other that is written down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.sense.capture import Capture
from edge.sense.ports import SerialLine, losing
from edge.sense.reach import NetLine, Purse
from edge.sense.transcript import Replay, parse
from edge.status import status_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.clock import Clock
    from edge.config import Bus
    from edge.sense.terms import OpenLine
    from settings.words import Sentence

LAST_S = 0.5  # for a capture to be written when a port is let go of


class SimulatedLine:
    """A line whose far end is a function: what it returns for a frame is what comes back."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer
        self._incoming = bytearray()

    def write(self, frame: bytes) -> None:
        """Let the far end answer."""
        self._incoming += self._answer(frame)

    def read(self, size: int, _patience_s: float) -> bytes:
        """Return what is there, at once: a simulated line never makes anybody wait."""
        taken = bytes(self._incoming[:size])
        del self._incoming[:size]
        return taken

    def drain(self) -> None:
        """Forget what has come in."""
        self._incoming.clear()

    def cancel(self) -> None:
        """Nobody waits here."""

    def close(self) -> None:
        """Nothing is held."""


class ReplayLine:
    """A recorded talk, answered again and again from its start: a bug report that can be run."""

    def __init__(self, file: Path) -> None:
        with losing(f"replay:{file}"):
            if file.exists() and not file.is_file():  # a pipe would block for ever
                raise OSError("it is not a file")
            self._talk = parse(file.read_text(encoding="utf-8"))
        self._replay = Replay(self._talk)

    def write(self, frame: bytes) -> None:
        """Take the next line of the talk that was sent."""
        self._replay.write(frame)

    def read(self, size: int, _patience_s: float) -> bytes:
        """Return what the talk says came back."""
        return self._replay.read(size)

    def drain(self) -> None:
        """Forget what has come in."""
        self._replay.drain()
        if self._replay.finished:
            self._replay = Replay(self._talk)

    def cancel(self) -> None:
        """Nobody waits here."""

    def close(self) -> None:
        """Nothing is held."""


class CapturedLine:
    """A line of which everything that passes is noted, in the form of a test case's wire.txt."""

    def __init__(self, line: OpenLine, capture: Capture) -> None:
        self._line, self._capture = line, capture

    def write(self, frame: bytes) -> None:
        """Send all bytes, and note them."""
        self._capture.sent(frame)
        self._line.write(frame)

    def read(self, size: int, patience_s: float) -> bytes:
        """Return what comes, and note it."""
        got = self._line.read(size, patience_s)
        self._capture.came(got)
        return got

    def drain(self) -> None:
        """Forget what has come in."""
        self._line.drain()

    def cancel(self) -> None:
        """Make a call that waits in another thread return."""
        self._line.cancel()

    def close(self) -> None:
        """Let go of the port."""
        self._line.close()
        self._capture.settle(LAST_S)


def opener(
    bus: Bus,
    folder: Path,
    clock: Clock,
    told: Callable[[Sentence], None] = lambda _: None,
    known: Callable[[], bool] = lambda: True,
) -> Callable[[], OpenLine]:
    """Return what opens a bus's port, as often as it is lost; relative names stand in `folder`. It raises PortLost.

    `told` is given why the bus's talk is written down no more; `known` tells whether the broker knows us now.
    """
    capture = Capture(folder / bus.capture, told=told) if bus.capture else None

    def opened() -> OpenLine:
        line: OpenLine
        if bus.port.startswith("replay:"):
            line = ReplayLine(folder / bus.port.removeprefix("replay:"))
        elif bus.port.startswith("mmcli:"):
            from edge.sense.mmcli import ModemManagerLine  # noqa: PLC0415 - half a MiB that few gateways need

            line = ModemManagerLine(bus.port.removeprefix("mmcli:"), clock)
        elif bus.port.startswith("net:"):
            purse = Purse(status_file(folder).with_name(f"net-{bus.name}.json"), clock.boot, clock)
            line = NetLine(bus.port, purse, known, clock)
        else:
            line = SerialLine(bus, str(folder / bus.port), clock)
        return CapturedLine(line, capture) if capture else line

    return opened
