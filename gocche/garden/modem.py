"""A 5G/LTE modem on its AT port: echo until ATE0, unsolicited words now and then, ERROR for what it does not know.

All answers of one poll tell the same moment: a new one is drawn when the question comes back that followed the last
draw, or when any question comes a third time (a poll may ask twice, with a set-up in between). So the cell identity,
which counts in unique runs, is one per poll, whatever the order of the questions.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
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
LTE_BAND, NR_BAND = 3, 78
SIM = "sim-hang-tay"  # the channel of what its operator tells
USSD = re.compile(r'AT\+CUSD=1,"(?P<code>[*#0-9]+)",15')
BALANCE, DATA_MB, SPENT_MB, DAYS = 46_500, 4_096, 130, 30  # of the SIM: filled up each so many days
HOME, SEARCHING = 1, 2  # 3GPP TS 27.007 §7.2 <stat>
LTE_ACT, NR_ACT = 7, 11
QUESTIONS = ("AT+CCLK?", "AT+COPS?", "AT+CEREG?", "AT+C5GREG?", "AT+CESQ", "AT+CSQ", 'AT+QENG="SERVINGCELL"')
FIXED = {
    "ATI": "Quectel\r\nRM520N-GL\r\nRevision: RM520NGLAAR03A03M4G",
    "AT+CGMI": "Quectel",
    "AT+CGMM": "RM520N-GL",
    "AT+CGMR": "RM520NGLAAR03A03M4G",
    "AT+CPIN?": "+CPIN: READY",
}
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
        told = stage.of(self._port, self._channel, SIM)
        return {word.removeprefix("lte_").removeprefix("nr_ss_"): value for word, value in told.items()}

    def _line(self, command: str, told: Told) -> Answer:
        echo = f"{command}\r".encode("ascii", "replace") if self._echo else b""
        name = command.upper()
        n = 0
        values: dict[str, float] = {}
        asked = USSD.fullmatch(name)
        if asked is not None:
            poll = self._moment(name, told)
            frame, values = self._network(asked["code"], told, served=poll.service)
            return Answer(echo + frame, SIM, poll.n, values, name)
        if name in FIXED or self._set(name):
            frame = _lines(FIXED[name]) + _lines("OK") if name in FIXED else _lines("OK")
        elif name in QUESTIONS:
            poll = self._moment(name, told)
            text, known = self._answer(name, poll)
            frame, n, values = _lines(text) + _lines("OK"), poll.n, dict(known)
        else:
            frame = _lines("ERROR")
        return Answer(echo + frame, self._channel, n, values, name)

    def _set(self, command: str) -> bool:
        """Obey a setting; tell whether it was one."""
        match command:
            case "AT" | "AT+CUSD=2" | "AT+CMEE=0" | "AT+CMEE=1" | "AT+CMEE=2":
                return True
            case "ATE0" | "ATE1":
                self._echo = command.endswith("1")
            case "AT+COPS=3,0" | "AT+COPS=3,2":
                self._digits = command.endswith("2")
            case "AT+CEREG=0" | "AT+CEREG=1" | "AT+CEREG=2" | "AT+C5GREG=0" | "AT+C5GREG=1" | "AT+C5GREG=2":
                name, _, mode = command.removeprefix("AT+").partition("=")
                self._urc[name] = int(mode)
            case _:
                return False
        return True

    def _moment(self, question: str, told: Told) -> Poll:
        """Return what holds for this question, drawn anew when a new poll begins or the network has changed."""
        network = told.get("service") is not False, told.get("radio") == "sa"
        known = self._poll
        again = question in self._asked[:1] or self._asked.count(question) > 1
        if known is None or again or network != (known.service, known.nr):
            n = self._served.count(self._channel)
            drawn = overridden(self._draw(n, self._clock.utc_ms() / 1000), told)
            heard = {name: int(value) for name, value in drawn.items()}
            known = self._poll = Poll(n=n, service=network[0], nr=network[1], **heard)
            self._asked.clear()
        self._asked.append(question)
        return known

    def _answer(self, question: str, poll: Poll) -> tuple[str, Mapping[str, float]]:
        """Return the words before OK, and what they tell."""
        match question:
            case "AT+CCLK?":
                return self._date(), {}
            case "AT+COPS?":
                return _operator(poll, digits=self._digits), {}
            case "AT+CEREG?":
                return self._registered("CEREG", poll, here=not poll.nr)
            case "AT+C5GREG?":
                return self._registered("C5GREG", poll, here=poll.nr)
            case "AT+CESQ":
                return _quality(poll)
            case "AT+CSQ":
                heard = poll.service and not poll.nr
                return (f"+CSQ: {(poll.rssi + 113) // 2},99", {"rssi": poll.rssi}) if heard else ("+CSQ: 99,99", {})
            case _:
                return _serving(poll)

    def _network(self, code: str, told: Told, *, served: bool) -> tuple[bytes, dict[str, float]]:
        """Return what the operator answers to a USSD code: with a menu's politeness, and nothing without service."""
        if not served:
            return _lines("+CME ERROR: 30"), {}
        today = datetime.fromtimestamp(self._clock.utc_ms() // 1000, UTC).astimezone(HANOI).date()
        gone = today.toordinal() % DAYS
        left = overridden(
            {"sim_balance": BALANCE, "sim_data_left": DATA_MB - gone * SPENT_MB, "sim_days_left": 2 * DAYS - gone}, told
        )
        last = date.fromordinal(today.toordinal() + int(left["sim_days_left"]))
        known: tuple[str, ...] = ()
        if code == "*101#":
            said = f"TK goc: {int(left['sim_balance']):,}d, HSD {last:%d/%m/%Y}.".replace(",", ".", 1)
            known = ("sim_balance", "sim_days_left")
        elif code == "*102#":
            said, known = f"Data: {left['sim_data_left']:.0f} MB, HSD {last:%d/%m/%Y}", ("sim_data_left",)
        else:
            said = "Yeu cau khong hop le"
        return _lines("OK") + _lines(f'+CUSD: 0,"{said}",15'), {name: left[name] for name in known}

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
            f'{head},"NR5G-SA","TDD", {MCC},{MNC:02},{poll.cell:X},{PCI},{TAC:X},{NR_ARFCN},{NR_BAND},7,'
            f"{poll.rsrp},{poll.rsrq},{poll.sinr},1,-"
        )
        signal = {"nr_ss_rsrp": poll.rsrp, "nr_ss_rsrq": poll.rsrq, "nr_ss_sinr": poll.sinr}
        return text, where | signal | {"radio": 5, "nr_pci": PCI, "nr_arfcn": NR_ARFCN, "nr_band": NR_BAND}
    text = (
        f'{head},"LTE","FDD",{MCC},{MNC:02},{poll.cell:X},{PCI},{EARFCN},{LTE_BAND},5,5,{TAC:X},'
        f"{poll.rsrp},{poll.rsrq},{poll.rssi},{poll.sinr},-"
    )
    heard = {"lte_rsrp": poll.rsrp, "lte_rsrq": poll.rsrq, "rssi": poll.rssi, "lte_sinr": poll.sinr}
    return text, where | heard | {"radio": 3, "pci": PCI, "earfcn": EARFCN, "lte_band": LTE_BAND}
