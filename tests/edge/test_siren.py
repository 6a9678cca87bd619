"""The siren: its rule, and the whole agent with a relay board on a pseudo-terminal, well and ill."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest

from edge.agent import Agent
from edge.clock import SystemClock
from edge.config import ConfigError, Trigger, load
from edge.drivers import relay
from edge.framing import rtu
from edge.keep.spool import Spool
from edge.siren import line as gpio
from edge.siren.coil import LOST_MS, Coil
from edge.siren.rule import HOLDS_MS, Rule
from edge.siren.watch import FAILED, OFF, ON, STOPPED, TEST
from edge.status import status_file
from gocche.__main__ import main
from tests.edge.relay_board import ADDRESS, Board, Nose
from tests.servers import free_port, until
from wire import codec
from wire.batch import Status
from wire.reading import Reading, Reason

BOUND_S = 20.0

# --- the rule

CO = Trigger("co-1", "co", 20.0, 3, graded=False)
CLAIM = Trigger("node-1", "smoke_claim", 2.0, 1, graded=True)


def co(ppm: float | None, at: int) -> Reading:
    values = {} if ppm is None else {"co": round(10 * ppm)}
    return Reading("co-1", at, values, {} if values else {"co": int(Reason.SILENCE)})


class Told:
    """A rule that is told numbers of one second each; what it wants is kept."""

    def __init__(self, **times: float) -> None:
        self.rule = Rule([CO], **({"most_s": 180, "pause_s": 300, "stopped_s": 1800} | times))
        self.now, self.wants = 1_000, []

    def hear(self, *ppm: float | None) -> None:
        for one in ppm:
            self.now += 1_000
            self.rule.see(co(one, self.now), self.now)
            self.wants.append(self.rule.step(self.now))

    @property
    def seconds(self) -> int:
        return sum(self.wants)


def test_one_spike_wakes_nobody_and_three_in_a_row_do() -> None:
    told = Told()
    told.hear(500, 0, 30, 30, 0, 20, 20)
    assert told.seconds == 0
    told.hear(20)
    assert told.wants[-1]
    assert told.rule.cause == "co-1 co 20.0"


def test_a_reading_without_a_value_is_no_all_clear() -> None:
    told = Told()
    told.hear(30, None, 30, None, None, 30)
    assert told.wants[-1]


def test_it_sounds_three_minutes_pauses_and_sounds_again_while_its_cause_lasts() -> None:
    told = Told()
    told.hear(*[30] * (2 + 180 + 300 + 180 + 5))
    assert told.wants == [False] * 2 + [True] * 180 + [False] * 300 + [True] * 180 + [False] * 5


def test_who_stopped_it_hears_it_no_more_for_half_an_hour() -> None:
    told = Told()
    told.hear(30, 30, 30, 30)
    assert told.rule.stop(told.now)
    told.hear(*[30] * 1_790)
    assert told.seconds == 2
    assert told.rule.stopped
    told.hear(*[30] * 20)
    assert told.wants[-1]
    assert not told.rule.stopped


def test_a_cause_that_comes_and_goes_a_hundred_times_sounds_no_oftener() -> None:
    told = Told()
    told.hear(*[30, 30, 30, 0, 0] * 100)  # 500 s
    assert [one for one, before in zip(told.wants, [False, *told.wants], strict=False) if one and not before] == [
        True
    ] * 2
    assert told.seconds <= 180 + 20


def test_nothing_to_stop_is_said_so() -> None:
    told = Told()
    told.hear(0, 0)
    assert not told.rule.stop(told.now)
    told.hear(30, 30, 30)
    assert told.wants[-1], "and mutes nothing that comes later"


def test_what_is_worse_sounds_through_a_stop_and_what_is_not_does_not() -> None:
    rule = Rule([CLAIM], 180, 300, 1800)

    def claim(level: int, now: int) -> bool:
        rule.see(Reading("node-1", now, {"smoke_claim": level}, {}), now)
        return rule.step(now)

    assert not claim(1, 1_000)
    assert claim(2, 2_000)
    assert rule.stop(3_000)
    assert not claim(2, 4_000)
    assert not claim(0, 5_000)
    assert not claim(2, 6_000)
    assert claim(3, 7_000)


def test_a_cause_of_which_nobody_speaks_any_more_is_over_after_an_hour() -> None:
    """The sensor may have burnt: silence is no all-clear; a dead one must not wake a village for ever."""
    told = Told()
    told.hear(30, 30, 30)
    told.rule.stop(told.now)
    later = told.now + HOLDS_MS - 1
    assert told.rule.step(later)
    quiet = Told()
    quiet.hear(30, 30, 30)
    quiet.rule.stop(quiet.now)
    assert not quiet.rule.step(quiet.now + HOLDS_MS)


def next_process(told: Told) -> None:
    """The agent is killed, and another one begins."""
    memory = told.rule.memory
    told.rule = Rule([CO], 180, 300, 1800)
    told.rule.recall(memory, told.now)


def test_who_stopped_it_hears_it_no_more_although_the_agent_began_anew() -> None:
    told = Told()
    told.hear(30, 30, 30, 30)
    assert told.rule.stop(told.now)
    for _ in range(29):
        next_process(told)
        told.hear(*[30] * 60)
    assert told.seconds == 2
    assert told.rule.stopped
    told.hear(*[30] * 70)
    assert told.wants[-1]


def test_what_is_worse_sounds_through_a_stop_of_before_a_restart() -> None:
    rule = Rule([CLAIM], 180, 300, 1800)
    rule.see(Reading("node-1", 1_000, {"smoke_claim": 2}, {}), 1_000)
    assert rule.step(1_000)
    rule.stop(2_000)
    after = Rule([CLAIM], 180, 300, 1800)
    after.recall(rule.memory, 3_000)
    after.see(Reading("node-1", 4_000, {"smoke_claim": 2}, {}), 4_000)
    assert not after.step(4_000)
    after.see(Reading("node-1", 5_000, {"smoke_claim": 3}, {}), 5_000)
    assert after.step(5_000)


@pytest.mark.parametrize("every_s", [7, 31, 60, 170])
def test_an_agent_that_is_killed_again_and_again_sounds_no_longer_than_one_that_lives(every_s) -> None:
    told = Told()
    told.hear(30, 30, 30)
    for _ in range(478 // every_s):
        next_process(told)
        told.hear(*[30] * every_s)
    assert 180 - 180 // every_s * 3 - 3 <= told.seconds <= 180, "each process hears its cause anew, in three readings"
    while not told.wants[-1]:
        told.hear(30)
    assert 180 + 300 <= len(told.wants) <= 180 + 300 + 5 + every_s


def test_an_agent_that_begins_anew_while_it_sounds_is_silent_until_it_hears_why_and_can_be_stopped_before() -> None:
    told = Told()
    told.hear(30, 30, 30)
    next_process(told)
    told.hear(0, 0, 0)
    assert not told.wants[-1]
    assert told.rule.stop(told.now), "somebody pressed the button while the agent began"
    told.hear(30, 30, 30, 30)
    assert not told.wants[-1]


def test_a_test_is_short_and_a_fire_goes_before_it() -> None:
    told = Told()
    assert told.rule.test(told.now, 2.0)
    told.hear(0)
    assert told.wants[-1]
    assert told.rule.tested
    told.hear(0)
    assert not told.wants[-1]
    told.hear(30, 30, 30)
    assert not told.rule.test(told.now, 2.0), "it sounds in earnest"
    assert told.rule.test is not None
    assert not told.rule.tested


# --- the whole agent

CONFIG = """
[gateway]
id = "sg-01"
[broker]
host = "127.0.0.1"
port = {port}
[spool]
commit_s = 0
[[bus]]
name = "co"
port = "ports/co"
[[sensor]]
channel = "co-1"
bus = "co"
driver = "ze07_co"
every_s = 0.1
warmup_s = 0
[[bus]]
name = "relay"
port = "ports/relay"
baud = 9600
{sensors}
[[siren]]
name = "siren-1"
bus = "relay"
address = 8
stop_input = 3
check_s = 0.3
when = [{{ channel = "co-1", quantity = "co", at_least = 20, samples = 2 }}]
{more}
"""
CLAIMED = 'when = [{ node = "node-1", level = "probable" }]'
PROBE = """
[[sensor]]
channel = "soil-{n}"
bus = "relay"
driver = "modbus"
profile = "soil-0000"
address = {n}
read = [{{ at = 0, count = 4 }}]
every_s = 0.5
"""


@pytest.fixture(autouse=True)
def _status_beside_the_data(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))


class World:
    """A board and a nose on pseudo-terminals, and an agent in a thread of this process."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.stop = folder, threading.Event()
        (folder / "ports").mkdir(exist_ok=True)
        self.port = free_port()
        self.probes: tuple[int, ...] = ()
        self.agent: Agent | None = None

    def config(self, more: str = "", probes: tuple[int, ...] = (), bus: str = "") -> str:
        sensors = bus + "".join(PROBE.format(n=n) for n in probes)
        return CONFIG.format(port=self.port, more=more, sensors=sensors)

    @contextmanager
    def running(self, more: str = "", probes: tuple[int, ...] = (), bus: str = "", text: str = ""):
        (self.folder / "devices.toml").write_text(text or self.config(more, probes, bus))
        stop = threading.Event()
        self.agent = Agent(load(self.folder / "devices.toml"), self.folder, SystemClock())
        thread = threading.Thread(target=self.agent.run, args=(stop,))
        thread.start()
        try:
            yield self.agent
        finally:
            stop.set()
            thread.join(30)
            assert not thread.is_alive()

    @property
    def code(self) -> int:
        """What the siren says of itself now."""
        return self.agent._sirens._sirens["siren-1"]._code

    def codes(self) -> list[int]:
        """Return what the spool has of the siren, once the agent has ended."""
        spool = Spool(self.folder / "spool.db", 1 << 22)
        now_ms = time.time_ns() // 1_000_000
        try:
            kept = [one for number in range(1, 100) if (one := spool.get(number)) is not None]  # nobody has dated them
            batches = [codec.decode_message("sg-01", one.packet(), now_ms) for one in kept]
        finally:
            spool.close()
        told = [one.values for batch in batches for one in batch.readings() if one.channel == "siren-1"]
        return [int(one["siren"]) for one in told]


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture
def parts(tmp_path):
    (tmp_path / "ports").mkdir(exist_ok=True)
    with Board(tmp_path / "ports" / "relay", probes=(1, 2)) as board, Nose(tmp_path / "ports" / "co") as nose:
        yield board, nose


