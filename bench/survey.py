"""A survey on invented ground whose truth is known: how often the map is right, beside a mean and the best possible.

The ground, its masts, paths, walks and telephones are those of `gocche/garden/radio.py` and `walkers.py`, whose heads
list every figure; this file adds the worlds, what is true, and who is compared. It was fixed before the judge was
tuned, and the judge reads nothing of it.

- *A world*: a square of 10 km, seven villages at least 1,200 m apart, one network with masts near two of them, another
  near one. Three teams with three telephones each, six months with fifteen walks each; no walker goes where no path
  leads. A file of a month is brought in nine of ten cases; else what was heard without service is lost.
- *True* of a cell is the median over its *walked ground*: points 50 m apart within 75 m of a path or 150 m of a
  village, walked in this survey or not. Without fading, for an antenna that is not off. Below the limit at which the
  network is lost it is a dead zone: most of that ground has no service. The same over all ground of the cell, mountain
  sides included, is *all ground*: a survey along paths cannot know that, and the table says how far it is off.
- *Two questions* to a cell of which at least three moments came (it is *visited*): is there service or none, and which
  class of the map is it, measured (good or fair), weak or none. *Decided* is what is not *uncertain*; for the class,
  what is not *served* (service of unknown strength) either.
- *A plain mean*: most moments without service make none, else the mean of all strengths heard makes the class.
- *The best possible* on the same samples: Bayes' rule, learned from other worlds of the same generator. Of each
  visited cell it knows what the samples say (shares of places above a limit and without service, mean and spread of
  strengths, how many places, how far apart, how many days); its answer is what was true of most of the 40 cells of
  other worlds that are most alike. It leaves as many cells open as the judge does, those that it is least sure of.
- *The ceiling* hears the true strength at every place walked, even where the telephone lost it, and takes the median.
  Nobody who listens at these places alone can be expected to do better.

An early survey is thin: a table has worlds of other seeds with a fifth of the walks. The last table has worlds of which
one thing is another than the judge was tuned for.

Right is counted over decided cells, found over dead zones among them, falsely claimed over claims of *none*.
The question of service alone was added when tuning had shown how rarely even the best possible is sure of the class.
"""

from __future__ import annotations

import heapq
import math
import sys
import tempfile
from collections import Counter, defaultdict
from contextlib import ExitStack
from datetime import date
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import h3.api.basic_int as h3

from bench import report
from cloud.clock import midnight_ms
from cloud.coverage.book import NAME as BOOK
from cloud.coverage.book import Book
from cloud.coverage.judge import sheet_of
from cloud.coverage.sample import SERVED, SPOT
from cloud.coverage.scale import Scale
from cloud.coverage.seam import MONTH_NOW
from gocche.garden import radio, walkers
from gocche.garden.radio import Ground, Network, Point
from gocche.garden.walkers import paths, phones, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType

    from cloud.coverage.sample import Sample
    from cloud.coverage.seam import Spot

NAME, TITLE = "survey", "A survey on invented ground: what the map says, beside what is true"
SIZE_M, APART_M, PATH_STEP_M = 10_000.0, 1_200.0, 25.0
CORNER = 21.62, 103.95
VILLAGES, TEAMS, EACH, WALKS = 7, 3, 3, 15
A, B = 452_004, 452_001
MONTHS = [(2026, month) for month in range(5, 11)]
BROUGHT = 0.9
SEEDS, LEARNED = 10, 14
THIN, THIN_WALKS = 40, 3  # worlds with a fifth of the walks, and as many to learn from: they have few cells each
ALIKE = 40
ENOUGH = 3
CLASSES = "measured", "weak", "none"
SCALE = Scale()
ELSEWHERE = 5  # worlds of each other kind: what of the generator is another there
OTHERS: dict[str, list[tuple[ModuleType, str, float]]] = {
    "as written, other seeds": [],
    "every telephone keeps a file": [(walkers, "KEEP_FILE", 1.0)],
    "seven telephones in ten lose it": [(walkers, "KEEP_FILE", 0.3)],
    "antennas off by 7 dB": [(walkers, "DEVICE_DB", 7.0)],
    "shadows of 11 dB": [(radio, "SHADOW_DB", 11.0)],
    "shadows 150 m long": [(radio, "SHADOW_M", 150.0)],
    "a fifth of the walks": [(sys.modules[__name__], "WALKS", THIN_WALKS)],
    "exponent 3.2, masts 18 dB stronger": [(radio, "EXPONENT", 3.2), (radio, "EIRP_DBM", 46.0)],
}


