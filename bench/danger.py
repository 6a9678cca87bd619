"""Fire danger of every zone at half past one: from the store, and again from what is kept."""

from __future__ import annotations

import tempfile
import time
from datetime import date
from pathlib import Path

from bench import report
from cloud.clock import midnight_ms
from cloud.danger import course
from cloud.danger.book import NAME as BOOK
from cloud.danger.book import past, recompute
from cloud.danger.noon import gather, known_of
from cloud.danger.watch import Watch
from cloud.registry import Registry
from cloud.registry.kinds import Binding, Zone
from cloud.store import Hour, Past, open_store
from tests.build import batch

NAME, TITLE = "danger", "Fire danger of all zones in one go (limit: 1,356 zones within a second)"
ZONES, QUICK, LIMIT_S = 1_356, 50, 1.0
DAY, HUNG = date(2026, 2, 3), date(2025, 1, 1)
HOUR_MS = 3_600_000
WEATHER = {"air_temperature": 24.0, "air_humidity": 55.0, "wind_speed": 2.0}


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


def run(*, quick: bool = False) -> str:
    """Return the table: seconds of CPU of the one thread that does it."""
    zones = QUICK if quick else ZONES
    with tempfile.TemporaryDirectory() as folder:
        return _measured(Path(folder), zones)


def _measured(folder: Path, zones: int) -> str:
    store = open_store({"path": str(folder / "store.db")}, writer=True)
    store.setup()
    registry, clock = _registry(zones), Standing()
    midnight = midnight_ms(DAY)
    store.write_hours(list(_hours(zones, midnight)))
    for n in range(zones):  # single readings around noon of the day
        rows = [{"weather-1": WEATHER, "rain-1": {"rain_total": 100.0}, "soil-1": {"soil_ph": 5.0}} for _ in range(24)]
        made = batch(gateway=f"g-{n}", start_ms=midnight + 23 * HOUR_MS // 2, step_ms=300_000, rows=rows,
                     now_ms=midnight + 14 * HOUR_MS)  # fmt: skip
        store.commit([made], midnight + 27 * HOUR_MS // 2)
    watch = Watch(folder / BOOK, store, registry, clock)  # type: ignore[arg-type]
    clock.now_ms = midnight - HOUR_MS
    began = time.thread_time()
    watch.look()
    first_s = time.thread_time() - began
    clock.now_ms = midnight + 27 * HOUR_MS // 2
    began = time.thread_time()
    known = known_of(store)
    for zone in registry.zones.values():
        gather(store, registry, known, zone, [DAY], frozenset({DAY}))
    read_s = time.thread_time() - began
    began = time.thread_time()
    written = watch.look()
    whole_s = time.thread_time() - began
    assert written == zones, written
    days = [past(folder / BOOK, f"z{n}", 1, DAY)[0][0] for n in range(zones)]
    assert all(day.indices and day.has_p for day in days)
    began = time.thread_time()
    for day in days:
        course.day(day.zone, day.day, day.before, day.inputs, day.limit_mm)
    alone_s = time.thread_time() - began
    began = time.thread_time()
    checked = recompute(folder / BOOK)
    again_s = time.thread_time() - began
    assert not checked.differ
    watch.close()
    store.close()
    figures = [
        (f"{zones:,} zones, a day, from the store into the book", whole_s),
        ("  of which reading the store, zone by zone", read_s),
        ("  of which computing and keeping", whole_s - read_s),
        ("  of which the formulas, with the hours of the afternoon", alone_s),
        (f"{zones:,} zones for the first time, two days of hours", first_s),
        (f"{checked.days:,} kept days made again and compared", again_s),
    ]
    told = [(what, report.figure(s), report.times(s / LIMIT_S)) for what, s in figures]
    return report.table(("what", "CPU s", f"of {LIMIT_S:g} s"), told)


def _registry(zones: int) -> Registry:
    places = [Zone(code=f"z{n}", name_vi="k", name_en="z", lat=21.6, lon=104.5) for n in range(zones)]
    hung = [
        Binding(gateway=f"g-{n}", channel=channel, place="zone", code=f"z{n}", valid_from=HUNG)
        for n in range(zones)
        for channel in ("weather-1", "rain-1", "soil-1")
    ]
    return Registry({"zone": places, "binding": hung})


def _hours(zones: int, midnight: int) -> list[Past]:
    starts = [midnight + n * HOUR_MS for n in range(-48, 13)]
    known = WEATHER | {"rain_total": 100.0}
    made = {name: [Hour(start, 0, value, value, value) for start in starts] for name, value in known.items()}
    return [
        Past(f"g-{n}", "rain-1" if name == "rain_total" else "weather-1", name, hours)
        for n in range(zones)
        for name, hours in made.items()
    ]
