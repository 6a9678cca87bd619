"""Serial ports: the only place that knows pyserial. A line is opened, owned and reopened by one bus's thread.

A line writes frames and reads bytes with patience, nothing more, and no call outlasts its time: a device that takes
no bytes, or a far end that is gone, becomes PortLost. Everything that a vanishing USB adapter raises (SerialException,
OSError, termios.error, which is no OSError) becomes PortLost here. What else may stand under `port =`: `lines.py`.
"""

from __future__ import annotations

import errno
import os
import re
import select
import socket
import termios
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import serial.rs485

from edge.sense.pace import Pace
from edge.sense.terms import PortLost
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.config import Bus
    from edge.sense.terms import Timer

LONGEST_FRAME = 256  # bytes: Modbus over Serial Line V1.02 §2.3; AT commands are shorter
GATHER_S = 0.03  # for what follows the first byte; an adapter may hold it back for 16 ms anyway
_NO_TERMINAL = os.strerror(errno.ENOTTY)
_BUSY = {errno.EBUSY, errno.EAGAIN}  # TIOCEXCL, as ModemManager sets it on a modem's port; flock, as we and others do
_HELD = "another program holds it (ModemManager, gpsd, another gocche)"
TALKS_ON = 10  # times so long: who is not quiet by then never is
WRITE_S = 2.0  # beyond the time that the bytes take: a port that takes nothing for so long is hung


@contextmanager
def losing(port: str) -> Iterator[None]:
    """Turn whatever a port that goes away raises into PortLost, with its name and the system's words."""
    try:
        yield
    except (OSError, termios.error, ValueError) as error:  # serial.SerialException is an OSError
        if _NO_TERMINAL in str(error):
            raise PortLost(f"{port}: it is no serial port") from error
        if getattr(error, "errno", None) in _BUSY:
            raise PortLost(f"{port}: {_HELD}", Reason.PORT_BUSY) from error
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
        with losing(port):
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
            with losing(self._port):
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
        with losing(self._port):
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
        with losing(self._port):
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
                rest = "end it (ModemManager, gpsd, a terminal), or give it another port"
                raise PortLost(f"{words}: {rest}", Reason.PORT_BUSY)
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
        with losing(self._port):
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
