"""One bus: real drivers on simulated lines and real pseudo-terminals, with late, lost and wrong answers."""

from __future__ import annotations

import os
import select
import threading
import time
import tty
from typing import TYPE_CHECKING

import msgspec
import pytest
from pymodbus.framer import FramerRTU

from edge import drivers
from edge.board import Board
from edge.config import Bus, Sensor, SensorTable
from edge.sense.ports import PortLost, SerialLine, SimulatedLine, open_line
from edge.sense.sampler import Sampler
from tests.edge.clock import HandClock
from wire.reading import Reading, Reason

if TYPE_CHECKING:
    from pathlib import Path


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
    room, health = sampler(lambda: SerialLine(bus(), str(pty.port)), one, clock=RealClock(), settle_ms=250)
    for _ in range(12):
        reading = room.poll(one)
        if reading.values:
            assert reading.values["soil_moisture"] == 10 * len(asked), "the answer to an earlier question"
    assert health["soil-1"].bad["silence"] >= 4
    room.close()
    pty.close()


def test_a_vanished_adapter_is_lost_once_and_found_again_by_its_stable_name(tmp_path):
    pty = Pty(tmp_path, lambda n, frame, send: send(answer(1, 300, 200)))
    one = sensor()
    clock = RealClock()
    room, _ = sampler(lambda: open_line(bus(port="port"), tmp_path), one, clock=clock)
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


def test_a_port_is_ours_alone(tmp_path):
    pty = Pty(tmp_path, lambda n, frame, send: None)
    first = SerialLine(bus(), str(pty.port))
    with pytest.raises(PortLost, match="lock"):
        SerialLine(bus(), str(pty.port))
    first.close()
    first.close()
    pty.close()


def test_a_captured_talk_can_be_played_again(tmp_path):
    pty = Pty(tmp_path, lambda n, frame, send: send(answer(1, 300 + n, 200)))
    one = sensor()
    room, _ = sampler(lambda: open_line(bus(port="port", capture="wire.txt"), tmp_path), one, clock=RealClock())
    assert room.poll(one).values["soil_moisture"] == 3010
    room.close()
    pty.close()
    again, _ = sampler(lambda: open_line(bus(port="replay:wire.txt"), tmp_path), one)
    assert [again.poll(one).values["soil_moisture"] for _ in range(3)] == [3010] * 3
