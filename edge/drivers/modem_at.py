"""LTE and 5G modems by AT commands: registration, radio access, cell and signal strength of one SIM.

Source: 3GPP TS 27.007 (CREG family, CESQ, CSQ, COPS), 36.133 and 38.133 (index tables, lower edge of each interval),
Quectel RG50xQ/RM5xxQ AT manual (QENG, QCAINFO), SIMCom SIM8200 AT manual v1.01 (CPSI). One poll asks several
commands and makes one reading of them; a refused one (C5GREG on an LTE modem) costs only itself. "No service" is a
reading with registration and radio, not an error: it is the most valuable coverage sample there is.

Every answer's own fields are given under the modem's words (`stat`, `act`, `state`, `operator` …); where two answers
carry one name, the earlier command's counts. Made from all of them: `registration` (in service if LTE or 5G is),
`radio`, `plmn`, `tac`, `cell_id`.

Read-only, but for `setup`: where an answer comes without tac and cell, or an operator without its number, the modem
is told so once (`AT+CEREG=2`, `AT+C5GREG=2`, `AT+COPS=3,2`) and asked again. Echo and error style stay as they are.

Limits: SINR beyond ±60 is taken as tenths (old firmware); SIMCom's LTE SNR has no settled unit and is given raw;
GSM and WCDMA cells give identity only. With `commands = []` the driver only listens for one registration message.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from edge.driver import Ask, BadReply, Driver, DriverConfig, Habits, Value
from edge.framing import at
from edge.plausible import judged, ranges
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from edge.driver import Io, Reply

_QENG = 'AT+QENG="servingcell"'
_BASIC = ("AT+CEREG?", "AT+C5GREG?", "AT+CESQ", "AT+COPS?")
_COMMANDS = {"generic": _BASIC, "quectel": (_QENG, *_BASIC), "simcom": ("AT+CPSI?", *_BASIC)}
_REGISTRATIONS = ("+C5GREG", "+CEREG", "+CGREG", "+CREG")
_BEST = (1, 5, 9, 10, 6, 7, 8, 3, 2, 0, 4)  # of two registrations the one that serves; else the one that says more
_UNREGISTERED = frozenset({0, 2, 3, 4, 8})
_RADIO_OF_ACT = {0: 1, 1: 1, 3: 1, 8: 1, 2: 2, 4: 2, 5: 2, 6: 2, 7: 3, 9: 3, 10: 3, 11: 5, 12: 5, 13: 4}  # 27.007 <AcT>
_RADIO_OF_MODE = {"GSM": 1, "WCDMA": 2, "LTE": 3, "EN-DC": 4, "SA": 5}
_STATE_REGISTRATION = {"SEARCH": 2, "LIMSRV": 8, "NOCONN": 1, "CONNECT": 1, "NO SERVICE": 0}
_CELL = ("registration", "radio", "plmn", "tac", "cell_id", "pci", "nr_pci", "earfcn", "nr_arfcn", "rssi")
_LTE, _NR = ("lte_rsrp", "lte_rsrq"), ("nr_ss_rsrp", "nr_ss_rsrq", "nr_ss_sinr")
_REGISTERED = ("registration", "radio", "tac", "cell_id")
_NAMES = {  # which mapped values an answer can bring
    "+QENG": (*_CELL, *_LTE, "lte_sinr", *_NR),
    "+CPSI": (*_CELL, *_LTE, *_NR),
    "+CESQ": ("rssi", *_LTE, *_NR),
    "+CSQ": ("rssi",),
    "+COPS": ("radio", "plmn"),
    **dict.fromkeys(_REGISTRATIONS, _REGISTERED),
}
_MESSAGE = re.compile(rb"\+C(?:5G|E|G)?REG:[^\r\n]*\r\n")
_UNITS = {"rssi": "dBm", "rscp": "dBm", "lte_rsrp": "dBm", "nr_ss_rsrp": "dBm"} | dict.fromkeys(
    ("ecio", "lte_rsrq", "lte_sinr", "nr_ss_rsrq", "nr_ss_sinr"), "dB"
)


class Config(DriverConfig, frozen=True, kw_only=True):
    """Which modem, and what it is asked."""

    vendor: Annotated[
        Literal["generic", "quectel", "simcom"], Meta(description="adds the maker's own serving-cell command")
    ] = "generic"
    commands: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^AT[ -~]*$")], ...] | None,
        Meta(description="asked instead of the vendor's list, in this order; [] only listens"),
    ] = None
    setup: Annotated[bool, Meta(description="may switch on tac and cell in registration answers")] = True

    @property
    def asked(self) -> tuple[str, ...]:
        """The commands of one poll."""
        return _COMMANDS[self.vendor] if self.commands is None else self.commands


def poll(config: Config) -> Io:
    """Ask every command and make one reading. Raises BadReply when none of them was answered."""
    if not config.asked:
        return (yield from _listen(config))
    answers: dict[str, list[Value]] = {}
    failures: dict[str, BadReply] = {}
    for command in config.asked:
        try:
            answers[command] = yield from _answer(command, config)
        except BadReply as error:
            failures[command] = error
            if error.kind in {"silence", "short"}:  # what comes now may be late: nothing after it could be trusted
                break
    if not answers:
        raise next(iter(failures.values()))
    return _together(config, answers, failures)


def quantities(config: Config) -> dict[str, str]:
    """Return which value is which quantity, for the commands that are asked."""
    prefixes = [_prefix(command) for command in config.asked] or ["+CEREG"]
    names = dict.fromkeys(name for prefix in prefixes for name in _NAMES.get(prefix, ()))
    return {name: "cell" if name == "cell_id" else name for name in names}


def _listen(config: Config) -> Io:
    heard = yield Ask(until=_MESSAGE)
    text = heard.decode("ascii", "replace")
    for prefix in _REGISTRATIONS:
        for fields in at.lines(text, prefix):
            try:
                values = [Value("urc", "1", 1), *_registered(fields)]
            except ValueError as error:
                raise BadReply("garbled", f"{text.strip()!r}: {error}") from error
            return _together(config, {f"AT{prefix}?": values}, {})
    raise BadReply("garbled", f"{text.strip()!r} is no registration message")


def _send(command: str) -> Generator[Ask, Reply, str]:
    return at.answer((yield Ask(command.encode("ascii") + b"\r", until=at.RESULT)), command)


def _answer(command: str, config: Config) -> Generator[Ask, Reply, list[Value]]:
    values = _decode(command, (yield from _send(command)))
    wanted = _missing_setup(command, values, config) if config.setup else None
    if wanted is None:
        return values
    try:
        yield from _send(wanted)
        again = _decode(command, (yield from _send(command)))
    except BadReply:
        return values
    return again


def _missing_setup(command: str, values: list[Value], config: Config) -> str | None:
    told = {value.name: value.value for value in values}
    prefix = _prefix(command)
    if prefix in _REGISTRATIONS and told.get("n") in {0, 1}:
        return f"AT{prefix}=2"
    named = isinstance(told.get("operator"), str) and not str(told["operator"]).isdigit()
    if prefix == "+COPS" and named and not {"+QENG", "+CPSI"} & {_prefix(each) for each in config.asked}:
        return "AT+COPS=3,2"
    return None


def _prefix(command: str) -> str:
    match = re.match(r"AT([+#!^$][A-Z0-9]+)", command)
    return match[1] if match else ""


def _decode(command: str, text: str) -> list[Value]:
    """Return the answer's own values, judged as one frame. Raises BadReply."""
    prefix = _prefix(command)
    decode = _DECODERS.get(prefix)
    if decode is None:
        return []
    found = at.lines(text, prefix)
    if not found and prefix != "+QCAINFO":
        raise BadReply("garbled", f"{command}: OK without a line {prefix}")
    try:
        values = decode(found)
    except (ValueError, IndexError) as error:
        raise BadReply("garbled", f"{command}: {text.strip()!r}: {error}") from error
    return judged(values, ranges({value.name: _QUANTITY[value.name] for value in values if value.name in _QUANTITY}))


