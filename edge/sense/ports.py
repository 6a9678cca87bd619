"""Serial lines: the only place that knows pyserial. A line is opened, owned and reopened by one bus's thread.

A line writes frames and reads bytes with patience, nothing more, and no call outlasts its time: a device that takes
no bytes, or a far end that is gone, becomes PortLost. Besides the real one there is a replay line (a recorded talk,
`port = "replay:FILE"`) and a simulated one (a function that answers): real parts of the product that bug reports and
tests use. Everything that a vanishing USB adapter raises (SerialException, OSError, termios.error, which is no
OSError) becomes PortLost here.
"""

from __future__ import annotations

import errno
import os
import re
import select
import socket
import termios
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol

import serial.rs485

from edge.sense.capture import Capture
from edge.sense.pace import Pace
from edge.sense.terms import Line
from edge.sense.transcript import Replay, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.config import Bus
    from edge.sense.terms import Timer
    from settings.words import Sentence

LONGEST_FRAME = 256  # bytes: Modbus over Serial Line V1.02 §2.3; AT commands are shorter
GATHER_S = 0.03  # for what follows the first byte; an adapter may hold it back for 16 ms anyway
_NO_TERMINAL = os.strerror(errno.ENOTTY)
TALKS_ON = 10  # times so long: who is not quiet by then never is
LAST_S = 0.5  # for a capture to be written when a port is let go of
WRITE_S = 2.0  # beyond the time that the bytes take: a port that takes nothing for so long is hung


class PortLost(Exception):
    """The port is not there, not ours, or went away: close, back off, open again by its stable name."""


class OpenLine(Line, Protocol):
    """A line as the bus owns it that opened it. Every method may raise PortLost; others may only call `cancel`."""

    def cancel(self) -> None:
        """Make a call that waits in another thread return."""
        ...

    def close(self) -> None:
        """Let go of the port. May be called twice."""
        ...


@contextmanager
def _losing(port: str) -> Iterator[None]:
    try:
        yield
    except (OSError, termios.error, ValueError) as error:  # serial.SerialException is an OSError
        if _NO_TERMINAL in str(error):
            raise PortLost(f"{port}: it is no serial port") from error
        raise PortLost(f"{port}: {_said_once(port, error)}") from error


def _said_once(port: str, error: Exception) -> str:
    """Return an error's words: pyserial names port and number twice, and an installer reads them on a small screen."""
    named = re.escape(port.removeprefix("replay:"))
    return re.sub(rf"\[Errno -?\d+\] |:? '{named}'| {named}(?=: )", "", str(error))


