"""The one command. Each word below is a part of the journey; what it imports, it imports when it is asked."""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import sqlite3
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from gocche.words import LANGUAGES, Refused, both, said

if TYPE_CHECKING:
    from cloud.config import CloudConfig

EXIT_FAILED, EXIT_CONFIG = 1, 2
ROOMS = ("ingest", "alerts", "pages")  # as cloud.rooms has them, which an agent does not install
EXTRAS = dict.fromkeys(("amqtt", "influxdb_client", "jinja2", "starlette", "uvicorn"), "cloud") | {
    "pymodbus": "cloud,demo",
    "grafana_client": "grafana",
}  # library → what to install for it


def main(argv: list[str] | None = None) -> int:
    """Run one command; return its exit code (0 well, 1 failed, 2 wrong configuration or usage)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show Vietnamese
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough; what Python itself flushes at its end must go somewhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_FAILED


def _run(argv: list[str] | None) -> int:
    parser = _parser()
    options = parser.parse_args(argv)
    _log_to_stderr(logging.DEBUG if options.verbose else options.level)
    try:
        code: int = options.run(options)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in EXTRAS:
            raise
        command = options.run.__name__.strip("_").replace("_", "-")
        facts = {"missing": missing, "extras": EXTRAS[missing], "pip": Path(sys.executable).with_name("pip")}
        return _refused(Refused("command", "needs_extra", command=command, **facts))
    except Refused as error:
        return _refused(error)
    except (
        OSError
    ) as error:  # a folder that may not be written and the like; a service's own are handled where they are
        if error.filename is None or options.run in {_agent, _cloud}:
            raise
        return _failed(error, error.filename)
    return code


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the words of a command, and end with 2."""
        self.print_usage(sys.stderr)
        sys.exit(_refused(Refused("command", "usage", message=message, prog=self.prog)))


def _help(name: str) -> str:
    return " · ".join(said("help", name, language) for language in LANGUAGES)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="gocche", description="From the foot of a tea tree to the people who need to know.")
    parser.add_argument("--verbose", action="store_true", help="log more")
    parser.set_defaults(level=logging.INFO)
    words = parser.add_subparsers(required=True, metavar="COMMAND")

    up = words.add_parser("up", help=_help("up"))
    up.add_argument("--data", type=Path, help="folder that keeps the state between runs (default: a temporary one)")
    up.add_argument(
        "--http", metavar="HOST:PORT", help="where the pages are served (default 127.0.0.1:8080); port 0 takes any"
    )
    up.add_argument(
        "--config", type=Path, help="folder with devices.toml, cloud.toml and garden/ (default: the sample)"
    )
    up.add_argument("garden", nargs="*", metavar="-- WORD", help="further words for `gocche devices`")
    up.set_defaults(run=_up)

    agent = words.add_parser("agent", help=_help("agent"))
    agent.add_argument("--config", type=Path, required=True, metavar="devices.toml")
    agent.add_argument("--data", type=Path, default=_state_folder(), help="folder of the spool")
    agent.add_argument("--broker", metavar="HOST:PORT", help="instead of the one in the file")
    agent.set_defaults(run=_agent)

    cloud = words.add_parser("cloud", help=_help("cloud"))
    cloud.add_argument("--config", type=Path, required=True, metavar="cloud.toml")
    cloud.add_argument("--data", type=Path, help="instead of [data] path")
    cloud.add_argument("--broker", metavar="HOST:PORT", help="instead of the one in the file")
    cloud.add_argument("--http", metavar="HOST:PORT", help="instead of the one in the file")
    cloud.add_argument("--health", metavar="HOST:PORT", help="instead of the one in the file")
    cloud.add_argument("--room", choices=ROOMS, help="run this room alone, here")
    cloud.add_argument("--http-fd", type=int, help=argparse.SUPPRESS)  # the socket that the supervisor holds
    cloud.set_defaults(run=_cloud)

    check = words.add_parser("check-config", help=_help("check-config"))
    check.add_argument("config", type=Path, metavar="devices.toml")
    check.set_defaults(run=_check_config)

    status = words.add_parser("status", help=_help("status"))
    status.add_argument("--data", type=Path, default=_agents_folder(), help="data folder of the agent")
    status.add_argument("--json", action="store_true")
    status.set_defaults(run=_status)

    read = words.add_parser("read", help=_help("read"))
    read.add_argument("where", nargs="+", metavar="BUS ADDRESS|CHANNEL", help="of devices.toml; a channel is enough")
    read.add_argument("--config", type=Path, default=Path("/etc/gocche/devices.toml"), metavar="devices.toml")
    read.add_argument("--data", type=Path, default=_agents_folder(), help="data folder of the agent")
    read.add_argument("--profile", help="of a Modbus probe that is not in the file")
    read.set_defaults(run=_read, level=logging.ERROR)  # what the agent would log is printed

    audit = words.add_parser("audit", help=_help("audit"))
    audit.add_argument("--config", type=Path, required=True, metavar="cloud.toml")
    audit.add_argument("--data", type=Path, help="instead of [data] path")
    audit.add_argument("--json", action="store_true")
    audit.set_defaults(run=_audit)

    quarantine = words.add_parser("quarantine", help=_help("quarantine"))
    quarantine.add_argument("--config", type=Path, required=True, metavar="cloud.toml")
    quarantine.add_argument("--data", type=Path, help="instead of [data] path")
    quarantine.add_argument(
        "--retry", action="store_true", help="store what this version understands (with SQLite, stop the cloud first)"
    )
    quarantine.set_defaults(run=_quarantine)

    grafana = words.add_parser("grafana", help=_help("grafana")).add_subparsers(required=True, metavar="WHAT")
    export = grafana.add_parser("export", help=_help("export"))
    export.add_argument("folder", type=Path, metavar="DIR")
    export.add_argument("--url", default="http://127.0.0.1:8086", help="where Grafana reaches InfluxDB")
    export.add_argument("--database", default="gocche")
    export.add_argument("--generation", type=int, choices=(1, 2, 3), default=1, help="InfluxDB 1.x, 2.x or 3")
    export.add_argument("--user", default=None, help="InfluxDB 1.x user; the password comes from Grafana's environment")
    export.add_argument(
        "--installed-at", default="", help="Grafana's own provisioning folder, when DIR is copied there"
    )
    export.set_defaults(run=_grafana_export)

    new = words.add_parser("new-driver", help=_help("new-driver"))
    new.add_argument("name")
    new.set_defaults(run=_new_driver)

    devices = words.add_parser("devices", help=_help("devices"))
    devices.add_argument("--ports", type=Path, required=True, help="folder for the ports")
    devices.add_argument("--log", type=Path, help="file for every value that was served")
    devices.add_argument("--control", type=Path, help="file that stages smoke, lost signal and dead probes")
    devices.add_argument("--seed", type=int, default=1)
    devices.add_argument("--pace", type=float, default=1.0, metavar="SECONDS", help="how often the talkers talk")
    devices.add_argument("--unique", action="store_true", help="serve no value twice")
    devices.set_defaults(run=_devices)

    broker = words.add_parser("broker", help=_help("broker"))
    broker.add_argument("--listen", required=True, metavar="HOST:PORT")
    broker.set_defaults(run=_broker)
    return parser


