"""`gocche status`: what an installer must not overlook is loud, says since when and what to look at: exit code 1."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from edge.clock import SystemClock
from edge.config import fingerprint
from edge.driver import REASONS
from edge.threads import NO_THREAD
from gocche import __main__ as door
from gocche import commands
from gocche.status import STALE_S, span, status
from gocche.trouble import readable, remedy
from gocche.words import words
from settings.words import why_absent
from settings.words import words as words_of
from wire.batch import Source, Status
from wire.reading import Reason

ROOT = Path(__file__).parents[1]
NOW_MS = 1_000_000
WELL = {"last_ok_ms": NOW_MS - 3_000, "why": "", "since_ms": None, "texts": {}, "polls": 9, "bad": {}}
GARDEN = Status(
    v=1, state="online", mono_ms=NOW_MS, acquired=5, commit_s=10.0, version="0.1.0", config="abc",
    clock={"source": "ntp", "uncertainty_ms": 100}, channels={"soil-1": WELL, "air-1": WELL},
    link={"up": True, "since_ms": NOW_MS - 60_000, "why": ""},
)  # fmt: skip


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    """Return exit code and both languages of a status."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))

    def tell(given: Status, age_s: float = 0.0):
        file = tmp_path / "status.json"
        file.write_bytes(msgspec.json.encode(given))
        os.utime(file, (time.time() - age_s,) * 2)
        code = status(tmp_path, as_json=False)
        vietnamese, _, english = capsys.readouterr().out.partition("\n\n")
        assert len(vietnamese.splitlines()) == len(english.strip().splitlines())
        return code, vietnamese, english

    return tell


def sick(why: str, **keys):
    channel = WELL | {"why": why, "since_ms": NOW_MS - 319_000, "bad": {"silence": 4}} | keys
    return replace(GARDEN, channels={"soil-1": channel, "air-1": WELL})


def test_what_waits_of_earlier_runs_is_told(told):
    """An epoch begins with each boot: days that wait would look like nothing after a power cut."""
    code, vietnamese, english = told(replace(GARDEN, spooled=5, earlier={"a1" * 8: 40_000, "b2" * 8: 2}))
    assert code == 0
    assert "40002 số đo của những lần chạy trước" in vietnamese
    assert "40002 readings of earlier runs wait" in english


def test_a_configuration_that_is_not_in_use_is_loud(tmp_path, monkeypatch, capsys):
    """Who leaves with an edited file leaves a gateway that nobody has seen run: it may end at the next power cut."""
    file = tmp_path / "devices.toml"
    file.write_text("broken")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    monkeypatch.setenv("GOCCHE_CONFIG", str(tmp_path))
    (tmp_path / "status.json").write_bytes(msgspec.json.encode(replace(GARDEN, config=fingerprint(b"as it was"))))
    assert door.main(["status"]) == 1
    vietnamese, _, english = capsys.readouterr().out.partition("\n\n")
    assert f"config     {file} WAS EDITED since the agent began" in english
    assert "NOT WELL" in english
    assert f"{file} ĐÃ SỬA" in vietnamese
    assert door.main(["status", "--data", str(tmp_path)]) == 0, "of another agent nobody knows the file"
    assert "WAS EDITED" not in capsys.readouterr().out
    assert door.main(["status", "--data", str(tmp_path), "--config", str(file)]) == 1
    file.write_bytes(b"as it was")
    assert door.main(["status"]) == 0
    file.unlink()
    assert door.main(["status"]) == 0


def test_a_healthy_garden_is_0(told):
    code, vietnamese, english = told(GARDEN)
    assert code == 0
    assert "channel    soil-1: well 3 s ago" in english
    assert "link       up since " in english
    assert "mọi thứ đều tốt" in vietnamese
    assert "NOT WELL" not in english


@pytest.mark.parametrize(
    "odd",
    [
        {"channels": {"c": {"bad": 5}}},
        {"channels": {"c": {"bad": [1]}}},
        {"clock": {"source": "sundial"}},
        {"clock": {"uncertainty_ms": "x"}},
        {"link": {"since_ms": -(10**15), "why": "x"}},
        {"mono_ms": 1 << 63},
    ],
    ids=str,
)
def test_a_file_that_is_no_status_of_ours_is_told_in_words(tmp_path, capsys, odd):
    """Cut short by a card, or put there by somebody else: not the moment for a traceback."""
    (tmp_path / "status.json").write_text(json.dumps(msgspec.to_builtins(GARDEN) | odd))
    assert status(tmp_path, as_json=False) == 1
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 2)
    assert "status.json" in said.err


