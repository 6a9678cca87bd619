"""What every store promises, on SQLite and on real InfluxDB of two generations; and what is special to each."""

from __future__ import annotations

import http.server
import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.parse
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cloud.store import (
    TWICE,
    Absent,
    Hour,
    Mark,
    Past,
    Refusal,
    Retry,
    Shown,
    Store,
    Tallied,
    each_row,
    engines,
    open_store,
)
from cloud.store.engines.influx import history as influx_history
from cloud.store.engines.influx import parcels, writing
from disk.form import bring_forward
from tests import servers
from tests.build import EPOCH, SOIL, START_MS, UPTIME_MS, batch, soil, with_text
from tests.servers import influx_table
from wire.batch import Batch, Dated, Gap, Source, Status, key_of
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
ALL = (0, 2**62)
KEY = key_of(EPOCH, START_MS - UPTIME_MS)
INFLUX = [pytest.param(name, marks=pytest.mark.influx) for name in ("influxd1", "influxd2")]


@pytest.fixture(params=["sqlite", *INFLUX])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    if request.param == "sqlite":
        return {"engine": "sqlite", "path": str(tmp_path / "store.sqlite")}
    return influx_table(request.getfixturevalue(request.param), tmp_path)


@pytest.fixture
def store(table: dict[str, Any]) -> Iterator[Store]:
    opened = open_store(table, writer=True)
    opened.setup()
    yield seen(opened)
    opened.close()


def seen(store: Any) -> Any:
    """Let `commit` return only when its rows are seen, and fail where that takes longer than the store promises."""
    durably = store.commit

    def commit(entries: Any, arrival_ms: int) -> Any:
        refused = durably(entries, arrival_ms)
        until = time.monotonic() + store.settle_s
        wanted = {(entry.gateway, entry.epoch, entry.first, entry.n) for entry in entries}
        while missing := wanted - {(row.gateway, row.epoch, row.first, row.n) for row in store.ledger()}:
            assert time.monotonic() < until, f"not seen within settle_s = {store.settle_s}: {missing}"
        return refused

    store.commit = commit
    return store


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Any]:
    opened = open_store({"path": str(tmp_path / "store.sqlite")}, writer=True)
    opened.setup()
    yield opened
    opened.close()


def read(store: Store) -> list[Dated]:
    """Return every reading that the ledger says is stored."""
    return [dated for row in store.ledger() if row.verdict == "stored" for dated in store.batch_readings(row)]


def moisture(store: Store, channel: str = "soil-1") -> list[tuple[int, float]]:
    return store.series("sg-01", channel, "soil_moisture", *ALL)


MIXED = [
    {"soil-1": SOIL, "gnss-1": {"lat": 21.5551234, "lon": 104.5060001, "alt": 1371.5}},
    {"soil-1": SOIL | {"soil_ph": Reason.OUT_OF_RANGE}, "modem": {"cell": 0xFFFFFFFFF, "lte_rsrp": -140.5}},
    {"soil-1": dict.fromkeys(SOIL, Reason.SILENCE), "air-1": {"air_temperature": -3.05}},
    {"soil-1": SOIL | {"soil_moisture": 0.0}, "modem": {"cell": Reason.NOT_REPORTED, "lte_rsrp": -99.0}},
]


def test_what_is_committed_is_read_back_exactly(store: Store) -> None:
    whole = batch(rows=MIXED, first=999_998)  # the sequence number's last six digits turn over within it
    assert store.commit([whole], START_MS + 9_000) == [[]]
    (row,) = store.ledger()
    times = [time for block in whole.blocks for time in block.stored_ns()]
    assert (row.gateway, row.epoch, row.first, row.n) == ("sg-01", EPOCH, 999_998, 8)
    assert (row.verdict, row.arrival_ms, row.refused) == ("stored", START_MS + 9_000, 0)
    assert (row.start_ns, row.end_ns) == (min(times), max(times))
    assert store.batch_readings(row) == list(whole.readings())
    stored = store.series("sg-01", "gnss-1", "lat", *ALL)
    assert stored == [(START_MS * 1_000_000 + KEY, 21.5551234)]


def test_a_series_is_cut_by_its_range(store: Store) -> None:
    store.commit([batch(rows=soil(5))], START_MS)
    whole = moisture(store)
    assert [value for _, value in whole] == [30.0, 30.01, 30.02, 30.03, 30.04]
    assert store.series("sg-01", "soil-1", "soil_moisture", whole[1][0], whole[3][0]) == whole[1:3]
    assert store.series("sg-01", "soil-2", "soil_moisture", *ALL) == []
    assert store.series("sg-01", "soil-1", "co", *ALL) == []


def test_twice_is_the_same_points(store: Store) -> None:
    one, two = batch(rows=MIXED), batch(first=9, start_ms=START_MS + 60_000, rows=soil(60))
    store.commit([one, two], START_MS + 120_000)
    before = (read(store), store.latest(), moisture(store), store.missing("sg-01", "soil-1", *ALL))
    hours = store.hourly("sg-01", "soil-1", "soil_moisture", START_MS, START_MS + DAY_MS)
    for again in range(3):
        store.commit([two, one, two], START_MS + 130_000 + again * HOUR_MS)
    assert (read(store), store.latest(), moisture(store), store.missing("sg-01", "soil-1", *ALL)) == before
    assert store.hourly("sg-01", "soil-1", "soil_moisture", START_MS, START_MS + DAY_MS) == hours
    assert sum(hour.n for hour in hours) == 63
    assert sorted((row.first, row.n) for row in store.ledger()) == [(1, 8), (9, 60)]


def test_hours_without_readings_stand_in_no_ledger_and_give_way_to_what_is_measured(table: dict[str, Any]) -> None:
    """InfluxDB keeps hours apart with `keep_days` only; without it, it says that it wrote none."""
    start_ms = int(time.time()) * 1000 // HOUR_MS * HOUR_MS - 5 * DAY_MS
    series = ("sg-01", "soil-1", "soil_moisture")
    hours = [Hour(start_ms + hour * HOUR_MS, 0, 20.5 + hour, 20.0, 40.0) for hour in range(48)]
    for keeps in ({}, {"keep_days": 30}):
        with closing(open_store(table | keeps, writer=True)) as store:
            store.setup()
            wrote = store.write_hours([Past(*series, hours)])
            assert wrote == (bool(keeps) or table["engine"] == "sqlite")
            assert store.hourly(*series, start_ms, start_ms + 3 * DAY_MS) == (hours if wrote else [])
            assert (store.ledger(), store.latest(), store.statuses()) == ([], [], [])
    with closing(open_store(table | keeps, writer=True)) as store:
        store.setup()
        store.commit([batch(rows=soil(3), start_ms=start_ms + 2 * HOUR_MS)], int(time.time()) * 1000)
        found = store.hourly(*series, start_ms, start_ms + 3 * DAY_MS)
        assert [hour.n for hour in found] == [0, 0, 3, *[0] * 45]
        assert found[2].mean == pytest.approx(30.01)


GAP = Gap("sg-01", EPOCH, 1, 5, "quota")
REFUSAL = Refusal("sg-01", EPOCH, 1, 5, "channel soil-1: quantity 'x' is unknown here")