def whys(world: World) -> str:
    """Return what the status says is wrong."""
    told = status_file(world.folder)
    return msgspec.json.decode(told.read_bytes(), type=Status).why if told.exists() else ""


def test_smoke_closes_the_relay_within_two_seconds_without_any_cloud(world, parts, capsys):
    """There is no broker at all. Printed: from the sample that completes it to the coil."""
    board, nose = parts
    with world.running():
        until(lambda: len(nose.told) > 5 and board.is_off, BOUND_S, "it is off")
        assert not board.on
        nose.ppm = 28.0
        until(lambda: board.on, BOUND_S, "it sounds")
        at, _ = next(one for one in board.switched if one[1])
        took_s = at - [told for told, ppm in nose.told if ppm >= 20][1]
        with capsys.disabled():
            print(f"\nsample → coil, a bus of its own: {1000 * took_s:.0f} ms")
        assert took_s <= 2.0
        until(lambda: world.code == ON, BOUND_S, "and says so")
    assert not board.on, "an agent that stops leaves no siren on"
    assert {OFF, ON} <= set(world.codes())


def test_a_stop_just_as_the_order_is_on_its_way_leaves_no_siren_on(world, parts):
    board, nose = parts
    with world.running():
        until(lambda: board.is_off, BOUND_S, "it is off")
        nose.ppm = 28.0
        until(lambda: rtu.write_coil(ADDRESS, 0, on=True) in board.asked, BOUND_S, "it is told")
    assert not board.on


