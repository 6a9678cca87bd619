"""`python -m bench [PART …] [--quick] [--write]`: print the figures; the parts stand in `PARTS` below.

`--write` puts them into docs/performance.md between its two markers; run it when nothing else runs. With parts named it
puts in theirs alone, each with the machine it was measured on. `--quick` only shows that everything still works: its
figures mean little.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench import (
    agent,
    coverage,
    coverage_page,
    danger,
    decode,
    detection,
    disk,
    drain,
    fleet,
    pages,
    phones,
    pipeline,
    reach,
    registry,
    report,
    ring,
    signals,
    size,
    start,
    survey,
    thin,
    told,
    wear,
    weight,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

PARTS: dict[str, ModuleType] = {
    part.NAME: part
    for part in (
        size,
        decode,
        pipeline,
        fleet,
        told,
        reach,
        drain,
        disk,
        start,
        registry,
        pages,
        signals,
        phones,
        weight,
        coverage_page,
        thin,
        agent,
        wear,
        detection,
        ring,
        danger,
        survey,
        coverage,
    )
}
DOCUMENT = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- figures: written by python -m bench --write -->", "<!-- end of figures -->"


def main(argv: list[str] | None = None) -> int:
    """Print each part's table as it comes; return 0."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Figures beside peers and limits, as ratios.")
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="short rounds: shows that it works, figures mean little")
    parser.add_argument("--write", action="store_true", help=f"put the figures into docs/{DOCUMENT.name}")
    options = parser.parse_args(argv)
    unknown = set(options.part) - PARTS.keys()
    if unknown or (options.write and options.quick):
        parser.error(f"unknown: {', '.join(unknown)}" if unknown else "--write takes no --quick: full length")
    machine = report.machine()
    print(machine, flush=True)
    said = {PARTS[name].TITLE: _said(PARTS[name], quick=options.quick) for name in options.part or PARTS}
    if options.write:
        document = DOCUMENT.read_text(encoding="utf-8")
        if options.part:
            said = {title: f"{section}\n\nIn a run of its own, {machine}" for title, section in said.items()}
            document = renewed(document, said)
        else:
            document = written(document, "\n\n".join([machine, *said.values()]))
        DOCUMENT.write_text(document, encoding="utf-8")
    return 0


def _said(part: ModuleType, *, quick: bool) -> str:
    started = time.monotonic()
    section = f"### {part.TITLE}\n\n{part.run(quick=quick)}"
    print(f"\n{section}", flush=True)
    print(f"\n({part.NAME}: {time.monotonic() - started:.0f} s)", file=sys.stderr, flush=True)
    return section


def written(document: str, figures: str) -> str:
    """Return the document with its figures replaced. Raises ValueError where a marker is missing."""
    before, _, after = _figures(document)
    return f"{before}{BEGIN}\n\n{figures}\n\n{END}{after}"


def renewed(document: str, said: Mapping[str, str]) -> str:
    """Return the document with the sections of some titles replaced, or added at the end. Raises as `written` does."""
    _, figures, _ = _figures(document)
    first, *sections = figures.strip().split("\n\n### ")
    found = {section.partition("\n")[0]: f"### {section}" for section in sections}
    return written(document, "\n\n".join([first, *(found | said).values()]))


def _figures(document: str) -> tuple[str, str, str]:
    before, begin, rest = document.partition(BEGIN)
    figures, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"docs/{DOCUMENT.name} lacks {END if begin else BEGIN}")
    return before, figures, after


if __name__ == "__main__":
    sys.exit(main())