class Seen(NamedTuple):
    """One visited cell of one network: what is true, what each says, and what the samples say."""

    true: str
    true_all: str
    says: dict[str, str]
    features: tuple[float, ...]


class World:
    """Ground with paths, of one seed, and the samples of its survey."""

    def __init__(self, seed: str) -> None:
        self.seed = seed
        random = Random(seed)
        villages: list[Point] = []
        while len(villages) < VILLAGES:
            point = random.uniform(800, SIZE_M - 800), random.uniform(800, SIZE_M - 800)
            if all(math.dist(point, other) >= APART_M for other in villages):
                villages.append(point)
        masts = {A: (villages[:2], -122.0), B: (villages[2:3], -118.0)}
        self.ground = Ground(seed, CORNER, SIZE_M, villages, masts)
        self.ways = paths(random, self.ground)
        self.random = random
        self.walked = self._walked_ground()
        self._strengths: dict[tuple[int, int, bool], float] = {}

    def samples(self) -> Iterable[Sample]:
        """Return what comes of six months, by month; once."""
        random, ground = self.random, self.ground
        teams = phones(random, [f"team-{number}" for number in range(TEAMS)], ground.networks, EACH)
        for year, month in MONTHS:
            brought = [random.random() < BROUGHT for _ in teams]
            for _ in range(WALKS):
                number = random.randrange(len(teams))
                ways = self.ways[random.randrange(VILLAGES)]
                start_ms = midnight_ms(date(year, month, random.randint(1, 28))) + random.randint(6, 15) * 3_600_000
                for sample in walk(random, ground, ways, teams[number], start_ms):
                    if sample.service == SERVED or brought[number]:
                        yield sample

    def strength(self, network: Network, spot: int, *, nr: bool) -> float:
        """Return the true strength in the middle of a spot."""
        key = network.plmn, spot, nr
        if key not in self._strengths:
            point = self.ground.point(h3.cell_to_latlng(spot))
            self._strengths[key] = self.ground.rsrp(network, point, nr=nr)
        return self._strengths[key]

    def true(self, network: Network, spots: Sequence[int], *, nr: bool) -> str:
        """Return the class of the median over spots."""
        median = sorted(self.strength(network, spot, nr=nr) for spot in spots)[len(spots) // 2]
        _, fair, none = SCALE.limits("nr" if nr else "lte")
        if median < (max(none, network.lost_dbm) if nr else network.lost_dbm):
            return "none"
        return "weak" if median < fair else "measured"

    def inside(self, cell: int) -> bool:
        """Tell whether the whole cell lies on the ground."""
        return all(self.ground.inside(self.ground.point(corner)) for corner in h3.cell_to_boundary(cell))

    def _walked_ground(self) -> set[int]:
        found: set[int] = set()
        for ways in self.ways.values():
            for way in ways:
                for begin, end in pairwise(way):
                    steps = int(math.dist(begin, end) / PATH_STEP_M) + 1
                    for step in range(steps):
                        share = step / steps
                        at = begin[0] + (end[0] - begin[0]) * share, begin[1] + (end[1] - begin[1]) * share
                        found.update(h3.grid_disk(h3.latlng_to_cell(*self.ground.place(at), SPOT), 1))
        for village in self.ground.villages:
            found.update(h3.grid_disk(h3.latlng_to_cell(*self.ground.place(village), SPOT), 3))
        return found


def surveyed(seed: str, folder: Path) -> tuple[World, list[Spot], int]:
    """Return a world, the spots of its survey by way of coverage.db, and how many samples came."""
    world = World(seed)
    book = Book(folder / f"{seed}-{BOOK}")
    samples = list(world.samples())
    try:
        for at in range(0, len(samples), 5_000):
            book.put(samples[at : at + 5_000], samples[-1].time_ms + 86_400_000)
        return world, list(book.spots(0, 999_999)), len(samples)
    finally:
        book.close()


def seen(world: World, spots: list[Spot], layer: str, res: int) -> list[Seen]:
    """Return every visited cell of every network."""
    nr = layer == "5g"
    by_cell: dict[int, list[int]] = defaultdict(list)
    for spot in sorted(world.walked):
        by_cell[h3.cell_to_parent(spot, res)].append(spot)
    found = []
    for network in world.ground.networks:
        own: dict[int, list[Spot]] = defaultdict(list)
        for spot in spots:
            if spot.plmn == network.plmn:
                own[h3.cell_to_parent(spot.cell, res)].append(spot)
        judged = {one.cell: one for one in sheet_of(spots, layer, network.plmn, MONTH_NOW, res, SCALE)}
        for cell, heard in sorted(own.items()):
            if judged[cell].moments < ENOUGH or not world.inside(cell) or not by_cell[cell]:
                continue
            visited = sorted({spot.cell for spot in heard if spot.nr_looked or not nr})
            says = {
                "gocche": judged[cell].state,
                "plain mean": _plain(heard, nr=nr),
                "ceiling": world.true(network, visited, nr=nr),
            }
            true = world.true(network, by_cell[cell], nr=nr)
            true_all = world.true(network, sorted(h3.cell_to_children(cell, SPOT)), nr=nr)
            found.append(Seen(true, true_all, says, _features(heard, judged[cell].days, nr=nr)))
    return found


def _plain(heard: list[Spot], *, nr: bool) -> str:
    moments = sum(spot.nr_looked if nr else spot.moments for spot in heard)
    strengths = [spot.nr if nr else spot.lte for spot in heard]
    n = sum(one.n for one in strengths)
    if 2 * n < moments:
        return "none"
    _, fair, _ = SCALE.limits("nr" if nr else "lte")
    return "weak" if sum(one.sum for one in strengths) / n < fair else "measured"


def _features(heard: list[Spot], days: int, *, nr: bool) -> tuple[float, ...]:
    """Return what the samples of a cell say, each as far as it counts beside the others."""
    places: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for spot in heard:
        strength = spot.nr if nr else spot.lte
        of = places[spot.cell]
        of[0] += spot.nr_looked if nr else spot.moments
        of[1] += strength.n
        of[2] += strength.sum
    looked = [of for of in places.values() if of[0]]
    means = [of[2] / of[1] for of in looked if of[1]]
    dead = sum(1 - of[1] / of[0] for of in looked) / len(looked)
    _, fair, none = SCALE.limits("nr" if nr else "lte")
    mean = sum(means) / len(means) if means else none - 10
    spread = math.sqrt(sum((one - mean) ** 2 for one in means) / len(means)) if means else 0.0
    around = len({h3.cell_to_parent(cell, 10) for cell, of in places.items() if of[0]})
    return (
        mean / 4,
        spread / 6,
        dead * 8,
        4 * sum(one >= fair for one in means) / len(looked),
        math.log(len(looked)),
        math.log(around),
        math.log(max(days, 1)) / 2,
        4 * sum(not of[1] for of in looked) / len(looked),
    )


def learned(cells: list[Seen], library: list[Seen], *, all_ground: bool) -> list[Counter[str]]:
    """Return for each cell what was true of the cells that are most alike."""
    answers = []
    for cell in cells:
        own = cell.features
        near = heapq.nsmallest(ALIKE, ((math.dist(own, other.features), at) for at, other in enumerate(library)))
        answers.append(Counter(library[at].true_all if all_ground else library[at].true for _, at in near))
    return answers


def run(*, quick: bool = False) -> str:
    """Return the tables."""
    seeds, others = (2, 2) if quick else (SEEDS, LEARNED)
    kinds = [("phone", 8), ("phone", 9), ("5g", 8)]
    cells: dict[tuple[str, int], list[Seen]] = defaultdict(list)
    library: dict[tuple[str, int], list[Seen]] = defaultdict(list)
    came = 0
    with tempfile.TemporaryDirectory() as folder:
        for number in range(seeds + others):
            seed = f"survey-{number}" if number < seeds else f"library-{number}"
            world, spots, n = surveyed(seed, Path(folder))
            came += n if number < seeds else 0
            for kind in kinds:
                (cells if number < seeds else library)[kind] += seen(world, spots, *kind)
    lines = [f"{seeds} worlds, {came:,} samples; 95 % intervals (Wilson) in brackets.", ""]
    for kind in kinds:
        lines += [*_table(kind, cells[kind], library[kind]), ""]
    lines += [*_thin(*((2, 2) if quick else (THIN, THIN))), ""]
    rows = [[what, *elsewhere(changes, 1 if quick else ELSEWHERE)] for what, changes in OTHERS.items()]
    lines.append(f"Layer *phone*, resolution 8, walked ground, on other ground: {ELSEWHERE} worlds each.")
    head = [
        "ground",
        "cells",
        "open",
        "right",
        "dead found",
        "falsely claimed",
        "plain mean: dead found",
        "falsely claimed",
    ]
    return "\n".join([*lines, "", report.table(head, rows)])


def elsewhere(changes: Iterable[tuple[ModuleType, str, float]], worlds: int) -> list[str]:
    """Return how the judge fares where something of the generator is another: service or none, beside a plain mean."""
    cells = _changed(changes, "other", worlds)
    by = [
        _figures([(_service(cell.true), _service(cell.says[who])) for cell in cells])
        for who in ("gocche", "plain mean")
    ]
    return [str(len(cells)), *by[0], *by[1][2:]]


def _thin(worlds: int, learn: int) -> list[str]:
    """Return the table of surveys with a fifth of the walks, beside what can be learned of such surveys."""
    changes = OTHERS["a fifth of the walks"]
    table = _table(("phone", 8), _changed(changes, "thin", worlds), _changed(changes, "thin-library", learn))
    return [f"A fifth of the walks, {worlds} worlds of other seeds. {table[0]}", *table[1:]]


def _changed(changes: Iterable[tuple[ModuleType, str, float]], seeds: str, worlds: int) -> list[Seen]:
    """Return the cells of worlds made by a generator of which something is another."""
    cells: list[Seen] = []
    with ExitStack() as back, tempfile.TemporaryDirectory() as folder:
        for module, name, value in changes:
            back.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, value)
        for number in range(worlds):
            world, spots, _ = surveyed(f"{seeds}-{number}", Path(folder))
            cells += seen(world, spots, "phone", 8)
    return cells