def _log_to_stderr(level: int) -> None:
    under_systemd = "JOURNAL_STREAM" in os.environ
    form = "%(levelname)s %(name)s %(message)s" if under_systemd else "%(asctime)s %(levelname)s %(name)s %(message)s"
    logging.basicConfig(level=level, format=form, stream=sys.stderr)
    for chatty in ("transitions", "amqtt", "pymodbus", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _state_folder() -> Path:
    return Path(os.environ.get("STATE_DIRECTORY", "."))


def _agents_folder() -> Path:
    """Return the folder that systemd gives, that of its unit where there is one, else this one.

    The unit's folder leads below /var/lib/private, where only root may look: that it is there is enough.
    """
    unit = "/var/lib/gocche"
    return Path(os.environ.get("STATE_DIRECTORY") or (unit if os.path.lexists(unit) else "."))


def _stopping() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise Refused("command", "not_an_address", text=text)
    return host.strip("[]"), int(port)


def _refused(error: Exception) -> int:
    """Say what a person must mend, in Vietnamese first where there are such words."""
    told = getattr(error, "told", None)
    if told is not None:
        print(f"gocche: {told('vi')}", file=sys.stderr)
    print(f"{'        ' if told else 'gocche: '}{error}", file=sys.stderr)
    return EXIT_CONFIG


def _failed(error: Exception, folder: object) -> int:
    """Say what the machine refuses; systemd tries again after this code, and not after that of `_refused`."""
    _refused(Refused("command", "machine", why=error, folder=folder))
    return EXIT_FAILED


def _up(options: argparse.Namespace) -> int:
    from gocche.up import up

    return up(options.data, options.http, options.config, garden=options.garden)


def _agent(options: argparse.Namespace) -> int:
    import msgspec

    from edge.agent import Agent
    from edge.clock import SystemClock
    from edge.config import ConfigError, advice, load
    from gocche.notify import notify

    try:
        config = load(options.config)
    except ConfigError as error:
        return _refused(error)
    if options.broker:
        host, port = _address(options.broker)
        config = msgspec.structs.replace(config, broker=msgspec.structs.replace(config.broker, host=host, port=port))
    for finding in advice(options.config, config):
        logging.getLogger("gocche").warning("config advice=%r", finding.told("en"))
    try:
        agent = Agent(config, options.data, SystemClock())
    except RuntimeError as error:  # a spool that is in use, or of a newer gocche
        return _refused(error)
    except (OSError, sqlite3.Error) as error:
        return _failed(error, options.data)
    return 0 if agent.run(_stopping(), notify) else EXIT_FAILED


def _check_config(options: argparse.Namespace) -> int:
    from edge.config import ConfigError, advice, load

    try:
        config = load(options.config, running=False)
    except ConfigError as error:
        return _refused(error)
    now = datetime.now(UTC)  # noqa: TID251 - the dates of certificates are wall-clock time
    for finding in advice(options.config, config, now):
        print(f"! {finding.told('vi')}\n  {finding.told('en')}")
    facts = {"buses": len(config.buses), "sensors": len(config.sensors), "hash": config.hash}
    print(both("check_config", "well", file=options.config, **facts))
    return 0


def _cloud_config(options: argparse.Namespace) -> CloudConfig:
    import msgspec

    from cloud.config import load

    config = load(options.config)
    if options.data:
        config = msgspec.structs.replace(config, data=msgspec.structs.replace(config.data, path=str(options.data)))
    if getattr(options, "broker", None):
        host, port = _address(options.broker)
        config = msgspec.structs.replace(config, broker=msgspec.structs.replace(config.broker, host=host, port=port))
    if getattr(options, "http", None):
        host, port = _address(options.http)
        config = msgspec.structs.replace(config, http=msgspec.structs.replace(config.http, host=host, port=port))
    return config


def _cloud(options: argparse.Namespace) -> int:
    from cloud.config import ConfigError
    from cloud.rooms.listener import listen
    from gocche.server import serve

    try:
        config = _cloud_config(options)
        token = Path(config.health.token_file).read_text("utf-8").strip() if config.health.token_file else ""
    except (ConfigError, ValueError) as error:
        return _refused(error)
    except OSError as error:
        return _refused(ConfigError(f"cloud.toml: [health] token_file: {error}"))
    if options.room:
        return _room(options, config)
    try:
        with listen(config.http.host, config.http.port) as pages, listen(*_desk(options, config)) as desk:
            return serve(_words(options), pages, desk, token)
    except OSError as error:
        return _failed(error, config.data.path)


def _desk(options: argparse.Namespace, config: CloudConfig) -> tuple[str, int]:
    return _address(options.health) if options.health else (config.health.host, config.health.port)


def _words(options: argparse.Namespace) -> list[str]:
    """Return what tells a room the same configuration."""
    words = ["--config", str(options.config)]
    for name in ("data", "broker", "http"):
        if getattr(options, name):
            words += [f"--{name}", str(getattr(options, name))]
    return words


def _room(options: argparse.Namespace, config: CloudConfig) -> int:
    import socket

    from cloud.clock import SystemClock
    from cloud.config import ConfigError
    from cloud.rooms import open_room
    from cloud.rooms.life import live
    from gocche.notify import notify

    clock = SystemClock()
    listener = None if options.http_fd is None else socket.socket(fileno=options.http_fd)
    try:
        room = open_room(options.room, config, clock, listener)
    except (ConfigError, ValueError) as error:
        return _refused(error)
    except (
        RuntimeError,
        OSError,
        sqlite3.Error,
    ) as error:  # a file in use, or of a newer gocche
        return _failed(error, config.data.path)
    return live(room, clock, notify)


def _status(options: argparse.Namespace) -> int:
    from gocche.status import status

    return status(options.data, as_json=options.json)


def _read(options: argparse.Namespace) -> int:
    from edge.config import ConfigError
    from gocche.read import read

    try:
        return read(options.config, options.data, options.where, options.profile)
    except ConfigError as error:
        return _refused(error)


def _audit(options: argparse.Namespace) -> int:
    from cloud.config import ConfigError
    from gocche.audit import audit

    try:
        return audit(_cloud_config(options), as_json=options.json)
    except (ConfigError, RuntimeError) as error:
        return _refused(error)


def _quarantine(options: argparse.Namespace) -> int:
    from cloud.config import ConfigError
    from gocche.audit import quarantine

    try:
        return quarantine(_cloud_config(options), retry=options.retry)
    except (ConfigError, RuntimeError) as error:
        return _refused(error)
    except sqlite3.Error as error:
        return _failed(error, options.data or options.config)


def _grafana_export(options: argparse.Namespace) -> int:
    from cloud.panels.export import export

    try:
        files = export(
            options.folder, url=options.url, database=options.database, user=options.user,
            generation=options.generation, installed_at=options.installed_at,
        )  # fmt: skip
    except ValueError as error:
        return _refused(error)
    print(*files, sep="\n")
    return 0


def _new_driver(options: argparse.Namespace) -> int:
    from gocche.new_driver import new_driver

    for file in new_driver(options.name, Path.cwd()):
        print(file)
    return 0


def _devices(options: argparse.Namespace) -> int:
    from gocche.garden import run

    run(
        options.ports, options.log, options.control, options.seed,
        unique=options.unique, pace_s=options.pace, stop=_stopping(),
    )  # fmt: skip
    return 0


def _broker(options: argparse.Namespace) -> int:
    from gocche.broker import Refused, run

    try:
        run(*_address(options.listen), _stopping())
    except Refused as error:
        return _refused(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
