"""One bus: real drivers on simulated lines and real pseudo-terminals, with late, lost and wrong answers."""

from __future__ import annotations

import fcntl
import os
import random
import resource
import select
import termios
import threading
import time
import tty
from functools import partial, reduce
from operator import xor
from pathlib import Path

import msgspec
import pytest
from pymodbus.framer import FramerRTU

from edge import drivers
from edge.board import Board
from edge.config import Bus, Sensor, SensorTable
from edge.driver import Ask, Value
from edge.sense.capture import ROOM, Capture
from edge.sense.health import KINDS, TEXTS, Health
from edge.sense.lines import CapturedLine, SimulatedLine, opener
from edge.sense.pace import LATER_MS, LOOKED_FOR, Pace
from edge.sense.ports import WRITE_S, SerialLine
from edge.sense.sampler import Sampler
from edge.sense.terms import PortLost
from edge.sense.transcript import parse
from gocche.trouble import remedy
from tests.edge.clock import HandClock
from tests.edge.line import TimedLine
from wire.reading import Reading, Reason


def sensor(channel="soil-1", address=1, **table):
    driver = drivers.load("modbus")
    config = msgspec.convert(
        {"profile": "soil-0000", "address": address, "read": [{"at": 0, "count": 2}]}, driver.config
    )
    shared = {"channel": channel, "bus": "b", "driver": "modbus", "timeout_s": 0.15} | table
    return Sensor(SensorTable(**shared), driver, config, driver.quantities(config))


def answer(address, moisture, temperature):
    body = bytes([address, 3, 4]) + moisture.to_bytes(2, "big") + temperature.to_bytes(2, "big")
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")  # an independent implementation's


def bus(**keys):
    return Bus(**({"name": "b", "port": "p", "baud": 9600, "format": "8N1"} | keys))


def sampler(line, *sensors, clock=None, **keys):
    got: list[Reading] = []
    open_ = line if callable(line) and not isinstance(line, SimulatedLine) else lambda: line
    room = Sampler(bus(**keys), list(sensors), open_, got.append, board := Board(), clock or HandClock())
    return room, board.channels


def test_a_good_answer_becomes_a_reading_in_scaled_integers():
    one = sensor()
    room, health = sampler(SimulatedLine(lambda frame: answer(frame[0], 312, 225) if frame else b""), one)
    reading = room.poll(one)
    assert reading.values == {"soil_moisture": 3120, "soil_temperature": 2250}
    assert reading.reasons == {}
    assert health["soil-1"].why == ""


def test_a_dead_probe_yields_reasons_and_is_named_once(caplog):
    one = sensor()
    clock = HandClock()
    room, health = sampler(SimulatedLine(lambda _: b""), one, clock=clock)
    readings = [room.poll(one) for _ in range(6)]
    assert all(r.values == {} and set(r.reasons.values()) == {Reason.SILENCE} for r in readings)
    assert [record.message for record in caplog.records if "lost" in record.message] == [
        "channel=soil-1 lost reason=silence why='silence: " + health["soil-1"].why.split("silence: ")[1] + "'"
    ]
    assert health["soil-1"].bad["silence"] == 3 * 3 + 3, "after three failures it is asked once a poll"


def test_a_value_out_of_range_is_a_reason_and_zero_is_a_value():
    one = sensor()
    room, _ = sampler(SimulatedLine(lambda frame: answer(1, 0, 900) if frame else b""), one)
    reading = room.poll(one)
    assert reading.values == {"soil_moisture": 0}
    assert reading.reasons == {"soil_temperature": Reason.OUT_OF_RANGE}
    assert reading.raw == {"soil_temperature": 9000}, "the number stays beside its reason"


def registers(*words):
    body = bytes([1, 3, 2 * len(words)]) + b"".join(word.to_bytes(2, "big") for word in words)
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


def test_a_device_that_answers_without_a_value_is_not_well(caplog):
    """A probe whose head is unplugged answers 0x7FFF for years; it must not pass the check before leaving."""
    one, said = sensor(), [0x7FFF, 0x7FFF]
    room, health = sampler(SimulatedLine(lambda frame: registers(*said) if frame else b""), one)
    for _ in range(5):
        assert room.poll(one).reasons == dict.fromkeys(("soil_moisture", "soil_temperature"), Reason.SENTINEL)
    assert health["soil-1"].why == "no value: sentinel"
    assert "docs/operate" not in remedy(health["soil-1"].why, "soil-1", "en")
    assert room._terms(one).retries == 2, "it answers: it is not asked with less care"
    assert len([record for record in caplog.records if "without a value" in record.message]) == 1
    said[:] = [312, 0x7FFF]
    assert room.poll(one).values == {"soil_moisture": 3120}
    assert health["soil-1"].why == ""


def test_a_device_that_warms_up_or_is_asked_for_nothing_that_is_stored_is_well():
    one = sensor(warmup_s=30)
    room, health = sampler(SimulatedLine(lambda frame: answer(1, 312, 225) if frame else b""), one)
    assert set(room.poll(one).reasons.values()) == {Reason.WARMING_UP}
    assert health["soil-1"].why == ""
    read = {"profile": "soil-0012", "address": 1, "read": [{"at": 256, "count": 2}]}
    config = msgspec.convert(read, one.driver.config)
    plain = msgspec.structs.replace(sensor(), config=config, quantities=one.driver.quantities(config))
    room, health = sampler(SimulatedLine(lambda frame: registers(1, 2) if frame else b""), plain)
    assert (room.poll(plain).reasons, health["soil-1"].why) == ({}, "")


