"""How long a start of the books takes over a long ledger: read whole, and from the summary that is kept beside it.

The ledger is of 1,356 gateways that sent a batch a minute for a day; its rows are written by SQLite itself, because no
reading of theirs is looked at. Kept means: by the last turn of the bookkeeper, five minutes before the start.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import time
from pathlib import Path

from bench import report
from cloud.clock import SystemClock
from cloud.ingest.audit import Books
from cloud.ingest.bookkeeper import KEEP_MS, Bookkeeper
from cloud.store import Mark, open_store

NAME = "start"
TITLE = "Start of the books over a long ledger"
ROWS, GATEWAYS = 2_000_000, 1_356
_LEDGER = """
    WITH RECURSIVE k (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM k WHERE n + 1 < :rows)
    INSERT INTO ledger SELECT 1 + n % :gateways, 1 + 60 * (n / :gateways), 60, 0, :end - (:rows - n) * :step, 1, 1, ''
    FROM k
"""


def run(*, quick: bool = False) -> str:
    """Return the table."""
    rows = ROWS // 100 if quick else ROWS
    with tempfile.TemporaryDirectory() as folder:
        table = {"path": str(Path(folder) / "store.db")}
        store = open_store(table, writer=True)
        store.setup()
        now = SystemClock().utc_ms()
        with contextlib.closing(sqlite3.connect(table["path"])) as db:
            db.execute("PRAGMA cache_size = -400000")
            db.execute("PRAGMA synchronous = OFF")
            db.executemany("INSERT INTO epoch (gateway, name) VALUES (?, '00')", [(f"g{k}",) for k in range(GATEWAYS)])
            day = {"rows": rows, "gateways": GATEWAYS, "end": now, "step": max(86_400_000 // rows, 1)}
            db.execute(_LEDGER, day)
            db.commit()
        whole_s, books = _started(store)
        store.keep_summary([], Mark())
        keeper = Bookkeeper(store, books, SystemClock())
        keeper.open()
        keeper.keep()
        mark, _ = store.summary()
        store.keep_summary([], Mark(mark.until_ms - KEEP_MS, 0))
        kept_s, again = _started(store)
        store.close()
    if again.accounts() != books.accounts():
        raise AssertionError("the summary does not add up to the ledger")
    figures = [(f"{rows:,}", GATEWAYS, report.figure(whole_s), report.figure(kept_s), report.times(whole_s / kept_s))]
    return report.table(("ledger rows", "gateways", "whole ledger, s", "summary, s", "whole/summary"), figures)


def _started(store: object) -> tuple[float, Books]:
    books = Books()
    started = time.monotonic()
    Bookkeeper(store, books, SystemClock()).open()
    return time.monotonic() - started, books
