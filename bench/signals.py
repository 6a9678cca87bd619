"""From a hamlet's loss of service to the letter about it, through broker, rooms and a channel.

173 hamlets with a modem each, which says every twenty seconds whether it has service, through a real broker to
`gocche cloud` with the sample's rules (`no-signal` lasts 20 s before it is told): all its rooms, SQLite with its
flushes. Hamlets are lost one after the other, half a minute apart; then all the others at once, as when a mast or the
network goes. The clock of a hamlet starts when its first reading without service is written to the broker's socket,
and stops when an HTTP server that plays somebody's program has the letter about it. *Busy* is with two processes beside
it that do nothing but count. It is day: by night such letters wait (`signal_night`).
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench import broker, fleet, report
from bench.letters import Letters
from bench.ring import crowded
from bench.sender import Link, name
from tests import build
from wire import topics

NAME = "signal"
TITLE = "From a hamlet's loss of service to its letter"
EVERY_S, PERSIST_S, SLACK_S = 20.0, 20.0, 60.0
LIMIT_S = PERSIST_S + SLACK_S
CALM_S, APART_S, ALL_TOLD_S = 45.0, 30.0, 180.0
EXTRA = """
[[channel]]
kind = "webhook"
url = "http://127.0.0.1:{port}/"
[alerts]
signal_night = ""
"""


class Size(NamedTuple):
    """How many hamlets there are, and how many are lost one after the other."""

    hamlets: int
    alone: int


FULL, QUICK = Size(173, 8), Size(12, 1)


class Valley:
    """Modems that speak evenly; those that were lost go on saying that they have no service."""

    def __init__(self, port: int, hamlets: int) -> None:
        self._link, self._hamlets = Link(port), hamlets
        self._topics = [name(topics.up(f"gw-{number:05}")) for number in range(hamlets)]
        self._sent = [0] * hamlets
        self._at, self._next_s = 0, time.monotonic()
        self.without: set[int] = set()
        self.lost_s: dict[int, float] = {}

    def run(self, seconds: float, until: Letters | None = None, told: int = 0) -> None:
        """Speak for so long, or until so many were told."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s and not (until and _incidents(until) >= told):
            number = self._at % self._hamlets
            lost = number in self.without
            self._link.publish(self._topics[number], self._batch(number, 2.0 if lost else 1.0))
            self._next_s += EVERY_S / self._hamlets
            wait_s = max(0.0, self._next_s - time.monotonic())
            while self._link.waiting or wait_s > 0:
                for _ in self._link.turn(wait_s):
                    pass
                wait_s = max(0.0, self._next_s - time.monotonic())
            if lost:
                self.lost_s.setdefault(number, time.monotonic())
            self._at += 1

    def close(self) -> None:
        """Say goodbye."""
        self._link.close()

    def _batch(self, number: int, code: float) -> bytes:
        self._sent[number] += 1
        now_ms = time.time_ns() // 1_000_000
        rows = [{"modem-1": {"registration": code}}]
        return build.packet(epoch=f"{number:016x}", first=self._sent[number], rows=rows, start_ms=now_ms, step_ms=1)


class Took(NamedTuple):
    """Seconds from loss to letter of those alone, to the last letter of all at once, and in how many letters."""

    alone: list[float]
    at_once_s: float
    letters: int


def run(*, quick: bool = False) -> str:
    """Return the table. Raises AssertionError where a hamlet is not told."""
    size = QUICK if quick else FULL
    calm = _round(size, loaded=False)
    loaded = calm if quick else _round(size, loaded=True)
    limit = report.figure(LIMIT_S)
    rows = [
        ("a hamlet alone, median", *(report.figure(median(one.alone)) for one in (calm, loaded)), limit),
        ("a hamlet alone, slowest", *(report.figure(max(one.alone)) for one in (calm, loaded)), limit),
        (
            f"{size.hamlets - size.alone} hamlets at once, until the last is told",
            *(report.figure(one.at_once_s) for one in (calm, loaded)),
            report.figure(LIMIT_S + EVERY_S),
        ),
        ("letters about those", *(str(one.letters) for one in (calm, loaded)), "–"),
    ]
    head = ("seconds from the first reading without service", "calm", "busy", "limit")
    note = (
        f"- persistence {PERSIST_S:g} s of the rule, a reading each {EVERY_S:g} s; letters of one rule are gathered for"
        " 45 s from the third on; at once: of the last modem, which speaks up to 20 s after the first"
    )
    return f"{report.table(head, rows)}\n\n{note}"


def _round(size: Size, *, loaded: bool) -> Took:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gocche-bench-")))
        line = stack.enter_context(broker.running(folder / "broker"))
        letters = Letters()
        stack.enter_context(letters.taken())
        table = {"engine": "sqlite", "path": "store.db"}
        whole = contextmanager(fleet.whole)
        extra = EXTRA.format(port=letters.port)
        stack.enter_context(whole(folder, line.port, table, garden=_garden(folder, size.hamlets), extra=extra))
        stack.enter_context(crowded() if loaded else nullcontext())
        valley = Valley(line.port, size.hamlets)
        stack.callback(valley.close)
        valley.run(CALM_S)
        for number in range(size.alone):
            valley.without.add(number)
            valley.run(APART_S)
        valley.run(ALL_TOLD_S, letters, size.alone)
        alone = [letters.at_s[number] - valley.lost_s[number] for number in range(size.alone)]
        before, began_s = len(letters.all), time.monotonic()
        valley.without = set(range(size.hamlets))
        valley.run(ALL_TOLD_S, letters, size.hamlets)
        told = _incidents(letters)
        assert told == size.hamlets, f"{told} of {size.hamlets} hamlets are told"
        return Took(alone, letters.all[-1][0] - began_s, len(letters.all) - before)


def _incidents(letters: Letters) -> int:
    """Return of how many incidents the letters tell: one that gathers several says of how many."""
    said = (re.search(r"(\d+) sự việc", letter) for _, letter in letters.all)
    return sum(int(many[1]) if many else 1 for many in said)


def _garden(folder: Path, hamlets: int) -> Path:
    """Return the sample's garden with so many hamlets, whose telecom official is told by the webhook."""
    garden = folder / "garden"
    shutil.copytree(fleet.SAMPLE.parent / "garden", garden)
    people = garden / "people.csv"
    people.write_text(people.read_text(encoding="utf-8").replace("console:p02", "webhook:p02"), encoding="utf-8")
    places = "".join(f"v{n:03},Bản {n},c01,21.7,104.0,,2025-07-01,\n" for n in range(hamlets))
    bound = "".join(f"gw-{n:05},modem-1,hamlet,v{n:03},2025-07-01,,0,no,\n" for n in range(hamlets))
    for file, rows in (("hamlets.csv", places), ("bindings.csv", bound)):
        path = garden / file
        path.write_text(f"{path.read_text(encoding='utf-8').rstrip()}\n{rows}", encoding="utf-8")
    return garden