def _together(config: Config, answers: dict[str, list[Value]], failures: dict[str, BadReply]) -> list[Value]:
    values: dict[str, Value] = {}
    for value in (value for told in answers.values() for value in told):
        values.setdefault(value.name, value)
    serving = _serving(answers)
    values |= _registration(values, serving) | _radio(values, serving) | _plmn(values)
    if serving and not {"+QENG", "+CPSI"} & {_prefix(each) for each in answers}:
        values |= {name: serving[name] for name in ("tac", "cell_id")}
    for name in quantities(config):
        values.setdefault(name, _unit_absent(name, _why(name, failures)))
    return list(values.values())


def _why(name: str, failures: dict[str, BadReply]) -> Reason:
    """Return why a value is absent: its command failed, or its answer does not carry it."""
    failed = (error.reason for command, error in failures.items() if name in _NAMES.get(_prefix(command), ()))
    return next(failed, Reason.NOT_REPORTED)


def _serving(answers: dict[str, list[Value]]) -> dict[str, Value]:
    """Return the values of the registration that serves, or that says most."""
    told = [{v.name: v for v in values} for cmd, values in answers.items() if _prefix(cmd) in _REGISTRATIONS]
    known = [each for each in told if _code(each["stat"]) in _BEST]
    return min(known, key=lambda each: _BEST.index(_code(each["stat"])), default={})