NODE = """
[[sensor]]
channel = "air-1"
bus = "relay"
driver = "modbus"
profile = "th-0002"
address = 1
every_s = 0.5
[[bus]]
name = "smoke"
port = "ports/smoke"
[[sensor]]
channel = "smoke-1"
bus = "smoke"
driver = "plantower_pms"
model = "pms5003"
every_s = 60
[[node]]
channel = "node-1"
pm = "smoke-1"
co = "co-1"
air = "air-1"
"""


@pytest.mark.journey
def test_what_the_gateways_own_detector_claims_sounds_the_siren(world, parts, capsys):
    """Fire at the node: 65 °C in the shade, twice ten seconds apart, is probable. No broker, no smoke sensor even."""
    board, _ = parts
    heat: list[float] = []

    def hot(request: bytes, answer: bytes) -> bytes:
        if request[0] != 1 or not heat:
            return answer
        heat.append(time.monotonic())
        body = (
            answer[:3] + (650 + len(heat) % 9).to_bytes(2) + (400).to_bytes(2)
        )  # temperature, then humidity, in tenths
        return body + rtu.crc16(body)

    board.ill = hot
    text = world.config().replace('when = [{ channel = "co-1", quantity = "co", at_least = 20, samples = 2 }]', CLAIMED)
    assert CLAIMED in text
    with world.running(text=text + NODE):
        until(lambda: board.is_off, BOUND_S, "it is off")
        heat.append(time.monotonic())
        until(lambda: board.on, 60, "it sounds")
        at = next(moment for moment, on in board.switched if on)
        took_s = at - max(moment for moment in heat if moment <= at)
        with capsys.disabled():
            print(f"\nsample → claim → coil: {1000 * took_s:.0f} ms")
        assert took_s <= 2.0
        assert at - heat[0] > 10, "not at the first"
        until(lambda: world.code == ON, BOUND_S, "and says so")