@pytest.mark.parametrize("apart_ms", [0, 1_000])
@pytest.mark.parametrize(
    ("entries", "verdict", "words"),
    [
        ([GAP], "declared", "quota"),
        ([REFUSAL], "quarantined", REFUSAL.reason),
        ([GAP, REFUSAL], "quarantined", REFUSAL.reason),
        ([REFUSAL, GAP], "quarantined", REFUSAL.reason),
        ([GAP, REFUSAL, "batch"], "stored", ""),
        (["batch", REFUSAL, GAP], "stored", ""),
    ],
    ids=lambda value: "-".join(type(v).__name__ for v in value) if isinstance(value, list) else None,
)
def test_the_best_verdict_stands(store: Store, entries: list[Any], verdict: str, words: str, apart_ms: int) -> None:
    made = [batch(rows=soil(5)) if entry == "batch" else entry for entry in entries]
    for number, entry in enumerate(made):
        store.commit([entry], START_MS + number * apart_ms)
    (row,) = store.ledger()
    assert (row.verdict, row.words, row.first, row.n) == (verdict, words, 1, 5)
    assert len(store.batch_readings(row)) == (5 if verdict == "stored" else 0)
    if verdict == "stored" and entries[0] == GAP:
        assert row.arrival_ms == START_MS + 2 * apart_ms, "an upgraded row must pass the cursor of alerts again"


def test_many_kinds_in_one_commit(store: Store) -> None:
    gap = Gap("sg-01", EPOCH, 61, 40, "damaged")
    other = batch(gateway="sg-02", rows=soil(3))
    entries = [batch(rows=soil(60)), gap, Refusal("sg-01", EPOCH, 101, 7, 'why, "so" it\'s a=b\\'), other]
    assert store.commit(entries, START_MS) == [[], [], [], []]
    told = {(row.gateway, row.first, row.n): (row.verdict, row.words) for row in store.ledger()}
    assert told == {
        ("sg-01", 1, 60): ("stored", ""),
        ("sg-01", 61, 40): ("declared", "damaged"),
        ("sg-01", 101, 7): ("quarantined", 'why, "so" it\'s a=b\\'),
        ("sg-02", 1, 3): ("stored", ""),
    }
    assert len(read(store)) == 63


def test_absent_values_keep_their_reasons_and_are_no_values(store: Store) -> None:
    store.commit([batch(rows=MIXED)], START_MS)
    found = store.missing("sg-01", "soil-1", *ALL)
    second, third = ((START_MS + 1_000) * 1_000_000 + KEY, (START_MS + 2_000) * 1_000_000 + KEY)
    assert found == [Absent(second, "soil_ph", 7), *(Absent(third, quantity, 1) for quantity in sorted(SOIL))]
    assert store.missing("sg-01", "soil-1", third, third + 1) == found[1:]
    assert store.missing("sg-01", "soil-9", *ALL) == []
    assert [value for _, value in moisture(store)] == [31.27, 31.27, 0.0]


WILD = [
    {"soil-1": SOIL | {"soil_ph": (Reason.OUT_OF_RANGE, 19.1)}, "gnss-1": {"lat": (Reason.OUT_OF_RANGE, 214.5551234)}},
    {"soil-1": SOIL | {"soil_ph": Reason.SENTINEL, "soil_ec": (Reason.OUT_OF_RANGE, -32_768)}},
    {"soil-1": SOIL, "gnss-1": {"lat": 21.5551234}},
]


def test_a_number_out_of_range_lies_beside_its_reason_and_is_no_value(store: Store) -> None:
    whole = batch(rows=WILD)
    store.commit([whole], START_MS)
    store.commit([whole, batch(gateway="sg-02", rows=WILD[1:])], START_MS + 1)  # twice is the same
    first, second = START_MS * 1_000_000 + KEY, (START_MS + 1_000) * 1_000_000 + KEY
    assert store.missing("sg-01", "soil-1", *ALL) == [
        Absent(first, "soil_ph", 7, 19.1),
        Absent(second, "soil_ec", 7, -32_768.0),
        Absent(second, "soil_ph", 6, None),
    ]
    assert store.missing("sg-01", "gnss-1", *ALL) == [Absent(first, "lat", 7, 214.5551234)]
    assert store.missing("sg-01", "soil-1", second, second + 1)[0].raw == -32_768.0
    assert {19.1, 214.5551234, -32_768.0}.isdisjoint(everything_else(store))


def everything_else(store: Store) -> set[float]:
    """Return every number that the other methods of a store tell, and so all that pages and rules can know."""
    told = {sample.value for sample in store.latest()}
    for dated in read(store):
        told |= set(dated.values.values())
    for sample in store.latest():
        series = (sample.gateway, sample.channel, sample.quantity)
        told |= {value for _, value in store.series(*series, *ALL)}
        hours = store.hourly(*series, START_MS, START_MS + DAY_MS)
        told |= {number for hour in hours for number in (hour.mean, hour.low, hour.high)}
    assert 4.85 in told
    return told


def test_a_bounded_batch_says_so_and_how_much(store: Store) -> None:
    whole = batch(rows=soil(2), source=Source.BOUNDED, uncertainty_ms=7_200_500)
    store.commit([whole], START_MS)
    assert [(dated.bounded, dated.values["clock_uncertainty"]) for dated in read(store)] == [(True, 7201.0)] * 2
    assert read(store) == list(whole.readings())


def test_readings_of_one_millisecond_do_not_merge(store: Store) -> None:
    store.commit([batch(rows=soil(7), step_ms=0)], START_MS)
    assert [(time - START_MS * 1_000_000, value) for time, value in moisture(store)] == [
        (KEY + place, round(30 + place / 100, 2)) for place in range(7)
    ]
    assert [dated.seq for dated in read(store)] == list(range(1, 8))


def test_a_clock_that_is_put_back_merges_nothing(store: Store) -> None:
    """The gateway was dated ten seconds wrong, its probe is read each ten: the times of two batches fall together."""
    one = batch(rows=soil(3), step_ms=10_000)
    other = batch(first=4, rows=soil(3, base=80), step_ms=10_000, uptime_ms=UPTIME_MS + 10_000)
    assert [block.times_ms for block in one.blocks] == [block.times_ms for block in other.blocks]
    store.commit([one, other], START_MS)
    assert sorted(value for _, value in moisture(store)) == [30.0, 30.01, 30.02, 80.0, 80.01, 80.02]
    assert read(store) == [*one.readings(), *other.readings()]


def test_two_gateways_under_one_name_are_told_apart(store: Store) -> None:
    """A copied card: the same numbers at the same times, under two epochs. Each ledger row has its own readings."""
    one, other = batch(rows=soil(3)), batch(epoch="11" * 8, rows=soil(3, base=80))
    store.commit([one, other], START_MS)
    assert sorted(value for _, value in moisture(store)) == [30.0, 30.01, 30.02, 80.0, 80.01, 80.02]
    told = {row.epoch: store.batch_readings(row) for row in store.ledger()}
    assert told == {EPOCH: list(one.readings()), "11" * 8: list(other.readings())}


