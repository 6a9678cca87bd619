"""What modems say of cells: units decided by tables, columns that moved, vendors that are new files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec
import pytest

import at.talk
from edge import drivers, framing
from edge.driver import BadReply, Value
from edge.drivers import modem_at
from edge.framing import vendors
from edge.framing.cells import CELL, Table, Units, decimal, lte_sinr, nr_sinr
from edge.sense.exchange import run
from edge.sense.lines import SimulatedLine
from wire.reading import Reason

FRAMES = Path(__file__).parents[1] / "data" / "frames"
CASES = [case for file in sorted(FRAMES.rglob("modem-at*.json")) for case in json.loads(file.read_text())["cases"]]
WITH_COLUMNS = [
    case for case in CASES if case["ok"] and case.get("command") in {'AT+QENG="servingcell"', "AT+CPSI?", "AT+CESQ"}
]


def decoded(command: str, lines: list[list[str]]) -> dict[str, object]:
    """Return the values that these lines bring, whatever they are refused with."""
    said = "\r\n".join(f"{modem_at._prefix(command)}: {','.join(line)}" for line in lines)
    try:
        values = modem_at._decode(command, said, modem_at.Config())
    except BadReply:
        return {}
    found: dict[str, object] = {}
    for value in values:
        if value.reason is None:
            found.setdefault(value.name, value.value)
    return found


@pytest.mark.parametrize("case", WITH_COLUMNS, ids=[case["id"] for case in WITH_COLUMNS])
def test_a_token_lost_or_added_anywhere_never_brings_another_value(case: dict) -> None:
    """Every recorded line, every place: what is still told of a cell is what the whole line tells."""
    lines = at.talk.lines(bytes.fromhex(case["rx"]).decode(), modem_at._prefix(case["command"]))
    right = decoded(case["command"], lines)
    for number, line in enumerate(lines):
        for at_ in range(len(line)):
            for instead in ([], ["7", line[at_]], ["-", line[at_]], ["-11", line[at_]], ["x", line[at_]]):
                moved = [*lines[:number], [*line[:at_], *instead, *line[at_ + 1 :]], *lines[number + 1 :]]
                got = decoded(case["command"], moved)
                wrong = {name: got[name] for name in CELL if name in got and got[name] != right.get(name)}
                assert not wrong, (at_, instead)


ASKED_CASES = [case for case in CASES if case["ok"] and case.get("command")]


BESIDE = ("\r\nRING\r\n", '\r\n+CUSD: 1,"20.000d, OK",15\r\n', "\r\n^SYSSTART\r\n", "\0")


@pytest.mark.parametrize("case", ASKED_CASES, ids=[case["id"] for case in ASKED_CASES])
def test_a_message_in_the_middle_of_an_answer_never_brings_another_value(case: dict) -> None:
    """RSRP -133 was told where -61 was said: `+CESQ: …,8`, RING, `0`. Between two lines it costs nothing."""
    command, text = case["command"], bytes.fromhex(case["rx"]).decode().rpartition("\r\nOK")[0]

    def told(said: str) -> dict[str, object]:
        try:
            values = modem_at._decode(command, said, modem_at.Config())
        except BadReply:
            return {}
        together = modem_at._together(modem_at.Config(commands=(command,)), {command: values}, {})
        return {value.name: value.value for value in together if value.reason is None}

    right = told(text)
    for place in range(len(text) + 1):
        beside = BESIDE[place % len(BESIDE)]
        got = told(text[:place] + beside + text[place:])
        wrong = {name: got[name] for name in modem_at._names(command) if name in got and got[name] != right.get(name)}
        assert not wrong, text[:place] + beside + text[place:]
    for beside in BESIDE[:-1]:
        assert told(beside + text + beside) == right


ONE_LINE = [case for case in ASKED_CASES if bytes.fromhex(case["rx"]).count(b": ") == 1]


def talk(came: bytes, **config: object) -> dict[str, object]:
    """Return the numbers that a poll tells when this comes at once and then nothing; none where it is refused."""
    line = SimulatedLine(lambda _frame: came)
    line.drain = lambda: None  # type: ignore[method-assign]
    line.write(b"")
    if config["commands"]:
        line.read(len(came), 0)
    try:
        values = run(modem_at.poll(modem_at.Config(setup=False, **config)), line)
    except BadReply:
        return {}
    return {value.name: value.value for value in values if value.reason is None}


@pytest.mark.parametrize("case", ONE_LINE, ids=[case["id"] for case in ONE_LINE])
def test_an_ok_in_the_middle_of_a_line_never_brings_another_value(case: dict) -> None:
    """Of `+CESQ: …,8`, OK, `0` an RSRP of -133 was told; a modem that drops the empty line before OK is still read."""
    said, commands = bytes.fromhex(case["rx"]), (case["command"],)
    text = said[: said.rindex(b"\r\n\r\nOK\r\n")]
    right = talk(said, commands=commands)
    assert talk(text + b"\r\nOK\r\n", commands=commands) == right
    for place in range(text.index(b": ") + 1, len(text)):
        got = talk(text[:place] + b"\r\nOK\r\n" + said[place:], commands=commands)
        wrong = {
            name: got[name] for name in modem_at._names(commands[0]) if got.get(name) not in (None, right.get(name))
        }
        assert not wrong, place


def test_a_registration_message_that_another_one_cuts_in_two_is_passed_over() -> None:
    """Listening only: of `+CEREG: 1,1F00,79`, RING, `D903,7` a cell 0x79 was told."""
    for whole in (
        b"+CEREG: 1, 1F00, 79D903 ,7\r\n",
        b'+CREG: 5,"1F00","79D903"\r\n',
        b'+C5GREG: 1,"1F00","79D903",7,4,"01"\r\n',
        b'+CEREG: 1,"1F00","79D903",13\r\n',
        b"+CEREG: 10\r\n",
    ):
        right = talk(b"\r\n" + whole, commands=())
        assert right["registration"] in {1, 5, 10}
        assert (right.get("tac", 0x1F00), right.get("cell_id", 0x79D903)) == (0x1F00, 0x79D903)
        for place in range(len(whole) - 1):
            got = talk(b"\r\n" + whole[:place] + b"\r\nRING\r\n" + whole[place:], commands=())
            assert all(
                got.get(name) in (None, right.get(name)) for name in ("tac", "cell_id", "registration", "radio")
            ), place
    assert talk(b"\r\n+CEREG: 5,1F0\r\n\r\n+CEREG: 1, 1F00, 79D903 ,7\r\n", commands=())["cell_id"] == 0x79D903
    assert talk(b"\r\n+CEREG: 2\r\n", commands=())["registration"] == 2


@pytest.mark.parametrize(
    ("said", "rsrq", "setting", "due"),
    [
        (53, -14, None, -9.4),  # beyond 30 dB: only fifths
        (250, -5, None, 30.0),
        (251, -5, None, None),  # no unit allows it
        (-3, -15, None, -3),  # fifths begin at 0
        (21, -9, None, 21),  # fifths would be -15.8 dB, which this RSRQ excludes
        (0, -11, None, 0),
        (12, -20, None, None),  # -17.6 dB or 12 dB; RSRQ at its floor excludes nothing
        (12, None, None, None),
        (31, -8, None, None),  # -13.8 dB contradicts RSRQ, and LTE has no 31 dB
        (12, -20, "fifths", -17.6),
        (12, -20, "dB", 12),
        (12, -20, "2x-20", 4),
        (31, -8, "dB", None),
    ],
)
def test_the_unit_of_lte_sinr(said: float, rsrq: float | None, setting: str | None, due: float | None) -> None:
    beside = None if rsrq is None else Value("lte_rsrq", "dB", rsrq)
    got = lte_sinr(Value("lte_sinr", "dB", said), beside, ("dB", "fifths"), setting)
    assert (got.value if got.reason is None else None) == due
    assert due is not None or (got.value, got.reason) == (said, Reason.OUT_OF_RANGE if setting else Reason.AMBIGUOUS)


@pytest.mark.parametrize(
    ("said", "setting", "due"),
    [(180, None, 18.0), (-60, None, -6.0), (18, None, None), (0, None, 0), (18, "tenths", 1.8), (18, "dB", 18)],
)
def test_the_unit_of_nr_sinr(said: float, setting: str | None, due: float | None) -> None:
    got = nr_sinr(Value("nr_ss_sinr", "dB", said), ("dB", "tenths"), setting)
    assert (got.value if got.reason is None else None) == due


ASKED = ("AT+CSQ", "AT+CESQ", "AT+CEREG?", "AT+CREG?")


@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 400, "9" * 5_000, "1_0"])
@pytest.mark.parametrize("answer", ["+CSQ: {},99", "+CESQ: 99,99,255,255,{},40", '+CEREG: 2,1,"1A2B","01A2B3C4",{}'])
def test_a_number_that_cannot_be_is_garbled_and_costs_only_its_answer(number: str, answer: str) -> None:
    """What no float can be made the driver stumble, and every other answer of the modem was lost with it."""
    said = {b"AT+CREG?": "+CREG: 2,1"} | {b"AT" + answer.partition(":")[0].encode(): answer.format(number)}
    line = SimulatedLine(lambda frame: b"\r\n" + _word(said, frame) + b"\r\n\r\nOK\r\n")
    values = {value.name: value.value for value in run(modem_at.poll(modem_at.Config(commands=ASKED)), line)}
    assert values["registration"] == 1


def _word(said: dict[bytes, str], frame: bytes) -> bytes:
    return next((word.encode() for start, word in said.items() if frame.startswith(start)), b"")


def test_what_says_none_is_none_whatever_the_unit() -> None:
    for said, reason in (("-", Reason.NOT_REPORTED), ("-32768", Reason.SENTINEL), ("", Reason.NOT_REPORTED)):
        assert lte_sinr(decimal("lte_sinr", said), None, ("dB", "fifths"), "fifths").reason is reason
    assert decimal("nr_pci", "65535").reason is Reason.SENTINEL
    assert decimal("nr_arfcn", "650000.0").value == 650000
    with pytest.raises(ValueError, match="rssi '1e3' is not a number"):
        decimal("rssi", "1e3")
    beyond = Table(255, 97, 1, -141).value("lte_rsrp", "98")
    assert (beyond.value, beyond.reason) == (-43, Reason.OUT_OF_RANGE)


VENDOR = """
from edge.driver import Value
from edge.framing.cells import Answer, Vendor

