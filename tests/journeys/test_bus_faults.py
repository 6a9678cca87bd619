"""The fault table of the serial lines: what befalls a wire, and what becomes of the values.

One agent with a bus for each fault, or for faults that come together, and one healthy bus, all on real pseudo-terminals
with pymodbus as the slave; in between, coils are to be set. A reading is *ok* when all of its values were served for
this very poll, an *error* when it carries reasons, and WRONG when any value was not: of another register, of another
device, of an earlier poll, or of nobody. A coil is WRONG when it is believed to be set and is not.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from functools import partial
from itertools import starmap
from typing import TYPE_CHECKING

import msgspec
import pytest

from edge.agent import Agent
from edge.clock import Anchor, SystemClock
from edge.config import load
from edge.driver import Ask, Reply
from edge.framing import rtu
from edge.keep.spool import Spool
from tests.journeys import far_ends
from tests.journeys import line_faults as fault
from tests.journeys.far_ends import FarEnd, Full, Talker, Vanishing
from tests.journeys.line_faults import TIMEOUT_S
from tests.servers import free_port
from wire import codec
from wire.batch import Batch, Source
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

RUN_S, BUDGET_S = 60, 120
STOP_S = 5.0
EVERY_S, ORDER_S = 1.0, 2.0
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
baud = 9600
"""
PROBE = """
[[sensor]]
channel = "{channel}"
bus = "{bus}"
driver = "modbus"
profile = "soil-0000"
address = {address}
read = [{{ at = 0, count = 2 }}, {{ at = 2, count = 2 }}]
every_s = {every_s}
timeout_s = {timeout_s}
"""
MODEM = """
[[sensor]]
channel = "{channel}"
bus = "{bus}"
driver = "modem_at"
commands = ["AT+CSQ"]
every_s = {every_s}
timeout_s = {timeout_s}
"""
HARMLESS = {  # the healthy bus, and faults that cost no reading
    "healthy": fault.well,
    "echo": fault.echo,
    "glitch-before": fault.glitch,
    "split": fault.split,
    "glued": fault.glued,
    "again": fault.again,
    "late-half": fault.late(0.5),
}
HARMFUL = {
    "one-bit-flipped": fault.flipped(1),
    "three-bits-flipped": fault.flipped(3),
    "truncated": fault.truncated,
    "wrong-slave": fault.wrong_slave,
    "late-one-and-half": fault.late(1.5),
    "late-three": fault.late(3),
}
LATE = fault.late(1.5)
TOGETHER = {
    "glitch-late": fault.after(fault.rubbish, LATE),
    "long-noise-late": fault.after(fault.of_its_length, LATE),
    "late-long-noise": fault.before(LATE, fault.of_its_length),
    "wrong-slave-late": fault.after(fault.of_another, LATE),
    "echo-late": fault.after(fault.own_words, LATE),
    "bad-echo-late": fault.after(fault.disturbed_words, LATE),
    "split-late": fault.delayed(fault.split, 1.5),
    "glued-late": fault.delayed(fault.glued, 1.5),
    "late-twice": fault.in_turn(*[fault.ever(1.5)] * 2, *[fault.well] * 5),
    "late-and-later": fault.in_turn(fault.ever(1.5), fault.ever(3), *[fault.well] * 4, fault.flipped(1)),
}
MANY = {"three-slaves": {"probes": 3}, "two-framings": {"modem": True}}  # and the first answers late
DEAD = "dead-siren"
SIRENS = ("healthy", "echo", "late-half", "bad-echo-late", DEAD)
DEADLY = {"wrong-speed": Talker, "takes-nothing": Full}


class Spooled(msgspec.Struct, frozen=True):
    """One reading as it was kept, in the time of the boot."""

    mono_ms: int
    values: dict[str, float]
    missing: bool


class Row(msgspec.Struct):
    """What became of one bus's readings, and of its coils."""

    ok: int = 0
    error: int = 0
    wrong: int = 0
    believed: int = 0
    refused: int = 0


class Coil(msgspec.Struct, frozen=True):
    """An order to set one, when it was given, and what becomes of it."""

    bus: str
    mono_ms: int
    done: Future[Reply]