def test_hours_count_late_data(store: Store) -> None:
    def hours() -> list[tuple[int, int, float, float, float]]:
        found = store.hourly("sg-01", "soil-1", "soil_moisture", START_MS, START_MS + 3 * HOUR_MS)
        return [(h.start_ms - START_MS, h.n, round(h.mean, 6), h.low, h.high) for h in found]

    first = batch(rows=[{"soil-1": {"soil_moisture": 10.0}}, {"soil-1": {"soil_moisture": 20.0}}], step_ms=HOUR_MS)
    store.commit([first], START_MS + HOUR_MS)
    assert hours() == [(0, 1, 10, 10, 10), (HOUR_MS, 1, 20, 20, 20)]
    for tick in range(2):  # whatever the store counts at rest, it has counted now
        beat = batch(gateway="sg-09", first=1 + tick, start_ms=START_MS + DAY_MS, rows=soil(1))
        store.commit([beat], START_MS + DAY_MS + tick * HOUR_MS)
    assert hours() == [(0, 1, 10, 10, 10), (HOUR_MS, 1, 20, 20, 20)]
    late = batch(first=3, start_ms=START_MS + HOUR_MS - 1_500, rows=[{"soil-1": {"soil_moisture": 40.0}}] * 3)
    store.commit([late], START_MS + 2 * DAY_MS)
    want = [(0, 3, 30, 10, 40), (HOUR_MS, 2, 30, 20, 40)]
    assert hours() == want
    store.commit([late, first], START_MS + 3 * DAY_MS)
    store.commit([late, first], START_MS + 4 * DAY_MS)
    assert hours() == want
    assert store.hourly("sg-01", "soil-1", "soil_moisture", START_MS + 1, START_MS + HOUR_MS) == []
    assert len(store.hourly("sg-01", "soil-1", "soil_moisture", START_MS + 1, START_MS + HOUR_MS + 1)) == 1


