"""What a modem's answer says of a cell: fields read strictly, columns by name, a number's unit decided, not assumed.

Every vendor's file (`at_<vendor>.py`) is tables over this. The same command prints other columns and other units from
model to model and from firmware to firmware: `53` is 53 dB nowhere and -9.4 dB in fifths, `-850` is -85 dBm in tenths.
So what a number means follows from the line itself (its radio word, how many columns it has, which units the number
fits) or from a setting of the sensor. Where two readings are left the value is absent, AMBIGUOUS, the number beside it.

A missing or an additional token moves all columns behind it. `Layout.read` notices by what cannot stand in a column
(`_CAN_BE`, a word where a number belongs) and then believes none of that line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct

from at import talk
from edge.driver import Value
from wire.reading import Reason

_UNITS = {"lat": "deg", "lon": "deg", "alt": "m"}
_UNITS |= dict.fromkeys(("rssi", "rscp", "lte_rsrp", "nr_ss_rsrp"), "dBm")
_UNITS |= dict.fromkeys(("ecio", "lte_rsrq", "lte_sinr", "nr_ss_rsrq", "nr_ss_sinr"), "dB")
_IDENTITY = ("plmn", "tac", "cell_id", "pci", "nr_pci", "earfcn", "nr_arfcn", "lte_band", "nr_band")
_LEVELS = ("rssi", "lte_rsrp", "lte_rsrq", "lte_sinr", "nr_ss_rsrp", "nr_ss_rsrq", "nr_ss_sinr")
CELL = (*_IDENTITY, *_LEVELS)  # what the answer about a serving cell can bring
_CAN_BE = {  # what 3GPP 36.133 and 38.133 let be reported, with a margin for makers who go beyond
    "lte_rsrp": (-144, -40),
    "lte_rsrq": (-35, 3),
    "rssi": (-125, -20),
    "nr_ss_rsrp": (-157, -30),
    "nr_ss_rsrq": (-44, -2),
    "rscp": (-125, -20),
    "pci": (0, 503),
    "nr_pci": (0, 1007),
    "earfcn": (0, 262_143),
    "nr_arfcn": (100_000, 3_279_165),  # no band lies lower
    "tac": (0, 0xFFFFFF),
}


Read = Callable[[str, str], Value | None]


class Units(Struct, frozen=True):
    """What the installer knows of this very modem; None leaves it to the tables."""

    lte_sinr: str | None = None
    nr_sinr: str | None = None


class Answer(Struct, frozen=True):
    """How the lines of one answer are read, and which mapped values they can bring.

    `decode` raises ValueError or IndexError for what is no answer. `serving`: it tells the serving cell, so that its
    identity counts before that of the registration. `empty`: OK without a line is an answer too.
    """

    decode: Callable[[list[list[str]], Units], list[Value]]
    names: tuple[str, ...]
    serving: bool = False
    empty: bool = False


class Vendor(Struct, frozen=True):
    """What `edge/framing/at_<vendor>.py` offers as VENDOR: its commands, asked first, and its answers by prefix.

    `position` asks where its GNSS is, `start` switches that on; `no_fix` and `not_started` are the codes of
    `+CME ERROR:` that say so.
    """

    commands: tuple[str, ...]
    answers: dict[str, Answer]
    position: str = ""
    start: str = ""
    no_fix: str = ""
    not_started: str = ""


# --- fields


def absent(name: str, reason: Reason = Reason.NOT_REPORTED) -> Value:
    """Return a value that is not there, in its unit."""
    return Value(name, _UNITS.get(name, "1"), None, reason)


def text(name: str, field: str) -> Value:
    """Return a word; empty or `-` is not reported."""
    said = talk.bare(field)
    return Value(name, "", None, Reason.NOT_REPORTED) if said in {"", "-"} else Value(name, "", said)


def matching(pattern: str) -> Read:
    """Return a reader of words that must look so; a column without such a word is another one."""

    def read(name: str, field: str) -> Value:
        if not re.fullmatch(f"({pattern})?|-", talk.bare(field)):
            raise ValueError(f"{name} cannot be read")
        return text(name, field)

    return read


def checked(pattern: str) -> Read:
    """Return a reader that gives no value and only looks whether the column is the one that belongs here."""
    look = matching(pattern)

    def read(name: str, field: str) -> None:
        look(name, field)

    return read


def decimal(name: str, field: str, factor: float = 1.0) -> Value:
    """Return a number as printed, times `factor`; empty or `-` is not reported, -32768 (PCI 65535) means "none"."""
    said = talk.bare(field)
    if said in {"", "-"}:
        return absent(name)
    if not re.fullmatch(r"-?\d{1,12}(\.\d{1,12})?", said):  # the longest there is, a 5G cell's identity, has 11
        raise ValueError(f"{name} {said!r} is not a number")
    if said == "-32768" or (said == "65535" and name in {"pci", "nr_pci"}):
        return absent(name, Reason.SENTINEL)
    return Value(name, _UNITS.get(name, "1"), round(float(said) * factor, 3))


def whole(field: str) -> int:
    """Return an index. Raises ValueError for what no table has so many rows for."""
    said = talk.bare(field)
    if not re.fullmatch(r"-?\d{1,6}", said):
        raise ValueError(f"{said!r} is no index")
    return int(said)


def hexadecimal(name: str, field: str) -> Value:
    """Return an identity; all ones, and FFFE as tracking area, mean that there is none (3GPP TS 23.003 §19.4.2.3)."""
    said = talk.bare(field).upper()
    if said in {"", "-"}:
        return absent(name)
    none = {"FFFE", "FFFF", "FFFFFE", "FFFFFF"} if name == "tac" else {"F" * n for n in (7, 8, 9)}
    if said in none:
        return absent(name, Reason.SENTINEL)
    if not re.fullmatch(r"(0X)?[0-9A-F]{1,9}", said):
        raise ValueError(f"{name} {said!r} is not hexadecimal")
    return Value(name, "1", int(said, 16))


def number(value: Value | None) -> float | None:
    """Return the number of a value that has one."""
    usable = value is not None and value.reason is None and isinstance(value.value, int | float)
    return float(value.value) if usable else None  # type: ignore[union-attr, arg-type]


PLACE = ("lat", "lon", "alt")


def place(lat: str, lon: str, alt: str) -> list[Value]:
    """Return a position in decimal degrees and metres. Raises ValueError for what is none."""
    if not re.fullmatch(r"-?\d{1,2}\.\d{4,8}", lat) or not re.fullmatch(r"-?\d{1,3}\.\d{4,8}", lon):
        raise ValueError(f"{lat!r}, {lon!r} is no position")
    if not re.fullmatch(r"-?\d{1,4}(\.\d{1,2})?", alt):
        raise ValueError(f"{alt!r} is no altitude")
    if float(lat) == 0 and float(lon) == 0:
        return nowhere()
    return [Value("lat", "deg", float(lat)), Value("lon", "deg", float(lon)), Value("alt", "m", float(alt))]


def nowhere() -> list[Value]:
    """Return a position without a fix."""
    return [absent(name, Reason.NO_FIX) for name in PLACE]


class Table(NamedTuple):
    """A 3GPP index table: the code for "none", the highest index, the step and the lower edge of index 0."""

    none: int
    top: int
    step: float
    bottom: float

    def value(self, name: str, field: str) -> Value:
        """Return the lower edge of the interval that the index stands for; beyond the table, with its reason."""
        index = whole(field)
        if index == self.none:
            return absent(name, Reason.SENTINEL)
        reason = None if 0 <= index <= self.top else Reason.OUT_OF_RANGE
        return Value(name, _UNITS[name], index * self.step + self.bottom, reason)


LTE_RSRQ, LTE_RSRP = Table(255, 34, 0.5, -20), Table(255, 97, 1, -141)  # 3GPP TS 36.133
NR_RSRQ, NR_RSRP, NR_SINR = Table(255, 126, 0.5, -43.5), Table(255, 126, 1, -157), Table(255, 127, 0.5, -23.5)  # 38.133


# --- columns


class Layout(NamedTuple):
    """The columns of one kind of line by name, `_` for one that means nothing here, and how many there may be.

    A modem without service says its state and network only: up to `short` columns. Lines with another number than in
    `counts` are read too, as new firmware adds at the end, but not their SINR: it can be any number, so nothing would
    tell if a column before it were lost or new.
    """

    columns: str
    counts: tuple[int, ...]
    short: int = 4

    def read(self, line: list[str], readers: dict[str, Read]) -> dict[str, Value]:
        """Return the values of a line. Raises ValueError where its columns cannot be those of this layout."""
        if self.short < len(line) < min(self.counts):
            raise ValueError(f"{len(line)} columns")
        values = {}
        for name, field in zip(self.columns.split(), [*line, *[""] * min(self.counts)], strict=False):
            value = None if name == "_" else readers.get(name, decimal)(name, field)
            if value is not None:
                values[name] = value
        if self.short < len(line) and len(line) not in self.counts:
            values |= {name: absent(name, Reason.GARBLED) for name in values if name.endswith("sinr")}
        _standing(values)
        return values


def _standing(values: dict[str, Value]) -> None:
    """Check that each value can stand where it stands. Raises ValueError naming one that cannot."""
    for name, (low, high) in _CAN_BE.items():
        told = number(values.get(name))
        if told is not None and not low <= told <= high:
            raise ValueError(f"{name} cannot be read")
    for rsrp, *beside in (("lte_rsrp", "lte_rsrq", "rssi", "lte_sinr"), ("nr_ss_rsrp", "nr_ss_rsrq", "nr_ss_sinr")):
        if number(values.get(rsrp)) is None and any(number(values.get(name)) is not None for name in beside):
            raise ValueError(f"{rsrp} cannot be read")
    power, carriers = number(values.get("lte_rsrp")), number(values.get("rssi"))
    if power is not None and carriers is not None and carriers < power:  # RSRP is one of the carriers that RSSI sums up
        raise ValueError("rssi cannot be read")


def unread(word: str, why: str, layout: Layout | None = None) -> list[Value]:
    """Return what such a line would bring as absent, because it cannot be understood, and a text that says so."""
    names = CELL if layout is None else ("plmn", *(name for name in layout.columns.split() if name in CELL))
    return [Value("unread", "", f"{word}: {why}"), *(absent(name, Reason.GARBLED) for name in names)]


# --- radio words


class Word(NamedTuple):
    """What a radio word means: how the mode is called, its code in `wire.quantities`, its columns, its SINR's units."""

    mode: str
    radio: int
    layout: Layout
    sinr: tuple[str, ...] = ()


