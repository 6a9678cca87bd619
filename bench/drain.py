"""One gateway's backlog through the real uplink, broker, ingester and SQLite, in the edge's own window.

A window of small messages and the answers to it go to and fro: where a side waits to fill a packet (Nagle) until the
other side's delayed acknowledgement comes, each window costs 40 ms. `waiting` is how sockets are when nobody asks for
TCP_NODELAY and TCP_QUICKACK; else Mosquitto is asked for it, too (`set_tcp_nodelay true`, as docs/install.md has it).
What remains is Python on shared cores, and the flush of each commit where the file system honours it. A gateway cuts
what waits for a connection into full batches; batches of six rows are what it had cut before.

Gateway, broker and server share the machine, so each one's CPU a message stands beside the rate. What the busiest of
them would carry with a core to itself is the bound: where the rate is far below it while nothing else runs, they wait
for each other and for the disk, unless all cores are busy: then the machine is what is measured.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple
from unittest.mock import DEFAULT, patch

from bench import broker, field, process, report
from edge.board import Board
from edge.clock import SystemClock
from edge.config import Broker
from edge.send import session
from edge.send.carrier import Ends
from edge.send.uplink import Uplink
from edge.send.window import Window
from wire import codec, topics
from wire.batch import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NAME = "drain"
TITLE = "One gateway's backlog"
ROUNDS = 3
GATEWAY = "gw-00"
PATIENCE_S = 60.0
SIX, FULL = 6, codec.MAX_VALUES // 30  # rows of 30 values
_WAYS = {  # rows a batch, how many batches, do ours send at once? the broker's? and what is to be reached
    "6 rows, all sockets waiting": (SIX, 1_000, False, False, None),
    "6 rows, gocche's at once": (SIX, 1_500, True, False, None),
    "6 rows, the broker's too": (SIX, 3_000, True, True, 600_000),
    "full batches, the broker's too": (FULL, 800, True, True, 900_000),
}
_HEAD = (
    "backlog", "messages/s", "values/s", "limit", "rate/waiting",
    *(f"{who}, µs" for who in ("server", "gateway", "broker")), "cores busy", "busiest",
    "its core would carry, values/s",
)  # fmt: skip


class Drained(NamedTuple):
    """Messages a second, and the seconds of CPU that each party used for one."""

    rate: float
    server: float
    gateway: float
    broker: float

    @property
    def busiest(self) -> str:
        """Whose CPU bounds the rate. Python carries no more than one core; Mosquitto has one thread."""
        return max(self._fields[1:], key=lambda who: getattr(self, who))


class Gateway:
    """Sends packets in the window that a gateway has, through its uplink."""

    def __init__(self, port: int, packets: list[bytes]) -> None:
        self._waiting, self._left = deque(packets), len(packets)
        self._window, self._flying = Window(), deque[tuple[int, float]]()
        self._up, self._done = threading.Event(), threading.Event()
        self._refused = ""
        ends = Ends(lambda: b"{}", self._answered, lambda _: self._up.set())
        keys = Broker(host="127.0.0.1", port=port, spread_s=0)
        self._uplink = Uplink(keys, GATEWAY, ends, Board(), SystemClock())

    def drain(self, server: int, broker: int) -> Drained:
        """Return rate and cost from the first message sent to the last acknowledged as stored; takes process ids."""
        watched = (server, os.getpid(), broker)
        self._uplink.start()
        try:
            assert self._up.wait(PATIENCE_S)
            before = [process.cpu_s(pid) for pid in watched]
            count, started = self._left, time.monotonic()
            self._send()
            assert self._done.wait(PATIENCE_S), f"{self._left} not acknowledged"
            assert not self._refused, self._refused
            rate = count / (time.monotonic() - started)
            spent = [(process.cpu_s(pid) - had) / count for pid, had in zip(watched, before, strict=True)]
            return Drained(rate, *spent)
        finally:
            self._uplink.stop(b"{}")

    def _send(self) -> None:
        while self._waiting and self._window.room:
            packet = self._waiting.popleft()
            assert self._uplink.publish(topics.up(GATEWAY), packet)
            self._window.sent(len(packet))
            self._flying.append((len(packet), time.monotonic()))

    def _answered(self, payload: bytes) -> None:
        for item in codec.decode_ack(payload).items:
            if item.code != Verdict.STORED:
                self._refused = item.words or str(item.code)
            self._left -= 1
            size, sent_s = self._flying.popleft()  # in the order of sending, as one broker and one ingester keep it
            self._window.answered(size, (time.monotonic() - sent_s) * 1000)
        self._send()
        if not self._left or self._refused:
            self._done.set()


def run(*, quick: bool = False) -> str:
    """Return the table."""
    rounds = [
        {
            name: measured(list(_packets(each, 80 if quick else count)), *how)
            for name, (each, count, *how, _) in _WAYS.items()
        }
        for _ in range(1 if quick else ROUNDS)
    ]
    got = {name: Drained(*map(median, zip(*(one[name] for one in rounds), strict=True))) for name in _WAYS}
    slowest = got[next(iter(_WAYS))].rate
    rows = [told(name, each, limit, got[name], slowest) for name, (each, *_, limit) in _WAYS.items()]
    return report.table(_HEAD, rows)


def told(name: str, each: int, limit: int | None, got: Drained, slowest: float) -> Sequence[str]:
    """Return the line of the table for batches of so many rows."""
    values, busiest = each * 30, max(got[1:])
    return (
        name,
        report.figure(got.rate),
        report.figure(got.rate * values),
        report.figure(limit) if limit else "–",
        report.times(got.rate / slowest) if each == SIX else "–",
        *(report.figure(spent * 1e6) for spent in got[1:]),
        report.figure(got.rate * sum(got[1:])),
        got.busiest,
        report.figure(values / busiest),
    )


def measured(packets: list[bytes], ours: bool = True, brokers: bool = True) -> Drained:
    """Drain these packets once into a server and a SQLite of their own; `ours` and `brokers`: whose send at once."""
    with tempfile.TemporaryDirectory(prefix="gocche-bench-") as name:
        folder = Path(name)
        table = json.dumps({"engine": "sqlite", "path": str(folder / "store.db")})
        words = (table, folder) if ours else (table, folder, "waiting")
        with (
            broker.running(folder / "broker", extra="set_tcp_nodelay true" if brokers else "") as running,
            process.Child("bench.ours", running.port, *words, log=folder / "ours.log") as server,
        ):
            if ours:
                return Gateway(running.port, packets).drain(server.pid, running.pid)
            with patch.multiple(session, tune=DEFAULT, hurry=DEFAULT):
                return Gateway(running.port, packets).drain(server.pid, running.pid)


def _packets(rows: int, count: int) -> Iterator[bytes]:
    probes, first = field.five(1), 1
    for at in range(0, count * rows, rows):
        readings = list(field.polled(probes, at * field.EVERY_MS, (at + rows) * field.EVERY_MS))
        yield field.packed(readings, first)
        first += len(readings)
