"""Heavy rain from a gauge's running total: late readings, gaps, restarts, work at the gauge, zones, another clock."""

from __future__ import annotations

import random
import re
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from cloud.alerts import words
from cloud.alerts.channels import Named, open_channels
from cloud.alerts.decide.series import Series
from cloud.alerts.rainfall import joined, kept, sums
from cloud.clock import hanoi
from cloud.inbox import Asker
from cloud.registry import Contact, Registry
from cloud.registry.book import Book
from cloud.registry.kinds import KINDS, Maintenance, Zone
from cloud.registry.live import Live
from cloud.registry.periods import NEVER, Periods
from tests.rules.garden import SMOKE, START_MS, Bench, HandClock, Hook, Post, bound, registry, serving
from tests.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloud.store.totals import Run

MIN = 60
RAIN: dict[str, Any] = {
    "name": "rain",
    "kind": "sum",
    "hours": 3.0,
    "over": 70.0,
    "clear_below": 30.0,
    "clear_s": 600,
    "source": "bản tin 18/5/2025",
}
COMMUNE = Contact("Trực ban xã", "commune", "xa@example.vn")


def garden(**more: Any) -> Registry:
    own = registry(contacts=[COMMUNE, Contact("Op", "operator", "op@example.vn", "en")])
    rows = {kind: own._of(kind, KINDS[kind]) for kind in KINDS}
    rows["binding"] = [*rows["binding"], bound("sg-01", "rain-1", "zone", "suoi-giang")]
    return Registry(rows | more)


class Answering(Bench):
    """A bench whose people answer by SMS."""

    hook: Hook | None = None

    def _channels(self) -> list[Named]:
        tables = [{"kind": "webhook", "url": self.hook.url, "deadline_s": 5.0}] if self.hook else []
        return [Named("sms", "sms_http", one.channel) for one in open_channels(tables)]


def pour(bench: Bench, begin_s: float, minutes: int, mm_each: float, total: float, *, each_s: float = 300.0) -> float:
    """Let it rain as the gauge tells it live; return its total."""
    for n in range(minutes * 60 // round(each_s)):
        total += mm_each
        bench.live([(begin_s + n * each_s, total)], quantity="rain_total", channel="rain-1")
    return total


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, [RAIN], None, registry=garden(), tells=False)
    made.alerts.listening(True)
    yield made
    made.close()


def test_commune_officers_are_told_once_with_the_least_that_fell_and_where_the_threshold_comes_from(tmp_path):
    port = free_port()
    with serving(Post(port)) as post:
        bench = Bench(tmp_path, [RAIN], port, registry=garden())
        bench.alerts.listening(True)
        pour(bench, 0, 120, 5.0, 800.0)
        (mail,) = [mail for to, mail in post.mails if to == COMMUNE.email]
        text = mail.get_content()
        assert "mưa ít nhất 75 mm trong 3 giờ" in text
        assert "at least 75 mm of rain in 3 h" in text
        assert "bản tin 18/5/2025" in text
        assert re.search(r"^Trả lời bằng tin nhắn: \d{4} = tôi nhận\r?$", text, re.MULTILINE), (
            "nobody asks whether it burns"
        )
        assert re.search(r"\b\d{4} = I have it\r?$", text, re.MULTILINE)
        item = words.Item(bench.alerts.incidents()[0], None, "onset")
        assert words.short([item], "").startswith("BAO TIN: mua lon. "), "an SMS about rain speaks of no fire"
        bench.close()
    assert [one.peak for one in bench_incidents(tmp_path)] == [115.0]


def bench_incidents(folder):
    bench = Bench(folder, [RAIN], None, registry=garden(), tells=False)
    try:
        return bench.alerts.incidents()
    finally:
        bench.close()


def test_it_ends_when_the_rain_has_left_the_window(bench):
    total = pour(bench, 0, 90, 5.0, 800.0)
    pour(bench, 90 * MIN, 240, 0.0, total)
    (one,) = bench.alerts.incidents()
    assert one.ended_ms is not None
    assert bench.events()[-1] == "ended"


@pytest.mark.parametrize("damaged", [[175.0], [175.0, 175.0], [175.0, 175.2, 176.0]], ids=["once", "twice", "thrice"])
def test_readings_that_leap_and_come_back_are_no_rain_and_wake_at_most_who_would_be_woken_by_two(bench, damaged):
    """75 mm within five minutes is less than ever fell: one such reading is not told, and none stays a flood."""
    rows = [100.0, 100.2, *damaged, 100.4, 100.4, 100.4, *[100.6] * 20]
    for n, total in enumerate(rows):
        bench.live([(n * 300.0, total)], quantity="rain_total", channel="rain-1")
    assert [one.ended_ms is not None for one in bench.alerts.incidents()] == [True] * (len(damaged) > 1)


