"""What an operator tells of a SIM when it is asked: money, data and days left, by USSD codes over the modem's AT port.

Source: 3GPP TS 27.007 §7.15 (CUSD), §8.3 (CCLK); codes and texts of each operator are data: `edge/operators/*.toml`.
On the bus of its modem, beside `modem_at`; asked at most once an hour, best once a day (`every_s = 86400`), and not in
the first 20 seconds after a start. A session takes up to half a minute, in which the modem tells nothing else.

A text that no pattern fits brings no number: it is absent as garbled, and the status has the text (`unread`) without
what could be a telephone's number. The days are counted from the modem's own date, which the network sets; without it,
or where it cannot be right, `expires` is told in the status alone.

Limits: no operator's network was asked, see the `source` of its file: UNTESTED on a SIM. Data-only plans often answer
by SMS instead, which is not read here.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import date
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, structs

from at import talk
from edge import operators
from edge.driver import Ask, BadReply, Driver, DriverConfig, Habits, Value
from edge.framing import ussd
from edge.plausible import judged, ranges
from settings.finding import unknown
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Generator

    from edge.driver import Io, Reply
    from edge.operators import Question

_UNITS = {"balance": "VND", "data": "MB", "days": "d"}
_QUANTITIES = {"balance": "sim_balance", "data": "sim_data_left", "days": "sim_days_left"}
_WAITS = 3  # time-outs for the network's answer
_CLOCK = re.compile(r'\+CCLK: *"(\d{2})/(\d{2})/(\d{2}),')
_EARLIEST = date(2025, 1, 1)  # a modem that knows no time begins in 1970, 1980 or 2004


class Config(DriverConfig, frozen=True, kw_only=True):
    """Whose SIM it is."""

    operator: Annotated[str, Meta(description="codes and texts", extra_json_schema={"enum": operators.names()})] = (
        "viettel"
    )

    def __post_init__(self) -> None:
        """Refuse an operator that is not there. Raises ValueError naming it."""
        if self.operator not in operators.names():
            raise unknown("operator", self.operator, operators.names())


def poll(config: Config) -> Io:
    """Ask every code of the operator and make one reading. Raises BadReply when none of them was answered."""
    today = yield from _today()
    values: dict[str, Value] = {}
    failures: list[BadReply] = []
    for question in operators.load(config.operator).ask:
        try:
            text = yield from _dialled(question.code)
        except BadReply as error:
            failures.append(error)
            continue
        for value in _read(text, question, today):
            if value.name not in values or values[value.name].value is None:
                values[value.name] = value
    if failures and not values:
        raise failures[0]
    why = failures[0].reason if failures else Reason.NOT_REPORTED
    for name in quantities(config):
        values.setdefault(name, Value(name, _UNITS[name], None, why))
    return judged(values.values(), ranges(quantities(config)))


def quantities(config: Config) -> dict[str, str]:
    """Return which value is which quantity, of those that the operator tells."""
    told = {"days" if value == "expires" else value for value in operators.load(config.operator).values}
    return {name: quantity for name, quantity in _QUANTITIES.items() if name in told}


def _today() -> Generator[Ask, Reply, date | None]:
    """Return the modem's date, None where it has none that can be right."""
    with suppress(BadReply, talk.Refused, ValueError):
        came = talk.answer((yield Ask(b"AT+CCLK?\r", until=talk.RESULT, at_rest=talk.AT_REST)))
        told = _CLOCK.search(came)
        if told is not None:
            today = date(2000 + int(told[1]), int(told[2]), int(told[3]))
            return today if _EARLIEST <= today < date(2079, 1, 1) else None
    return None


def _dialled(code: str) -> Generator[Ask, Reply, str]:
    """Dial a code and return what the network says to it. Raises BadReply."""
    command = f'AT+CUSD=1,"{code}",15'
    came = yield Ask(command.encode() + b"\r", until=talk.RESULT, at_rest=talk.AT_REST)
    try:
        talk.answer(came)
    except talk.Refused as refused:
        raise BadReply(f"cme:{refused.code}" if refused.code else "error", f"{code}: {refused}") from refused
    answer = ussd.ANSWER.search(came) or (yield from _waited(code))
    kind, text, coding = answer[1], answer[2], answer[3]
    if kind == b"1":  # a menu: whoever leaves it open gets no further answer
        with suppress(BadReply):
            yield Ask(b"AT+CUSD=2\r", until=talk.RESULT, at_rest=talk.AT_REST)
    if text is None or kind not in {b"0", b"1", b"2"}:
        raise BadReply("error", f"{code}: the network ended it without an answer (+CUSD: {kind.decode()})")
    try:
        return ussd.said(text, int(coding) if coding else None)
    except ValueError as error:
        raise BadReply("garbled", f"{code}: {error}") from error


def _waited(code: str) -> Generator[Ask, Reply, re.Match[bytes]]:
    """Listen for the network's answer, and end the session where it does not come."""
    for _ in range(_WAITS):
        with suppress(BadReply):
            answer = ussd.ANSWER.search((yield Ask(until=ussd.ANSWER)))
            assert answer is not None, "the exchange returns what ends so"
            return answer
    with suppress(BadReply):
        yield Ask(b"AT+CUSD=2\r", until=talk.RESULT, at_rest=talk.AT_REST)
    raise BadReply("silence", f"{code}: the network did not answer")


def _read(text: str, question: Question, today: date | None) -> list[Value]:
    """Return what is found in an answer; a text in which nothing is found is told."""
    values, read = [], False
    for find in question.find:
        name = "days" if find.value == "expires" else find.value
        try:
            told = ussd.found(text, find)
        except ValueError:
            values.append(Value(name, _UNITS[name], None, Reason.AMBIGUOUS))
            continue
        read |= told is not None
        if isinstance(told, date):
            values.append(Value("expires", "", told.isoformat()))
            told = None if today is None else float((told - today).days)
            values.append(Value(name, _UNITS[name], told, Reason.NOT_REPORTED if told is None else None))
        else:
            values.append(Value(name, _UNITS[name], told, Reason.NOT_REPORTED if told is None else None))
    if read:
        return values
    lost = [one if one.reason is Reason.AMBIGUOUS else structs.replace(one, reason=Reason.GARBLED) for one in values]
    return [*lost, Value("unread", "", f"{question.code}: {ussd.masked(text)}")]


_HABITS = Habits(baud=115_200, timeout_s=10.0, seldom_s=3_600.0)
DRIVER = Driver("sim_ussd", "SIM, by USSD over AT commands", Config, poll, quantities, _HABITS, checksum=False)
