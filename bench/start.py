"""How long a start of the books takes over a long ledger: read whole, and from the summary that is kept beside it.

The ledger is of 1,356 gateways that sent a batch a minute for a day; its rows are written by the database itself, as no
reading of theirs is looked at. Kept means: by the last turn of the bookkeeper, five minutes before the start.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import report
from cloud.clock import SystemClock
from cloud.ingest.audit import Books
from cloud.ingest.bookkeeper import KEEP_MS, TRAIL_MS, Bookkeeper
from cloud.store import Mark, Tallied, open_store
from cloud.store.engines.influx.config import InfluxConfig
from cloud.store.engines.influx.parcels import MAX_LINES, Posted, pack
from cloud.store.engines.influx.server import Server
from tests import servers
from wire.batch import MS_NS, Gap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.store import Store

NAME = "start"
TITLE = "Start of the books over a long ledger"
ROWS, GATEWAYS = 2_000_000, 1_356
LIMIT = 1.0
_LEDGER = """
    WITH RECURSIVE k (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM k WHERE n + 1 < :rows)
    INSERT INTO ledger SELECT 1 + n % :gateways, 1 + 60 * (n / :gateways), 60, 0, :end - (:rows - n) * :step, 1, 1, ''
    FROM k
"""


def run(*, quick: bool = False) -> str:
    """Return the table."""
    rows = ROWS // 100 if quick else ROWS
    absent = servers.missing(servers.INFLUXD1)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        end_ms = SystemClock().utc_ms()
        sqlite = {"path": str(folder / "store.db")}
        with _store(sqlite) as store:
            _into_sqlite(folder / "store.db", rows, end_ms)
            whole_s, books = _started(store)
            tallies = [Tallied(*one) for one in books.changed()]
            kept_s = [("SQLite", _kept_s(store, books, tallies))]
        if not absent:
            influx = stack.enter_context(servers.InfluxD1(folder / "influx"))
            table = servers.influx_table(influx, folder)
            with _store(table) as store:
                _into_influx(table, rows, end_ms)
                kept_s.append((influx.name, _kept_s(store, books, tallies)))
    head = ("summary kept in", "ledger rows", "gateways", "start, s", "limit", "SQLite's whole ledger read / start")
    printed = report.table(
        head,
        [(name, f"{rows:,}", GATEWAYS, report.figure(s), LIMIT, report.times(whole_s / s)) for name, s in kept_s],
    )
    return f"{printed}\n\n- {absent}" if absent else printed


@contextlib.contextmanager
def _store(table: dict[str, Any]) -> Iterator[Store]:
    store = open_store(table, writer=True)
    store.setup()
    yield store
    store.close()


def _kept_s(store: Store, books: Books, tallies: list[Tallied]) -> float:
    """Keep the summary of the ledger, as it is five minutes before; return how long a start takes then."""
    store.keep_summary(tallies, Mark(SystemClock().utc_ms() - KEEP_MS - TRAIL_MS, 0))
    took_s, again = _started(store)
    if again.accounts() != books.accounts():
        raise AssertionError("the summary does not add up to the ledger")
    return took_s


def _into_sqlite(path: Path, rows: int, end_ms: int) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA cache_size = -400000")
        db.execute("PRAGMA synchronous = OFF")
        db.executemany(
            "INSERT INTO epoch (gateway, name) VALUES (?, ?)", [(f"g{k}", f"{k:04x}") for k in range(GATEWAYS)]
        )
        day = {"rows": rows, "gateways": GATEWAYS, "end": end_ms, "step": _step_ms(rows)}
        db.execute(_LEDGER, day)
        db.commit()


def _into_influx(table: dict[str, Any], rows: int, end_ms: int) -> None:
    server = Server(InfluxConfig(**table))
    lines = _lines(rows, end_ms)
    while body := "".join(islice(lines, MAX_LINES)):
        server.write(body)
    server.close()


def _lines(rows: int, end_ms: int) -> Iterator[str]:
    step_ms = _step_ms(rows)
    for n in range(rows):
        own = n % GATEWAYS
        gap = Gap(f"g{own}", f"{own:04x}", 1 + 60 * (n // GATEWAYS), 60, "dropped")
        yield Posted(n, pack(gap), (end_ms - (rows - n) * step_ms) * MS_NS).told()


def _step_ms(rows: int) -> int:
    return max(86_400_000 // rows, 1)


def _started(store: Store) -> tuple[float, Books]:
    books = Books()
    started = time.monotonic()
    Bookkeeper(store, books, SystemClock()).open()
    return time.monotonic() - started, books
