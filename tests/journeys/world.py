"""The parts of a journey as separate processes with configurations of their own: started, killed, started again.

Nothing here is a stand-in: simulated devices on pseudo-terminals, the agent, a broker (embedded or Mosquitto), the
cloud and, where asked for, a real InfluxDB run as a user would run them. Each hangs on a leash (gocche/leash.py), so
that whatever ends the test ends them too.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud.store import open_store
from gocche import leash
from gocche.garden import PORTS
from tests import servers
from tests.servers import ask, free_port, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from cloud.store import Store

ROOT = Path(__file__).parents[2]
TREE, GATEWAY = "7K3MQP", "sg-01"
BOUND_S = 60.0  # for anything that should take a second or two on a machine that does nothing else
GOCCHE = [sys.executable, "-m", "gocche"]
SERVERS = {"mosquitto": servers.MOSQUITTO, "influx1": servers.INFLUXD1, "influx2": servers.INFLUXD2}
GENERATION = {"influx1": 1, "influx2": 2}

# channel: (bus, its driver's keys). The cell of a modem and the counters of the others make each answer unique.
SENSORS = {
    "soil-1": ("rs485", 'driver = "modbus"\nprofile = "soil-0000"\naddress = 1\nread = [{ at = 0, count = 4 }]'),
    "soil-2": ("rs485", 'driver = "modbus"\nprofile = "soil-0000"\naddress = 2\nread = [{ at = 0, count = 4 }]'),
    "air-1": ("rs485", 'driver = "modbus"\nprofile = "xy-md02"\naddress = 3'),
    "weather-1": ("weather", 'driver = "nmea0183"\nsentences = ["MDA"]'),
    "gnss-1": ("gnss", 'driver = "nmea0183"\nsentences = ["GGA", "RMC"]'),
    # its fan has run for long before the agent comes
    "smoke-1": ("smoke", 'driver = "plantower_pms"\nmodel = "pms5003"\nwarmup_s = 0'),
    "modem-hang-tay": ("modem", 'driver = "modem_at"\nvendor = "quectel"'),
}


class Part:
    """One process. `argv` is asked at each start; `ready` is asked until it says yes."""

    def __init__(self, name: str, argv: Callable[[], list[str]], folder: Path, ready: Callable[[], bool]) -> None:
        self.name, self._argv, self.folder, self.ready = name, argv, folder, ready
        self.process: subprocess.Popen[bytes] | None = None
        self.environment: dict[str, str] = {}

    @property
    def log(self) -> Path:
        """What the process said, in all its lives."""
        return self.folder / f"{self.name}.log"

    @property
    def runs(self) -> bool:
        """Tell whether the process is alive."""
        return self.process is not None and self.process.poll() is None

    def use(self, argv: Callable[[], list[str]]) -> None:
        """Run something else from the next start on."""
        self._argv = argv

    def start(self) -> Self:
        """Start it and do not wait."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *self._argv()]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | self.environment
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        return self

    def wait_ready(self, bound_s: float = BOUND_S) -> Self:
        """Wait until it can be used. Raises TimeoutError or RuntimeError with the end of its log."""
        try:
            until(self._is_ready, bound_s, f"{self.name} is ready")
        except (TimeoutError, RuntimeError) as error:
            error.add_note(self.said())
            raise
        return self

    def _is_ready(self) -> bool:
        if not self.runs:
            raise RuntimeError(f"{self.name} ended by itself")
        try:
            return self.ready()
        except OSError:
            return False

    def said(self, last: int = 4000) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-last:] if self.log.exists() else ""

    def send(self, word: int) -> None:
        """Send it a signal, by its id."""
        if self.process is not None:
            self.process.send_signal(word)

    def kill(self) -> None:
        """End it as a power cut would: SIGKILL to its id."""
        self.end(signal.SIGKILL)

    def end(self, how: int = signal.SIGTERM, bound_s: float = 30.0) -> int | None:
        """End it in order and return its exit status; killed after the bound. May be called twice."""
        process, self.process = self.process, None
        if process is None:
            return None
        process.send_signal(how)
        try:
            return process.wait(bound_s)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


