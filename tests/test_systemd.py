"""The units and the udev rule, judged by systemd's own tools where they are, on copies that start this environment."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cloud.access.book import CHANGED
from gocche.command_line import parser

FOLDER = Path(__file__).parent.parent / "systemd"
RULES = FOLDER / "99-gocche-serial.rules"
EXPOSURE = {"gocche-agent.service": 2.0, "gocche-cloud.service": 1.5}  # highest that systemd-analyze may say
UNITS = sorted(EXPOSURE)
BOTH = (
    "CapabilityBoundingSet=",
    "DevicePolicy=closed",
    "DynamicUser=yes",
    "LockPersonality=yes",
    "MemoryDenyWriteExecute=yes",
    "NoNewPrivileges=yes",
    "PrivateTmp=yes",
    "ProtectHome=yes",
    "ProtectSystem=strict",
    "Restart=always",
    "RestartSec=5",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    "SystemCallFilter=@system-service",
    "UMask=0077",
)
TOKEN = re.compile(
    r'(ACTION|SUBSYSTEM|KERNEL|ATTRS\{\w+\}|ENV\{[\w.]+\}|SYMLINK|GROUP|MODE|GOTO|LABEL)(==|!=|\+=|=)"([^"]*)"'
)


@pytest.fixture(scope="module")
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze absent: apt-get install systemd")
    return found


@pytest.fixture(params=UNITS)
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a unit whose ExecStart stands in this environment, under its own name."""
    name = str(request.param)
    program = Path(sys.executable).parent / "gocche"
    here = program if program.exists() else Path(sys.executable)
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert text.count("/opt/gocche/bin/gocche ") == 1
    copy = tmp_path / name
    copy.write_text(text.replace("/opt/gocche/bin/gocche ", f"{here} "), encoding="utf-8")
    return copy


def heard(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_systemd_has_no_word_of_complaint(analyze: str, unit: Path) -> None:
    said = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)], check=False, capture_output=True, text=True, timeout=60
    )
    assert (said.returncode, said.stderr, said.stdout) == (0, "", "")


def test_a_fault_would_be_told(analyze: str, unit: Path) -> None:
    unit.write_text(unit.read_text().replace("ProtectSystem=", "ProtectSytem="))
    said = subprocess.run(
        [analyze, "verify", "--man=no", str(unit)], check=False, capture_output=True, text=True, timeout=60
    )
    assert "ProtectSytem" in said.stderr


def test_the_exposure_is_low(analyze: str, unit: Path) -> None:
    command = [analyze, "security", "--offline=yes", "--no-pager", "--threshold=20", str(unit)]
    said = heard(command)
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said.stdout)
    assert level, said.stdout + said.stderr
    assert (said.returncode, said.stderr) == (0, "")
    assert float(level[1]) <= EXPOSURE[unit.name]


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_keeps_what_protects(name: str) -> None:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    assert [wanted for wanted in BOTH if wanted not in lines] == []
    assert any(line.startswith("MemoryMax=") for line in lines)
    assert "WantedBy=multi-user.target" in lines


def test_the_agent_is_watched_and_reaches_serial_ports_only() -> None:
    lines = (FOLDER / "gocche-agent.service").read_text(encoding="utf-8").splitlines()
    assert {"Type=notify", "WatchdogSec=60", "SupplementaryGroups=dialout"} <= set(lines)
    allowed = [line.removeprefix("DeviceAllow=") for line in lines if line.startswith("DeviceAllow=")]
    assert allowed == ["char-ttyUSB rw", "char-ttyACM rw", "char-ttyAMA rw", "/dev/ttyS0 rw"]
    assert "ProcSubset=pid" not in lines  # the agent reads /proc/sys/kernel/random/boot_id
    assert "PrivateDevices=yes" not in lines
    assert "PrivateUsers=yes" not in lines


def test_the_agent_may_ask_what_the_kernel_knows_of_ntp(analyze: str) -> None:
    """Else a gateway with chrony would never trust its clock. It may not set it: it has no capability."""
    unit = FOLDER / "gocche-agent.service"
    said = heard([analyze, "security", "--offline=yes", "--no-pager", str(unit)]).stdout
    assert "adjtimex is allowed" in said
    assert "Service processes cannot change the system clock" in said
    assert "ProtectClock=yes" not in unit.read_text(encoding="utf-8").splitlines()


def test_with_an_sms_modem_the_server_reaches_its_port_and_little_else(analyze: str, tmp_path: Path) -> None:
    """The drop-in is read by systemd's own tools, as installed, and opens what the agent has, too."""
    more = (FOLDER / "gocche-cloud-modem.conf").read_text(encoding="utf-8")
    unit, beside = tmp_path / "gocche-cloud.service", tmp_path / "gocche-cloud.service.d"
    beside.mkdir()
    text = (FOLDER / unit.name).read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/gocche/bin/gocche ", f"{sys.executable} "), encoding="utf-8")
    (beside / "modem.conf").write_text(more, encoding="utf-8")
    said = heard([analyze, "verify", "--man=no", str(unit)])
    assert (said.returncode, said.stderr, said.stdout) == (0, "", "")
    command = [analyze, "security", "--offline=yes", "--no-pager", "--threshold=20", str(unit)]
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", heard(command).stdout)
    assert level
    assert EXPOSURE[unit.name] < float(level[1]) <= EXPOSURE["gocche-agent.service"]
    agents = (FOLDER / "gocche-agent.service").read_text(encoding="utf-8").splitlines()
    opens = [line for line in more.splitlines() if line.startswith(("DeviceAllow=", "Supplementary"))]
    assert opens
    assert set(opens) <= set(agents)
    (name,) = re.findall(r"^LoadCredential=([\w-]+):/etc/gocche/\1$", more, re.MULTILINE)
    assert f"SetCredential={name}:unset" in more.splitlines()
    assert f"/run/credentials/{unit.name}/{name}" in more


