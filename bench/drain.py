"""One gateway's backlog: messages a second through the real uplink, broker, ingester and SQLite, eight in flight.

A window of small messages and the answers to it go to and fro: where a side waits to fill a packet (Nagle) until the
other side's delayed acknowledgement comes, each window costs 40 ms. `waiting` is how sockets are when nobody asks for
TCP_NODELAY and TCP_QUICKACK. The last row asks for it in Mosquitto, too (`set_tcp_nodelay true`, as docs/install.md has
it). What remains is Python on shared cores, and the flush of each commit where the file system honours it.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import DEFAULT, patch

from bench import broker, field, process, report
from edge.board import Board
from edge.clock import SystemClock
from edge.config import Broker
from edge.send import session
from edge.send.carrier import Ends
from edge.send.courier import WINDOW
from edge.send.uplink import Uplink
from wire import codec, topics
from wire.batch import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "drain"
TITLE = "One gateway's backlog"
ROUNDS = 3
GATEWAY = "gw-00"
BATCHES, QUICK = 400, 80
ROWS_EACH = 6
PATIENCE_S = 60.0
_WAYS = {  # do ours send at once? the broker's?
    "all sockets waiting": (False, False),
    "gocche's at once": (True, False),
    "gocche's and the broker's": (True, True),
}


class Gateway:
    """Sends packets with at most a window in flight, through the uplink that a gateway has."""

    def __init__(self, port: int, packets: list[bytes]) -> None:
        self._waiting, self._left = deque(packets), len(packets)
        self._up, self._done = threading.Event(), threading.Event()
        self._refused = ""
        ends = Ends(lambda: b"{}", self._answered, lambda _: self._up.set())
        keys = Broker(host="127.0.0.1", port=port, spread_s=0)
        self._uplink = Uplink(keys, GATEWAY, ends, Board(), SystemClock())

    def rate(self) -> float:
        """Return the messages a second from the first sent to the last acknowledged as stored."""
        self._uplink.start()
        try:
            assert self._up.wait(PATIENCE_S)
            count, started = self._left, time.monotonic()
            for _ in range(WINDOW):
                self._next()
            assert self._done.wait(PATIENCE_S), f"{self._left} not acknowledged"
            assert not self._refused, self._refused
            return count / (time.monotonic() - started)
        finally:
            self._uplink.stop(b"{}")

    def _next(self) -> None:
        if self._waiting:
            assert self._uplink.publish(topics.up(GATEWAY), self._waiting.popleft())

    def _answered(self, payload: bytes) -> None:
        for item in codec.decode_ack(payload).items:
            if item.code != Verdict.STORED:
                self._refused = item.words or str(item.code)
            self._left -= 1
            self._next()
        if not self._left or self._refused:
            self._done.set()


def run(*, quick: bool = False) -> str:
    """Return the table."""
    packets = list(_packets(QUICK if quick else BATCHES))
    rounds = [{way: _measured(packets, *how) for way, how in _WAYS.items()} for _ in range(1 if quick else ROUNDS)]
    got = report.medians(rounds)
    slowest = got[next(iter(_WAYS))]
    rows = [
        (way, report.figure(rate), report.figure(WINDOW / rate * 1000), report.times(rate / slowest))
        for way, rate in got.items()
    ]
    return report.table(("sockets", "messages/s", "ms for a window of 8", "rate/waiting"), rows)


def _measured(packets: list[bytes], ours: bool, brokers: bool) -> float:
    with tempfile.TemporaryDirectory(prefix="gocche-bench-") as name:
        folder = Path(name)
        table = json.dumps({"engine": "sqlite", "path": str(folder / "store.db")})
        words = (table, folder) if ours else (table, folder, "waiting")
        with (
            broker.running(folder / "broker", extra="set_tcp_nodelay true" if brokers else "") as running,
            process.Child("bench.ours", running.port, *words, log=folder / "ours.log"),
        ):
            if ours:
                return Gateway(running.port, packets).rate()
            with patch.multiple(session, tune=DEFAULT, hurry=DEFAULT):
                return Gateway(running.port, packets).rate()


def _packets(count: int) -> Iterator[bytes]:
    probes, first = field.five(1), 1
    for at in range(0, count * ROWS_EACH, ROWS_EACH):
        readings = list(field.polled(probes, at * field.EVERY_MS, (at + ROWS_EACH) * field.EVERY_MS))
        yield field.packed(readings, first)
        first += len(readings)
