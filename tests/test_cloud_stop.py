"""`gocche cloud` ends in order when it is asked to: exit status 0, and its rooms have closed their files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import free_port

ROOT = Path(__file__).parents[1]
SAMPLE = str(ROOT / "config" / "cloud.toml")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_end_it_closes_its_rooms_and_returns_0(tmp_path: Path, number: signal.Signals) -> None:
    words = ["--config", SAMPLE, "--data", str(tmp_path), "--broker", f"127.0.0.1:{free_port()}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "gocche", "cloud", *words, "--http", "127.0.0.1:0"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "pages url=" in line:
                break
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, said
    assert not list(tmp_path.glob("*-wal")), "whoever closes a SQLite file last leaves no log behind"
