"""From the sample that completes a suspicion to its first letter, with a province of nodes on the line.

So many nodes send one batch a minute each (six rows of PM2.5, PM10 and CO, ten seconds apart) through a real broker
to `gocche cloud` with the sample's rules and a limit of PM2.5 (20 s): all its rooms, SQLite with its flushes. Twice a
second one of them burns: its batch holds all the smoke that the rule wants. The clock starts when that batch is
written to the broker's socket and stops when an HTTP server that plays somebody's program has the letter's POST.
Sender, broker, rooms and that server share the machine. The detector runs over all nodes; the letters are those of
the `limit` rule, for what the detector wants to see of a node before it believes it takes longer than a bench.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from bench import broker, fleet, process, report
from bench.letters import Letters, gateways
from bench.sender import Link, name
from cloud.rooms import ROOMS
from cloud.store import open_store
from tests import build, servers
from wire import topics

NAME = "told"
TITLE = "From the sample that completes a suspicion to its first letter"
MINUTE_S, ROWS, ROW_MS = 60.0, 6, 10_000
FIRE_S = 0.5  # between two fires
LIMIT_S = 5.0
ALL_TOLD_S = 60.0
CALM, SMOKE = {"pm2_5": 6.0, "pm10": 9.0, "co": 0.3}, {"pm2_5": 240.0, "pm10": 300.0, "co": 9.0}
CLOUD = """
[[channel]]
kind = "webhook"
url = "http://127.0.0.1:{port}/"
[alerts]
budget = 1000
[[rule]]
name = "smoke"
kind = "limit"
quantity = "pm2_5"
over = 55.0
clear_below = 35.0
persist_s = 20
clear_s = 30
"""


class Size(msgspec.Struct, frozen=True):
    """How many nodes, and for how long fires are lit after the first minute."""

    nodes: int
    fires_s: float


FULL, QUICK = Size(13_560, 120.0), Size(600, 5.0)


class Used(msgspec.Struct, frozen=True):
    """CPU seconds of processes by name, and of each core: (busy, all)."""

    at_s: float
    processes: dict[str, float]
    cores: list[tuple[float, float]]


class Province:
    """Nodes that send a batch a minute each, evenly; one that burns goes on burning."""

    def __init__(self, port: int, nodes: int) -> None:
        self._link, self._nodes = Link(port), nodes
        self._topics = [name(topics.up(f"gw-{number:05}")) for number in range(nodes)]
        self.lit: dict[int, float] = {}  # node: when the batch that is enough was written
        self.sent = 0
        self.behind_s = 0.0

    def run(self, seconds: float, *, fires: bool) -> None:
        """Send for so long."""
        each_s = MINUTE_S / self._nodes
        next_s = began_s = time.monotonic()
        fire_s = began_s + FIRE_S
        while next_s < began_s + seconds:
            number = self.sent % self._nodes
            lights = fires and time.monotonic() >= fire_s and number not in self.lit
            self._link.publish(self._topics[number], self._batch(number, burns=lights or number in self.lit))
            wait_s = max(0.0, next_s - time.monotonic())
            while self._link.waiting or wait_s > 0:
                for _ in self._link.turn(wait_s):
                    pass
                wait_s = max(0.0, next_s - time.monotonic())
            if lights:
                self.lit[number] = time.monotonic()
                fire_s += FIRE_S
            self.sent += 1
            next_s += each_s
            self.behind_s = max(self.behind_s, time.monotonic() - next_s)

    def idle(self) -> None:
        """Take what the broker answers."""
        for _ in self._link.turn(0.05):
            pass

    def close(self) -> None:
        """Say goodbye."""
        self._link.close()

    def _batch(self, number: int, *, burns: bool) -> bytes:
        rows = [{"smoke-1": SMOKE if burns else CALM}] * ROWS
        start_ms = time.time_ns() // 1_000_000 - ROWS * ROW_MS
        first = 1 + self.sent // self._nodes * ROWS
        return build.packet(epoch=f"{number:016x}", first=first, rows=rows, start_ms=start_ms, step_ms=ROW_MS)


def run(*, quick: bool = False) -> str:
    """Return the tables. Raises AssertionError where a fire is not told, or a batch is not stored."""
    size = QUICK if quick else FULL
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gocche-bench-")))
        line = stack.enter_context(broker.running(folder / "broker"))
        letters = Letters()
        stack.enter_context(letters.taken())
        table = {"engine": "sqlite", "path": "store.db"}
        extra = CLOUD.format(port=letters.port)
        pids = stack.enter_context(
            contextmanager(fleet.whole)(folder, line.port, table, garden=_garden(folder), extra=extra)
        )
        province = Province(line.port, size.nodes)
        province.run(MINUTE_S if not quick else MINUTE_S / 6, fires=False)
        before = _used(pids, line.pid)
        province.run(size.fires_s, fires=True)
        after = _used(pids, line.pid)
        end_s = time.monotonic() + ALL_TOLD_S
        while province.lit.keys() - letters.at_s.keys() and time.monotonic() < end_s:
            province.idle()
        store = open_store(table | {"path": str(folder / "store.db")}, writer=False)
        servers.until(lambda: _stored(store) == province.sent * ROWS, ALL_TOLD_S, "every reading is stored")
        store.close()
        province.close()
    untold = province.lit.keys() - letters.at_s.keys()
    assert not untold, f"{len(untold)} of {len(province.lit)} fires are not told"
    assert letters.at_s.keys() == province.lit.keys(), "what does not burn is told"
    most = max(Counter(number for _, letter in letters.all for number in gateways(letter)).values())
    waits = sorted(letters.at_s[number] - lit_s for number, lit_s in province.lit.items())
    return _tables(size, waits, most, before, after, province, line.name)


def _stored(store: object) -> int:
    return sum(row.n - row.refused for row in store.ledger() if row.verdict == "stored")  # type: ignore[attr-defined]


def _garden(folder: Path) -> Path:
    """Return the sample's garden, whose fire watch is told by the webhook."""
    garden = folder / "garden"
    shutil.copytree(fleet.SAMPLE.parent / "garden", garden)
    people = garden / "people.csv"
    people.write_text(people.read_text(encoding="utf-8").replace("console:p01", "webhook:p01"), encoding="utf-8")
    return garden


