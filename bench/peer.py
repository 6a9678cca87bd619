"""ThingsBoard's own gateway as a process: the same probes, the same broker, an environment of its own.

It is a peer, not a part: nothing of it is installed with gocche. `make bench` makes its environment once, in the
user's cache, with pip; where that does not work the row is missing and the reason stands under the table. It installs
its Modbus library at run time, so that one is brought along here: what is measured is not pip.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench import process

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = ["thingsboard-gateway==3.8.5", "pymodbus==3.9.2", "pyserial", "pyserial-asyncio"]
NAME = "thingsboard-gateway 3.8.5"
INSTALL_S = 300
REGISTERS = 7


def missing() -> str:
    """Make the environment unless it is there; return why it cannot be had, "" where it can."""
    if _program().exists():
        return ""
    home = _home()
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as folder:  # half an environment must not be found next time
        made = Path(folder) / home.name
        for command in (
            [sys.executable, "-m", "venv", str(made)],
            [str(made / "bin" / "pip"), "install", "-q", *PACKAGES],
        ):
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S, check=False)
            except subprocess.TimeoutExpired:
                return f"{NAME} absent: not installed within {INSTALL_S} s"
            if done.returncode:
                return f"{NAME} absent: {(done.stderr.strip().splitlines() or ['pip failed'])[-1][:120]}"
        made.rename(home)
    return ""


@contextmanager
def running(folder: Path, port: int, link: Path, probes: int, every_s: int) -> Iterator[int]:
    """Run it while inside, on one bus; yield its process id. Registers of a probe are one value, least work for it."""
    config = folder / "peer"
    (config / "logs").mkdir(parents=True)
    slave = {
        "type": "serial", "method": "rtu", "port": str(link), "baudrate": 9600, "stopbits": 1, "bytesize": 8,
        "parity": "N", "timeout": 1, "byteOrder": "BIG", "wordOrder": "BIG", "pollPeriod": 1000 * every_s,
        "deviceType": "default", "sendDataOnlyOnChange": False, "attributes": [], "attributeUpdates": [], "rpc": [],
    }  # fmt: skip
    registers = {"tag": "soil", "type": "16uint", "functionCode": 3, "objectsCount": REGISTERS, "address": 0}
    slaves = [
        slave | {"unitId": number + 1, "deviceName": f"soil-{number}", "timeseries": [registers]}
        for number in range(probes)
    ]
    gateway = {
        "thingsboard": {
            "host": "127.0.0.1", "port": port, "remoteShell": False, "remoteConfiguration": False,
            "statistics": {"enable": False}, "security": {"type": "accessToken", "accessToken": "bench"}, "qos": 1,
        },
        "storage": {"type": "sqlite", "data_file_path": f"{config}/data.db"},
        "grpc": {"enabled": False},
        "connectors": [{"type": "modbus", "name": "bus", "configuration": "modbus.json"}],
    }  # fmt: skip
    shipped = next(_home().glob("lib/python3*/site-packages/thingsboard_gateway/config/logs.json"))
    (config / "logs.json").write_bytes(shipped.read_bytes())
    (config / "modbus.json").write_text(json.dumps({"master": {"slaves": slaves}}), encoding="utf-8")
    (config / "tb_gateway.json").write_text(json.dumps(gateway), encoding="utf-8")
    environment = os.environ | {"TB_GW_CONFIG_DIR": str(config)}
    with (folder / "peer.log").open("w", encoding="utf-8") as log:
        peer = subprocess.Popen(
            [str(_program().with_name("python")), str(_program())],  # its first line names where it was made
            cwd=config, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield peer.pid
    finally:
        peer.terminate()
        try:
            peer.wait(process.STOP_S)
        except subprocess.TimeoutExpired:
            peer.kill()
            peer.wait()


def _home() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "gocche-peers" / "thingsboard-gateway"


def _program() -> Path:
    return _home() / "bin" / "thingsboard-gateway"