def test_many_series_are_read_together(store: Store) -> None:
    """Two hours of nine channels, a gap in one, hours at rest and not, over a span that no slice holds at once."""
    for number in range(9):
        of = {"soil_moisture": 10.0 + number, "soil_temperature": 20.0 + number}
        rows = [{"soil-1": of}, {"soil-1": of | {"soil_temperature": Reason.SILENCE}}, {"soil-1": of}]
        made = batch(gateway=f"sg-{number}", rows=rows, step_ms=HOUR_MS // 2)
        store.commit([made], START_MS + HOUR_MS + number * 300_000)
    end_ms = START_MS + 200 * HOUR_MS
    wanted = [(f"sg-{n}", "soil-1", of) for n in range(9) for of in ("soil_moisture", "soil_temperature")]
    wanted += [("sg-3", "soil-1", "co2"), ("sg-9", "soil-1", "co2"), ("sg-1", "soil-2", "soil_moisture"), wanted[0]]
    hours = list(store.each_hourly(wanted, START_MS - 200 * HOUR_MS, end_ms))
    assert sorted(series for series, _ in hours) == sorted(set(wanted)), "each once"
    of = {series: [(h.start_ms - START_MS, h.n, h.mean) for h in found] for series, found in hours}
    told = {series: [(ns // 10**6 - START_MS, value) for ns, value in found]
            for series, found in store.each_series(wanted, START_MS * 10**6, end_ms * 10**6)}  # fmt: skip
    assert of.keys() == told.keys()
    for n in range(9):
        damp, warm = 10.0 + n, 20.0 + n
        assert of[f"sg-{n}", "soil-1", "soil_moisture"] == [(0, 2, damp), (HOUR_MS, 1, damp)]
        assert of[f"sg-{n}", "soil-1", "soil_temperature"] == [(0, 1, warm), (HOUR_MS, 1, warm)]
        assert told[f"sg-{n}", "soil-1", "soil_moisture"] == [(0, damp), (HOUR_MS // 2, damp), (HOUR_MS, damp)]
        assert told[f"sg-{n}", "soil-1", "soil_temperature"] == [(0, warm), (HOUR_MS, warm)]
    assert [of[series] + told[series] for series in wanted[18:21]] == [[], [], []]
    assert list(store.each_hourly([], START_MS, end_ms)) == []
    assert dict(store.each_hourly(wanted[:1], end_ms, START_MS)) == {wanted[0]: []}


def registrations(codes: list[int | None], channel: str, first: int, start_ms: int, step_ms: int = 60_000) -> Batch:
    rows = [{channel: {"registration": Reason.SILENCE if code is None else code}} for code in codes]
    return batch(first=first, start_ms=start_ms, step_ms=step_ms, rows=rows)


def test_when_a_series_held_a_value_last(store: Store) -> None:
    service = [1.0, 5.0]
    days = [registrations([2, 1, 5, 2, None, 2], "modem-a", 1, START_MS)]
    days += [registrations([2] * 60, "modem-a", 7 + 60 * hour, START_MS + (hour + 1) * HOUR_MS) for hour in range(30)]
    days += [registrations([2, 2, 0], "modem-b", 2_000, START_MS)]
    days += [registrations([1, 1, 1], "modem-c", 3_000, START_MS)]
    for number, one in enumerate(days):  # most hours come to rest and are counted
        store.commit([one], START_MS + 40 * HOUR_MS + number * 300_000)
    span = (START_MS * 1_000_000, (START_MS + 40 * HOUR_MS) * 1_000_000)
    asked = [("sg-01", "modem-a"), ("sg-01", "modem-b"), ("sg-01", "modem-c"), ("sg-99", "modem")]
    found = store.last_held(asked, "registration", service, *span)
    assert {series: time_ns // 1_000_000 for series, time_ns in found.items()} == {
        ("sg-01", "modem-a"): START_MS + 120_000,
        ("sg-01", "modem-c"): START_MS + 120_000,
    }
    assert store.last_held(asked[2:3], "registration", service, span[0], span[0]) == {}
    assert store.last_held(asked[:2], "registration", service, span[0] + 180_000_000_000, span[1]) == {}
    assert store.last_held([], "registration", service, *span) == {}


def test_latest_gives_each_quantity_its_own_time(store: Store) -> None:
    store.commit([batch(rows=[{"soil-1": {"soil_moisture": 31.0, "soil_ph": 4.5}, "air-1": {"co2": 411}}])], START_MS)
    newer = [
        {"soil-1": {"soil_moisture": 32.0, "soil_ph": 4.6}},
        {"soil-1": {"soil_moisture": 33.0, "soil_ph": Reason.SHORT}},
    ]
    store.commit([batch(first=3, start_ms=START_MS + 60_000, rows=newer)], START_MS + 60_000)
    store.commit([batch(first=5, start_ms=START_MS - DAY_MS, rows=soil(2))], START_MS + 61_000)  # late: not the newest
    found = {(s.channel, s.quantity): (s.time_ns, s.value) for s in store.latest() if s.gateway == "sg-01"}
    assert {series: (time // 1_000_000 - START_MS, value) for series, (time, value) in found.items()}.items() >= {
        ("soil-1", "soil_moisture"): (61_000, 33.0),
        ("soil-1", "soil_ph"): (60_000, 4.6),
        ("air-1", "co2"): (0, 411.0),
        ("soil-1", "soil_ec"): (1_000 - DAY_MS, 412.0),
    }.items()


def test_an_empty_store_answers(store: Store) -> None:
    assert (store.ledger(), store.latest(), store.statuses(), moisture(store)) == ([], [], [], [])
    assert store.hourly("sg-01", "soil-1", "soil_moisture", 0, START_MS) == []
    assert store.missing("sg-01", "soil-1", *ALL) == []
    assert store.commit([], START_MS) == []


def test_the_ledger_can_be_followed(store: Store) -> None:
    for number in range(4):
        whole = batch(first=1 + 5 * number, start_ms=START_MS - number * HOUR_MS, rows=soil(5, base=30 + number))
        store.commit([whole], START_MS + number * 10)
    assert [row.first for row in store.ledger()] == [1, 6, 11, 16]
    (third, fourth) = store.ledger(since_ms=START_MS + 20)
    assert (third.first, fourth.first) == (11, 16)
    assert [dated.seq for dated in store.batch_readings(third)] == [11, 12, 13, 14, 15]
    assert store.ledger(since_ms=START_MS + 31) == []


@pytest.mark.parametrize("together", [True, False])
def test_one_identity_with_other_readings_is_stored_as_well_and_said(store: Store, *, together: bool) -> None:
    """Two copies of one SD card, or a restored image, count on from the same number."""
    one, other = batch(rows=soil(3)), batch(start_ms=START_MS + 600_000, rows=soil(3, base=80))
    store.commit([one], START_MS)
    store.commit([one], START_MS + 1)
    assert [row.words for row in store.rows_of("sg-01", EPOCH, [1, 2])] == [""]
    for number in range(2):
        for later, entries in enumerate([[other, one]] if together else [[other], [one]]):
            store.commit(entries, START_MS + 10 + 2 * number + later)
    assert [value for _, value in moisture(store)] == [30.0, 30.01, 30.02, 80.0, 80.01, 80.02]
    (row,) = store.ledger()
    assert (row.verdict, row.words, row.arrival_ms) == ("stored", TWICE, START_MS)
    assert store.batch_readings(row) == list(one.readings())
    assert store.rows_of("sg-01", EPOCH, [1]) == [row]
    assert store.rows_of("sg-01", "11" * 8, [1]) == store.rows_of("sg-02", EPOCH, [1]) == []


def test_the_ledger_comes_in_pages_of_whole_milliseconds(store: Store) -> None:
    assert list(each_row(store)) == []
    for number in range(9):  # three to a millisecond
        store.commit([batch(gateway=f"sg-0{number}", first=1 + number, rows=soil(1))], START_MS + number // 3)
    assert [row.first for row in store.ledger(at_most=2)] == [1, 2, 3]
    assert [row.first for row in store.ledger(START_MS + 1, at_most=4)] == [4, 5, 6, 7, 8, 9]
    assert len(store.ledger(at_most=10)) == 9
    for page in (1, 2, 3, 4, 8, 9, 10):
        assert [row.first for row in each_row(store, page)] == list(range(1, 10))


def test_a_page_that_says_less_is_not_the_last(store: Any) -> None:
    """A batch that came twice, rows that nobody can read, and one that says to come from the year 9999."""
    entries = [batch(gateway=f"sg-0{number}", first=1 + number, rows=soil(1)) for number in range(9)]
    for number, one in enumerate(entries):
        store.commit([one], START_MS + 10 * number)
    store.commit(entries[:1], START_MS + 5)
    if hasattr(store, "_server"):
        far = f'first=1,n=1,verdict=0,refused=0,arrival_ms={2**53},start_ns="0",end_ns="0",words=""'
        lines = [f"batch,gateway=sg-98,epoch=e{n} verdict=99,arrival_ms=1 {START_MS + 31 + n}000000" for n in range(8)]
        store._server.write("\n".join([*lines, f"batch,gateway=sg-99,epoch=e {far} {START_MS + 1}000000"]))
    else:
        with closing(sqlite3.connect(store._path)) as db:
            spoilt = "INSERT INTO ledger SELECT epoch, 900 + ?, 1, 99, ?, 0, 0, '' FROM ledger LIMIT 1"
            db.executemany(spoilt, [(n, START_MS + 31 + n) for n in range(8)])
            db.commit()
    for page in (1, 2, 3, 8, 20):
        assert {row.first for row in each_row(store, page)} == set(range(1, 10)), page


def test_batches_that_overlap_in_time_are_told_apart(store: Store) -> None:
    one, two = batch(rows=soil(5)), batch(first=6, start_ms=START_MS + 500, rows=soil(5, base=50))
    away = batch(gateway="sg-02", rows=soil(5, base=60))
    store.commit([one, two, away], START_MS)
    for row, whole in zip(sorted(store.ledger(), key=lambda r: (r.gateway, r.first)), (one, two, away), strict=True):
        assert store.batch_readings(row) == list(whole.readings())


def test_statuses_keep_the_newest_and_the_highest(store: Store) -> None:
    old, new = "0a" * 8, "0b" * 8
    store.write_status("sg-01", Status(1, "online", epoch=old, acquired=50), START_MS)
    store.write_status("sg-01", Status(1, "online", epoch=new, acquired=70, why='đĩa đầy "spool"'), START_MS + 1)
    will = Status(1, "offline", epoch=new, acquired=3, channels={"soil-1": {"last_ok_s": 4, "why": "x, y=z"}})
    store.write_status("sg-01", will, START_MS + 2)
    store.write_status("sg-02", Status(1, "offline"), START_MS + 3)
    found = [(row.gateway, row.arrival_ms - START_MS, row.status) for row in store.statuses()]
    assert found == [
        ("sg-01", 0, Status(1, "online", epoch=old, acquired=50)),
        ("sg-01", 2, msgspec.structs.replace(will, acquired=70)),
        ("sg-02", 3, Status(1, "offline")),
    ]


def test_a_second_setup_and_a_reader_find_what_is_there(store: Store, table: dict[str, Any]) -> None:
    store.commit([batch(rows=soil(3))], START_MS)
    store.setup()
    reader = open_store(table, writer=False)
    reader.setup()
    assert moisture(reader) == moisture(store)
    assert len(moisture(reader)) == 3
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(len(moisture(reader)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [3] * 4
    reader.close()
    reader.close()


def test_health_names_engine_and_version(store: Store, table: dict[str, Any]) -> None:
    health = store.health()
    assert health["engine"] == table["engine"]
    assert health["version"]
    assert health["fault"] == ""


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"engine": "sqlite", "paht": "x"}, "paht"),
        ({"engine": "sqlite", "path": 3}, "path"),
        ({"engine": "influx", "pasword_file": "x"}, "pasword_file"),
        ({"engine": "influx", "url": "localhost:8086"}, "url"),
        ({"engine": "influx", "database": "a/b"}, "database"),
        ({"engine": "influx", "timeout_s": 0}, "timeout_s"),
    ],
)
def test_a_wrong_key_or_value_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=words):
        open_store(wrong, writer=True)


def test_an_unknown_engine_is_refused_with_those_that_are() -> None:
    assert engines() == ["influx", "sqlite"]
    with pytest.raises(ValueError, match=r"'duckdb' is unknown; there are: influx, sqlite"):
        open_store({"engine": "duckdb"}, writer=True)


def test_a_summary_is_kept_beside_the_ledger(store: Store, table: dict[str, Any]) -> None:
    assert store.summary() == (Mark(), [])
    kept = [Tallied(f"sg-{number:04d}", EPOCH, f'{{"stored":[[1,{number}]]}}') for number in range(1_200)]
    store.keep_summary(kept, Mark(START_MS, 7))
    odd = Tallied("sg-0007", "0b" * 8, 'quoted "text", a=b\\ đ')
    store.keep_summary([Tallied("sg-0007", EPOCH, "newer"), odd], Mark(START_MS + 1, 8))
    kept[7:8] = [Tallied("sg-0007", EPOCH, "newer"), odd]
    reader = open_store(table, writer=False)
    mark, found = reader.summary()
    assert mark == Mark(START_MS + 1, 8)
    assert [
        pair
        for pair in zip(sorted(found, key=lambda one: (one.gateway, one.epoch)), kept, strict=True)
        if pair[0] != pair[1]
    ] == []
    reader.close()
    store.keep_summary([], Mark(START_MS + 2, 9))
    assert store.summary()[0] == Mark(START_MS + 2, 9)


def test_a_summary_of_a_torn_epoch_is_kept_whole_however_long(store: Store) -> None:
    for holes in (9_000, 2_000, 1):
        text = json.dumps({"stored": [[3 * at, 3 * at + 1] for at in range(holes)]})
        store.keep_summary([Tallied("sg-01", EPOCH, text)], Mark(START_MS))
        assert store.summary()[1] == [Tallied("sg-01", EPOCH, text)]


def test_what_is_copied_for_boards_is_no_reading(store: Store) -> None:
    day = Shown("danger", {"zone": "khu, một=1"}, 1_770_000_000_000_000_000, {"p": 4_200.0}, {"name": 'Khu "một"\n'})
    looked = store.show(())
    assert store.show([day, day]) == looked == (store.health()["engine"] == "influx")
    assert (store.ledger(), store.latest(), store.statuses()) == ([], [], [])


def test_without_retention_everything_is_kept(store: Store) -> None:
    assert store.kept_since_ms(START_MS) == 0


# SQLite


def limit_file_size(store: Any, path: Path) -> Callable[[], object]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = max(file.stat().st_size for file in path.parent.iterdir()) + 200_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))  # the interpreter ignores SIGXFSZ
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)


def limit_pages(store: Any, path: Path) -> Callable[[], object]:
    db = store._writer._db
    db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0] + 2}")
    return lambda: db.execute("PRAGMA max_page_count = 1000000")


