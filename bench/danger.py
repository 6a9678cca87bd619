"""Fire danger of every zone at half past one: from the store into the book, and again from what is kept.

Each zone has a weather station and a gauge, read every ten minutes, and each minute around noon. SQLite has the hours
of before counted already, as ingest leaves them; InfluxDB counts all of them from their readings when it is asked.
"""

from __future__ import annotations

import resource
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import report
from cloud.clock import midnight_ms
from cloud.danger import course
from cloud.danger.book import NAME as BOOK
from cloud.danger.book import Book, past, recompute
from cloud.danger.watch import Watch
from cloud.registry import Registry
from cloud.registry.kinds import Binding, Zone
from cloud.rooms.alerts import POINTS
from cloud.rooms.life import collect_rarely
from cloud.store import Hour, Past, open_store
from cloud.store.engines.sqlite.rollup import FOLD_AT_MOST, QUIET_MS
from tests import servers
from tests.build import batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wire.batch import Batch

NAME, TITLE = "danger", "Fire danger of all zones in one go (limit: 1,356 zones within a second)"
ZONES, QUICK, LIMIT_S = 1_356, 50, 1.0
DAY, HUNG = date(2026, 2, 3), date(2025, 1, 1)
HOUR_MS, MINUTE_MS = 3_600_000, 60_000
NOON_MS = 23 * HOUR_MS // 2  # single readings begin
DUE_MS = 27 * HOUR_MS // 2
WEATHER = {"air_temperature": 24.0, "air_humidity": 55.0, "wind_speed": 2.0}
TOLD: dict[str, dict[str, float]] = {"weather-1": WEATHER, "rain-1": {"rain_total": 100.0}, "soil-1": {"soil_ph": 5.0}}


class Standing:
    """A clock that stands at 13:30."""

    def __init__(self) -> None:
        self.now_ms = 0

    def utc_ms(self) -> int:
        """Return the time that it was given."""
        return self.now_ms

    def monotonic(self) -> float:
        """Return the same in seconds."""
        return self.now_ms / 1000


class Timed:
    """A store whose questions are timed: what they bring is there when they return."""

    def __init__(self, store: Any) -> None:
        self._store, self.s = store, 0.0

    def __getattr__(self, name: str) -> Any:
        """Return a question, timed."""
        asked = getattr(self._store, name)
        if not callable(asked):
            return asked

        def ask(*of: Any) -> Any:
            began = time.perf_counter()
            found = asked(*of)
            found = iter(list(found)) if name.startswith("each_") else found
            self.s += time.perf_counter() - began
            return found

        return ask


def run(*, quick: bool = False) -> str:
    """Return the table: seconds on the clock."""
    zones = QUICK if quick else ZONES
    collect_rarely(POINTS)  # as the room does that it lives in
    columns: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        columns["SQLite"] = _measured(Path(folder), {"path": str(Path(folder) / "store.db")}, zones)
    absent = []
    for kind in (servers.InfluxD1, servers.InfluxD2):
        why = servers.missing(kind.name)
        if why is not None:
            absent.append(f"- {why}")
            continue
        with tempfile.TemporaryDirectory() as folder, kind(Path(folder) / "server") as server:
            columns[kind.name] = _measured(Path(folder), servers.influx_table(server, Path(folder)), zones)
    head = ["seconds", *(name for engine in columns for name in (engine, f"of {LIMIT_S:g} s"))]
    rows = [
        [
            what,
            *(
                cell
                for own in columns.values()
                for cell in (report.figure(own[what]), report.times(own[what] / LIMIT_S))
            ),
        ]
        for what in columns["SQLite"]
    ]
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    notes = [f"- at most {peak_mb:.0f} MB of memory for all of this process, its test data included", *absent]
    return "\n".join([report.table(head, rows), "", *notes])