def _code(value: Value | None) -> int:
    """Return a value's whole number, or -1 where it has none."""
    return int(value.value) if value is not None and isinstance(value.value, int | float) else -1


def _registration(values: dict[str, Value], serving: dict[str, Value]) -> dict[str, Value]:
    state = values.get("state")
    stat = _code(serving["stat"]) if serving else _STATE_REGISTRATION.get(str(state.value)) if state else None
    return {} if stat is None else {"registration": Value("registration", "1", stat)}


def _radio(values: dict[str, Value], serving: dict[str, Value]) -> dict[str, Value]:
    """Return the radio access: the maker's own word, else what the registration says; none without service."""
    nr_heard = "nr_ss_rsrp" in values and values["nr_ss_rsrp"].value is not None
    mode, state = (str(values[name].value) if name in values else "" for name in ("mode", "state"))
    act = _code(serving.get("act", values.get("act")))
    if mode in _RADIO_OF_MODE:
        code = _RADIO_OF_MODE[mode]
        code = 3 if code == 4 and not nr_heard else code  # a 5G cell is announced, but not heard
    elif state in {"SEARCH", "NO SERVICE"} or (serving and _code(serving["stat"]) in _UNREGISTERED):
        code = 0
    elif act in _RADIO_OF_ACT:
        code = _RADIO_OF_ACT[act]
        code = 4 if code == 3 and nr_heard else code  # EN-DC: the anchor is LTE, both halves of CESQ are filled
    else:
        return {}
    return {"radio": Value("radio", "1", code)}


def _plmn(values: dict[str, Value]) -> dict[str, Value]:
    told = [str(values[name].value) for name in ("mcc", "mnc") if name in values]
    operator = values.get("operator")
    if not told and operator is not None and re.fullmatch(r"\d{5,6}", str(operator.value)):
        told = [str(operator.value)[:3], str(operator.value)[3:]]
    if len(told) != 2 or not all(each.isdigit() for each in told) or int(told[0]) == 0:
        return {}
    return {"plmn": Value("plmn", "1", int(told[0]) * 1000 + int(told[1]))}


# --- one answer's own values -----------------------------------------------------------------------------------


def _unit_absent(name: str, reason: Reason = Reason.NOT_REPORTED) -> Value:
    return Value(name, _UNITS.get(name, "1"), None, reason)


def _text(name: str, field: str) -> Value:
    text = at.bare(field)
    absent = text in {"", "-"}
    return Value(name, "", None if absent else text, Reason.NOT_REPORTED if absent else None)