@pytest.mark.parametrize("said", [float("nan"), float("inf"), -1.7e308, 3.4e38, pytest.param(10**400, id="10^400")])
def test_what_no_integer_can_say_is_absent_and_counted(said):
    def odd(_config):
        yield Ask(b"?", size=1)
        return [Value("soil_moisture", "%", 31.2), Value("soil_temperature", "Cel", said)]

    one = msgspec.structs.replace(sensor(), driver=msgspec.structs.replace(sensor().driver, poll=odd))
    room, health = sampler(SimulatedLine(lambda frame: b"!" if frame else b""), one)
    reading = room.poll(one)
    assert reading.values == {"soil_moisture": 3120}
    assert (reading.reasons, reading.raw) == ({"soil_temperature": Reason.OUT_OF_RANGE}, {})
    assert health["soil-1"].bad == {"unrepresentable": 1}


def test_a_dead_probe_is_asked_ever_more_seldom_but_its_neighbour_is_not():
    clock = HandClock(mono_ms=0)
    dead, well = sensor("dead", 1, every_s=1.0), sensor("well", 2, every_s=1.0)
    line = SimulatedLine(lambda frame: answer(2, 300, 200) if frame[:1] == b"\x02" else b"")
    got = []

    def put(reading):
        got.append(reading)
        if clock.now > 120_000:
            room.stop()

    room = Sampler(bus(settle_ms=0), [dead, well], lambda: line, put, Board(), clock)
    room.run()
    polls = [sum(r.channel == name for r in got) for name in ("dead", "well")]
    assert polls[1] >= 115
    assert 5 <= polls[0] <= 20


def test_what_is_dead_takes_a_small_part_of_a_fast_bus():
    """Of probes that were asked each second three were dead for good: the others lost one of ten samples."""
    clock = HandClock(mono_ms=0)
    all_ = [sensor(f"soil-{n}", n, every_s=1.0, timeout_s=0.5) for n in range(1, 6)]
    line = TimedLine(clock, lambda frame: [] if frame[0] <= 3 else [(20, answer(frame[0], 300, 200))])
    got = []

    def put(reading):
        got.append((clock.now, reading.channel))
        if clock.now > 600_000:
            room.stop()

    room = Sampler(bus(), all_, lambda: line, put, Board(), clock)
    room.run()
    late = [channel for at, channel in got if at > 200_000]
    assert late.count("soil-4") >= 0.93 * 400
    assert 3 * 2 <= sum(late.count(f"soil-{n}") for n in (1, 2, 3)) <= 3 * 4, "and they are found again soon"


def test_where_a_cable_is_cut_in_the_middle_the_nearer_half_loses_nothing():
    """All that were dead were due at one moment, and one after the other held up who answers, every five minutes."""
    clock, due = HandClock(mono_ms=0), []
    all_ = [sensor(f"soil-{n}", n, every_s=10.0, timeout_s=0.5) for n in range(1, 31)]
    line = TimedLine(clock, lambda frame: [] if frame[0] <= 20 else [(20, answer(frame[0], 300, 200))])

    def put(reading):
        if reading.channel == "soil-30" and clock.now > 1_500_000:  # by then it is known who is dead
            due.append(clock.now)
        if clock.now > 2_500_000:
            room.stop()

    room = Sampler(bus(), all_, lambda: line, put, Board(), clock)
    room.run()
    assert len(due) >= 99


def test_when_half_a_line_dies_the_other_half_waits_for_no_more_than_one_round():
    """Until it was known who was dead, those were asked one after the other: of the others' samples a third came."""
    clock, came = HandClock(mono_ms=0), []
    all_ = [sensor(f"soil-{n}", n, every_s=10.0, timeout_s=0.5) for n in range(1, 21)]
    cut_ms = 100_000

    def respond(frame):
        return [] if frame[0] <= 10 and clock.now > cut_ms else [(25, answer(frame[0], 300, 200))]

    def put(reading):
        if reading.values:
            came.append(clock.now)
        if clock.now > cut_ms + 300_000:
            room.stop()

    room = Sampler(bus(), all_, lambda: TimedLine(clock, respond), put, Board(), clock)
    room.run()
    assert sum(at > cut_ms + 60_000 for at in came) >= 0.98 * 10 * 24


def test_who_did_not_answer_is_asked_again_on_a_line_that_has_time_for_nobody():
    clock, asked = HandClock(mono_ms=0), []
    all_ = [sensor(f"soil-{n}", n, every_s=1.0, timeout_s=0.5) for n in range(1, 21)]

    def respond(frame):
        return [] if frame[0] == 1 and clock.now < 60_000 else [(100, answer(frame[0], 300, 200))]

    def put(reading):
        asked.append((reading.channel, bool(reading.values)))
        if clock.now > 600_000:
            room.stop()

    room = Sampler(bus(), all_, lambda: TimedLine(clock, respond), put, Board(), clock)
    room.run()
    assert asked.count(("soil-1", False)) >= 3
    assert asked.count(("soil-1", True)) >= 200


