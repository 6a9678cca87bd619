"""The agent on a gateway: memory and CPU of the real `gocche agent` with twenty Modbus probes, each every 10 s.

Two agents run side by side for the same minute, with the settings of the field (commit 10 s, batch 60 s): twenty
probes on one RS-485 bus, which is how they are wired, and on twenty adapters of one probe each, which is the most
threads a gateway can have. Everything around is real: pseudo-terminals, broker, an ingester that acknowledges. Only
the agents are counted. The floor is a Python that does nothing.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bench import broker, process, report
from cloud.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "agent"
TITLE = "The agent with 20 Modbus probes at 10 s"
PROBES, EVERY_S = 20, 10
SECONDS, WARM_UP_S, LONGEST_S = 60, 12, 90  # a whole minute, so that one batch and one heartbeat are in it
LIMIT_MIB, LIMIT_PERCENT = 32, 1.0  # what this project aims at


class Use(msgspec.Struct, frozen=True):
    """What one agent took."""

    memory: process.Memory
    threads: int
    percent: float
    polls: int
    stored: int


def run(*, quick: bool = False) -> str:
    """Return the table. Raises AssertionError where an agent read or delivered nothing."""
    seconds = EVERY_S if quick else SECONDS
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gocche-bench-")))
        used, name = _measured(stack, folder, seconds)
    floor = _floor()
    rows = [
        (title, *_figures(use.memory), use.threads, f"{use.percent:.2f}", f"{1e4 * use.percent * seconds / use.polls:,.0f}", use.stored)
        for title, use in used.items()
    ]  # fmt: skip
    worst = max(used.values(), key=lambda use: use.memory.rss)
    rows += [
        ("bare Python", *_figures(floor), 1, "–", "–", "–"),
        ("limit", LIMIT_MIB, "–", "–", f"{LIMIT_PERCENT:.2f}", "–", "–"),
        *(_against(title, use) for title, use in used.items()),
    ]
    head = ("agent", "RSS MiB", "private MiB", "threads", "CPU % of a core", "CPU µs a poll", "readings stored")
    note = f"- {seconds} s after a warm-up; broker: {name}; RSS is {report.times(worst.memory.rss / floor.rss)} bare Python"
    return f"{report.table(head, rows)}\n\n{note}"


def _figures(memory: process.Memory) -> tuple[str, str]:
    return f"{memory.rss:.1f}", f"{memory.private:.1f}"


def _against(title: str, use: Use) -> tuple[str, ...]:
    rss, cpu = use.memory.rss / LIMIT_MIB, use.percent / LIMIT_PERCENT
    return (f"{title} / limit", report.times(rss), "–", "–", report.times(cpu), "–", "–")


def _measured(stack: ExitStack, folder: Path, seconds: float) -> tuple[dict[str, Use], str]:
    running = stack.enter_context(broker.running(folder / "broker"))
    table = {"engine": "sqlite", "path": str(folder / "store.db")}
    words = (running.port, msgspec.json.encode(table).decode(), folder)
    stack.enter_context(process.Child("bench.ours", *words, log=folder / "ours.log"))
    agents: dict[str, tuple[str, int]] = {}
    for title, gateway, buses in (("one bus", "sg-01", 1), ("20 buses", "sg-20", PROBES)):
        links = [folder / f"{gateway}-{number}" for number in range(buses)]
        stack.enter_context(process.Child("bench.slaves", *links, log=folder / "slaves.log"))
        agents[title] = gateway, stack.enter_context(_agent(folder, gateway, running.port, links))
    store = open_store(table, writer=False)
    stack.callback(store.close)

    def stored(gateway: str) -> int:
        return sum(row.n for row in store.ledger() if row.gateway == gateway)

    time.sleep(WARM_UP_S)
    before, started = {pid: process.cpu_s(pid) for _, pid in agents.values()}, time.monotonic()
    time.sleep(seconds)
    spent = {pid: process.cpu_s(pid) - before[pid] for _, pid in agents.values()}
    taken = time.monotonic() - started
    until = time.monotonic() + LONGEST_S
    while not all(stored(gateway) for gateway, _ in agents.values()):
        assert time.monotonic() < until, "an agent delivered nothing"
        time.sleep(0.2)
    return {
        title: Use(
            *(process.memory(pid), process.threads(pid), 100 * spent[pid] / taken),
            *(round(PROBES * taken / EVERY_S), stored(gateway)),
        )
        for title, (gateway, pid) in agents.items()
    }, running.name


@contextmanager
def _agent(folder: Path, gateway: str, port: int, links: list[Path]) -> Iterator[int]:
    """Run `gocche agent` while inside; yield its process id."""
    home = folder / f"data-{gateway}"
    home.mkdir()
    config = folder / f"{gateway}.toml"
    config.write_text(_devices(gateway, port, links), encoding="utf-8")
    with (folder / f"{gateway}.log").open("w", encoding="utf-8") as log:
        agent = subprocess.Popen(
            [sys.executable, "-m", "gocche", "agent", "--config", str(config), "--data", str(home)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield agent.pid
    finally:
        agent.terminate()
        agent.wait(process.STOP_S)


def _devices(gateway: str, port: int, links: list[Path]) -> str:
    """Return a devices.toml: all probes spread over the buses, everything else as it is by default."""
    said = [f'[gateway]\nid = "{gateway}"\n[broker]\nhost = "127.0.0.1"\nport = {port}\n']
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
