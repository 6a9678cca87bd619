"""kill -9 of everything, at random and at the worst moments: every value that was served is stored exactly once.

Each run is the harness as a program of its own, so that whatever happens to it takes all of its processes along. The
embedded and the real parts run side by side, which spares minutes and hurries neither.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from gocche import leash
from tests import servers
from tests.conftest import need
from tests.journeys.world import ROOT, SERVERS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.journey, pytest.mark.mosquitto, pytest.mark.influx, pytest.mark.timeout(900)]

SECONDS, BOUND_S = 42, 280
LEAST_KILLS, LEAST_READINGS = (
    2,
    5_000,
)  # of each victim, and in all, over three seeds: a quiet machine has 12 and 10,000
SEEDS = (1, 2, 3)
REAL = {1: "influx1", 2: "influx2", 3: "influx1"}
TRAPPED = {"embedded": ("agent", "broker", "cloud", "ingest")}  # killed between write and acknowledgement, too
TRAPPED["mosquitto"] = (*TRAPPED["embedded"], "influxd")


def test_every_value_is_stored_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = ["mosquitto", *REAL.values()]
    absent = next((name for each in wanted if servers.missing(name := SERVERS[each])), None)
    lines: dict[str, list[str]] = {"embedded": []} if absent else {"embedded": [], "mosquitto": []}
    for seed in SEEDS:
        runs = {broker: start(tmp_path, broker, seed) for broker in lines}
        for broker, run in runs.items():
            lines[broker].append(end(run))
            with capsys.disabled():
                print(f"\n{lines[broker][-1]}", end="")
    placed: Counter[str] = Counter()
    for broker, said in lines.items():
        placed += judge(said, (*TRAPPED[broker], "alerts", "pages"))
    assert all(placed[name] for broker in lines for name in TRAPPED[broker]), f"no kill between write and ack: {placed}"
    if absent:
        need(absent)


def start(folder: Path, broker: str, seed: int) -> subprocess.Popen[str]:
    """Start one run of the harness."""
    engine = "sqlite" if broker == "embedded" else REAL[seed]
    words = ["--engine", engine, "--broker", broker, "--seed", str(seed), "--seconds", str(SECONDS)]
    harness = str(ROOT / "tests" / "journeys" / "harness.py")
    leashed = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid())]
    program = [*leashed, sys.executable, harness, *words, "--keep", str(folder / f"{broker}-{seed}")]
    return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(run: subprocess.Popen[str]) -> str:
    """Wait for a run and return its line."""
    try:
        said, faults = run.communicate(timeout=BOUND_S)
    finally:
        run.kill()
    assert run.returncode == 0, f"{said}\n{faults}"
    return said.strip()


def judge(lines: list[str], victims: tuple[str, ...]) -> Counter[str]:
    """Each run loses nothing; together they were hard enough. Return how often each died at its worst moment."""
    kills: Counter[str] = Counter()
    placed: Counter[str] = Counter()
    readings = 0
    for line in lines:
        told = dict(re.findall(r"(\w+)=(\S+)", line))
        for name in ("stored_twice", "dropped_declared", "quarantined", "unknown", "faults"):
            assert told[name] == "0", line
        assert told["acquired"] == told["stored"] == told["found"], line
        assert told["wiped"] == "1", line
        assert int(told["resent"]) > 0, "nothing was ever sent twice: the kills came too gently"
        readings += int(told["stored"])
        kills.update(counts(told["kills"]))
        placed.update(counts(told["placed"]))
    assert readings >= LEAST_READINGS
    assert min(kills[name] for name in victims) >= LEAST_KILLS, kills
    return placed


def counts(text: str) -> dict[str, int]:
    """Return {"agent": 4, …} of "12(agent:4,…)"."""
    return {name: int(n) for name, n in re.findall(r"(\w+):(\d+)", text)}