def minute(number: int) -> Batch:
    return batch(first=1 + 60 * number, start_ms=START_MS + 60_000 * number, rows=soil(60))


def fill(store: Store, kept: list[int]) -> None:
    for number in range(200):
        store.commit([minute(number)], START_MS)
        kept.append(1 + 60 * number)


@pytest.mark.parametrize(
    ("limit", "words"), [(limit_file_size, "its room and its limits"), (limit_pages, "make space on its disk")]
)
def test_a_full_disk_costs_nothing_that_was_acknowledged(
    lite: Any, tmp_path: Path, limit: Callable[[Any, Path], Callable[[], object]], words: str
) -> None:
    kept: list[int] = []
    make_room = limit(lite, tmp_path / "store.sqlite")
    try:
        with pytest.raises(Retry, match=words) as caught:
            fill(lite, kept)
        assert words in lite.health()["fault"]
    finally:
        make_room()
    assert caught.value.after_s == 30.0
    undone = minute(len(kept))
    assert [row.first for row in lite.ledger()] == kept != []
    assert len(moisture(lite)) == 60 * len(kept) < 12_000
    lite.commit([undone], START_MS)
    assert len(moisture(lite)) == 60 * (len(kept) + 1)
    assert lite.health()["fault"] == ""


def test_a_row_from_before_the_mark_lowers_it(lite: Any) -> None:
    lite.keep_summary([], Mark(START_MS + 1_000, 5))
    lite.commit([batch(rows=soil(1))], START_MS + 1_000)
    assert lite.summary()[0] == Mark(START_MS + 1_000, 5)
    lite.commit([batch(first=2, rows=soil(1))], START_MS + 400)  # the clock was set back
    lite.commit([batch(first=3, rows=soil(1))], START_MS + 700)
    assert lite.summary()[0] == Mark(START_MS + 400, 5)


def test_names_given_out_in_an_undone_transaction_are_forgotten(lite: Any) -> None:
    good = batch(gateway="sg-07", rows=soil(2))
    broken = msgspec.structs.replace(
        good, first=3, held=[msgspec.structs.replace(good.blocks[0], columns=[["1"], ["1", "2"]])]
    )
    with pytest.raises(ValueError, match="zip"):
        lite.commit([good, broken], START_MS)
    assert (lite.ledger(), lite.latest()) == ([], [])
    lite.commit([good], START_MS)
    assert read(lite) == list(good.readings())


def test_another_program_that_holds_the_file_is_named(lite: Any, tmp_path: Path) -> None:
    lite._writer._db.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(tmp_path / "store.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Retry, match="held by another program"):
        lite.commit([batch(rows=soil(2))], START_MS)
    other.execute("ROLLBACK")
    other.close()
    assert lite.commit([batch(rows=soil(2))], START_MS) == [[]]


WRITER = """
import sys
from cloud.store import open_store
from tests.build import START_MS, batch, soil
store = open_store({"path": sys.argv[1]}, writer=True)
store.setup()
for number in range(100_000):
    first, start = 1 + 20 * number, START_MS + 20_000 * number
    store.commit([batch(first=first, start_ms=start, rows=soil(20))], start)
    print(first, flush=True)
"""


def test_kill_9_loses_nothing_acknowledged_and_the_lock_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    chance = random.Random(3)
    done = 0
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": "."}
        )
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(chance.randrange(5, 60))]
        with pytest.raises(RuntimeError, match=f"process {writer.pid} already writes .*stop that one first"):
            open_store({"path": str(path)}, writer=True).setup()
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        told += map(int, writer.stdout.read().split()[:-1])  # the last line may be cut short
        writer.stdout.close()
        done = max(done, *told)
        store = open_store({"path": str(path)}, writer=True)
        store.setup()
        rows = store.ledger()
        assert {row.first for row in rows} >= set(range(1, done + 1, 20))
        assert all(len(store.batch_readings(row)) == 20 for row in rows[-3:])
        assert len(moisture(store)) == 20 * len(rows)
        store.close()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def test_a_second_writer_of_the_same_process_is_refused_and_the_first_goes_on(lite: Any, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="exactly one ingester"):
        open_store({"path": str(tmp_path / "store.sqlite")}, writer=True).setup()
    assert lite.commit([batch(rows=soil(2))], START_MS) == [[]]
    lite.close()
    lite.close()
    again = open_store({"path": str(tmp_path / "store.sqlite")}, writer=True)
    again.setup()
    assert len(moisture(again)) == 2
    again.close()


def test_a_store_is_closed_while_others_ask_it(lite: Any) -> None:
    """To close a connection of SQLite that another thread uses would end the process (SIGSEGV)."""
    for number in range(40):
        lite.commit([minute(number)], START_MS)
    ended: list[object] = []

    def ask() -> None:
        try:
            while True:
                lite.latest()
                moisture(lite)
        except Retry as error:
            ended.append(error)

    asking = [threading.Thread(target=ask, name=f"asking-{number}") for number in range(4)]
    for thread in asking:
        thread.start()
    until = time.monotonic() + 20
    while len(lite._readers._readers) < len(asking):
        assert time.monotonic() < until, "nobody asked within 20 s"
    lite._readers._path = lite._readers._path.with_name("gone")  # who asks again finds nothing
    lite.close()
    for thread in asking:
        thread.join(20)
    assert len(ended) == len(asking)


