"""The agent on a gateway: memory and CPU of the real `gocche agent` with twenty Modbus probes, each every 10 s.

Two agents run side by side for the same minute, with the settings of the field (commit 10 s, batch 60 s): twenty
probes on one RS-485 bus, which is how they are wired, and on twenty adapters of one probe each, which is the most
threads a gateway can have. Everything around is real: pseudo-terminals, broker, an ingester that acknowledges. Only
the agents are counted. ThingsBoard's own gateway runs beside them on a bus of the same probes, where it can be
installed; no ThingsBoard answers it, so it keeps what it reads. The floor is a Python that does nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bench import broker, peer, process, report
from cloud.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAME = "agent"
TITLE = "The agent with 20 Modbus probes at 10 s"
PROBES, EVERY_S = 20, 10
SECONDS, BATCH_S = 60, 60  # a whole minute, so that a batch and a heartbeat are in it
WARM_UP_S, LONGEST_S = 42, 90
GATEWAYS = {"one bus": ("sg-01", 1), "20 buses": ("sg-20", PROBES)}
LIMIT_MIB, LIMIT_PERCENT = 32, 0.3  # what this project aims at
PARTS = ("buses", "keeper", "uplink", "main")  # main: the watchdog and the status file


class Use(msgspec.Struct, frozen=True):
    """What one agent took, and how many of its readings the cloud has."""

    memory: process.Memory
    threads: int
    percent: float
    stored: int
    parts: dict[str, float]  # of that, which part of the agent took how much


def run(*, quick: bool = False) -> str:
    """Return the table. Raises RuntimeError where an agent delivered nothing."""
    seconds, batch_s = (EVERY_S, EVERY_S) if quick else (SECONDS, BATCH_S)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gocche-bench-")))
        used, theirs, name, absent = _measured(stack, folder, seconds, batch_s)
    floor = _floor()
    rows: list[tuple[object, ...]] = [
        (title, *_figures(use.memory), use.threads, f"{use.percent:.2f}", _a_poll(use), use.stored)
        for title, use in used.items()
    ]
    if theirs:
        rows.append(
            (peer.NAME, *_figures(theirs.memory), theirs.threads, f"{theirs.percent:.2f}", _a_poll(theirs), "–")
        )
    rows += [
        ("bare Python", *_figures(floor), 1, "–", "–", "–"),
        ("limit", LIMIT_MIB, "–", "–", LIMIT_PERCENT, "–", "–"),
    ]
    rows += [_against(title, use) for title, use in used.items()]
    if theirs:
        rows.append(_beside("one bus", used["one bus"], theirs))
    head = ("agent", "RSS MiB", "of that its own", "threads", "CPU % of a core", "CPU µs a poll", "readings stored")
    tables = f"{report.table(head, rows)}\n\n{_by_part(used)}"
    said = f"- {seconds} s after a warm-up, batches of {batch_s} s; broker: {name}"
    return f"{tables}\n\n{said}" + (f"\n- {absent}" if absent else "")


def _by_part(used: dict[str, Use]) -> str:
    rows = [(title, *(f"{use.parts.get(part, 0.0):.3f}" for part in PARTS)) for title, use in used.items()]
    return report.table(("CPU % of a core, by thread", *PARTS), rows)


def _figures(memory: process.Memory) -> tuple[str, str]:
    return f"{memory.rss:.1f}", f"{memory.own:.1f}"


def _a_poll(use: Use) -> str:
    """Return all CPU of the agent, spread over its polls."""
    return f"{use.percent * 1e4 * EVERY_S / PROBES:,.0f}"


def _against(title: str, use: Use) -> tuple[object, ...]:
    rss, cpu = use.memory.rss / LIMIT_MIB, use.percent / LIMIT_PERCENT
    return (f"{title} / limit", report.times(rss), "–", "–", report.times(cpu), "–", "–")


def _beside(title: str, use: Use, theirs: Use) -> tuple[object, ...]:
    rss, cpu = theirs.memory.rss / use.memory.rss, theirs.percent / use.percent
    return (f"{peer.NAME} / {title}", report.times(rss), "–", "–", report.times(cpu), "–", "–")


def _measured(
    stack: ExitStack, folder: Path, seconds: float, batch_s: float
) -> tuple[dict[str, Use], Use | None, str, str]:
    """Return what the agents took, and the peer, the broker's name, and why the peer is absent."""
    running = stack.enter_context(broker.running(folder / "broker"))
    table = {"engine": "sqlite", "path": str(folder / "store.db")}
    words = (running.port, msgspec.json.encode(table).decode(), folder)
    stack.enter_context(process.Child("bench.ours", *words, log=folder / "ours.log"))
    pids: dict[str, int] = {}
    for gateway, buses in GATEWAYS.values():
        links = [folder / f"{gateway}-{number}" for number in range(buses)]
        stack.enter_context(process.Child("bench.slaves", *links, log=folder / "slaves.log"))
        devices = _devices(gateway, running.port, links, batch_s)
        pids[gateway] = stack.enter_context(_agent(folder, gateway, devices))
    absent = peer.missing()
    if not absent:
        link = folder / "peer-bus"
        stack.enter_context(process.Child("bench.slaves", link, log=folder / "slaves.log"))
        pids[peer.NAME] = stack.enter_context(peer.running(folder, running.port, link, PROBES, EVERY_S))
    time.sleep(WARM_UP_S)
    before, started = {gateway: process.cpu_s(pid) for gateway, pid in pids.items()}, time.monotonic()
    threads = {gateway: process.by_thread(pid) for gateway, pid in pids.items()}
    time.sleep(seconds)
    taken = time.monotonic() - started
    percent = {gateway: 100 * (process.cpu_s(pid) - before[gateway]) / taken for gateway, pid in pids.items()}
    parts = {name: _parts(threads[name], process.by_thread(pid), taken) for name, pid in pids.items()}
    stored = _stored(stack, table, [name for name, _ in GATEWAYS.values()], folder)
    uses = {
        name: Use(process.memory(pid), process.threads(pid), percent[name], stored.get(name, 0), parts[name])
        for name, pid in pids.items()
    }
    return {title: uses[name] for title, (name, _) in GATEWAYS.items()}, uses.get(peer.NAME), running.name, absent


