"""Commands and answers over a modem's line, and what comes between them unasked.

A line of text belongs to the command that is asked, or it is a message that nobody asked for: these come at any moment,
in the middle of an answer too. `+CMT`, `+CDS`, `+CMGL` and `+CMGR` announce an SMS on the line after them; which one a
hexadecimal line belongs to is decided by who announced last, and checked by the length that it announced.

An SMS that the modem has taken and not yet accepted (`AT+CMGS` may need minutes where the signal is weak) is *in the
air*: what becomes of it is noted whenever it is said, so that a letter which left late is not sent a second time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from at import talk

if TYPE_CHECKING:
    from collections.abc import Callable

    from at.pdu import Pdu
    from cloud.alerts.modem.line import Line
    from cloud.clock import Clock

ANSWER_S = 5.0  # 27.005 and 27.007 name no limit; makers give 300 ms to 5 s for most commands
PROMPT_S = 5.0
QUIET_S = 0.3
LATE_S = 150.0  # Quectel and SIMCom: AT+CMGS ends within 120 s and 60 s
BUSY = ("+CMS ERROR: 314", "+CME ERROR: 14")  # the SIM, for some seconds after a start
MOST_HELD = 4_096  # octets without a line end: no AT line is so long
MOST_LISTED, MOST_DIRECT = 1_000, 200  # more than any memory holds; what nobody fetches
_RESULT = re.compile(r"OK|ERROR|\+CM[ES] ERROR:.*|COMMAND NOT SUPPORT")
_ANNOUNCED = re.compile(r"\+(CMT|CDS|CMGL|CMGR): ?(.*)")
_STORED = re.compile(r'\+(?:CMTI|CDSI): ?"?(\w+)?')
_STARTED = r"RDY|\^SYSSTART|\+CFUN: ?1"  # it begins anew, and answers nothing that it was asked before
_BEGUN = re.compile(rf"{_STARTED}|\+CPIN: ?READY|SMS (READY|DONE)|PB DONE|Call Ready", re.IGNORECASE)
_HEX = re.compile(r"([0-9A-Fa-f]{2}){8,}")
_STRANGE = re.compile(rb"[\x00-\x07\x0e-\x19\x80-\xff]")
_ESCAPE, _END = b"\x1b", b"\x1a"


class Silent(Exception):
    """No answer in time. `strange` when something came that is no talk of a modem."""

    def __init__(self, command: str, within_s: float, *, strange: bool = False, anew: bool = False) -> None:
        hint = "; what comes is no AT talk: is baud right, and this the AT port?" if strange else ""
        name = command.partition("=")[0]  # what follows may be a PIN
        super().__init__(f"no answer to {name}{': it began anew' if anew else f' within {within_s:g} s{hint}'}")


class Announced(msgspec.Struct, frozen=True):
    """An SMS in hexadecimal, and the fields of the line that announced it."""

    kind: str  # CMT | CDS | CMGL | CMGR
    fields: tuple[str, ...]
    line: str

    @property
    def length(self) -> int | None:
        """What the line before it says; None where it says nothing."""
        return int(self.fields[-1]) if self.fields and self.fields[-1].isdecimal() else None


class Dialogue:
    """One talk with a modem, over one opening of its port. Its methods are called by one thread."""

    def __init__(self, line: Line, clock: Clock) -> None:
        self.line, self._clock = line, clock
        self.until_s, self.deadline_s = 0.0, 0.0  # when the work that is done now must be over
        self.ready = False  # whether it has been told what it must be told, since it began
        self.stored = True  # something came, or may have come before we listened
        self.memories: set[str] = set()  # where it said that something was stored
        self.direct: list[Announced] = []  # messages that the modem keeps nowhere else
        self._rest = b""
        self._lines: list[str] = []
        self._strange = False
        self._awaited: list[tuple[str, str]] = []  # announcements without their message, the last one last
        self._came: list[Announced] = []  # what the command that is asked brings
        self._in_air: Callable[[int], None] | None = None
        self._in_air_s = 0.0
        self._accepted = False  # of the last one that was handed over

    def limit(self, until_s: float, deadline_s: float) -> None:
        """Set until when all that follows must be over."""
        self.until_s, self.deadline_s = until_s, deadline_s

    # --- asked

    def ask(self, command: str, prefix: str = "", *, within_s: float = ANSWER_S) -> list[list[str]]:
        """Return the fields of each line of the answer that has this prefix. Raises Silent, talk.Refused, PortLost."""
        self._begin(command)
        return self._answer(command, prefix, within_s)

    def messages(self, command: str, *, within_s: float = 20.0) -> list[Announced]:
        """Return the messages that an answer brings. Raises Silent, talk.Refused, PortLost."""
        self.ask(command, within_s=within_s)
        return list(self._came)

    def try_all(self, *commands: str) -> bool:
        """Ask the first of these that is not refused; tell whether there is one.

        Raises Silent, PortLost, and talk.Refused where the SIM is busy: soon it would have taken them.
        """
        for command in commands:
            try:
                self.ask(command)
            except talk.Refused as refused:
                if str(refused) in BUSY:
                    raise
                continue
            return True
        return False

    def escape(self) -> None:
        """Have it give up whatever text it waits for. Raises PortLost."""
        self.line.write(_ESCAPE)

    def hush(self) -> None:
        """Let what comes late pass by: until nothing came for `QUIET_S`, or for `ANSWER_S` at most."""
        end_s = min(self._clock.monotonic() + ANSWER_S, self.until_s)
        while came := self.line.read(min(QUIET_S, max(end_s - self._clock.monotonic(), 0.0))):
            self._take(came)
        for line in self._lines:
            self._unasked(line)
        self._lines, self._rest = [], b""

    def hand_over(self, message: Pdu, accepted: Callable[[int], None]) -> None:
        """Give the modem a message and return when the network has it; its reference is told before.

        `accepted` may also be called later, by `settle` or `idle`, when the answer has come late. Raises Silent,
        talk.Refused, PortLost.
        """
        command = f"AT+CMGS={message.length}"
        self._begin(command)
        try:
            self._prompt(command)
        except Silent:
            self.escape()  # whatever it waits for: not for the text of another message
            raise
        self._in_air, self._in_air_s, self._accepted = accepted, self._clock.monotonic(), False
        self.line.write(message.hex.encode("ascii") + _END)
        try:
            self._answer(command, "", self.until_s - self._clock.monotonic())
        except (Silent, talk.Refused) as error:
            if self._accepted:
                return  # it has said which message it was: whatever comes behind that, the network has it
            if isinstance(error, talk.Refused):
                self._in_air = None
            raise
        if not self._accepted:
            self._in_air = None
            raise talk.Refused("OK, without +CMGS")

    def settle(self) -> None:
        """Wait until nothing is in the air. Raises Silent where that takes longer than there is time, or for ever."""
        while self._in_air is not None:
            now_s = self._clock.monotonic()
            if now_s - self._in_air_s > LATE_S:
                self._in_air = None
                raise Silent("AT+CMGS", LATE_S)
            if now_s >= self.until_s:
                raise Silent("AT+CMGS of the message before", self.deadline_s)
            self.idle(min(self.until_s - now_s, 1.0))

    @property
    def in_air(self) -> bool:
        """Whether it is not known yet what became of a message."""
        return self._in_air is not None

    # --- not asked

    def idle(self, patience_s: float) -> None:
        """Note what comes unasked; return after that time, or earlier when something came or the line was woken."""
        self._take(self.line.read(patience_s))
        while self._lines:
            line = self._lines.pop(0)
            if not self._unasked(line) and self._in_air is not None and _RESULT.fullmatch(line):
                self._in_air = None  # refused, or accepted without a word which

    # --- lines

    def _begin(self, command: str) -> None:
        self._came = []
        self._awaited = [each for each in self._awaited if each[0] in {"CMT", "CDS"}]
        self.line.write(command.encode("ascii") + b"\r")

    def _answer(self, command: str, prefix: str, within_s: float) -> list[list[str]]:
        end_s = self._clock.monotonic() + within_s
        found: list[list[str]] = []
        while True:
            line = self._next(command, end_s, within_s)
            if prefix and line.startswith(f"{prefix}:"):
                found.append(talk.fields(line[len(prefix) + 1 :]))
            elif re.fullmatch(_STARTED, line):
                self._unasked(line)
                raise Silent(command, within_s, anew=True)
            elif line.startswith("+CMGS:") and self._unasked(line):
                end_s = min(end_s, self._clock.monotonic() + ANSWER_S)  # the network has it; some never say OK
            elif not self._unasked(line) and _RESULT.fullmatch(line):
                if line != "OK":
                    raise talk.Refused(line)
                return found

    def _prompt(self, command: str) -> None:
        end_s = self._clock.monotonic() + PROMPT_S
        while True:
            while self._lines:
                line = self._lines.pop(0)
                if line == ">":  # with words behind it that nobody asked for
                    return
                if not self._unasked(line) and _RESULT.fullmatch(line):
                    raise talk.Refused(line)
            if self._rest.lstrip().startswith(b">"):
                self._rest = b""
                return
            self._wait(command, end_s, PROMPT_S)

    def _next(self, command: str, end_s: float, within_s: float) -> str:
        while not self._lines:
            self._wait(command, end_s, within_s)
        return self._lines.pop(0)

    def _wait(self, command: str, end_s: float, within_s: float) -> None:
        now_s = self._clock.monotonic()
        left_s = min(end_s, self.until_s) - now_s
        if left_s <= 0:
            raise Silent(command, within_s if end_s < self.until_s else self.deadline_s, strange=self._strange)
        self._take(self.line.read(left_s))

    def _take(self, came: bytes) -> None:
        """Part what came into lines; what has no end yet waits for it."""
        if not came:
            return
        *whole, self._rest = re.split(rb"[\r\n]+", self._rest + came)
        self._rest = self._rest[-MOST_HELD:]
        lines = [line.strip().decode("ascii", "replace") for line in whole]
        self._lines += [line for line in lines if line]
        self._strange = (self._strange or _STRANGE.search(came) is not None) and "OK" not in lines

    def _unasked(self, line: str) -> bool:
        """Take a line that answers nothing; tell whether it was one."""
        if announced := _ANNOUNCED.match(line):
            self._awaited = [*self._awaited[-3:], (announced[1], announced[2])]
        elif self._awaited and _HEX.fullmatch(line):
            kind, said = self._awaited.pop()
            message = Announced(kind, tuple(talk.fields(said)), line)
            if kind in {"CMGL", "CMGR"}:
                self._came = [*self._came[1 - MOST_LISTED :], message]
            else:
                self.direct, self.stored = [*self.direct[1 - MOST_DIRECT :], message], True
        elif stored := _STORED.match(line):
            self.stored = True
            self.memories |= {stored[1]} if stored[1] else set()
        elif line.startswith("+CMGS:") and self._in_air is not None:
            said = line.partition(":")[2].split(",")[0].strip()
            if not said.isdecimal():
                return True  # half of it: the result that follows decides
            accepted, self._in_air, self._accepted = self._in_air, None, True
            accepted(int(said))
        elif _BEGUN.fullmatch(line):
            self.ready = False  # it has begun anew, and forgotten what it was told
            if re.fullmatch(_STARTED, line):
                self._in_air = None
        else:
            return False
        return True
