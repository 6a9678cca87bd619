"""What each command of `gocche` does. What it needs, it imports when it is asked; how it is typed: command_line.py."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from disk.form import is_damaged
from gocche.address import address
from gocche.words import Refused, both
from settings import words as sentences

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from types import FrameType

    from cloud.config import CloudConfig

EXIT_FAILED, EXIT_CONFIG = 1, 2


def refused(error: sentences.Refused) -> int:
    """Say what a person must mend, in Vietnamese first."""
    for one in (error, *error.further):
        print(f"gocche: {one.told('vi')}\n        {one}", file=sys.stderr)
    return EXIT_CONFIG


def failed(error: Exception, folder: object) -> int:
    """Say what the machine refuses; systemd tries again after this code, and not after that of `refused`."""
    place = next(iter(getattr(error, "__notes__", ())), folder)  # the file, where SQLite was asked of one
    refused(Refused("command", "damaged" if is_damaged(error) else "machine", folder=place, why=error))
    return EXIT_FAILED


def up(options: argparse.Namespace) -> int:
    """Run a garden until a signal comes."""
    from gocche.up import up

    return up(options.data, options.http, options.config, staff=options.staff, garden=options.garden)


def agent(options: argparse.Namespace) -> int:
    """Run the gateway until a signal comes; 1 where only a new process helps."""
    import msgspec

    from edge.agent import Agent
    from edge.clock import SystemClock
    from edge.config import advice, load
    from edge.loudness import bound
    from gocche.notify import notify

    file, data = _file(options.config, "devices.toml"), options.data or _state_folder()
    config = load(file)
    if options.broker:
        host, port = address(options.broker)
        config = msgspec.structs.replace(config, broker=msgspec.structs.replace(config.broker, host=host, port=port))
    for finding in advice(file, config):
        logging.getLogger("gocche").warning("config advice=%r", finding.told("en"))
    clock = SystemClock()
    bound(clock)
    try:
        agent = Agent(config, data, clock)
    except sentences.Taken as error:  # whoever has the spool may let it go: systemd tries again
        refused(error)
        return EXIT_FAILED
    except (OSError, sqlite3.Error) as error:
        return failed(error, data)
    signal.signal(signal.SIGUSR1, lambda *_: agent.silence())
    return 0 if agent.run(_stopping(), notify) else EXIT_FAILED


def siren(options: argparse.Namespace) -> int:
    """Silence the sirens of this gateway, or let them be heard for a moment."""
    from gocche.siren import asked

    act = options.command.rpartition(" ")[2]
    return asked(options.data or _state_folder(), act, options.name or "")


def survey(options: argparse.Namespace) -> int:
    """Walk with this gateway and show what it hears; 1 where nothing was heard at any place."""
    from gocche.survey import survey

    _on_the_end(signal.default_int_handler)
    every_s = min(max(options.every, 1.0), 60.0)
    return survey(options.data or _agents_folder(), options.minutes, every_s, quiet=options.quiet)


def check_config(options: argparse.Namespace) -> int:
    """Say whether devices.toml can be used, and what is seldom meant."""
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

    config = load(_file(options.config, "cloud.toml"), running=running, room=getattr(options, "room", None) or "")
    if options.data:
        config = msgspec.structs.replace(config, data=msgspec.structs.replace(config.data, path=str(options.data)))
    if getattr(options, "broker", None):
        host, port = address(options.broker)
        config = msgspec.structs.replace(config, broker=msgspec.structs.replace(config.broker, host=host, port=port))
    for name in ("http", "staff"):
        if given := getattr(options, name, None):
            host, port = address(given)
            table = msgspec.structs.replace(getattr(config, name), host=host, port=port)
            config = msgspec.structs.replace(config, **{name: table})
    if (near := getattr(options, "near", None)) and not config.http.public_url:
        config = msgspec.structs.replace(config, http=msgspec.structs.replace(config.http, public_url=near))
    return config


def cloud(options: argparse.Namespace) -> int:
    """Run the server or one of its rooms until a signal comes; with `check` or `tried` only say what it would meet."""
    from contextlib import ExitStack

    from cloud.rooms import SERVES
    from cloud.rooms.check import check
    from cloud.rooms.listener import listen
    from gocche.server import serve

    if options.check or options.tried:
        from gocche.check import check_cloud

        config = _cloud_config(options, running=False)
        try:
            return check_cloud(config, tried_too=options.tried)
        except sqlite3.Error as error:
            return failed(error, config.data.path)
    config = _cloud_config(options)
    if options.room:
        return _room(options, config)
    check(config)
    token = Path(config.health.token_file).read_text("utf-8").strip() if config.health.token_file else ""
    try:
        with ExitStack() as held, listen(*_desk(options, config)) as desk:
            places = {room: getattr(config, table) for room, table in SERVES.items()}
            listeners = {room: held.enter_context(listen(one.host, one.port)) for room, one in places.items()}
            return serve(_words(options), listeners, desk, token)
    except sentences.Taken as error:
        refused(error)
        return EXIT_FAILED
    except OSError as error:
        return failed(error, config.data.path)


def _desk(options: argparse.Namespace, config: CloudConfig) -> tuple[str, int]:
    return address(options.health) if options.health else (config.health.host, config.health.port)


def _words(options: argparse.Namespace) -> list[str]:
    """Return what tells a room the same configuration."""
    words = ["--config", str(_file(options.config, "cloud.toml"))]
    for name in ("data", "broker", "http", "staff"):
        if getattr(options, name):
            words += [f"--{name}", str(getattr(options, name))]
    return words


def _room(options: argparse.Namespace, config: CloudConfig) -> int:
    import socket

    from cloud.clock import SystemClock
    from cloud.rooms import open_room, step_back
    from cloud.rooms.life import live
    from gocche.notify import notify

    clock = SystemClock()
    listener = None if options.http_fd is None else socket.socket(fileno=options.http_fd)
    try:
        room = open_room(options.room, config, clock, listener)
    except sentences.Taken as error:  # whoever has it may let it go: the supervisor tries again
        refused(error)
        return EXIT_FAILED
    except (OSError, sqlite3.Error) as error:
        return failed(error, config.data.path)
    step_back(options.room)
    return live(room, clock, notify)


def status(options: argparse.Namespace) -> int:
    """Say how this gateway is; 1 where something needs a person."""
    from gocche.status import status

    known = None if options.data and not options.config else _file_if_any(options.config, "devices.toml")
    return status(options.data or _agents_folder(), known, as_json=options.json)


def read(options: argparse.Namespace) -> int:
    """Ask one sensor once; 1 where no value came."""
    from gocche.read import read

    data = options.data or (_state_folder() if options.config else _agents_folder())  # as the agent of that file
    _on_the_end(signal.default_int_handler)  # else what lies in memory stayed there
    return read(_file(options.config, "devices.toml"), data, options.where, options.profile)


def audit(options: argparse.Namespace) -> int:
    """Print the sum; 1 where it does not come out."""
    from gocche.audit import audit

    return audit(_cloud_config(options, running=False), as_json=options.json)


def danger(options: argparse.Namespace) -> int:
    """Print each zone's fire danger; 1 where a kept number does not come again."""
    from gocche.danger import danger
    from gocche.said import said

    config = _cloud_config(options, running=False)
    if options.said:
        return said(config, options.said)
    return danger(config, again=options.again, changed=options.changed, folder=options.folder)


