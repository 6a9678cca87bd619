"""Exit code 2 is for what a person wrote wrongly; 1 for what the machine may yet get over, or another process let go.

systemd starts a service again after 1 and not after 2, so the difference decides whether a server comes back by itself
when the disk has room again. Either way one sentence, and no traceback.
"""

from __future__ import annotations

import os
import re
import resource
import shlex
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from edge.keep.spool import Spool
from tests.servers import free_port

ROOT = Path(__file__).parents[1]
DEVICES = """
[gateway]
id = "sg-01"
[broker]
host = "127.0.0.1"
user = "u"
password_file = "secret"
[[bus]]
name = "rs485"
port = "/dev/null"
[[sensor]]
channel = "soil-1"
driver = "modbus"
bus = "rs485"
address = 1
profile = "soil-0000"
"""


def run(*words: object, room: int | None = None) -> tuple[int, str]:
    """Return exit code and what was said; with `room` no file may grow beyond so many bytes."""

    def limit() -> None:
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    ran = subprocess.run(
        [sys.executable, "-m", "gocche", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=limit,
    )
    return ran.returncode, ran.stderr


def cloud(folder: Path, *words: object, toml: str = "", room: int | None = None) -> tuple[int, str]:
    file = folder / "cloud.toml"
    file.write_text(f'[broker]\nhost = "127.0.0.1"\nport = {free_port()}\n' + toml)
    (folder / "garden").symlink_to(ROOT / "config" / "garden")
    data = folder / "data"
    return run(
        "cloud",
        "--config",
        file,
        "--data",
        data,
        "--http",
        "127.0.0.1:0",
        "--staff",
        "127.0.0.1:0",
        "--health",
        "127.0.0.1:0",
        *words,
        room=room,
    )


def one_sentence(said: str, *words: str) -> bool:
    """Tell whether nothing but one sentence is said, in Vietnamese and below it in English, with these words."""
    vi, en = re.fullmatch(r"(?:\S+ \S+ (?:INFO|WARNING) .*\n)*gocche: (.+)\n        (.+)\n", said).groups()
    return vi != en and all(word in en for word in words)


@pytest.mark.parametrize("shell", ["> /dev/full", ">&-"])
def test_output_that_has_no_room_is_said_and_one_that_nobody_wants_is_not(shell: str, tmp_path: Path) -> None:
    file = tmp_path / "devices.toml"
    file.write_text(DEVICES.replace('user = "u"\npassword_file = "secret"\n', ""))
    command = f"{shlex.quote(sys.executable)} -m gocche check-config {shlex.quote(str(file))} {shell}"
    ran = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)
    if shell == ">&-":
        assert (ran.returncode, ran.stderr) == (0, "")
    else:
        assert ran.returncode == 1
        assert one_sentence(ran.stderr, "No space left on device", "stdout"), ran.stderr


def test_a_port_in_use_is_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = cloud(tmp_path, "--http", f"127.0.0.1:{port}")
    assert code == 1
    assert one_sentence(said, f"127.0.0.1:{port}", "Address already in use"), said


def test_no_room_is_1(tmp_path: Path) -> None:
    code, said = cloud(tmp_path, room=0)
    assert code == 1
    assert one_sentence(said, str(tmp_path / "data")), said


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('[store]\nengine = "duckdb"\n', "duckdb"),
        ('[garden]\npath = "nowhere"\n', "nowhere"),
        ('[brokr]\nhost = "x"\n', "brokr"),
    ],
)
def test_what_is_written_wrongly_is_2(tmp_path: Path, toml: str, words: str) -> None:
    code, said = cloud(tmp_path, toml=toml)
    assert code == 2
    assert one_sentence(said, words), said


def test_a_password_file_that_cannot_be_read_is_2_for_the_server(tmp_path: Path) -> None:
    code, said = cloud(tmp_path, toml='user = "u"\npassword_file = "nowhere"\n')
    assert code == 2
    assert one_sentence(said, "[broker]", "nowhere"), said


def test_a_damaged_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "staff.db").write_bytes(b"garbage" * 4_000)
    code, said = cloud(tmp_path, "--room", "staff")
    assert code == 1
    assert one_sentence(said, "staff.db", "is damaged", "gocche restore"), said


@pytest.fixture
def devices(tmp_path: Path) -> Path:
    file = tmp_path / "devices.toml"
    file.write_text(DEVICES)
    (tmp_path / "secret").write_text("s\n")
    return file


def test_a_spool_of_a_newer_gocche_is_1_as_an_upgrade_mends_it(tmp_path: Path, devices: Path) -> None:
    Spool(tmp_path / "spool.db", 1 << 22).close()
    with sqlite3.connect(tmp_path / "spool.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    code, said = run("agent", "--config", devices, "--data", tmp_path)
    assert code == 1
    assert one_sentence(said, "spool.db", "newer gocche"), said


def test_a_spool_in_use_is_1_as_its_user_may_end(tmp_path: Path, devices: Path) -> None:
    spool = Spool(tmp_path / "spool.db", 1 << 22)
    code, said = run("agent", "--config", devices, "--data", tmp_path)
    spool.close()
    assert code == 1
    assert one_sentence(said, "spool.db", f"in use by process {os.getpid()}"), said


def test_a_password_file_that_cannot_be_read_is_2_for_the_gateway(tmp_path: Path, devices: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xff\xfe")  # root reads whatever the rights are, but not this
    code, said = run("agent", "--config", devices, "--data", tmp_path)
    assert code == 2
    assert one_sentence(said, "password_file", "secret"), said
    assert not (tmp_path / "spool.db").exists()