def _parts(
    before: dict[int, tuple[str, float]], after: dict[int, tuple[str, float]], seconds: float
) -> dict[str, float]:
    """Return how much of a core each part took; all buses are one, and what has no name of its own is main."""
    taken = dict.fromkeys(PARTS, 0.0)
    for number, (name, cpu_s) in after.items():
        part = "buses" if name.startswith("bus-") else name if name in taken else "main"
        taken[part] += 100 * (cpu_s - before.get(number, ("", 0.0))[1]) / seconds
    return taken


def _stored(stack: ExitStack, table: dict[str, str], gateways: Iterable[str], folder: Path) -> dict[str, int]:
    """Return how many readings of each gateway are stored, once each has some. Raises RuntimeError with all logs."""
    store = open_store(table, writer=False)
    stack.callback(store.close)
    until = time.monotonic() + LONGEST_S
    while True:
        rows = store.ledger()
        stored = {name: sum(row.n for row in rows if row.gateway == name) for name in gateways}
        if all(stored.values()):
            return stored
        if time.monotonic() > until:
            logs = [f"{log.name}: {log.read_text(encoding='utf-8')[-1500:]}" for log in sorted(folder.glob("*.log"))]
            raise RuntimeError("\n".join(["an agent delivered nothing", *logs]))
        time.sleep(0.2)


@contextmanager
def _agent(folder: Path, gateway: str, devices: str) -> Iterator[int]:
    """Run `gocche agent` while inside; yield its process id."""
    home = folder / f"data-{gateway}"
    home.mkdir()
    config = folder / f"{gateway}.toml"
    config.write_text(devices, encoding="utf-8")
    with (folder / f"{gateway}.log").open("w", encoding="utf-8") as log:
        agent = subprocess.Popen(
            [sys.executable, "-m", "gocche", "agent", "--config", str(config), "--data", str(home)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | {"RUNTIME_DIRECTORY": str(home)},
        )  # fmt: skip
    try:
        yield agent.pid
    finally:
        agent.terminate()
        agent.wait(process.STOP_S)


def _devices(gateway: str, port: int, links: list[Path], batch_s: float) -> str:
    """Return a devices.toml: all probes spread over the buses, everything else as it is by default."""
    broker = f'[broker]\nhost = "127.0.0.1"\nport = {port}\nspread_s = 0\n'
    said = [f'[gateway]\nid = "{gateway}"\n{broker}[spool]\nbatch_s = {batch_s}\n']
    said += [f'[[bus]]\nname = "bus-{number}"\nport = "{link}"\n' for number, link in enumerate(links)]
    said += [
        f'[[sensor]]\nchannel = "soil-{number}"\nbus = "bus-{number % len(links)}"\ndriver = "modbus"\n'
        f'profile = "soil-0000"\naddress = {number + 1}\nevery_s = {EVERY_S}\n'
        for number in range(PROBES)
    ]
    return "\n".join(said)


def _floor() -> process.Memory:
    """Return what a Python takes that does nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", "print(); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as bare:
        assert bare.stdout is not None
        bare.stdout.readline()
        try:
            return process.memory(bare.pid)
        finally:
            bare.kill()