def access(words: list[str], known: dict[str, Word]) -> list[Value]:
    """Return mode and radio of these serving cells, one at least: an LTE anchor beside a 5G cell is EN-DC.

    Where one of the words is unknown it is the mode, and the radio is GARBLED.
    """
    strange = next((word for word in words if word not in known), None)
    if strange is not None:
        return [Value("mode", "", strange), absent("radio", Reason.GARBLED)]
    best = max((known[word] for word in words), key=lambda word: word.radio)
    return [Value("mode", "", best.mode), Value("radio", "1", best.radio)]


# --- units


class Unit(NamedTuple):
    """A number's meaning: `said * factor + offset`, and the printed numbers that it allows."""

    factor: float
    offset: float
    low: float
    high: float

    def in_db(self, said: float) -> float:
        """Return what a printed number means."""
        return round(said * self.factor + self.offset, 3)


LTE_SINR = {
    "dB": Unit(1, 0, -20, 30),
    "fifths": Unit(0.2, -20, 0, 250),  # Quectel EC2x, BG9x manuals: "1/5th of a dB, 0-250 is -20 to 30 dB"
    "2x-20": Unit(2, -20, 0, 25),  # SIMCom SIM70xx manual: "SINR = 2 * RSSNR - 20"; Quectel RM5xx manual alike
}
NR_SINR_UNITS = {"dB": Unit(1, 0, -23.5, 40), "tenths": Unit(0.1, 0, -235, 400)}
_FLOOR = -19.5  # dB: RSRQ is not printed lower, whatever it is
_NOISE = 8.0  # dB: a recorded -9.4 dB stood beside an RSRQ that leaves -2.8 dB at least