def _told(found, units):
    return [Value("rssi", "dBm", -float(found[-1][0]))]

VENDOR = Vendor(commands=("AT+ACMESIG",), answers={"+ACMESIG": Answer(_told, ("rssi",))})
"""


def test_the_next_vendor_is_a_new_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "at_acme.py").write_text(VENDOR, encoding="utf-8")
    monkeypatch.setattr(framing, "__path__", [*framing.__path__, str(tmp_path)])
    found = (vendors.vendors, vendors.answers)
    for each in found:
        each.cache_clear()
    try:
        config = msgspec.convert({"vendor": "acme"}, type=drivers.load("modem_at").config)
        assert config.asked[0] == "AT+ACMESIG"
        assert "rssi" in modem_at.quantities(config)
        assert modem_at._decode("AT+ACMESIG", "+ACMESIG: 71", config)[0].value == -71
    finally:
        for each in found:
            each.cache_clear()
        sys.modules.pop("edge.framing.at_acme", None)


def test_a_vendor_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(msgspec.ValidationError, match=r'"acme".*there are: generic, quectel, simcom'):
        msgspec.convert({"vendor": "acme"}, type=modem_at.Config)


def test_no_two_vendors_read_one_answer() -> None:
    prefixes = [prefix for name in vendors.vendors() for prefix in vendors.vendor(name).answers]
    assert len(set(prefixes)) == len(prefixes) == len(vendors.answers())
    assert Units() == Units(None, None)
