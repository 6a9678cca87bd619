"""Real servers for tests, benchmarks and journeys: started on loopback, waited for, killed and started again.

Each class is a context manager that owns a folder and its ports, so `kill()` and `restart()` find the same data under
the same address. Nothing here needs pytest: the bench and the journeys use the classes from plain scripts.
"""

from __future__ import annotations

import functools
import http.client
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from base64 import b64encode
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

READY_S = 60.0
STOP_S = 20.0

INFLUXD1, INFLUXD2, MOSQUITTO, GRAFANA = "InfluxDB 1.8", "InfluxDB 2.7", "Mosquitto", "Grafana"
_HOW = {
    INFLUXD1: ("GOCCHE_INFLUXD1", "make servers, or set GOCCHE_INFLUXD1 to an influxd 1.8 binary"),
    INFLUXD2: ("GOCCHE_INFLUXD2", "set GOCCHE_INFLUXD2 to an influxd 2.7 binary"),
    GRAFANA: ("GOCCHE_GRAFANA", "set GOCCHE_GRAFANA to a folder with bin/grafana and home/"),
    MOSQUITTO: ("", "make servers, or apt-get install mosquitto"),
}
NAMES = tuple(_HOW)
_BLOCK = 100
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def _place(name: str) -> Path | None:
    """Return the binary of a server, or None."""
    variable, _ = _HOW[name]
    if not variable:
        found = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
        return Path(found) if found else None
    told = os.environ.get(variable, "")
    path = Path(told).expanduser() / "bin" / "grafana" if name == GRAFANA else Path(told).expanduser()
    return path if told and os.access(path, os.X_OK) and path.is_file() else None


def missing(name: str) -> str | None:
    """Tell why a server cannot be started and how to get it; None when it is here."""
    return None if _place(name) else f"{name} absent: {_HOW[name][1]}"


def binary(name: str) -> Path:
    """Return the binary of a server. Raises RuntimeError with what `missing` says."""
    path = _place(name)
    if path is None:
        raise RuntimeError(missing(name))
    return path


@functools.cache
def _block() -> Iterator[int]:
    """The ports of one block that is this process's as long as it lives, round and round.

    They lie below the range from which the kernel deals ports (32768 upwards, ip_local_port_range): a port that was
    found free there was dealt to somebody else before the server that it was meant for had started. What keeps two
    test processes apart is an abstract socket's name, which the kernel frees when its owner ends.
    """
    for start in range(20_000, 32_000, _BLOCK):
        mine = socket.socket(socket.AF_UNIX)
        try:
            mine.bind(f"\0gocche-test-ports-{start}")
        except OSError:
            mine.close()
            continue
        mine.detach()  # open to the end
        return itertools.cycle(range(start, start + _BLOCK))
    raise RuntimeError("no block of ports of 127.0.0.1 is free: which test processes were left running?")


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now, and that nobody is given in the next 99 calls."""
    for port in itertools.islice(_block(), _BLOCK):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("each port of this process's block is taken: which servers were left running?")


def ask(url: str, data: object = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Return (status, body) of a GET, or of a POST of `data` (bytes as they are, else JSON). Raises OSError."""
    body = data if isinstance(data, bytes) or data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, data=body, headers=headers or {})
    try:
        reply = urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as error:
        reply = error
    except http.client.HTTPException as error:
        raise ConnectionError(f"{url}: {error!r}") from error
    with reply:
        try:
            return reply.status, reply.read()
        except http.client.HTTPException as error:  # who answers was killed in the middle of it
            raise ConnectionError(f"{url}: {error!r}") from error


@contextmanager
def no_threads() -> Iterator[None]:
    """The kernel begins no thread while inside: nobody has room for such a stack."""
    before = threading.stack_size(1 << 46)
    try:
        yield
    finally:
        threading.stack_size(before)


def until(condition: Callable[[], object], bound_s: float, words: str) -> None:
    """Wait for a condition. Raises TimeoutError with `words` when it does not come within the bound."""
    end = time.monotonic() + bound_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {bound_s:g} s: {words}")
        time.sleep(0.02)


