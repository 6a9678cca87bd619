"""kill -9 of everything, at random and at the worst moments: every value that was served is stored exactly once.

The harness runs as a program of its own, so that whatever happens to it takes all of its processes along.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need
from tests.journeys.world import ROOT, SERVERS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.journey, pytest.mark.timeout(900)]

SECONDS, BOUND_S = {"embedded": 36, "mosquitto": 40}, 280
LEAST_KILLS, LEAST_READINGS = 10, 10_000  # over three seeds


@pytest.mark.parametrize(
    ("broker", "engines"),
    [("embedded", ("sqlite", "sqlite", "sqlite")), ("mosquitto", ("influx1", "influx2", "influx1"))],
    ids=["embedded", "real"],
)
def test_every_value_is_stored_once(
    broker: str, engines: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in {broker, *engines} & SERVERS.keys():
        need(SERVERS[name])
    kills: Counter[str] = Counter()
    placed: Counter[str] = Counter()
    readings = 0
    for seed, engine in enumerate(engines, 1):
        line = one_run(tmp_path / f"{seed}", engine, broker, seed)
        with capsys.disabled():
            print(f"\n{line}", end="")
        told = dict(re.findall(r"(\w+)=(\S+)", line))
        for name in ("stored_twice", "dropped_declared", "quarantined", "unknown", "faults"):
            assert told[name] == "0", line
        assert told["acquired"] == told["stored"] == told["found"], line
        assert told["wiped"] == "1", line
        assert int(told["resent"]) > 0, "nothing was ever sent twice: the kills came too gently"
        readings += int(told["stored"])
        kills.update(counts(told["kills"]))
        placed.update(counts(told["placed"]))
    victims = {"agent", "broker", "cloud"} | ({"influxd"} if "influx1" in engines else set())
    assert readings >= LEAST_READINGS
    assert min(kills[name] for name in victims) >= LEAST_KILLS, kills
    assert all(placed[name] for name in victims), f"no kill between write and answer: {placed}"


def one_run(folder: Path, engine: str, broker: str, seed: int) -> str:
    """Run the harness and return its line."""
    words = ["--engine", engine, "--broker", broker, "--seed", str(seed), "--seconds", str(SECONDS[broker])]
    program = [sys.executable, str(ROOT / "tests" / "journeys" / "harness.py"), *words, "--keep", str(folder)]
    told = subprocess.run(program, capture_output=True, text=True, timeout=BOUND_S, check=False)
    assert told.returncode == 0, f"{told.stdout}\n{told.stderr}"
    return told.stdout.strip()


def counts(text: str) -> dict[str, int]:
    """Return {"agent": 4, …} of "12(agent:4,…)"."""
    return {name: int(n) for name, n in re.findall(r"(\w+):(\d+)", text)}