def _used(pids: list[int], broker_pid: int) -> Used:
    taken = Counter[str]()
    for pid in pids:
        taken[next((room for room in ROOMS if room in process.words(pid)), "keeper")] += process.cpu_s(pid)
    taken["broker"], taken["sender and letters"] = process.cpu_s(broker_pid), time.process_time()
    lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    ticks = [[int(word) for word in line.split()[1:9]] for line in lines if re.match(r"cpu\d", line)]
    return Used(time.monotonic(), dict(taken), [(sum(own) - own[3] - own[4], sum(own)) for own in ticks])


def _tables(
    size: Size, waits: list[float], most: int, before: Used, after: Used, province: Province, broker_name: str
) -> str:
    took_s = after.at_s - before.at_s
    p99 = waits[min(len(waits) - 1, int(0.99 * len(waits)))]
    figures = [
        ("p50, s", report.figure(waits[len(waits) // 2]), "–"),
        ("p99, s", report.figure(p99), str(LIMIT_S)),
        ("slowest, s", report.figure(waits[-1]), "–"),
        ("letters to one person of one fire, most", str(most), "1"),
    ]
    cpu = [(what, _percent(after.processes[what] - used, took_s)) for what, used in before.processes.items()]
    cores = [
        (f"core {number}, whatever runs there", _percent(late[0] - early[0], late[1] - early[1]))
        for number, (early, late) in enumerate(zip(before.cores, after.cores, strict=True))
    ]
    note = (
        f"- {province.sent:,} batches of {ROWS} rows, {size.nodes / MINUTE_S:.0f} a second, all stored; the sender was"
        f" at most {province.behind_s:.1f} s behind; broker: {broker_name}; store: SQLite"
    )
    return "\n".join(
        [
            report.table((f"{size.nodes:,} nodes, {len(waits)} fires", "measured", "limit"), figures),
            "",
            report.table(("CPU while fires are lit", "% of a core"), [*cpu, *cores]),
            "",
            note,
        ]
    )


def _percent(part: float, whole: float) -> str:
    return report.figure(100 * part / whole)
