"""A province of gateways at once, and one alone: the whole server beside its ingester and beside Telegraf.

All three take the same values from the same broker into the same InfluxDB 1.8: ours in the batches of the wire, kept to
a gateway's window, Telegraf in line protocol with as many rows a message, as fast as the broker takes it. The clock
stops at the last acknowledgement, for Telegraf when InfluxDB has counted its last line; a last flush is in it. *Whole*
is `gocche cloud` with the sample's rules: ingest, alerts and pages each follow the broker; beside it stands what two of
them took of that.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from bench import broker, process, report, sender, telegraf
from bench.pipeline import packets
from cloud.store import open_store
from cloud.store.engines.influx import lines
from tests import servers
from wire import codec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "fleet"
TITLE = "200 gateways at once, and one alone, into InfluxDB 1.8"
ROUNDS = 3
MESSAGES = {200: {60: 6, 6: 24, 1: 60}, 1: {60: 600, 6: 2_000, 1: 4_000}}  # of each gateway, by rows a message
QUICK = {200: {60: 1, 6: 1, 1: 1}, 1: {60: 20, 6: 20, 1: 20}}
ROOMS = ("alerts", "pages")
WHOLE, ALONE = "gocche, whole server", "gocche, ingester"
LIMITS = {  # of Telegraf's: rate at least, CPU at most
    (200, 60): (2.0, 0.3), (200, 6): (1.0, 1.2), (200, 1): (0.6, 3.0), (1, 60): (1.3, None), (1, 6): (0.8, None),
    (1, 1): (0.8, None),
}  # fmt: skip
SAMPLE = Path(__file__).parent.parent / "config" / "cloud.toml"
VALUES, READINGS = 30, 5  # a row


class Cost(msgspec.Struct, frozen=True):
    """What one run took: values a second, and CPU seconds a million values, of which some are those of rooms."""

    rate: float
    server: float
    alerts: float
    pages: float
    broker: float
    database: float


class Bench:
    """A broker, InfluxDB and a folder; each run has a database of its own."""

    def __init__(self, stack: ExitStack) -> None:
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gocche-bench-")))
        self._broker = stack.enter_context(broker.running(self._folder / "broker", "set_tcp_nodelay true"))
        self._influx = stack.enter_context(servers.InfluxD1(self._folder / "influx"))
        self._runs = 0

    def candidates(self, gateways: int, rows: int, count: int) -> dict[str, Callable[[], Cost]]:
        """Return what is measured with so many gateways that send so many messages each."""
        names = [f"gw-{number:03}" for number in range(gateways)]
        said = list(packets(rows * count, rows))
        values = len(names) * rows * count * VALUES
        ours = {ALONE: _alone, WHOLE: whole}
        found: dict[str, Callable[[], Cost]] = {
            name: partial(self._ours, way, names, said, values) for name, way in ours.items()
        }
        if not telegraf.missing():
            found[telegraf.NAME] = partial(self._telegraf, names, said, values)
        return found

    def _ours(self, way: Callable[..., Iterator[list[int]]], names: list[str], said: list[bytes], values: int) -> Cost:
        folder = self._fresh()
        table = {"engine": "influx", "url": self._influx.url, "database": folder.name}
        with contextmanager(way)(folder, self._broker.port, table) as pids:
            gateways = sender.Gateways(self._broker.port, names, said)
            cost = self._measured(pids, values, gateways.run)
            if gateways.again:
                print(f"sent again: {gateways.again}", file=sys.stderr)
        store = open_store(table, writer=False)
        stored = sum(row.n - row.refused for row in store.ledger() if row.verdict == "stored")
        store.close()
        assert stored * VALUES == values * READINGS, (stored, values)
        return cost

    def _telegraf(self, names: list[str], said: list[bytes], values: int) -> Cost:
        folder = self._fresh()
        self._influx.query(f'CREATE DATABASE "{folder.name}"')
        texts = [_lines(packet) for packet in said]
        messages = [
            (telegraf.TOPIC.format(name), text.replace(_PLACE, name.encode())) for text in texts for name in names
        ]
        with telegraf.running(folder / "telegraf", self._broker.port, self._influx.url, folder.name) as pid:
            until = self._written() + values // VALUES * READINGS

            def run() -> tuple[float, float]:
                started = sender.publish(self._broker.port, messages)
                servers.until(
                    lambda: self._written() >= until, 3 * process.PATIENCE_S, "Telegraf's last line is stored"
                )
                return started, time.monotonic()

            return self._measured([pid], values, run)

    def _written(self) -> int:
        """Return how many lines InfluxDB has stored since its start."""
        told = json.loads(servers.ask(f"{self._influx.url}/debug/vars")[1])
        return next(int(one["values"]["pointsWrittenOK"]) for key, one in told.items() if key.startswith("httpd"))

    def _fresh(self) -> Path:
        self._runs += 1
        folder = self._folder / f"run{self._runs}"
        folder.mkdir()
        return folder

    def _measured(self, pids: list[int], values: int, run: Callable[[], tuple[float, float]]) -> Cost:
        before = self._cpu(pids)
        started, ended = run()
        used = [(late - early) / values * 1e6 for early, late in zip(before, self._cpu(pids), strict=True)]
        return Cost(values / (ended - started), *used)

    def _cpu(self, pids: list[int]) -> list[float]:
        own = sum(process.cpu_s(pid) for pid in pids)
        rooms = [sum(process.cpu_s(pid) for pid in pids if room in process.words(pid)) for room in ROOMS]
        return [own, *rooms, process.cpu_s(self._broker.pid), process.cpu_s(self._influx.pid)]


def _alone(folder: Path, port: int, table: dict[str, str]) -> Iterator[list[int]]:
    with process.Child("bench.ours", port, json.dumps(table), folder, log=folder / "ours.log") as child:
        yield [child.pid]


def whole(
    folder: Path, port: int, table: dict[str, str], *, garden: Path = SAMPLE.parent / "garden", extra: str = ""
) -> Iterator[list[int]]:
    """Run `gocche cloud` with the sample's rules and `extra` tables; yield its processes once every room is well."""
    desk, sample = servers.free_port(), SAMPLE.read_text(encoding="utf-8")
    text = [
        f'[data]\npath = "{folder}"\n[broker]\nport = {port}\n[http]\nport = {servers.free_port()}\n[staff]\nport = 0',
        f'[health]\nport = {desk}\n[garden]\npath = "{garden}"\n[store]',
        *(f"{key} = {json.dumps(value)}" for key, value in table.items()),
        extra,
        sample[sample.index("[[rule]]") :],
    ]
    (folder / "cloud.toml").write_text("\n".join(text), encoding="utf-8")
    command = [*broker.GOCCHE, "cloud", "--config", str(folder / "cloud.toml")]
    with (folder / "cloud.log").open("w", encoding="utf-8") as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        servers.until(lambda: _serves(desk), process.PATIENCE_S, "every room is well")
        yield process.tree(child.pid)
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(process.STOP_S)


