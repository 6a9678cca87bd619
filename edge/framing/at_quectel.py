"""Quectel modems: the serving cell as `AT+QENG="servingcell"` tells it, how many carriers are combined, the position.

Source: Quectel RG50xQ/RM5xxQ, EC2x/EG2x, EP06 and BG9x AT manuals (QENG, QCAINFO, QGPSLOC), and the recorded lines of
tests/data/frames. Identities are hexadecimal. LTE's SINR is dB on some models and fifths of a dB on others, with the
same line around it; the RM5xx manual even says 2X - 20 while people read dB off it. What RSRQ does not decide is for
the setting `lte_sinr`. Old 5G firmware prints tenths on NSA lines of seven columns.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from at import talk
from edge.driver import Value
from edge.framing.bands import banded
from edge.framing.cells import (
    CELL,
    PLACE,
    Answer,
    Layout,
    Units,
    Vendor,
    Word,
    absent,
    access,
    checked,
    hexadecimal,
    lte_sinr,
    matching,
    nr_sinr,
    number,
    place,
    text,
    unread,
)
from wire.reading import Reason

if TYPE_CHECKING:
    from edge.framing.cells import Read

_EUTRA = "_ duplex mcc mnc cell_id pci earfcn lte_band width width tac lte_rsrp lte_rsrq rssi lte_sinr"
_LTE = Layout(_EUTRA, (16, 18))  # srxlev behind it, or CQI, power and srxlev
_IOT = Layout(_EUTRA, (15, 16))
_NSA = Layout(
    "_ mcc mnc nr_pci nr_ss_rsrp nr_ss_sinr nr_ss_rsrq nr_arfcn nr_band nr_width", (7, 10, 11)
)  # SINR before RSRQ here
_SA = Layout(
    "_ duplex mcc mnc cell_id nr_pci tac nr_arfcn nr_band nr_width nr_ss_rsrp nr_ss_rsrq nr_ss_sinr spacing", (15, 16)
)
_WCDMA = Layout("_ mcc mnc tac cell_id _ _ _ rscp", (5, 9, 10, 15), short=3)
_GSM = Layout("_ mcc mnc tac cell_id", (5,), short=3)


_WORDS = {
    "GSM": Word("GSM", 1, _GSM),
    "WCDMA": Word("WCDMA", 2, _WCDMA),
    "LTE": Word("LTE", 3, _LTE, ("dB", "fifths")),
    **{word: Word(word, 3, _IOT, ("fifths",)) for word in ("eMTC", "CAT-M", "NBIoT", "CAT-NB", "NTN NBIoT")},  # BG9x
    "NR5G-NSA": Word("EN-DC", 4, _NSA, ("dB", "tenths")),
    "NR5G-SA": Word("SA", 5, _SA, ("dB", "tenths")),
}
_STATES = {"SEARCH": 2, "LIMSRV": 8, "NOCONN": 1, "CONNECT": 1, "NOSRV": 0}  # -> registration, 27.007 <stat>
_NO_CELL = frozenset({0, 2})


def _qeng(found: list[list[str]], units: Units) -> list[Value]:
    """One cell on the state's own line, or several on lines of their own."""
    cells, state = [], Value("state", "", None, Reason.NOT_REPORTED)
    for told in found:
        if talk.bare(told[0]) == "servingcell":
            state = text("state", told[1])
            cells += [told[2:]] if len(told) > 2 else []
        else:
            cells.append(told)
    words = [talk.bare(cell[0]) for cell in cells]
    values = [state, _registration(state), *_access(words, state)]
    for word, cell in zip(words, cells, strict=True):
        values += _cell(word, cell, units)
    return values


def _registration(state: Value) -> Value:
    if state.value in _STATES:
        return Value("registration", "1", _STATES[str(state.value)])
    return absent("registration", Reason.NOT_REPORTED if state.value is None else Reason.GARBLED)


def _access(words: list[str], state: Value) -> list[Value]:
    if words:
        return access(words, _WORDS)
    none = [Value("radio", "1", 0)] if _STATES.get(str(state.value)) in _NO_CELL else []
    return [Value("mode", "", None, Reason.NOT_REPORTED), *none]


def _cell(word: str, cell: list[str], units: Units) -> list[Value]:
    known = _WORDS.get(word)
    if known is None:
        return unread(word, "a radio word that is not known here")
    try:
        values = banded(known.layout.read(cell, _READERS))
    except ValueError as error:
        return unread(word, str(error), known.layout)
    if "lte_sinr" in values:
        values["lte_sinr"] = lte_sinr(values["lte_sinr"], values["lte_rsrq"], known.sinr, units.lte_sinr)
    if "nr_ss_sinr" in values:
        said = values["nr_ss_sinr"]
        whole = len(cell) > min(_NSA.counts) and abs(number(said) or 0) <= 40  # newer firmware: dB, as the manual says
        values["nr_ss_sinr"] = nr_sinr(said, ("dB",) if whole else known.sinr, units.nr_sinr)
    return list(values.values())


def _qcainfo(found: list[list[str]], _units: Units) -> list[Value]:
    return [Value("carriers", "1", len(found))]


def _qgpsloc(found: list[list[str]], _units: Units) -> list[Value]:
    """Return the position: UTC, degrees, HDOP, altitude, 2 or 3 dimensions, course, speeds, date, satellites."""
    told = found[-1]
    if len(told) != 11 or told[5] not in {"2", "3"} or not re.fullmatch(r"\d{6}", told[9]):
        raise ValueError("no position")
    return place(told[1], told[2], told[4])


_READERS: dict[str, Read] = {
    "duplex": checked("[A-Z-]+"),
    "width": checked("[0-9]"),
    # an index, or MHz as newer firmware has it: what is neither is the band, behind a column too many
    "nr_width": checked("[0-9]|1[0-5]|[2-9]0|[234]5|100"),
    "spacing": checked("[0-4]"),
    "mcc": matching(r"\d{1,3}"),
    "mnc": matching(r"\d{2,3}"),
    "tac": hexadecimal,
    "cell_id": hexadecimal,
}
VENDOR = Vendor(
    commands=('AT+QENG="servingcell"',),
    answers={
        "+QENG": Answer(_qeng, ("registration", "radio", *CELL), serving=True),
        "+QCAINFO": Answer(_qcainfo, (), empty=True),
        "+QGPSLOC": Answer(_qgpsloc, PLACE),
    },
    position="AT+QGPSLOC=2",
    start="AT+QGPS=1",
    no_fix="516",
    not_started="505",
)