def test_no_fault_of_a_wire_makes_a_wrong_value_or_harms_a_neighbour(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began, clock = time.monotonic(), SystemClock()
    ports = tmp_path / "ports"
    ports.mkdir()
    ends: dict[str, FarEnd] = {
        name: FarEnd(ports / name, clock, of) for name, of in (HARMLESS | HARMFUL | TOGETHER).items()
    }
    ends |= {name: FarEnd(ports / name, clock, LATE, **of) for name, of in MANY.items()}
    ends[DEAD] = FarEnd(ports / DEAD, clock, fault.after(fault.disturbed_words, fault.well), siren=False)
    ends |= {name: kind(ports / name, clock) for name, kind in DEADLY.items()}
    ends["vanishing"] = vanishing = Vanishing(ports / "vanishing", clock)
    buses = "".join(starmap(described, ends.items()))
    (tmp_path / "devices.toml").write_text(HEAD.format(port=free_port()) + buses)
    for end in ends.values():
        end.start()
    stop = threading.Event()
    agent = Agent(load(tmp_path / "devices.toml"), tmp_path, clock)
    running = threading.Thread(target=agent.run, args=(stop,))
    running.start()
    ordered = float("inf")
    coils: list[Coil] = []
    try:
        while time.monotonic() < began + RUN_S or vanishing.cycles < far_ends.CYCLES:
            assert time.monotonic() < began + 2 * RUN_S, "the port has vanished and come back"
            stop.wait(ORDER_S)
            coils += [ordered_now(agent, clock, name) for name in SIRENS]
    finally:
        stop.set()
        ordered = time.monotonic()
        running.join(60)
        took_s = time.monotonic() - ordered
        for end in ends.values():
            end.close()
    ran_s = ordered - began
    readings = kept(tmp_path, clock.boot)
    table = {name: Row() for name in ends}
    for name, end in ends.items():
        for channel in channels(end):
            judge(table[name], readings.get(channel, []), end.served.get(channel, []))
    for coil in coils:
        judge_coil(table[coil.bus], coil, ends[coil.bus].coils_set)
    with capsys.disabled():
        print(f"\n{'fault':20} {'ok':>5} {'error':>6} {'WRONG':>6}   {'coil set':>8} {'refused':>8}")
        for name, row in table.items():
            print(f"{name:20} {row.ok:5} {row.error:6} {row.wrong:6}   {row.believed or '':8} {row.refused or '':8}")
        print(f"{vanishing.cycles} times vanished; ordered stop took {took_s:.1f} s (bound {STOP_S:g})")
        print(f"fault table: {time.monotonic() - began:.0f} s of a budget of {BUDGET_S} s")
    assert not any(row.wrong for row in table.values())
    assert took_s <= STOP_S
    for name in HARMLESS:
        assert table[name].error == 0, f"{name} costs no reading"
    assert table["healthy"].ok >= ran_s / EVERY_S - 3, "the healthy bus loses no sample"
    for name in HARMFUL:
        assert table[name].ok, f"{name} was got over"
        assert table[name].error, f"{name} was met"
    for name in (*TOGETHER, *MANY):
        assert table[name].ok, f"{name} was got over"
    assert all(table[name].believed for name in SIRENS if name != DEAD), "a siren is set whatever befalls its line"
    assert table[DEAD].refused
    assert all(table[name].error and not table[name].ok for name in DEADLY)
    assert table["vanishing"].ok > far_ends.CYCLES / 2
    assert table["vanishing"].error


def kept(folder: Path, boot: str) -> dict[str, list[Spooled]]:
    """Return what the agent kept, by channel, in the order of its sequence numbers. All of it is cut."""
    spool = Spool(folder / "spool.db", 1 << 30)
    try:
        assert spool.uncut == 0
        spool.dates.anchor(boot, Anchor(UTC_MS, Source.NTP, 1))  # undated batches wait; here, no clock need be well
        found: dict[str, list[Spooled]] = {}
        for number in sorted(spool.waiting(1 << 20)):
            packed = spool.get(number)
            assert packed is not None
            batch = codec.decode_message("sg-01", packed.packet(), FUTURE_MS)
            assert isinstance(batch, Batch)
            times = {seq: at for block in batch.blocks for seq, at in zip(block.seqs, block.times_ms, strict=True)}
            for one in batch.readings():
                reading = Spooled(times[one.seq] - (batch.offset_ms or 0), one.values, bool(one.reasons))
                found.setdefault(one.channel, []).append(reading)
        assert sum(map(len, found.values())) == spool.acquired
        return found
    finally:
        spool.close()


def described(bus: str, end: FarEnd) -> str:
    """Return the tables of a bus and what hangs on it."""
    every_s = 0.2 if isinstance(end, Vanishing) else EVERY_S
    common = {"bus": bus, "every_s": every_s, "timeout_s": TIMEOUT_S}
    probes = [PROBE.format(channel=channel, address=at, **common) for at, channel in enumerate(end.probes, 1)]
    settles = "settle_ms = 50\n" if isinstance(end, Vanishing) else ""  # two blocks of one length take that long more
    return "".join(
        [BUS.format(name=bus), settles, *probes, MODEM.format(channel=end.modem, **common) if end.modem else ""]
    )


def channels(end: FarEnd) -> list[str]:
    """Return the channels that hang on a line."""
    return [*end.probes, *([end.modem] if end.modem else [])]


def ordered_now(agent: Agent, clock: SystemClock, bus: str) -> Coil:
    """Have a coil of the first device of a bus set."""
    frame = rtu.write_coil(1, 0, on=True)
    ask = Ask(frame, find=partial(rtu.find, frame))
    return Coil(bus, clock.mono_ms(), agent._overseer.sampler(bus).order(bus, ask))


def judge_coil(row: Row, coil: Coil, coils_set: list[int]) -> None:
    """An order is believed only if the coil was set after it was given."""
    if not coil.done.done() or coil.done.exception() is not None:
        row.refused += 1
    elif any(at >= coil.mono_ms for at in coils_set):
        row.believed += 1
    else:
        row.wrong += 1


def judge(row: Row, readings: list[Spooled], served: list[tuple[int, dict[str, float]]]) -> None:
    """Hold each reading against what was served between the reading before it and its own time."""
    since = 0
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
