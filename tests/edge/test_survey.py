"""A walk with a gateway: the agent that owns the ports asks faster, the command shows and rings, nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import h3.api.basic_int as h3
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.agent import Agent
from edge.clock import SystemClock
from edge.config import load
from edge.keep.spool import Spool
from edge.sense.hexes import cell
from edge.sense.survey import ASK, LEASE_MS, TOLD, Ask, Moment, Survey, Told
from edge.sense.walk import APART_MS, DONE, FOUND, LOST, Walk
from tests.edge.clock import HandClock
from tests.servers import free_port, until
from wire.reading import Reading, Reason

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """
[gateway]
id = "sg-01"
[broker]
host = "127.0.0.1"
port = {port}
[[bus]]
name = "modem"
port = "ports/modem"
[[sensor]]
channel = "modem-1"
bus = "modem"
driver = "modem_at"
vendor = "quectel"
every_s = 3600
[[sensor]]
channel = "sim-1"
bus = "modem"
driver = "sim_ussd"
every_s = 86400
[[bus]]
name = "gnss"
port = "ports/gnss"
[[sensor]]
channel = "gnss-1"
bus = "gnss"
driver = "nmea0183"
sentences = ["GGA", "RMC"]
every_s = 3600
"""
VIETNAM = st.tuples(st.floats(8.2, 23.4), st.floats(102.2, 109.5))


@given(VIETNAM, st.tuples(st.floats(-0.02, 0.02), st.floats(-0.02, 0.02)))
def test_two_places_are_in_one_cell_where_h3_says_so(place: tuple[float, float], apart: tuple[float, float]) -> None:
    lat, lon = place
    other = lat + apart[0], lon + apart[1]
    same = h3.latlng_to_cell(lat, lon, 8) == h3.latlng_to_cell(*other, 8)
    assert (cell(lat, lon) == cell(*other)) == same


# --- the walk


def moment(number: int, *, at_s: float, service: bool = True, lat: float | None = 21.5, lost: bool = False) -> Moment:
    values = {} if lost else {"registration": 1.0 if service else 2.0, "radio": 3.0 if service else 0.0}
    return Moment(number, round(1000 * at_s), values, lat, None if lat is None else 104.5, 0, lost)


def test_a_cell_is_done_with_three_moments_that_are_apart() -> None:
    walk = Walk()
    sounds = [walk.take(moment(n, at_s=2 * n)) for n in range(1, 40)]
    assert sounds.count(DONE) == 1
    assert sounds.index(DONE) == 2 * APART_MS // 2_000 - 1
    assert (walk.heard, walk.placed, len(walk.cells), walk.done) == (39, 39, 1, 1)
    assert walk.take(moment(39, at_s=78)) is None  # each is taken once


def test_service_that_is_lost_and_found_rings_and_a_modem_that_says_nothing_does_not() -> None:
    walk = Walk()
    told = [
        moment(1, at_s=2), moment(2, at_s=4, service=False), moment(3, at_s=6, lost=True),
        moment(4, at_s=8, service=False), moment(5, at_s=10), moment(6, at_s=12, lat=None),
    ]  # fmt: skip
    assert [walk.take(one) for one in told] == ["", LOST, "", "", FOUND, ""]
    assert (walk.heard, walk.placed) == (6, 4)


# --- the agent's side


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def asked(folder: Path, clock: HandClock, **other: object) -> None:
    ask = {"boot": clock.boot, "until_ms": clock.now + LEASE_MS, "every_s": 2.0} | other
    (folder / ASK).write_bytes(msgspec.json.encode(ask))


@pytest.mark.parametrize(
    "other", [{"boot": "b2" * 8}, {"until_ms": 0}, {"until_ms": 10**12}, {"every_s": 0.01}, {"every_s": "x"}]
)
def test_who_is_gone_or_asks_for_what_cannot_be_begins_no_walk(tmp_path, clock, other):
    paces: list[float | None] = []
    survey = Survey(tmp_path, clock)
    asked(tmp_path, clock, **other)
    survey.look(paces.append)
    assert not paces


def test_a_walk_ends_by_itself_when_its_command_is_killed(tmp_path, clock):
    paces: list[float | None] = []
    survey = Survey(tmp_path, clock)
    asked(tmp_path, clock)
    survey.look(paces.append)
    clock.now += LEASE_MS + 1
    survey.look(paces.append)
    survey.look(paces.append)
    assert paces == [2.0, None]


def test_what_is_shown_is_what_was_said_and_where_and_no_older_place(tmp_path, clock):
    survey = Survey(tmp_path, clock)
    survey.see(Reading("modem-1", clock.now, {"registration": 1}, {}))  # nobody asks: nothing is kept
    asked(tmp_path, clock)
    survey.look(lambda _: None)
    survey.see(Reading("gnss-1", clock.now, {"lat": 215_000_000, "lon": 1_045_000_000}, {}))
    survey.see(Reading("modem-1", clock.now + 1_000, {"registration": 1, "radio": 3, "lte_rsrp": -1010}, {}))
    survey.see(Reading("modem-1", clock.now + 20_000, {"registration": 2, "radio": 0}, {}))
    survey.see(Reading("modem-1", clock.now + 21_000, {}, {"registration": Reason.PORT_BUSY}))
    survey.see(Reading("soil-1", clock.now + 22_000, {"soil_moisture": 100}, {}))
    moments = msgspec.json.decode((tmp_path / TOLD).read_bytes(), type=Told).moments
    assert [(one.number, one.lat, one.fix_ms, one.lost) for one in moments] == [
        (1, 21.5, 1_000, False), (2, None, None, False), (3, None, None, True),
    ]  # fmt: skip
    assert moments[0].values == {"registration": 1, "radio": 3, "lte_rsrp": -101}


# --- all of it


@pytest.fixture
def garden(tmp_path):
    """A modem and a GNSS receiver on real pseudo-terminals."""
    far = subprocess.Popen(
        [sys.executable, "-m", "gocche", "devices", "--ports", str(tmp_path / "ports")], stdin=subprocess.DEVNULL
    )
    try:
        until(
            lambda: all((tmp_path / "ports" / port).exists() for port in ("modem", "gnss")), 20, "the ports are there"
        )
        yield far
    finally:
        far.terminate()
        far.wait(10)


def test_a_walk_while_the_agent_owns_the_ports(tmp_path, monkeypatch, garden):
    """Sensors that are asked once an hour are asked each second; the command is killed, and every reading is kept."""
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    file = tmp_path / "devices.toml"
    file.write_text(CONFIG.format(port=free_port()), encoding="utf-8")
    monkeypatch.setattr("edge.agent.LOOK_S", 0.2)
    agent, stop = Agent(load(file), tmp_path, SystemClock()), threading.Event()
    thread = threading.Thread(target=agent.run, args=(stop,))
    thread.start()
    command = subprocess.Popen(
        [sys.executable, "-m", "gocche", "survey", "--every", "1", "--data", str(tmp_path)],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"RUNTIME_DIRECTORY": str(tmp_path / "run")},
    )  # fmt: skip
    try:
        assert command.stdout is not None
        shown, placed = [command.stdout.readline()], []
        while len(placed) < 3 and len(shown) < 40:  # the first moments may be before the first fix
            shown.append(command.stdout.readline())
            placed = [line for line in shown if "dBm" in line and "21." in line]
    finally:
        command.send_signal(signal.SIGKILL)
        command.wait(10)
        command.stdout.close()
        stop.set()
        thread.join(20)
    assert len(placed) == 3, shown
    assert "khảo sát" in shown[0]
    spool = Spool(tmp_path / "spool.db", 1 << 22)
    assert spool.acquired >= len(placed)
    spool.close()


def test_who_walks_without_an_agent_is_told(tmp_path, monkeypatch, capsys):
    from gocche import survey as command

    (tmp_path / "run").mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    assert command.survey(tmp_path, 1.0, 2.0, quiet=True) == 1  # no agent has ever run here
    assert "agent không chạy" in capsys.readouterr().err
    (tmp_path / "run" / "status.json").write_text("{}")
    monkeypatch.setattr(command, "BEGINS_MS", 200)
    assert command.survey(tmp_path, 1.0, 2.0, quiet=True) == 1  # one did, and says nothing
    assert "agent không chạy" in capsys.readouterr().out
    assert not (tmp_path / "run" / ASK).exists()
    assert Ask("a1" * 8, 1).every_s == 2.0
