"""LTE and 5G modems by AT commands: registration, radio access, cell and signal strength of one SIM.

Source: 3GPP TS 27.007 and what each maker adds; the commands and tables of each are in `edge/framing/at_<vendor>.py`.
One poll asks several commands and makes one reading of them; a refused one (C5GREG on an LTE modem) costs only itself.
"No service" is a reading with registration and radio, not an error: it is the most valuable coverage sample there is.

Every answer's own fields are given under the modem's words (`stat`, `act`, `state`, `operator` …); where two answers
carry one name, the earlier command's counts, unless it could not be read. Made from all of them: `registration` (in
service if LTE or 5G is), `radio`, `plmn`, `tac`, `cell_id`. A line whose radio word or columns are not known leaves its
levels absent as garbled, and says so in the status (`mode`, `unread`); what a number means is decided by tables, and
absent as ambiguous where it cannot be (`lte_sinr`, `nr_sinr`).

Read-only, but for `setup`: where an answer comes without tac and cell, or an operator without its number, the modem
is told so once (`AT+CEREG=2`, `AT+C5GREG=2`, `AT+COPS=3,2`) and asked again. Echo and error style stay as they are.

With `position` the modem's own GNSS is asked where it is (UNTESTED on hardware, as manuals have it): a Quectel's is
switched on where it is off, a SIMCom's must be (`AT+CGPS=1`, or `AT+CGPSAUTO=1` for good). Without a fix the place is
absent as such, never the last one; the other way is the modem's NMEA port, by `nmea0183`.

Limits: GSM and WCDMA cells give identity only. With `commands = []` the driver only listens for one registration
message: what comes between two polls is missed, unless `timeout_s` is nearly as long as `every_s`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from at import talk
from edge.driver import Ask, BadReply, Driver, DriverConfig, Habits, Value
from edge.framing.at_generic import RADIO_OF_ACT, REGISTRATIONS, registered
from edge.framing.cells import Units, absent, number
from edge.framing.vendors import answers, vendor, vendors
from edge.plausible import judged, ranges
from settings.finding import unknown
from wire.quantities import IN_SERVICE
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Generator

    from edge.driver import Io, Reply
    from edge.framing.cells import Answer

_BEST = (1, 5, 9, 10, 6, 7, 8, 3, 2, 0, 4)  # of two registrations the one that serves; else the one that says more
_UNREGISTERED = frozenset({0, 2, 3, 4, 8})
# <stat> alone, or as many fields as its form has: of one that another message cut in two, half a cell would be told
_MESSAGE = re.compile(rb'\+C(?:5G|E|G)?REG: *\d+ *(?:(?:, *"[^"\r\n]*" *){2}|(?:,[^,\r\n]*){3,})?\r\n[\s\S]*')
# … and only silence shows that no piece of it follows: `…,1`, RING, `2` is AcT 12
_NOTHING_ENDS = re.compile(rb"(?!)")
_NOT_UNDERSTOOD = frozenset({Reason.GARBLED, Reason.AMBIGUOUS})


class Config(DriverConfig, frozen=True, kw_only=True):
    """Which modem, and what it is asked."""

    vendor: Annotated[
        str,
        Meta(description="adds the maker's own serving-cell command", extra_json_schema={"enum": vendors()}),
    ] = "generic"
    commands: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^AT[ -~]*$")], ...] | None,
        Meta(description="asked instead of the vendor's list, in this order; [] only listens"),
    ] = None
    setup: Annotated[bool, Meta(description="may switch on tac and cell in registration answers")] = True
    lte_sinr: Annotated[
        Literal["dB", "fifths", "2x-20"] | None,
        Meta(description="what the modem's manual says LTE's SINR is, where its answers do not tell"),
    ] = None
    nr_sinr: Annotated[
        Literal["dB", "tenths"] | None,
        Meta(description="what the modem's manual says 5G's SINR is, where its answers do not tell"),
    ] = None

    position: Annotated[
        bool, Meta(description="asks the modem's own GNSS where it is; with `setup` it is switched on")
    ] = False

    def __post_init__(self) -> None:
        """Refuse a vendor that is not there, or knows no position. Raises ValueError naming it."""
        if self.vendor not in vendors():
            raise unknown("vendor", self.vendor, list(vendors()))
        if self.position and not vendor(self.vendor).position:
            raise ValueError(f'vendor "{self.vendor}" has no command for `position`; read its NMEA port by nmea0183')

    @property
    def asked(self) -> tuple[str, ...]:
        """The commands of one poll."""
        own = (*vendor(self.vendor).commands, *vendor("generic").commands)
        asked = tuple(dict.fromkeys(own)) if self.commands is None else self.commands
        return (*asked, vendor(self.vendor).position) if self.position else asked


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
    asked = config.asked or ("AT+CEREG?",)
    return {name: _quantity(name) for command in asked for name in _names(command)}


def _quantity(name: str) -> str:
    return "cell" if name == "cell_id" else name


def _known(command: str) -> Answer | None:
    return answers().get(_prefix(command))


def _names(command: str) -> tuple[str, ...]:
    known = _known(command)
    return known.names if known else ()


def _serves(command: str) -> bool:
    known = _known(command)
    return known is not None and known.serving


def _prefix(command: str) -> str:
    match = re.match(r"AT([+#!^$][A-Z0-9]+)", command)
    return match[1] if match else ""


# --- one command


def _listen(config: Config) -> Io:
    heard = _MESSAGE.search((yield Ask(until=_NOTHING_ENDS, at_rest=_MESSAGE)))
    assert heard is not None, "the exchange returns what ends in a message"
    text = heard[0].decode("ascii", "replace")
    prefix = text.partition(":")[0]
    try:
        (told,) = talk.lines(text, prefix)
        values = registered(told)
    except ValueError as error:
        raise BadReply("garbled", f"{text.strip()!r}: {error}") from error
    return _together(config, {f"AT{prefix}?": [Value("urc", "1", 1), *values]}, {})


def _send(command: str) -> Generator[Ask, Reply, str]:
    came = yield Ask(command.encode("ascii") + b"\r", until=talk.RESULT, at_rest=talk.AT_REST)
    try:
        return talk.answer(came)
    except talk.Refused as refused:
        raise BadReply(f"cme:{refused.code}" if refused.code else "error", f"{command}: {refused}") from refused


def _answer(command: str, config: Config) -> Generator[Ask, Reply, list[Value]]:
    if command == vendor(config.vendor).position:
        return (yield from _placed(command, config))
    values = _decode(command, (yield from _send(command)), config)
    wanted = _missing_setup(command, values, config) if config.setup else None
    if wanted is None:
        return values
    try:
        yield from _send(wanted)
        again = _decode(command, (yield from _send(command)), config)
    except BadReply:
        return values
    return again


def _placed(command: str, config: Config) -> Generator[Ask, Reply, list[Value]]:
    """Ask for the position, and switch the modem's GNSS on where it is off: its first fix takes a while."""
    own = vendor(config.vendor)
    try:
        return _decode(command, (yield from _send(command)), config)
    except BadReply as error:
        if error.kind == f"cme:{own.not_started}" and config.setup:
            yield from _send(own.start)
        elif error.kind != f"cme:{own.no_fix}":
            raise
        raise BadReply("no_fix", str(error)) from error


