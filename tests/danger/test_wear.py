"""What months do to the book: clocks that are wrong, pages that rot, disks that are full, stores that hang."""

from __future__ import annotations

import resource
import signal
import socket
import sqlite3
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from cloud.clock import midnight_ms
from cloud.danger import course
from cloud.danger.book import NAME, Book, past, recompute
from cloud.danger.watch import Watch
from cloud.store import Retry, open_store
from tests.danger.garden import FIRST, Garden, again, at
from tests.danger.garden import lived as a_life

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    return a_life(tmp_path_factory.mktemp("lived"), 3)


@pytest.fixture
def garden(lived: tuple[Path, int], tmp_path: Path) -> Iterator[Garden]:
    made = again(lived, tmp_path)
    made.look(at(FIRST + timedelta(3 - 1), 19.1))
    yield made
    made.close()


def test_a_clock_that_has_not_been_set_yet_makes_no_day_and_forgets_none(garden: Garden) -> None:
    was = garden.days()
    assert garden.watch._book is not None
    seen_ms = garden.watch._book.ledger_ms
    with pytest.raises(Retry, match="1970"):
        garden.look(3_600_000)
    assert garden.watch._book.ledger_ms == seen_ms, "the ledger is not read from its beginning afterwards"
    garden.look(at(FIRST + timedelta(2), 19.5))
    assert garden.days() == was


def test_a_clock_that_is_years_ahead_makes_no_years_of_days(garden: Garden) -> None:
    garden.look(at(FIRST + timedelta(50 * 365), 14))
    assert len(garden.days(100_000)) <= 3 + 31 + 1


def test_days_that_a_clock_made_ahead_are_made_of_their_weather_though_nobody_looked_on_them(garden: Garden) -> None:
    garden.look(at(FIRST + timedelta(10), 14))  # ten days ahead, then put right
    garden.watch.close()
    for n in range(3, 6):  # the room is down for three days
        garden.tell(at(FIRST + timedelta(n)), 24, rain=100.0)
    garden.watch = garden.started()
    garden.look(at(FIRST + timedelta(6), 9))
    assert [day.has_p for day in garden.days()[-5:]] == [True] * 5
    assert recompute(garden.folder / NAME).differ == []


def test_a_page_that_rots_costs_only_what_stood_on_it_and_that_is_made_anew(garden: Garden) -> None:
    for n in range(40):  # so that the file has pages
        assert garden.watch._book is not None
        day = garden.days()[-1]
        garden.watch._book.put([course.day(f"z9{n}", day.day, course.FIRST, day.inputs, 5.0)])
    was = garden.days()
    garden.watch.close()
    path = garden.folder / NAME
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (pages,) = db.execute("PRAGMA page_count").fetchone()
    db.close()
    data = bytearray(path.read_bytes())
    size = len(data) // pages
    (rotten,) = [n for n in range(pages) if b"z01" in data[n * size : (n + 1) * size] and b"2026-02-03" in
                 data[n * size : (n + 1) * size] and data[n * size] == 10][:1]  # fmt: skip
    data[rotten * size : rotten * size + 200] = b"\xff" * 200
    path.write_bytes(data)
    garden.watch = garden.started()
    with pytest.raises(sqlite3.DatabaseError):
        garden.look(at(FIRST + timedelta(2), 20))
    garden.look(at(FIRST + timedelta(2), 20.1))
    assert [(one.day, one.after) for one in garden.days()] == [(one.day, one.after) for one in was]
    assert (garden.folder / f"{NAME}.damaged-1").exists()
    kept = [n for n in range(40) if past(path, f"z9{n}", 1, FIRST + timedelta(2))[0]]
    assert kept, "what lies on other pages is brought over"


def test_a_disk_that_takes_nothing_costs_time_and_no_day(garden: Garden) -> None:
    garden.tell(at(FIRST + timedelta(3)), 14, rain=100.0)
    was = garden.days()
    before, ignored = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        with pytest.raises(sqlite3.Error):
            garden.look(at(FIRST + timedelta(3), 13.6))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert garden.days() == was
    garden.look(at(FIRST + timedelta(3), 13.7))
    assert garden.days()[-1].day == FIRST + timedelta(3)


def test_years_of_days_take_little_room(tmp_path: Path) -> None:
    """Each day below a kilobyte: from there on SQLite gives each row a page of its own, four times as much."""
    book, before = Book(tmp_path / NAME), course.FIRST
    made = []
    for n in range(400):
        on = FIRST + timedelta(n)
        hours = tuple(
            course.Hour(midnight_ms(on) + (k - 8) * 3_600_000, 20.03 + k * 1.07 + n % 7, 61.17 + k, 1.13 + k / 9, 0.0)
            for k in range(26)
        )
        inputs = course.Inputs(21.6, 30.1 + n % 5, 41.7, 2.3, 0.0, 1, 31.2, 40.9, 0.0, hours=hours, sources=("a", "b"))
        made.append(course.day("z01", on, before, inputs, 5.0))
        before = made[-1].after
    book.put(made)
    book.close()
    db = sqlite3.connect(tmp_path / NAME)
    (size,) = db.execute("SELECT sum(pgsize) FROM dbstat WHERE name = 'day'").fetchone() if _has_dbstat(db) else (0,)
    longest = max(len(row) for (row,) in db.execute("SELECT row FROM day"))
    db.close()
    assert longest < 1_000
    assert size < 400 * 1_500


def _has_dbstat(db: sqlite3.Connection) -> bool:
    try:
        db.execute("SELECT 1 FROM dbstat LIMIT 1")
    except sqlite3.OperationalError:
        return False
    return True


def test_a_store_that_hangs_ends_with_its_patience_and_lets_the_room_stop(garden: Garden) -> None:
    """An InfluxDB that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        table = {"engine": "influx", "url": f"http://127.0.0.1:{silent.getsockname()[1]}", "timeout_s": 0.3}
        store = open_store(table, writer=False)
        watch = Watch(garden.folder / NAME, store, garden, garden.clock)  # type: ignore[arg-type]
        began, stop = time.monotonic(), threading.Event()
        with pytest.raises(Retry, match="no whole reply within"):
            watch.look()
        assert time.monotonic() - began < 3.0
        stop.set()
        watch.run(stop)
        watch.close()
        store.close()


def test_a_store_that_is_slow_is_not_asked_on_when_the_room_stops(garden: Garden) -> None:
    stop, asked = threading.Event(), list[object]()
    whole = garden.store.each_hourly

    def slow(*of: object) -> object:
        asked.append(of)
        stop.set()
        return whole(*of)  # type: ignore[arg-type]

    garden.store.each_hourly = slow  # type: ignore[method-assign, assignment]
    garden.tell(at(FIRST + timedelta(3)), 14, rain=100.0)
    garden.watch._turn = stop
    assert garden.look(at(FIRST + timedelta(3), 13.6)) == 0
    assert len(asked) == 1
    garden.watch._turn = None
    garden.store.each_hourly = whole  # type: ignore[method-assign]
    assert garden.look(at(FIRST + timedelta(3), 13.7)) == 1, "it is done at the next start"