def test_a_burst_that_leaps_is_told_with_the_next_reading_that_stands_by_it(bench):
    pour(bench, 0, 5, 0.2, 100.0)
    bench.live([(300.0, 175.0)], quantity="rain_total", channel="rain-1")
    assert bench.alerts.incidents() == []
    bench.live([(600.0, 175.4)], quantity="rain_total", channel="rain-1")
    (one,) = bench.alerts.incidents()
    assert one.since_ms == bench.at(300.0)
    assert one.peak == pytest.approx(75.2)


def test_a_gauge_with_another_total_after_a_night_without_any_is_no_flood(bench):
    pour(bench, 0, 60, 0.2, 100.0)
    bench.clock.advance(8 * 3_600)
    pour(bench, 9 * 3_600, 60, 0.2, 2_100.0)
    assert bench.alerts.incidents() == []


@pytest.mark.parametrize("start", ["2025-11-30T22:30", "2025-12-31T23:10"], ids=["month", "year"])
def test_midnight_is_no_edge_of_a_sum(bench, start):
    from datetime import datetime

    begin_s = datetime.fromisoformat(f"{start}:00+07:00").timestamp() - START_MS / 1000
    bench.clock.step(begin_s)
    pour(bench, begin_s, 120, 5.0, 800.0)
    (one,) = bench.alerts.incidents()
    assert one.peak == pytest.approx(115.0), "all of two hours"


def test_two_gauges_of_a_zone_are_each_their_own_sum(tmp_path):
    """What one of them counts is not added to the other: 40 mm at both are 40 mm."""
    rows = garden(binding=[*garden().bindings, bound("sg-02", "rain-1", "zone", "suoi-giang")])
    bench = Bench(tmp_path, [RAIN], None, registry=rows, tells=False)
    bench.alerts.listening(True)
    for n in range(9):
        for gateway in ("sg-01", "sg-02"):
            bench.send([(n * 300.0, 5.0 * n)], quantity="rain_total", channel="rain-1", gateway=gateway)
        bench.clock.advance(300)
        bench.step()
    assert bench.alerts.incidents() == []
    bench.close()


def test_a_link_that_was_cut_loses_no_rain_and_a_gap_is_not_dry(bench):
    """The gauge counts on without anybody hearing it; what fell within the window counts when it is heard again."""
    total = pour(bench, 0, 30, 5.0, 10.0)
    bench.clock.advance(80 * MIN)
    pour(bench, 110 * MIN, 5, 60.0, total)
    (one,) = bench.alerts.incidents()
    assert one.value == pytest.approx(85.0)
    assert one.open


def test_a_backlog_that_fills_a_gap_raises_the_sums_after_it(bench):
    """Old readings come after new ones: before them nothing was known of the beginning of the window."""
    early = [(n * 300.0, 100.0 + 6.0 * n) for n in range(14)]  # 78 mm in 65 minutes
    bench.clock.advance(70 * MIN)
    bench.send([(69 * MIN, 178.0)], quantity="rain_total", channel="rain-1")
    assert bench.alerts.incidents() == []
    for part in (early[7:], early[:7]):  # the newest of what was kept is sent first
        bench.send(part, quantity="rain_total", channel="rain-1")
    (one,) = bench.alerts.incidents()
    assert not one.late
    assert one.peak == pytest.approx(78.0)
    told = [intent.tell for intent in bench.alerts._journal.intents(0)]
    assert told.count("onset") == 1


def test_a_storm_of_last_night_that_arrives_today_is_known_late_and_wakes_nobody(bench):
    storm = [(n * 300.0, 100.0 + 6.0 * n) for n in range(14)]
    calm = [(n * 300.0, 178.0) for n in range(14, 72)]
    bench.clock.advance(12 * 3_600)
    bench.send([(12 * 3_600 - 60, 178.2)], quantity="rain_total", channel="rain-1")
    rows = storm + calm
    for at in range(0, len(rows), 12):
        bench.send(rows[at : at + 12], quantity="rain_total", channel="rain-1")
    (one,) = bench.alerts.incidents()
    assert one.late
    assert one.peak == pytest.approx(78.0)
    assert one.since_ms == bench.at(12 * 300.0)
    assert [intent.tell for intent in bench.alerts._journal.intents(0)] in (["late"], ["late", "late_end"])