def _decimal(name: str, field: str, factor: float = 1.0) -> Value:
    """Return a number as printed, times `factor`; empty or `-` is not reported, -32768 is the maker's "none"."""
    said = at.bare(field)
    if said in {"", "-"}:
        return _unit_absent(name)
    if not re.fullmatch(r"-?\d+(\.\d+)?", said):
        raise ValueError(f"{name} {said!r} is not a number")
    if said == "-32768":
        return _unit_absent(name, Reason.SENTINEL)
    return Value(name, _UNITS.get(name, "1"), round(float(said) * factor, 3))


def _sinr(name: str, field: str) -> Value:
    value = _decimal(name, field)
    if isinstance(value.value, float) and abs(value.value) > 60:  # old firmware prints tenths of a dB
        return Value(name, "dB", round(value.value / 10, 3))
    return value


def _hexadecimal(name: str, field: str) -> Value:
    """Return an identity; all ones, and FFFE as tracking area, mean that there is none (3GPP TS 23.003 §19.4.2.3)."""
    said = at.bare(field).upper()
    if said in {"", "-"}:
        return _unit_absent(name)
    none = {"FFFE", "FFFF", "FFFFFE", "FFFFFF"} if name == "tac" else {"F" * n for n in (7, 8, 9)}
    if said in none:
        return _unit_absent(name, Reason.SENTINEL)
    if not re.fullmatch(r"(0X)?[0-9A-F]{1,9}", said):
        raise ValueError(f"{name} {said!r} is not hexadecimal")
    return Value(name, "1", int(said, 16))


class _Table(Struct, frozen=True):
    """A 3GPP index table: the code for "none", the highest index, the step and the lower edge of index 0."""

    none: int
    top: int
    step: float
    bottom: float

    def value(self, name: str, field: str) -> Value:
        """Return the lower edge of the interval that the index stands for."""
        index = int(field)
        if index == self.none:
            return _unit_absent(name, Reason.SENTINEL)
        if not 0 <= index <= self.top:
            return _unit_absent(name, Reason.OUT_OF_RANGE)
        return Value(name, _UNITS[name], index * self.step + self.bottom)


_CSQ = _Table(99, 31, 2, -113)  # 27.007 §8.5
_CESQ = {  # 27.007 §8.69: the order of the fields; the second one, bit error rate, is not used
    "rssi": (0, _Table(99, 63, 1, -111)),
    "rscp": (2, _Table(255, 96, 1, -121)),
    "ecio": (3, _Table(255, 49, 0.5, -24.5)),
    "lte_rsrq": (4, _Table(255, 34, 0.5, -20)),
    "lte_rsrp": (5, _Table(255, 97, 1, -141)),
    "nr_ss_rsrq": (6, _Table(255, 126, 0.5, -43.5)),
    "nr_ss_rsrp": (7, _Table(255, 126, 1, -157)),
    "nr_ss_sinr": (8, _Table(255, 127, 0.5, -23.5)),
}


def _csq(found: list[list[str]]) -> list[Value]:
    return [_CSQ.value("rssi", found[-1][0])]


def _cesq(found: list[list[str]]) -> list[Value]:
    """Six fields, nine on 5G modems."""
    told = found[-1]
    if len(told) < 6:
        raise ValueError(f"{len(told)} fields, at least 6 expected")
    values = [table.value(name, told[place]) for name, (place, table) in _CESQ.items() if place < len(told)]
    if any(value.value is not None for value in values[3:]):
        values[0] = _unit_absent("rssi")  # some print a GSM level although no GSM cell is there
    return values


def _registrations(found: list[list[str]]) -> list[Value]:
    """Take the last line that has <n> first; an unsolicited line with the same prefix may race the answer."""
    asked = [told for told in found if _is_asked(told)]
    if not asked:
        raise ValueError("only an unsolicited message, no answer")
    return [_decimal("n", asked[-1][0]), *_registered(asked[-1][1:])]


