"""The page of coverage from a district's survey of a million moments: how long it takes, and what it weighs.

The district is that of tests/surveys.py, 1,775 cells of 74 ha, with the ground's strengths from its hills: walkers
stay on some 60,000 places 50 m across, in six months, with two networks. The moments are invented as the spots that
they make (what the book makes of samples is measured elsewhere); the judge makes the sheets, and the page is asked for
by a server that has shown nothing yet. Wall time is that of a machine with nothing else to do, CPU that of any.
"""

from __future__ import annotations

import asyncio
import random
import re
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import h3.api.basic_int as h3

from bench import report
from cloud.coverage.judge import sheet_of
from cloud.coverage.scale import Scale
from cloud.coverage.seam import MONTH_NOW, Spot, Strength
from cloud.pages.app import build
from cloud.pages.front import Asked
from tests import surveys
from tests.visitors import ALL, NOW_MS, World

if TYPE_CHECKING:
    from cloud.pages.front import Front

NAME = "coverage_page"
TITLE = "The page of coverage, of a district with a million moments"
MOMENTS, PLACES, ROUNDS = 1_000_000, 60_000, 5
MONTHS, NETWORKS = tuple(range(202606, 202612)), (452_004, 452_001)
PAGES = {"map and hamlets": "/phu-song", "one network": "/phu-song/lop/phone.452004", "one hamlet": "/phu-song/h01",
         "months side by side": "/phu-song/thang", "numbers": "/phu-song.json"}  # fmt: skip
PAGE_MS, MAP_BYTES = 100, 10_000
BROTLI = 5  # as proxies make it


def run(*, quick: bool = False) -> str:
    """Return the table."""
    with tempfile.TemporaryDirectory(prefix="gocche-bench-") as folder:
        world = World(Path(folder))
        world.tell(ALL)
        path = Path(folder) / "coverage.db"
        moments, cells = _surveyed(path, *((MOMENTS // 20, PLACES // 20) if quick else (MOMENTS, PLACES)))
        rows = []
        for name, asked in PAGES.items():
            times, cpu = [], []
            for _ in range(1 if quick else ROUNDS):
                front = build(world.garden(surveyed=path))
                began, busy = time.monotonic(), time.process_time()
                body = asyncio.run(_made(front, asked))
                times.append((time.monotonic() - began) * 1000)
                cpu.append((time.process_time() - busy) * 1000)
            drawn = "".join(re.findall(r'<svg viewBox="0 0 1000 .*?</svg>', body.decode(), re.DOTALL))
            sizes = [_brotli(part) for part in (body, drawn.encode())]
            limits = PAGE_MS, f"{MAP_BYTES:,}" if drawn.count("<svg") == 1 else "–"
            took = report.figure(median(times)), report.figure(median(cpu))
            rows.append((name, *took, limits[0], f"{len(body):,}", *sizes, limits[1]))
        world.store.close()
    head = ("page", "first asked, ms", "CPU, ms", "limit", "made, bytes", "Brotli 5", "its maps", "limit")
    return f"{moments:,} moments in {cells:,} cells\n\n{report.table(head, [tuple(map(str, row)) for row in rows])}"


async def _made(front: Front, path: str) -> bytes:
    return (await front.asked(Asked("GET", path, b"", "vi")))[2]


def _brotli(body: bytes) -> str:
    try:
        import brotli  # noqa: PLC0415 - where it is absent, that is said
    except ImportError:
        return "not measured"
    return f"{len(brotli.compress(body, quality=BROTLI)):,}" if body else "–"


def _surveyed(path: Path, moments: int, places: int) -> tuple[int, int]:
    """Leave the sheets of a survey in the book; return how many moments it has, and cells on the first sheet."""
    chance = random.Random(1)
    every = [child for cell in surveys.ground(8) for child in h3.cell_to_children(cell, 11)]
    spots = []
    for cell in chance.sample(every, places):
        strength = -112 + 14 * surveys.height(cell) + chance.gauss(0, 7)
        for _ in range(2):
            n = max(1, round(chance.expovariate(places * 2 / moments)))
            spots.append(_spot(cell, chance.choice(MONTHS), chance.choice(NETWORKS), n, strength))
    hamlets = set(surveys.ground(9))
    near = [one for one in spots if h3.cell_to_parent(one.cell, 9) in hamlets]
    sheets: list[surveys.Made] = [
        (layer, plmn, month, res, NOW_MS, sheet_of(own, layer, plmn, month, res, Scale()))
        for layer in ("phone", "5g")
        for plmn in (0, *NETWORKS)
        for month in (MONTH_NOW, *MONTHS)
        for res, own in ((8, spots), (9, near))
    ]
    surveys.put(path, *sheets)
    return sum(one.moments for one in spots), len(sheets[0][-1])


def _spot(cell: int, month: int, plmn: int, n: int, dbm: float) -> Spot:
    last_ms = NOW_MS - (202611 - month) * 30 * surveys.DAY_MS
    if dbm < -120:
        return Spot(cell, month, plmn, n, none=n, dead=int(n >= 3), days=1 << (cell // 7 % 28), last_ms=last_ms)
    heard = Strength(n, n * dbm, n * dbm * dbm, dbm)
    return Spot(cell, month, plmn, n, days=1 << (cell // 7 % 28), last_ms=last_ms, lte=heard)