def lte_sinr(said: Value, rsrq: Value | None, units: tuple[str, ...], setting: str | None) -> Value:
    """Return LTE's SINR in dB, decided among `units` or by the setting.

    What RSRQ excludes is no reading of it: with noise and interference of SINR s, RSRQ is at most 1 / (2 + 12 / s).
    """
    told = number(rsrq)
    least = -math.inf if told is None or told <= _FLOOR else min(_least_sinr(told), 0.0) - _NOISE
    return _decided(said, {name: LTE_SINR[name] for name in units}, LTE_SINR.get(setting or ""), least)


def nr_sinr(said: Value, units: tuple[str, ...], setting: str | None) -> Value:
    """Return 5G's SINR in dB, decided among `units` or by the setting."""
    return _decided(said, {name: NR_SINR_UNITS[name] for name in units}, NR_SINR_UNITS.get(setting or ""))


def _decided(said: Value, units: dict[str, Unit], setting: Unit | None, least: float = -math.inf) -> Value:
    told = number(said)
    if told is None:
        return said
    if setting is not None:
        fits = setting.low <= told <= setting.high
        return Value(said.name, "dB", setting.in_db(told) if fits else told, None if fits else Reason.OUT_OF_RANGE)
    fitting = {unit.in_db(told) for unit in units.values() if unit.low <= told <= unit.high}
    readings = [db for db in fitting if db >= least]
    return Value(said.name, "dB", readings[0]) if len(readings) == 1 else Value(said.name, "dB", told, Reason.AMBIGUOUS)


def _least_sinr(rsrq_db: float) -> float:
    """Return the least SINR, in dB, that leaves such an RSRQ: only the reference signals of the own cell are on air."""
    inverse = 10 ** (-rsrq_db / 10)
    return -10 * math.log10((inverse - 2) / 12) if inverse > 2 else math.inf