def test_an_answer_is_as_late_as_it_was_and_not_as_the_next_look_at_it():
    """Found at the next poll it seemed later than it was: an installer was told so, and retries ran out of time."""
    clock, got = HandClock(mono_ms=0), []
    late = iter([True] * 2 + [True, False] * 9)  # what the first poll has time for, then each first try
    line = TimedLine(clock, lambda frame: [(300 if next(late) else 10, answer(frame[0], 312, 225))])

    def put(reading):
        got.append(reading)
        if len(got) == 6:
            room.stop()

    room = Sampler(bus(), [sensor(every_s=0.5)], lambda: line, put, Board(), clock)
    room.run()
    assert [bool(reading.values) for reading in got] == [False] + [True] * 5
    assert "an answer came 0.30 s after its question" in room._late(room._terms(sensor()))


class Pty:
    """A pseudo-terminal whose far end answers by a function of (number of request, frame)."""

    def __init__(self, folder: Path, respond) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.port = folder / "port"
        self.port.unlink(missing_ok=True)
        self.port.symlink_to(os.ttyname(self.slave))
        self._respond = respond
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        number = 0
        while not self._ended.is_set():
            if select.select([self.master], [], [], 0.02)[0]:
                number += 1
                self._respond(number, os.read(self.master, 256), lambda data: os.write(self.master, data))

    def close(self) -> None:
        self._ended.set()
        self._thread.join(5)  # before its descriptors may be given to somebody else
        os.close(self.slave)
        os.close(self.master)


class RealClock(HandClock):
    def mono_ms(self):
        return time.monotonic_ns() // 1_000_000

    def wait(self, event, seconds):
        return event.wait(seconds)


def test_a_late_answer_is_never_taken_for_the_next_one(tmp_path):
    """evidence: with replies a poll late, masters without settling took over a third of the stale answers as good."""
    asked = []

    def respond(number, frame, send):
        asked.append(number)
        if number % 2:
            threading.Timer(0.25, send, [answer(1, number, 200)]).start()  # beyond the time-out, within the settling
        else:
            send(answer(1, number, 200))

    pty = Pty(tmp_path, respond)
    one = sensor(retries=0)
    room, health = sampler(lambda: SerialLine(bus(), str(pty.port), RealClock()), one, clock=RealClock(), settle_ms=250)
    for _ in range(12):
        reading = room.poll(one)
        if reading.values:
            assert reading.values["soil_moisture"] == 10 * len(asked), "the answer to an earlier question"
    assert health["soil-1"].bad["silence"] >= 4
    room.close()
    pty.close()


def test_an_answer_that_comes_in_pieces_wakes_its_thread_once_or_twice(tmp_path):
    """A chip hands on eight bytes at a time; each waking costs more than what is done with them."""

    def respond(number, frame, send):
        whole = answer(1, 300 + number, 200)
        for at in range(len(whole)):
            send(whole[at : at + 1])
            time.sleep(0.001)  # as a wire at 9600 baud

    class Counted(SerialLine):
        reads = 0

        def read(self, size, patience_s):
            Counted.reads += 1
            return super().read(size, patience_s)

    pty = Pty(tmp_path, respond)
    one = sensor(timeout_s=3.0)  # a busy machine sends its pieces late
    room, _ = sampler(lambda: Counted(bus(), str(pty.port), RealClock()), one, clock=RealClock())
    assert [room.poll(one).values["soil_moisture"] for _ in range(10)] == [10 * (300 + n) for n in range(1, 11)]
    assert Counted.reads < 45, "of 9 pieces each"
    room.close()
    pty.close()


def test_a_question_waits_until_the_answer_before_is_over(tmp_path):
    """A slave that says all twice said its first answer, once more, to the next question; and slaves need the pause."""
    pty = Pty(tmp_path, lambda _number, frame, send: send(frame.upper()))
    line = SerialLine(bus(baud=300), str(pty.port), RealClock())  # four characters are 133 ms
    line.write(b"one")
    assert line.read(3, 5) == b"ONE"
    threading.Timer(0.03, os.write, (pty.master, b"ONE")).start()
    line.write(b"two")
    assert line.read(3, 5) == b"TWO"
    line.close()
    pty.close()


def test_a_line_that_was_quiet_by_the_clock_is_written_to_at_once(tmp_path):
    """To wait for the quiet that had been cost each question a waking."""
    pty = Pty(tmp_path, lambda _number, frame, send: None)
    line = SerialLine(bus(baud=300), str(pty.port), RealClock())  # four characters are 133 ms
    for _ in range(2):
        line.write(b"?")
    began = time.monotonic()
    for _ in range(20):
        line.write(b"?")
    assert time.monotonic() - began < 20 * 0.133 / 2
    line.close()
    pty.close()


def left_in_peace(pace, clock, took_ms):
    """Return how long an answer is left in peace that is whole after so long, in ms."""
    pace.asked(b"?")
    rest_ms, began = 1000 * pace.rest_s(), clock.now
    clock.now = began + max(took_ms, round(rest_ms))
    pace.came()
    pace.answered(waited=took_ms > rest_ms)
    assert pace.rest_s() == 0, "only before the first look"
    return rest_ms


