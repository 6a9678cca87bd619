"""Real quotas over real spans: the oldest goes, declared; the newest stays; kills change nothing; it never wedges.

A child plays the gateway against a simulated clock, minute after minute, and is killed with -9 again and again; it goes
on where its spool says. Bodies are noise of the size that the values of the sensors take: what is tried is room and not
encoding. The link comes now and then, and the cloud then has some of what waits.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from edge.keep.spool import Spool
from wire.codec import GAP

pytestmark = [pytest.mark.journey, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
MIB = 1 << 20
BUDGET_S = {"sixty days in 8 MiB": 120, "a year in 256 MiB": 180}
CHILD = """
import random, sys
from pathlib import Path
from edge.clock import Anchor
from edge.keep.spool import Spool, rows
from wire.batch import Source
from wire.reading import Reading
path, quota, steps, every_ms, size = Path(sys.argv[1]), *map(int, sys.argv[2:])
boot = "b1" * 8
spool = Spool(path / "spool.db", quota, "this", boot)
spool.dates.anchor(boot, Anchor(1_790_000_000_000, Source.NTP, 100))
dice = random.Random(spool.acquired)
rows.encode_body = lambda readings: b"\\x92" + dice.randbytes(size)
stored = (path / "stored.txt").open("a")
for step in range(spool.acquired // 2, steps):
    at = step * every_ms
    spool.append([Reading(f"soil-{i}", at + i, {"soil_ec": step % 20_000}, {}) for i in range(2)], boot)
    spool.cut(urgent=step % 500 == 0)
    if step % 3_000 == 2_999:  # the link comes for a moment: the newest, and some of the oldest
        for number in {*spool.foremost(boot, at - 900_000, 8), *spool.waiting(40)}:
            kept = spool.get(number)
            stored.write("%s %d %d %d\\n" % (*kept.identity, kept.kind))
            stored.flush()  # the cloud has it before the gateway hears so
            spool.free(kept.identity)
    if step % 500 == 0:
        print(spool.acquired, flush=True)
"""


@pytest.mark.parametrize(
    ("name", "quota", "steps", "every_ms", "size", "kills"),
    [
        ("sixty days in 8 MiB", 8 * MIB, 60 * 1440, 60_000, 450, 12),  # 20 sensors, a batch each minute
        ("a year in 256 MiB", 256 * MIB, 365 * 144, 600_000, 9_000, 12),  # 40 sensors, a batch each ten minutes
    ],
)
def test_the_quota_over_real_spans_with_kills(tmp_path, name, quota, steps, every_ms, size, kills):
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else tmp_path) as folder:
        path = Path(folder)
        play(path, kills, map(str, (quota, steps, every_ms, size)))
        spool = Spool(path / "spool.db", quota, "this", "b1" * 8)
        spool._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        weigh(spool, path, quota)
        account(spool, path)
        spool.close()
    taken = time.monotonic() - began
    print(f"{name}: {taken:.0f} s of a budget of {BUDGET_S[name]} s")


def play(path, kills, words):
    """Run the child to its end, killed with -9 at random times on the way."""
    words, dice = list(words), random.Random(7)
    for life in range(kills + 1):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=ROOT,
        )  # fmt: skip
        lines = dice.randint(1, int(words[1]) // 500 // (kills + 1) + 1) if life < kills else None
        for seen, _ in enumerate(child.stdout, 1):
            if seen == lines:
                child.kill()
                break
        _, error = child.communicate(timeout=300)
        assert child.returncode in {0, -9}, error


def weigh(spool, path, quota):
    """Hold the file on the disk against its quota, and count the gap records."""
    assert (path / "spool.db").stat().st_size <= quota + quota // 8 + MIB
    assert quota * 0.9 < spool._quota.used_bytes <= quota + MIB // 16
    kinds = dict(spool._db.execute("SELECT kind, count(*) FROM batch GROUP BY kind").fetchall())
    urgent = spool._file.one("SELECT count(*) FROM batch WHERE urgent = 1")
    assert kinds[GAP] <= urgent + 200, "a gap record for each run of what was dropped, not for each batch"


def account(spool, path):
    """Show that acquired = held + stored + declared, that only what is declared is gone, and that the newest stays."""
    held, declared, stored = set(), set(), set()
    for first, n, kind in spool._db.execute("SELECT first, n, kind FROM batch"):
        (declared if kind == GAP else held).update(range(first, first + n))
    for line in (path / "stored.txt").read_text().splitlines():
        epoch, first, n, kind = line.split()
        assert epoch == spool.epoch, "one boot is one epoch, whoever is killed in it"
        (declared if int(kind) == GAP else stored).update(range(int(first), int(first) + int(n)))
    assert held | declared | stored == set(range(1, spool.acquired + 1))
    assert not held & declared
    newest = range(spool.acquired - 2_000, spool.acquired + 1)
    assert not declared & set(newest)
    assert len(declared) >= spool.dropped > 0, "what was declared twice was counted once"
