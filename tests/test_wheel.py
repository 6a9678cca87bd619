"""The wheel: its packages with their data, and an edge that runs with nothing but its own few libraries."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

pytestmark = [pytest.mark.journey, pytest.mark.usefixtures("budget")]
BUDGET_S = 60
ROOT = Path(__file__).parents[1]
EDGE_NEEDS = ("msgspec", "paho-mqtt", "pyserial")  # [project] dependencies, and nothing they pull in
CLOUD_NEEDS = ("influxdb_client", "starlette", "uvicorn", "jinja2", "amqtt", "pymodbus")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    source = tmp_path_factory.mktemp("source") / "gocche"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "img", "dist", "__pycache__"))
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)]
    subprocess.run(build, check=True, capture_output=True, timeout=90)
    return next(out.glob("*.whl"))


def test_it_holds_its_packages_their_data_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {
        "gocche",
        "edge",
        "cloud",
        "wire",
        "settings",
        "detect",
        "disk",
        "at",
    }
    for part in (
        "gocche/config/devices.toml", "gocche/config/garden/trees.csv", "edge/profiles/soil-0000.toml",
        "wire/vectors/v1/batch.json", "cloud/pages/words/vi.toml", "cloud/alerts/words.toml",
        "settings/words.toml", "cloud/config/words.toml",
    ):  # fmt: skip
        assert part in names, part


def test_the_metadata_names_the_extras(wheel):
    archive = zipfile.ZipFile(wheel)
    metadata = archive.read(next(n for n in archive.namelist() if n.endswith("METADATA"))).decode()
    for extra in ("cloud", "grafana"):
        assert f"Provides-Extra: {extra}" in metadata
    bare = [line for line in metadata.splitlines() if line.startswith("Requires-Dist") and "extra ==" not in line]
    assert sorted(line.split()[1].split(">")[0] for line in bare) == sorted(EDGE_NEEDS)


def _bare_environment(folder: Path, wheel: Path) -> Path:
    """A fresh environment with the wheel and copies of the edge's libraries: what pip brings, without a network."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    site = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True, capture_output=True, text=True, timeout=30,
        ).stdout.strip()
    )  # fmt: skip
    for name in EDGE_NEEDS:
        for file in distribution(name).files or []:
            if ".." not in file.parts and "__pycache__" not in file.parts:
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file.locate(), site / file)
    zipfile.ZipFile(wheel).extractall(site)
    return python


def test_the_edge_installs_bare_and_the_agent_runs_from_there(wheel, tmp_path):
    python = _bare_environment(tmp_path / "bare", wheel)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    look = (
        "import gocche, edge.agent, sys; print(gocche.__file__)\n"
        f"print([name for name in {CLOUD_NEEDS} if name in sys.modules])"
    )
    run = [python, "-c", look]
    found = subprocess.run(
        run, check=True, capture_output=True, text=True, timeout=60, env=environment, cwd=tmp_path
    ).stdout.splitlines()
    assert found[0].startswith(str(tmp_path))
    assert found[1] == "[]"
    data = tmp_path / "data"
    data.mkdir()
    environment["RUNTIME_DIRECTORY"] = str(data)
    (data / "wire.txt").write_text("> 01 03 00 00 00 02 C4 0B\n< 01 03 04 01 38 00 E1 BA 4A\n")
    (tmp_path / "devices.toml").write_text(
        '[gateway]\nid = "sg-01"\n[broker]\nhost = "127.0.0.1"\nport = 1\n[spool]\ncommit_s = 0.2\n'
        '[[bus]]\nname = "b"\nport = "replay:wire.txt"\n'
        '[[sensor]]\nchannel = "soil-1"\nbus = "b"\ndriver = "modbus"\nprofile = "soil-0000"\n'
        "read = [{ at = 0, count = 2 }]\nevery_s = 0.2\n"
    )
    agent = subprocess.Popen(
        [python, "-m", "gocche", "agent", "--config", tmp_path / "devices.toml", "--data", data],
        env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 30
        while not _acquired(data / "status.json"):
            assert agent.poll() is None, agent.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        agent.terminate()
        _, log = agent.communicate(timeout=20)
    assert agent.returncode == 0, log
    said = subprocess.run(
        [python, "-m", "gocche", "status", "--json", "--data", data],
        capture_output=True, text=True, timeout=30, env=environment, cwd=tmp_path, check=False,
    )  # fmt: skip
    status = json.loads(said.stdout)
    assert status["state"] == "stopped"
    assert status["channels"]["soil-1"]["why"] == ""
    assert status["spooled"] == status["acquired"] > 0, "nobody acknowledged anything"


def _acquired(file: Path) -> int:
    try:
        return json.loads(file.read_bytes())["acquired"]
    except (OSError, ValueError):
        return 0