@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_batches_comes_to_the_same_incident(tmp_path, seed):
    """Twenty minutes of batches shuffled, some of them twice."""
    chance = random.Random(seed)
    rows = [(n * 60.0, 5.0 + 1.5 * min(n, 60)) for n in range(70)]
    batches = [rows[at : at + 7] for at in range(0, 70, 7)]
    batches += chance.sample(batches, 3)
    chance.shuffle(batches)
    bench = Bench(tmp_path, [RAIN], None, registry=garden(), tells=False, late_s=7_200.0)
    bench.alerts.listening(True)
    bench.clock.advance(70 * MIN)
    for own in batches:
        bench.send(own, quantity="rain_total", channel="rain-1")
    (one,) = bench.alerts.incidents()
    assert (one.since_ms, one.peak, one.open) == (bench.at(47 * 60.0), pytest.approx(90.0), True)
    bench.close()


def test_a_restart_in_the_rain_forgets_nothing(bench):
    total = pour(bench, 0, 60, 5.0, 800.0)
    bench.restart()
    bench.alerts.listening(True)
    pour(bench, 60 * MIN, 30, 5.0, total)
    (one,) = bench.alerts.incidents()
    assert one.value == pytest.approx(85.0)


def test_rain_beside_smoke_leaves_smoke_as_it_was(tmp_path):
    """A gauge's batch is calm; the smoke in it is judged at once as ever."""
    bench = Bench(tmp_path, [RAIN, SMOKE], None, registry=garden(), tells=False)
    bench.alerts.listening(True)
    pour(bench, 0, 60, 1.0, 10.0)
    bench.live([(3_600 + n * 60.0, 90.0) for n in range(6)])
    assert [one.rule for one in bench.alerts.incidents()] == ["smoke"]
    bench.close()


def test_rain_in_a_journal_of_before_rules_said_what_may_be_a_fire_is_none(bench):
    pour(bench, 0, 90, 5.0, 800.0)
    bench.alerts.close()
    db = sqlite3.connect(bench.path)
    later = "DROP INDEX node_ill; ALTER TABLE node DROP COLUMN faults; ALTER TABLE node DROP COLUMN patient_ms"
    later += "; DROP INDEX journal_incident; ALTER TABLE incident DROP COLUMN may_burn"
    later += "; ALTER TABLE incident DROP COLUMN cause; DROP TABLE report"
    db.executescript(f"{later}; PRAGMA user_version = 12")
    db.close()
    bench.restart()
    bench.step()
    (one,) = bench.alerts.incidents()
    assert (one.grade, one.may_burn, one.lives) == ("life", False, False)


def test_water_that_somebody_pours_into_a_gauge_is_no_rain(tmp_path):
    clock = HandClock()
    book = Book(tmp_path / "registry.db", writer=True)
    own = garden()
    with book.writing("test", "garden", 0) as draft:
        for kind in KINDS:
            draft.put(own._of(kind, KINDS[kind]))
        starts, ends = hanoi(START_MS + 600_000), hanoi(START_MS + 1_800_000)
        draft.put([Maintenance(gateway="sg-01", channel="rain-1", starts=starts, ends=ends)])
    live = Live(tmp_path / "registry.db", tmp_path, clock, private=True)
    bench = Bench(tmp_path, [RAIN], None, registry=live, clock=clock, tells=False)
    bench.alerts.listening(True)
    for at_s, total in ((0, 10.0), (300, 10.0), (900, 60.0), (1_500, 110.0), (2_100, 111.0), (2_400, 111.0)):
        bench.live([(at_s, total)], quantity="rain_total", channel="rain-1")
    assert bench.alerts.incidents() == []
    bench.close()
    live.close()
    book.close()


def test_a_zone_has_thresholds_of_its_own(tmp_path):
    other = Zone(code="z02", name_vi="Khe", name_en="Gully", lat=21.6, lon=104.6)
    zones = [*garden().zones.values(), other]
    own = replace(bound("sg-02", "rain-1", "zone", "z02"))
    rows = garden(zone=zones)
    rows = garden(zone=zones, binding=[*rows.bindings, own])
    steep = RAIN | {"name": "rain-steep", "over": 30.0, "clear_below": 10.0, "zones": ["z02"]}
    bench = Bench(tmp_path, [RAIN, steep], None, registry=rows, tells=False)
    bench.alerts.listening(True)
    for gateway in ("sg-01", "sg-02"):
        readings = [(n * 300.0, 5.0 * n) for n in range(9)]  # 40 mm
        bench.clock.advance(max(0.0, 2_400 - (bench.clock.utc_ms() - START_MS) / 1000))
        bench.send(readings, quantity="rain_total", channel="rain-1", gateway=gateway)
    assert [(one.rule, one.gateway) for one in bench.alerts.incidents()] == [("rain-steep", "sg-02")]
    bench.close()


