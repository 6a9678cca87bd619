"""The way to the server: real sockets on loopback that answer, refuse or say nothing; and a budget."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from edge.board import Board
from edge.clock import SystemClock
from edge.config import ConfigError, advice, load
from edge.sense.lines import opener
from edge.sense.reach import MONTH_DAYS, NetLine, Purse
from edge.sense.sampler import Sampler
from edge.sense.terms import PortLost
from edge.status import status_file
from tests.edge.clock import HandClock
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY_MS = 86_400_000
TOML = """
[gateway]
id = "sg-01"
[broker]
host = "127.0.0.1"
port = {port}
[[bus]]
name = "way"
port = "{way}"
[[sensor]]
channel = "way-1"
bus = "way"
driver = "probe"
every_s = {every}
{more}
"""


def written(folder: Path, port: int, *, way: str = "net:broker", every: int = 3_600, more: str = "") -> Path:
    file = folder / "devices.toml"
    file.write_text(TOML.format(port=port, way=way, every=every, more=more), encoding="utf-8")
    return file


@contextmanager
def probing(file: Path, *, known: bool = True) -> Iterator[tuple[Sampler, Board]]:
    config, clock, board = load(file, running=False), SystemClock(), Board()
    bus = config.buses[0].towards(config.broker)
    opened = opener(bus, file.parent, clock, known=lambda: known)
    status_file(file.parent).parent.mkdir(exist_ok=True)
    room = Sampler(bus, config.sensors, opened, lambda _: None, board, clock)
    try:
        yield room, board
    finally:
        room.close()


def polled(file: Path, *, known: bool = True) -> tuple[dict[str, int], dict[str, int], str]:
    with probing(file, known=known) as (room, board):
        reading = room.poll(room._sensors[0])
    return reading.values, reading.reasons, board.channels["way-1"].why


@contextmanager
def server(backlog: int = 16) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listening:
        yield listening.getsockname()[1]


def test_a_server_that_lets_in_is_a_round_trip_and_no_loss(tmp_path):
    with server() as port:
        values, reasons, why = polled(written(tmp_path, port))
    assert values["loss"] == 0
    assert 0 <= values["rtt"] < 10_000
    assert (reasons, why) == ({}, "")


def test_who_answers_in_the_brokers_place_gives_no_round_trip(tmp_path):
    with server() as port:
        values, reasons, _ = polled(written(tmp_path, port), known=False)
    assert (values, reasons) == ({"loss": 0}, {"rtt": Reason.AMBIGUOUS})


def test_a_server_that_refuses_or_says_nothing_is_loss_and_no_number(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.sense.reach.TRY_S", 0.05)
    with server() as port:
        pass
    assert polled(written(tmp_path, port))[:2] == ({"loss": 100}, {"rtt": Reason.SILENCE})
    with (
        server(backlog=0) as port,
        socket.create_connection(("127.0.0.1", port)),
    ):  # its queue is full: no SYN is answered
        (tmp_path / "later").mkdir()
        assert polled(written(tmp_path / "later", port))[:2] == ({"loss": 100}, {"rtt": Reason.SILENCE})


def test_a_name_that_nobody_knows_and_an_interface_that_is_not_there_are_said(tmp_path):
    _, reasons, why = polled(written(tmp_path, 1, way="net:nobody.invalid:1883"))
    assert set(reasons.values()) == {Reason.SILENCE}
    assert "name cannot be asked for" in why
    (tmp_path / "two").mkdir()
    _, reasons, why = polled(written(tmp_path / "two", 1, way="net:127.0.0.1:1883%wwan9"))
    assert set(reasons.values()) == {Reason.PORT_LOST}
    assert "interface wwan9" in why


def test_what_is_spent_is_spent_and_outlives_the_process(tmp_path):
    with server() as port:
        file = written(tmp_path, port, more="monthly_kib = 64")
        assert polled(file)[0]
        values, reasons, why = polled(file)  # a new process: what is left lies in memory
    assert (values, set(reasons.values())) == ({}, {Reason.NO_BUDGET})
    assert "not asked; ask more seldom (every_s), or allow more (monthly_kib)" in why


def test_thirty_days_never_cost_more_than_a_month_and_one_day(tmp_path):
    clock, monthly, cost = HandClock(), 300_000, 2_300
    purse, spent = Purse(tmp_path / "net.json", clock.boot, clock), 0
    for _ in range(MONTH_DAYS * 24 * 12):  # each five minutes, and a new process each time
        clock.now += 300_000
        spent += cost * purse.pays(cost, monthly)
        purse = Purse(tmp_path / "net.json", clock.boot, clock)
    assert 0.9 * monthly < spent <= monthly * (1 + 1 / MONTH_DAYS)
    clock.now += 90 * DAY_MS  # what is not used lapses
    assert sum(purse.pays(cost, monthly) for _ in range(1_000)) * cost <= monthly / MONTH_DAYS
    other = Purse(tmp_path / "net.json", "b2" * 8, clock)  # after a power cut: one question, whatever the file says
    assert [other.pays(cost, monthly) for _ in range(3)] == [True, False, False]


def test_it_is_said_before_where_a_month_would_not_do(tmp_path):
    file = written(tmp_path, 1, every=10)
    (found,) = [one for one in advice(file, load(file, running=False)) if one.kind == "too_costly"]
    assert "every_s = 1422 or more" in found.told("en")


@pytest.mark.parametrize(
    ("way", "more", "words"),
    [
        ("net:", "", 'write the whole path, e.g. "net:broker"'),
        ("net:-x", "", "net:broker"),
        ("mmcli:any", "", "does not work on"),
        ("/dev/ttyUSB0", "", 'does not work on "/dev/ttyUSB0"; write port = "net:broker"'),
    ],
)
def test_a_port_that_is_no_way_is_refused_with_one_that_is(tmp_path, way, more, words):
    with pytest.raises(ConfigError) as error:
        load(written(tmp_path, 1, way=way, more=more), running=False)
    assert words in str(error.value)


def test_it_is_asked_in_one_way_only(tmp_path):
    line = NetLine("net:127.0.0.1:1", Purse(tmp_path / "net.json", "a1" * 8, HandClock()), lambda: True, HandClock())
    with pytest.raises(PortLost):
        line.write(b"connect 5000 budget 1\n")
    line.close()
    line.close()
