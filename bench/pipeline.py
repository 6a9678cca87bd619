"""Message → committed store, through a real broker: values a second, and CPU seconds a million values.

Ours is the real stream, ingester and store in a process of its own; the clock stops at the last acknowledgement, which
follows the commit. The sender keeps the contract: at most eight batches in flight for each of twenty gateways. The
peer is the usual script (bench/script.py) on the same values as ThingsBoard's JSON; its clock stops at its last
successful write. Afterwards the store is asked whether every reading is there. The limit is influxd itself, given
ready lines 5,000 a request on one connection. Sender, broker and database share the cores with the ingester: a rate is
what the whole machine gives, CPU is counted by process.
"""

from __future__ import annotations

import http.client
import json
import tempfile
import time
from base64 import b64encode
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bench import broker, decode, field, process, report, sender
from cloud.store import open_store
from tests import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "pipeline"
TITLE = "Message → committed store"
ROUNDS = 3
GATEWAYS = [f"gw-{number:02}" for number in range(20)]
# rows of 30 values, all gateways together: ours a multiple of 20 · 60, the script's of 20 · 6 and of 1,000 readings
ROWS = {"ours": 12_000, "script": 3_600}
QUICK = {"ours": 1_200, "script": 1_200}
BODY_LINES = 5_000
_DATABASES: tuple[type[servers.InfluxD1 | servers.InfluxD2], ...] = (servers.InfluxD1, servers.InfluxD2)


class Cost(msgspec.Struct, frozen=True):
    """What one run took: values a second, and CPU seconds a million values of ingester, broker and database."""

    rate: float
    ingester: float
    broker: float
    database: float


class Target(msgspec.Struct, frozen=True):
    """Where values go: a fresh database or file for every run."""

    name: str
    pid: int = 0
    url: str = ""
    token_file: str | None = None
    token: str = ""
    org: str = ""

    def table(self, run: str, folder: Path) -> dict[str, Any]:
        """Return `[store]` of this run."""
        if not self.url:
            return {"engine": "sqlite", "path": str(folder / f"{run}.db")}
        login = {"token_file": self.token_file, "org": self.org} if self.token else {}
        return {"engine": "influx", "url": self.url, "database": run, **login}