@pytest.mark.journey
def test_a_shared_bus_with_dead_probes_is_in_time_too(world, parts, capsys):
    """In a fire the probes on the same wires die: each time-out, and what is owed after it, would hold up the relay."""
    board, nose = parts
    with world.running(probes=(1, 2, 11, 12)):
        until(lambda: sum(one[0] == 11 for one in board.asked) > 2, BOUND_S, "the dead are asked")
        until(lambda: board.is_off, BOUND_S, "it is off")
        nose.ppm = 28.0
        until(lambda: board.on, BOUND_S, "it sounds")
        at, _ = next(one for one in board.switched if one[1])
        took_s = at - [told for told, ppm in nose.told if ppm >= 20][1]
        with capsys.disabled():
            print(f"\nsample → coil, beside two dead probes: {1000 * took_s:.0f} ms")
        assert took_s <= 2.0


def test_the_button_at_the_board_stops_it(world, parts):
    board, nose = parts
    pressed = threading.Event()

    def ill(request: bytes, answer: bytes) -> bytes:
        if request[1] == 2 and pressed.is_set():
            body = answer[:3] + b"\x01"
            return body + rtu.crc16(body)
        return answer

    board.ill = ill
    with world.running():
        nose.ppm = 28.0
        until(lambda: board.on, BOUND_S, "it sounds")
        pressed.set()
        until(lambda: not board.on, BOUND_S, "it is stopped")
    assert world.codes()[-1] == STOPPED


def test_a_button_that_is_stuck_mutes_nothing(world, parts):
    board, nose = parts
    board.ill = lambda request, answer: (body := answer[:3] + b"\x01") + rtu.crc16(body) if request[1] == 2 else answer
    with world.running():
        until(lambda: sum(one[1] == 2 for one in board.asked) > 3, BOUND_S, "it is looked at")
        nose.ppm = 28.0
        until(lambda: board.on, BOUND_S, "it sounds")
        asked = len(board.asked)
        until(lambda: len(board.asked) > asked + 8, BOUND_S, "and goes on")
        assert board.on