def test_a_dead_probe_is_silent_since_when_with_what_to_look_at(told):
    code, vietnamese, english = told(sick("silence: slave 1 did not answer", last_ok_ms=None))
    assert code == 1
    assert re.search(r"soil-1: SILENT since \d\d:\d\d:\d\d \(5 min\): silence: slave 1 did not answer", english)
    assert "wires A and B swapped, address, baud; then: gocche read soil-1" in english
    assert "soil-1: IM LẶNG từ " in vietnamese
    assert "dây A và B có đảo không" in vietnamese
    assert "well" in next(line for line in english.splitlines() if "air-1" in line)


@pytest.mark.parametrize(
    ("given", "age_s", "said"),
    [
        (sick("crc: CRC should be 01 02"), 0, "soil-1: NO VALUES since "),
        (sick("not asked yet", polls=0, since_ms=None), 0, "soil-1: NOT ASKED YET; wait"),
        (sick(NO_THREAD, polls=0), 0, "not the sensor's fault: this machine has no more memory, open files or tasks"),
        (replace(GARDEN, why="spool takes nothing", why_vi="không ghi"), 0, "FAULT      spool takes nothing"),
        (replace(GARDEN, link={"up": False, "since_ms": NOW_MS - 90_000, "why": "no name"}), 0, "(90 s): no name"),
        (replace(GARDEN, state="stopped"), 4_000, "STOPPED 67 min ago; start it: sudo systemctl start"),
        (GARDEN, STALE_S + 5, "NOT RUNNING (last heard of 35 s ago); look at: systemctl status"),
    ],
)  # fmt: skip
def test_whatever_needs_a_person_is_1(told, given, age_s, said):
    code, vietnamese, english = told(given, age_s)
    assert code == 1
    assert said in english
    assert given.why_vi in vietnamese
    assert ("promise" in english) == (not given.why), "none is made while something is wrong with what is kept"
    assert "NOT WELL: see the lines in CAPITALS" in english


def test_whether_the_agent_runs_is_no_matter_of_the_wall_clock(told):
    """It steps by days or decades when it is set; the boot's milliseconds do not."""
    clock = SystemClock()
    given = replace(GARDEN, boot=clock.boot, mono_ms=clock.mono_ms(), link={"up": True, "why": ""}, channels={})
    assert told(given, 4_000)[0] == 0, "the clock was put forward since"
    code, _, english = told(replace(given, mono_ms=given.mono_ms - 35_000), -4_000)
    assert code == 1, "it was put back since"
    assert "NOT RUNNING (last heard of 35 s ago)" in english


def test_the_link_is_told_with_its_cause_in_both_languages(told):
    link = {"up": False, "since_ms": NOW_MS - 319_000, "cause": "refused", "why": "nobody listens on that port"}
    _, vietnamese, english = told(replace(GARDEN, link=link))
    assert "máy chủ từ chối ở cổng này; dịch vụ MQTT" in vietnamese
    assert "(5 min): nobody listens on that port; readings are kept" in english
    named = link | {"cause": "files", "detail": "No such file: /etc/gocche/sg-01.pem"}
    _, vietnamese, _ = told(replace(GARDEN, link=named))
    assert "/etc/gocche/sg-01.pem" in vietnamese, "it says to look at the file that is named"
    _, _, english = told(replace(GARDEN, link=link | {"up": True, "cause": "kicked"}))
    assert "UP BUT NOT WELL" in english


def test_an_undated_boot_is_no_fault(told):
    code, _, english = told(replace(GARDEN, clock={"source": "none", "uncertainty_ms": 0}))
    assert code == 0
    assert "clock      none yet: no harm" in english


def test_every_clock_has_words():
    assert words()["source"].keys() == {source.name.lower() for source in Source} - {"none"}