class World:
    """A garden, a gateway, a broker and a server. `parts` are processes by name, in the order of starting.

    `to_broker` and `to_database` let a proxy stand between the cloud and these, `agent_broker` before the agent; change
    them before writing the configurations. `runtime` is where the agent leaves its status, as systemd would say.
    `unique` gardens serve no value twice, and are less pretty.
    """

    def __init__(
        self,
        folder: Path,
        *,
        engine: str = "sqlite",
        broker: str = "embedded",
        seed: int = 1,
        unique: bool = True,
        runtime: Path | None = None,
    ) -> None:
        self.folder, self.engine, self.broker = folder, engine, broker
        self._garden = ["--seed", str(seed), *(["--unique"] if unique else [])]
        self.field, self.server = folder / "field", folder / "server"  # the agent's data, the cloud's data
        self.log, self.control = folder / "served.jsonl", folder / "control.json"
        self.runtime = runtime or self.field
        for each in (self.field, self.server, self.runtime):
            each.mkdir(parents=True, exist_ok=True)
        self.http, self.desk = free_port(), free_port()  # pages; /healthz
        self.mosquitto = servers.Mosquitto(folder / "broker") if broker == "mosquitto" else None
        self.broker_port = self.mosquitto.port if self.mosquitto else free_port()
        self.to_broker = self.agent_broker = self.broker_port
        self.database: servers.InfluxD1 | servers.InfluxD2 | None = None
        if engine != "sqlite":
            self.database = (servers.InfluxD1 if engine == "influx1" else servers.InfluxD2)(folder / "influxd")
        self.to_database = self.database.port if self.database else 0
        self.parts = {part.name: part for part in self._made()}
        self.parts["agent"].environment["RUNTIME_DIRECTORY"] = str(self.runtime)

    # --- what it is made of

    def _made(self) -> list[Part]:
        ports = self.field / "ports"
        devices = [*("devices", "--ports", str(ports), "--control", str(self.control), "--log", str(self.log))]
        cloud = ["cloud", "--config", str(self.folder / "cloud.toml")]
        agent = ["agent", "--config", str(self.folder / "devices.toml"), "--data", str(self.field)]
        return [
            Part(
                "devices",
                lambda: [*GOCCHE, *devices, *self._garden],
                self.folder / "devices",
                lambda: all((ports / name).is_symlink() for name in PORTS),
            ),
            Part("broker", self._broker_argv, self.folder / "broker", lambda: _answers(self.broker_port)),
            *(
                [Part("influxd", self.database.command, self.database.folder, self.database.ready)]
                if self.database
                else []
            ),
            Part(
                "cloud",
                lambda: [*GOCCHE, *cloud],
                self.server,
                lambda: bool(self.health().get("ingest", {}).get("audit")),
            ),
            Part("agent", lambda: [*GOCCHE, *agent], self.field, (self.runtime / "status.json").exists),
        ]

    def _serves(self) -> bool:
        """Tell whether every room has said how it is."""
        told = self.health()
        signs = {"ingest": "audit", "alerts": "listening", "pages": "look_at"}
        return all(sign in told.get(name, {}) for name, sign in signs.items())

    def _broker_argv(self) -> list[str]:
        if self.mosquitto:
            return self.mosquitto.command()
        return [*GOCCHE, "broker", "--listen", f"127.0.0.1:{self.broker_port}"]

    def write_devices(
        self,
        every_s: float | dict[str, float],
        channels: tuple[str, ...] = tuple(SENSORS),
        *,
        commit_s: float = 0.2,
        batch_s: float = 0.5,
        resend_s: float = 1.0,
        keepalive_s: int = 30,
    ) -> None:
        """Write devices.toml for these channels."""
        buses = dict.fromkeys(SENSORS[channel][0] for channel in channels)
        text = [
            f'[gateway]\nid = "{GATEWAY}"\n[broker]\nhost = "127.0.0.1"\nport = {self.agent_broker}\nspread_s = 0',
            f"keepalive_s = {keepalive_s}",
            f"[spool]\ncommit_s = {commit_s}\nbatch_s = {batch_s}\nresend_s = {resend_s}",
            *(f'[[bus]]\nname = "{bus}"\nport = "ports/{bus}"\nbaud = 9600' for bus in buses),
        ]
        for channel in channels:
            bus, keys = SENSORS[channel]
            period = every_s if isinstance(every_s, int | float) else every_s.get(channel, every_s["*"])
            # patience far beyond what a busy machine needs: an answer that came too late is served and not read
            text.append(f'[[sensor]]\nchannel = "{channel}"\nbus = "{bus}"\n{keys}\nevery_s = {period}\ntimeout_s = 5')
        (self.folder / "devices.toml").write_text("\n".join(text) + "\n")

    def write_cloud(self, extra: str = "") -> None:
        """Write cloud.toml; `extra` are further tables (rules, mail, alerts)."""
        self._secret()
        text = [
            f'[data]\npath = "{self.server}"\n[broker]\nhost = "127.0.0.1"\nport = {self.to_broker}',
            f'[http]\nhost = "127.0.0.1"\nport = {self.http}\n[staff]\nport = 0\n[health]\nport = {self.desk}',
            f'[garden]\npath = "{ROOT / "config" / "garden"}"',
            "[store]",
            *(f"{key} = {json.dumps(value)}" for key, value in self.store_table(self.to_database).items()),
            extra,
        ]
        (self.folder / "cloud.toml").write_text("\n".join(text) + "\n")

    def store_table(self, port: int) -> dict[str, Any]:
        """Return `[store]`, for a database reached through this port."""
        if self.engine == "sqlite":
            return {"engine": "sqlite", "path": "store.db"}
        url = {"engine": "influx", "url": f"http://127.0.0.1:{port}", "timeout_s": 3.0}
        return url | ({"token_file": str(self._secret())} if self.engine == "influx2" else {})

    def _secret(self) -> Path:
        file = self.folder / "influx.token"
        file.write_text(servers.InfluxD2.token)
        return file

    def store(self) -> Store:
        """Open the store for reading, not through any proxy."""
        table = self.store_table(self.database.port if self.database else 0)
        if "path" in table:
            table["path"] = str(self.server / table["path"])
        return open_store(table, writer=False)

    def tell(self, **words: object) -> None:
        """Write the control file of the simulated devices."""
        new = self.control.with_suffix(".new")
        new.write_text(json.dumps({name.replace("_", "-"): value for name, value in words.items()}))
        new.replace(self.control)

    # --- running it

    def start(self, *names: str) -> None:
        """Start these parts (all, if none is named), one after another, each when the one before is ready."""
        for name in names or tuple(self.parts):
            part = self.parts[name].start()
            part.wait_ready()
            if name == "influxd" and self.database:
                self.database.prepare()

    def end(self) -> None:
        """End everything, the last first."""
        for part in reversed(self.parts.values()):
            part.end(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, *_: object) -> None:
        if error is not None:
            for part in self.parts.values():
                error.add_note(f"--- {part.name}\n{part.said(1500)}")
        self.end()

    def wipe_broker(self) -> None:
        """Forget everything that a dead broker may have kept."""
        for path in self.parts["broker"].folder.iterdir():
            if path.suffix == ".log":
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    # --- asking it

    def ask(self, path: str) -> tuple[int, bytes]:
        """Ask the cloud's pages."""
        return ask(f"http://127.0.0.1:{self.http}{path}")

    def health(self) -> dict[str, Any]:
        """Return /healthz; nothing while the cloud does not answer."""
        with suppress(OSError, ValueError):
            told: dict[str, Any] = json.loads(ask(f"http://127.0.0.1:{self.desk}/healthz")[1])
            return told
        return {}

    def figure(self, quantity: str = "soil_moisture") -> dict[str, Any]:
        """Return a reading of the tree's .json; nothing while there is none."""
        with suppress(OSError, ValueError):
            for reading in json.loads(self.ask(f"/T/{TREE}.json")[1])["readings"]:
                if reading["quantity"] == quantity and reading["value"] is not None:
                    return dict(reading)
        return {}

    def status(self) -> dict[str, Any]:
        """Return `gocche status --json`."""
        told = gocche("status", "--json", "--data", str(self.field), RUNTIME_DIRECTORY=str(self.runtime))
        return dict(json.loads(told.stdout)) if told.stdout else {}

    def audit(self) -> list[dict[str, Any]]:
        """Return `gocche audit --json`."""
        told = gocche("audit", "--json", "--config", str(self.folder / "cloud.toml"))
        if not told.stdout:
            raise RuntimeError(told.stderr)
        return list(json.loads(told.stdout))

    def drain(self, bound_s: float = 90.0) -> dict[str, Any]:
        """Let the agent poll no more and bring what it holds; end it in order; return its last status."""
        self.parts["agent"].end()
        (self.runtime / "status.json").unlink(missing_ok=True)
        self.write_devices(3600.0, self.channels())
        self.start("agent")
        until(self._empty, bound_s, "the spool is empty")
        self.parts["agent"].end()
        return self.status()

    def channels(self) -> tuple[str, ...]:
        """Return the channels of devices.toml."""
        text = (self.folder / "devices.toml").read_text()
        return tuple(channel for channel in SENSORS if f'"{channel}"' in text)

    def _empty(self) -> bool:
        time.sleep(0.3)  # each look starts a process
        status = self.status()
        polled = all(told.get("polls", 0) > 0 for told in status.get("channels", {}).values())
        return bool(status) and polled and status["acquired"] > 0 and status["spooled"] == 0


def gocche(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command of the product and return what it said."""
    own = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    return subprocess.run([*GOCCHE, *words], capture_output=True, text=True, timeout=60, env=own, check=False)


def _answers(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
