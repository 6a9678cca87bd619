"""Serial lines: the only place that knows pyserial. A line is opened, owned and reopened by one sampler thread.

A line writes frames and reads bytes with a time-out, nothing more. Besides the real one there are a replay line (a
recorded transcript, `port = "replay:FILE"`) and a simulated line (a function that answers) — real parts of the
product that tests and bug reports use. Everything that a vanishing USB adapter raises (SerialException, OSError,
termios.error, which is no OSError) becomes PortLost here.
"""

from __future__ import annotations

import termios
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import serial

from edge.sense.transcript import Replay, Way, parse, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.config import Bus


class PortLost(Exception):
    """The port is not there, not ours, or went away: close, back off, open again by its stable name."""


class Line(Protocol):
    """One open line. Every method may raise PortLost."""

    quiet: bool  # the last read ended because nothing more came

    def write(self, frame: bytes) -> None:
        """Send all bytes."""
        ...

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes: fewer when the time-out is over, none when the line stays silent."""
        ...

    def patience(self, timeout_s: float) -> None:
        """Set how long `read` waits."""
        ...

    def drain(self) -> None:
        """Forget what has come in."""
        ...

    def close(self) -> None:
        """Let go of the port. May be called twice."""
        ...


@contextmanager
def _losing(port: str) -> Iterator[None]:
    try:
        yield
    except (OSError, termios.error) as error:  # serial.SerialException is an OSError
        raise PortLost(f"{port}: {error}") from error


class SerialLine:
    """A real serial port or pseudo-terminal, locked for us alone among programs that ask (flock)."""

    def __init__(self, port: str, baud: int, form: str) -> None:
        self._port = port
        with _losing(port):
            self._serial = serial.Serial(
                port, baud, bytesize=int(form[0]), parity=form[1], stopbits=float(form[2:]), exclusive=True
            )
        self.quiet = False

    def write(self, frame: bytes) -> None:
        """Send all bytes."""
        with _losing(self._port):
            self._serial.write(frame)

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes: fewer when the time-out is over."""
        with _losing(self._port):
            got = bytes(self._serial.read(size))
        self.quiet = len(got) < size
        return got

    def patience(self, timeout_s: float) -> None:
        """Set how long `read` waits."""
        if self._serial.timeout != timeout_s:
            with _losing(self._port):
                self._serial.timeout = timeout_s

    def drain(self) -> None:
        """Forget what has come in."""
        with _losing(self._port):
            self._serial.reset_input_buffer()

    def close(self) -> None:
        """Let go of the port."""
        try:
            self._serial.close()
        except (OSError, termios.error):
            return  # it was gone already


class SimulatedLine:
    """A line whose far end is a function: what it returns for a frame is what comes back."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self._answer = answer
        self._incoming = bytearray()
        self.quiet = False

    def write(self, frame: bytes) -> None:
        """Let the far end answer."""
        self._incoming += self._answer(frame)

    def read(self, size: int) -> bytes:
        """Return what is there, at once: a simulated line never makes anybody wait."""
        taken = bytes(self._incoming[:size])
        del self._incoming[:size]
        self.quiet = len(taken) < size
        return taken

    def patience(self, timeout_s: float) -> None:
        """Time-outs cost nothing here."""

    def drain(self) -> None:
        """Forget what has come in."""
        self._incoming.clear()

    def close(self) -> None:
        """Nothing is held."""


class ReplayLine:
    """A recorded talk, answered again and again from its start: a bug report that can be run."""

    def __init__(self, file: Path) -> None:
        with _losing(f"replay:{file}"):
            self._talk = parse(file.read_text(encoding="utf-8"))
        self._replay = Replay(self._talk)
        self.quiet = False

    def write(self, frame: bytes) -> None:
        """Take the next line of the talk that was sent."""
        self._replay.write(frame)

    def read(self, size: int) -> bytes:
        """Return what the talk says came back."""
        got = self._replay.read(size)
        self.quiet = len(got) < size
        return got

    def patience(self, timeout_s: float) -> None:
        """Time-outs cost nothing here."""

    def drain(self) -> None:
        """Forget what has come in."""
        self._replay.drain()
        if self._replay.finished:
            self._replay = Replay(self._talk)

    def close(self) -> None:
        """Nothing is held."""


class CapturingLine:
    """Writes everything that passes into a file in the form of a test case's wire.txt."""

    def __init__(self, line: Line, file: Path) -> None:
        self._line, self._file = line, file
        self._came = bytearray()
        self.quiet = False

    def write(self, frame: bytes) -> None:
        """Send all bytes, and note them."""
        self._flush()
        self._note("send", frame)
        self._line.write(frame)

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, and note them."""
        got = self._line.read(size)
        self.quiet = self._line.quiet
        self._came += got
        if not got:
            self._flush()
            self._note("recv", b"")
        return got

    def patience(self, timeout_s: float) -> None:
        """Set how long `read` waits."""
        self._line.patience(timeout_s)

    def drain(self) -> None:
        """Forget what has come in."""
        self._line.drain()

    def close(self) -> None:
        """Let go of the port."""
        self._flush()
        self._line.close()

    def _flush(self) -> None:
        if self._came:
            self._note("recv", bytes(self._came))
            self._came.clear()

    def _note(self, way: Way, data: bytes) -> None:
        with self._file.open("a", encoding="utf-8") as out:
            out.write(written([(way, data)]))


def open_line(bus: Bus, folder: Path) -> Line:
    """Open a bus's port; relative names stand in `folder`. Raises PortLost."""
    line: Line
    if bus.port.startswith("replay:"):
        line = ReplayLine(folder / bus.port.removeprefix("replay:"))
    else:
        line = SerialLine(str(folder / bus.port), bus.baud, bus.format)
    return CapturingLine(line, folder / bus.capture) if bus.capture else line
