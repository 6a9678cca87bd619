"""What a day costs an SD card: bytes that reach the device, at 30 values every 10 s, delivered as they come.

The spool lies on an ext4 of its own on a loop device, mounted as a card usually is (noatime), and the device's counter
of written sectors is read: WAL, checkpoints, inodes and the journal are in it. Some hours are simulated. A batch is
answered at once, and after each commit the file system is flushed, as its own timer (5 s) has done before the next one
comes. That takes root; elsewhere the bytes are counted that the process itself gave to the storage.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from bench import field, report
from edge.clock import Anchor
from edge.keep.spool import Spool
from wire.batch import Source

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "wear"
TITLE = "An SD card's day at 30 values every 10 s"
DAY_MS = 86_400_000
HOURS = 3
CARD_BYTES = 64 * 1024 * 1024
SETTINGS: dict[str, tuple[int, int, int | None]] = {  # commit_s, batch_s, and what this project aims at in MB a day
    "default": (10, 60, 100),
    "`commit_s = 60`": (60, 60, None),
    "`commit_s = 120`": (120, 120, 20),  # a batch each minute has something to cut every other time
    "`commit_s = 60`, `batch_s = 600`": (60, 600, 20),
}
BOOT = "b1" * 8
_libc = ctypes.CDLL(None, use_errno=True)


def run(*, quick: bool = False) -> str:
    """Return the table."""
    span_ms = 1_200_000 if quick else HOURS * 3_600_000
    rows, how = [], ""
    for name, (commit_s, batch_s, limit) in SETTINGS.items():
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gocche-bench-")))
            card, written, how = _card(stack, folder)
            taken, writes = _day(card, written, commit_s, batch_s, span_ms)
        aim = ("–", "–") if limit is None else (limit, report.times(taken / 1e6 / limit))
        rows.append((name, commit_s, batch_s, f"{taken / 1e6:.1f}", f"{writes:,}", *aim))
    head = ("setting", "commit_s", "batch_s", "MB a day", "writes an hour", "limit", "of it")
    return f"{report.table(head, rows)}\n\n- {span_ms / 3_600_000:.1f} simulated hours each; {how}"


def _day(
    card: Path, written: Callable[[], tuple[int, int]], commit_s: int, batch_s: int, span_ms: int
) -> tuple[float, int]:
    """Keep, cut and free as the keeper does; return bytes a day and writes an hour, once the files have their size."""
    spool = Spool(card / "spool.db", 256 * 1024 * 1024, "bench", BOOT)
    spool.dates.anchor(BOOT, Anchor(1_790_000_000_000, Source.NTP, 100))
    probes, held = field.five(1), os.open(card, os.O_RDONLY)
    try:
        before, warm = written(), span_ms // 2
        for now in range(0, warm + span_ms, commit_s * 1000):
            if now == warm:
                before = written()
            spool.append(list(field.polled(probes, now, now + commit_s * 1000)), BOOT)
            if (now // 1000 + commit_s) % batch_s == 0:
                for batch in spool.cut():
                    spool.free(batch.identity)
            _flush(held)
        after = written()
    finally:
        os.close(held)
        spool.close()
    return (after[0] - before[0]) * DAY_MS / span_ms, round((after[1] - before[1]) * 3_600_000 / span_ms)


def _flush(held: int) -> None:
    if _libc.syncfs(held):
        raise OSError(ctypes.get_errno(), "syncfs")


def _card(stack: ExitStack, folder: Path) -> tuple[Path, Callable[[], tuple[int, int]], str]:
    """Return a folder, a counter of (bytes, writes) that reached its device, and how that counts."""
    image, card = folder / "card.img", folder / "card"
    card.mkdir()
    image.touch()
    os.truncate(image, CARD_BYTES)
    made = ["mkfs.ext4", "-q", "-F", str(image)], ["mount", "-o", "loop,noatime", str(image), str(card)]
    if os.geteuid() or not all(shutil.which(words[0]) for words in made) or any(_failed(words) for words in made):
        return card, _own, "bytes that the process gave to the storage (a loop device takes root and mkfs.ext4)"
    stack.callback(subprocess.run, ["umount", str(card)], check=True)
    device = card.stat().st_dev
    counter = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat")
    return card, lambda: _device(counter), "bytes written to a loop device with ext4, noatime"


def _failed(words: list[str]) -> bool:
    return subprocess.run(words, capture_output=True, check=False).returncode != 0


def _device(counter: Path) -> tuple[int, int]:
    said = counter.read_text(encoding="ascii").split()
    return int(said[6]) * 512, int(said[4])  # Documentation/block/stat.rst: write sectors, write I/Os


def _own() -> tuple[int, int]:
    said = dict(line.split(": ") for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines())
    return int(said["write_bytes"]), int(said["syscw"])