def backup(options: argparse.Namespace) -> int:
    """Copy the server's files; 1 where the copy's sum does not come out."""
    from gocche.backup import backup

    config = _cloud_config(options, running=False)
    try:
        return backup(config, _file(options.config, "cloud.toml"), options.folder)
    except sqlite3.Error as error:
        return failed(error, f"{options.folder}, {config.data.path}")


def restore(options: argparse.Namespace) -> int:
    """Put a backup back; 1 where its sum does not come out."""
    from gocche.backup import restore

    return restore(_cloud_config(options, running=False), options.folder)


def quarantine(options: argparse.Namespace) -> int:
    """List what could not be stored, or have it tried again."""
    from gocche.audit import quarantine

    try:
        return quarantine(_cloud_config(options, running=False), retry=options.retry)
    except sqlite3.Error as error:
        return failed(error, options.data or "[data] path")


def registry_import(options: argparse.Namespace) -> int:
    """Bring tables into the registry; or, to check them, only say what that would do."""
    from gocche.registry import bring_in

    return _of_the_registry(options, bring_in, options.path, partial=options.partial, dry=False)


def registry_check(options: argparse.Namespace) -> int:
    """Say what an import would do."""
    from gocche.registry import bring_in

    return _of_the_registry(options, bring_in, options.path, partial=True, dry=True)


