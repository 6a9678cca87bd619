"""A damaged spool of 200 MiB on a gateway that has little memory, killed in the middle: all of it is taken over.

The unit of the agent allows 192 MiB; SQLite's pages and Python's objects of a salvage must stay far below that.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
BUDGET_S, LIMIT_MIB = 180, 64
MADE = """
import os, sys
from pathlib import Path
from edge.keep.spool import Spool
from edge.keep.spool.rows import Kept
from wire.codec import BATCH
spool = Spool(Path(sys.argv[1]) / "spool.db", 256 << 20, "one machine", "b1" * 8)
n = (200 << 20) // 1_350
for start in range(0, n, 5_000):
    with spool._file.transaction():
        for i in range(start, start + 5_000):
            body = b"\\x92" + os.urandom(1_199)
            identity, start_ms = (spool.epoch, 1 + 60 * i, 60), 60_000 * i
            spool._file.insert(
                Kept(0, identity, BATCH, "b1" * 8, start_ms, start_ms + 59_000, 0, 1, 100, False, body)
            )
        spool._file.set_meta("acquired", 60 * (start + 5_000))
        spool._file.set_meta("uncut", 60 * (start + 5_000) + 1)
spool.close()
print(60 * (start + 5_000))
"""
OPENED = """
import sys
from pathlib import Path
from edge.keep.spool import Spool
def most():  # of this program alone: getrusage() also counts what the test weighed that started it
    told = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(told["VmHWM"].split()[0]) >> 10
before = most()
spool = Spool(Path(sys.argv[1]) / "spool.db", 256 << 20, "another machine", "b2" * 8)
print(spool.notes)
print(sum(spool.earlier().values()), before, most())
"""


def python(script, folder, **options):
    words = [sys.executable, "-c", script, folder]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT, **options)


def test_two_hundred_mebibytes_are_salvaged_in_little_memory_and_go_on_after_a_kill(tmp_path):
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path) as folder:
        maker = python(MADE, folder)
        acquired = int(maker.communicate(timeout=200)[0])
        assert maker.returncode == 0
        size = (Path(folder) / "spool.db").stat().st_size
        assert size > 190 << 20
        killed = python(OPENED, folder)
        until = time.monotonic() + 120
        while not half_way(Path(folder), size):
            assert killed.poll() is None, "it was over before it could be killed"
            assert time.monotonic() < until
        killed.send_signal(signal.SIGKILL)
        killed.communicate(timeout=30)
        again = python(OPENED, folder, preexec_fn=limit)
        said = again.communicate(timeout=200)[0].splitlines()
        assert again.returncode == 0
        assert f"salvaged {acquired} readings of spool.damaged-1, declared 0 as damaged" in said[0]
        held, before, peak = map(int, said[1].split())
        assert held == acquired
        assert peak < LIMIT_MIB, "memory grows with the file"
    taken = time.monotonic() - began
    print(f"salvage of {size >> 20} MiB: {before} MiB of memory before, {peak} MiB at most")
    print(f"salvage: {taken:.0f} s of a budget of {BUDGET_S} s")


def half_way(folder, size):
    file = folder / "spool.db"
    return (folder / "spool.damaged-1").exists() and file.exists() and file.stat().st_size > size // 2


def limit():
    """Give the process what systemd's MemoryMax gives the agent: address space is more than what is resident."""
    resource.setrlimit(resource.RLIMIT_DATA, (192 << 20, 192 << 20))
