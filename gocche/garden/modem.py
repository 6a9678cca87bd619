"""A 5G/LTE modem on its AT port: echo until ATE0, unsolicited words now and then, ERROR for what it does not know.

All answers of one poll tell the same moment: a new one is drawn when the question comes back that followed the last
draw, or when any question comes a third time (a poll may ask twice, with a set-up in between). So the cell identity,
which counts in unique runs, is one per poll, whatever the order of the questions.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from cloud.clock import HANOI
from gocche.garden.device import Answer, overridden

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloud.clock import Clock
    from gocche.garden.nature import Draw
    from gocche.garden.served import Served
    from gocche.garden.stage import Stage, Told

MCC, MNC, OPERATOR = 452, 4, "VIETTEL"
TAC, PCI, EARFCN, NR_ARFCN = 0x8D83, 257, 1850, 640_704
HOME, SEARCHING = 1, 2  # 3GPP TS 27.007 §7.2 <stat>
LTE_ACT, NR_ACT = 7, 11
ASKING = ("AT+CESQ", "AT+CSQ", 'AT+QENG="SERVINGCELL"')  # besides all that ends in a question mark
CHATTER = 20  # paces between two unsolicited words that mean nothing


class Poll(msgspec.Struct, frozen=True):
    """What the modem hears at one moment."""

    n: int
    service: bool
    nr: bool
    cell: int
    rsrp: int
    rsrq: int
    sinr: int
    rssi: int


class Modem:
    """One AT port."""

    def __init__(self, port: str, channel: str, draw: Draw, served: Served, clock: Clock) -> None:
        self._port = port
        self._channel = channel
        self._draw = draw
        self._served = served
        self._clock = clock
        self._echo = True
        self._digits = False  # AT+COPS=3,2: the operator as a number
        self._urc = {"CEREG": 0, "C5GREG": 0}
        self._typed = b""
        self._asked: list[str] = []  # since the last draw
        self._poll: Poll | None = None
        self._service = True
        self._paces = 0

    def hear(self, data: bytes, stage: Stage) -> list[Answer]:
        """Return an echo and an answer for each command line that is whole."""
        told = self._told(stage)
        if told.get("silent"):
            self._typed = b""
            return []
        *lines, self._typed = (self._typed + data).replace(b"\n", b"").split(b"\r")
        return [self._line(line.decode("ascii", "replace").strip(), told) for line in lines if line.strip()]

    def speak(self, stage: Stage) -> list[Answer]:
        """Return what comes unasked: a lost or found registration at once, chatter now and then."""
        told = self._told(stage)
        if told.get("silent"):
            return []
        self._paces += 1
        service = told.get("service") is not False
        words = []
        if service != self._service and self._urc["CEREG"]:
            words.append(f"+CEREG: {HOME if service else SEARCHING}")
        if self._paces % CHATTER == 0:
            words.append("+CIEV: 7,1")
        self._service = service
        return [Answer(_lines(word), self._channel) for word in words]

    def _told(self, stage: Stage) -> Told:
        told = stage.of(self._port, self._channel)
        return {word.removeprefix("lte_").removeprefix("nr_ss_"): value for word, value in told.items()}

    def _line(self, command: str, told: Told) -> Answer:
        echo = f"{command}\r".encode("ascii", "replace") if self._echo else b""
        name = command.upper()
        text, values = self._answer(name, self._moment(name, told))
        final = "ERROR" if text is None else "OK"
        answer = (_lines(text) if text else b"") + _lines(final)
        return Answer(echo + answer, self._channel, self._poll.n if self._poll else 0, dict(values), name)

    def _moment(self, command: str, told: Told) -> Poll:
        """Return what holds for this command, drawn anew when a new poll begins."""
        if self._poll is None or command in self._asked[:1] or self._asked.count(command) > 1:
            n = self._served.count(self._channel)
            drawn = overridden(self._draw(n, self._clock.utc_ms() / 1000), told)
            heard = {name: int(value) for name, value in drawn.items()}
            self._poll = Poll(n=n, service=told.get("service") is not False, nr=told.get("radio") == "sa", **heard)
            self._asked.clear()
        if command.endswith("?") or command in ASKING:
            self._asked.append(command)
        return self._poll

    def _answer(self, command: str, poll: Poll) -> tuple[str | None, Mapping[str, float]]:
        """Return the words between echo and OK, and what they tell; None instead of words is an ERROR."""
        match command.removeprefix("AT"):
            case "" | "+CMEE=0" | "+CMEE=1" | "+CMEE=2":
                return "", {}
            case "E0" | "E1":
                self._echo = command.endswith("1")
                return "", {}
            case "+COPS=3,0" | "+COPS=3,2":
                self._digits = command.endswith("2")
                return "", {}
            case "+CEREG=0" | "+CEREG=1" | "+CEREG=2" | "+C5GREG=0" | "+C5GREG=1" | "+C5GREG=2":
                name, _, mode = command.removeprefix("AT+").partition("=")
                self._urc[name] = int(mode)
                return "", {}
            case "I":
                return "Quectel\r\nRM520N-GL\r\nRevision: RM520NGLAAR03A03M4G", {}
            case "+CGMI":
                return "Quectel", {}
            case "+CGMM":
                return "RM520N-GL", {}
            case "+CGMR":
                return "RM520NGLAAR03A03M4G", {}
            case "+CPIN?":
                return "+CPIN: READY", {}
            case "+CCLK?":
                return self._date(), {}
            case "+COPS?":
                return _operator(poll, digits=self._digits), {}
            case "+CEREG?":
                return self._registered("CEREG", poll, here=not poll.nr)
            case "+C5GREG?":
                return self._registered("C5GREG", poll, here=poll.nr)
            case "+CESQ":
                return _quality(poll)
            case "+CSQ":
                return (
                    (f"+CSQ: {(poll.rssi + 113) // 2},99", {"rssi": poll.rssi}) if _lte(poll) else ("+CSQ: 99,99", {})
                )
            case '+QENG="SERVINGCELL"':
                return _serving(poll)
        return None, {}

    def _date(self) -> str:
        local = datetime.fromtimestamp(self._clock.utc_ms() // 1000, UTC).astimezone(HANOI)
        return f'+CCLK: "{local:%y/%m/%d,%H:%M:%S}+28"'  # quarters of an hour east of Greenwich

    def _registered(self, name: str, poll: Poll, *, here: bool) -> tuple[str, Mapping[str, float]]:
        mode = self._urc[name]
        if not here:
            return f"+{name}: {mode},0", {}
        if not poll.service:
            return f"+{name}: {mode},{SEARCHING}", {"registration": SEARCHING}
        act = NR_ACT if poll.nr else LTE_ACT
        where = f',"{TAC:X}","{poll.cell:X}",{act}' if mode == 2 else ""
        told = {"tac": TAC, "cell": poll.cell} if where else {}
        return f"+{name}: {mode},{HOME}{where}", {"registration": HOME} | told


def _lines(words: str) -> bytes:
    return f"\r\n{words}\r\n".encode("ascii")


def _lte(poll: Poll) -> bool:
    return poll.service and not poll.nr


def _operator(poll: Poll, *, digits: bool) -> str:
    if not poll.service:
        return "+COPS: 0"
    name = f'2,"{MCC}{MNC:02}"' if digits else f'0,"{OPERATOR}"'
    return f"+COPS: 0,{name},{NR_ACT if poll.nr else LTE_ACT}"


def _quality(poll: Poll) -> tuple[str, Mapping[str, float]]:
    """Return AT+CESQ: index values of 3GPP TS 36.133 and 38.133, 255 for none."""
    if not poll.service:
        return "+CESQ: 99,99,255,255,255,255,255,255,255", {}
    if poll.nr:
        indexes = f"{poll.rsrq * 2 + 87},{poll.rsrp + 157},{poll.sinr * 2 + 47}"
        values = {"nr_ss_rsrq": poll.rsrq, "nr_ss_rsrp": poll.rsrp, "nr_ss_sinr": poll.sinr}
        return f"+CESQ: 99,99,255,255,255,255,{indexes}", values
    indexes = f"{poll.rsrq * 2 + 40},{poll.rsrp + 141}"
    return f"+CESQ: 99,99,255,255,{indexes},255,255,255", {"lte_rsrq": poll.rsrq, "lte_rsrp": poll.rsrp}


def _serving(poll: Poll) -> tuple[str, Mapping[str, float]]:
    """Return AT+QENG="servingcell" as Quectel's RM520N writes it: identities in hexadecimal, without quotes."""
    if not poll.service:
        return '+QENG: "servingcell","SEARCH"', {}
    where = {"plmn": MCC * 1000 + MNC, "cell": poll.cell, "tac": TAC}
    head = '+QENG: "servingcell","NOCONN"'
    if poll.nr:
        text = (
            f'{head},"NR5G-SA","TDD", {MCC},{MNC:02},{poll.cell:X},{PCI},{TAC:X},{NR_ARFCN},78,7,'
            f"{poll.rsrp},{poll.rsrq},{poll.sinr},1,-"
        )
        signal = {"nr_ss_rsrp": poll.rsrp, "nr_ss_rsrq": poll.rsrq, "nr_ss_sinr": poll.sinr}
        return text, where | signal | {"radio": 5, "nr_pci": PCI, "nr_arfcn": NR_ARFCN}
    text = (
        f'{head},"LTE","FDD",{MCC},{MNC:02},{poll.cell:X},{PCI},{EARFCN},3,5,5,{TAC:X},'
        f"{poll.rsrp},{poll.rsrq},{poll.rssi},{poll.sinr},-"
    )
    heard = {"lte_rsrp": poll.rsrp, "lte_rsrq": poll.rsrq, "rssi": poll.rssi, "lte_sinr": poll.sinr}
    return text, where | heard | {"radio": 3, "pci": PCI, "earfcn": EARFCN}
