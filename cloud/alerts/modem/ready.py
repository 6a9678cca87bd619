"""What a modem is told before it serves, and whether it can: PIN, PDU mode, where messages are kept, the network.

Told again whenever it has begun anew: a modem forgets all of it. A PIN is entered only where all its tries are left or,
with a modem that does not count them, once in the life of the process: the third wrong one locks the SIM.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from at import talk
from cloud.alerts.channels import Retry
from cloud.alerts.modem.causes import judged
from cloud.alerts.modem.dialogue import Silent

if TYPE_CHECKING:
    from cloud.alerts.modem.dialogue import Dialogue

MEMORIES = ("ME", "SM")
AWAKE = 5  # seconds, and words, for a modem that sleeps or still starts
ALL_TRIES = 3
_REGISTERED = {"1", "5", "6", "7"}  # home, roaming, and both of these for SMS only (27.007 §7.2)
_STATES = {
    "0": "it does not look for a network", "2": "it looks for a network", "3": "the network refuses it",
    "4": "it does not know", "8": "emergency calls only", "11": "emergency calls only",
}  # fmt: skip
_HOW_OFTEN = (  # 27.007 §8.65, Quectel, SIMCom
    ('AT+CPINR="SIM PIN"', "+CPINR", 1),
    ('AT+QPINC="SC"', "+QPINC", 1),
    ("AT+SPIC", "+SPIC", 0),
)
_DOWN = {"+CMS ERROR: 310", "+CME ERROR: 10", "+CME ERROR: 13", "+CMS ERROR: 313", "+CME ERROR: 14", "+CMS ERROR: 314"}


class Readiness:
    """What one modem must be told, and what was tried with its SIM."""

    def __init__(self, pin_file: str) -> None:
        self._pin_file = pin_file
        self._tried = ""  # the PIN that was entered and did not help

    def prepare(self, modem: Dialogue) -> None:
        """Tell it all. Raises Retry, Silent, talk.Refused, PortLost."""
        _awaken(modem)
        modem.ask("ATE0")
        modem.try_all("AT+CMEE=1")
        self._unlock(modem)
        modem.ready = True  # from here on; what it says when it begins anew takes it back
        modem.ask("AT+CMGF=0")
        modem.try_all("AT+CSMS=0")  # of its phase 2+ each message wants an acknowledgement
        _somewhere(modem)
        # messages are kept and announced; reports come at once where it can, else they are kept, too
        modem.try_all("AT+CNMI=2,1,0,1,0", "AT+CNMI=1,1,0,1,0", "AT+CNMI=2,1,0,2,0", "AT+CNMI=2,1", "AT+CNMI=1,1")
        modem.stored = True

    def _unlock(self, modem: Dialogue) -> None:
        try:
            said = modem.ask("AT+CPIN?", "+CPIN")
        except talk.Refused as refused:
            raise _everybody(refused) from refused
        state = talk.bare(said[-1][0]) if said else "it does not say how it is"
        if state == "READY":
            self._tried = ""
            return
        if state != "SIM PIN":
            raise Retry(f"the SIM asks for {state}", everybody=True)
        if not self._pin_file:
            raise Retry("the SIM asks for its PIN: take the PIN off it, or name pin_file", everybody=True)
        self._enter(modem)

    def _enter(self, modem: Dialogue) -> None:
        try:
            pin = Path(self._pin_file).read_text(encoding="ascii").strip()
        except (OSError, UnicodeError) as error:
            raise Retry(f"pin_file cannot be read: {type(error).__name__}", everybody=True) from error
        if not (pin.isdigit() and 4 <= len(pin) <= 8):
            raise Retry("pin_file holds no PIN: 4 to 8 digits and nothing else", everybody=True)
        left = _tries_left(modem)
        if pin == self._tried or (left is not None and left < ALL_TRIES):
            rest = "" if left is None else f", {left} tries left"
            words = f"the PIN was refused once{rest}: it is not entered again; enter it by hand, or mend pin_file"
            raise Retry(words, everybody=True)
        self._tried = pin
        try:
            modem.ask(f'AT+CPIN="{pin}"', within_s=10.0)
        except talk.Refused as refused:
            raise _everybody(refused) from refused
        raise Retry("the SIM has just taken its PIN", 3.0, everybody=True)  # it needs a moment for its messages


def registered(modem: Dialogue) -> None:
    """Return when the modem is in a network. Raises Retry, Silent, PortLost."""
    states = []
    for name in ("CREG", "CEREG", "C5GREG"):
        try:
            said = modem.ask(f"AT+{name}?", f"+{name}")
        except talk.Refused as refused:
            if str(refused) in _DOWN:
                raise _everybody(refused) from refused
            continue
        states += [_state(fields) for fields in said[-1:]]
        if _REGISTERED & set(states):
            return
    if states:
        telling = next((state for state in ("3", "8", "2") if state in states), states[0])
        raise Retry(f"no network: {_STATES.get(telling, f'state {telling}')}", everybody=True)


def _state(fields: list[str]) -> str:
    """Return <stat> of `<n>,<stat>…`, or of a message that nobody asked for, which has no <n>."""
    asked = len(fields) > 1 and len(fields[1]) <= 2 and fields[1].isdecimal()
    return fields[1] if asked else fields[0]


def _awaken(modem: Dialogue) -> None:
    """Ask until it answers, for `AWAKE` seconds at most.

    One that was left waiting for the text of a message, by a server that was killed, takes all that comes for it.
    """
    for _ in range(AWAKE - 1):
        try:
            modem.ask("AT", within_s=1.0)
        except Silent:
            modem.escape()
            continue
        except talk.Refused:
            continue
        return modem.hush()  # the answer may be that to the first time, and the others come yet
    modem.ask("AT", within_s=1.0)
    return modem.hush()


def _somewhere(modem: Dialogue) -> None:
    """Choose the memory that takes messages: the SIM's, which whoever changes the modem takes along."""
    for memory in reversed(MEMORIES):
        if modem.try_all(f'AT+CPMS="{memory}","{memory}","{memory}"'):
            return


def _tries_left(modem: Dialogue) -> int | None:
    """Return how often a PIN may be wrong yet; None where the modem does not tell."""
    for command, prefix, place in _HOW_OFTEN:
        try:
            said = modem.ask(command, prefix)
        except talk.Refused:
            continue
        if said and len(said[-1]) > place and said[-1][place].isdecimal():
            return int(said[-1][place])
    return None


def _everybody(refused: talk.Refused) -> Retry:
    return Retry(str(judged(refused)), everybody=True)