def test_a_clock_that_was_ahead_hides_no_rain(bench):
    """The server's clock was seven hours ahead while it began to rain, and was put right."""
    bench.clock.step(7 * 3_600)
    pour(bench, 7 * 3_600, 30, 5.0, 100.0)
    bench.clock.step(-7 * 3_600)
    pour(bench, (bench.clock.utc_ms() - START_MS) / 1000 + 300, 80, 5.0, 130.0)
    (one,) = bench.alerts.incidents()
    assert one.open
    assert one.since_ms <= bench.clock.utc_ms()


# --- the sums themselves


def test_runs_are_the_same_whatever_order_readings_come_in():
    points = [(START_MS + n * 60_000, n, float(n // 7)) for n in range(60)]
    whole = joined([], points, 300_000)
    for seed in range(30):
        assert joined([], random.Random(seed).sample(points, 60), 300_000) == whole
    assert len(whole) == 9
    assert joined(whole, points, 300_000) == whole


def test_a_day_of_rain_at_each_second_stays_small_and_keeps_its_sum():
    points = [(START_MS + n * 5_000, n, n * 0.01) for n in range(17_280)]
    runs: list[Run] = []
    for at in range(0, len(points), 720):
        part = points[at : at + 720]
        runs = kept(joined(runs, part, 900_000), ((0, 2**62), (0, 0)), part[-1][0] - 900_000)
    assert len(runs) < 24 * 60 + 400
    last = sums(runs, 24 * 3_600_000, 900_000, NEVER, points[-1][0] - 1, 2**62)[-1]
    assert last.mm == pytest.approx(172.79, abs=0.02)


def test_a_sum_is_the_least_that_fell_whatever_is_lost_doubled_or_damaged():
    """Against the true rain: never more of it, whatever happens on the way, but for damage that looks like rain."""
    chance = random.Random(5)
    for _ in range(200):
        total, truth, points = chance.uniform(0, 500), 0.0, []
        for n in range(120):
            fell = chance.choice((0.0, 0.0, 0.2, 0.6, 3.0))
            truth += fell if n else 0.0
            total += fell
            if chance.random() < 0.02:
                total = 0.0  # it lost its power
            if chance.random() < 0.8:
                points.append((START_MS + n * 60_000, n, round(total, 1)))
            elif chance.random() < 0.2:
                points.append((START_MS + n * 60_000, n, chance.choice((0.0, 6553.5))))
        chance.shuffle(points)
        found = sums(joined([], points, 300_000), 3 * 3_600_000, 300_000, NEVER, 0, 2**62)
        assert all(one.mm <= truth + 0.051 for one in found), (found, truth)


def test_work_at_a_gauge_touches_only_its_own_rise():
    points = [(START_MS + n * 600_000, n, 10.0 * n) for n in range(5)]
    rests = Periods([(START_MS + 700_000, START_MS + 800_000)])
    assert sums(joined([], points, 900_000), 3_600_000, 900_000, rests, 0, 2**62)[-1].mm == 30.0


def test_a_state_of_before_has_no_runs():
    assert Series().runs == []


def test_who_answers_after_the_rain_is_told_that_it_is_over(tmp_path):
    officer = Contact("Trực ban xã", "commune", "", addresses={"sms": "+84912345678"})
    with Hook() as hook:
        own = registry(contacts=[officer])
        rows = {kind: own._of(kind, KINDS[kind]) for kind in KINDS}
        rows["binding"] = [*rows["binding"], bound("sg-01", "rain-1", "zone", "suoi-giang")]
        bench = Answering(tmp_path, [RAIN], None, registry=Registry(rows))
        bench.hook = hook
        bench.restart()
        bench.alerts.listening(True)
        total = pour(bench, 0, 120, 5.0, 800.0)
        code = re.search(r"(\d{4}) = tôi nhận", hook.got[0][1]["text"])[1]
        pour(bench, 7_200, 300, 0.0, total)
        assert not bench.alerts.incidents()[0].going
        asker = Asker(tmp_path, "alerts", bench.clock)
        asker.ask("reply", {"channel": "sms", "reply": {"sender": "+84912345678", "text": code, "key": "1"}})
        bench.step()
        asker.close()
        said = hook.got[-1][1]["short"]
        assert re.match(r"Da nhan tin cua Truc ban xa\. Viec duoc bao da het luc \d\d:\d\d\. ", said), said
        bench.close()