@pytest.mark.parametrize("name", UNITS)
def test_the_command_line_is_one_that_gocche_understands(name: str) -> None:
    from gocche.command_line import parser

    text = (FOLDER / name).read_text(encoding="utf-8")
    (command,) = re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)
    told = vars(parser().parse_args(shlex.split(command)[1:]))
    state = re.search(r"^StateDirectory=(.*)$", text, re.MULTILINE)
    assert state
    assert str(told["data"]) == f"/var/lib/{state[1]}"


@pytest.mark.parametrize("name", UNITS)
def test_every_credential_may_be_absent(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    loaded = re.findall(r"^LoadCredential=([\w-]+):/etc/gocche/\1$", text, re.MULTILINE)
    assert loaded
    assert loaded == re.findall(r"^SetCredential=([\w-]+):unset$", text, re.MULTILINE)
    told = re.findall(rf"/run/credentials/{re.escape(name)}/([\w-]+)", text)
    assert sorted(told) == sorted(loaded)


def rules() -> list[list[tuple[str, str, str]]]:
    """Return the rules as lists of (key, operator, value); a line that is not a rule fails."""
    parsed = []
    for line in RULES.read_text(encoding="utf-8").splitlines():
        if not line or line.startswith("#"):
            continue
        tokens = line.split(", ")
        found = [TOKEN.fullmatch(token) for token in tokens]
        assert all(found), line
        parsed.append([match.groups() for match in found if match])  # type: ignore[misc]
    return parsed


def test_every_rule_is_one_and_every_jump_has_its_label() -> None:
    tokens = [token for rule in rules() for token in rule]
    labels = [value for key, _, value in tokens if key == "LABEL"]
    assert labels == ["gocche_serial_end"]
    assert {value for key, _, value in tokens if key == "GOTO"} == set(labels)
    assert rules()[-1] == [("LABEL", "=", "gocche_serial_end")]
    for key, operator, _ in tokens:
        if key in {"ACTION", "SUBSYSTEM", "KERNEL"} or key.startswith("ATTRS"):
            assert operator in {"==", "!="}, key
        if key in {"GROUP", "MODE", "GOTO", "LABEL"}:
            assert operator == "=", key


def test_names_are_by_socket_below_our_own_folder_and_ours_to_ask() -> None:
    tokens = [token for rule in rules() for token in rule]
    links = [(operator, value) for key, operator, value in tokens if key == "SYMLINK"]
    assert links
    assert all(operator == "+=" and value.startswith("gocche/") for operator, value in links)
    assert all("$env{ID_PATH}" in value for _, value in links if value != "gocche/pins")
    assert ("ENV{ID_MM_PORT_IGNORE}", "=", "1") in tokens
    assert {value for key, _, value in tokens if key == "GROUP"} == {"dialout"}


def test_usb_numbers_are_four_lower_case_digits() -> None:
    for key, _, value in (token for rule in rules() for token in rule):
        if key in {"ATTRS{idVendor}", "ATTRS{idProduct}"}:
            assert all(re.fullmatch(r"[0-9a-f]{4}", number) for number in value.split("|")), value


def test_rooms_may_give_way_to_each_other(analyze: str) -> None:
    """Pages and staff lower their own priority (`os.nice`): where the kernel refuses that, they would not start."""
    lines = (FOLDER / "gocche-cloud.service").read_text(encoding="utf-8").splitlines()
    filters = [line.partition("=")[2] for line in lines if line.startswith("SystemCallFilter=")]
    denied = heard([analyze, "syscall-filter", "@resources"]).stdout.split()
    assert "setpriority" in denied, "else the last line of the filter would be for nothing"
    assert filters.index("setpriority") > filters.index("~@privileged @resources"), "what is said later counts"


def test_who_is_revoked_is_told_to_the_broker_by_units_without_a_word_of_complaint(
    analyze: str, tmp_path: Path
) -> None:
    program = Path(sys.executable).parent / "gocche"
    names = [f"gocche-access.{end}" for end in ("path", "service", "timer")]
    for name in names:
        text = (FOLDER / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("/opt/gocche/bin/gocche ", f"{program} "), encoding="utf-8")
    said = heard([analyze, "verify", "--man=no", *(str(tmp_path / name) for name in names)])
    assert (said.returncode, said.stderr, said.stdout) == (0, "", "")
    (command,) = re.findall(r"^ExecStart=(.*)$", (FOLDER / "gocche-access.service").read_text("utf-8"), re.MULTILINE)
    options = parser().parse_args(shlex.split(command)[1:])
    assert (options.command, str(options.folder)) == ("access write", "/etc/mosquitto")
    (watched,) = re.findall(r"^PathChanged=(.*)$", (FOLDER / "gocche-access.path").read_text("utf-8"), re.MULTILINE)
    assert watched == f"/var/lib/gocche-cloud/{CHANGED}"