def _is_asked(told: list[str]) -> bool:
    """Tell `<n>,<stat>…` from the unsolicited `<stat>[,<tac>,<ci>,<AcT>]`."""
    unsolicited = len(told) == 4 and _is_act(told[3])
    return len(told) >= 2 and bool(re.fullmatch(r"\d|10", told[1])) and not unsolicited


def _registered(told: list[str]) -> list[Value]:
    """Return stat, tac, cell and access technology of `stat[,tac[,rac],ci,act…]` (the rac is one vendor's)."""
    stat, tac, rest = told[0], "".join(told[1:2]), [*told[2:], "", "", ""]
    if rest[2] and not _is_act(rest[1]) and _is_act(rest[2]):
        rest = rest[1:]
    return [
        _decimal("stat", stat),
        _hexadecimal("tac", tac),
        _hexadecimal("cell_id", rest[0]),
        _decimal("act", rest[1]),
    ]


def _is_act(field: str) -> bool:
    return bool(re.fullmatch(r"\d|1[0-5]", field))


def _cops(found: list[list[str]]) -> list[Value]:
    told = [*found[-1], "", "", ""]
    return [_decimal("mode", told[0]), _text("operator", told[2]), _decimal("act", told[3])]


def _qcainfo(found: list[list[str]]) -> list[Value]:
    return [Value("carriers", "1", len(found))]


def _mode(kinds: list[str]) -> Value:
    """Return the radio access of these serving cells: an LTE anchor beside a 5G cell is EN-DC."""
    if "NSA" in kinds:
        return Value("mode", "", "EN-DC")
    return Value("mode", "", kinds[0]) if kinds else Value("mode", "", None, Reason.NOT_REPORTED)


_QENG_KINDS = {"LTE": "LTE", "NR5G-NSA": "NSA", "NR5G-SA": "SA", "WCDMA": "WCDMA", "GSM": "GSM"}


def _qeng(found: list[list[str]]) -> list[Value]:
    """One cell on the state's own line, or several on lines of their own."""
    cells, state = [], Value("state", "", None, Reason.NOT_REPORTED)
    for told in found:
        if at.bare(told[0]) == "servingcell":
            state = _text("state", told[1])
            cells += [told[2:]] if len(told) > 2 else []
        else:
            cells.append(told)
    kinds = [_QENG_KINDS.get(at.bare(cell[0]), at.bare(cell[0])) for cell in cells]
    values = [state, _mode(kinds)]
    for kind, cell in zip(kinds, cells, strict=True):
        values += _qeng_cell(kind, cell)
    return values


def _qeng_cell(kind: str, cell: list[str]) -> list[Value]:
    if kind == "NSA":  # RSRP, SINR, RSRQ, then on newer firmware ARFCN and band
        told = [*cell, "", ""]
        return [
            _decimal("nr_pci", told[3]),
            _decimal("nr_ss_rsrp", told[4]),
            _sinr("nr_ss_sinr", told[5]),
            _decimal("nr_ss_rsrq", told[6]),
            _decimal("nr_arfcn", told[7]),
            _decimal("nr_band", told[8]),
        ]
    if kind in {"WCDMA", "GSM"}:
        area = [_hexadecimal("tac", cell[3]), _hexadecimal("cell_id", cell[4])]
        return [_text("mcc", cell[1]), _text("mnc", cell[2]), *area]
    if kind not in {"LTE", "SA"}:
        return []
    identity = [_text("mcc", cell[2]), _text("mnc", cell[3]), _hexadecimal("cell_id", cell[4])]
    if kind == "SA":  # RSRP, RSRQ, SINR: not as in NSA
        return [
            *identity,
            _decimal("nr_pci", cell[5]),
            _hexadecimal("tac", cell[6]),
            _decimal("nr_arfcn", cell[7]),
            _decimal("nr_band", cell[8]),
            _decimal("nr_ss_rsrp", cell[10]),
            _decimal("nr_ss_rsrq", cell[11]),
            _sinr("nr_ss_sinr", cell[12]),
        ]
    return [
        *identity,
        _decimal("pci", cell[5]),
        _decimal("earfcn", cell[6]),
        _decimal("lte_band", cell[7]),
        _hexadecimal("tac", cell[10]),
        _decimal("lte_rsrp", cell[11]),
        _decimal("lte_rsrq", cell[12]),
        _decimal("rssi", cell[13]),
        _sinr("lte_sinr", cell[14]),
    ]