def test_an_answer_is_left_in_peace_for_as_long_as_nine_of_ten_take():
    clock, chance = HandClock(), random.Random(6)
    pace = Pace(clock, 0.001)
    asked = partial(left_in_peace, pace, clock)
    assert [asked(took) for took in (40, 900, 45)] == [0, 0, 0]
    took = [chance.uniform(30, 50) for _ in range(400)]
    assert 0.75 < sum(asked(one) >= one for one in took) / 400 < 0.95
    usual = asked(2_000)  # one that is slow for once
    assert asked(40) <= usual + LATER_MS
    pace.asked(b"another")
    assert pace.rest_s() == 0


def test_a_device_that_was_slow_is_not_left_in_peace_for_as_long_for_hours():
    """Three answers took 0.9 s while the machine started; all that followed, of 30 ms, were waited for as long."""
    clock = HandClock()
    pace = Pace(clock, 0.001)
    for took_ms in (900, 900, 900, *[30] * LOOKED_FOR):
        left_in_peace(pace, clock, took_ms)
    assert left_in_peace(pace, clock, 30) <= 30 + LATER_MS


def test_a_vanished_adapter_is_lost_once_and_found_again_by_its_stable_name(tmp_path):
    pty = Pty(tmp_path, lambda n, frame, send: send(answer(1, 300, 200)))
    one = sensor(timeout_s=3.0)
    clock = RealClock()
    room, _ = sampler(opener(bus(port="port"), tmp_path, RealClock()), one, clock=clock)
    assert room.poll(one).values
    pty.close()
    lost = room.poll(one)
    assert set(lost.reasons.values()) == {Reason.PORT_LOST}
    back = Pty(tmp_path, lambda n, frame, send: send(answer(1, 301, 200)))
    deadline = time.monotonic() + 20
    while not (reading := room.poll(one)).values:
        assert time.monotonic() < deadline
        clock.wait(threading.Event(), 0.05)
    assert reading.values["soil_moisture"] == 3010
    room.close()
    back.close()


def test_a_silent_port_whose_name_is_another_ones_now_is_left_for_that(tmp_path):
    old = Pty(tmp_path, lambda n, frame, send: None)
    one, clock = sensor(timeout_s=0.05, retries=0), RealClock()
    room, _ = sampler(opener(bus(port="port"), tmp_path, clock), one, clock=clock)
    assert set(room.poll(one).reasons.values()) == {Reason.SILENCE}
    old.port.unlink()
    assert set(room.poll(one).reasons.values()) == {Reason.SILENCE}, "a name that is away says nothing"
    new = Pty(tmp_path, lambda n, frame, send: send(answer(1, 301, 200)))
    assert set(room.poll(one).reasons.values()) == {Reason.PORT_LOST}
    deadline = time.monotonic() + 20
    while not (reading := room.poll(one)).values:
        assert time.monotonic() < deadline
        clock.wait(threading.Event(), 0.05)
    assert reading.values["soil_moisture"] == 3010
    room.close()
    old.close()
    new.close()


def test_a_port_is_ours_alone(tmp_path):
    pty = Pty(tmp_path, lambda n, frame, send: None)
    first = SerialLine(bus(), str(pty.port), RealClock())
    with pytest.raises(PortLost, match="another program holds it") as held:
        SerialLine(bus(), str(pty.port), RealClock())
    assert held.value.reason is Reason.PORT_BUSY
    first.close()
    first.close()
    pty.close()


def test_a_port_that_modemmanager_has_is_busy_and_not_lost(tmp_path):
    """It takes TIOCEXCL, which only who is not root is refused by."""
    pty = Pty(tmp_path, lambda n, frame, send: None)
    Path(os.ttyname(pty.slave)).chmod(0o666)
    tmp_path.chmod(0o755)
    fcntl.ioctl(pty.slave, termios.TIOCEXCL)
    room, channels = sampler(lambda: SerialLine(bus(), os.ttyname(pty.slave), RealClock()), sensor())
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65_534)
        reading = room.poll(sensor())
    finally:
        if root:
            os.seteuid(0)
        pty.close()
    assert set(reading.reasons.values()) == {Reason.PORT_BUSY}
    assert "another program holds it (ModemManager" in channels["soil-1"].why


def test_a_program_that_takes_what_comes_is_not_told_as_an_adapter_that_is_gone(tmp_path, monkeypatch):
    """ModemManager, gpsd or a terminal asks no lock. It reads between our look and our reading."""
    pty = Pty(tmp_path, lambda n, frame, send: send(answer(1, 301, 200)))
    line = SerialLine(bus(), str(pty.port), RealClock())
    theirs, read = os.open(pty.port, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK), os.read

    def late(fd, size):
        read(theirs, 100)
        return read(fd, size)

    line.write(b"\1\3\0\0\0\2\xc4\x0b")
    monkeypatch.setattr("edge.sense.ports.os.read", late)
    with pytest.raises(PortLost, match="another program takes what comes: end it"):
        line.read(9, 5.0)
    monkeypatch.undo()
    os.close(theirs)
    line.close()
    pty.close()


@pytest.mark.parametrize("port", ["dir", "file", "pipe", "loop", "/dev/null", "replay:dir", "replay:pipe"])
def test_a_port_that_is_none_is_told_in_whole_words_and_what_to_do(tmp_path, port):
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PortLost) as caught:
        opener(bus(port=port), tmp_path, RealClock())()
    why = str(caught.value)
    whole = ("no serial port", "could not open port: Is a directory", "not a file", "Too many levels of symbolic links")
    assert why.endswith(whole), why
    assert "what port names is no serial port" in remedy(why, "soil-1", "en")


