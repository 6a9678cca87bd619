"""A million samples of coverage into their book, and out of it the finished sheets of the map.

Walks of 25 to 100 minutes, a moment each five seconds, within 55 by 50 km: 20 teams, three networks, two months. The
strength is a smooth field of some kilometres with 5 dB of noise; below -120 dBm there is no service. A process of its
own puts the samples in as files are read, another makes the sheets: of now, of every network and the best of them,
both layers, resolution 8 and near 20 hamlets 9; then those of the months.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from bench import report
from cloud.coverage.book import NAME as BOOK
from cloud.coverage.book import Book, sheet, sheets
from cloud.coverage.sample import NONE, SERVED, Heard, Sample
from cloud.coverage.scale import Scale
from cloud.coverage.sheets import Sheets
from cloud.coverage.uploads import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME, TITLE = "coverage", "Coverage: a million samples, and the map from them"
SAMPLES = 1_000_000
MAP_S, MAP_MB = 5.0, 300.0
BEGIN_MS, DAY_MS = 1_788_195_600_000, 86_400_000  # 2026-09-01 in Vietnam
NOW_MS = BEGIN_MS + 62 * DAY_MS
SOUTH, WEST, SIDE = 21.3, 104.3, 0.5
NETWORKS = 452_004, 452_001, 452_002


def run(*, quick: bool = False) -> str:
    """Return the table."""
    n = SAMPLES // 100 if quick else SAMPLES
    with tempfile.TemporaryDirectory(prefix="gocche-bench-") as folder:
        put, made = (_child(f"_{what}", folder, n) for what in ("put", "made"))
        size = (Path(folder) / BOOK).stat().st_size
    rows = [
        ("put, samples a second", report.figure(n / put["s"]), "-"),
        ("memory meanwhile (MB)", report.figure(put["mb"]), "-"),
        (f"the map: {made['now']} sheets of now, {made['cells']:,} cells (s)", report.figure(made["now_s"]),
         report.times(made["now_s"] / MAP_S)),
        ("of that by the processor (s)", report.figure(made["now_cpu_s"]), report.times(made["now_cpu_s"] / MAP_S)),
        (f"beside it {made['months']} sheets of months (s)", report.figure(made["s"] - made["now_s"]), "-"),
        ("memory meanwhile (MB)", report.figure(made["mb"]), report.times(made["mb"] / MAP_MB)),
        ("the largest sheet, read (ms)", report.figure(made["read_ms"]), "-"),
    ]  # fmt: skip
    told = report.table(("what", f"{n:,} samples", f"of {MAP_S:g} s, {MAP_MB:g} MB"), rows)
    return f"{told}\n\nThe file has {size // n} B a sample; {made['spots']:,} spots."


def _child(what: str, folder: str, n: int) -> dict[str, float]:
    words = [sys.executable, "-c", f"from bench.coverage import {what}; {what}({folder!r}, {n})"]
    return dict(json.loads(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout))


def _put(folder: str, n: int) -> None:
    book, spent_s, some = Book(Path(folder) / BOOK), 0.0, list[Sample]()
    for number, one in enumerate(_walked(n), 1):
        some.append(one)
        if len(some) == AT_ONCE or number == n:
            began = time.perf_counter()
            if book.put(some, NOW_MS).new != len(some):
                raise AssertionError("not all of them were new")
            spent_s += time.perf_counter() - began
            some = []
    book.close()
    print(json.dumps({"s": spent_s, "mb": _mb()}))


def _made(folder: str, _n: int) -> None:
    path, dice = Path(folder) / BOOK, Random(1)
    hamlets = [(SOUTH + dice.random() * SIDE, WEST + dice.random() * SIDE) for _ in range(20)]
    book = Book(path)
    maker = Sheets(book, Scale())
    began, cpu, now_s, now_cpu_s = time.perf_counter(), time.process_time(), 0.0, 0.0
    while maker.make(hamlets, NOW_MS):
        with book.using() as db:
            (left,) = db.execute("SELECT count(*) FROM changed WHERE month = 0").fetchone()
        if not left and not now_s:
            now_s, now_cpu_s = time.perf_counter() - began, time.process_time() - cpu
    whole_s, mb = time.perf_counter() - began, _mb()
    keys = sheets(path)
    began = time.perf_counter()
    found = sheet(path, "phone", 0, 0, 8)
    read_ms = (time.perf_counter() - began) * 1_000
    with book.using() as db:
        (spots,) = db.execute("SELECT count(*) FROM spot").fetchone()
    book.close()
    told = {"s": whole_s, "now_s": now_s, "now_cpu_s": now_cpu_s, "mb": mb, "read_ms": read_ms, "spots": spots}
    told |= {
        "now": sum(not month for _, _, month, _, _ in keys),
        "months": sum(bool(month) for _, _, month, _, _ in keys),
    }
    print(json.dumps(told | {"cells": len(found.cells) if found else 0}))


def _walked(n: int) -> Iterator[Sample]:
    dice, made = Random(5), 0
    while True:
        lat, lon, head = SOUTH + dice.random() * SIDE, WEST + dice.random() * SIDE, dice.random() * 6.28
        plmn, team = dice.choice(NETWORKS), f"team-{dice.randrange(20)}"
        at_ms = BEGIN_MS + dice.randrange(60) * DAY_MS + dice.randrange(12) * 3_600_000
        for step in range(dice.randrange(300, 1_200)):
            head += dice.gauss(0, 0.2)
            lat, lon = lat + math.cos(head) * 6 / 111_000, lon + math.sin(head) * 6 / 103_000
            dbm = -105 + 25 * math.sin(lat * 90) * math.cos(lon * 80) + dice.gauss(0, 5)
            served = dbm > -120
            yield Sample(
                time_ms=at_ms + step * 5_000, lat=round(lat, 7), lon=round(lon, 7), source="phone", by=team, plmn=plmn,
                service=SERVED if served else NONE, accuracy_m=5.0, radio=3 if served else 0, nr_looked=True,
                lte=Heard(rsrp_dbm=round(dbm, 1), cell=1_000 + int(lat * 100), pci=5) if served else None,
                nr=Heard(rsrp_dbm=-100.0) if dbm > -90 else None,
            )  # fmt: skip
            made += 1
            if made == n:
                return


def _mb() -> float:
    """Return the most that this process has held; `getrusage` would tell of who started it, too."""
    status = Path("/proc/self/status").read_text("utf-8")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))) / 1_000
