"""One gateway with every driver, model and profile at once, on real pseudo-terminals, and everything befalls its lines.

The agent is a process as systemd starts it: it is told to stop at random moments and starts again on the same spool,
its words for the watchdog are heard, its memory, threads and descriptors counted. Beside the lines that suffer is a
healthy one of each driver. `GOCCHE_DRIVERS_S=600 GOCCHE_DRIVERS_STOPS=50` is a longer run.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from msgspec.structs import replace

from cloud.clock import SystemClock as WallClock
from edge.clock import Anchor, SystemClock
from edge.keep.spool import Spool
from edge.status import status_file
from gocche.notify import Ear
from tests.journeys.far_ends import End, stuffed
from tests.journeys.mischief import FarDevice, Pace
from tests.journeys.models import MODELS
from tests.journeys.truth import Truth, table
from tests.journeys.world import GATEWAY, GOCCHE, Part
from tests.servers import free_port, until
from wire import codec
from wire.batch import Batch, Source
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from tests.journeys.models import Model

pytestmark = [pytest.mark.journey, pytest.mark.timeout(3600)]

RUN_S = float(os.environ.get("GOCCHE_DRIVERS_S", "40"))
STOPS = int(os.environ.get("GOCCHE_DRIVERS_STOPS", "5"))
BUDGET_S = RUN_S + 8 * STOPS + 15
EVERY_S, WARMUP_S = 1.0, 3.0
PACE = Pace(well_s=4.0, shortest_s=0.5, longest_s=10.0)
HEALTHY = {"healthy-soil": "soil-0000", "healthy-modem": "quectel", "healthy-gnss": "gnss", "healthy-smoke": "pms5003"}
STOP_S, WATCHDOG_S = 5.0, 30.0  # half of what the unit file lets it be silent
SETTLED_S = 15.0  # after which an agent has all the threads and memory that it needs
UTC_MS, FUTURE_MS = 1_763_856_000_000, 1 << 42
HEAD = """
[gateway]
id = "{gateway}"
[broker]
host = "127.0.0.1"
port = {port}
[spool]
commit_s = 2
"""
TABLES = """
[[bus]]
name = "{channel}"
port = "ports/{channel}"
baud = {baud}
[[sensor]]
channel = "{channel}"
bus = "{channel}"
every_s = {every_s}
{table}
"""
log = logging.getLogger(__name__)


class FarEnd(End):
    """One such device behind one pseudo-terminal."""

    def __init__(self, link: Path, device: FarDevice, clock: SystemClock) -> None:
        super().__init__(link, clock)
        self._link, self.device = link, device
        self._byte_s = 10 / device.model.baud
        self._full = False

    def serve(self) -> None:
        self.device.look(now := self._clock.mono_ms())
        if "gone" in self.device.now:
            self._line.unplug()
            self._ended.wait(0.05)
        elif "full" in self.device.now:
            self._stuff()
            self._ended.wait(0.05)
        else:
            self._turn(now)

    def _stuff(self) -> None:
        """Take nothing: the buffer is full from the first moment."""
        if self._line.plugged and not self._full:
            stuffed(self._link)
            self._full = True

    def _turn(self, now: int) -> None:
        device = self.device
        self._line.plug()
        while self._full:  # what was written to it meanwhile went nowhere
            self._full = bool(self._line.receive(0))
        due_ms = min(device.speaks_ms, device.disturbed_ms)
        request = self._line.receive(min(max(due_ms - now, 0), 100) / 1000)
        now = self._clock.mono_ms()
        if request:
            self._bring(device.hear(request, now), self._byte_s)
        if now >= device.speaks_ms:
            self._bring(device.speak(now), self._byte_s)
        if now >= device.disturbed_ms:
            self._bring([(0, device.disturb(now))], self._byte_s)


class Watched(threading.Thread):
    """Hears the agent's words, and keeps the longest time without one that feeds the watchdog."""

    def __init__(self, folder: Path) -> None:
        super().__init__(name="ear", daemon=True)
        self.ear = Ear(folder / "notify")
        self.longest_s, self.ready = 0.0, False
        self._fed = time.monotonic()
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.05):
            heard = self.ear.heard()
            self.ready |= "READY=1" in heard
            if not self.ready or "WATCHDOG=1" in heard or "READY=1" in heard:
                self.longest_s = max(self.longest_s, time.monotonic() - self._fed) if self.ready else 0.0
                self._fed = time.monotonic()

    def close(self) -> None:
        self._ended.set()
        self.join(5)
        self.ear.close()


class Needs(msgspec.Struct):
    """What the agent takes of the machine."""

    rss_mib: float
    threads: int
    fds: int

    @classmethod
    def of(cls, pid: int) -> Needs:
        told = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        fds = len(list(Path(f"/proc/{pid}/fd").iterdir()))
        return cls(int(told["VmRSS"].split()[0]) / 1024, int(told["Threads"]), fds)


def model_of(name: str) -> Model:
    """Return a model with a warm-up that fits into such a run; a healthy talker speaks for each poll."""
    model = MODELS[HEALTHY.get(name, name)]
    if name in HEALTHY and model.pace_s:
        model = replace(model, pace_s=0.8 * EVERY_S)
    if model.family != "plantower_pms":
        return model
    return replace(model, wakes_s=WARMUP_S - 1, table=f"{model.table}warmup_s = {WARMUP_S}\n")


