"""200 telephones of teams beside ingest: whether gateways wait for them, what they cost, whether a moment is lost.

`gocche cloud` with the sample's rules and a SQLite store on a real Mosquitto that has the passwords and the access list
of 200 accounts. A province of gateways says its batches at an even pace; each is timed from its publication to its
acknowledgement. Windows with telephones and without alternate in the same run. Each telephone tells 5G, its anchor and
its place every second, five times as often as the app does by default. A moment counts as sent when the broker has
taken all its records; afterwards the samples in the book are counted.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

import msgspec

from bench import broker, fleet, process, report, sender
from bench.pipeline import packets
from cloud.access import book, mosquitto
from cloud.clock import SystemClock
from cloud.coverage.book import NAME as SAMPLES
from cloud.registry.book import NAME as REGISTRY
from tests import servers
from wire import codec, topics

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "phones"
TITLE = "200 telephones of teams beside 200 gateways"
PHONES, GATEWAYS = 200, 200
PER_S = 10.0  # batches: three a minute of each gateway
ROWS = 6
WINDOWS, SECONDS = 4, 20.0  # of each kind
LIMIT = 1.25  # of the lag without telephones
_PUBLISH = 0x30


class Window(msgspec.Struct, frozen=True):
    """One window: lags in ms, CPU seconds a second of ingest, of the coverage room and of the broker."""

    lags: list[float]
    ingest: float
    coverage: float
    broker: float


class Gateways:
    """Gateways that say batches at an even pace, and what the cloud takes to acknowledge each."""

    def __init__(self, port: int, count: int) -> None:
        self._link = sender.Link(port)
        self._link.subscribe("gocche/v1/+/ack")
        self._said = [codec.opened(packet)[1] for packet in packets(ROWS * count, ROWS)]
        self._names = [f"gw-{number:03}" for number in range(GATEWAYS)]
        self._next = 0

    def run(self, seconds: float) -> list[float]:
        """Say batches for so long; return the milliseconds to each acknowledgement. Raises TimeoutError."""
        began, lags, flying = time.monotonic(), list[float](), dict[tuple[str, int], float]()
        while (now := time.monotonic()) < began + seconds or flying:
            if now > began + seconds + process.PATIENCE_S:
                raise TimeoutError(f"{len(flying)} batches were not acknowledged")
            if now < began + seconds and len(lags) + len(flying) < (now - began) * PER_S:
                self._say(flying)
            for kind, content in self._link.turn(0.005):
                if kind == _PUBLISH:
                    lags += self._acknowledged(content, flying)
        return lags

    def close(self) -> None:
        """Say goodbye."""
        self._link.close()

    def _say(self, flying: dict[tuple[str, int], float]) -> None:
        gateway, each = self._names[self._next % GATEWAYS], self._said[self._next // GATEWAYS]
        self._next += 1
        epoch = gateway.encode().ljust(8, b"-")[:8]
        self._link.publish(
            sender.name(topics.up(gateway)), codec.encode_message(msgspec.structs.replace(each, epoch=epoch))
        )
        flying[gateway, each.first] = time.monotonic()

    @staticmethod
    def _acknowledged(content: bytes, flying: dict[tuple[str, int], float]) -> Iterator[float]:
        length = int.from_bytes(content[:2], "big") + 2
        gateway, _ = topics.parse(content[2:length].decode())
        for item in codec.decode_ack(content[length:]).items:
            if (sent := flying.pop((gateway, item.first), None)) is not None:
                yield (time.monotonic() - sent) * 1000


def run(*, quick: bool = False) -> str:
    """Return the table. Raises AssertionError where a moment that the broker took is not in the book."""
    absent = servers.missing(servers.MOSQUITTO)
    if absent:
        return f"- {absent}: not measured"
    windows, seconds, phones = (1, 3.0, 20) if quick else (WINDOWS, SECONDS, PHONES)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gocche-bench-")))
        made = _accounts(folder, phones)
        told = stack.enter_context(_broker(folder))
        table = {"engine": "sqlite"}
        pids = stack.enter_context(contextmanager(fleet.whole)(folder, told.port, table))
        rooms = {room: next(pid for pid in pids if room in process.words(pid)) for room in ("ingest", "coverage")}
        servers.until(lambda: (folder / REGISTRY).exists() and _hears(folder), process.PATIENCE_S, "the room hears")
        gateways = Gateways(told.port, 2 + int(PER_S * seconds * (2 * windows + 1)) // GATEWAYS)
        stack.callback(gateways.close)
        gateways.run(min(seconds, 5.0))  # what only the first batches cost
        found: dict[str, list[Window]] = {"without": [], "with": []}
        sent = 0
        for number in range(windows):
            found["without"].append(_window(gateways, seconds, rooms, told.pid))
            words = (told.port, made, seconds, number * 1_000 + 1)
            with process.Child("bench.walkers", *words, log=folder / "walkers.log") as walkers:
                found["with"].append(_window(gateways, seconds, rooms, told.pid))
                sent += int(walkers.line().partition("sent ")[2])
        kept = _kept(folder, sent)
        rss = process.memory(rooms["coverage"]).rss
    assert kept == sent, f"{sent - kept} of {sent} moments are not in the book"
    return "\n\n".join(
        (
            _table(found),
            (
                f"{phones} telephones: {sent:,} moments sent, {kept:,} kept, {sent - kept} lost; "
                f"the coverage room holds {rss:.0f} MiB."
            ),
        )
    )


def _accounts(folder: Path, phones: int) -> Path:
    """Make the accounts, and write down who they are for who walks."""
    now_ms = SystemClock().utc_ms()
    with book.Book(folder / book.NAME) as accounts:
        how = {"until_ms": now_ms + book.DAY_MS, "who": "bench", "now_ms": now_ms}
        made = accounts.invite("hang-tay", phones, taken=lambda _: False, **how)  # type: ignore[arg-type]
    file = folder / "walkers.json"
    file.write_text(json.dumps([(one.account.user, one.password) for one in made]), encoding="utf-8")
    return file


@contextmanager
def _broker(folder: Path) -> Iterator[broker.Running]:
    """Run a broker with what gocche writes for it; who shows no name, as the bench's gateways and rooms, may all."""
    passwords, rights = mosquitto.write(folder, book.accounts(folder / book.NAME))
    rights.write_text(f"topic readwrite #\n\n{rights.read_text(encoding='utf-8')}", encoding="utf-8")
    extra = f"password_file {passwords}\nacl_file {rights}\nset_tcp_nodelay true"
    with broker.running(folder / "broker", extra) as told:
        yield told


