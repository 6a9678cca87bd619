"""What every store for samples promises: each once, the same spots whatever the order, before and after compaction."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections import defaultdict
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import h3.api.basic_int as h3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from cloud.clock import hanoi
from cloud.coverage import book
from cloud.coverage.book import Book
from cloud.coverage.sample import LIMITED, NONE, SERVED, Heard, Sample
from cloud.coverage.seam import Put, Spot, Strength
from cloud.store import Retry

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cloud.coverage.seam import Samples

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
MIDNIGHT_MS = 1_788_195_600_000  # 2026-09-01 00:00 in Vietnam
NOW_MS = MIDNIGHT_MS + 40 * DAY_MS
PLACES = [(21.6, 104.5), (21.6, 104.5003), (21.6004, 104.5), (21.61, 104.52)]
WALK = Sample(time_ms=MIDNIGHT_MS, lat=21.6, lon=104.5, source="phone", by="hang-tay", service=NONE, plmn=452004)
ALL = 0, 999_999


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Book]:
    made = Book(tmp_path / book.NAME)
    yield made
    made.close()


heards = st.none() | st.builds(
    Heard, rsrp_dbm=st.none() | st.floats(-139, -45), sinr_db=st.none() | st.floats(-19, 29), pci=st.integers(0, 503)
)
samples = st.builds(
    lambda at, place, **told: Sample(lat=place[0], lon=place[1], source="phone", time_ms=at, **told),
    st.integers(-8, 8).map(lambda n: MIDNIGHT_MS + n * 25_000)
    | st.integers(-3, 3).map(lambda n: MIDNIGHT_MS + n * DAY_MS),
    st.sampled_from(PLACES),
    by=st.sampled_from(["hang-tay", "pu-va"]),
    service=st.sampled_from([NONE, NONE, LIMITED, SERVED]),
    plmn=st.sampled_from([452004, 452001]),
    lte=heards,
    nr=heards,
    nr_looked=st.booleans(),
)


def expected(kept: Sequence[Sample]) -> list[Spot]:
    """Return the spots of samples, made in the plainest way."""
    spots: dict[tuple[int, int, int], list[Sample]] = defaultdict(list)
    stays: dict[tuple[object, ...], list[Sample]] = defaultdict(list)
    for one in sorted(kept, key=lambda one: (one.time_ms, one.key)):
        at = hanoi(one.time_ms)
        spots[one.spot, at.year * 100 + at.month, one.plmn].append(one)
        stays[h3.cell_to_parent(one.spot, 10), one.by, one.plmn, at.date()].append(one)
    dead: dict[tuple[int, int, int], int] = defaultdict(int)
    for stay in stays.values():
        runs: list[list[Sample]] = [[]]
        for before, one in zip([stay[0], *stay], stay, strict=False):
            if one.time_ms - before.time_ms > 900_000:
                runs.append([])
            if one.service == SERVED:
                runs.append([])
            else:
                runs[-1].append(one)
        for run in runs:
            if len(run) >= 3 and run[-1].time_ms - run[0].time_ms >= 60_000:
                at = hanoi(run[0].time_ms)
                dead[run[0].spot, at.year * 100 + at.month, run[0].plmn] += 1
    return [
        Spot(
            *key,
            len(own),
            sum(one.service == NONE for one in own),
            sum(one.service == LIMITED for one in own),
            dead[key],
            sum(1 << (day - 1) for day in {hanoi(one.time_ms).day for one in own}),
            own[0].time_ms,
            own[-1].time_ms,
            strength([one.lte for one in own if one.service == SERVED]),
            strength([one.nr for one in own if one.service == SERVED]),
            sum(one.nr_looked or one.nr is not None for one in own),
        )
        for key, own in sorted(spots.items())
    ]


def strength(heard: Sequence[Heard | None]) -> Strength:
    known = [one for one in heard if one and one.rsrp_dbm is not None]
    tenths = [round(one.rsrp_dbm * 10) for one in known if one.rsrp_dbm is not None]
    sinr = [round(one.sinr_db * 10) for one in known if one.sinr_db is not None]
    squares = sum(one * one for one in tenths)
    best = max(tenths, default=-2000)
    return Strength(len(tenths), sum(tenths) / 10, squares / 100, best / 10, len(sinr), sum(sinr) / 10)


@settings(max_examples=150)
@given(st.lists(samples, max_size=25), st.randoms(use_true_random=False), st.integers(1, 9))
def test_whatever_order_samples_come_in_and_how_often_their_spots_are_the_same(
    tmp_path_factory: pytest.TempPathFactory, given_: list[Sample], dice: object, at_once: int
) -> None:
    store = Book(tmp_path_factory.mktemp("samples") / book.NAME)
    once = list({one.key: one for one in given_}.values())
    came = once + once[: len(once) // 2]
    dice.shuffle(came)  # type: ignore[attr-defined]
    first = {one.key: one for one in reversed(came)}  # of those with one key the first stays
    told = [store.put(came[at : at + at_once], NOW_MS) for at in range(0, len(came), at_once)]
    assert sum(one.new for one in told) == len(once)
    assert sum(one.known for one in told) == len(came) - len(once)
    assert list(store.spots(*ALL)) == expected(list(first.values()))
    assert {one.key for one in store.samples(0, 2**62)} == set(first)
    store.close()


def test_a_sample_comes_back_as_it_was(store: Samples) -> None:
    whole = replace(
        WALK,
        service=SERVED,
        accuracy_m=4.5,
        alt_m=912.0,
        radio=4,
        lte=Heard(rsrp_dbm=-101.5, rsrq_db=-11.0, sinr_db=3.5, tac=3, cell=2**28 - 1, pci=7, arfcn=1300, band=3),
        nr=Heard(rsrp_dbm=-110.0, cell=2**36 - 1, band=78),
        nr_looked=True,
        rssi_dbm=-70.0,
        rtt_ms=45.5,
        loss=0.25,
    )
    assert store.put([whole, WALK], NOW_MS) == Put(2, 0, 0)
    assert set(store.samples(WALK.time_ms, WALK.time_ms + 1)) == {whole, WALK}
    assert list(store.samples(0, WALK.time_ms)) == []


def test_the_same_moment_by_another_team_is_known(store: Samples) -> None:
    assert store.put([WALK, WALK, replace(WALK, by="pu-va")], NOW_MS) == Put(1, 2, 0)
    assert store.put([replace(WALK, source="gateway", by="pi-1")], NOW_MS) == Put(0, 1, 0)


def walk(month: int, days: int = 4) -> list[Sample]:
    """Return a walk through a dead place on some days of a month of 2025 or later."""
    begin_ms = round(datetime(2025 + month // 12, month % 12 + 1, 5, tzinfo=UTC).timestamp() * 1000)
    return [
        replace(WALK, time_ms=begin_ms + day * DAY_MS + n * 30_000, lat=21.6 + n % 2 * 0.0001)
        for day in range(days)
        for n in range(4)
    ]


def test_spots_are_the_same_after_a_month_is_compacted_and_what_comes_later_is_counted_as_late(
    store: Book, tmp_path: Path
) -> None:
    for month in range(14):
        store.put(walk(month), NOW_MS)
    before = list(store.spots(*ALL))
    assert {spot.dead for spot in before if spot.dead} == {4}
    assert store.compact(NOW_MS) == 16
    assert store.compact(NOW_MS) == 0
    assert list(store.spots(*ALL)) == before
    kept = list(store.samples(0, 2**62))
    assert len(kept) == 13 * 16
    assert min(one.time_ms for one in kept) == walk(1)[0].time_ms
    stranger = replace(walk(0)[0], time_ms=walk(0)[0].time_ms + 1)
    assert store.put([walk(0)[0], stranger, walk(1)[0]], NOW_MS) == Put(0, 1, 2)
    assert list(store.spots(*ALL)) == before
    assert book.compacted(tmp_path / book.NAME) == [(202501, 16, 2)]
    again = Book(tmp_path / book.NAME)
    assert again.put([stranger], NOW_MS) == Put(0, 0, 1)
    again.close()


def test_an_old_month_of_which_nothing_was_let_go_is_taken_late(store: Samples) -> None:
    store.put(walk(20), NOW_MS + 300 * DAY_MS)
    assert store.put(walk(2), NOW_MS + 300 * DAY_MS).new == 16


def test_a_clock_that_is_years_ahead_for_a_day_destroys_nothing(store: Samples) -> None:
    for month in (6, 7, 8):
        store.put(walk(month), NOW_MS)
    wrong_ms = NOW_MS + 10 * 365 * DAY_MS
    store.put([replace(WALK, time_ms=wrong_ms + n * HOUR_MS) for n in range(-12, 12)], wrong_ms)
    assert store.compact(wrong_ms) == 0
    assert store.put(walk(9), NOW_MS).new == 16


def test_a_part_is_let_go_at_a_time(store: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "AT_ONCE", 7)
    for month in (0, 13):
        store.put(walk(month), NOW_MS)
    assert [store.compact(NOW_MS) for _ in range(4)] == [7, 7, 2, 0]


def test_what_teams_measured_outlives_the_samples(store: Book, tmp_path: Path) -> None:
    path = tmp_path / book.NAME
    assert book.effort(path, 0) == []
    store.put([*walk(0), replace(WALK, by="pi-1", source="gateway"), replace(WALK, lat=21.7)], NOW_MS)
    for month in (13, 14):
        store.put(walk(month), NOW_MS)
    store.compact(NOW_MS)
    assert book.effort(path, 0) == [("hang-tay", month, 1) for month in (202501, 202602, 202603, 202609)]
    assert book.effort(path, 202603) == [("hang-tay", 202603, 1), ("hang-tay", 202609, 1)]


def test_a_reader_is_not_held_up_by_who_writes(store: Book, tmp_path: Path) -> None:
    store.put([WALK], NOW_MS)
    with store.changing() as db:
        db.execute("DELETE FROM effort")
        assert book.effort(tmp_path / book.NAME, 0) == [("hang-tay", 202609, 1)]
    assert book.effort(tmp_path / book.NAME, 0) == []


def test_who_writes_is_told_to_come_again_where_another_writes(store: Book, tmp_path: Path) -> None:
    store.put([WALK], NOW_MS)
    with closing(sqlite3.connect(tmp_path / book.NAME, isolation_level=None)) as other:
        with store.using() as db:
            db.execute("PRAGMA busy_timeout = 50")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Retry, match="locked"):
            store.put([replace(WALK, lat=21.7)], NOW_MS)
        other.execute("ROLLBACK")
    assert store.put([replace(WALK, lat=21.7)], NOW_MS) == Put(1, 0, 0)


def test_nothing_is_read_where_there_is_no_book(tmp_path: Path) -> None:
    path = tmp_path / book.NAME
    assert book.sheet(path, "phone", 0, 0, 8) is None
    assert [book.sheets(path), book.networks(path), book.effort(path, 0), book.uploads(path)] == [[], [], [], []]
    assert not path.exists()


def test_a_damaged_file_is_set_aside_and_begun_anew(store: Book, tmp_path: Path) -> None:
    path = tmp_path / book.NAME
    store.put(walk(3), NOW_MS)
    store.close()
    for log in ("-wal", "-shm"):
        path.with_name(path.name + log).unlink(missing_ok=True)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    with pytest.raises(Retry, match="begun anew"):
        store.put(walk(3), NOW_MS)
    assert store.put(walk(3), NOW_MS) == Put(16, 0, 0)
    assert path.with_name(f"{path.name}.damaged-1").exists()


CHILD = """
import sys
from pathlib import Path
from msgspec.structs import replace
from cloud.coverage.book import Book
from tests.contracts.test_samples import NOW_MS, WALK
store = Book(Path(sys.argv[1]))
for n in range(1_000_000):
    at_ms = WALK.time_ms + 100_000 * n
    store.put([replace(WALK, time_ms=at_ms + i * 1_000, lat=21.6 + i / 1_000) for i in range(100)], NOW_MS)
    print(n, flush=True)