def _serves(desk: int) -> bool:
    try:
        told = json.loads(servers.ask(f"http://127.0.0.1:{desk}/healthz")[1])
    except OSError:
        return False
    signs = {"ingest": "audit", "alerts": "listening", "pages": "look_at"}
    return all(sign in told.get(name, {}) for name, sign in signs.items())


_PLACE = b"@GATEWAY@"


def _lines(packet: bytes) -> bytes:
    """Return a batch in line protocol as Telegraf is to have it: without numbers, under its own times."""
    batch = codec.decode_message(_PLACE.decode(), packet, 2**52)
    return "".join(lines.text_of(_PLACE.decode(), block, block.stored_ns())[1] for block in batch.blocks).encode()


def run(*, quick: bool = False) -> str:
    """Return the tables."""
    absent = servers.missing(servers.INFLUXD1)
    if absent:
        return f"- {absent}: not measured"
    out = []
    with ExitStack() as stack:
        bench = Bench(stack)
        for gateways, each in (QUICK if quick else MESSAGES).items():
            rows = [row for every, count in each.items() for row in _rows(bench, gateways, every, count, quick=quick)]
            head = (
                f"{gateways} gateways" if gateways > 1 else "one gateway", "rows a batch", "values/s", "CPU s/M server",
                *ROOMS, "broker", "database", "rate/Telegraf", "limit", "CPU/Telegraf", "limit",
            )  # fmt: skip
            out.append(report.table(head, rows))
    notes = [told for told in (telegraf.missing(),) if told]
    return "\n\n".join([*out, "\n".join(f"- {note}" for note in notes)]).rstrip()


def _rows(bench: Bench, gateways: int, rows: int, count: int, *, quick: bool) -> Iterator[tuple[str, ...]]:
    jobs = bench.candidates(gateways, rows, count)
    rounds = [
        {f"{name} {part}": value for name, job in jobs.items() for part, value in msgspec.structs.asdict(job()).items()}
        for _ in range(1 if quick else ROUNDS)
    ]
    got = report.medians(rounds)
    costs = {name: Cost(**{part: got[f"{name} {part}"] for part in Cost.__struct_fields__}) for name in jobs}
    peer = costs.get(telegraf.NAME)
    for name, own in costs.items():
        limits = ["–" if limit is None or name != WHOLE else str(limit) for limit in LIMITS[gateways, rows]]
        ratios = (report.times(own.rate / peer.rate), report.times(own.server / peer.server)) if peer else ("–", "–")
        rooms = [report.figure(part) if name == WHOLE else "–" for part in (own.alerts, own.pages)]
        costs_of = [
            *map(report.figure, (own.rate, own.server)), *rooms, *map(report.figure, (own.broker, own.database)),
        ]  # fmt: skip
        yield name, str(rows), *costs_of, ratios[0], limits[0], ratios[1], limits[1]