@pytest.mark.parametrize(
    ("why", "what"),
    [
        ("/dev/ttyUSB0: (22, 'Invalid argument')", "cannot do this speed"),
        ("short: AT: 3 bytes came, none ends an answer: is the speed right? 'x'", "baud or format is wrong"),
        ("short: AT: the line fell silent within 'TEMP 23'", "none of this device"),
        ("short: 3 of 9 bytes came: 01 03 04", "noisy line"),
        ("garbled: another master asks slave 1, too, or an echo is late: 01 03", "has one that asks"),
    ],
)
def test_what_an_installer_is_told_to_look_at(why, what):
    assert what in remedy(why, "soil-1", "en")


def test_a_port_that_cannot_switch_the_direction_says_what_to_do_and_is_let_go(tmp_path):
    """A pseudo-terminal has no TIOCSRS485, as many USB adapters have not."""
    pty = Pty(tmp_path, lambda n, frame, send: None)
    for _ in range(2):
        with pytest.raises(PortLost, match="remove rts_on_send"):
            SerialLine(msgspec.structs.replace(bus(), rts_on_send="high"), str(pty.port), RealClock())
    SerialLine(bus(), str(pty.port), RealClock()).close()
    pty.close()


def test_a_captured_talk_can_be_played_again(tmp_path):
    pty = Pty(tmp_path, lambda n, frame, send: send(answer(1, 300 + n, 200)))
    one = sensor()
    clock = RealClock()
    room, _ = sampler(opener(bus(port="port", capture="wire.txt"), tmp_path, clock), one, clock=clock)
    assert room.poll(one).values["soil_moisture"] == 3010
    room.close()
    pty.close()
    again, _ = sampler(opener(bus(port="replay:wire.txt"), tmp_path, RealClock()), one)
    assert [again.poll(one).values["soil_moisture"] for _ in range(3)] == [3010] * 3


def test_every_poll_has_one_outcome_whatever_the_driver_does(caplog):
    """Before, a driver that stumbled made a poll vanish: 13 polls, 0 readings, and the status said "not asked yet"."""
    one = sensor()

    def stumbling(_config):
        yield Ask(b"?", 1)
        raise ZeroDivisionError("no such number")

    lame = msgspec.structs.replace(one, driver=msgspec.structs.replace(one.driver, poll=stumbling))
    room, health = sampler(SimulatedLine(lambda _: b"!"), one)
    readings = [room.poll(lame) for _ in range(4)]
    assert [set(reading.reasons.values()) for reading in readings] == 4 * [{Reason.FAULTY}]
    assert health["soil-1"].why == "faulty: ZeroDivisionError: no such number"
    assert health["soil-1"].last_ok_ms is None
    assert sum("Traceback" in caplog.handler.format(record) for record in caplog.records) == 1, "once a change"


def saying(*told, ends=None):
    """A sensor whose driver says this, or ends so."""

    def poll(_config):
        yield Ask(b"?", 1)
        if ends is not None:
            raise ends
        return list(told)

    one = sensor()
    return msgspec.structs.replace(one, driver=msgspec.structs.replace(one.driver, poll=poll))


@pytest.mark.parametrize("ends", [SystemExit(3), GeneratorExit(), RecursionError(), MemoryError()])
def test_nothing_that_a_driver_raises_ends_the_thread_of_its_bus(ends):
    room, health = sampler(SimulatedLine(lambda _: b"!"), one := saying(ends=ends))
    assert set(room.poll(one).reasons.values()) == {Reason.FAULTY}
    assert health["soil-1"].why.startswith(f"faulty: {type(ends).__name__}")