def test_a_reader_may_not_write(lite: Any, tmp_path: Path) -> None:
    reader = open_store({"path": str(tmp_path / "store.sqlite")}, writer=False)
    reader.setup()
    with pytest.raises(RuntimeError, match="writer=True"):
        reader.commit([batch(rows=soil(2))], START_MS)
    reader.close()


@pytest.mark.parametrize("writer", [True, False])
def test_a_file_of_a_newer_gocche_is_refused(tmp_path: Path, *, writer: bool) -> None:
    path = tmp_path / "store.sqlite"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(RuntimeError, match=r"version 99 and this gocche knows \d: a newer gocche wrote it"):
        open_store({"path": str(path)}, writer=writer).setup()


def test_a_file_that_is_not_there_or_not_sqlite_asks_for_patience(tmp_path: Path) -> None:
    with pytest.raises(Retry, match="has not made it yet"):
        open_store({"path": str(tmp_path / "none.sqlite")}, writer=False).setup()
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"not a database at all" * 200)
    store = open_store({"path": str(path)}, writer=True)
    with pytest.raises(Retry, match=r"is damaged .* restore the last backup"):
        store.setup()
    path.unlink()
    store.setup()  # the lock was let go
    store.close()


def test_migration_goes_forward_step_by_step_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x"
    db = sqlite3.connect(path, isolation_level=None)
    steps = ["CREATE TABLE a (x)", "CREATE TABLE b (x); INSERT INTO b VALUES (1)"]
    bring_forward(db, path, steps[:1])
    with pytest.raises(sqlite3.OperationalError):
        bring_forward(db, path, [*steps, "CREATE TABLE c (x); NONSENSE"])
    assert db.execute("PRAGMA user_version").fetchone() == (2,)
    assert db.execute("SELECT name FROM sqlite_master ORDER BY name").fetchall() == [("a",), ("b",)]
    bring_forward(db, path, steps)
    assert db.execute("SELECT count(*) FROM b").fetchone() == (1,)
    db.close()


@pytest.mark.parametrize(("version", "first"), [(1, 1), (2, 999_998)])
def test_a_file_of_an_older_gocche_is_brought_forward(tmp_path: Path, version: int, first: int) -> None:
    path = tmp_path / "store.sqlite"
    dump = Path(__file__).parents[1] / "data" / "store" / f"version-{version}.sql"
    with sqlite3.connect(path) as db:
        db.executescript(dump.read_text(encoding="utf-8"))
    db.close()
    reader = open_store({"path": str(path)}, writer=False)
    with pytest.raises(Retry, match="the ingester has not prepared this file yet"):
        reader.setup()
    store = open_store({"path": str(path)}, writer=True)
    store.setup()
    reader.setup()
    whole = batch(rows=MIXED, first=first)
    assert read(reader)[:8] == list(whole.readings())
    assert [(one.reason, one.raw) for one in reader.missing("sg-01", "soil-1", *ALL)] == [(7, None), *[(1, None)] * 6]
    before = moisture(reader)
    store.commit([whole], START_MS + 60_000)  # its acknowledgement was lost with the old server
    assert (moisture(reader), read(reader)[:8]) == (before, list(whole.readings()))
    assert store.ledger()[0].words == ""
    store.commit([batch(first=14 + first, start_ms=START_MS + 60_000, rows=WILD)], START_MS + 60_000)
    assert [one.raw for one in reader.missing("sg-01", "soil-1", *ALL)] == [*[None] * 7, 19.1, -32_768.0, None]
    reader.close()
    store.close()


def test_hours_at_rest_are_written_down(lite: Any) -> None:
    lite.commit([batch(rows=soil(60))], START_MS + 60_000)
    lite.commit([], START_MS + DAY_MS)
    with sqlite3.connect(lite._path) as db:
        assert db.execute("SELECT count(*) FROM dirty_hour").fetchone() == (0,)
        found = db.execute("SELECT n, low, high FROM hourly WHERE quantity = 'soil_moisture'").fetchall()
    db.close()
    assert found == [(60, 30.0, 30.59)]
    (hour,) = lite.hourly("sg-01", "soil-1", "soil_moisture", START_MS, START_MS + HOUR_MS)
    assert (hour.n, round(hour.mean, 6)) == (60, 30.295)


# InfluxDB