@pytest.mark.journey
def test_it_is_stopped_and_tested_by_a_person_at_the_gateway(world, parts, capsys):
    board, nose = parts
    words = ["--data", str(world.folder)]
    assert main(["siren", "stop", *words]) == 1, "no agent runs"
    assert "ngắt nguồn" in capsys.readouterr().err
    with world.running():
        until(lambda: board.is_off, BOUND_S, "it is off")
        assert main(["siren", "stop", *words]) == 0
        assert "siren-1: đang im lặng" in capsys.readouterr().out
        assert main(["siren", "test", "siren-1", *words]) == 0
        said = capsys.readouterr().out
        assert "siren-1: its relay closed after " in said
        assert board.on
        until(lambda: not board.on, BOUND_S, "the test is short")
        nose.ppm = 28.0
        until(lambda: board.on, BOUND_S, "it sounds")
        assert main(["siren", "test", *words]) == 1, "this is no time for a test"
        assert main(["siren", "stop", "siren-1", *words]) == 0
        until(lambda: not board.on, BOUND_S, "stopped")
        assert main(["siren", "stop", "siren-9", *words]) == 1
        assert "không có [[siren]] nào tên siren-9" in capsys.readouterr().err
    codes = world.codes()
    assert codes.index(TEST) < codes.index(ON) < codes.index(STOPPED)


@pytest.mark.journey
def test_a_dead_board_is_told_and_a_test_of_it_fails(world, parts, capsys):
    board, nose = parts
    board.ill = lambda request, answer: b"" if request[0] == ADDRESS else answer
    with world.running():
        nose.ppm = 28.0
        until(lambda: "siren-1 cannot sound" in whys(world), BOUND_S, "it is told")
        assert main(["siren", "stop", "--data", str(world.folder)]) == 0
        assert main(["siren", "test", "--data", str(world.folder)]) == 1
        assert "KHÔNG HÚ ĐƯỢC" in capsys.readouterr().out
        board.ill = lambda _, answer: answer
        world.agent._sirens._sirens["siren-1"]._rule._quiet_ms = 0
        until(lambda: board.on, BOUND_S, "a board that is back sounds")
        until(lambda: "siren-1" not in whys(world), BOUND_S, "and nothing is wrong any more")
    assert FAILED in world.codes()


WRONG = {
    "another coil confirms": lambda request: rtu.write_coil(ADDRESS, 1, on=True) if request[1] == 5 else None,
    "off is confirmed": lambda request: rtu.write_coil(ADDRESS, 0, on=False) if request[1] == 5 else None,
    "another board answers": lambda request: rtu.write_coil(9, 0, on=True) if request[1] == 5 else None,
    "damaged": lambda request: request[:-1] + b"\0" if request[1] == 5 else None,
    "nothing": lambda request: b"" if request[1] == 5 else None,
}


@pytest.mark.parametrize("how", WRONG)
@pytest.mark.journey
def test_a_board_that_obeys_and_answers_wrongly_is_believed_by_what_its_coil_says(world, parts, how):
    board, nose = parts
    board.ill = lambda request, answer: answer if (said := WRONG[how](request)) is None else said
    with world.running():
        nose.ppm = 28.0
        until(lambda: world.code == ON, BOUND_S, "it sounds")
        assert board.on
        assert main(["siren", "stop", "--data", str(world.folder)]) == 0
        until(lambda: not board.on, BOUND_S, "it is silent")
    assert ON in world.codes()


@pytest.mark.journey
def test_a_board_behind_a_slow_link_is_believed_where_it_is_given_time(world, parts):
    board, nose = parts

    def slow(_: bytes, answer: bytes) -> bytes:
        threading.Event().wait(0.7)
        return answer

    board.ill = slow
    with world.running("timeout_s = 1.5"):
        until(lambda: len(board.asked) > 3, BOUND_S, "it is looked at")
        nose.ppm = 28.0
        until(lambda: world.code == ON, BOUND_S, "it sounds, and says so")
        until(lambda: "siren-1" not in whys(world), BOUND_S, "nothing is wrong, though it was late")
        assert main(["siren", "stop", "--data", str(world.folder)]) == 0
        until(lambda: world.code == STOPPED, BOUND_S, "and it is silent, and says so")


@pytest.mark.journey
def test_a_board_that_confirms_and_does_nothing_is_not_believed(world, parts):
    board, nose = parts
    board._switch = lambda request: request  # type: ignore[method-assign]
    with world.running():
        nose.ppm = 28.0
        until(lambda: "siren-1 cannot sound" in whys(world), BOUND_S, "it is told")
    assert ON not in world.codes()


