"""ModemManager as a line: a question is what `mmcli` is asked, an answer what it prints and how it ended.

For a modem whose ports ModemManager has: a line of its own, owned by one bus like a serial one, but of a programme. It
is started anew for each question, given so long, so many bytes and no terminal, and ended by its own process id, so
that one that hangs on the D-Bus costs its bus ten seconds and nobody else anything. What it prints depends on the
language (`-67,00`): it is asked in none.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import socket
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from edge.sense.terms import PortLost

if TYPE_CHECKING:
    from edge.sense.terms import Timer

LONGEST_S = 8.0  # within the time-out of its driver; by default mmcli itself waits 30 s for the D-Bus
MOST = 32_768  # bytes of output: a modem's description is 5 kB
DIES_S = 1.0
_WORD = re.compile(r"--?[A-Za-z][A-Za-z0-9=-]*")


class ModemManagerLine:
    """One modem as ModemManager tells of it. `modem` is what `mmcli -m` is given. Raises PortLost without mmcli."""

    def __init__(self, modem: str, clock: Timer) -> None:
        self._modem, self._clock = modem, clock
        program = shutil.which("mmcli")
        if program is None:
            raise PortLost("mmcli is not installed: sudo apt install modemmanager, or ask the modem by AT commands")
        self._program = program
        self._running: subprocess.Popen[bytes] | None = None
        self._came, self._end_ms = 0, 0
        self._woken, self._wake = socket.socketpair()
        self._wake.setblocking(False)

    def write(self, frame: bytes) -> None:
        """Start mmcli with the words of one line; one that still runs is ended."""
        self._kill()
        words = frame.decode("ascii", "replace").split()
        if strange := next((word for word in words if not _WORD.fullmatch(word)), ""):
            raise PortLost(f"mmcli is not asked {strange!r}")
        try:
            self._running = subprocess.Popen(  # noqa: S603 - words are checked, and no shell reads them
                [self._program, "-m", self._modem, *words],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            )  # fmt: skip
        except OSError as error:
            raise PortLost(f"{self._program} cannot be started: {error.strerror}") from error
        self._came, self._end_ms = 0, self._clock.mono_ms() + round(1000 * LONGEST_S)

    def read(self, size: int, patience_s: float) -> bytes:
        """Return what it printed, up to `size` bytes; behind the last of it a line says how it ended."""
        running = self._running
        if running is None or running.stdout is None:
            return b""
        left_s = (self._end_ms - self._clock.mono_ms()) / 1000
        if left_s <= 0:
            return self._ended("late")
        output = running.stdout.fileno()
        ready, _, _ = select.select([output, self._woken.fileno()], [], [], min(patience_s, left_s))
        if output not in ready:
            late = not ready and self._clock.mono_ms() >= self._end_ms
            return self._ended("late") if late else b""
        got = os.read(output, size)
        self._came += len(got)
        if self._came > MOST:
            return self._ended("long")
        return got or self._ended("")

    def _ended(self, why: str) -> bytes:
        """Let go of the process and return the line that says how it ended."""
        running = self._running
        if running is not None and not why:
            try:
                why = str(running.wait(DIES_S))
            except subprocess.TimeoutExpired:  # it has closed its output, and stays
                why = "late"
        self._kill()
        return f"\nexit {why}\n".encode()

    def _kill(self) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        if running.poll() is None:
            running.kill()
        with suppress(subprocess.TimeoutExpired):  # in the kernel's hands for ever: systemd's unit ends it
            running.wait(DIES_S)
        if running.stdout is not None:
            running.stdout.close()

    def drain(self) -> None:
        """Nobody speaks unasked here."""

    def cancel(self) -> None:
        """Make a call that waits in another thread return."""
        with suppress(OSError):
            self._wake.send(b"!")

    def close(self) -> None:
        """End what runs. May be called twice."""
        self._kill()
        self._woken.close()
        self._wake.close()
