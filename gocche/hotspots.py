"""`gocche hotspots import`: a list of NASA FIRMS from a file, for a server that does not reach them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.clock import SystemClock, hanoi
from cloud.hotspots import NoHotspots
from cloud.hotspots.book import NAME, Book
from cloud.hotspots.fires import fires
from cloud.hotspots.firms import LARGEST, read
from gocche.registry import owned
from gocche.words import both

if TYPE_CHECKING:
    from cloud.config import CloudConfig

FOUND = 1  # exit status: rows were left out
SHOWN = 20


def bring_in(config: CloudConfig, path: Path) -> int:
    """Keep the hotspots of a file; return 0, or 1 where rows were left out. Raises NoHotspots and what disks say."""
    if path.stat().st_size > LARGEST:
        raise NoHotspots("large", size=path.stat().st_size, limit=LARGEST)
    now_ms = SystemClock().utc_ms()
    written_ms = min(now_ms, round(path.stat().st_mtime * 1000))
    listed = read(path.read_bytes(), now_ms)
    file = Path(config.data.path) / NAME
    owned(file)
    book = Book(file)
    try:
        known_ms = max([one.seen_ms for one in listed.hotspots], default=written_ms)
        new = book.put(path.name, listed.hotspots, now_ms, known_ms)
    finally:
        book.close()
    for fault in listed.faults[:SHOWN]:
        print(both("hotspots", "row", line=fault.line, why=fault.words), file=sys.stderr)
    print(
        both(
            "hotspots",
            "kept",
            n=len(listed.hotspots),
            new=new,
            bad=len(listed.faults),
            fires=len(fires(listed.hotspots)),
        )
    )
    if listed.hotspots:
        newest_ms = max(one.seen_ms for one in listed.hotspots)
        hours = max(0, now_ms - newest_ms) // 3_600_000
        print(both("hotspots", "late", at=f"{hanoi(newest_ms):%H:%M %d/%m/%Y}", hours=hours))
    return FOUND if listed.faults else 0