def registry_export(options: argparse.Namespace) -> int:
    """Write the registry's tables."""
    from gocche.registry import take_out

    return _of_the_registry(options, take_out, options.path)


def registry_log(options: argparse.Namespace) -> int:
    """Say who changed what."""
    from gocche.registry import log

    return _of_the_registry(options, log, options.act)


def registry_undo(options: argparse.Namespace) -> int:
    """Take an act back."""
    from gocche.registry import undo

    return _of_the_registry(options, undo, options.act)


def hotspots_import(options: argparse.Namespace) -> int:
    """Keep the hotspots of a file."""
    from gocche.hotspots import bring_in

    return _of_the_registry(options, bring_in, options.path)


def labels_mint(options: argparse.Namespace) -> int:
    """Mint blank tags."""
    from gocche.labels import mint

    return _of_the_registry(options, mint, options.count, options.batch)


def labels_sheet(options: argparse.Namespace) -> int:
    """Draw labels on a sheet."""
    from gocche.labels import sheet

    return _of_the_registry(
        options, sheet, options.path, options.codes, options.batch, zone=options.zone, url=options.url,
        grid=options.grid, page=options.page, symbol_mm=options.symbol, skip=options.skip, font=options.font,
    )  # fmt: skip


def labels_plates(options: argparse.Namespace) -> int:
    """Draw plates for who engraves them."""
    from gocche.labels import plates

    return _of_the_registry(
        options, plates, options.path, options.codes, options.batch, zone=options.zone, url=options.url,
        size=options.size, background=options.background,
    )  # fmt: skip


def labels_verify(options: argparse.Namespace) -> int:
    """Read labels back."""
    from gocche.labels import verify

    return _of_the_registry(
        options, verify, options.path, options.codes, options.batch, zone=options.zone, url=options.url
    )


def _of_the_registry(options: argparse.Namespace, run: Callable[..., int], *asked: object, **how: object) -> int:
    config = _cloud_config(options, running=False)
    try:
        return run(config, *asked, **how)
    except sqlite3.Error as error:
        return failed(error, config.data.path)


def coverage_invite(options: argparse.Namespace) -> int:
    """Invite telephones of a team."""
    from gocche.access import invite

    how = {"phones": options.phones, "days": options.days, "path": options.path}
    return _of_the_registry(options, invite, options.team, **how)


def coverage_import(options: argparse.Namespace) -> int:
    """Have a survey read."""
    from gocche.coverage import bring_in

    return _of_the_registry(options, bring_in, options.path, options.team)


def coverage_teams(options: argparse.Namespace) -> int:
    """Say which telephones were invited."""
    from gocche.access import teams

    return _of_the_registry(options, teams)


def coverage_revoke(options: argparse.Namespace) -> int:
    """Let telephones in no more."""
    from gocche.access import revoke

    return _of_the_registry(options, revoke, options.users)


def coverage_export(options: argparse.Namespace) -> int:
    """Write the map or its samples as a file."""
    from gocche.exported import export

    how = {"form": options.form, "layer": options.layer, "network": options.network, "month": options.month}
    return _of_the_registry(options, export, options.path, **how)


def coverage_report(options: argparse.Namespace) -> int:
    """Print what a commune was told of a week."""
    from gocche.week import report

    return _of_the_registry(options, report, commune=options.commune, week=options.week or "")


def access_write(options: argparse.Namespace) -> int:
    """Write what Mosquitto reads."""
    from gocche.access import write

    return _of_the_registry(options, write, options.folder)