def _hears(folder: Path) -> bool:
    """Tell whether the coverage room is connected: then nothing that is sent passes it by."""
    return "broker here stream=gocche-coverage" in (folder / "cloud.log").read_text(encoding="utf-8")


def _window(gateways: Gateways, seconds: float, rooms: dict[str, int], broker_pid: int) -> Window:
    pids = (rooms["ingest"], rooms["coverage"], broker_pid)
    before, began = [process.cpu_s(pid) for pid in pids], time.monotonic()
    lags = gateways.run(seconds)
    spent = time.monotonic() - began
    return Window(lags, *((process.cpu_s(pid) - was) / spent for pid, was in zip(pids, before, strict=True)))


def _kept(folder: Path, expected: int) -> int:
    """Return how many samples the book has, once it has those or for a while has no more."""
    found = [0]

    def there() -> bool:
        with closing(sqlite3.connect(f"file:{folder / SAMPLES}?mode=ro", uri=True)) as db:
            found[0] = db.execute("SELECT count(*) FROM sample").fetchone()[0]
        return found[0] >= expected

    with suppress(TimeoutError):
        servers.until(there, process.PATIENCE_S / 2, "all samples are kept")
    return found[0]


def _table(found: dict[str, list[Window]]) -> str:
    lags = {name: sorted(lag for window in windows for lag in window.lags) for name, windows in found.items()}
    p99 = {name: quantiles(own, n=100)[98] for name, own in lags.items()}
    rows = []
    for name, windows in found.items():
        cpu = [100 * median(getattr(one, part) for one in windows) for part in ("ingest", "coverage", "broker")]
        ratios = [f"{median(lags[name]) / median(lags['without']):.2f}×", f"{LIMIT}"] if name == "with" else ["–", "–"]
        own = [report.figure(one) for one in (median(lags[name]), p99[name], *cpu)]
        rows.append((f"{name} telephones", len(lags[name]), *own, *ratios))
    head = (
        "ingest",
        "batches",
        "lag p50 ms",
        "p99 ms",
        "CPU % ingest",
        "coverage",
        "broker",
        "p50 with/without",
        "limit",
    )
    return report.table(head, rows)
