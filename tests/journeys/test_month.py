"""A month of every model, with random faults one and two at a time: each value was said for this poll, or is absent.

The sampler, exchange and drivers of the product in simulated time, with independent far ends that note what they said:
so 43,200 polls of each, one a minute, with silences of hours, take minutes. `tests/journeys/test_all_drivers.py` has
the same devices and faults on real pseudo-terminals, all at once. A day of each is part of `make journeys`; the month:

    GOCCHE_MONTH_POLLS=43200 python -m pytest -s -m journey tests/journeys/test_month.py

GOCCHE_MONTH_SEED is another month, GOCCHE_MONTH_WHYS=1 prints which fault was told as what.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING

import pytest

from edge.board import Board
from edge.config import load
from edge.sense.sampler import Sampler
from edge.sense.terms import PortLost
from tests.edge.clock import HandClock
from tests.edge.line import TimedLine
from tests.journeys.line_faults import RANDOM
from tests.journeys.mischief import FarDevice, Pace
from tests.journeys.models import MODELS, ONE_BUS
from tests.journeys.truth import Truth, table
from wire.reading import Reading

if TYPE_CHECKING:
    from pathlib import Path

    from edge.clock import Anchor
    from tests.journeys.line_faults import Pieces
    from tests.journeys.models import Model

pytestmark = [pytest.mark.journey, pytest.mark.timeout(3600)]

POLLS = int(os.environ.get("GOCCHE_MONTH_POLLS", "1440"))
SEED = os.environ.get("GOCCHE_MONTH_SEED", "6")
BUDGET_S = 60 * max(1, POLLS / 1440)
UTC_MS = 1_763_856_000_000
LATENCY_MS = 20
SKIPPED_MS, TALK_MS = 3_000, 500  # nobody listens to what is older; a talker waits for what has not left it
TOML = """
[gateway]
id = "sg-01"
[broker]
host = "127.0.0.1"
[[bus]]
name = "line"
port = "ports/line"
baud = {baud}
format = "8N1"
"""
SENSOR = """
[[sensor]]
channel = "{channel}"
bus = "line"
every_s = 60
{table}
"""


class FarClock:
    """The far end's clock, turned with the gateway's."""

    def __init__(self, hand: HandClock) -> None:
        self._hand = hand

    def utc_ms(self) -> int:
        return UTC_MS + self._hand.now

    def monotonic(self) -> float:
        return self._hand.now / 1000

    def wait(self, _event: object, _seconds: float) -> bool:
        raise AssertionError("a device waits for nothing here")


class MonthLine(TimedLine):
    """A line in simulated time with such devices on it."""

    def __init__(self, clock: HandClock, devices: list[FarDevice], baud: int) -> None:
        super().__init__(clock)
        self._devices, self._byte_ms = devices, 10_000 / baud
        self._busy_ms = 0.0

    def opened(self) -> MonthLine:
        self._still_there()
        self.due.clear()
        return self

    def write(self, frame: bytes) -> None:
        self._still_there()
        if self._befalls("full"):
            self._clock.now += 2_000
            raise PortLost("line: takes no more bytes: is the device hung? unplug and plug it in again")
        now = self._clock.now
        for device in self._devices:
            self._come(now + len(frame) * self._byte_ms + LATENCY_MS, device.hear(frame, now))

    def read(self, size: int, patience_s: float) -> bytes:
        self._still_there()
        until_ms = self._clock.now + round(1000 * patience_s)
        while self._talks(min([until_ms, *(at_ms for at_ms, _ in self.due)])):
            pass  # what comes first is enough: what is asked next may be answered before what would come then
        return super().read(size, patience_s)

    def drain(self) -> None:
        self._still_there()
        while self._talks(self._clock.now):
            pass
        super().drain()

    def cancel(self) -> None:
        """Nobody waits here."""

    def _befalls(self, state: str) -> bool:
        return any(state in device.now for device in self._devices)

    def _still_there(self) -> None:
        for device in self._devices:
            device.look(self._clock.now)
        if self._befalls("gone"):
            raise PortLost("line: it is not there")

    def _talks(self, until_ms: int) -> bool:
        """Let a device say by itself what it says next, or the line what nobody says, if that is by then."""
        early_ms = self._clock.now - SKIPPED_MS
        for device in self._devices:
            device.speaks_ms, device.disturbed_ms = max(device.speaks_ms, early_ms), max(device.disturbed_ms, early_ms)
        device = min(self._devices, key=_next_ms)
        at_ms = _next_ms(device)
        if at_ms > until_ms:
            return False
        if device.disturbed_ms < device.speaks_ms:
            self._come(at_ms, [(0, device.disturb(at_ms))])
        elif self._busy_ms > at_ms + TALK_MS:
            device.speaks_ms = self._busy_ms
        else:
            self._come(at_ms, device.speak(round(at_ms)))
        return True

    def _come(self, at_ms: float, pieces: Pieces) -> None:
        at_ms = max(at_ms, self._busy_ms)
        for pause_s, data in pieces:
            at_ms += 1000 * pause_s + len(data) * self._byte_ms
            if data:
                self.due.append((round(at_ms), data))
                self._busy_ms = at_ms


def _next_ms(device: FarDevice) -> float:
    return min(device.speaks_ms, device.disturbed_ms)


def lived(folder: Path, models: dict[str, Model], polls: int, pace: Pace | None, baud: int = 0) -> dict[str, Truth]:
    """Poll such devices on one line so often, once a minute, and judge each reading as it comes."""
    RANDOM.seed(f"{SEED} {sorted(models)} {baud}")
    clock = HandClock()
    devices = [FarDevice(channel, model, FarClock(clock), pace) for channel, model in models.items()]
    truths = {device.channel: Truth(device, devices) for device in devices}
    said = "".join(SENSOR.format(channel=channel, table=model.table) for channel, model in models.items())
    (folder / "devices.toml").write_text(TOML.format(baud=baud or min(model.baud for model in models.values())) + said)
    config = load(folder / "devices.toml")
    (bus,) = config.buses

    def judged(reading: Reading | Anchor) -> None:
        if isinstance(reading, Reading):
            truth = truths[reading.channel]
            truth.judge(reading.mono_ms, reading.values, reading.reasons)
            if truth.readings >= polls:
                sampler.stop()

    sampler = Sampler(bus, config.sensors, MonthLine(clock, devices, bus.baud).opened, judged, Board(), clock)
    sampler.run()
    return truths


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("edge.sense.health").setLevel(logging.ERROR)  # a month of ups and downs


def test_a_month_of_random_faults_makes_no_wrong_value(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    truths = []
    for name, model in MODELS.items():
        truths.append((model.family, lived(tmp_path, {name: model}, POLLS, Pace())[name]))
        if "GOCCHE_MONTH_WHYS" in os.environ:
            with capsys.disabled():
                for (faults, words), n in sorted(truths[-1][1].whys.items()):
                    print(f"\n{name:12} {faults:34} {words:40} {n}", end="")
    named, misnamed = (sum(numbers) for numbers in zip(*(truth.named for _, truth in truths), strict=True))
    with capsys.disabled():
        print(f"\n{POLLS} polls of each of {len(MODELS)} models, seed {SEED}", *table(truths), sep="\n")
        print(f"absent under one fault alone: {named}; for another reason than its own: {misnamed}")
        print(f"month: {time.monotonic() - began:.0f} s of a budget of {BUDGET_S:.0f} s")
    wrong = [line for _, truth in truths for line in truth.wrong]
    assert not wrong, "\n".join(wrong[:10])
    assert misnamed <= named / 50, "a reason tells what is at work"
    assert all(truth.ok + truth.partly > POLLS / 2 for _, truth in truths), "what is wrong for a while is got over"


def test_a_month_on_one_bus_tells_nobody_s_value_as_another_s(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Eleven profiles, and what befalls one of them befalls the line of all."""
    truths = lived(tmp_path, ONE_BUS, POLLS, Pace(well_s=len(ONE_BUS) * Pace().well_s))
    with capsys.disabled():
        print("", *table([("one bus", truth) for truth in truths.values()]), sep="\n")
    wrong = [line for truth in truths.values() for line in truth.wrong]
    assert not wrong, "\n".join(wrong[:10])
    assert all(truth.ok > truth.readings / 2 for truth in truths.values())


@pytest.mark.parametrize("baud", [1200, 115_200])
def test_every_model_is_read_at_the_slowest_and_the_fastest_speed(baud: int, tmp_path: Path) -> None:
    for name, model in MODELS.items():
        well = lived(tmp_path, {name: model}, 60, None, baud)[name]
        assert (well.absent, well.wrong) == (int("pms" in name), []), f"{name}: but for its warm-up"
        ill = lived(tmp_path, {name: model}, 300, Pace(), baud)[name]
        assert (ill.wrong, ill.ok + ill.partly > 100) == ([], True), name