def test_no_status_and_a_broken_one_say_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    assert status(tmp_path / "nowhere", as_json=False) == 1
    assert f"there is no folder {tmp_path}/nowhere" in capsys.readouterr().err
    assert status(tmp_path, as_json=False) == 1
    said = capsys.readouterr().err
    assert "agent không chạy" in said
    assert "systemctl status gocche-agent" in said
    (tmp_path / "status.json").write_bytes(b"{")
    assert status(tmp_path, as_json=False) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_for_machines(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path))
    (tmp_path / "status.json").write_bytes(msgspec.json.encode(sick("silence: x")))
    assert status(tmp_path, as_json=True) == 1
    said = json.loads(capsys.readouterr().out)
    assert (said["running"], said["well"]) == (True, False)


def test_the_folder_of_the_unit_is_found_by_anybody(monkeypatch):
    """Below DynamicUser /var/lib/gocche leads to where only root may look; asking must not end in a traceback."""
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setattr("os.path.lexists", lambda path: path == "/var/lib/gocche")
    assert commands._agents_folder() == Path("/var/lib/gocche")
    unit = (ROOT / "systemd" / "gocche-agent.service").read_text(encoding="utf-8")
    assert "StateDirectory=gocche\n" in unit
    assert "RuntimeDirectory=gocche\n" in unit


def test_every_why_has_its_own_remedy_in_both_languages():
    rows = words()["remedy"]
    assert all(row.keys() == {"why", "vi", "en"} for row in rows)
    general = rows[-1]["en"]
    said = {kind: remedy(f"{kind}: something", "soil-1", "en") for kind in [*REASONS, "faulty"]}
    assert all(general not in text for text in said.values()), said
    for why, reason in (
        ("silence: no answer", Reason.SILENCE), ("exception:6: busy", Reason.REFUSED), ("faulty: x", Reason.FAULTY),
        ("/dev/x: Permission denied", Reason.PORT_LOST), ("no value: no_fix", Reason.NO_FIX),
    ):  # fmt: skip
        assert readable(why, "vi") == f"{why_absent(reason, 'vi')} ({why})"
        assert readable(why, "en") == why
    ports = (
        "Could not exclusively lock port /dev/x", "[Errno 2] No such file or directory", "the device is gone",
        "[Errno 13] Permission denied: '/dev/x'", "takes no more bytes: is the device hung?", "rts_on_send: cannot",
        "it is no serial port",
    )  # fmt: skip
    assert len({remedy(f"/dev/x: {text}", "soil-1", "vi") for text in ports}) == len(ports) - 1
    assert "unplugged" in remedy("/dev/x: Input/output error", "a", "en"), "what a pulled USB adapter says"
    assert "ask more seldom" in remedy("exception:6: slave 1 refuses function 3: 6 (server device busy)", "a", "en")
    assert "ModemManager" in remedy("silence: AT+CEREG?: no answer", "a", "en")
    assert "mmcli -L" in remedy("silence: mmcli -J: error: couldn't find modem", "a", "en")
    assert "modem_mm" in remedy("/dev/x: another program holds it (ModemManager, gpsd, another gocche)", "a", "en")
    assert "dial the code" in remedy("silence: *101#: the network did not answer", "a", "en")
    assert "dial the code" in remedy("cme:30: *101#: +CME ERROR: 30", "a", "en")
    assert "monthly_kib" in remedy("budget: 2300 of 65536 bytes a month: not asked", "a", "en")
    assert readable("/dev/x: another program holds it", "vi").startswith(why_absent(Reason.PORT_BUSY, "vi"))
    assert "open files" in remedy("/dev/x: could not open port: Too many open files", "a", "en")
    assert "open sky" in remedy("no value: no_fix", "a", "en")
    assert "probe head" in remedy("no value: out_of_range, sentinel", "a", "en")
    assert "baud or format is wrong" in remedy(
        "garbled: 90 bytes came, none ends an answer: is the speed right?", "a", "en"
    )
    assert words_of("settings")["reason"].keys() == {str(int(reason)) for reason in Reason}


def test_spans_are_said_as_people_do():
    assert [span(s, "en") for s in (0, 119, 319, 7_300, 200_000)] == ["0 s", "119 s", "5 min", "2 h", "2 days"]
    assert span(319, "vi") == "5 phút"


# --- all commands