class SerialLine:
    """A real serial port or pseudo-terminal, locked for us alone among programs that ask (flock)."""

    def __init__(self, bus: Bus, port: str, clock: Timer) -> None:
        self._port, self._clock = port, clock
        form = bus.format
        with _losing(port):
            self._serial = serial.Serial(
                port, bus.baud, bytesize=int(form[0]), parity=form[1], stopbits=float(form[2:]), exclusive=True,
            )  # fmt: skip
            self._fd, self._byte_s = self._serial.fileno(), 10 / bus.baud
            self._pace = Pace(clock, self._byte_s)
            self._woken, self._wake = socket.socketpair()
            self._wake.setblocking(False)
        if bus.rts_on_send:
            self._direct(bus)

    def _direct(self, bus: Bus) -> None:
        try:
            with _losing(self._port):
                self._serial.rs485_mode = _direction(bus)
        except PortLost as lost:
            try:
                self.drain()  # says so where the port is gone meanwhile: then nothing is wrong with rts_on_send
            finally:
                self.close()
            words = f"{self._port}: its driver in the kernel cannot switch the direction by RTS; remove rts_on_send, "
            raise PortLost(words + "or use an adapter that switches by itself") from lost

    def write(self, frame: bytes) -> None:
        """Send all bytes, once nothing has come for a moment; what does is no answer to them."""
        if not frame:
            return
        with _losing(self._port):
            self._part()
            rest = frame[self._taken(frame) :]
            if rest:
                self._press(rest)
        self._pace.asked(frame)

    def _taken(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0

    def _press(self, rest: bytes) -> None:
        """Wait for a port that takes by and by what is left."""
        end_ms = self._clock.mono_ms() + round(1000 * (WRITE_S + LONGEST_FRAME * self._byte_s))
        while rest:
            left_s = (end_ms - self._clock.mono_ms()) / 1000
            if left_s <= 0 or self._fd not in select.select([self._woken], [self._fd], [], left_s)[1]:
                raise PortLost(f"{self._port}: takes no more bytes: is the device hung? unplug and plug it in again")
            rest = rest[self._taken(rest) :]

    def _part(self) -> None:
        if self._pace.is_quiet() and not self._serial.in_waiting:
            return
        for _ in range(TALKS_ON):
            if self._fd not in select.select([self._fd, self._woken.fileno()], [], [], self._pace.apart_s)[0]:
                break
            self.drain()

    def read(self, size: int, patience_s: float) -> bytes:
        """Return what is there, up to `size` bytes.

        A chip hands bytes on eight by eight: so an answer is left in peace for as long as it usually takes, and once
        the first have come, the rest is given its time on the wire.
        """
        rest_s = min(self._pace.rest_s(), patience_s)
        with _losing(self._port):
            woken = self._woken.fileno()
            if rest_s > 0:
                select.select([woken], [], [], rest_s)
            waited = self._serial.in_waiting < size
            if waited:
                if self._fd not in select.select([self._fd, woken], [], [], patience_s - rest_s)[0]:
                    self._still_ours()
                    return b""
                missing = size - self._serial.in_waiting
                if missing > 0:
                    select.select([woken], [], [], min(missing * self._byte_s, GATHER_S))
            got = os.read(self._fd, size)
            if not got and not self._serial.in_waiting:  # which fails where the device is gone
                words = f"{self._port}: another program takes what comes"
                raise PortLost(f"{words}: end it (ModemManager, gpsd, a terminal), or give it another port")
        self._pace.came()
        if len(got) == size:
            self._pace.answered(waited=waited)
        return got

    def _still_ours(self) -> None:
        """Raise PortLost where our port says nothing and its name stands for another one by now."""
        with suppress(OSError):  # the name may be away for a moment
            if os.stat(self._port).st_rdev != os.fstat(self._fd).st_rdev:  # noqa: PTH116 - as of any descriptor
                raise PortLost(f"{self._port}: the name is another port's now")

    def drain(self) -> None:
        """Forget what has come in."""
        with _losing(self._port):
            if self._serial.in_waiting:
                self._pace.came()
            self._serial.reset_input_buffer()

    def cancel(self) -> None:
        """Make every further call return at once."""
        with suppress(OSError):
            self._wake.send(b"!")

    def close(self) -> None:
        """Let go of the port; what it has not taken yet is dropped, else the kernel would wait 30 s for it."""
        if not self._serial.is_open:
            return
        with suppress(OSError, termios.error):
            self._serial.reset_output_buffer()
        with suppress(OSError, termios.error):
            self._serial.close()
        self._woken.close()
        self._wake.close()


def _direction(bus: Bus) -> serial.rs485.RS485Settings:
    """Return who drives the wire when, for adapters whose direction the kernel switches by RTS (TIOCSRS485)."""
    high = bus.rts_on_send == "high"
    return serial.rs485.RS485Settings(
        rts_level_for_tx=high, rts_level_for_rx=not high,
        delay_before_tx=bus.rts_before_ms / 1000, delay_before_rx=bus.rts_after_ms / 1000,
    )  # fmt: skip


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
        with _losing(f"replay:{file}"):
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
    bus: Bus, folder: Path, clock: Timer, told: Callable[[Sentence], None] = lambda _: None
) -> Callable[[], OpenLine]:
    """Return what opens a bus's port, as often as it is lost; relative names stand in `folder`. It raises PortLost.

    `told` is given why the bus's talk is written down no more.
    """
    capture = Capture(folder / bus.capture, told=told) if bus.capture else None

    def opened() -> OpenLine:
        line: OpenLine
        if bus.port.startswith("replay:"):
            line = ReplayLine(folder / bus.port.removeprefix("replay:"))
        else:
            line = SerialLine(bus, str(folder / bus.port), clock)
        return CapturedLine(line, capture) if capture else line

    return opened
