"""What every figure shares: the machine it was measured on, interleaved rounds with medians, and a plain table.

Two shared cores give rates that wander by half from minute to minute, while ratios within one run wander far less.
So each round runs every candidate once, one after the other, and the tables have ratio columns.
"""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


def machine() -> str:
    """Return what the figures were measured on, in one line."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    load = os.getloadavg()[0]
    return (
        f"machine: {len(os.sched_getaffinity(0))} cores of {model}, Linux {platform.release().partition('-')[0]}, "
        f"Python {platform.python_version()}, load {load:.1f} at the start"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table: the first column to the left, figures to the right."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    lines = [
        "| " + " | ".join(cell.rjust(width) if at else cell.ljust(width) for at, (cell, width) in placed) + " |"
        for row in cells
        for placed in [list(enumerate(zip(row, widths, strict=True)))]
    ]
    rule = "|" + "|".join("-" * (width + 1) + (":" if at else "-") for at, width in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def figure(value: float) -> str:
    """Return a number with three digits that count, and thousands apart."""
    if value >= 100:
        return f"{round(value, 3 - len(str(int(value)))):,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def times(value: float) -> str:
    """Return a ratio the way it is spoken."""
    return f"{figure(value)}×"


def rate(job: Callable[[], object], seconds: float) -> float:
    """Return how often a job runs in a second of this thread's CPU, tried for about `seconds`."""
    done, started = 0, time.thread_time()
    repeat = 1
    while (spent := time.thread_time() - started) < seconds:
        for _ in range(repeat):
            job()
        done += repeat
        repeat = min(repeat * 2, max(1, int(done / max(spent, 1e-4) * seconds / 10)))
    return done / spent


def medians(rounds: Iterable[dict[str, float]]) -> dict[str, float]:
    """Return the median of each candidate over interleaved rounds."""
    seen = list(rounds)
    return {name: median(one[name] for one in seen) for name in seen[0]}
