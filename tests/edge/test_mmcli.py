"""ModemManager's way in: a real process, one that hangs, talks without end, fails or is not there.

ModemManager itself cannot run here: an `mmcli` stands in for it that prints what others have recorded.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import drivers
from edge.board import Board
from edge.clock import SystemClock
from edge.config import load
from edge.driver import BadReply
from edge.sense.exchange import run
from edge.sense.lines import SimulatedLine, opener
from edge.sense.mmcli import ModemManagerLine
from edge.sense.sampler import Sampler
from edge.sense.terms import PortLost
from wire.reading import Reason

CASES = Path(__file__).parent.parent / "drivers" / "modem_mm"
TOML = """
[gateway]
id = "sg-01"
[broker]
host = "127.0.0.1"
port = 1883
[[bus]]
name = "mm"
port = "mmcli:any"
[[sensor]]
channel = "modem-1"
bus = "mm"
driver = "modem_mm"
every_s = 60
"""


def mmcli(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a programme of that name first in the path; `$@` are its words, `$$` in the file `pid` is its number."""
    script = folder / "mmcli"
    script.write_text(f'#!/bin/sh\necho $$ > "{folder}/pid"\n{body}\n', encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def recorded(case: str) -> str:
    """Return the body of a programme that answers as a case folder says."""
    talk = [line for line in (CASES / case / "wire.txt").read_text("utf-8").splitlines() if line[:1] in "<>"]
    body = 'shift 2\ncase "$*" in\n'
    for asked, said in zip(talk[::2], talk[1::2], strict=True):
        text, _, code = json.loads(said[2:]).rpartition("\nexit ")
        body += f"'{json.loads(asked[2:]).strip()}') cat <<'EOF'\n{text}\nEOF\nexit {code.strip()};;\n"
    return body + "*) exit 9;;\nesac"


def polled(folder: Path) -> tuple[dict[str, int], dict[str, int], str]:
    (folder / "devices.toml").write_text(TOML, encoding="utf-8")
    config = load(folder / "devices.toml", running=False)
    clock, board = SystemClock(), Board()
    room = Sampler(
        config.buses[0], config.sensors, opener(config.buses[0], folder, clock), lambda _: None, board, clock
    )
    try:
        reading = room.poll(config.sensors[0])
    finally:
        room.close()
    return reading.values, reading.reasons, board.channels["modem-1"].why


def gone(folder: Path) -> bool:
    try:
        os.kill(int((folder / "pid").read_text()), 0)
    except ProcessLookupError:
        return True
    return False


def test_a_modem_is_read_by_a_process_for_each_question(tmp_path, monkeypatch):
    mmcli(tmp_path, recorded("en_dc"), monkeypatch)
    values, reasons, why = polled(tmp_path)
    assert (values["radio"], values["lte_rsrp"], values["nr_ss_rsrp"], values["plmn"]) == (4, -950, -1010, 452_004)
    assert not why
    assert set(reasons.values()) <= {Reason.NOT_REPORTED}


def test_no_signal_no_modem_and_no_modemmanager_are_three_things(tmp_path, monkeypatch):
    mmcli(tmp_path, recorded("dead_zone"), monkeypatch)
    values, _, why = polled(tmp_path)
    assert (values["registration"], values["radio"], why) == (2, 0, "")
    mmcli(tmp_path, recorded("no_modem"), monkeypatch)
    values, reasons, why = polled(tmp_path)
    assert (values, set(reasons.values())) == ({}, {Reason.SILENCE})
    assert "couldn't find modem" in why
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    values, reasons, why = polled(tmp_path)
    assert (values, set(reasons.values())) == ({}, {Reason.PORT_LOST})
    assert "mmcli is not installed" in why


def test_one_that_hangs_is_ended_by_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.sense.mmcli.LONGEST_S", 0.5)
    mmcli(tmp_path, "exec sleep 600", monkeypatch)
    values, reasons, why = polled(tmp_path)
    assert (values, set(reasons.values())) == ({}, {Reason.SILENCE})
    assert "no answer in time" in why
    assert gone(tmp_path)


def test_one_that_talks_without_end_is_ended(tmp_path, monkeypatch):
    mmcli(tmp_path, "exec yes", monkeypatch)
    values, reasons, _ = polled(tmp_path)
    assert (values, set(reasons.values())) == ({}, {Reason.GARBLED})
    assert gone(tmp_path)


def test_who_stops_the_agent_waits_for_no_mmcli(tmp_path, monkeypatch):
    mmcli(tmp_path, "exec sleep 600", monkeypatch)
    line = ModemManagerLine("any", SystemClock())
    line.write(b"-J\n")
    came: list[bytes] = []
    reader = threading.Thread(target=lambda: came.append(line.read(512, 60.0)))
    reader.start()
    line.cancel()
    reader.join(5)
    assert not reader.is_alive()
    line.close()
    line.close()
    assert came == [b""]
    if (tmp_path / "pid").exists():
        assert gone(tmp_path)


def test_nothing_but_its_words_are_given_to_it(tmp_path, monkeypatch):
    mmcli(tmp_path, 'echo "$@" "$LC_ALL"', monkeypatch)
    line = ModemManagerLine("any", SystemClock())
    with pytest.raises(PortLost, match="is not asked"):
        line.write(b"-J ; reboot\n")
    line.write(b"--signal-get -J\n")
    came = b""
    while b"exit" not in came:
        came += line.read(512, 5.0)
    line.close()
    assert came == b"-m any --signal-get -J C\n\nexit 0\n"


def answers(case: str) -> dict[str, str]:
    talk = [
        json.loads(line[2:]) for line in (CASES / case / "wire.txt").read_text("utf-8").splitlines() if line[0] in "<>"
    ]
    return dict(zip(talk[::2], talk[1::2], strict=True))


def heard(said: dict[str, str]) -> dict[str, object]:
    """Return the numbers that a poll brings where ModemManager answers so, and refuses all else."""
    driver = drivers.load("modem_mm")
    line = SimulatedLine(lambda frame: said.get(frame.decode(), "error: no\nexit 1\n").encode())
    try:
        values = run(driver.poll(driver.config()), line)
    except BadReply:
        return {}
    return {value.name: value.value for value in values if value.reason is None and not isinstance(value.value, str)}


def leaves(tree: object, *path: str) -> list[tuple[str, ...]]:
    if not isinstance(tree, dict):
        return [path]
    return [leaf for key, below in tree.items() for leaf in leaves(below, *path, key)]


@pytest.mark.parametrize("case", ["en_dc", "lte_roaming", "dead_zone", "emergency_only"])
@pytest.mark.parametrize("instead", [None, 5, 1e400, [], {}, "--", "", "x", "NaN", "-99999999", "0x10", "1,2,3"])
def test_a_field_that_is_not_what_it_should_be_never_brings_another_number(case: str, instead: object) -> None:
    said = answers(case)
    right = heard(said)
    for question, text in said.items():
        body, _, end = text.rpartition("\nexit")
        for path in leaves(json.loads(body)):
            tree = json.loads(body)
            parent = tree
            for key in path[:-1]:
                parent = parent[key]
            parent[path[-1]] = instead
            got = heard(said | {question: f"{json.dumps(tree)}\nexit{end}"})
            wrong = {name: value for name, value in got.items() if right.get(name) != value}
            assert wrong in ({}, {"cell_id": 16}, {"tac": 16}), (path, wrong)  # 0x10 is one


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["en_dc", "lte_roaming", "dead_zone"]), st.integers(0, 2), st.integers(0, 3_000))
def test_what_breaks_off_never_brings_another_number(case: str, number: int, kept: int) -> None:
    said = answers(case)
    question = list(said)[number]
    body, _, end = said[question].rpartition("\nexit")
    got = heard(said | {question: f"{body[:kept]}\nexit{end}"})
    assert got.items() <= heard(said).items()
