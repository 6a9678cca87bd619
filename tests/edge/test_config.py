"""devices.toml: the sample is right, and every classic mistake is refused with its place and remedy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edge.config import ConfigError, load

ROOT = Path(__file__).parents[2]
MISTAKES = sorted(folder for folder in (ROOT / "tests" / "config").iterdir() if folder.is_dir())


def test_the_sample_is_right():
    config = load(ROOT / "config" / "devices.toml")
    assert config.gateway.id == "sg-01"
    assert {sensor.table.channel for sensor in config.sensors} >= {"soil-1", "smoke-1", "modem-hang-tay"}
    assert next(bus for bus in config.buses if bus.name == "smoke").baud == 9600  # the driver's usual speed


def test_there_are_at_least_twelve_mistakes():
    assert len(MISTAKES) >= 12


@pytest.mark.parametrize("folder", MISTAKES, ids=lambda folder: folder.name)
def test_a_mistake_is_named_with_its_remedy(folder):
    want = (folder / "error.txt").read_text(encoding="utf-8").strip()
    with pytest.raises(ConfigError) as caught:
        load(folder / "devices.toml")
    said = str(caught.value)
    assert said.startswith(str(folder / "devices.toml") + ": ")
    assert want in said
    assert said.count("; ") >= 1, "the remedy is missing"


def test_the_agent_refuses_with_exit_code_2_and_starts_nothing(tmp_path):
    file = ROOT / "tests" / "config" / "misspelt_key" / "devices.toml"
    run = subprocess.run(
        [sys.executable, "-m", "gocche", "agent", "--config", file, "--data", tmp_path],
        capture_output=True, text=True, timeout=30, cwd=ROOT, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert "did you mean 'address'?" in run.stderr
    assert "Traceback" not in run.stderr
    assert list(tmp_path.iterdir()) == []
