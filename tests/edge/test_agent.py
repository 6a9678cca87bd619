"""The agent as a whole, on a pseudo-terminal: an ordered stop loses nothing, not even what is being asked just then."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest

from edge.agent import Agent
from edge.clock import SystemClock
from edge.config import load
from edge.framing import rtu
from edge.keep.spool import Spool
from edge.sense.overseer import Overseer
from gocche.garden.line import Line
from gocche.notify import notify
from tests.servers import free_port, no_threads, until
from wire.reading import Reading

CONFIG = """
[gateway]
id = "sg-01"
[broker]
host = "127.0.0.1"
port = {port}
[spool]
commit_s = 600
[[bus]]
name = "rs485"
port = "ports/rs485"
[[sensor]]
channel = "soil-1"
bus = "rs485"
driver = "modbus"
profile = "soil-0000"
address = 1
read = [{{ at = 0, count = 4 }}]
every_s = 3600
timeout_s = 20
"""


@pytest.fixture(autouse=True)
def _status_beside_the_data(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))


@pytest.fixture
def line(tmp_path):
    """The far end of ports/rs485."""
    (tmp_path / "ports").mkdir()
    far = Line(tmp_path / "ports" / "rs485")
    far.plug()
    yield far
    far.unplug()


class Running:
    """An agent in a thread, stopped at the end of the block; `took_s` is how long an ordered stop took."""

    def __init__(self, folder, config):
        (folder / "devices.toml").write_text(config)
        self.stop = threading.Event()
        self._agent = Agent(load(folder / "devices.toml"), folder, SystemClock())
        self._thread = threading.Thread(target=self._agent.run, args=(self.stop, notify))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        began = time.monotonic()
        self.stop.set()
        self._thread.join(30)
        self.took_s = time.monotonic() - began
        assert not self._thread.is_alive()


QUESTION = rtu.request(1, 3, 0, 4)
BODY = bytes((1, 3, 8)) + b"".join(word.to_bytes(2, "big") for word in (301, 215, 412, 48))
ANSWER = BODY + rtu.crc16(BODY)


def test_what_is_being_asked_when_the_stop_comes_is_kept(tmp_path, line):
    with Running(tmp_path, CONFIG.format(port=free_port())) as agent:
        assert line.receive(20) == QUESTION
        agent.stop.set()  # in the middle of a poll …
        keeper = next(thread for thread in threading.enumerate() if thread.name == "keeper")
        keeper.join(1.1)  # … longer than the keeper's own pause
        line.send(ANSWER)
    spool = Spool(tmp_path / "spool.db", 1 << 22)
    assert spool.acquired == 1
    assert spool.uncut == 0
    spool.close()


def test_the_machine_knows_its_threads_by_their_names(tmp_path, line):
    with Running(tmp_path, CONFIG.format(port=free_port())):
        assert line.receive(20) == QUESTION

        def told() -> set[str]:
            with contextlib.suppress(OSError):  # another test's thread that just ended
                return {(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()}
            return set()

        until(lambda: {"bus-rs485", "keeper", "uplink"} <= told(), 20, "top -H shows them")


def test_a_hanging_name_service_holds_up_neither_a_reading_nor_a_stop(tmp_path, monkeypatch, line):
    answered = threading.Event()

    def hang(*_, **__):
        answered.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "late")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with Running(tmp_path, CONFIG.format(port=1883).replace("every_s = 3600", "every_s = 0.2")) as agent:
        for _ in range(5):
            assert line.receive(20) == QUESTION
            line.send(ANSWER)
    answered.set()
    assert agent.took_s <= 5
    spool = Spool(tmp_path / "spool.db", 1 << 22)
    assert spool.acquired >= 4
    spool.close()


SICK = """
[[bus]]
name = "{name}"
port = "ports/{name}"
baud = 4800
[[sensor]]
channel = "{name}"
bus = "{name}"
driver = "{driver}"
timeout_s = 20
{more}
"""


class Noise:
    """A far end that says the same for ever."""

    def __init__(self, link, words, every_s=0.02):
        self._line, self._ended = Line(link), threading.Event()
        self._line.plug()
        self._thread = threading.Thread(target=self._talk, args=(words, every_s))
        self._thread.start()

    def _talk(self, words, every_s):
        while not self._ended.wait(every_s):
            self._line.send(words)

    def close(self):
        self._ended.set()
        self._thread.join(5)
        self._line.unplug()


def test_no_device_starves_the_watchdog_or_outlasts_a_stop(tmp_path, monkeypatch):
    """A talker of other sentences, noise at a wrong speed, a modem that only echoes, a silent probe."""
    monkeypatch.setattr("edge.agent.LOOK_S", 0.2)
    monkeypatch.setattr("edge.keep.keeper.PULSE_S", 0.2)
    heard, words = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM), []
    heard.bind(str(tmp_path / "notify"))
    heard.settimeout(5)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    (tmp_path / "ports").mkdir()
    sentences = 'sentences = ["GGA", "RMC"]'
    far = [
        ("gsv", "nmea0183", sentences, b"$GPGSV,1,1,00*79\r\n"),
        ("noise", "nmea0183", sentences, bytes(range(128, 168))),
        ("modem", "modem_at", "", b"AT+CEREG?\r\r\n"),
        ("silent", "modbus", 'profile = "soil-0000"', b""),
    ]
    ends = [Noise(tmp_path / "ports" / name, said) for name, _, _, said in far]
    tables = "".join(SICK.format(name=name, driver=driver, more=more) for name, driver, more, _ in far)
    try:
        with Running(tmp_path, CONFIG.format(port=free_port()).partition("[[bus]]")[0] + tables) as agent:
            while words.count(b"READY=1\nWATCHDOG=1") < 5:
                words.append(heard.recv(200))
    finally:
        for end in ends:
            end.close()
        heard.close()
    assert agent.took_s <= 5


def test_a_machine_that_has_no_thread_for_the_keeper_ends_the_agent_and_costs_no_reading(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.agent.LOOK_S", 0.05)
    (tmp_path / "devices.toml").write_text(CONFIG.format(port=free_port()))
    agent = Agent(load(tmp_path / "devices.toml"), tmp_path, SystemClock())
    agent._inbox.put(Reading("soil-1", 5, {"soil_ec": 5}, {}))
    with no_threads():
        assert not agent.run(threading.Event()), "systemd starts it again"
    spool = Spool(tmp_path / "spool.db", 1 << 22)
    assert spool.acquired == 1
    spool.close()
    with no_threads(), pytest.raises(OSError, match="no further thread"):
        Agent(load(tmp_path / "devices.toml"), tmp_path, SystemClock())


def test_where_threads_are_short_the_link_has_one_before_many_buses_take_the_last(tmp_path, monkeypatch):
    start = Overseer.start
    with contextlib.ExitStack() as until_then:

        def take_the_last(overseer):
            start(overseer)
            until_then.enter_context(no_threads())

        monkeypatch.setattr(Overseer, "start", take_the_last)
        with Running(tmp_path, CONFIG.format(port=free_port())) as agent:
            until(lambda: agent._agent._board.link.cause == "refused", 20, "it tries to connect")


def test_an_agent_whose_spool_only_a_new_start_mends_ends_as_failed(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.agent.LOOK_S", 0.05)
    (tmp_path / "devices.toml").write_text(CONFIG.format(port=free_port()))
    agent = Agent(load(tmp_path / "devices.toml"), tmp_path, SystemClock())
    agent._keeper.broken = "spool is damaged"
    assert not agent.run(threading.Event()), "not the stop of somebody: systemd starts it again"