def _missing_setup(command: str, values: list[Value], config: Config) -> str | None:
    told = {value.name: value.value for value in values}
    prefix = _prefix(command)
    if prefix in REGISTRATIONS and told.get("n") in {0, 1}:
        return f"AT{prefix}=2"
    named = isinstance(told.get("operator"), str) and not str(told["operator"]).isdigit()
    return "AT+COPS=3,2" if prefix == "+COPS" and named and not any(map(_serves, config.asked)) else None


def _decode(command: str, text: str, config: Config) -> list[Value]:
    """Return the answer's own values, judged as one frame. Raises BadReply."""
    known = _known(command)
    if known is None:
        return []
    try:
        found = talk.lines(text, _prefix(command))
        if not found and not known.empty:
            raise BadReply("garbled", f"{command}: OK without a line {_prefix(command)}")
        values = known.decode(found, Units(config.lte_sinr, config.nr_sinr))
    except (ValueError, IndexError) as error:
        raise BadReply("garbled", f"{command}: {text.strip()!r}: {error}") from error
    return judged(values, ranges({name: _quantity(name) for name in known.names}))


# --- one reading of all answers


def _together(config: Config, answers: dict[str, list[Value]], failures: dict[str, BadReply]) -> list[Value]:
    values: dict[str, Value] = {}
    for value in (value for told in answers.values() for value in told):
        if value.reason is None and value.name in values and values[value.name].reason in _NOT_UNDERSTOOD:
            values[value.name] = value
        values.setdefault(value.name, value)
    serving = _serving(answers, failures)
    values |= _registration(values, serving) | _radio(values, serving) | _plmn(values)
    if serving and not any(map(_serves, answers)):
        values |= {name: serving[name] for name in ("tac", "cell_id")}
    for name in quantities(config):
        values.setdefault(name, absent(name, _why(name, failures)))
    return list(values.values())