def _measured(folder: Path, table: dict[str, Any], zones: int) -> dict[str, float]:
    store = open_store(table, writer=True)
    store.setup()
    registry, clock = _registry(zones), Standing()
    midnight = midnight_ms(DAY)
    _fill(store, zones, midnight, counted=table.get("engine", "sqlite") == "sqlite")
    timed = Timed(store)
    watch = Watch(folder / BOOK, timed, registry, clock)  # type: ignore[arg-type]
    clock.now_ms = midnight - HOUR_MS
    began = time.perf_counter()
    watch.look()
    first_s = time.perf_counter() - began
    clock.now_ms = midnight + DUE_MS - HOUR_MS
    watch.look()
    clock.now_ms, timed.s = midnight + DUE_MS, 0.0
    began, cpu = time.perf_counter(), time.thread_time()
    written = watch.look()
    whole_s, cpu_s = time.perf_counter() - began, time.thread_time() - cpu
    assert written == zones, written
    days = [past(folder / BOOK, f"z{n}", 1, DAY)[0][0] for n in range(zones)]
    assert all(day.indices and day.has_p and "hours" not in day.inputs.flags for day in days)
    book = Book(folder / "again.db")
    began = time.perf_counter()
    book.put(days)
    write_s = time.perf_counter() - began
    book.close()
    began = time.perf_counter()
    for day in days:
        course.day(day.zone, day.day, day.before, day.inputs, day.limit_mm)
    alone_s = time.perf_counter() - began
    began = time.perf_counter()
    checked = recompute(folder / BOOK)
    again_s = time.perf_counter() - began
    assert not checked.differ
    watch.close()
    store.close()
    return {
        f"{zones:,} zones, a day: read, computed, written": whole_s,
        "  of which reading the store": timed.s,
        "  of which computing": whole_s - timed.s - write_s,
        "    of which the formulas, with the hours of the afternoon": alone_s,
        "  of which writing": write_s,
        "  its CPU, in the one thread that does it": cpu_s,
        f"{zones:,} zones for the first time": first_s,
        "each kept day made again and compared": again_s,
    }


def _registry(zones: int) -> Registry:
    places = [Zone(code=f"z{n}", name_vi="k", name_en="z", lat=21.6, lon=104.5) for n in range(zones)]
    hung = [
        Binding(gateway=f"g-{n}", channel=channel, place="zone", code=f"z{n}", valid_from=HUNG)
        for n in range(zones)
        for channel in TOLD
    ]
    return Registry({"zone": places, "binding": hung})


def _fill(store: Any, zones: int, midnight: int, *, counted: bool) -> None:
    if counted:
        store.write_hours([one for n in range(zones) for one in _hours(n, midnight)])
    else:
        _commit(store, zones, midnight - 16 * HOUR_MS, midnight + NOON_MS, 10 * MINUTE_MS, first=1)
    _commit(store, zones, midnight + NOON_MS, midnight + DUE_MS, MINUTE_MS, first=10_001)
    for turn in range(zones * 6 // FOLD_AT_MOST + 1 if counted else 0):  # as hours that are over for long are
        store.commit([], midnight + DUE_MS + QUIET_MS + turn * 1_001)


def _commit(store: Any, zones: int, start_ms: int, end_ms: int, step_ms: int, first: int) -> None:
    made: list[Batch] = []
    for n in range(zones):
        rows = [TOLD] * ((end_ms - start_ms) // step_ms)
        made.append(batch(gateway=f"g-{n}", start_ms=start_ms, step_ms=step_ms, rows=rows, now_ms=end_ms, first=first))
        if len(made) == 20 or n == zones - 1:
            store.commit(made, end_ms)
            made.clear()


def _hours(n: int, midnight: int) -> Iterator[Past]:
    known = WEATHER | {"rain_total": 100.0}
    for name, value in known.items():
        hours = [Hour(midnight + at * HOUR_MS, 0, value, value, value) for at in range(-48, 11)]
        yield Past(f"g-{n}", "rain-1" if name == "rain_total" else "weather-1", name, hours)
