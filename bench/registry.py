"""Forty thousand trees out of a CSV file into the registry, with their audit; and out of it by a room."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bench import report
from cloud.registry import codes
from cloud.registry.book import Book
from cloud.registry.kinds import KINDS, Record, Tree, Zone
from cloud.registry.sheets import comma
from cloud.registry.transfer import bring, read_any

NAME = "registry"
TITLE = "The registry: an import of trees"
TREES = 40_000  # old trees of the mission's highlands
LIMIT_S = 2.0
ZONE = Zone(code="z01", name_vi="Đồi", name_en="Hill", lat=21.62, lon=104.58)


def run(*, quick: bool = False) -> str:
    """Return the table."""
    trees = [_tree(number) for number in range(TREES // 100 if quick else TREES)]
    with tempfile.TemporaryDirectory() as name, Book(Path(name) / "registry.db", writer=True) as book:
        folder = Path(name) / "tables"
        comma.write_folder(folder, {"zone": [ZONE], "tree": trees})
        first_s = _brought(book, folder)
        again_s = _brought(book, folder)
        started = time.perf_counter()
        rows = sum(len(book.rows(kind)) for kind in KINDS)
        read_s = time.perf_counter() - started
        size = (Path(name) / "registry.db").stat().st_size
    if rows != len(trees) + 1:
        raise AssertionError("not every row is there")
    figures = [
        ("import, all new", first_s),
        ("import, nothing new", again_s),
        ("read by a room", read_s),
    ]
    told = [(what, f"{len(trees):,}", report.figure(s), report.times(s / LIMIT_S)) for what, s in figures]
    return (
        report.table(("what", "trees", "s", f"of {LIMIT_S:g} s"), told)
        + f"\n\nThe file has {size // len(trees)} B a tree, its audit included."
    )


def _brought(book: Book, folder: Path) -> float:
    started = time.perf_counter()
    done = bring(book, *read_any(folder), who="bench", what="import", at_ms=0)
    if done.problems or not done.written:
        raise AssertionError(f"{done.problems[:3]}")
    return time.perf_counter() - started


def _tree(number: int) -> Record:
    five = "".join(codes.ALPHABET[number >> 5 * place & 31] for place in range(5))
    return Tree(
        code=five + codes.check_char(five),
        label_no=str(number),
        name_vi=f"Cây số {number}",
        name_en=f"Tree {number}",
        zone="z01",
        lat=round(21.6 + number % 200 * 1e-4, 7),
        lon=round(104.5 + number // 200 * 1e-4, 7),
        alt_m=1_350.0,
        age_low=200,
        age_high=300,
        age_method_vi="điều tra của hợp tác xã (ước tính)",
        age_method_en="cooperative's survey (estimate)",
        girth_cm=210.0,
    )