def test_every_driver_at_once_and_everything_befalls_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    began, clock = time.monotonic(), SystemClock()
    (tmp_path / "ports").mkdir()
    ends = {name: end(tmp_path, name, clock) for name in (*MODELS, *HEALTHY)}
    told = (TABLES.format(channel=name, every_s=EVERY_S, baud=one.device.model.baud, table=one.device.model.table)
            for name, one in ends.items())  # fmt: skip
    (tmp_path / "devices.toml").write_text(HEAD.format(gateway=GATEWAY, port=free_port()) + "".join(told))
    for one in ends.values():
        one.start()
    watched = Watched(tmp_path)
    watched.start()
    agent = Part("agent", lambda: argv(tmp_path), tmp_path, lambda: watched.ready)
    agent.environment = {"NOTIFY_SOCKET": str(watched.ear.path)}
    try:
        agent.start().wait_ready()
        ready_ms = clock.mono_ms()
        before = needs_after(agent, SETTLED_S)
        between = needs_after(agent, (RUN_S - SETTLED_S) / 2)
        after = needs_after(agent, (RUN_S - SETTLED_S) / 2)
        status = status_file(tmp_path).stat().st_size
        stops = [stopped(agent)]
        ended_ms, longest_s = clock.mono_ms(), watched.longest_s
        for _ in range(STOPS - 1):
            watched.ready = False
            agent.start().wait_ready()
            threading.Event().wait(random.uniform(0, 3))
            stops.append(stopped(agent))
    finally:
        agent.end()
        watched.close()
        for one in ends.values():
            one.close()
    truths = {name: Truth(one.device, real=True) for name, one in ends.items()}
    lost = judged(tmp_path, clock.boot, truths, ready_ms, ended_ms)
    with capsys.disabled():
        print("", *table([(one.device.model.family, truths[name]) for name, one in ends.items()]), sep="\n")
        print(f"stops: {len(stops)}, the longest {max(stops):.1f} s (bound {STOP_S:g}); longest without a word for the "
              f"watchdog {longest_s:.0f} s; healthy lines lost {lost}")  # fmt: skip
        print(f"agent after {SETTLED_S:.0f} s: {before}, half-way: {between}, after {RUN_S:.0f} s: {after}")
        print(f"status: {status} bytes, log of {len(stops)} lives: {agent.log.stat().st_size} bytes")
        print(f"all drivers: {time.monotonic() - began:.0f} s of a budget of {BUDGET_S:.0f} s")
    wrong = [line for truth in truths.values() for line in truth.wrong]
    assert not wrong, "\n".join(wrong[:10])
    older = sum(truth.limits["older"] for truth in truths.values())
    assert older <= sum(truth.readings for truth in truths.values()) / 100
    assert max(stops) <= STOP_S
    assert longest_s <= WATCHDOG_S
    assert not any(lost.values()), "a healthy line beside them loses no sample"
    assert all(truths[name].ok + truths[name].partly for name in MODELS)
    assert (after.threads, after.fds) <= (before.threads + 2, before.fds + len(MODELS))
    assert after.rss_mib <= before.rss_mib + 8


def end(folder: Path, name: str, clock: SystemClock) -> FarEnd:
    """Return such a far end; one that is called healthy is."""
    pace = None if name in HEALTHY else PACE
    device = FarDevice(name, model_of(name), WallClock(), pace, clock.mono_ms())
    return FarEnd(folder / "ports" / name, device, clock)


def argv(folder: Path) -> list[str]:
    """Return how the agent is started."""
    return [*GOCCHE, "agent", "--config", str(folder / "devices.toml"), "--data", str(folder)]


def needs_after(agent: Part, seconds: float) -> Needs:
    """Return what the agent needs after so long. It must not end by itself meanwhile."""
    assert agent.process is not None
    until_s = time.monotonic() + seconds
    until(lambda: time.monotonic() >= until_s or not agent.runs, seconds + 5, "the time is over")
    assert agent.runs, agent.said()
    return Needs.of(agent.process.pid)


def stopped(agent: Part) -> float:
    """Order a stop and return how long that took."""
    began = time.monotonic()
    assert agent.end() == 0, agent.said()
    return time.monotonic() - began


def judged(folder: Path, boot: str, truths: dict[str, Truth], from_ms: int, to_ms: int) -> dict[str, int]:
    """Judge all that was kept; return how many samples of the first life each healthy line lacks."""
    spool = Spool(folder / "spool.db", 1 << 30)
    counted = dict.fromkeys(HEALTHY, 0)
    try:
        assert spool.uncut == 0
        spool.dates.anchor(boot, Anchor(UTC_MS, Source.NTP, 1))
        total = 0
        for number in sorted(spool.waiting(1 << 20)):
            packed = spool.get(number)
            assert packed is not None
            batch = codec.decode_message(GATEWAY, packed.packet(), FUTURE_MS)
            assert isinstance(batch, Batch)
            times = {seq: at for block in batch.blocks for seq, at in zip(block.seqs, block.times_ms, strict=True)}
            for one in batch.readings():
                mono_ms = times[one.seq] - (batch.offset_ms or 0)
                values = {name: QUANTITIES[name].scale(value) for name, value in one.values.items()}
                truths[one.channel].judge(mono_ms, values, one.reasons)
                total += 1
                if one.channel in counted:
                    counted[one.channel] += bool(values) and from_ms <= mono_ms <= to_ms
        assert total == spool.acquired
    finally:
        spool.close()
    due = 0.99 * (to_ms - from_ms) / 1000 / EVERY_S - 3  # the machine is busy with other things, too
    return {name: max(0, round(due - WARMUP_S * ("smoke" in name)) - n) for name, n in counted.items()}
