"""A month of every model, with random faults one and two at a time: each value was said for this poll, or is absent.

The sampler, exchange and driver of the product in simulated time, with an independent far end that notes what it said:
so 43,200 polls, one a minute for a month, with silences of hours, take a minute. `tests/journeys/test_all_drivers.py`
has the same devices and faults on real pseudo-terminals, all at once.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from edge.board import Board
from edge.config import load
from edge.sense.ports import PortLost
from edge.sense.sampler import Sampler
from tests.edge.clock import HandClock
from tests.edge.line import TimedLine
from tests.journeys.line_faults import RANDOM
from tests.journeys.mischief import ALTERING, FarDevice, Said
from tests.journeys.models import MODELS, Values
from wire.quantities import QUANTITIES
from wire.reading import Reading, Reason

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = [pytest.mark.journey, pytest.mark.timeout(1800)]

POLLS = int(os.environ.get("GOCCHE_MONTH_POLLS", "1440"))
SEED = os.environ.get("GOCCHE_MONTH_SEED", "6")
EVERY_S, WELL_S = 60.0, 400.0
WINDOW_MS, OLDER_MS = 30_000, 200_000  # longer than any poll takes, and than two lie apart
UTC_MS = 1_763_856_000_000
LATENCY_MS = 20
SKIPPED_MS, TALK_MS = 3_000, 500
TOML = """
[gateway]
id = "sg-01"
[broker]
host = "127.0.0.1"
[[bus]]
name = "line"
port = "ports/line"
[[sensor]]
channel = "probe"
bus = "line"
every_s = 60
{table}
"""


class FarClock:
    """The far ends' clock, turned with the gateway's."""

    def __init__(self, hand: HandClock) -> None:
        self._hand = hand

    def utc_ms(self) -> int:
        return UTC_MS + self._hand.now

    def monotonic(self) -> float:
        return self._hand.now / 1000


class MonthLine(TimedLine):
    """A line in simulated time with such a device at its end."""

    def __init__(self, clock: HandClock, device: FarDevice, byte_ms: float) -> None:
        super().__init__(clock)
        self.device, self._byte_ms = device, byte_ms
        self._busy_ms = 0.0
        self._disturbs_s = 0.0

    def opened(self) -> MonthLine:
        self._still_there()
        self.due.clear()
        return self

    def write(self, frame: bytes) -> None:
        self._still_there()
        if "full" in self.device.now:
            self._clock.now += 2_000
            raise PortLost("line: takes no more bytes: is the device hung? unplug and plug it in again")
        now = self._clock.now
        self._come(now + len(frame) * self._byte_ms + LATENCY_MS, self.device.hear(frame, now / 1000, now))

    def read(self, size: int, patience_s: float) -> bytes:
        self._still_there()
        self._talk(self._clock.now + round(1000 * patience_s))
        return super().read(size, patience_s)

    def drain(self) -> None:
        self._still_there()
        self._talk(self._clock.now)
        super().drain()

    def cancel(self) -> None:
        """Nobody waits here."""

    def _still_there(self) -> None:
        self.device.look(self._clock.now / 1000)
        if "gone" in self.device.now:
            raise PortLost("line: it is not there")

    def _talk(self, until_ms: int) -> None:
        """Let the device say by itself what it says until then, and the line what nobody says."""
        device, early_s = self.device, (self._clock.now - SKIPPED_MS) / 1000
        pace_s = device.model.pace_s
        if pace_s and device.next_s < early_s:
            device.next_s += (early_s - device.next_s) // pace_s * pace_s
        self._disturbs_s = max(self._disturbs_s, early_s)
        while pace_s and 1000 * device.next_s <= until_ms:
            at_ms = round(1000 * device.next_s)
            device.next_s += pace_s
            if self._busy_ms <= at_ms + TALK_MS:  # else what it said before has not left it yet
                self._come(at_ms, device.speak(at_ms / 1000, at_ms))
        while 1000 * self._disturbs_s <= until_ms:
            noise = device.disturb()
            if noise:
                self._come(1000 * self._disturbs_s, [(0, noise)])
            self._disturbs_s += device.disturbed_in_s()

    def _come(self, at_ms: float, pieces: list[tuple[float, bytes]]) -> None:
        at_ms = max(at_ms, self._busy_ms)
        for pause_s, data in pieces:
            at_ms += 1000 * pause_s + len(data) * self._byte_ms
            if data:
                self.due.append((round(at_ms), data))
        self._busy_ms = at_ms


class Month:
    """One model's readings, each judged as it comes."""

    def __init__(self, folder: Path, name: str, polls: int) -> None:
        RANDOM.seed(f"{SEED} {name}")
        self.model, self._polls = MODELS[name], polls
        self.clock = HandClock()
        self.device = FarDevice("probe", self.model, FarClock(self.clock), well_s=WELL_S)
        (folder / "devices.toml").write_text(TOML.format(table=self.model.table))
        config = load(folder / "devices.toml")
        (bus,) = config.buses
        line = MonthLine(self.clock, self.device, 10_000 / bus.baud)
        self.board = Board()
        self.sampler = Sampler(bus, config.sensors, line.opened, self._put, self.board, self.clock)
        self.ok = self.absent = self.partly = self.polls = 0
        self.wrong: list[str] = []
        self.limits: dict[str, list[str]] = {}
        self.whys: Counter[tuple[str, str]] = Counter()
        self._since_ms = 0
        self._before: list[Said] = []
        self._waking = False

    def live(self) -> None:
        self.sampler.run()

    def _put(self, reading: Reading | object) -> None:
        if not isinstance(reading, Reading):
            return
        self.polls += 1
        if self.polls >= self._polls:
            self.sampler.stop()
        faults = self.device.met.copy()
        self.device.met = set(self.device.now)
        if self.device.waking(reading.mono_ms / 1000):
            faults.add("waking")
        since = max(self._since_ms, reading.mono_ms - WINDOW_MS)
        said = set(self.model.always.items())
        for one in self.device.said:
            if since <= one.at_ms <= reading.mono_ms:
                said |= scaled(one.values)
        strange = {name: value for name, value in reading.values.items() if (name, value) not in said}
        words = ", ".join(sorted({Reason(r).name for r in reading.reasons.values()}))
        if strange:
            line = f"poll {self.polls} at {reading.mono_ms}: {strange} under {faults}"
            limit = self._limit(strange, faults)
            (self.limits.setdefault(limit, []) if limit else self.wrong).append(line)
            words = limit or "WRONG"
        elif not reading.values:
            self.absent += 1
        elif reading.reasons:
            self.partly += 1
            words = f"some: {words}"
        else:
            self.ok += 1
            words = "ok"
        self.whys[" + ".join(sorted(faults)) or "well", words] += 1
        self._since_ms = reading.mono_ms
        self._waking = Reason.WARMING_UP in reading.reasons.values()
        before = [*self._before, *(one for one in self.device.said if one.at_ms <= reading.mono_ms)]
        self._before = [one for one in before if one.at_ms > reading.mono_ms - OLDER_MS]
        self.device.said = [one for one in self.device.said if one.at_ms > reading.mono_ms]

    def _limit(self, strange: dict[str, int], faults: set[str]) -> str:
        """Return what no master can tell on this line, if it was that; "" for what must not be."""
        family, before = self.model.family, [scaled(one.values) for one in self._before]
        if family == "modem_at" and ALTERING.intersection(faults):
            return "no sum"
        if family in {"nmea0183", "plantower_pms"} and "3-bits" in faults:
            return "weak sum"
        if "glued" in faults and len(faults) > 1 and any(strange.items() <= one for one in before):
            return "older"
        if "waking" in faults and (self._waking or "particles_0_3" not in strange):
            return "woke"
        return ""


def scaled(values: Values) -> set[tuple[str, int]]:
    """Return what a device told, as it is stored."""
    return {(name, QUANTITIES[name].scale(value)) for name, value in values.items() if name in QUANTITIES}


@pytest.mark.parametrize("name", MODELS)
def test_a_month_of_random_faults_makes_no_wrong_value(name: str, tmp_path: Path, capsys) -> None:
    began = time.monotonic()
    month = Month(tmp_path, name, POLLS)
    month.live()
    with capsys.disabled():
        print(
            f"\n{name:12} {month.polls:6} polls {month.ok:6} ok {month.partly:6} partly {month.absent:6} absent "
            f"{len(month.wrong):4} WRONG  "
            f"{', '.join(f'{len(lines)} {name}' for name, lines in sorted(month.limits.items()))}"
            f"  {time.monotonic() - began:.0f} s",
            end="",
        )
        if os.environ.get("GOCCHE_MONTH_WHYS"):
            for (faults, words), n in sorted(month.whys.items()):
                print(f"\n    {faults:34} {words:40} {n}", end="")
    assert not month.wrong, "\n".join(month.wrong[:5])
