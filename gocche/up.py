"""`gocche up`: a garden on this machine — simulated devices, broker, agent and the rooms of the cloud, one command.

Processes and not threads, because that is how they run in the field: each can be killed here as it can be there.
All of them keep their state in one data folder; the ports of the simulated devices are links in it.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import tempfile
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from cloud.clock import SystemClock, hanoi
from cloud.config import load
from cloud.registry.book import NAME as REGISTRY
from cloud.registry.live import known
from cloud.rooms.listener import listen, url
from disk.lock import take_lock
from edge.sense import nodes
from edge.siren import kept as sirens
from edge.status import status_file
from gocche.address import Address, address
from gocche.child import Child, Log
from gocche.garden import PORTS, past, valley
from gocche.health import Desk, told
from gocche.log import Outlet
from gocche.server import GOCCHE, keep, rooms
from gocche.supervisor import CONFIG_ERROR, Supervisor
from gocche.user import first_admin
from gocche.words import LANGUAGES, Refused, said
from settings import words as sentences
from settings.words import because

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

DEFAULT_HTTP, DEFAULT_STAFF = Address("127.0.0.1", 8080), Address("127.0.0.1", 8082)
STATUS_S = 5.0
PREFIX = "gocche-"
ASK_S = 1.0  # a look whether the broker answers
HELLO = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00"  # MQTT 3.1.1 §3.1: clean session, no name, 60 s
WELCOME, GOOD_BYE = b"\x20\x02\x00\x00", b"\xe0\x00"
COUNTED = ("acquired", "stored", "spooled", "unknown")


def up(
    data: Path | None,
    http: str | None,
    config: Path | None = None,
    out: TextIO = sys.stdout,
    staff: str | None = None,
    garden: Sequence[str] = (),
) -> int:
    """Run the garden until SIGINT, SIGTERM or SIGHUP; return the exit status: 0, or 2 for a setting that cannot work.

    `data` keeps the state (None: a temporary folder, removed at the end); `http` is HOST:PORT, port 0 for any (None:
    127.0.0.1:8080, or another port when that is taken), `staff` alike (127.0.0.1:8082); `config` holds devices.toml,
    cloud.toml and garden/ (None: the sample); `garden` are further words for `gocche devices`. `out` gets the addresses
    to look at and the status lines, standard error all else. Call it from the main thread.
    """
    log = Log(sys.stderr)
    try:
        sample, config = config is None, (config or _sample()).resolve()
        with ExitStack() as held:
            desk = held.enter_context(listen("127.0.0.1", 0))
            listeners = {
                "pages": held.enter_context(choose(http, log)),
                "staff": held.enter_context(choose(staff, log, DEFAULT_STAFF, "--staff")),
            }
            host, port = listeners["pages"].getsockname()[:2]
            pages = _pages(data, config / "garden", Address(host, port).near)
            with _folder(data) as folder:
                broker = Address("127.0.0.1", _free_port("127.0.0.1"))
                if sample:
                    now_ms = SystemClock().utc_ms()
                    past.first_start(folder, load(config / "cloud.toml"), now_ms)
                    valley.first_start(folder, now_ms)
                children = commands(folder, config, broker, listeners, garden)
                where = f' ARGS="--data {folder}"' if data else ""  # a drill finds a temporary one by itself
                link = partial(_links, folder, url(listeners["staff"]), where)
                return supervise(children, folder, pages, link, out=out, log=log, desk=desk)
    except sentences.Refused as error:
        for language in LANGUAGES:
            log.say("up", error.told(language))
        return CONFIG_ERROR
    except KeyboardInterrupt:  # before there was anything to end
        return 0


def supervise(
    children: Sequence[Child],
    folder: Path,
    pages: Sequence[str],
    link: Callable[[], Sequence[str]] = tuple,
    *,
    out: TextIO,
    log: Log,
    desk: socket.socket | None = None,
    status_s: float = STATUS_S,
) -> int:
    """Keep the children until a signal comes; print the pages once all are ready, then a status line now and then.

    `link` is asked then, too: its lines are for who sits here, and stand nowhere else. `desk` is where `/healthz` and
    `/metrics` are answered.
    """
    clock, shown = SystemClock(), Outlet(out)

    def started(pids: dict[str, int]) -> None:
        health = {"health": url(desk)} if desk else {}
        _note(folder / "up.json", {"pages": list(pages), "children": pids, **health})

    supervisor = Supervisor(children, folder, log, clock, started=started)

    def ask() -> dict[str, Any]:
        return told(supervisor.lives, clock.monotonic())

    def show(words: str) -> None:
        """Nobody waits for a terminal halted with Ctrl-S; where it has gone, so do we."""
        shown.say(words)
        if shown.gone:
            raise BrokenPipeError

    def ready() -> None:
        show("\n".join([*pages, *link()]))

    def tick() -> None:
        show(_status(ask()))

    with Desk(desk, ask, "") if desk else nullcontext():
        return keep(supervisor, ready, tick, status_s)


def commands(
    folder: Path, config: Path, broker: Address, listeners: Mapping[str, socket.socket], garden: Sequence[str]
) -> list[Child]:
    """Return the children, in the order of starting."""
    ports = folder / "ports"
    staff = Address(*listeners["staff"].getsockname()[:2])  # where the page of a blank tag leads
    near = f"http://{Address(*listeners['pages'].getsockname()[:2]).near}"  # what a tag says that is printed here
    half = ["--data", str(folder), "--broker", str(broker)]
    return [
        Child(
            "devices",
            [*GOCCHE, "devices", "--ports", str(ports), "--control", str(folder / "control.json"), *garden],
            lambda: all((ports / name).is_symlink() for name in PORTS),
        ),
        Child("broker", [*GOCCHE, "broker", "--listen", str(broker)], lambda: _answers(broker)),
        *rooms(["--config", str(config / "cloud.toml"), *half, "--staff", str(staff), "--near", near], listeners),
        Child(
            "agent",
            [*GOCCHE, "agent", "--config", str(config / "devices.toml"), *half],
            after=("broker", "devices"),
        ),
    ]


def _links(folder: Path, staff: str, where: str) -> list[str]:
    """Return what only who sits here is told: how to sign in, and how to see an alarm."""
    return [
        *first_admin(folder, staff),
        *(said("up", "drill", language, staff=staff, where=where) for language in LANGUAGES),
    ]


def running() -> Path | None:
    """Return the data folder of the garden that runs here in a temporary one, the newest if there are several."""
    notes = [
        note for note in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/up.json") if note.stat().st_uid == os.getuid()
    ]
    return max(notes, key=lambda note: note.stat().st_mtime).parent if notes else None


def choose(asked: str | None, log: Log, default: Address | None = None, option: str = "--http") -> socket.socket:
    """Return a listening socket. Without a wish a taken port is passed over; else a wish is Refused."""
    wish = (default or DEFAULT_HTTP) if asked is None else address(asked)
    try:
        return listen(wish.host, wish.port)
    except sentences.Taken:
        if asked is not None:
            raise
    other = listen(wish.host, 0)
    for language in LANGUAGES:
        log.say("up", said("up", "elsewhere", language, wish=wish, other=url(other), option=option))
    return other


def _free_port(host: str) -> int:
    with listen(host, 0) as server:
        port: int = server.getsockname()[1]
        return port


def _answers(broker: Address) -> bool:
    """Tell whether an MQTT broker accepts a client there."""
    try:
        with socket.create_connection((broker.host, broker.port), ASK_S) as client:
            client.sendall(HELLO)
            answer = client.recv(len(WELCOME))
            client.sendall(GOOD_BYE)
    except OSError:
        return False
    return answer == WELCOME


def _status(health: dict[str, Any]) -> str:
    audit = health["ingest"].get("audit")
    if not isinstance(audit, dict):
        return " · ".join(said("up", "no_answer", language) for language in LANGUAGES)
    counted = {name: audit.get(name, "?") for name in COUNTED}
    return " · ".join(said("up", "counted", language, **counted) for language in LANGUAGES)


def _sample() -> Path:
    """Return the sample configuration: inside an installed wheel, beside the packages in a checkout."""
    here = Path(__file__).resolve().parent
    return next(
        (place for place in (here / "config", here.parent / "config") if place.is_dir()), here.parent / "config"
    )


def _pages(data: Path | None, garden: Path, address: Address) -> list[str]:
    """Return the addresses to look at: a tree that has a sensor, the index, the coverage table."""
    try:
        registry = known(data / REGISTRY if data else None, garden)
    except (OSError, ValueError) as error:
        raise Refused("up", "registry", why=error) from error
    today = hanoi(SystemClock().utc_ms()).date()
    sensed = [tree for tree in registry.trees.values() if registry.bound_to("tree", tree.code, today)]
    trees = [tree.code for tree in sorted(sensed, key=lambda tree: (len(tree.label_no), tree.label_no))]
    return [*(f"http://{address}/T/{code}" for code in trees[:1]), f"http://{address}/", f"http://{address}/phu-song"]


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    """Yield the data folder, held by us alone. A temporary one is removed afterwards."""
    folder = data.resolve() if data else Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        with _held(folder):
            shutil.rmtree(folder / "ports", ignore_errors=True)  # what a killed run left behind
            if not (folder / REGISTRY).exists():  # a new garden, maybe at an old path: its nodes never smelt smoke
                for memory in (nodes.FILE, sirens.FILE):
                    (status_file(folder).parent / memory).unlink(missing_ok=True)
            yield folder
            (folder / "up.json").unlink(missing_ok=True)
    finally:
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)


def _held(folder: Path) -> TextIO:
    """Return the folder's lock file, locked until it is closed or we die."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.fdopen(take_lock(folder / "up.lock", "gocche", "up", folder=folder))
    except OSError as error:
        raise Refused("up", "no_folder", folder=folder, **because(error)) from error


def _note(file: Path, told: dict[str, object]) -> None:
    new = file.with_suffix(".new")
    new.write_text(json.dumps(told))
    new.replace(file)