"""


def test_kill_9_takes_nothing_that_was_kept_and_leaves_nothing_half(store: Book, tmp_path: Path) -> None:
    for kill in range(3):
        args = [sys.executable, "-c", CHILD, str(tmp_path / book.NAME)]
        with subprocess.Popen(args, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout
            told = [int(child.stdout.readline()) for _ in range(5 + 3 * kill)]
            child.send_signal(signal.SIGKILL)
            told += [int(line) for line in child.stdout.read().split()]
        kept = list(store.samples(0, 2**62))
        assert len(kept) % 100 == 0
        assert len(kept) >= 100 * (told[-1] + 1)
        assert list(store.spots(*ALL)) == expected(kept)


FULL = """
import resource, signal, sys
from pathlib import Path
from msgspec.structs import replace
from cloud.coverage.book import Book
from cloud.store import Retry
from tests.contracts.test_samples import NOW_MS, WALK
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Book(Path(sys.argv[1]))
store.put([WALK], NOW_MS)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
kept = 0
try:
    for n in range(1_000):
        at_ms = WALK.time_ms + 100_000 * n
        kept += store.put([replace(WALK, time_ms=at_ms + i * 1_000, lat=21.7) for i in range(100)], NOW_MS).new
except Retry as fault:
    print(fault)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(kept, store.put([replace(WALK, lat=22.0)], NOW_MS).new)
"""


def test_a_full_disk_keeps_nothing_half_and_goes_on_when_there_is_room(store: Book, tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    args = [sys.executable, "-c", FULL, str(tmp_path / book.NAME)]
    told = subprocess.run(args, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout.splitlines()
    assert told[0].startswith("coverage.db: ")
    kept, new = map(int, told[1].split())
    assert new == 1
    found = list(store.samples(0, 2**62))
    assert len(found) == kept + 2
    assert list(store.spots(*ALL)) == expected(found)
