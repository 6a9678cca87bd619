"""SIMCom modems: the serving cell as `AT+CPSI?` tells it, the position as `AT+CGPSINFO` does.

Source: SIMCom SIM8200 AT manual v1.01, SIM70xx AT manual (CPSI), SIM7600 AT manual (CGPSINFO, believed), and the
recorded lines of tests/data/frames. The cell is decimal,
the tracking area hexadecimal. Levels are tenths on most models, whole dB on the SIM70xx, and 3GPP indices
on some: RSRP tells which, as the three have no number in common. RSSNR of the SIM70xx is steps of 2 dB from -20 dB; of
other LTE models the manual at hand says no unit, so it waits for the setting `lte_sinr` (`lte_snr_raw` has the number).
5G's SNR was seen in tenths (290) and in whole dB (40) beside levels in tenths: up to 40 the setting `nr_sinr` decides.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from at import talk
from edge.driver import Value
from edge.framing.bands import banded
from edge.framing.cells import (
    CELL,
    LTE_RSRP,
    LTE_RSRQ,
    PLACE,
    Answer,
    Layout,
    Units,
    Vendor,
    Word,
    absent,
    access,
    checked,
    decimal,
    hexadecimal,
    lte_sinr,
    matching,
    nowhere,
    nr_sinr,
    number,
    place,
    text,
    unread,
)
from wire.reading import Reason

if TYPE_CHECKING:
    from edge.framing.cells import Read

_LTE = Layout("_ _ network tac cell_id pci lte_band earfcn _ _ lte_rsrq lte_rsrp rssi lte_sinr", (14,), short=3)
_SA = Layout("_ _ network tac cell_id nr_pci nr_band nr_arfcn nr_ss_rsrp nr_ss_rsrq nr_ss_sinr", (11, 13), short=3)
_NSA = Layout("_ nr_pci nr_band nr_arfcn nr_ss_rsrp nr_ss_rsrq nr_ss_sinr", (7, 9), short=1)  # manual v1.01
_NSA_OLD = Layout("_ nr_pci nr_arfcn nr_ss_rsrq nr_ss_rsrp nr_ss_sinr", (6,), short=1)  # v1.00.01: no band, RSRQ first
_OLD = Layout("_ _ network tac cell_id band", (6, 9, 14, 15), short=3)


_NO_SERVICE = "NO SERVICE"
_WORDS = {
    "GSM": Word("GSM", 1, _OLD),
    "WCDMA": Word("WCDMA", 2, _OLD),
    "LTE": Word("LTE", 3, _LTE),
    "LTE CAT-M1": Word("LTE CAT-M1", 3, _LTE, ("2x-20",)),
    "LTE NB-IOT": Word("LTE NB-IOT", 3, _LTE, ("2x-20",)),
    "NR5G": Word("EN-DC", 4, _NSA),
    "NR5G_NSA": Word("EN-DC", 4, _NSA),
    "NR5G_SA": Word("SA", 5, _SA),
}


class _Scale(NamedTuple):
    """How a line prints its levels, told by its RSRP; factor 0: as indices."""

    low: float
    high: float
    factor: float


_LTE_SCALES = (_Scale(-144, -40, 1.0), _Scale(-1440, -400, 0.1), _Scale(0, 255, 0.0))
_NR_SCALES = (_Scale(-157, -31, 1.0), _Scale(-1570, -310, 0.1))


def _cpsi(found: list[list[str]], units: Units) -> list[Value]:
    """One cell a line; `NO SERVICE` is one too."""
    cells = [told for told in found if told[0] != _NO_SERVICE]
    if not cells:
        none = [Value("state", "", _NO_SERVICE), Value("registration", "1", 0), Value("radio", "1", 0)]
        return [Value("mode", "", None, Reason.NOT_REPORTED), *none]
    values = access([cell[0] for cell in cells], _WORDS)
    for cell in cells:
        values += _cell(cell, units)
    return values


def _cell(cell: list[str], units: Units) -> list[Value]:
    word = _WORDS.get(cell[0])
    if word is None:
        return unread(cell[0], "a radio word that is not known here")
    layout = _NSA_OLD if word.layout is _NSA and re.fullmatch(r"\d+", "".join(cell[2:3])) else word.layout
    try:
        scale = _scale(layout, cell)
        values = banded(layout.read(cell, _READERS | dict.fromkeys(_LEVELS, partial(_level, scale))))
    except ValueError as error:
        return unread(cell[0], str(error), layout)
    return [*_network(values), *_sinr(word, scale, values, units).values()]


def _scale(layout: Layout, cell: list[str]) -> _Scale | None:
    """Return how this line prints its levels, None where it has none. Raises ValueError where no scale fits."""
    for name, scales in (("lte_rsrp", _LTE_SCALES), ("nr_ss_rsrp", _NR_SCALES)):
        said = decimal(name, dict(zip(layout.columns.split(), cell, strict=False)).get(name, ""))
        told = number(said)
        if told is None:
            continue
        for scale in scales:
            if scale.low <= told <= scale.high and (scale.factor or len(cell) in layout.counts):
                return scale  # an index could stand anywhere: then the number of columns must be right
        raise ValueError(f"{name} cannot be read")
    return None


def _level(scale: _Scale | None, name: str, field: str) -> Value:
    if scale is None:
        return decimal(name, field) if talk.bare(field) in {"", "-"} else absent(name, Reason.SENTINEL)
    if scale.factor:
        return decimal(name, field, scale.factor)
    if name in _INDICES:
        value = _INDICES[name].value(name, field)
        if value.reason is Reason.OUT_OF_RANGE:
            raise ValueError(f"{name} cannot be read")
        return value
    return absent(name, Reason.SENTINEL if talk.bare(field) == "255" else Reason.AMBIGUOUS)


def _band(name: str, field: str) -> Value:
    """Return the number of `EUTRAN-BAND3`, `NR5G_BAND78`."""
    checked(".*[A-Z].*")(name, field)
    number = re.search(r"BAND_?(\d{1,4})$", talk.bare(field))
    return absent(name) if number is None else Value(name, "1", int(number[1]))


def _network(values: dict[str, Value]) -> list[Value]:
    said = values.pop("network", None)
    if said is None or said.value is None:
        return []
    mcc, _, mnc = str(said.value).partition("-")
    return [text("mcc", mcc), text("mnc", mnc)]


def _sinr(word: Word, scale: _Scale | None, values: dict[str, Value], units: Units) -> dict[str, Value]:
    if "lte_sinr" in values:
        said = values["lte_sinr"]
        values["lte_snr_raw"] = Value("lte_snr_raw", "1", said.value, said.reason)
        values["lte_sinr"] = lte_sinr(said, values["lte_rsrq"], word.sinr, units.lte_sinr)
    if "nr_ss_sinr" in values:
        said = values["nr_ss_sinr"]
        whole = (scale is not None and scale.factor == 1.0) or not (number(said) or 0.0).is_integer()
        values["nr_ss_sinr"] = nr_sinr(said, ("dB",) if whole else ("dB", "tenths"), units.nr_sinr)
    return values


def _cgpsinfo(found: list[list[str]], _units: Units) -> list[Value]:
    """Return the position of `AT+CGPSINFO`: degrees with minutes behind them; empty fields are no fix."""
    told = found[-1]
    if len(told) != 9:
        raise ValueError("no position")
    return nowhere() if not any(told) else place(_degrees(told[0], told[1]), _degrees(told[2], told[3]), told[6])


def _degrees(field: str, way: str) -> str:
    match = re.fullmatch(r"(\d{2,3})(\d\d\.\d{3,8})", field)
    if match is None or way not in {"N", "S", "E", "W"} or float(match[2]) >= 60:
        raise ValueError(f"{field!r} {way!r} is no angle")
    return f"{'-' if way in 'SW' else ''}{int(match[1]) + float(match[2]) / 60:.7f}"


_LEVELS = ("lte_rsrq", "lte_rsrp", "rssi", "nr_ss_rsrp", "nr_ss_rsrq")
_INDICES = {"lte_rsrq": LTE_RSRQ, "lte_rsrp": LTE_RSRP}
_READERS: dict[str, Read] = {
    "network": matching(r"\d{3}-\d{2,3}"),
    "tac": hexadecimal,
    "band": checked(".*[A-Z].*"),
    "lte_band": _band,
    "nr_band": _band,
}
VENDOR = Vendor(
    commands=("AT+CPSI?",),
    answers={
        "+CPSI": Answer(_cpsi, ("registration", "radio", *CELL), serving=True),
        "+CGPSINFO": Answer(_cgpsinfo, PLACE),
    },
    position="AT+CGPSINFO",
)