def _why(name: str, failures: dict[str, BadReply]) -> Reason:
    """Return why a value is absent: its command failed, or its answer does not carry it."""
    return next((error.reason for command, error in failures.items() if name in _names(command)), Reason.NOT_REPORTED)


def _serving(answers: dict[str, list[Value]], failures: dict[str, BadReply]) -> dict[str, Value]:
    """Return the values of the registration that serves, or that says most; one with a strange code says least.

    None where no answer tells of service and one is missing: it may be that one, and no service is an alarm.
    """
    told = [{v.name: v for v in values} for cmd, values in answers.items() if _prefix(cmd) in REGISTRATIONS]
    best = min(told, key=lambda each: (*_BEST, _code(each["stat"])).index(_code(each["stat"])), default={})
    return {} if _code(best.get("stat")) not in IN_SERVICE and any(map(_lost, failures.items())) else best


def _lost(failure: tuple[str, BadReply]) -> bool:
    """Tell whether a registration was lost on its way; a modem that refuses to tell 5G's has none."""
    command, error = failure
    return _prefix(command) in REGISTRATIONS and (error.reason is not Reason.REFUSED or _prefix(command) != "+C5GREG")


def _code(value: Value | None) -> int:
    """Return a value's whole number, or -1 where it has none."""
    told = number(value)
    return -1 if told is None else int(told)


def _registration(values: dict[str, Value], serving: dict[str, Value]) -> dict[str, Value]:
    """Return the registration that was asked for; else what the serving cell's answer says of it stays."""
    code = _code(serving.get("stat"))
    if code in _BEST:
        return {"registration": Value("registration", "1", code)}
    if code < 0 or number(values.get("registration")) is not None:
        return {}
    return {"registration": Value("registration", "1", code, Reason.OUT_OF_RANGE)}  # a newer release's code


def _radio(values: dict[str, Value], serving: dict[str, Value]) -> dict[str, Value]:
    """Return the radio access: the maker's own word, else what the registration says; none without service."""
    claimed = values.get("radio")
    nr = values.get("nr_ss_rsrp")
    nr_heard = number(nr) is not None
    act = _code(serving.get("act", values.get("act")))
    if claimed is not None and claimed.reason is None:
        if claimed.value == 4 and nr is not None and nr.reason is Reason.GARBLED:  # nobody knows whether it is heard
            return {"radio": absent("radio", Reason.GARBLED)}
        code = 3 if claimed.value == 4 and not nr_heard else _code(claimed)  # a 5G cell is announced, but not heard
    elif _code(serving.get("stat")) in _UNREGISTERED:
        code = 0
    elif act in RADIO_OF_ACT:
        code = RADIO_OF_ACT[act]
        code = 4 if code == 3 and nr_heard else code  # EN-DC: the anchor is LTE, both halves of CESQ are filled
    else:
        return {}
    return {"radio": Value("radio", "1", code)}


def _plmn(values: dict[str, Value]) -> dict[str, Value]:
    told = [str(values[name].value) for name in ("mcc", "mnc") if name in values and values[name].value is not None]
    operator = values.get("operator")
    if not told and operator is not None and re.fullmatch(r"\d{5,6}", str(operator.value)):
        told = [str(operator.value)[:3], str(operator.value)[3:]]
    if len(told) != 2 or not all(each.isdigit() for each in told) or int(told[0]) == 0:
        return {}
    return {"plmn": Value("plmn", "1", int(told[0]) * 1000 + int(told[1]))}


# AT+COPS? and a busy modem take their time (27.007 names no limit; makers give 300 ms to 5 s for these commands)
_HABITS = Habits(baud=115_200, timeout_s=3.0)
DRIVER = Driver("modem_at", "LTE or 5G modem by AT commands", Config, poll, quantities, _HABITS, checksum=False)