@pytest.mark.journey
def test_a_siren_that_did_not_sound_when_it_was_tested_has_failed_until_it_does(world, parts, capsys):
    """What was found out stays known: to the server, in the status, and to the next process."""
    board, _ = parts
    words, well = ["siren", "test", "--data", str(world.folder)], board._switch
    with world.running():
        until(lambda: board.is_off, BOUND_S, "it is off")
        board._switch = lambda request: request  # type: ignore[method-assign]
        assert main(words) == 1
        until(lambda: world.code == FAILED, BOUND_S, "it is told")
    with world.running():
        until(lambda: "siren-1 cannot sound" in whys(world), BOUND_S, "and told again")
        board._switch = well  # type: ignore[method-assign]
        assert main(words) == 0
        until(lambda: world.code == OFF and "siren-1" not in whys(world), BOUND_S, "it is well again")
    assert {FAILED, TEST, OFF} <= set(world.codes())


@pytest.mark.journey
def test_a_relay_that_stays_on_is_told(world, parts):
    board, nose = parts
    with world.running():
        nose.ppm = 28.0
        until(lambda: board.on, BOUND_S, "it sounds")
        board._switch = lambda request: request  # type: ignore[method-assign]
        assert main(["siren", "stop", "--data", str(world.folder)]) == 0
        until(lambda: "siren-1 cannot be silenced" in whys(world), BOUND_S, "it is told")
    assert world.codes()[-1] == FAILED


def test_what_somebody_switched_on_by_hand_is_switched_off(world, parts):
    board, _ = parts
    with world.running():
        until(lambda: board.is_off, BOUND_S, "it is off")
        board.set(True)
        until(lambda: not board.on, BOUND_S, "it is off again")


def test_a_board_of_which_nobody_reads_the_coils_is_believed_when_it_repeats_the_order(world, parts):
    """Where the adapter does not echo, which somebody must say: it never shows where nothing can be read."""
    board, nose = parts
    refused = bytes((ADDRESS, 0x81, 1))
    board.ill = lambda request, answer: refused + rtu.crc16(refused) if request[1] == 1 else answer
    with world.running(bus="echo = false\n"):
        nose.ppm = 28.0
        until(lambda: world.code == ON, BOUND_S, "it sounds")
        assert board.on
    assert ON in world.codes()


@pytest.mark.journey
def test_a_board_that_lets_go_by_itself_is_told_anew_as_long_as_it_sounds(world, parts):
    board, nose = parts
    with world.running("timed = true"):
        nose.ppm = 28.0
        until(lambda: sum(one[1:3] == b"\x05\x02" for one in board.asked) >= 4, BOUND_S, "it is told anew")
        assert [on for _, on in board.switched] == [True], "and never let go between"
        assert main(["siren", "stop", "--data", str(world.folder)]) == 0
        until(lambda: not board.on, BOUND_S, "it is stopped")


@pytest.mark.journey
def test_a_port_that_goes_while_it_sounds_comes_back(world, tmp_path):
    (tmp_path / "ports").mkdir(exist_ok=True)
    with Nose(tmp_path / "ports" / "co") as nose, ExitStack() as boards:
        first = boards.enter_context(Board(tmp_path / "ports" / "relay"))
        with world.running():
            until(lambda: rtu.write_coil(ADDRESS, 0, on=False) in first.asked, BOUND_S, "it is off")
            boards.close()
            nose.ppm = 28.0
            until(lambda: "siren-1 cannot sound" in whys(world), BOUND_S, "it is told")
            with Board(tmp_path / "ports" / "relay") as second:
                until(lambda: second.on, BOUND_S, "plugged in again it sounds")


def agent_process(folder: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "gocche", "agent", "--config", str(folder / "devices.toml"), "--data", str(folder)]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=log)


