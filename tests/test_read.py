"""`gocche read` on real pseudo-terminals, pymodbus being the slave; and what `gocche status` says beside it."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import threading
import tty
from pathlib import Path

import pytest

from gocche.__main__ import main
from gocche.status import status
from tests.servers import free_port, until

ROOT = Path(__file__).parents[1]
DEVICES = """
[gateway]
id = "sg-01"
[broker]
host = "127.0.0.1"
port = {port}
[[bus]]
name = "rs485"
port = "ports/rs485"
baud = 9600
[[sensor]]
channel = "soil-1"
bus = "rs485"
driver = "modbus"
profile = "soil-0000"
address = 1
every_s = 1
[[sensor]]
channel = "soil-2"
bus = "rs485"
driver = "modbus"
profile = "soil-0000"
address = 2
every_s = 1
timeout_s = 0.1
retries = 0
[[bus]]
name = "smoke"
port = "ports/smoke"
[[sensor]]
channel = "smoke-1"
bus = "smoke"
driver = "plantower_pms"
model = "pms5003"
every_s = 1
"""


def started(*told: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gocche", *map(str, told)], cwd=ROOT, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture(scope="module")
def garden(tmp_path_factory):
    """Devices on their pseudo-terminals, for all tests: whoever asks them leaves them as they were."""
    folder = tmp_path_factory.mktemp("garden")
    (folder / "ports").mkdir()
    (folder / "devices.toml").write_text(DEVICES.format(port=free_port()))
    (folder / "control").write_text(json.dumps({"soil-2": {"silent": True}, "soil-1": {"soil_moisture": 31.5}}))
    devices = started("devices", "--ports", folder / "ports", "--control", folder / "control", "--pace", 0.2)
    until(lambda: (folder / "ports" / "rs485").exists() and (folder / "ports" / "smoke").exists(), 20, "ports")
    yield folder
    devices.terminate()
    devices.wait(10)


@pytest.fixture
def data(garden, tmp_path, monkeypatch):
    """A data folder with these ports, of an agent that may run."""
    (tmp_path / "ports").symlink_to(garden / "ports")
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    return tmp_path


def words_of(garden: Path, data: Path, *told: str) -> list[str]:
    return ["read", *told, "--config", str(garden / "devices.toml"), "--data", str(data)]


@pytest.fixture
def read(garden, data, capsys):
    """Return what does `gocche read`, without the start of a process: it returns the exit code and what was said."""

    def read(*told: str):
        code = main(words_of(garden, data, *told))
        return code, capsys.readouterr().out

    return read


def test_one_poll_and_the_talk_that_it_took(garden, data, read):
    command = [sys.executable, "-m", "gocche", *words_of(garden, data, "soil-1")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in run.stderr
    assert run.returncode == 0
    said = run.stdout
    assert "\n> 01 03 00 00 00 07 04 08\n< 01 03 0e 01 3b " in said
    assert " 31.50 %\n" in said
    assert " °C\n" in said
    assert " µS/cm\n" in said
    assert said.count("soil_moisture") == 2, "in both languages"
    assert said.count("\n> ") == 1, "asked once"
    assert read("rs485", "1")[1].partition("\n")[0] == said.partition("\n")[0]
    assert read("rs485", "soil-1")[0] == 0
    assert list(data.glob("spool*")) == [], "nothing is kept"


def test_a_talker_is_listened_to_and_its_warm_up_passed_over(read):
    code, said = read("smoke-1")
    assert code == 0
    assert "\n< 42 4d 00 1c " in said
    assert "pm2_5" in said
    assert "in the first 30 s after power-up this device is not to be trusted" in said


def test_another_model_is_told_beside_the_values_that_are_right(tmp_path, capsys):
    """A recorded frame of a PMS5003 where a PMS5003T stands in the file: its masses are its own."""
    wire = (ROOT / "tests/drivers/plantower_pms/pms5003_for_pms5003t/wire.txt").read_text()
    frame = bytes.fromhex(wire.partition("\n< ")[2].strip())
    (tmp_path / "devices.toml").write_text(DEVICES.format(port=1).replace('"pms5003"', '"pms5003t"'))
    (tmp_path / "ports").mkdir()
    master, slave = os.openpty()
    tty.setraw(slave)
    (tmp_path / "ports" / "smoke").symlink_to(os.ttyname(slave))
    stop = threading.Event()

    def talk():
        while not stop.wait(0.2):
            os.write(master, frame)

    talking = threading.Thread(target=talk)
    talking.start()
    try:
        code = main(["read", "smoke-1", "--config", str(tmp_path / "devices.toml"), "--data", str(tmp_path)])
    finally:
        stop.set()
        talking.join()
        os.close(master)
        os.close(slave)
    said = capsys.readouterr().out
    assert code == 1
    assert "is it the wrong profile, the wrong address, another device?" in said
    assert re.search(r"\(pm2_5\) +8 ", said)
    assert "NO VALUES" not in said


def test_on_a_full_card_too(read, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/no such folder")
    code, said = read("soil-1")
    assert code == 0
    assert "\n> 01 03 00 00 00 07 04 08\n" in said


def test_a_probe_that_is_silent_and_one_that_is_not_in_the_file(read):
    code, said = read("soil-2")
    assert code == 1
    assert "\n> 02 03 00 00 00 07 04 3b\n<\n" in said
    assert "NO VALUES: silence: slave 2 did not answer" in said
    assert "KHÔNG CÓ SỐ ĐO" in said
    assert "wires A and B swapped" in said
    code, said = read("rs485", "77", "--profile", "xy-md02")
    assert code == 1
    assert "then: gocche read rs485 77 --profile xy-md02\n" in said
    code, said = read("rs485", "3", "--profile", "xy-md02")
    assert code == 0
    assert "\n> 03 04 00 01 " in said
    assert "air_temperature" in said


def test_a_file_that_is_named_means_its_own_agents_folder_and_not_the_services(tmp_path, monkeypatch, capsys):
    """Where the unit is installed too, `read` looked for a relative port in another folder than `agent` did."""
    (tmp_path / "devices.toml").write_text(DEVICES.format(port=1))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    there = os.path.lexists
    monkeypatch.setattr(os.path, "lexists", lambda path: str(path) == "/var/lib/gocche" or there(path))
    assert main(["read", "soil-1", "--config", "devices.toml"]) == 1
    said = capsys.readouterr().out
    assert "ports/rs485: " in said
    assert "/var/lib/gocche" not in said


def test_what_was_asked_for_is_asked_or_refused(garden, data, read, capsys):
    said = read("rs485", "1", "--profile", "xy-md02")[1]
    assert "\n> 01 04 00 01 " in said, "with the profile that was named, not with that of the file"
    assert read("soil-1", "--profile", "xy-md02")[1].splitlines()[1:2] == said.splitlines()[1:2]
    assert read("rs485", "1", "2")[0] == 2
    assert main(words_of(garden, data, "smoke-1", "--profile", "xy-md02")) == 2
    assert "smoke-1 is no Modbus probe (driver plantower_pms) and has no profile; leave" in capsys.readouterr().err


def test_beside_the_agent_and_what_its_status_says(garden, data, read, capsys):
    def status_of():
        code = status(data, as_json=False)
        return code, capsys.readouterr().out

    agent = started("agent", "--config", garden / "devices.toml", "--data", data)
    try:
        until(lambda: "SILENT" in status_of()[1], 30, "the silent probe is seen")
        code, said = status_of()
        assert code == 1
        assert "soil-2: SILENT since " in said
        assert "soil-1: well " in said
        assert "smoke-1: well " in said
        code, said = read("soil-1")
        assert code == 1
        assert "sudo systemctl stop gocche-agent" in said
    finally:
        agent.terminate()
        assert agent.wait(10) == 0
    code, said = status_of()
    assert code == 1
    assert "STOPPED " in said
    assert read("soil-1")[0] == 0


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_does_not_wait_for_the_end_sees_what_passed_until_then(tmp_path, capsys, monkeypatch, end):
    """A modem may be waited for a minute and more; Ctrl-C showed nothing of what had come, `kill` left it in memory."""
    (memory := tmp_path / "memory").mkdir()
    monkeypatch.setattr("gocche.read.memory", lambda: memory)
    near, far = pty.openpty()
    tty.setraw(near)
    port = os.ttyname(far)
    file = tmp_path / "devices.toml"
    patient = DEVICES.replace("every_s = 1\ntimeout_s = 0.1", "every_s = 60\ntimeout_s = 30")
    file.write_text(patient.format(port=1).replace("ports/rs485", port))

    def impatient() -> None:
        os.read(near, 8)
        os.write(near, b"\x02")
        signal.pthread_kill(threading.main_thread().ident, end)

    who = threading.Thread(target=impatient)
    before = signal.signal(end, signal.SIG_DFL)  # of tests that run in the background a shell has Ctrl-C ignored
    who.start()
    try:
        main(["read", "--config", str(file), "--data", str(tmp_path), "soil-2"])
    finally:
        signal.signal(end, before)
    who.join()
    assert "> 02 03 00 00" in capsys.readouterr().out
    assert list(memory.iterdir()) == []
    os.close(near)
    os.close(far)