def _table(kind: tuple[str, int], cells: list[Seen], library: list[Seen]) -> list[str]:
    rows = []
    for ground in ("walked", "all"):
        truth = [cell.true_all if ground == "all" else cell.true for cell in cells]
        best = learned(cells, library, all_ground=ground == "all")
        for who in ("gocche", "plain mean", "best possible", "ceiling"):
            pairs = []
            for question in (_service, _class):
                ours = [question(cell.says["gocche"]) for cell in cells]
                said = (
                    _best(best, question, ours.count("uncertain"))
                    if who == "best possible"
                    else [question(cell.says[who]) for cell in cells]
                )
                pairs.append(list(zip(map(question, truth), said, strict=True)))
            rows.append([f"{ground}: {who}", *_figures(pairs[0]), *_figures(pairs[1])[:2]])
    of = Counter(cell.true for cell in cells)
    counted = ", ".join(f"{of[name]} {name}" for name in CLASSES)
    head = ["ground: who", "open", "right", "dead found", "falsely claimed", "class: open", "class: right"]
    return [f"Layer *{kind[0]}*, resolution {kind[1]}: {len(cells):,} cells ({counted}).", "", report.table(head, rows)]


def _service(state: str) -> str:
    return state if state in {"none", "uncertain"} else "service"