class Server:
    """A child process with a folder and a port of its own; the subclasses say what to run and when it is ready."""

    name = ""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where the server speaks HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The id of the running process."""
        if self.process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self.process.pid

    @property
    def log(self) -> str:
        """The last that the server said."""
        path = self.folder / "server.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def command(self) -> list[str]:
        """Write the configuration and return what to run."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Tell whether the server answers."""
        return ask(f"{self.url}/ping")[0] in {200, 204}

    def prepare(self) -> None:
        """Do what a new server needs once it answers."""

    def start(self) -> Self:
        """Start it and wait until it answers. Raises TimeoutError or RuntimeError with the end of its log."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            until(self._up, READY_S, f"{self.name} answers")
            self.prepare()
        except BaseException as error:
            self.kill()
            error.add_note(self.log)
            raise
        return self

    def _up(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"{self.name} ended at once")
        try:
            return self.ready()
        except OSError:
            return False

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End it by its id and wait; after STOP_S seconds kill it. May be called twice."""
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.stop(signal.SIGKILL)

    def restart(self) -> None:
        """Start it again on the same folder and port, ending it first where it runs."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class InfluxD1(Server):
    """InfluxDB 1.8, without authentication unless `auth` is (user, password) of its administrator."""

    name = INFLUXD1

    def __init__(self, folder: Path, auth: tuple[str, str] | None = None) -> None:
        super().__init__(folder)
        self.auth = auth
        self._rpc = free_port()

    def command(self) -> list[str]:
        config = self.folder / "influxdb.conf"
        config.write_text(
            f'reporting-disabled = true\nbind-address = "127.0.0.1:{self._rpc}"\n'
            f'[meta]\ndir = "{self.folder}/meta"\n'
            f'[data]\ndir = "{self.folder}/data"\nwal-dir = "{self.folder}/wal"\nindex-version = "tsi1"\n'
            f'query-log-enabled = false\n[monitor]\nstore-enabled = false\n[logging]\nlevel = "warn"\n'
            f'[http]\nbind-address = "127.0.0.1:{self.port}"\nlog-enabled = false\n'
            f"auth-enabled = {'true' if self.auth else 'false'}\n"
        )
        return [str(binary(self.name)), "-config", str(config)]

    def prepare(self) -> None:
        if self.auth:  # the first administrator may be made by anybody; later this answers 401, and he exists
            user, password = self.auth
            statement = f"CREATE USER \"{user}\" WITH PASSWORD '{password}' WITH ALL PRIVILEGES"
            ask(f"{self.url}/query", urllib.parse.urlencode({"q": statement}).encode(), _FORM)
            self.query("SHOW DATABASES")

    def query(self, statement: str, database: str = "") -> Any:
        """Return the reply to an InfluxQL statement."""
        return _influxql(self.url, statement, database, ":".join(self.auth) if self.auth else "")


class InfluxD2(Server):
    """InfluxDB 2.7, set up with one organisation, a first bucket and a token that may do everything."""

    name = INFLUXD2
    org, bucket, token = "gocche", "first", "gocche-test-token-all-access"

    def command(self) -> list[str]:
        return [
            *(str(binary(self.name)), "run", "--reporting-disabled", "--log-level=warn"),
            f"--http-bind-address=127.0.0.1:{self.port}",
            f"--bolt-path={self.folder}/influxd.bolt",
            f"--sqlite-path={self.folder}/influxd.sqlite",
            f"--engine-path={self.folder}/engine",
        ]

    def ready(self) -> bool:
        return ask(f"{self.url}/health")[0] == 200

    def prepare(self) -> None:
        if not json.loads(ask(f"{self.url}/api/v2/setup")[1])["allowed"]:
            return
        first = {"username": "gocche", "password": "gocche-test", "org": self.org, "bucket": self.bucket}
        status, reply = ask(f"{self.url}/api/v2/setup", first | {"token": self.token})
        if status != 201:
            raise RuntimeError(f"InfluxDB 2 setup: {status} {reply[:500]!r}")

    def query(self, statement: str, database: str = "") -> Any:
        """Return the reply to an InfluxQL statement."""
        return _influxql(self.url, statement, database, f"any:{self.token}")


class Mosquitto(Server):
    """Mosquitto for anonymous clients on loopback; `persistence` keeps sessions and queues over a clean stop."""

    name = MOSQUITTO

    def __init__(self, folder: Path, *, persistence: bool = False, extra: str = "") -> None:
        super().__init__(folder)
        self._persistence = persistence
        self._extra = extra  # further lines of mosquitto.conf

    def command(self) -> list[str]:
        config = self.folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", "allow_anonymous true", "max_inflight_messages 1000"]
        if os.geteuid() == 0:
            lines.append("user root")  # else it leaves root for a user who may not write its folder
        if self._persistence:
            lines += ["persistence true", f"persistence_location {self.folder}/", "autosave_interval 1"]
        config.write_text("\n".join([*lines, self._extra, ""]))
        return [str(binary(self.name)), "-c", str(config)]

    def ready(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True


class Grafana(Server):
    """Grafana (admin/admin) that provisions itself from `folder/prov`: fill it before `start()`."""

    name = GRAFANA

    @property
    def provisioning(self) -> Path:
        """Where datasources/, dashboards/ … are read from."""
        return self.folder / "prov"

    def command(self) -> list[str]:
        program, config = binary(self.name), self.folder / "g.ini"
        self.provisioning.mkdir(exist_ok=True)
        config.write_text(
            f"[paths]\ndata = {self.folder}/data\nprovisioning = {self.provisioning}\n"
            f"[server]\nhttp_addr = 127.0.0.1\nhttp_port = {self.port}\n[news]\nnews_feed_enabled = false\n"
            "[analytics]\nreporting_enabled = false\ncheck_for_updates = false\ncheck_for_plugin_updates = false\n"
        )
        return [str(program), "server", "--homepath", str(program.parent.parent / "home"), "--config", str(config)]

    def ready(self) -> bool:
        return ask(f"{self.url}/api/health")[0] == 200

    def start(self) -> Self:
        """Start it; once more where two of its own parts made the first organization at the same time (seen once)."""
        try:
            return super().start()
        except RuntimeError:
            if "failed to create default organization" not in self.log:
                raise
        return super().start()


def influx_table(server: InfluxD1 | InfluxD2, folder: Path, **more: Any) -> dict[str, Any]:
    """Return a `[store]` table of cloud.toml for a new database on a server; a token is kept in the folder."""
    table: dict[str, Any] = {"engine": "influx", "url": server.url, "database": f"t{uuid.uuid4().hex}"}
    if isinstance(server, InfluxD2):
        (folder / "token").write_text(f"{server.token}\n")
        table["token_file"] = str(folder / "token")
    return table | more


def _influxql(url: str, statement: str, database: str, basic: str) -> Any:
    quoted = urllib.parse.urlencode({"q": statement, "db": database, "epoch": "ns"}).encode()
    headers = dict(_FORM)
    if basic:
        headers["Authorization"] = f"Basic {b64encode(basic.encode()).decode()}"
    status, reply = ask(f"{url}/query", quoted, headers)
    answer = json.loads(reply)
    if status != 200 or any("error" in result for result in answer.get("results", [])):
        raise RuntimeError(f"{statement[:80]}: {status} {reply[:500]!r}")
    return answer