_CPSI_KINDS = {"LTE": "LTE", "NR5G_NSA": "NSA", "NR5G": "NSA", "NR5G_SA": "SA", "WCDMA": "WCDMA", "GSM": "GSM"}


def _cpsi(found: list[list[str]]) -> list[Value]:
    cells = [told for told in found if told[0] != "NO SERVICE"]
    kinds = [_CPSI_KINDS.get(cell[0], cell[0]) for cell in cells]
    values = [_mode(kinds)] if kinds else [_mode(kinds), Value("state", "", "NO SERVICE")]
    for kind, cell in zip(kinds, cells, strict=True):
        values += _cpsi_cell(kind, cell)
    return values


def _cpsi_cell(kind: str, told: list[str]) -> list[Value]:
    """Levels are tenths; the cell is decimal here, where Quectel prints hexadecimal."""
    if kind == "NSA" and not re.fullmatch(r"\d+", told[2]):  # manual v1.01: pci, band, arfcn, RSRP, RSRQ, SNR
        return [
            _decimal("nr_pci", told[1]),
            _decimal("nr_arfcn", told[3]),
            _decimal("nr_ss_rsrp", told[4], 0.1),
            _decimal("nr_ss_rsrq", told[5], 0.1),
            _sinr("nr_ss_sinr", told[6]),
        ]
    if kind == "NSA":  # older firmware: pci, arfcn, RSRQ, RSRP, SNR, whole dB
        return [
            _decimal("nr_pci", told[1]),
            _decimal("nr_arfcn", told[2]),
            _decimal("nr_ss_rsrq", told[3]),
            _decimal("nr_ss_rsrp", told[4]),
            _sinr("nr_ss_sinr", told[5]),
        ]
    if kind not in {"LTE", "SA", "WCDMA", "GSM"}:
        return []
    mcc, _, mnc = told[2].partition("-")
    identity = [_text("mcc", mcc), _text("mnc", mnc), _hexadecimal("tac", told[3]), _decimal("cell_id", told[4])]
    if kind == "SA":
        return [
            *identity,
            _decimal("nr_pci", told[5]),
            _decimal("nr_arfcn", told[7]),
            _decimal("nr_ss_rsrp", told[8], 0.1),
            _decimal("nr_ss_rsrq", told[9], 0.1),
            _sinr("nr_ss_sinr", told[10]),
        ]
    if kind != "LTE":
        return identity
    return [
        *identity,
        _decimal("pci", told[5]),
        _decimal("earfcn", told[7]),
        _decimal("lte_rsrq", told[10], 0.1),
        _decimal("lte_rsrp", told[11], 0.1),
        _decimal("rssi", told[12], 0.1),
        _decimal("lte_snr_raw", told[13]),
    ]


_DECODERS: dict[str, Callable[[list[list[str]]], list[Value]]] = {
    "+CSQ": _csq,
    "+CESQ": _cesq,
    "+COPS": _cops,
    "+QENG": _qeng,
    "+QCAINFO": _qcainfo,
    "+CPSI": _cpsi,
    **dict.fromkeys(_REGISTRATIONS, _registrations),
}
_QUANTITY = {name: "cell" if name == "cell_id" else name for names in _NAMES.values() for name in names}

# AT+COPS? and a busy modem take their time (27.007 names no limit; makers give 300 ms to 5 s for these commands)
_HABITS = Habits(baud=115_200, timeout_s=3.0)
DRIVER = Driver("modem_at", "LTE or 5G modem by AT commands", Config, poll, quantities, _HABITS)
