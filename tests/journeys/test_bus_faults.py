"""The fault table of the serial lines: what befalls a wire, and what becomes of the values.

One agent with a bus for each fault and one healthy bus, all on real pseudo-terminals with pymodbus as the slave.
A reading is *ok* when all of its values were served for this very poll, an *error* when it carries reasons, and WRONG
when any value was not: of another register, of an earlier poll, or of nobody.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from edge.agent import Agent
from edge.clock import Anchor, SystemClock
from edge.config import load
from edge.keep.spool import Spool
from tests.journeys import far_ends
from tests.journeys.far_ends import TIMEOUT_S, FarEnd, Full, Talker, Vanishing
from tests.servers import free_port, until
from wire import codec
from wire.batch import Batch, Source
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

RUN_S, BUDGET_S = 60, 120
STOP_S = 5.0
EVERY_S = 1.0
UTC_MS = 1_763_856_000_000
FUTURE_MS = 1 << 42  # the year 2109: no time in a batch is ahead of it
HEAD = """
[gateway]
id = "sg-01"
[broker]
host = "127.0.0.1"
port = {port}
[spool]
commit_s = 600
"""
BUS = """
[[bus]]
name = "{name}"
port = "ports/{name}"
[[sensor]]
channel = "{name}"
bus = "{name}"
driver = "modbus"
profile = "soil-0000"
read = [{{ at = 0, count = 2 }}, {{ at = 2, count = 2 }}]
every_s = {every_s}
timeout_s = {timeout_s}
"""
HARMLESS = {  # the healthy bus, and faults that cost no reading
    "healthy": far_ends.well,
    "echo": far_ends.echo,
    "glitch-before": far_ends.glitch,
    "split": far_ends.split,
    "glued": far_ends.glued,
    "late-half": far_ends.late(0.5),
}
HARMFUL = {
    "one-bit-flipped": far_ends.flipped(1),
    "three-bits-flipped": far_ends.flipped(3),
    "truncated": far_ends.truncated,
    "wrong-slave": far_ends.wrong_slave,
    "late-one-and-half": far_ends.late(1.5),
    "late-three": far_ends.late(3),
}
DEADLY = {"wrong-speed": Talker, "takes-nothing": Full}


class Kept(msgspec.Struct, frozen=True):
    """One reading as it was kept, in the time of the boot."""

    mono_ms: int
    values: dict[str, float]
    missing: bool


class Row(msgspec.Struct):
    """What became of one bus's readings."""

    ok: int = 0
    error: int = 0
    wrong: int = 0


def test_no_fault_of_a_wire_makes_a_wrong_value_or_harms_a_neighbour(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began, clock = time.monotonic(), SystemClock()
    ports = tmp_path / "ports"
    ports.mkdir()
    ends: dict[str, FarEnd] = {name: FarEnd(ports / name, clock, of) for name, of in (HARMLESS | HARMFUL).items()}
    ends |= {name: kind(ports / name, clock) for name, kind in DEADLY.items()}
    ends["vanishing"] = vanishing = Vanishing(ports / "vanishing", clock)
    pace = {"vanishing": 0.2}
    buses = "".join(BUS.format(name=name, every_s=pace.get(name, EVERY_S), timeout_s=TIMEOUT_S) for name in ends)
    (tmp_path / "devices.toml").write_text(HEAD.format(port=free_port()) + buses)
    for end in ends.values():
        end.start()
    stop = threading.Event()
    agent = Agent(load(tmp_path / "devices.toml"), tmp_path, clock)
    running = threading.Thread(target=agent.run, args=(stop,))
    running.start()
    ordered = float("inf")
    try:
        until(lambda: vanishing.cycles >= far_ends.CYCLES, RUN_S * 2, "the port has vanished and come back")
        stop.wait(max(began + RUN_S - time.monotonic(), 0))
    finally:
        stop.set()
        ordered = time.monotonic()
        running.join(60)
        took_s = time.monotonic() - ordered
        for end in ends.values():
            end.close()
    ran_s = ordered - began
    readings = kept(tmp_path, clock.boot)
    table = {name: judged(readings.get(name, []), end.served) for name, end in ends.items()}
    with capsys.disabled():
        print(f"\n{'fault':20} {'ok':>5} {'error':>6} {'WRONG':>6}")
        for name, row in table.items():
            print(f"{name:20} {row.ok:5} {row.error:6} {row.wrong:6}")
        print(f"{vanishing.cycles} times vanished; ordered stop took {took_s:.1f} s (bound {STOP_S:g})")
        print(f"fault table: {time.monotonic() - began:.0f} s of a budget of {BUDGET_S} s")
    assert not any(row.wrong for row in table.values())
    assert took_s <= STOP_S
    for name in HARMLESS:
        assert table[name].error == 0, f"{name} costs no reading"
    assert table["healthy"].ok >= ran_s / EVERY_S - 3, "the healthy bus loses no sample"
    assert all(table[name].ok and table[name].error for name in HARMFUL), "each fault was met, and got over"
    assert all(table[name].error and not table[name].ok for name in DEADLY)
    assert table["vanishing"].ok > far_ends.CYCLES / 2
    assert table["vanishing"].error


def kept(folder: Path, boot: str) -> dict[str, list[Kept]]:
    """Return what the agent kept, by channel, in the order of its sequence numbers. All of it is cut."""
    spool = Spool(folder / "spool.db", 1 << 30)
    try:
        assert spool.uncut == 0
        spool.dates.anchor(boot, Anchor(UTC_MS, Source.NTP, 1))  # undated batches wait; here, no clock need be well
        found: dict[str, list[Kept]] = {}
        for number in sorted(spool.waiting(1 << 20)):
            packed = spool.get(number)
            assert packed is not None
            batch = codec.decode_message("sg-01", packed.packet(), FUTURE_MS)
            assert isinstance(batch, Batch)
            times = {seq: at for block in batch.blocks for seq, at in zip(block.seqs, block.times_ms, strict=True)}
            for one in batch.readings():
                reading = Kept(times[one.seq] - (batch.offset_ms or 0), one.values, bool(one.reasons))
                found.setdefault(one.channel, []).append(reading)
        assert sum(map(len, found.values())) == spool.acquired
        return found
    finally:
        spool.close()


def judged(readings: list[Kept], served: list[tuple[int, dict[str, float]]]) -> Row:
    """Hold each reading against what was served between the reading before it and its own time."""
    row, since = Row(), 0
    for reading in readings:
        drawn = {
            (name, QUANTITIES[name].scale(value))
            for at, values in served
            if since <= at <= reading.mono_ms
            for name, value in values.items()
        }
        if any((name, QUANTITIES[name].scale(value)) not in drawn for name, value in reading.values.items()):
            row.wrong += 1
        elif reading.missing:
            row.error += 1
        else:
            row.ok += 1
        since = reading.mono_ms
    return row
