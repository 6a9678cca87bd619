"""The way to a server as a line: a question is how often to try, an answer how long each took to be let in.

What is timed is the TCP handshake with a port of ours that is open anyway (the broker's): it needs no rights, no server
of its own and no login, goes the way that the readings go, and costs 300 bytes. Anybody on the way may answer it, as
captive portals do: so the answer says whether the broker knows this gateway now, which no portal can pretend under TLS.

The budget is a rate, so that it needs neither a date nor the card: so many bytes in thirty days, of which what a day
leaves over lapses. What is left lies in memory beside the status and outlives the process; after a power cut there is
one question's worth.
"""

from __future__ import annotations

import errno
import re
import select
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from edge.config.tables import NET
from edge.sense.terms import PortLost

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.sense.terms import Timer

TRY_S, APART_S = 1.5, 0.1  # a packet that was lost is sent again after 1 s: then one of two was
COST = {socket.AF_INET: 300, socket.AF_INET6: 400}  # bytes of one try with its heads: SYN twice, SYN-ACK, ACK, RST
LOOK_UP = 300  # bytes of asking for the name
DAY_MS, MONTH_DAYS = 86_400_000, 30
_ASKED = re.compile(rb"connect (\d{1,2}) budget (\d{1,9})\n")
_NOW = struct.pack("ii", 1, 0)  # SO_LINGER: ended by one packet, and nothing is remembered of it


class Budget(msgspec.Struct):
    """Bytes that may be spent now. Times are monotonic milliseconds of the boot."""

    boot: str
    bytes: float
    mono_ms: int

    def grown(self, now_ms: int, monthly: int, cost: int) -> float:
        """Return what may be spent at a moment: a day's share at the most, or one question where that costs more."""
        day = monthly / MONTH_DAYS
        return min(self.bytes + day * max(now_ms - self.mono_ms, 0) / DAY_MS, max(day, cost))


class Purse:
    """The budget of one line, in a file in memory. What cannot be kept there is only known to this process."""

    def __init__(self, file: Path, boot: str, clock: Timer) -> None:
        self._file, self._boot, self._clock = file, boot, clock
        self._known: Budget | None = None

    def pays(self, cost: int, monthly: int) -> bool:
        """Take so many bytes; tell whether they were there."""
        now = self._clock.mono_ms()
        known = self._known or self._read() or Budget(self._boot, float(cost), now)
        left = known.grown(now, monthly, cost)
        paid = left >= cost
        self._known = Budget(self._boot, left - cost * paid, now)
        if paid:
            self._write(self._known)
        return paid

    def _read(self) -> Budget | None:
        with suppress(OSError, msgspec.MsgspecError):
            found = msgspec.json.decode(self._file.read_bytes(), type=Budget)
            if found.boot == self._boot:
                return found
        return None

    def _write(self, budget: Budget) -> None:
        with suppress(OSError):
            part = self._file.with_suffix(".part")
            part.write_bytes(msgspec.json.encode(budget))
            part.replace(self._file)


class NetLine:
    """The way to one port of one host, over one interface where that is named. `known`: the broker knows us now."""

    def __init__(self, place: str, purse: Purse, known: Callable[[], bool], clock: Timer) -> None:
        told = NET.fullmatch(place)
        if told is None:
            raise PortLost(f"{place}: write net:HOST:PORT, or net:HOST:PORT%INTERFACE")
        self._host, self._port, self._interface = told["host"].strip("[]"), int(told["port"]), told["interface"]
        self._purse, self._known, self._clock = purse, known, clock
        self._answer = b""
        self._left = self._monthly = 0
        self._woken, self._wake = socket.socketpair()
        self._wake.setblocking(False)

    def write(self, frame: bytes) -> None:
        """Take a question: how many tries, and how many bytes a month may cost."""
        asked = _ASKED.fullmatch(frame)
        if asked is None:
            raise PortLost("net: is not asked that way")
        self._left, self._monthly, self._answer = int(asked[1]), int(asked[2]), b""

    def read(self, size: int, _patience_s: float) -> bytes:
        """Try as often as was asked, each in its time; return what came of it."""
        if self._left:
            tries, self._left = self._left, 0
            self._answer = self._tried(tries)
        got, self._answer = self._answer[:size], self._answer[size:]
        return got

    def _tried(self, tries: int) -> bytes:
        dearest = LOOK_UP + tries * max(COST.values())
        if not self._purse.pays(dearest, self._monthly):
            return f"budget {dearest} of {self._monthly} bytes a month\n".encode()
        try:
            family, address = self._found()
        except OSError as error:
            return f"name {getattr(error, 'strerror', error)}\n".encode("ascii", "replace")
        said = [self._try(family, address) for _ in range(tries)]
        return f"{' '.join(said)}\nlink {'up' if self._known() else 'down'}\n".encode()

    def _found(self) -> tuple[int, object]:
        """Return the host's first address. Only the name service has no bound of ours; it costs this bus alone."""
        try:
            family, _, _, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0]
        except UnicodeError as error:
            raise OSError(errno.EINVAL, "the name cannot be one") from error
        return family, address

    def _try(self, family: int, address: object) -> str:
        """Return how many milliseconds the handshake took, `-` where it did not come to an end in time.

        Raises PortLost where nothing was sent: without any way to the network nothing is known of it.
        """
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setblocking(False)
            self._bind(sock)
            began_ms = self._clock.mono_ms()
            number = sock.connect_ex(address)  # type: ignore[arg-type]
            if number in {errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL}:
                raise PortLost("no way to the network: is the modem connected?")
            if number == errno.EINPROGRESS:
                _, done, _ = select.select([self._woken], [sock], [], TRY_S)
                number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if done else errno.ETIMEDOUT
            took_ms = self._clock.mono_ms() - began_ms
            if number == 0:
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOW)
        select.select([self._woken], [], [], APART_S)
        return str(took_ms) if number == 0 else "-"

    def _bind(self, sock: socket.socket) -> None:
        if not self._interface:
            return
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._interface.encode())
        except OSError as error:
            raise PortLost(f"interface {self._interface}: {error.strerror}") from error

    def drain(self) -> None:
        """Nobody speaks unasked here."""

    def cancel(self) -> None:
        """Make a call that waits in another thread return."""
        with suppress(OSError):
            self._wake.send(b"!")

    def close(self) -> None:
        """Nothing is held between two questions. May be called twice."""
        self._woken.close()
        self._wake.close()
