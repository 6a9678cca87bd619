"""What a modem's or a network's error means for a letter: for good, for now, or for everybody until somebody helps.

Source: 3GPP TS 27.005 §3.2.5 (`+CMS ERROR`; below 128 the causes of 24.011 annex E, up to 255 those of 23.040), 27.007
§9.2 (`+CME ERROR`), 23.040 §9.2.3.15 (what a status report says). Anything that is not surely of this one letter is
tried again: a smoke letter is given up for no code that a later release may mean otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.alerts.channels import GiveUp, Retry

if TYPE_CHECKING:
    from at.talk import Refused

_CMS = {
    1: "nobody has this number", 8: "the operator bars this SIM", 10: "the SIM is barred from calling out",
    21: "the network refuses this message", 22: "the telephone's memory is full", 27: "the telephone is out of order",
    28: "the network does not know our SIM", 29: "the network refuses this message", 30: "nobody has this number",
    38: "the network is out of order", 41: "the network fails for now", 42: "the network is congested",
    47: "the network has no room", 50: "the SIM may not send SMS: is it paid up?",
    69: "the network does not do this", 96: "the network does not understand the message",
    300: "the modem failed", 301: "the modem's SMS service is taken by another program",
    302: "the modem may not do this", 303: "the modem cannot do this", 304: "the modem does not understand the message",
    305: "the modem does not understand the message", 310: "no SIM is in the modem", 311: "the SIM asks for its PIN",
    312: "the SIM is bound to another telephone", 313: "the SIM failed", 314: "the SIM is busy",
    315: "this is no SIM for it", 316: "the SIM is locked and asks for its PUK", 317: "the SIM asks for its PIN2",
    318: "the SIM asks for its PUK2", 320: "the SIM's memory failed", 321: "no such place in the SIM's memory",
    322: "the SIM's memory is full", 330: "the SIM does not know its service centre: set smsc",
    331: "no network", 332: "the network did not answer in time", 500: "an error that the modem has no name for",
}  # fmt: skip
_CME = {
    3: "the modem may not do this", 4: "the modem cannot do this", 10: "no SIM is in the modem",
    11: "the SIM asks for its PIN", 12: "the SIM is locked and asks for its PUK", 13: "the SIM failed",
    14: "the SIM is busy", 15: "this is no SIM for it", 16: "the PIN is wrong", 20: "the SIM's memory is full",
    30: "no network", 31: "the network did not answer in time", 32: "the network takes emergency calls only",
    100: "an error that the modem has no name for",
}  # fmt: skip
_FOR_GOOD = {1, 304, 305}  # of +CMS ERROR: the number, or what we made of the text
# the network refuses this message or its reader; others may well be taken
_ONE_LETTER = {21, 22, 27, 29, 30, 69, 81, *range(95, 100), 111, *range(127, 256)}
_STATUS = {
    0x40: "the network failed", 0x41: "the telephone cannot take it", 0x42: "the telephone refused it",
    0x43: "it could not be had", 0x45: "it could not be had", 0x46: "it was not reached in time",
    0x48: "an administrator deleted it", 0x49: "the network does not know it",
    0x60: "the network is congested", 0x61: "the telephone was busy", 0x62: "the telephone did not answer",
    0x63: "the network refused it", 0x65: "the telephone failed",
}  # fmt: skip


def judged(refused: Refused) -> Retry | GiveUp:
    """Return what a refusal means for the letter that was handed over."""
    said = str(refused)
    number = int(refused.code) if refused.code.isdecimal() else None
    if number is None:  # `ERROR`, or words where numbers were asked for
        return Retry(said, everybody=said.startswith("+"))
    table = _CMS if said.startswith("+CMS") else _CME
    words = f"{table.get(number, 'an error')} ({said})"
    if table is _CMS and number in _FOR_GOOD:
        return GiveUp(words)
    return Retry(words, everybody=not (table is _CMS and number in _ONE_LETTER))


def report(status: int) -> str:
    """Return what the status of a report says, that of one which says what became of a message."""
    if status == 0:
        return "the telephone has it"
    return f"{_STATUS.get(status, 'it was not delivered')} (status {status})"