@pytest.mark.journey
def test_who_stopped_it_is_not_woken_by_an_agent_that_was_killed(world, parts):
    """Smoke goes on all the while; the second process hears it, says "stopped on the spot", and is silent."""
    board, nose = parts
    (world.folder / "devices.toml").write_text(world.config())
    process = agent_process(world.folder)
    try:
        nose.ppm = 28.0
        until(lambda: board.on, BOUND_S, "it sounds")
        assert main(["siren", "stop", "--data", str(world.folder)]) == 0
        until(lambda: not board.on, BOUND_S, "it is silent")
        process.kill()
        process.wait(10)
        asked, told = len(board.asked), len(nose.told)
        process = agent_process(world.folder)
        until(lambda: len(board.asked) > asked + 4 and len(nose.told) > told + 30, BOUND_S, "the next one hears smoke")
    finally:
        process.terminate()
        assert process.wait(10) == 0
    assert [on for _, on in board.switched] == [True, False]
    assert world.codes()[-1] == STOPPED


def test_killed_with_9_it_is_off_at_the_next_start_and_a_signal_stops_it(world, parts):
    board, nose = parts
    (world.folder / "devices.toml").write_text(world.config())
    process = agent_process(world.folder)
    try:
        until(lambda: board.is_off, BOUND_S, "it is off")
        nose.ppm = 28.0
        until(lambda: board.on, BOUND_S, "it sounds")
        process.kill()
        process.wait(10)
        assert board.on, "nobody is there to let it go: timed = true is for that"
        nose.ppm = 0.2
        process = agent_process(world.folder)
        until(lambda: not board.on, BOUND_S, "the next start silences it")
        until(lambda: "found on" in (world.folder / "log").read_text(), BOUND_S, "and says so")
        nose.ppm = 28.0
        until(lambda: board.on, BOUND_S, "it sounds again")
        process.send_signal(signal.SIGUSR1)
        until(lambda: not board.on, BOUND_S, "SIGUSR1 stops it")
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait(10)


@pytest.mark.journey
def test_killed_with_9_a_board_that_lets_go_by_itself_is_silent_soon(world, parts):
    board, nose = parts
    (world.folder / "devices.toml").write_text(world.config("timed = true"))
    process = agent_process(world.folder)
    try:
        until(lambda: board.is_off, BOUND_S, "it is off")
        nose.ppm = 28.0
        until(lambda: board.on, BOUND_S, "it sounds")
        process.kill()
        process.wait(10)
        killed_s = time.monotonic()
        until(lambda: not board.on, BOUND_S, "it lets go")
        assert time.monotonic() - killed_s < 7
    finally:
        process.kill()
        process.wait(10)


def test_an_order_of_which_nothing_is_ever_heard_is_given_up_and_given_again():
    """A bus for which the machine has no thread takes orders and answers none."""
    given: list[Future] = []
    coil = Coil(relay.Config(address=8), lambda _: given.append(Future()) or given[-1], lambda: None, timed=False)
    for now in range(0, LOST_MS, 500):
        coil.drive(True, now)
    assert len(given) == 1
    for now in range(LOST_MS, LOST_MS + 6_000, 500):
        coil.drive(True, now)
    assert len(given) == 2
    assert coil.fault == "its bus does not answer"


