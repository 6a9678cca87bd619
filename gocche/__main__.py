"""The one command. Each word below is a part of the journey; what it imports, it imports when it is asked."""

from __future__ import annotations

import io
import logging
import os
import signal
import sqlite3
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gocche.command_line import address, parser
from gocche.words import Refused, both
from settings import words as sentences
from settings.words import because

if TYPE_CHECKING:
    import argparse

    from cloud.config import CloudConfig

EXIT_FAILED, EXIT_CONFIG = 1, 2
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
    command = ""
    try:
        options = parser().parse_args(argv)
        command = options.command
        told = command == "read" or getattr(options, "tried", False)  # what would be logged is printed
        _log_to_stderr(logging.DEBUG if options.verbose else logging.ERROR if told else logging.INFO)
        return _COMMANDS[command](options)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in EXTRAS:
            raise
        facts = {"missing": missing, "extras": EXTRAS[missing], "pip": Path(sys.executable).with_name("pip")}
        return _refused(Refused("command", "needs_extra", command=command, **facts))
    except sentences.Refused as error:
        return _refused(error)
    except OSError as error:  # a folder that may not be written; a service's own are handled where they are
        if error.filename is None or command in {"agent", "cloud"}:
            raise
        return _failed(error, error.filename)


def _log_to_stderr(level: int) -> None:
    under_systemd = "JOURNAL_STREAM" in os.environ
    form = "%(levelname)s %(name)s %(message)s" if under_systemd else "%(asctime)s %(levelname)s %(name)s %(message)s"
    logging.basicConfig(level=level, format=form, stream=sys.stderr)
    for chatty in ("transitions", "amqtt", "pymodbus", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _file(given: Path | None, name: str) -> Path:
    """Return the configuration that is meant: a file, or `name` in a folder; else in GOCCHE_CONFIG, else /etc/gocche.

    Raises Refused where none was named and none is there.
    """
    place = given or Path(os.environ.get("GOCCHE_CONFIG") or "/etc/gocche")
    file = place / name if place.is_dir() else place
    if given is None and not os.path.lexists(place / name):
        raise Refused("command", "no_config", name=name, looked=place / name)
    return file


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


def _refused(error: sentences.Refused) -> int:
    """Say what a person must mend, in Vietnamese first."""
    print(f"gocche: {error.told('vi')}\n        {error}", file=sys.stderr)
    return EXIT_CONFIG


def _failed(error: Exception, folder: object) -> int:
    """Say what the machine refuses; systemd tries again after this code, and not after that of `_refused`."""
    _refused(Refused("command", "machine", folder=folder, why=error, why_vi=because(error)["why_vi"]))
    return EXIT_FAILED


def _up(options: argparse.Namespace) -> int:
    from gocche.up import up

    return up(options.data, options.http, options.config, garden=options.garden)


def _agent(options: argparse.Namespace) -> int:
    import msgspec

    from edge.agent import Agent
    from edge.clock import SystemClock
    from edge.config import advice, load
    from gocche.notify import notify

    file, data = _file(options.config, "devices.toml"), options.data or _state_folder()
    config = load(file)
    if options.broker:
        host, port = address(options.broker)
        config = msgspec.structs.replace(config, broker=msgspec.structs.replace(config.broker, host=host, port=port))
    for finding in advice(file, config):
        logging.getLogger("gocche").warning("config advice=%r", finding.told("en"))
    try:
        agent = Agent(config, data, SystemClock())
    except (OSError, sqlite3.Error) as error:
        return _failed(error, data)
    return 0 if agent.run(_stopping(), notify) else EXIT_FAILED


def _check_config(options: argparse.Namespace) -> int:
    from edge.config import advice, load

    file = _file(options.config, "devices.toml")
    config = load(file, running=False)
    now = datetime.now(UTC)  # noqa: TID251 - the dates of certificates are wall-clock time
    for finding in advice(file, config, now):
        print(f"! {finding.told('vi')}\n  {finding.told('en')}")
    facts = {"buses": len(config.buses), "sensors": len(config.sensors), "hash": config.hash}
    print(both("check_config", "well", file=file, **facts))
    return 0


def _cloud_config(options: argparse.Namespace, *, running: bool = True) -> CloudConfig:
    import msgspec

    from cloud.config import load

    config = load(_file(options.config, "cloud.toml"), running=running)
    if options.data:
        config = msgspec.structs.replace(config, data=msgspec.structs.replace(config.data, path=str(options.data)))
    if getattr(options, "broker", None):
        host, port = address(options.broker)
        config = msgspec.structs.replace(config, broker=msgspec.structs.replace(config.broker, host=host, port=port))
    if getattr(options, "http", None):
        host, port = address(options.http)
        config = msgspec.structs.replace(config, http=msgspec.structs.replace(config.http, host=host, port=port))
    return config


def _cloud(options: argparse.Namespace) -> int:
    from cloud.check import check
    from cloud.rooms.listener import listen
    from gocche.server import serve

    if options.check or options.tried:
        from gocche.check import check_cloud

        return check_cloud(_cloud_config(options, running=False), tried_too=options.tried)
    config = _cloud_config(options)
    if options.room:
        return _room(options, config)
    check(config)
    token = Path(config.health.token_file).read_text("utf-8").strip() if config.health.token_file else ""
    try:
        with listen(config.http.host, config.http.port) as pages, listen(*_desk(options, config)) as desk:
            return serve(_words(options), pages, desk, token)
    except sentences.Taken as error:
        _refused(error)
        return EXIT_FAILED
    except OSError as error:
        return _failed(error, config.data.path)


def _desk(options: argparse.Namespace, config: CloudConfig) -> tuple[str, int]:
    return address(options.health) if options.health else (config.health.host, config.health.port)


def _words(options: argparse.Namespace) -> list[str]:
    """Return what tells a room the same configuration."""
    words = ["--config", str(_file(options.config, "cloud.toml"))]
    for name in ("data", "broker", "http"):
        if getattr(options, name):
            words += [f"--{name}", str(getattr(options, name))]
    return words


def _room(options: argparse.Namespace, config: CloudConfig) -> int:
    import socket

    from cloud.clock import SystemClock
    from cloud.rooms import open_room
    from cloud.rooms.life import live
    from gocche.notify import notify

    clock = SystemClock()
    listener = None if options.http_fd is None else socket.socket(fileno=options.http_fd)
    try:
        room = open_room(options.room, config, clock, listener)
    except sentences.Taken as error:  # whoever has it may let it go: the supervisor tries again
        _refused(error)
        return EXIT_FAILED
    except (OSError, sqlite3.Error) as error:
        return _failed(error, config.data.path)
    return live(room, clock, notify)


def _status(options: argparse.Namespace) -> int:
    from gocche.status import status

    return status(options.data or _agents_folder(), as_json=options.json)


def _read(options: argparse.Namespace) -> int:
    from gocche.read import read

    return read(_file(options.config, "devices.toml"), options.data or _agents_folder(), options.where, options.profile)


def _audit(options: argparse.Namespace) -> int:
    from gocche.audit import audit

    return audit(_cloud_config(options, running=False), as_json=options.json)


def _backup(options: argparse.Namespace) -> int:
    from gocche.backup import backup

    config = _cloud_config(options, running=False)
    try:
        return backup(config, _file(options.config, "cloud.toml"), options.folder)
    except sqlite3.Error as error:
        return _failed(error, config.data.path)


def _restore(options: argparse.Namespace) -> int:
    from gocche.backup import restore

    return restore(_cloud_config(options, running=False), options.folder)


def _quarantine(options: argparse.Namespace) -> int:
    from gocche.audit import quarantine

    try:
        return quarantine(_cloud_config(options, running=False), retry=options.retry)
    except sqlite3.Error as error:
        return _failed(error, options.data or "[data] path")


def _grafana_export(options: argparse.Namespace) -> int:
    from cloud.panels.export import export

    files = export(
        options.folder, url=options.url, database=options.database, user=options.user,
        generation=options.generation, installed_at=options.installed_at,
    )  # fmt: skip
    print(*files, sep="\n")
    return 0


def _store_copy(options: argparse.Namespace) -> int:
    from cloud.clock import HANOI
    from gocche.store_copy import copy

    config = _cloud_config(options, running=False)
    try:
        since = datetime.fromisoformat(options.since).replace(tzinfo=HANOI) if options.since else None
    except ValueError as error:
        raise Refused("store", "no_day", since=options.since) from error
    return copy(config, options.from_, options.to, round(since.timestamp() * 1000) if since else 0)


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
    from gocche.broker import run

    run(*address(options.listen), _stopping())
    return 0


_COMMANDS = {
    "up": _up,
    "agent": _agent,
    "cloud": _cloud,
    "check-config": _check_config,
    "status": _status,
    "read": _read,
    "audit": _audit,
    "backup": _backup,
    "restore": _restore,
    "quarantine": _quarantine,
    "grafana export": _grafana_export,
    "store copy": _store_copy,
    "new-driver": _new_driver,
    "devices": _devices,
    "broker": _broker,
}

if __name__ == "__main__":
    sys.exit(main())
