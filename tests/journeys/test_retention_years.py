"""Years of retention in a store: kills, backlogs, wrong clocks; kill -9 in the middle of whatever it does.

Budget: 150 s.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from cloud.ingest.audit import Books
from cloud.ingest.bookkeeper import Bookkeeper
from cloud.store import open_store
from tests.build import EPOCH, START_MS
from tests.test_retention import ALL, HOUR_MS, SERIES, Garden, live

pytestmark = [pytest.mark.journey, pytest.mark.timeout(300)]
YEAR_BUDGET_S, KILLS_BUDGET_S = 120, 30
TABLE = {"keep_days": 5, "ledger_days": 12}

# A batch every simulated hour as fast as it goes, and the books kept each sixth: what it does is killed anywhere.
WRITER = """
import sys
from pathlib import Path
from tests.test_retention import Garden, HOUR_MS, START_MS
garden = Garden(Path(sys.argv[1]))
rows = garden.store.ledger()
done = max((row.first for row in rows), default=-1) // 2 + 1
garden.next_seq = 1 + 2 * done
for hour in range(done, 100_000):
    garden.now_ms = START_MS + hour * HOUR_MS
    made, values = garden.measure()
    garden.store.commit([made], garden.now_ms)
    print(made.first, flush=True)
    if hour % 6 == 0:
        garden.beat()
"""


def test_a_year_with_kills_backlogs_and_wrong_clocks(tmp_path):
    started = time.monotonic()
    garden = Garden(tmp_path)
    live(garden, 365)
    while garden.waiting:
        garden.now_ms += HOUR_MS
        garden.commit(*garden.waiting.pop())
    garden.beat()
    account = garden.account()
    rows = {table: garden.rows(table) for table in ("reading", "ledger", "hourly")}
    garden.store.close()
    print(f"a year of retention: {account}, {rows}, {time.monotonic() - started:.0f} s of {YEAR_BUDGET_S}")
    assert account.unknown == 0
    assert account.expired > 10 * account.stored > 0
    assert rows["reading"] < 2 * 24 * 9
    assert rows["ledger"] < 24 * 20


def test_kill_9_in_the_middle_of_retention_loses_no_hour_and_adds_none_twice(tmp_path):
    started = time.monotonic()
    chance = random.Random(11)
    for _ in range(12):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": "."}
        )
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(chance.randrange(20, 160))]
        time.sleep(chance.random() / 50)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        told += map(int, writer.stdout.read().split()[:-1])
        writer.stdout.close()
    last = told[-1]
    store = open_store({"path": str(tmp_path / "store.db")} | TABLE, writer=True)
    store.setup()
    hours = [hour.n for hour in store.hourly(*SERIES, 0, START_MS + 100_000 * HOUR_MS)]
    assert set(hours) == {2}
    assert len(hours) >= (last + 1) // 2
    kept_ms = store.kept_since_ms(0)
    times = [time_ns // 1_000_000 for time_ns, _ in store.series(*SERIES, *ALL)]
    assert len(times) == 2 * (len(hours) - (kept_ms - START_MS) // HOUR_MS) < 2 * 24 * 8

    class Now:
        def utc_ms(self):
            return START_MS + len(hours) * HOUR_MS

    books = Books()
    Bookkeeper(store, books, Now()).open()
    (account,) = books.accounts()
    assert (account.gateway, account.epoch, account.acquired, account.unknown) == ("sg-01", EPOCH, 2 * len(hours), 0)
    assert abs(account.expired - 2 * (kept_ms - START_MS) // HOUR_MS) <= 2 * 24
    store.close()
    with sqlite3.connect(tmp_path / "store.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()
    print(f"kills within retention: {len(hours) // 24} days, {time.monotonic() - started:.0f} s of {KILLS_BUDGET_S}")
