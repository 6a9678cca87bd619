"""AT commands that every modem has, whoever made it: registration, signal quality as indices, operator.

Source: 3GPP TS 27.007 §7.2 (CREG), 7.3 (COPS), 8.5 (CSQ), 8.69 (CESQ), 10.1.22 (CEREG), 10.1.47 (C5GREG). Indices are
told as the lower edge of their interval.
"""

from __future__ import annotations

import re

from edge.driver import Value
from edge.framing.cells import (
    LTE_RSRP,
    LTE_RSRQ,
    NR_RSRP,
    NR_RSRQ,
    NR_SINR,
    Answer,
    Table,
    Units,
    Vendor,
    absent,
    decimal,
    hexadecimal,
    text,
    whole,
)
from wire.reading import Reason

REGISTRATIONS = ("+C5GREG", "+CEREG", "+CGREG", "+CREG")
RADIO_OF_ACT = {0: 1, 1: 1, 3: 1, 8: 1, 2: 2, 4: 2, 5: 2, 6: 2, 7: 3, 9: 3, 10: 3, 11: 5, 12: 5, 13: 4}  # <AcT>
_CSQ = Table(99, 31, 2, -113)
_TD_SCDMA = range(100, 200)  # some makers go on here with the RSCP of TD-SCDMA, or with LTE's RSRP: no RSSI
_CESQ = {  # the order of the fields; the second one, bit error rate, is not used
    "rssi": (0, Table(99, 63, 1, -111)),
    "rscp": (2, Table(255, 96, 1, -121)),
    "ecio": (3, Table(255, 49, 0.5, -24.5)),
    "lte_rsrq": (4, LTE_RSRQ),
    "lte_rsrp": (5, LTE_RSRP),
    "nr_ss_rsrq": (6, NR_RSRQ),
    "nr_ss_rsrp": (7, NR_RSRP),
    "nr_ss_sinr": (8, NR_SINR),
}


def registered(told: list[str]) -> list[Value]:
    """Return stat, tac, cell and access technology of `stat[,tac[,rac],ci,act…]` (the rac is one vendor's)."""
    stat, tac, rest = told[0], "".join(told[1:2]), [*told[2:], "", "", ""]
    if rest[2] and not _is_act(rest[1]) and _is_act(rest[2]):
        rest = rest[1:]
    return [
        decimal("stat", stat),
        hexadecimal("tac", tac),
        hexadecimal("cell_id", rest[0]),
        decimal("act", rest[1]),
    ]


def _csq(found: list[list[str]], _units: Units) -> list[Value]:
    level, _ = found[-1][0], found[-1][1]
    if whole(level) in _TD_SCDMA:
        reason = Reason.SENTINEL if whole(level) == _TD_SCDMA[-1] else Reason.AMBIGUOUS
        return [Value("rssi", "dBm", None, reason)]
    return [_CSQ.value("rssi", level)]


def _cesq(found: list[list[str]], _units: Units) -> list[Value]:
    """Six fields, nine on 5G modems; with any other number one was lost or is new, and an index can stand anywhere."""
    told = found[-1]
    if len(told) not in {6, 9}:
        raise ValueError(f"{len(told)} fields, 6 or 9 expected")
    values = [table.value(name, told[place]) for name, (place, table) in _CESQ.items() if place < len(told)]
    if sum(value.reason is Reason.OUT_OF_RANGE for value in values) > 1:
        raise ValueError("several indices are in no table")
    if any(value.reason is None for value in values[3:]):
        values[0] = absent("rssi")  # some print a GSM level although no GSM cell is there
    return values


def _registrations(found: list[list[str]], _units: Units) -> list[Value]:
    """Take the last line that has <n> first; an unsolicited line with the same prefix may race the answer."""
    asked = [told for told in found if _is_asked(told)]
    if not asked:
        raise ValueError("only an unsolicited message, no answer")
    return [decimal("n", asked[-1][0]), *registered(asked[-1][1:])]


def _is_asked(told: list[str]) -> bool:
    """Tell `<n>,<stat>…` from the unsolicited `<stat>[,<tac>,<ci>,<AcT>]`."""
    unsolicited = len(told) == 4 and _is_act(told[3])
    return len(told) >= 2 and bool(re.fullmatch(r"\d|1\d", told[1])) and not unsolicited


def _is_act(field: str) -> bool:
    return bool(re.fullmatch(r"\d|1[0-5]", field))


def _cops(found: list[list[str]], _units: Units) -> list[Value]:
    told = [*found[-1], "", "", ""]
    if told[1] not in {"", "0", "1", "2"}:
        raise ValueError(f"format {told[1]!r} is none")
    return [decimal("mode", told[0]), text("operator", told[2]), decimal("act", told[3])]


_REGISTERED = ("registration", "radio", "tac", "cell_id")
VENDOR = Vendor(
    commands=("AT+CEREG?", "AT+C5GREG?", "AT+CESQ", "AT+COPS?"),
    answers={
        "+CSQ": Answer(_csq, ("rssi",)),
        "+CESQ": Answer(_cesq, ("rssi", "lte_rsrp", "lte_rsrq", "nr_ss_rsrp", "nr_ss_rsrq", "nr_ss_sinr")),
        "+COPS": Answer(_cops, ("radio", "plmn")),
        **dict.fromkeys(REGISTRATIONS, Answer(_registrations, _REGISTERED)),
    },
)
