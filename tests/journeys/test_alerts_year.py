"""A year of one garden, ten minutes a step: what was smoke, silence and dead sensors is what the journal says, no more.

One thing happens a day, with restarts in the worst moments: smoke that is long enough or not, a gateway that is cut off
(with smoke in its backlog or without), a sensor that dies beside others, a server that is deaf. The journal does not
wait for the disk here: what is tried is judging, and that its last day costs what its first did.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, Any

import pytest

from cloud.alerts.journal import read_incidents
from tests.rules.garden import Bench

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.journey, pytest.mark.timeout(400)]

BUDGET_S = 90  # each year
DAYS = 365
STEP_S = 600
RULES: list[dict[str, Any]] = [
    {
        "name": "smoke",
        "kind": "limit",
        "quantity": "pm2_5",
        "over": 55.0,
        "clear_below": 35.0,
        "persist_s": 1_200,
        "clear_s": 1_200,
        "gap_s": 1_500,
    },
    {"name": "silent", "kind": "absence", "of": "gateway", "after_s": 3_600},
    {"name": "guard", "kind": "sensor", "quantity": "pm2_5", "after_s": 7_200},
]


class Year:
    """A gateway with a smoke sensor and a thermometer, and the alerts that hear it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.bench = Bench(folder, RULES, None, tells=False, ledger_s=1e9)
        self.dice = random.Random(seed)
        self.expected: Counter[tuple[str, bool]] = Counter()
        self.now_s = 0.0
        self.held: list[tuple[float, float]] = []  # what the gateway could not send yet
        self._fast()
        self.bench.alerts.listening(True)

    def day(self) -> None:
        """Let one thing happen in quiet hours."""
        self.steps(self.dice.randint(12, 40))
        self.dice.choice((self.smoke, self.cut, self.dead, self.deaf, self.restart))()
        while self.now_s % 86_400:
            self.steps(1)

    def smoke(self) -> None:
        readings = self.dice.randint(1, 12)
        for _ in range(readings):
            self.steps(1, smoke=80.0 + self.dice.randint(0, 300))
            if self.dice.random() < 0.2:
                self.restart()
        self.expected["smoke", False] += readings >= 3

    def cut(self) -> None:
        burns = self.dice.random() < 0.5
        self.steps(12, sends=False)
        self.steps(8 if burns else 1, sends=False, smoke=90.0 if burns else 5.0)
        self.steps(12, sends=False)
        self.expected["silent", False] += 1
        self.expected["smoke", True] += burns
        self.back()

    def dead(self) -> None:
        self.steps(self.dice.randint(18, 40), sensor=False)
        self.expected["guard", False] += 1

    def deaf(self) -> None:
        self.bench.alerts.listening(False)
        self.steps(self.dice.randint(12, 50), sends=False)
        self.bench.alerts.listening(True)
        self.back()

    def restart(self) -> None:
        self.bench.restart()
        self._fast()
        self.bench.alerts.listening(True)

    def steps(self, n: int, *, sends: bool = True, sensor: bool = True, smoke: float = 5.0) -> None:
        for _ in range(n):
            self.now_s += STEP_S
            self.bench.clock.advance(STEP_S)
            if sensor:
                self.held.append((self.now_s, smoke + self.dice.randint(0, 9)))
            if sends:
                self.bench.alerts.heard("sg-01", self.bench.clock.utc_ms())
                self.back()
            self.bench.step()

    def back(self) -> None:
        """Send what is held, the newest first."""
        while self.held:
            self.bench.send(self.held[-10:], step=False)
            del self.held[-10:]

    def _fast(self) -> None:
        self.bench.alerts._journal.db.execute("PRAGMA synchronous=OFF")


@pytest.mark.parametrize("seed", [1, 3])
def test_a_year_is_told_as_it_was_and_costs_at_its_end_what_it_cost_at_its_beginning(
    tmp_path: Path, seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    started, year, costs = time.monotonic(), Year(tmp_path, seed), []
    for _ in range(DAYS):
        before = time.process_time()
        year.day()
        costs.append(time.process_time() - before)
    year.steps(200)
    incidents = read_incidents(year.bench.path, 10_000)
    told = Counter((incident.rule, incident.late) for incident in incidents)
    first, last = median(costs[5:65]), median(costs[-60:])
    took = time.monotonic() - started
    with capsys.disabled():
        print(f"\na year of alerts: {dict(told)}; {took:.0f} s of a budget of {BUDGET_S} s")
        print(f"a day of it costs {first:.3f} s at the beginning, {last:.3f} s at the end")
    assert told == +year.expected
    assert [incident.id for incident in incidents if incident.open] == []
    assert last < 3 * first, "what grows with history would be six times as much"
    assert year.bench.alerts.health()["faults"] == 0
    year.bench.close()
    assert year.bench.path.stat().st_size < 4 << 20
    assert took < BUDGET_S