def export_site(options: argparse.Namespace) -> int:
    """Write the public pages as files."""
    from gocche.site import site

    return _of_the_registry(options, site, options.folder, url=options.url)


def user_add(options: argparse.Namespace) -> int:
    """Let somebody in, by a link for once."""
    from gocche.user import add

    config = _cloud_config(options, running=False)
    try:
        return add(config, options.name, options.role or "")
    except sqlite3.Error as error:
        return failed(error, config.data.path)


def person_export(options: argparse.Namespace) -> int:
    """Hand over all that is held of somebody."""
    from gocche.person import export

    return _of_the_registry(options, export, options.person, options.path)


def person_erase(options: argparse.Namespace) -> int:
    """Erase somebody, or say what that would do."""
    from gocche.person import erase

    return _of_the_registry(options, erase, options.person, sure=options.yes)


def grafana_export(options: argparse.Namespace) -> int:
    """Write Grafana's files and print their names."""
    from cloud.panels.export import export

    files = export(
        options.folder, url=options.url, database=options.database, user=options.user,
        generation=options.generation, installed_at=options.installed_at, pages=options.pages,
    )  # fmt: skip
    print(*files, sep="\n")
    return 0


def store_copy(options: argparse.Namespace) -> int:
    """Copy one store into another; 1 where their sums differ."""
    from cloud.clock import HANOI
    from gocche.store_copy import copy

    config = _cloud_config(options, running=False)
    try:
        since = datetime.fromisoformat(options.since).replace(tzinfo=HANOI) if options.since else None
    except ValueError as error:
        raise Refused("store", "no_day", since=options.since) from error
    return copy(config, options.from_, options.to, round(since.timestamp() * 1000) if since else 0)


def new_driver(options: argparse.Namespace) -> int:
    """Write a driver and its case folders here, and print their names."""
    from gocche.new_driver import new_driver

    for file in new_driver(options.name, Path.cwd()):
        print(file)
    return 0


def drills(_: argparse.Namespace) -> int:
    """List the drills."""
    from gocche.drill import drills

    return drills()


def drill_fire(options: argparse.Namespace) -> int:
    """Drill a fire alarm; 1 where nobody answered."""
    from gocche.drill import fire

    return fire(_drilled(options), options.place, options.stage, options.minutes)


def drill_report(options: argparse.Namespace) -> int:
    """Print the report of an incident again."""
    from gocche.drill import show

    return show(_drilled(options), options.number)


def _drilled(options: argparse.Namespace) -> Path | None:
    """Return the data folder that is meant; None for that of the `gocche up` that runs here."""
    return Path(_cloud_config(options, running=False).data.path) if options.config else options.data


def devices(options: argparse.Namespace) -> int:
    """Run the simulated devices until a signal comes."""
    from gocche.garden import run

    run(
        options.ports, options.log, options.control, options.seed,
        unique=options.unique, pace_s=options.pace, stop=_stopping(),
    )  # fmt: skip
    return 0


def broker(options: argparse.Namespace) -> int:
    """Run the embedded broker until a signal comes."""
    from gocche.broker import run

    run(*address(options.listen), _stopping())
    return 0


def _file(given: Path | None, name: str) -> Path:
    """Return the configuration that is meant: a file, or `name` in a folder; else in GOCCHE_CONFIG, else /etc/gocche.

    Raises Refused where none was named and none is there.
    """
    place = given or Path(os.environ.get("GOCCHE_CONFIG") or "/etc/gocche")
    try:
        file = place / name if place.is_dir() else place
    except OSError:  # what may not be looked at: whoever reads it says so
        file = place
    if given is None and not os.path.lexists(place / name):
        raise Refused("command", "no_config", name=name, looked=place / name)
    return file


def _file_if_any(given: Path | None, name: str) -> Path | None:
    try:
        return _file(given, name)
    except Refused:
        return None


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
    _on_the_end(lambda *_: stop.set())
    return stop


def _on_the_end(do: Callable[[int, FrameType | None], object]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the last: the terminal is gone
        if signal.getsignal(number) != signal.SIG_IGN:  # by `nohup`, which wants to go on
            signal.signal(number, do)