def _class(state: str) -> str:
    return {"good": "measured", "fair": "measured", "served": "uncertain"}.get(state, state)


def _best(alike: list[Counter[str]], question: Callable[[str], str], left: int) -> list[str]:
    """Return the likeliest answers, and leave as many open: those that are least sure."""
    answers = []
    for found in alike:
        sums: Counter[str] = Counter()
        for state, n in found.items():
            sums[question(state)] += n
        answers.append(sums.most_common(1)[0])
    open_ = set(sorted(range(len(answers)), key=lambda at: answers[at][1])[:left])
    return ["uncertain" if at in open_ else said for at, (said, _) in enumerate(answers)]


def _figures(pairs: list[tuple[str, str]]) -> list[str]:
    decided = [(true, says) for true, says in pairs if says != "uncertain"]
    dead = [says for true, says in decided if true == "none"]
    claims = [true for true, says in decided if says == "none"]
    return [
        share(len(pairs) - len(decided), len(pairs)),
        share(sum(true == says for true, says in decided), len(decided)),
        share(dead.count("none"), len(dead)),
        share(sum(true != "none" for true in claims), len(claims)),
    ]


def share(k: int, n: int) -> str:
    """Return k of n in percent with its 95 % interval (Wilson)."""
    if not n:
        return "–"
    z, p = 1.96, k / n
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n))
    return f"{100 * p:.1f} % ({100 * max(low, 0):.1f}–{100 * min(high, 1):.1f})"