# --- what devices.toml may say


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('bus = "relay"\naddress = 8', "address = 8", "[[siren]] 1 (siren-1) bus: where its relay is, is missing"),
        ('bus = "relay"\naddress = 8', 'bus = "relay"\ngpio = "/dev/gpiochip0"', "there are both bus and gpio"),
        (
            'bus = "relay"\naddress = 8',
            'bus = "relais"\naddress = 8',
            '"relais" is not a [[bus]]; did you mean "relay"?',
        ),
        ('name = "siren-1"', 'name = "Còi 1"', '"Còi 1" is not 1 to 32 of a-z'),
        ('name = "siren-1"', 'name = "co-1"', "[[siren]] 1 (co-1) name: "),
        (
            'channel = "co-1", quantity',
            'channel = "co-2", quantity',
            '"co-2" is not a [[sensor]]; did you mean "co-1"?',
        ),
        ('quantity = "co"', 'quantity = "co2"', 'co-1 does not measure "co2"; it measures: co'),
        (", at_least = 20", "", "needs a node, or channel, quantity and at_least together"),
        ('channel = "co-1", q', 'node = "n", channel = "co-1", q', "needs a node, or channel"),
        (
            '{ channel = "co-1", quantity = "co", at_least = 20, samples = 2 }',
            '{ node = "n" }',
            '"n" is not a [[node]]',
        ),
        ("check_s = 0.3", "most_s = 600", "most_s"),
        ("check_s = 0.3", "coils = 2", "coils"),
    ],
)
def test_a_siren_that_cannot_be_meant_is_refused_in_words(world, old, new, words):
    text = world.config()
    assert old in text
    (world.folder / "devices.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError) as error:
        load(world.folder / "devices.toml")
    said = [str(error.value), *map(str, error.value.further)]
    assert any(words in one for one in said), said
    assert all(one.told("vi") != one.told("en") for one in (error.value, *error.value.further))


def test_a_siren_at_a_gpio_line_needs_no_bus(world):
    text = world.config().replace('bus = "relay"\naddress = 8\nstop_input = 3', 'gpio = "/dev/gpiochip0"\nline = 17')
    text = text.replace('[[bus]]\nname = "relay"\nport = "ports/relay"\nbaud = 9600\n', "")
    (world.folder / "devices.toml").write_text(text)
    config = load(world.folder / "devices.toml")
    assert (config.sirens[0].relay, [one.table.channel for one in config.sensors]) == (None, ["co-1"])


# --- GPIO: no chip is here; its interface is the kernel's header


def test_the_kernels_interface_is_as_its_header_has_it(tmp_path):
    header = Path("/usr/include/linux/gpio.h")
    compiler = shutil.which("cc")
    if compiler is None or not header.exists() or "gpio_v2_line_request" not in header.read_text():
        pytest.skip("no C compiler, or no <linux/gpio.h> of Linux 5.10 or later")
    fields = "consumer", "config", "num_lines", "fd"
    source = tmp_path / "gpio.c"
    source.write_text(
        "#include <stdio.h>\n#include <stddef.h>\n#include <linux/gpio.h>\nint main(void){"
        'printf("%zu %zu %u %u %u %u %u %u %u",sizeof(struct gpio_v2_line_request),sizeof(struct gpio_v2_line_config),'
        "(unsigned)GPIO_V2_GET_LINE_IOCTL,(unsigned)GPIO_V2_LINE_GET_VALUES_IOCTL,"
        "(unsigned)GPIO_V2_LINE_SET_VALUES_IOCTL,(unsigned)GPIO_V2_LINE_FLAG_INPUT,(unsigned)GPIO_V2_LINE_FLAG_OUTPUT,"
        "(unsigned)GPIO_V2_LINE_FLAG_ACTIVE_LOW,(unsigned)GPIO_V2_LINE_FLAG_BIAS_PULL_UP);"
        + "".join(f'printf(" %zu",offsetof(struct gpio_v2_line_request,{name}));' for name in fields)
        + "}\n"
    )
    subprocess.run([compiler, "-o", tmp_path / "gpio", source], check=True, timeout=60)
    told = list(map(int, subprocess.check_output([tmp_path / "gpio"], timeout=10).split()))
    ours = [gpio._REQUEST.size, gpio._CONFIG.size, gpio.GET_LINE, gpio.GET_VALUES, gpio.SET_VALUES, gpio.INPUT]
    assert told[:9] == [*ours, gpio.OUTPUT, gpio.ACTIVE_LOW, gpio._PULL_UP]
    request = gpio.request(17, gpio.OUTPUT)
    consumer, config, lines, fd = told[9:]
    assert request[:4] == (17).to_bytes(4, sys.byteorder)
    assert request[consumer : consumer + 12] == b"gocche siren"
    assert request[config : config + 8] == gpio.OUTPUT.to_bytes(8, sys.byteorder)
    assert (request[lines : lines + 4], request[fd:]) == ((1).to_bytes(4, sys.byteorder), bytes(4))


def test_a_chip_that_is_not_there_is_a_fault_in_words(tmp_path):
    line = gpio.Line(str(tmp_path / "gpiochip9"), 17, active_low=False, button=4)
    line.drive(True, 1_000)
    assert (line.seen, line.button()) == (None, None)
    assert line.fault.endswith("line 17: No such file or directory")
    (tmp_path / "gpiochip9").touch()  # no chip
    line.drive(True, 2_000)
    assert "Inappropriate ioctl" in line.fault
    line.close()
    line.close()