def test_who_asks_by_hand_may_break_off():
    room, _ = sampler(SimulatedLine(lambda _: b"!"), one := saying(ends=KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        room.poll(one)


def test_a_probe_that_comes_and_goes_is_told_at_once_and_then_in_a_sum_an_hour(caplog):
    """Twenty of them at one failure in ten wrote 3.4 MB a day on the card; now it is 3 KB each, whatever they do."""
    caplog.set_level("INFO")
    one, clock, fails = sensor(), HandClock(), False
    line = SimulatedLine(lambda frame: answer(1, 312, 225) if frame and not fails else b"")
    room, _ = sampler(line, one, clock=clock)
    for number in range(2 * 2_880):
        fails = number % 10 == 4 if number < 2_880 else number >= 2 * 2_880 - 3
        clock.now += 30_000
        room.poll(one)
        if number == 5:
            assert [said.split()[1] for said in caplog.messages] == ["lost", "back"], "the first change at once"
    sums = [said for said in caplog.messages if "unsteady" in said]
    assert sums[1] == "channel=soil-1 unsteady failed=12 polls=120 mostly=silence minutes=60 now=lost"
    assert len(sums) == 24
    assert sum(int(said.split("polls=")[1].split()[0]) for said in sums) == pytest.approx(2_880, abs=5)
    assert caplog.messages[-1].startswith("channel=soil-1 lost"), "a change after an hour without any is a first one"
    assert sum(map(len, caplog.messages)) < 3_000


def test_a_defect_whose_words_differ_each_time_is_logged_once(caplog):
    room, _ = sampler(SimulatedLine(lambda _: b"!"), sensor())
    for number in range(20):
        room.poll(saying(ends=KeyError(f"byte {number}")))
    assert sum("Traceback" in caplog.handler.format(record) for record in caplog.records) == 1


def test_a_quantity_has_a_value_or_a_reason_and_the_first_word_counts():
    """Both, or a reason that nobody knows, and the cloud would refuse the whole batch, neighbours and all."""
    twice = saying(Value("soil_moisture", "%", 31.2), Value("soil_moisture", "%", None))
    room, _ = sampler(SimulatedLine(lambda _: b"!"), twice)
    reading = room.poll(twice)
    assert (reading.values, reading.reasons) == ({"soil_moisture": 3120}, {"soil_temperature": Reason.NOT_REPORTED})
    unheard_of = saying(Value("soil_moisture", "%", None, "silence"))
    assert set(room.poll(unheard_of).reasons.values()) == {Reason.FAULTY}


def test_a_number_that_means_no_value_stays_beside_its_reason():
    """A light sensor that says -1 has nothing to say; staff may still want to know that it said so."""
    told = saying(Value("soil_moisture", "%", None, Reason.SENTINEL, raw=-1.0))
    room, _ = sampler(SimulatedLine(lambda _: b"!"), told)
    reading = room.poll(told)
    assert (reading.reasons["soil_moisture"], reading.raw) == (Reason.SENTINEL, {"soil_moisture": -100})


def test_a_device_that_says_some_of_what_another_model_says_is_not_well_and_keeps_its_values():
    """A PMS5003 in a PMS5003T's place passed for well: its masses are right, and no temperature came, for ever."""
    told = saying(Value("soil_moisture", "%", 31.2), Value("soil_temperature", "Cel", 0.0, Reason.WRONG_DEVICE))
    room, health = sampler(SimulatedLine(lambda _: b"!"), told)
    reading = room.poll(told)
    assert (reading.values, reading.reasons) == ({"soil_moisture": 3120}, {"soil_temperature": Reason.WRONG_DEVICE})
    line = health["soil-1"]
    assert (line.why, line.since_ms is None) == ("implausible: soil_temperature", False)


def test_every_order_is_answered_whenever_the_bus_ends():
    begun, go_on = threading.Event(), threading.Event()

    def far(_frame):
        begun.set()
        go_on.wait(5)
        return b""

    room, _ = sampler(SimulatedLine(far), sensor())
    running = threading.Thread(target=room.run)
    running.start()
    assert begun.wait(5)
    waiting = [room.order("soil-1", Ask(b"on", size=2)) for _ in range(3)]
    room.stop()
    go_on.set()
    running.join(5)
    late = room.order("soil-1", Ask(b"off", size=3))
    assert all(isinstance(done.exception(1), PortLost) for done in (*waiting, late))


def test_who_is_told_again_and_again_does_not_silence_who_is_asked():
    """An order to a dead siren takes longer than the two seconds after which it was given anew: nobody was asked."""
    clock = HandClock()
    told = []

    def far(frame):
        if frame == b"on":
            told.append(room.order("soil-1", Ask(b"on", size=2)))
            room._stopped |= len(told) > 40
            return []
        room._stopped |= len(got) > 4
        return [(10, answer(1, 312, 225))]

    got: list[Reading] = []
    line = TimedLine(clock, far)
    room = Sampler(bus(), [sensor()], lambda: line, got.append, Board(), clock)
    line.cancel = lambda: None
    room._opened()
    room.order("soil-1", Ask(b"on", size=2))
    room._poll_on()
    assert sum(bool(reading.values) for reading in got) > 4


def test_a_date_that_cannot_be_does_not_cost_the_position(tmp_path):
    """30 February once lost the fix beside it."""
    driver = drivers.load("nmea0183")
    config = msgspec.convert({"sentences": ["GGA", "RMC"]}, driver.config)
    one = Sensor(SensorTable(channel="soil-1", bus="b", driver="nmea0183"), driver, config, driver.quantities(config))

    def sentence(body):
        return f"${body}*{reduce(xor, body.encode()):02X}\r\n".encode()

    for date, clock in (("300226", "120000"), ("311226", "235960")):
        talk = sentence(f"GPRMC,{clock},A,2130.0,N,10430.0,E,0.0,0.0,{date},,,A") + sentence(
            f"GPGGA,{clock},2130.0,N,10430.0,E,1,08,1.0,900,M,0,M,,"
        )
        line = SimulatedLine(lambda _: b"")
        line.drain = lambda line=line, talk=talk: line._incoming.extend(talk)
        room, health = sampler(line, one)
        reading = room.poll(one)
        assert reading.values["lat"] == 215_000_000
        assert health["soil-1"].why == ""


def test_what_a_device_says_of_itself_is_bounded_and_printable():
    one = sensor()
    board = Board()
    health = Health(board, "soil-1")
    for n in range(100):
        health.stumbled([f"cme:\x1b[2J\nsome text {n}"])
        health.text(f"firmware {n}", "\0" * 10_000)
    health.well(0)
    health.failed("\r\n\x07" * 5_000, 1, "garbled")
    line = board.channels["soil-1"]
    assert len(line.bad) <= KINDS + 1
    assert sum(line.bad.values()) == 100
    assert len(line.texts) == TEXTS
    said = [line.why, *line.bad, *line.texts, *line.texts.values()]
    assert all(words.isprintable() and len(words) <= 200 for words in said)
    assert one.table.channel == "soil-1"


def test_what_a_device_says_no_more_is_not_said_of_it_any_more():
    """A firmware's strange word stood in the status for ever; a poll that brings nothing takes nothing away."""
    board = Board()
    health = Health(board, "modem")
    for said in ({"mode": "NR6G", "unread": "NR6G: not known"}, {"mode": "LTE"}):
        health.asked()
        for name, text in said.items():
            health.text(name, text)
        health.well(1)
        assert board.channels["modem"].texts == said
    health.asked()
    health.failed("silence", 2, "silence")
    assert board.channels["modem"].texts == {"mode": "LTE"}


def test_a_thread_that_takes_a_bus_over_goes_on_with_its_line(caplog):
    """Else a probe silent for a month is silent since a minute ago, and one that was well yesterday never was."""
    board = Board()
    before = Health(board, "soil-1")
    before.asked()
    before.well(1_000)
    before.failed("silence", 2_000, "silence")
    after = Health(board, "soil-1")
    after.failed("silence", 9_000, "silence")
    assert len(caplog.records) == 1, "no news"
    line = board.channels["soil-1"]
    assert (line.last_ok_ms, line.since_ms, line.polls) == (1_000, 2_000, 1)


def test_a_capture_is_bounded_and_never_costs_a_reading(tmp_path):
    """On a full disk it once took every reading with it."""
    one = sensor()
    file = tmp_path / "wire.txt"
    far = SimulatedLine(lambda frame: answer(1, 312, 225))
    capture = Capture(file, 4_000)
    room, _ = sampler(lambda: CapturedLine(far, capture), one)
    assert all(room.poll(one).values for _ in range(300))
    capture.settle(5)
    kept = list(tmp_path.iterdir())
    assert {path.name for path in kept} == {"wire.txt", "wire.txt.1"}
    assert sum(path.stat().st_size for path in kept) <= 4_000 + 200
    assert parse(file.read_text())
    for none in ("/dev/full", f"/{'a' * 300}/x"):  # takes nothing; may not even be looked at
        capture = Capture(Path(none), told=(said := []).append)
        room, health = sampler(lambda capture=capture: CapturedLine(far, capture), one)
        assert all(room.poll(one).values for _ in range(10))
        capture.settle(5)
        assert not capture._well
        assert "readings are not harmed" in said[0]
        assert health["soil-1"].why == ""


def test_a_capture_on_a_disk_that_fills_can_be_played_again(tmp_path):
    """Half a line was left, the next start wrote on behind it, and no talk of the file could be read."""
    file, limits = tmp_path / "wire.txt", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
    try:
        full = Capture(file)
        for _ in range(100):
            full.sent(b"\x01\x03\x00\x00\x00\x02\xc4\x0b")
        full.settle(5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    again = Capture(file)
    again.sent(b"\x01")
    again.settle(5)
    assert 30 < len(parse(file.read_text())) < 45


def test_a_capture_on_a_disk_that_hangs_costs_no_reading(tmp_path):
    """Its bus hung with it, until somebody looked."""
    file, one = tmp_path / "wire.txt", sensor()
    capture = Capture(file)
    room, _ = sampler(lambda: CapturedLine(SimulatedLine(lambda frame: answer(1, 312, 225)), capture), one)
    assert room.poll(one).values
    capture.settle(5)
    file.unlink()
    os.mkfifo(file)  # to open it for writing never ends while nobody reads
    assert all(room.poll(one).values for _ in range(2 * ROOM))
    room.close()
    capture.settle(0.01)
    os.close(os.open(file, os.O_RDONLY | os.O_NONBLOCK))  # else its thread would outlive the test
    capture.settle(5)


def test_a_capture_says_how_much_is_missing_once_its_disk_goes_on(tmp_path, caplog):
    go_on = threading.Event()

    class Late(Capture):
        def _write(self, line):
            assert go_on.wait(10)
            super()._write(line)

    capture = Late(file := tmp_path / "wire.txt")
    for number in range(2 * ROOM):
        capture.sent(b"%d" % number)
    go_on.set()
    capture.settle(5)
    capture.sent(b"on")
    capture.settle(5)
    talk = [data for _, data in parse(file.read_text())]
    assert talk[-1] == b"on"
    assert f"# {2 * ROOM + 1 - len(talk)} lines are missing" in file.read_text()
    assert ROOM <= len(talk) <= ROOM + 2
    assert sum("capture pauses" in said for said in caplog.messages) == 1


def test_a_capture_spoils_no_other_file(tmp_path):
    """`capture = "spool.db"` would write into the spool and, at its limit, move it away."""
    spool, pipe, settings = tmp_path / "spool.db", tmp_path / "pipe", tmp_path / "devices.toml"
    spool.write_bytes(b"SQLite format 3\0" + bytes(5_000))
    os.mkfifo(pipe)
    settings.write_text("# A gateway.\n\n[gateway]\n")
    for file in (spool, pipe, settings):
        far = SimulatedLine(lambda frame: answer(1, 312, 225))
        capture = Capture(file, 4_000, (said := []).append)
        room, _ = sampler(lambda far=far, capture=capture: CapturedLine(far, capture), one := sensor())
        assert all(room.poll(one).values for _ in range(100))
        capture.settle(5)
        assert f"there is no capture in {file}" in said[0]
    assert spool.read_bytes() == b"SQLite format 3\0" + bytes(5_000)
    assert not (tmp_path / "spool.db.1").exists()
    assert settings.read_text() == "# A gateway.\n\n[gateway]\n"


def test_what_a_device_needs_is_known_by_its_driver_and_may_be_said_otherwise():
    pms = drivers.load("plantower_pms")
    config = msgspec.convert({"model": "pms5003"}, pms.config)
    plain = Sensor(SensorTable(channel="air", bus="b", driver="plantower_pms"), pms, config, pms.quantities(config))
    said = msgspec.structs.replace(plain, table=msgspec.structs.replace(plain.table, timeout_s=9.0, warmup_s=0.0))
    assert (plain.habits.timeout_s, plain.habits.warmup_s) == (3.0, 30.0)
    assert (said.habits.timeout_s, said.habits.warmup_s) == (9.0, 0.0)


def test_values_are_not_trusted_while_the_device_warms_up():
    clock = HandClock(mono_ms=0)
    one = sensor(warmup_s=20.0)
    powered = [True]
    room, _ = sampler(SimulatedLine(lambda frame: answer(1, 312, 225) if powered[0] else b""), one, clock=clock)
    cold = room.poll(one)
    assert set(cold.reasons.values()) == {Reason.WARMING_UP}
    assert cold.raw == {}, "it is not out of range, only not to be trusted"
    clock.now += 20_000
    assert room.poll(one).values
    powered[0] = False
    assert set(room.poll(one).reasons.values()) == {Reason.SILENCE}
    powered[0] = True
    assert set(room.poll(one).reasons.values()) == {Reason.WARMING_UP}, "plugged in again, on a port that stayed open"
    clock.now += 20_000
    assert room.poll(one).values


@pytest.mark.parametrize("hum", [b"\x00\xff\x07" * 30, b"\x42"])
def test_a_line_that_hums_while_its_device_has_no_power_does_not_hide_that_it_wakes(hum):
    clock = HandClock(mono_ms=0)
    one = sensor(warmup_s=20.0)
    powered = [True]
    room, _ = sampler(SimulatedLine(lambda frame: answer(1, 312, 225) if powered[0] else hum), one, clock=clock)
    clock.now += 20_000
    room.poll(one)
    clock.now += 20_000
    assert room.poll(one).values
    powered[0] = False
    assert set(room.poll(one).reasons.values()) <= {Reason.SHORT, Reason.GARBLED}
    powered[0] = True
    assert set(room.poll(one).reasons.values()) == {Reason.WARMING_UP}


def test_a_smoke_sensor_whose_plug_is_loose_between_two_polls_says_no_clean_air():
    """It sends zeros with a right sum until its fan has spun up, and nobody heard it fall silent."""
    clock, word = HandClock(mono_ms=0), [60]
    pms = drivers.load("plantower_pms")
    config = msgspec.convert({"model": "pms5003"}, pms.config)
    one = Sensor(SensorTable(channel="air", bus="b", driver="plantower_pms"), pms, config, pms.quantities(config))

    class Talking(SimulatedLine):
        def read(self, size, _patience_s):
            body = b"\x42\x4d\x00\x1c" + b"".join(max(word[0] - n, 0).to_bytes(2) for n in range(13))
            return (body + sum(body).to_bytes(2))[:size]

    room, health = sampler(Talking(lambda _: b""), one, clock=clock)
    room.poll(one)
    clock.now += 40_000
    assert room.poll(one).values["pm2_5"] == 56
    word[0] = 0
    for _ in range(3):
        clock.now += 9_000
        assert set(room.poll(one).reasons.values()) == {Reason.WARMING_UP}
        assert health["air"].why == ""
    clock.now += 20_000
    stays = room.poll(one)
    assert not stays.values, "a plug that is loose again and again, or a dead laser: no air is without a particle"
    assert (stays.reasons["pm2_5"], stays.raw["pm2_5"]) == (Reason.OUT_OF_RANGE, 0)
    assert health["air"].why == "no value: out_of_range"
    word[0] = 60
    clock.now += 10_000
    assert room.poll(one).values["pm2_5"] == 56


def fill(slave):
    """Leave no room for one byte more: the kernel moves what is written on, so it is tried until it stays full."""
    os.set_blocking(slave, False)
    full = 0
    while full < 10:
        try:
            os.write(slave, b"x" * (256 if not full else 1))
            full = 0
        except BlockingIOError:
            full += 1
            select.select([], [slave], [], 0.02)


def test_a_port_that_takes_no_more_bytes_is_lost_and_said_so(tmp_path):
    """Before, its thread was blocked for ever."""
    master, slave = os.openpty()
    tty.setraw(slave)
    (tmp_path / "port").symlink_to(os.ttyname(slave))
    one = sensor()
    room, health = sampler(opener(bus(port="port"), tmp_path, RealClock()), one, clock=RealClock())
    room._opened()
    fill(slave)
    began = time.monotonic()
    assert set(room.poll(one).reasons.values()) == {Reason.PORT_LOST}
    assert time.monotonic() - began < WRITE_S + 2
    assert "takes no more bytes" in health["soil-1"].why
    os.close(slave)
    os.close(master)
