"""A modem on a pseudo-terminal, as real ones are: echo, words that nobody asked for, a SIM with a PIN and few places.

What it is given to send it reads with another programme's decoder (smspdudecoder), and what comes in for us is written
with that one's parts: neither knows our codec.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import select
import socket
import threading
import time
import tty
from datetime import UTC, datetime
from io import StringIO
from typing import TYPE_CHECKING, Self

from smspdudecoder.codecs import GSM, UCS2
from smspdudecoder.elements import Date, Number
from smspdudecoder.fields import SMSSubmit

from gocche.garden.line import Line

if TYPE_CHECKING:
    from pathlib import Path

OWN_PLACES = 10


def deliver(sender: str, text: str, sent: datetime | None = None, *, part: tuple[int, int, int] | None = None) -> str:
    """Return an SMS as the network delivers it; its date is the one thing that tells two like ones apart."""
    gsm = all(letter in GSM.ALPHABET for letter in text)
    if not sender.lstrip("+").isdigit():
        packed = GSM.encode(sender)
        address = f"{-(-7 * len(sender) // 4):02X}D0{packed}"
    else:
        digits = sender.removeprefix("+")
        address = f"{len(digits):02X}{'91' if sender.startswith('+') else 'A1'}{Number.encode(digits)}"
    header = f"050003{part[0]:02X}{part[1]:02X}{part[2]:02X}" if part else ""
    if part:  # seven septets hold the header; their bits are made anew by hand, as that encoder knows none
        bits = int.from_bytes(bytes.fromhex(GSM.encode(text) if gsm else ""), "little") << 1
        packed = bits.to_bytes((7 * len(text) + 1 + 7) // 8, "little").hex()
        data = header + (packed if gsm else UCS2.encode(text))
        length = 7 + len(text) if gsm else len(data) // 2
    else:
        data = GSM.encode(text) if gsm else UCS2.encode(text)
        length = len(text) if gsm else len(data) // 2
    date = Date.encode(sent or datetime(2026, 11, 27, 7, 32, tzinfo=UTC))
    head = "44" if part else "04"
    return f"07914889200030F0{head}{address}00{'00' if gsm else '08'}{date}{length:02X}{data}".upper()


def report(reference: int, to: str, status: int) -> str:
    """Return a status report as the network sends it."""
    date = Date.encode(datetime(2026, 11, 27, 7, 33, tzinfo=UTC))
    digits = to.removeprefix("+")
    head = f"07914889200030F006{reference:02X}{len(digits):02X}91{Number.encode(digits)}"
    return f"{head}{date}{date}{status:02X}".upper()


def length(pdu: str) -> int:
    return len(pdu) // 2 - 1 - int(pdu[:2], 16)


class TestModem:
    """One modem; its thread runs while it is used as a context. What it is to do differently is set from outside."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        self.port = folder / "modem-at"
        self.line = Line(self.port)
        self.sent: list[tuple[str, str, dict]] = []  # to, text of one part, all that was read of it
        self.commands: list[str] = []
        self.sim: dict[int, tuple[str, str]] = {}  # place → state, PDU
        self.me: dict[int, tuple[str, str]] = {}
        self.waiting: list[str] = []  # in the network: the SIM has no room for them
        self.refuse: list[str] = []  # answers to the next messages; "" takes one
        self.take_s = 0.0  # how long the network takes
        self.pin = ""  # asked for while it is not empty
        self.tries = 3
        self.counts_tries = True
        self.registered = "1"
        self.has_sim = True
        self.hung = self.garbled = False
        self.arrive: int | None = 0  # status of the reports; None: none come
        self.chatter: list[bytes] = []  # said in the middle of the next answers
        self.pieces = False  # answers come in two halves
        self.forget()
        self._stop = threading.Event()
        self._plug = threading.RLock()  # nobody pulls while its thread reads or writes
        self._due: list[tuple[float, bytes]] = []
        self._reference = itertools.count(41)
        self._thread: threading.Thread | None = None

    def forget(self) -> None:
        """What it does not know any more when it begins anew."""
        self.echo, self.pdu_mode, self.cnmi, self.numbers = True, False, (0, 0, 0), False
        self.memory = "SM"
        self._typed, self._awaits = b"", 0

    # --- what happens to it

    def __enter__(self) -> Self:
        self.line.plug()
        self._thread = threading.Thread(target=self._run, name="test-modem", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join(5)
        self.line.unplug()

    def unplug(self) -> None:
        """Pull it out: it loses its power, too."""
        with self._plug:
            self.line.unplug()
            self.forget()

    def plug(self) -> None:
        with self._plug:
            self.line.plug()

    def begin_anew(self) -> None:
        self.forget()
        self._say(b"\r\nRDY\r\n\r\n+CFUN: 1\r\n\r\n+CPIN: READY\r\n\r\nSMS Ready\r\n")

    def receive(self, pdu: str) -> None:
        """Let a message come from the network."""
        place = next((place for place in range(1, OWN_PLACES + 1) if place not in self.sim), None)
        if place is None:
            self.waiting.append(pdu)
            return
        self.sim[place] = "0", pdu
        if self.cnmi[1]:
            self._say(b'\r\n+CMTI: "SM",%d\r\n' % place)

    @property
    def texts(self) -> list[str]:
        return [text for _, text, _ in self.sent]

    # --- the talk

    def _say(self, words: bytes, after_s: float = 0.0) -> None:
        self._due.append((time.monotonic() + after_s, words))

    def _run(self) -> None:
        while not self._stop.is_set():
            now_s = time.monotonic()
            for each in [one for one in list(self._due) if one[0] <= now_s]:
                self._due.remove(each)
                with self._plug:
                    if self.line.plugged and not self.hung:
                        self._write(each[1])
            if not self.line.plugged:
                self._stop.wait(0.01)
                continue
            with self._plug:
                came = self.line.receive(0.005) if self.line.plugged else b""
                if came and not self.hung:
                    self._hear(came)

    def _write(self, words: bytes) -> None:
        if self.garbled:
            words = bytes(octet ^ 0xA5 | 0x80 for octet in words)
        half = len(words) // 2
        for piece in (words[:half], words[half:]) if self.pieces else (words,):
            if piece:
                self.line.send(piece)
                time.sleep(0.02 * self.pieces)

    def _hear(self, came: bytes) -> None:
        self._typed += came
        while True:
            if self._awaits:
                if b"\x1b" in self._typed:
                    self._typed, self._awaits = self._typed.partition(b"\x1b")[2], 0
                    self._write(b"\r\nOK\r\n")
                    continue
                if b"\x1a" not in self._typed:
                    return
                text, _, self._typed = self._typed.partition(b"\x1a")
                awaited, self._awaits = self._awaits, 0
                if self.echo:
                    self._write(text + b"\x1a")
                self._send(text.decode("ascii"), awaited)
                continue
            if b"\r" not in self._typed:
                self._typed = self._typed.replace(b"\x1b", b"").replace(b"\n", b"")
                return
            command, _, self._typed = self._typed.partition(b"\r")
            words = command.replace(b"\x1b", b"").replace(b"\n", b"").decode("ascii", "replace").strip()
            if self.echo:
                self._write(command + b"\r")
            if words:
                self.commands.append(words)
                self._answer(words)

    def _answer(self, command: str) -> None:
        said = self._obey(command)
        middle = self.chatter.pop(0) if self.chatter else b""
        body = "".join(f"\r\n{line}" for line in said[:-1]).encode() + (b"\r\n" if said[:-1] else b"")
        if said[-1] == ">":
            self._write(body + middle + b"\r\n> ")
        else:
            self._write(body + middle + f"\r\n{said[-1]}\r\n".encode())

    def _obey(self, command: str) -> list[str]:
        name = command.upper()
        if name in {"AT", "AT+CSMS=0"}:
            return ["OK"]
        if name.startswith("ATE"):
            self.echo = name.endswith("1")
            return ["OK"]
        if name.startswith("AT+CMEE="):
            self.numbers = True
            return ["OK"]
        if not self.has_sim:
            return [self._error("+CME ERROR: 10")]
        if name == "AT+CPIN?":
            return [f"+CPIN: {('SIM PIN' if self.tries else 'SIM PUK') if self.pin else 'READY'}", "OK"]
        if name == 'AT+CPINR="SIM PIN"':
            return [f"+CPINR: SIM PIN,{self.tries},3", "OK"] if self.counts_tries else [self._error("+CME ERROR: 4")]
        if match := re.fullmatch(r'AT\+CPIN="(\d+)"', name):
            if match[1] != self.pin:
                self.tries -= 1
                return [self._error("+CME ERROR: 16")]
            self.pin, self.tries = "", 3
            return ["OK"]
        if re.fullmatch(r"AT\+C(E|5G)?REG\?", name):
            kind = name[2:-1]
            return [self._error("ERROR")] if "5G" in name else [f"{kind}: 0,{self.registered}", "OK"]
        if self.pin:
            return [self._error("+CMS ERROR: 311")]
        if match := re.fullmatch(r"AT\+CMGF=([01])", name):
            self.pdu_mode = match[1] == "0"
            return ["OK"]
        if match := re.fullmatch(r"AT\+CNMI=(\d),(\d),(\d),(\d),(\d)", name):
            self.cnmi = (int(match[1]), int(match[2]), int(match[4]))
            return ["OK"]
        if match := re.fullmatch(r'AT\+CPMS="(SM|ME)"(,"(SM|ME)","(SM|ME)")?', name):
            self.memory = match[1]
            used = len(self._places)
            return [f"+CPMS: {used},{OWN_PLACES},{used},{OWN_PLACES},{used},{OWN_PLACES}", "OK"]
        if name == "AT+CMGL=4":
            lines = [
                line
                for place, (state, pdu) in sorted(self._places.items())
                for line in (f"+CMGL: {place},{state},,{length(pdu)}", pdu)
            ]
            for place, (state, pdu) in list(self._places.items()):
                self._places[place] = "1" if state == "0" else state, pdu
            return [*lines, "OK"]
        if match := re.fullmatch(r"AT\+CMGR=(\d+)", name):
            if int(match[1]) not in self._places:
                return [self._error("+CMS ERROR: 321")]
            state, pdu = self._places[int(match[1])]
            return [f"+CMGR: {state},,{length(pdu)}", pdu, "OK"]
        if match := re.fullmatch(r"AT\+CMGD=(\d+)", name):
            self._places.pop(int(match[1]), None)
            waiting, self.waiting = self.waiting, []
            for pdu in waiting:
                self.receive(pdu)
            return ["OK"]
        if match := re.fullmatch(r"AT\+CMGS=(\d+)", name):
            self._awaits = int(match[1])
            return [">"]
        return [self._error("ERROR")]

    @property
    def _places(self) -> dict[int, tuple[str, str]]:
        return self.sim if self.memory == "SM" else self.me

    def _error(self, words: str) -> str:
        return words if self.numbers or words == "ERROR" else "ERROR"

    def _send(self, text: str, announced: int) -> None:
        refusal = self.refuse.pop(0) if self.refuse else ""
        if not self.pdu_mode or not re.fullmatch(r"([0-9A-F]{2})+", text) or length(text) != announced:
            refusal = "+CMS ERROR: 304"
        if self.registered not in {"1", "5"}:
            refusal = "+CMS ERROR: 331"
        if refusal:
            self._say(f"\r\n{self._error(refusal)}\r\n".encode(), self.take_s)
            return
        reference = next(self._reference) % 256
        read = SMSSubmit.decode(StringIO(text))
        to = ("+" if read["recipient"]["toa"]["ton"] == "international" else "") + read["recipient"]["number"]
        self.sent.append((to, read["user_data"]["data"], read))
        middle = self.chatter.pop(0) if self.chatter else b""
        self._say(middle + f"\r\n+CMGS: {reference}\r\n\r\nOK\r\n".encode(), self.take_s)
        if read["header"]["srr"] and self.arrive is not None and self.cnmi[2]:
            pdu = report(reference, to, self.arrive)
            self._say(f"\r\n+CDS: {length(pdu)}\r\n{pdu}\r\n".encode(), self.take_s + 0.02)


def bridged(port: int) -> str:
    """Return a serial port behind which a peer of TCP sits, or none where nobody listens; it goes with its peer."""
    try:
        peer = socket.create_connection(("127.0.0.1", port), 5)
    except OSError:
        return "/nowhere/modem"
    master, slave = os.openpty()
    tty.setraw(slave)
    name = os.ttyname(slave)

    def carry() -> None:
        held = slave
        with contextlib.suppress(OSError), peer:
            while True:
                ready, _, _ = select.select([master, peer], [], [])
                if master in ready:
                    peer.sendall(os.read(master, 4_096))
                    if held >= 0:  # whoever opened it is there: from here on it ends when they let go
                        os.close(held)
                        held = -1
                if peer in ready:
                    came = peer.recv(1_000)
                    if not came:
                        break
                    os.write(master, came)
        os.close(master)
        if held >= 0:
            os.close(held)

    threading.Thread(target=carry, name="bridge", daemon=True).start()
    return name
