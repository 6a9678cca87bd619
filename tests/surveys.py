"""A district that was surveyed, for tests of what is shown: sheets of judged cells in a real coverage.db.

Its ground is hilly in the way that signal is: sums of a few hills, by a seed. It is no survey whose truth is known
(that is `bench/survey.py`), but has every class, islands, holes, and what nobody measured.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import h3.api.basic_int as h3
import msgspec

from cloud.coverage.file import File
from cloud.coverage.seam import Judged
from cloud.registry.map import flat

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

MIDDLE = (21.706, 104.0)
HAMLETS = ((21.721, 104.002), (21.706, 103.99), (21.695, 104.011))  # of the sample garden
DISTRICT = 1_775  # cells: 39 by 37 km
NETWORKS = (0, 452001, 452002, 452004)
MONTHS = (202608, 202609, 202610, 202611)
DAY_MS = 86_400_000
_KINDS = ("none", "none", "weak", "fair", "good", "served", "uncertain")


@cache
def hills() -> list[tuple[float, float, float, float]]:
    chance = random.Random(4)
    return [
        (chance.uniform(-2e4, 2e4), chance.uniform(-2e4, 2e4), chance.uniform(1_500, 6_000), chance.gauss(0, 1))
        for _ in range(60)
    ]


@cache
def height(cell: int) -> float:
    x, y = flat(h3.cell_to_latlng(cell), MIDDLE)
    return sum(high * math.exp(-((x - u) ** 2 + (y - v) ** 2) / 2 / wide / wide) for u, v, wide, high in hills())


@cache
def ground(res: int) -> list[int]:
    """The cells of the district; of the finer resolution those around its hamlets."""
    if res == 8:
        return sorted(h3.grid_disk(h3.latlng_to_cell(*MIDDLE, 8), 24))[:DISTRICT]
    return sorted({cell for place in HAMLETS for cell in h3.grid_disk(h3.latlng_to_cell(*place, res), 9)})


def judged(res: int, now_ms: int, *, shift: float = 0.6, share: float = 1.0, seed: int = 1) -> list[Judged]:
    """Of each cell, if somebody went there: a class by the ground, and some with too few moments."""
    chance = random.Random(seed)
    cells = []
    for cell in ground(res):
        if chance.random() > share:
            continue
        kind = _KINDS[min(6, max(0, int(2.5 + shift + height(cell) * 1.6 + chance.gauss(0, 0.3))))]
        if chance.random() < 0.05:
            kind = "unmeasured"
        moments = 2 if kind == "unmeasured" else chance.randrange(3, 90)
        last_ms = now_ms - chance.randrange(90 * DAY_MS)
        cells.append(Judged(cell, kind, moments, chance.randrange(1, 9), last_ms))
    return cells


Made = tuple[str, int, int, int, int, Sequence[Judged]]  # layer, plmn, month, resolution, UTC ms, cells


def put(path: Path, *sheets: Made) -> None:
    """Leave sheets in the book, as the room coverage does."""
    book = File(path)
    with book.changing() as db:
        for *of, cells in sheets:
            db.execute("INSERT OR REPLACE INTO sheet VALUES (?, ?, ?, ?, ?, ?)", (*of, msgspec.msgpack.encode(cells)))
    book.close()


def surveyed(
    path: Path, now_ms: int, *, share: float = 0.8, networks: Iterable[int] = NETWORKS, months: Sequence[int] = MONTHS
) -> Path:
    """A book with sheets of both layers, of some networks, of now and of months, each month a little better."""
    sheets: list[Made] = []
    for layer, shift in (("phone", 0.6), ("5g", -0.8)):
        for plmn in networks:
            for number, month in enumerate((0, *months)):
                for res in (8, 9):
                    better = shift - 0.3 * (plmn % 5) - (0.15 * (len(months) - number) if month else 0)
                    seed = month * 10 + plmn + res
                    cells = judged(res, now_ms, shift=better, share=share if not month else share / 2, seed=seed)
                    sheets.append((layer, plmn, month, res, now_ms - 600_000, cells))
    put(path, *sheets)
    return path
