"""The whole way in one command, as a user types it: a value from a pseudo-terminal on the tree's page in seconds."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import redirect_stdout
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from cloud.store import open_store
from gocche.status import status
from tests.journeys.world import ROOT, gocche
from tests.servers import ask, until
from tests.test_up import gone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONFIG = ROOT / "config"
BOUND_S = 90.0  # the README promises ten for the addresses, of a machine that does nothing else; here others run beside
FRESH_S = 60.0


class Run:
    """`gocche up` as a process: what it prints, line by line, and where its pages are."""

    def __init__(self, data: Path) -> None:
        self.data = data
        words = ["up", "--http", "127.0.0.1:0", "--staff", "127.0.0.1:0", "--data", str(data)]
        self.began = time.monotonic()
        with (data.parent / "up.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gocche", *words],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=data.parent,
                env=os.environ | {"PYTHONPATH": str(ROOT), "RUNTIME_DIRECTORY": str(data)},
            )
        self.lines: list[tuple[float, str]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append((time.monotonic() - self.began, line.rstrip("\n")))

    @property
    def urls(self) -> list[str]:
        return [line for _, line in self.lines if line.startswith("http://")]

    def soil(self) -> dict[str, Any]:
        told = json.loads(ask(f"{self.urls[0]}.json")[1])
        found = [each for each in told["readings"] if each["quantity"] == "soil_moisture" and each["value"] is not None]
        return found[0] if found else {}

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(BOUND_S)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(5)
        if self.process.stdout:
            self.process.stdout.close()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    started = Run(tmp_path / "data")
    try:
        yield started
    finally:
        started.close()


@pytest.mark.timeout(600)
def test_a_value_is_born_and_seen(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    until(lambda: len(run.urls) == 3 or run.process.poll() is not None, BOUND_S, "three addresses are printed")
    assert len(run.urls) == 3, run.lines
    tree, index, coverage = run.urls
    until(lambda: any("/moi/" in line for _, line in run.lines), BOUND_S, "a link for the first administrator")
    link = next(line for _, line in run.lines if "/moi/" in line).rpartition(": ")[2]
    assert b'name="password"' in ask(link)[1]
    assert link not in (run.data / "up.json").read_text()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/T/[0-9A-Z]{6}", tree)
    assert (index, coverage) == (tree.partition("/T/")[0] + "/", tree.partition("/T/")[0] + "/phu-song")
    until(run.soil, BOUND_S, "a soil moisture on the tree's page")

    # it came through a pseudo-terminal just now, and says so
    soil = run.soil()
    age_s = (datetime.now(UTC) - datetime.fromisoformat(soil["time"])).total_seconds()
    assert -1 < age_s < FRESH_S
    assert (soil["source"], soil["measured"], soil["quality"]) == ("sg-01/soil-1", "tree", "live")
    assert (run.data / "ports" / "rs485").resolve().is_char_device()

    # the same number on the page, in the .json and in the store
    page, soil = unmoved(run)
    assert f"{soil['value']:.1f}".replace(".", ",") in page
    assert in_store(run.data, soil)

    # it moves
    until(lambda: run.soil()["time"] != soil["time"], BOUND_S, "a later reading")
    assert datetime.fromisoformat(run.soil()["time"]) > datetime.fromisoformat(soil["time"])

    # the other pages, the gateway itself, and the sum
    assert tree.rpartition("/")[2].encode() in ask(index)[1]
    assert "Háng Tày".encode() in ask(coverage)[1]
    until(lambda: "do máy bịa ra, không ai đo".encode() in ask(coverage)[1], BOUND_S, "the invented valley on the map")
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(run.data))
    with redirect_stdout(io.StringIO()):
        until(lambda: status(run.data, as_json=True) == 0, BOUND_S, "every sensor brings values, the link is up")
    told = gocche("status", "--json", "--data", str(run.data))
    assert told.returncode == 0, told.stdout
    assert json.loads(told.stdout)["acquired"] > 0
    told = gocche("audit", "--config", str(CONFIG / "cloud.toml"), "--data", str(run.data))
    assert told.returncode == 0, told.stdout
    assert re.search(r"gateway=sg-01 epoch=\w{16} acquired=\d+ .*unknown=0$", told.stdout, re.MULTILINE)
    until(lambda: any(re.search(r"acquired=\d+ stored=\d+", line) for _, line in run.lines), BOUND_S, "a status line")

    # Ctrl-C ends everything that it started
    pids = json.loads((run.data / "up.json").read_text())["children"]
    assert set(pids) == {"devices", "broker", "agent", "ingest", "alerts", "coverage", "pages", "staff"}
    assert run.end() == 0
    assert all(map(gone, pids.values()))
    assert not (run.data / "up.json").exists()

    # and nobody was alarmed by how it begins and ends
    log = (run.data.parent / "up.log").read_text(encoding="utf-8")
    alarms = re.findall(r"^(?:ingest|coverage|alerts|pages|staff) .* (?:WARNING|ERROR) cloud\..*", log, re.MULTILINE)
    assert [line for line in alarms if "Connection refused" not in line] == []  # the broker may come after the rooms


def unmoved(run: Run) -> tuple[str, dict[str, Any]]:
    """Return the page and the figure of one moment: each is kept for a second, and a reading may arrive in between."""
    seen: list[tuple[str, dict[str, Any]]] = []

    def one_moment() -> bool:
        before = run.soil()
        page = ask(run.urls[0])[1].decode()
        seen.append((page, before))
        return before["time"] in page and run.soil() == before

    until(one_moment, BOUND_S, "page and .json of one moment")
    return seen[-1]


def in_store(data: Path, soil: dict[str, Any]) -> bool:
    """Tell whether the store has this value at this very millisecond, once its commit is done."""
    store = open_store({"engine": "sqlite", "path": str(data / "store.db")}, writer=False)
    at_ms = round(datetime.fromisoformat(soil["time"]).timestamp() * 1000)
    gateway, channel = soil["source"].split("/")

    def found() -> bool:
        span = at_ms * 1_000_000, (at_ms + 1) * 1_000_000
        rows = store.series(gateway, channel, "soil_moisture", *span)
        return [value for _, value in rows] == [soil["value"]]

    try:
        until(found, BOUND_S, f"{soil} in the store")
    finally:
        store.close()
    return True