class Bench:
    """A broker, the databases that are here, and a folder."""

    def __init__(self, stack: ExitStack, rows: dict[str, int]) -> None:
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gocche-bench-")))
        self._broker = stack.enter_context(broker.running(self._folder / "broker"))
        self._rows = rows
        self._runs = 0
        self.sqlite = Target("SQLite FULL")
        self.influx: dict[str, Target] = {}
        self.notes = [f"broker: {self._broker.name}; SQLite and InfluxDB on {process.file_system(self._folder)}"]
        for kind in _DATABASES:
            absent = servers.missing(kind.name)
            if absent:
                self.notes.append(f"{absent}: its rows are not measured")
                continue
            server = kind(self._folder / kind.__name__)
            stack.enter_context(server)
            self.influx[kind.name] = self._target(server)

    def _target(self, server: servers.InfluxD1 | servers.InfluxD2) -> Target:
        if isinstance(server, servers.InfluxD1):
            return Target(server.name, server.pid, server.url)
        file = self._folder / "token"
        file.write_text(server.token, encoding="ascii")
        return Target(server.name, server.pid, server.url, str(file), server.token, server.org)

    def candidates(self) -> dict[str, Callable[[], Cost]]:
        """Return what is measured, in the order of the table."""
        found: dict[str, Callable[[], Cost]] = {}
        for target in (self.sqlite, *self.influx.values()):
            for rows in (6, 60):
                found[f"gocche → {target.name}, {rows} rows"] = partial(self._ours, target, rows)
        for target in self.influx.values():
            found[f"script → {target.name}, 6 rows"] = partial(self._script, target, 6, whole=True)
            found[f"script → {target.name}, a reading"] = partial(self._script, target, 1, whole=False)
            found[f"limit: {target.name} alone"] = partial(self._limit, target)
        return found

    def _ours(self, target: Target, rows: int) -> Cost:
        said = list(packets(self._rows["ours"] // len(GATEWAYS), rows))
        table = target.table(self._run(), self._folder)
        with process.Child(
            "bench.ours", self._broker.port, json.dumps(table), self._folder, log=self._folder / "ours.log"
        ) as child:
            gateways = sender.Gateways(self._broker.port, GATEWAYS, said)
            before = self._cpu(child.pid, target)
            started, ended = gateways.run()
            cost = self._cost(before, self._cpu(child.pid, target), ended - started, self._rows["ours"] * 30)
        store = open_store(table, writer=False)
        stored = sum(row.n - row.refused for row in store.ledger() if row.verdict == "stored")
        store.close()
        assert stored == self._rows["ours"] * 5, stored
        return cost

    def _script(self, target: Target, rows: int, *, whole: bool) -> Cost:
        total = self._rows["script"]
        messages = list(_messages(total // len(GATEWAYS), rows, whole=whole))
        run = self._run()
        store = open_store(target.table(run, self._folder), writer=True)
        store.setup()
        settings = {"url": target.url, "token": target.token or "any:any", "org": target.org or "-", "bucket": run}
        log = self._folder / "script.log"
        with process.Child("bench.script", self._broker.port, json.dumps(settings), total * 5, log=log) as child:
            before = self._cpu(child.pid, target)
            started = sender.publish(self._broker.port, messages)
            ended = float(child.line().removeprefix("done "))
            cost = self._cost(before, self._cpu(child.pid, target), ended - started, total * 30)
        hours = [store.hourly(name, "soil-1", "moisture", 0, field.START_MS * 2) for name in GATEWAYS]
        store.close()
        assert sum(hour.n for own in hours for hour in own) == total
        return cost

    def _limit(self, target: Target) -> Cost:
        run = self._run()
        store = open_store(target.table(run, self._folder), writer=True)
        store.setup()
        store.close()
        lines = list(_lines(self._rows["ours"] // len(GATEWAYS)))
        bodies = ["\n".join(lines[at : at + BODY_LINES]) for at in range(0, len(lines), BODY_LINES)]
        login = {"Authorization": f"Basic {b64encode(f'any:{target.token}'.encode()).decode()}"} if target.token else {}
        connection = http.client.HTTPConnection(target.url.removeprefix("http://"))
        before, started = self._cpu(0, target), time.monotonic()
        for body in bodies:
            connection.request("POST", f"/write?db={run}&precision=ns", body.encode(), login)
            reply = connection.getresponse()
            assert reply.status == 204, reply.read()
            reply.read()
        cost = self._cost(before, self._cpu(0, target), time.monotonic() - started, self._rows["ours"] * 30)
        connection.close()
        return cost

    def _run(self) -> str:
        self._runs += 1
        return f"bench{self._runs}"

    def _cpu(self, child: int, target: Target) -> list[float]:
        return [process.cpu_s(pid) if pid else 0.0 for pid in (child, self._broker.pid, target.pid)]

    def _cost(self, before: list[float], after: list[float], seconds: float, values: int) -> Cost:
        used = [(late - early) / values * 1e6 for early, late in zip(before, after, strict=True)]
        return Cost(values / seconds, *used)


def run(*, quick: bool = False) -> str:
    """Return the table. Raises AssertionError where a reading is not in the store afterwards."""
    with ExitStack() as stack:
        bench = Bench(stack, QUICK if quick else ROWS)
        candidates = bench.candidates()
        rounds = [
            {f"{name} {part}": value for name, job in candidates.items() for part, value in _parts(job())}
            for _ in range(1 if quick else ROUNDS)
        ]
        got = report.medians(rounds)
    costs = {name: Cost(**{part: got[f"{name} {part}"] for part in Cost.__struct_fields__}) for name in candidates}
    head = ("pipeline", "values/s", "CPU s/M ingester", "broker", "database", "rate/script", "script CPU/CPU")
    table = report.table(head, (_row(name, costs) for name in costs))
    return "\n".join([table, "", *(f"- {note}" for note in bench.notes)])


def _parts(cost: Cost) -> Iterator[tuple[str, float]]:
    return ((part, getattr(cost, part)) for part in Cost.__struct_fields__)


def _row(name: str, costs: dict[str, Cost]) -> tuple[str, ...]:
    own = costs[name]
    scripts = {title: cost for title, cost in costs.items() if title.startswith("script") and title.endswith("6 rows")}
    script = next((cost for title, cost in scripts.items() if title.split(",")[0].split(" → ")[1] in name), None)
    script = script or next(iter(scripts.values()), None)  # SQLite stands beside the script on the first InfluxDB
    ratios = ("–", "–") if script is None else (
        report.times(own.rate / script.rate),
        report.times(script.ingester / own.ingester) if own.ingester else "–",
    )  # fmt: skip
    cpu = [report.figure(used) if used else "–" for used in (own.ingester, own.broker, own.database)]
    return (name, report.figure(own.rate), *cpu, *ratios)


def packets(rows: int, each: int) -> Iterator[bytes]:
    """Yield one gateway's packets of `each` rows."""
    probes, first = field.five(1), 1
    for at in range(0, rows, each):
        readings = list(field.polled(probes, at * field.EVERY_MS, (at + each) * field.EVERY_MS))
        yield field.packed(readings, first)
        first += len(readings)


def _messages(rows: int, each: int, *, whole: bool) -> Iterator[tuple[str, bytes]]:
    """Yield topic and JSON of all gateways, taking turns: `each` rows a message, or one reading."""
    probes = field.five(1)
    for at in range(0, rows, each):
        readings = list(field.polled(probes, at * field.EVERY_MS, (at + each) * field.EVERY_MS))
        for said in [readings] if whole else [[reading] for reading in readings]:
            payload = field.thingsboard(said)
            yield from ((f"tb/{name}/telemetry", payload) for name in GATEWAYS)


def _lines(rows: int) -> Iterator[str]:
    """Yield what ours sends to InfluxDB, ready."""
    for packet in packets(rows, 60):
        for name in GATEWAYS:
            yield from decode.lines(packet, name).splitlines()