@pytest.fixture(params=INFLUX)
def server(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.fixture
def archive(server: Any, tmp_path: Path) -> Iterator[Any]:
    opened = open_store(influx_table(server, tmp_path), writer=True)
    opened.setup()
    yield opened
    opened.close()


def test_a_server_that_is_down_asks_for_patience_and_then_goes_on(archive: Any, server: Any) -> None:
    archive.commit([batch(rows=soil(5))], START_MS)
    more = batch(first=6, start_ms=START_MS + 5_000, rows=soil(5))
    server.kill()
    try:
        with pytest.raises(Retry, match="does not answer"):
            archive.commit([more], START_MS + 1)
        with pytest.raises(Retry, match="does not answer"):
            archive.latest()
        assert "does not answer" in archive.health()["fault"]
    finally:
        server.start()
    assert archive.commit([more], START_MS + 2) == [[]]
    assert len(moisture(archive)) == 10, "what was acknowledged before the kill is there"
    assert [row.first for row in archive.ledger()] == [1, 6]
    archive.latest()
    assert archive.health()["fault"] == ""


def put(server: Any, archive: Any, *lines: str) -> None:
    """Write lines into the archive's database, as a foreign program or an older gocche could."""
    url = f"{server.url}/write?{urllib.parse.urlencode({'db': archive._config.database, 'precision': 'ns'})}"
    token = {"Authorization": f"Token {server.token}"} if isinstance(server, servers.InfluxD2) else {}
    assert servers.ask(url, "\n".join(lines).encode(), token | {"Content-Type": "text/plain"})[0] == 204


def seed_integer(server: Any, archive: Any, quantity: str) -> None:
    """Make one field of `reading` an integer field."""
    put(server, archive, f"reading,channel=foreign,gateway=foreign {quantity}=1i {START_MS * 1_000_000}")


def test_what_an_older_gocche_wrote_is_read_and_may_come_again(archive: Any, server: Any) -> None:
    """It had no field `seq`: the sequence number stood below the millisecond."""
    whole = batch(rows=[{"soil-1": {"soil_ph": 4.5}}, {"soil-1": {"soil_ph": Reason.SHORT}}], first=1_999_999)
    first, last = START_MS * 1_000_000 + 999_999, (START_MS + 1_000) * 1_000_000
    tags = "channel=soil-1,gateway=sg-01"
    row = f"first=1999999,n=2,verdict=0,refused=0,arrival_ms={START_MS}"
    put(
        server,
        archive,
        f"reading,{tags} soil_ph=4.50 {first}",
        f"missing,{tags} soil_ph=2 {last}",
        f'batch,epoch={EPOCH},gateway=sg-01 {row},start_ns="{first}",end_ns="{last}",words="" {START_MS * 1_000_000}',
    )
    assert read(archive) == list(whole.readings())
    archive.commit([whole], START_MS + 1_000)
    (row,) = archive.ledger()
    assert row.words == ""
    assert archive.batch_readings(row) == list(whole.readings())


def test_an_epoch_makes_no_series(archive: Any) -> None:
    """A gateway has a new one at each boot, and 1.8 refuses the 100,001st value of a tag, for good."""
    for number in range(3):
        epoch = f"{number:016x}"
        archive.commit([batch(epoch=epoch, rows=soil(1)), Gap("sg-01", epoch, 2, 1, "quota")], START_MS + number)
        archive.write_status("sg-01", Status(1, "online", epoch=epoch), START_MS + number)
        archive.keep_summary([Tallied("sg-01", epoch, "{}")], Mark())
    keys = {
        row["tagKey"] for _, row in archive._server.rows("SHOW TAG KEYS FROM batch, reading, status, newest, tally")[0]
    }
    assert keys == {"gateway", "channel", "by"}
    assert (len(archive.ledger()), len(archive.statuses()), len(archive.summary()[1])) == (6, 3, 3)


def test_what_the_last_version_wrote_is_read_and_may_come_again(archive: Any, server: Any) -> None:
    """It had a number in each reading, and a field for each part of a ledger row."""
    whole = batch(rows=[{"soil-1": {"soil_ph": 4.5}}, {"soil-1": {"soil_ph": Reason.SHORT}}])
    first, last = (time for block in whole.blocks for time in block.stored_ns())
    row = f'first=1,n=2,verdict=0,refused=0,arrival_ms={START_MS},start_ns="{first}",end_ns="{last}",words=""'
    put(
        server,
        archive,
        f"reading,channel=soil-1,gateway=sg-01 soil_ph=4.50,seq=1i {first}",
        f"missing,channel=soil-1,gateway=sg-01 soil_ph=2,seq=2i {last}",
        f"batch,epoch={EPOCH},gateway=sg-01 {row} {START_MS * 1_000_000}",
    )
    for again in range(2):
        assert read(archive) == list(whole.readings())
        assert [row.arrival_ms for row in archive.rows_of("sg-01", EPOCH, [1])] == [START_MS]
        archive.commit([whole], START_MS + 1_000 + again)
    assert [(row.arrival_ms, row.words) for row in archive.ledger()] == [(START_MS, "")]
    assert read(archive) == list(whole.readings())


def test_what_a_foreign_program_writes_costs_only_itself(archive: Any, server: Any) -> None:
    whole = batch(rows=MIXED)
    archive.commit([whole], START_MS)
    told = (archive.latest(), moisture(archive), archive.missing("sg-01", "soil-1", *ALL), read(archive))
    tags, week = "channel=soil-1,gateway=sg-01", 7 * DAY_MS * 1_000_000
    own, other = START_MS * 1_000_000 + KEY, START_MS * 1_000_000 + week
    put(
        server,
        archive,
        f'reading,{tags} note="hello",ok=true {own}',
        f'reading,{tags} soil_moisture="wet",seq="x" {other}',
        "reading co2=400 1763870400000000000",
        f'missing,{tags} note="hello",soil_ph=99 {own + 1}',
        f'raw,{tags} note="hello" {own}',
    )
    hours = archive.hourly("sg-01", "soil-1", "soil_moisture", START_MS, START_MS + 30 * DAY_MS)
    assert [(hour.start_ms, hour.n) for hour in hours] == [(START_MS, 3)]
    assert (archive.latest(), moisture(archive), archive.missing("sg-01", "soil-1", *ALL), read(archive)) == told
    assert archive.series("sg-01", "soil-1", "note", *ALL) == []


def test_a_refused_line_costs_only_itself_and_comes_back_with_its_reason(archive: Any, server: Any) -> None:
    seed_integer(server, archive, "soil_ph")
    rows = [{"soil-2": {"soil_ph": 4.5}}, *[{"soil-1": {"co2": 400}}] * 4]
    conflict = batch(first=11, start_ms=START_MS + 10_000, rows=rows)
    damaged = with_text(batch(first=21, start_ms=START_MS + 20_000, rows=soil_without_ph(5)), 23, "soil_ec", "4x2")
    whole = batch(rows=soil_without_ph(5))
    refused = archive.commit([whole, conflict, damaged], START_MS)
    assert [[one.seq for one in own] for own in refused] == [[], [11], [23]]
    assert "type conflict" in refused[1][0].reason
    assert "soil_ph=4.50" in refused[1][0].text
    assert "unable to parse" in refused[2][0].reason
    assert "soil_ec=4x2" in refused[2][0].text
    assert [dated.seq for dated in read(archive)] == [*range(1, 6), *range(12, 16), 21, 22, 24, 25]
    assert [(row.first, row.verdict, row.refused) for row in archive.ledger()] == [
        (1, "stored", 0),
        (11, "stored", 1),
        (21, "stored", 1),
    ]
    assert archive.commit([damaged], START_MS + 5) == [refused[2]], "asked again, it answers the same"
    assert [(row.first, row.refused, row.arrival_ms) for row in archive.ledger()][2] == (21, 1, START_MS)


def soil_without_ph(n: int) -> list[Any]:
    return [
        {channel: {q: v for q, v in values.items() if q != "soil_ph"} for channel, values in row.items()}
        for row in soil(n)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_any_mix_of_bad_lines_is_found_exactly(archive: Any, server: Any, seed: int) -> None:
    chance = random.Random(seed)
    seed_integer(server, archive, "co2")
    batches: list[Batch] = []
    want: list[list[int]] = []
    for number in range(chance.randrange(1, 5)):
        n, first = chance.randrange(1, 40), 1 + 100 * number
        bad = {seq for seq in range(first, first + n) if chance.random() < chance.choice([0.02, 0.3])}
        conflicts = {seq for seq in bad if chance.random() < 0.5}
        rows = [{"air-1": {"co2": 400}} if first + k in conflicts else {"soil-1": SOIL} for k in range(n)]
        whole = batch(first=first, start_ms=START_MS + number * 30_000, rows=rows)
        for seq in bad - conflicts:
            text = chance.choice(["", "1.2.3", "nan?", "1 2", "0x1", '"a'])
            whole = with_text(whole, seq, "soil_moisture", text)
        batches.append(whole)
        want.append(sorted(bad))
    refused = archive.commit(batches, START_MS)
    assert [[one.seq for one in own] for own in refused] == want
    stored = {dated.seq for dated in read(archive)}
    assert stored == {seq for whole in batches for block in whole.blocks for seq in block.seqs} - {
        s for w in want for s in w
    }
    assert [row.refused for row in sorted(archive.ledger(), key=lambda row: row.first)] == list(map(len, want))


def test_too_many_bad_lines_are_given_back_without_asking_for_ever(
    archive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MAX_REQUESTS", 6)
    whole = batch(rows=soil(64))
    for seq in range(1, 65):
        whole = with_text(whole, seq, "soil_ec", "x")
    (refused,) = archive.commit([whole], START_MS)
    assert [one.seq for one in refused] == list(range(1, 65))
    assert any("not tried alone" in one.reason for one in refused)


def test_a_long_commit_goes_in_several_bodies_and_compressed(server: Any, tmp_path: Path) -> None:
    opened = open_store(influx_table(server, tmp_path, gzip=True), writer=True)
    opened.setup()
    step = 250
    batches = [batch(first=1 + step * k, start_ms=START_MS + step * 1_000 * k, rows=soil(step)) for k in range(24)]
    posted = list(parcels.posted(map(parcels.pack, batches), START_MS))
    groups = list(parcels.groups(posted))
    assert [one for group in groups for one in group] == posted
    assert [len(group) for group in groups] == [19, 5]
    assert opened.commit(batches, START_MS) == [[]] * 24
    assert len(moisture(opened)) == 6_000
    assert len(opened.ledger()) == 24
    opened.close()


def test_a_backslash_in_a_name_breaks_no_line(archive: Any) -> None:
    archive.write_status("sg-01", Status(1, "online", epoch="x\\", acquired=7, why='a\\ "b\\"'), START_MS)
    (found,) = archive.statuses()
    assert (found.gateway, found.status.acquired, found.status.why) == ("sg-01", 7, 'a\\ "b\\"')


def test_ledger_rows_of_one_millisecond_do_not_merge(archive: Any) -> None:
    third = 1_000_000 // 3  # a sequence number this far on would fall on the same nanosecond
    gaps = [Gap("sg-01", EPOCH, first, n, "quota") for first, n in ((1, 2), (1, 3), (1_000_001, 1), (1 + third, 1))]
    archive.commit(gaps, START_MS)
    assert sorted((row.first, row.n) for row in archive.ledger()) == sorted((gap.first, gap.n) for gap in gaps)


@pytest.mark.influx
def test_2_7_with_a_narrow_or_wrong_token(influxd2: Any, tmp_path: Path) -> None:
    table = influx_table(influxd2, tmp_path)
    owner = open_store(table, writer=True)
    owner.setup()
    owner.close()
    (tmp_path / "narrow").write_text(narrow_token(influxd2, table["database"]))
    narrow = open_store(table | {"token_file": str(tmp_path / "narrow")}, writer=True)
    narrow.setup()
    assert narrow.commit([batch(rows=soil(3))], START_MS) == [[]]
    assert len(moisture(narrow)) == 3
    narrow.close()
    elsewhere = open_store(table | {"token_file": str(tmp_path / "narrow"), "database": "absent"}, writer=True)
    with pytest.raises(Retry, match=r"influx bucket create --org ORG --name absent --retention 0h"):
        elsewhere.setup()
    with pytest.raises(Retry, match="no database or bucket 'absent': create it"):
        elsewhere.commit([batch(rows=soil(3))], START_MS)
    elsewhere.close()
    (tmp_path / "narrow").write_text("wrong")
    wrong = open_store(table | {"token_file": str(tmp_path / "narrow")}, writer=True)
    with pytest.raises(Retry, match="check token_file"):
        wrong.commit([batch(rows=soil(3))], START_MS)
    (tmp_path / "narrow").write_text(influxd2.token)  # the operator mends it: no restart needed
    assert wrong.commit([batch(rows=soil(3))], START_MS) == [[]]
    wrong.close()
    lost = open_store(table | {"token_file": str(tmp_path / "nowhere")}, writer=True)
    with pytest.raises(Retry, match=r"credential of InfluxDB cannot be read: .*nowhere"):
        lost.setup()
    lost.close()


def narrow_token(server: servers.InfluxD2, bucket: str) -> str:
    """Return a token that may read and write one bucket and nothing else."""
    headers = {"Authorization": f"Token {server.token}", "Content-Type": "application/json"}
    found = json.loads(servers.ask(f"{server.url}/api/v2/buckets?name={bucket}", None, headers)[1])["buckets"][0]
    resource_of = {"type": "buckets", "id": found["id"], "orgID": found["orgID"]}
    rights = [{"action": action, "resource": resource_of} for action in ("read", "write")]
    body = {"orgID": found["orgID"], "permissions": rights}
    status, reply = servers.ask(f"{server.url}/api/v2/authorizations", body, headers)
    assert status == 201
    token: str = json.loads(reply)["token"]
    return token


@pytest.mark.influx
def test_1_8_with_users(influxd1: Any, tmp_path: Path) -> None:
    with servers.InfluxD1(tmp_path / "influxd", auth=("admin", "p:w ü")) as locked:
        (tmp_path / "password").write_text("p:w ü\n")
        table = influx_table(locked, tmp_path, user="admin", password_file=str(tmp_path / "password"))
        store = open_store(table, writer=True)
        store.setup()
        assert store.commit([batch(rows=soil(3))], START_MS) == [[]]
        assert len(moisture(store)) == 3
        store.close()
        stranger = open_store(table | {"user": "nobody"}, writer=True)
        with pytest.raises(Retry, match="check user and password_file"):
            stranger.commit([batch(rows=soil(3))], START_MS)
        stranger.close()
        locked.query("CREATE USER \"plain\" WITH PASSWORD 'p:w ü'")
        plain = open_store(table | {"user": "plain", "database": "absent"}, writer=True)
        with pytest.raises(Retry, match="influx -execute 'CREATE DATABASE \"absent\"'"):
            plain.setup()
        plain.close()


def test_the_summary_outlives_retention(server: Any, tmp_path: Path) -> None:
    opened = open_store(influx_table(server, tmp_path, keep_days=30), writer=True)
    opened.setup()
    for number in range(2):
        opened.keep_summary([Tallied("sg-01", EPOCH, f"text {number}")], Mark(START_MS, number))
        assert opened.summary() == (Mark(START_MS, number), [Tallied("sg-01", EPOCH, f"text {number}")])
    opened.close()


@pytest.mark.parametrize(("when", "after_s"), [("17", 17.0), ("\xb2", 5.0), ("-1", 5.0), ("9" * 400, 3600.0)])
def test_a_server_in_trouble_is_asked_again_when_it_says(tmp_path: Path, when: str, after_s: float) -> None:
    """A fault of the reply's is not the batch's: ² counts as a digit, and sent what came with it to quarantine."""

    class Trouble(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(503)
            self.send_header("Retry-After", when)
            self.end_headers()
            self.wfile.write(b'{"error":"engine: cache maximum memory size exceeded"}')

        def log_message(self, *_: object) -> None:
            pass

    listener = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Trouble)
    thread = threading.Thread(target=listener.serve_forever, args=(0.02,))
    thread.start()
    store = open_store({"engine": "influx", "url": f"http://127.0.0.1:{listener.server_port}"}, writer=True)
    try:
        with pytest.raises(Retry, match="in trouble, 503: engine: cache maximum") as caught:
            store.commit([batch(rows=soil(3))], START_MS)
        assert caught.value.after_s == after_s
        assert "503" in store.health()["fault"]
    finally:
        store.close()
        listener.shutdown()
        thread.join()
        listener.server_close()


def test_an_hour_that_is_only_half_answered_is_passed_over():
    """As InfluxDB 2.7 replied once while points were being written: a mean, and no count yet."""
    half = {"time": 0, "count0": None, "mean0": 1.0, "min0": 1.0, "max0": 1.0}
    whole = {"time": 3_600_000_000_000, "count0": 2, "mean0": 1.5, "min0": 1, "max0": 2}
    assert influx_history.whole(half, 0) is None
    assert influx_history.whole(whole, 0) == Hour(3_600_000, 2, 1.5, 1.0, 2.0)