def gocche(told: str, **env: str):
    return subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", told.replace("gocche ", f"{sys.executable} -m gocche ", 1)],
        capture_output=True, text=True, timeout=60, check=False, cwd=ROOT, env=os.environ | env,
    )  # fmt: skip


@pytest.mark.parametrize("command", ["status --json", "--help", "check-config config/devices.toml"])
def test_a_reader_that_goes_away_is_no_fault(command, tmp_path):
    (tmp_path / "status.json").write_bytes(msgspec.json.encode(GARDEN))
    run = gocche(f"gocche {command} | /bin/true", RUNTIME_DIRECTORY=str(tmp_path))
    assert run.stderr == ""


def test_a_terminal_without_vietnamese_gets_something(tmp_path):
    (tmp_path / "status.json").write_bytes(msgspec.json.encode(GARDEN))
    run = gocche("gocche status", RUNTIME_DIRECTORY=str(tmp_path), PYTHONIOENCODING="ascii")
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize(
    ("library", "command", "extras"),
    [
        (
            "starlette",
            "cloud --config config/cloud.toml --data {tmp} --http 127.0.0.1:0 --staff 127.0.0.1:0 --health 127.0.0.1:0",
            "cloud",
        ),
        ("amqtt", "broker --listen 127.0.0.1:0", "cloud"),
        ("pymodbus", "devices --ports {tmp}", "cloud,demo"),
    ],
)
def test_an_edge_only_installation_says_what_to_install(library, command, extras, tmp_path):
    """The library is hidden by one of its name that cannot be found, as on a gateway."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nclass Hidden:\n    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {library!r}:\n"
        f"            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
    )
    run = gocche(f"gocche {command.format(tmp=tmp_path)}", PYTHONPATH=str(tmp_path))
    assert run.returncode == 2, run.stderr
    pip = Path(sys.executable).with_name("pip")
    assert f"{pip} install 'gocche[{extras}]'" in run.stderr, "that of this installation, not the system's"
    assert "Traceback" not in run.stderr


def code_of(command: str) -> object:
    try:
        return door.main(shlex.split(command))
    except SystemExit as ended:  # argparse's own way out
        return ended.code


@pytest.mark.parametrize("command", ["grafana export /proc/x", "devices --ports /proc/x"])
def test_what_the_machine_refuses_is_1_in_words(command, monkeypatch, capsys):
    monkeypatch.setattr(door, "_log_to_stderr", lambda _: None)
    assert code_of(command) == 1
    told = capsys.readouterr().err
    assert "look at /proc/x, its room and its rights" in told
    assert "máy từ chối" in told


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("new-driver Rain-Bucket", "cannot name a driver (it has other characters)"),
        ("new-driver 'rain bucket'", "e.g. rain_bucket"),
        ("new-driver class", "Python has this name for itself"),
        ("new-driver serial1/../x", "cannot name a driver"),
        ("new-driver modbus", "edge/drivers/modbus.py is already there"),
        ("broker --listen nonsense", "'nonsense' is not HOST:PORT"),
        ("agent --config config/devices.toml --broker nonsense", "'nonsense' is not HOST:PORT"),
        ("read soil-99 --config config/devices.toml", "there are: soil-1 (rs485 1)"),
        ("read rs999 1 --config config/devices.toml", "there is no bus rs999; there are: rs485"),
        ("read rs485 77 --config config/devices.toml --profile nix", '"nix" is no profile'),
        ("read rs485 77 --config config/devices.toml --profile nix", "gocche read rs485 77: profile: "),
        ("agent --config config/devices.toml --broker x:70000", "the port being from 0 to 65535"),
        ("statsu", 'there is no command "statsu": did you mean "status"?'),
        ("read", "what it means: gocche read --help"),
        ("read soil-1 --config nowhere.toml", "nowhere.toml: cannot be read"),
    ],
)
def test_what_makes_no_sense_is_2_in_words(command, said, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(door, "_log_to_stderr", lambda _: None)  # the logging of the test's own process stays
    assert code_of(command) == 2
    told = capsys.readouterr().err
    assert said in told
    told = told[told.index("gocche: ") :] if "usage: " in told else told
    vietnamese, _, english = told.strip().partition("\n        ")
    assert vietnamese.startswith("gocche: ")
    assert not vietnamese.isascii()
    assert english
