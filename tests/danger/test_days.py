"""The rules of a day, on a real store: windows, two day boundaries, missing days, wind height, rain, late data."""

from __future__ import annotations

import csv
import json
import sqlite3
import threading
import zlib
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cloud.clock import HANOI
from cloud.danger import course, fwi
from cloud.danger.book import NAME, newest, recompute
from cloud.danger.course import wind_factor
from cloud.danger.levels import number, verdict
from cloud.danger.now import Now
from cloud.danger.work import Work
from cloud.registry.kinds import Maintenance
from cloud.store import Retry
from settings.words import Taken
from tests.build import batch
from tests.danger.garden import FIRST, ZONE, Garden, at, table

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLES = Path(__file__).parent / "data" / "vn_danger_tables.json"
A_DAY = 30.0 * 6.112 * 2.718281828459045 ** (17.62 * 30 / (243.12 + 30)) * 0.6  # of P, by hand


@pytest.fixture
def garden(tmp_path: Path) -> Iterator[Garden]:
    made = Garden(tmp_path)
    yield made
    made.close()


def test_a_day_is_made_at_half_past_one_and_from_what_lies_around_noon(garden: Garden) -> None:
    garden.tell(at(FIRST, -24), 36, rain=100.0, air_temperature=10.0)
    garden.tell(at(FIRST, 12), 1.5, rain=100.0, air_temperature=32.0)  # from noon on
    garden.look(at(FIRST, 13.4))
    assert [day.day for day in garden.days()] == [FIRST - timedelta(1)], "its time has not come"
    garden.look(at(FIRST, 13.5))
    day = garden.days()[-1]
    assert day.day == FIRST
    assert day.inputs.noon_temp_c == pytest.approx((3 * 10 + 4 * 32) / 7, abs=0.01), "11:30 to 12:30, both included"
    assert day.inputs.one_temp_c == 32.0
    assert (day.inputs.flags, day.inputs.sources) == ((), ("sg-01/weather-1", "sg-01/rain-1"))
    assert day.inputs.lat == 21.6206
    assert day.before.codes == garden.days()[0].after.codes
    assert garden.look(at(FIRST, 13.51)) == 0, "and is not made again for nothing"


def test_the_course_begins_with_the_start_codes_and_each_day_with_the_one_before(garden: Garden) -> None:
    garden.days_pass(4)
    first, *later = [day for day in garden.days() if day.indices]
    assert first.before.codes == fwi.Codes(85.0, 6.0, 15.0)
    for before, day in zip([first, *later], later, strict=False):
        assert day.before == before.after
    assert later[-1].after.p == pytest.approx(4 * A_DAY - A_DAY, rel=1e-6), "the first day's rain nobody knew whole"
    assert not later[-1].after.settled, "P is summed since the station began: it is at least so much"


def test_rain_before_noon_is_the_days_and_rain_until_one_is_that_of_p(garden: Garden) -> None:
    garden.tell(at(FIRST, -24), 36, rain=100.0)
    garden.tell(at(FIRST, 12), 1.0, rain=100.0, grows=6.0)
    garden.tell(at(FIRST, 13), 24.5, rain=106.0)
    garden.look(at(FIRST, 14))
    today = garden.days()[-1]
    assert (today.inputs.noon_rain_mm, today.inputs.one_rain_mm) == (0.0, 6.0)
    assert (today.after.p, today.after.p_since, today.after.settled) == (0.0, FIRST, True)
    garden.look(at(FIRST + timedelta(1), 13.5))
    tomorrow = garden.days()[-1]
    assert (tomorrow.inputs.noon_rain_mm, tomorrow.inputs.one_rain_mm) == (6.0, 0.0)


def test_a_station_that_spoke_off_noon_is_used_and_said_so(garden: Garden) -> None:
    garden.tell(at(FIRST, -24), 33, rain=100.0)  # until nine in the morning
    garden.tell(at(FIRST, 9), 6, rain=100.0, air_temperature=99.0)  # only the gauge speaks on
    garden.look(at(FIRST, 14.9))
    day = garden.days()[-1]
    assert day.indices is None, "three hours before noon are no noon"
    garden.tell(at(FIRST, 9), 1, at(FIRST, 15), rain=None)  # what it said at ten comes late
    garden.look(at(FIRST, 15))
    day = garden.days()[-1]
    assert day.inputs.noon_temp_c == 30.0
    assert "off" in day.inputs.flags


def test_a_missing_day_keeps_its_codes_and_three_of_them_withhold_the_level(garden: Garden) -> None:
    garden.change("danger_table", table())
    garden.days_pass(3)
    kept = garden.days()[-1]
    assert verdict(kept, table()).level is not None
    for n in range(1, 4):
        garden.look(at(FIRST + timedelta(2 + n), 13.5))
        day = garden.days()[-1]
        assert (day.after.codes, day.after.p, day.after.fwi_missing, day.after.p_missing) == (
            kept.after.codes, kept.after.p, n, n,
        )  # fmt: skip
        assert (day.indices, day.has_p) == (None, False)
        assert verdict(day, table()).why == ("missing" if n == 3 else "")
    garden.days_pass(1, FIRST + timedelta(6))
    back = garden.days()[-1]
    assert (back.after.p_missing, verdict(back, table()).why) == (0, "")


def test_rain_of_days_without_a_word_is_told_as_that_of_several(garden: Garden) -> None:
    garden.days_pass(2)
    garden.days_pass(1, FIRST + timedelta(4), rain=109.0)  # two days of silence, 9 mm meanwhile: 3 mm a day may be none
    day = next(day for day in garden.days() if day.day == FIRST + timedelta(4))
    assert (day.inputs.one_rain_mm, day.inputs.one_rain_days) == (9.0, 3)
    assert "rain_days" in day.inputs.flags
    assert day.after.p > 0, "that one of them had 5 mm is not certain"
    garden.days_pass(1, FIRST + timedelta(7), rain=124.0)  # 15 mm in three days: one of them had 5
    assert next(day for day in garden.days() if day.day == FIRST + timedelta(7)).after.p == 0.0


def test_a_gauge_that_begins_anew_loses_no_rain(garden: Garden) -> None:
    garden.tell(at(FIRST, -24), 30, rain=100.0)
    garden.tell(at(FIRST, 6), 3, rain=0.0, grows=4.0)  # somebody emptied it, then it rained
    garden.tell(at(FIRST, 9), 6, rain=4.0)
    garden.look(at(FIRST, 13.5))
    assert garden.days()[-1].inputs.noon_rain_mm == 4.0


@pytest.mark.parametrize(
    "told",
    [
        ((7, 1 / 6, 0.0), (7 + 1 / 6, 7, 150.0)),  # one reading fell, and is back
        ((6, 5 / 6, 150.0), (6 + 5 / 6, 1 / 6, 0.0), (7, 7, 150.0)),  # the last one of an hour
        ((7, 1 / 6, 149.8), (7 + 1 / 6, 7, 150.0)),
        ((7, 1 / 6, 350.0), (7 + 1 / 6, 7, 150.0)),  # one leapt, and is back
        ((7, 1 / 6, 150.0), (7 + 1 / 6, 1 / 6, 210.0), (7 + 1 / 3, 7, 150.0)),
        ((6, 5 / 6, 150.0), (6 + 5 / 6, 1 / 6, 210.0), (7, 7, 150.0)),  # the last one of an hour
        ((8, 6, 57.3),),  # another gauge, which has counted elsewhere
    ],
)
@pytest.mark.parametrize("are_kept", [True, False])
def test_a_reading_that_is_wrong_or_another_gauge_ends_no_drought(
    garden: Garden, monkeypatch: pytest.MonkeyPatch, told: tuple[tuple[float, float, float], ...], are_kept: bool
) -> None:
    garden.tell(at(FIRST, -24), 31, rain=150.0)
    for hour, hours, total in told:
        garden.tell(at(FIRST, hour), hours, rain=total)
    if not are_kept:  # as those of a new zone's first year: hours alone
        series = garden.store.series
        monkeypatch.setattr(garden.store, "series", lambda *of: [] if of[2] == "rain_total" else series(*of))
    garden.look(at(FIRST, 13.6))
    day = garden.days()[-1]
    assert (day.inputs.noon_rain_mm, day.inputs.one_rain_mm) == (0.0, 0.0)
    assert day.after.p > 0


@pytest.mark.parametrize(
    ("quantity", "value"), [("wind_speed", 75.0), ("air_humidity", 0.0), ("air_temperature", 79.0)]
)
def test_what_cannot_be_is_no_weather_though_the_sensor_may_tell_it(
    garden: Garden, quantity: str, value: float
) -> None:
    """A wind of 75 m/s gave an FWI of 8,500, dry air of 0 % one three times too high."""
    garden.days_pass(1)
    day = FIRST + timedelta(1)
    garden.tell(at(day), 13.6, rain=100.0, **{quantity: value})
    garden.look(at(day, 13.6))
    today = garden.days()[-1]
    assert (today.day, today.indices) == (day, None)
    assert "beyond" in today.inputs.flags
    assert today.has_p == (quantity == "wind_speed")


def test_a_total_that_leaps_is_no_rain(garden: Garden) -> None:
    garden.tell(at(FIRST, -24), 30, rain=100.0)
    garden.tell(at(FIRST, 6), 9, rain=6_553.5)
    garden.look(at(FIRST, 13.5))
    day = garden.days()[-1]
    assert (day.inputs.noon_rain_mm, day.indices) == (None, None)
    assert "no_rain" in day.inputs.flags


def test_wind_is_read_for_ten_metres_and_an_unsaid_height_is_said(tmp_path: Path) -> None:
    assert wind_factor(10) == 1.0
    assert wind_factor(2) == pytest.approx(1 / 0.748, abs=1e-3), "FAO 56 prints 0.748"
    garden = Garden(tmp_path, above_ground_m=None)
    garden.days_pass(2)
    day = garden.days()[-1]
    assert day.inputs.noon is not None
    assert day.inputs.noon.wind_kmh == pytest.approx(2.0 * 3.6 * wind_factor(2.0))
    assert "height_assumed" in day.inputs.flags
    garden.close()


def test_without_an_anemometer_there_is_p_but_no_fwi(garden: Garden) -> None:
    for n in range(3):
        for hour in range(24):
            at_ms = at(FIRST + timedelta(n), hour)
            garden.tell(at_ms, 1, rain=100.0, air_temperature=99.0)
            rows = [{"weather-1": {"air_temperature": 30.0, "air_humidity": 40.0}}]
            made = batch(start_ms=at_ms + 1, rows=rows, first=garden.first, now_ms=at_ms + 2_000, uptime_ms=600_000)
            garden.store.commit([made], at_ms + 2_000)
            garden.first += 1
    garden.look(at(FIRST + timedelta(2), 23.9))
    day = garden.days()[-1]
    assert (day.indices, day.has_p) == (None, True)
    assert "no_wind" in day.inputs.flags
    assert day.after.p > 0


def test_late_data_make_the_day_and_all_after_it_anew(garden: Garden) -> None:
    garden.days_pass(3)
    gap = FIRST + timedelta(3)
    garden.days_pass(3, gap + timedelta(1))
    before = {day.day: day for day in garden.days()}
    assert before[gap].indices is None
    garden.tell(at(gap), 24, at(gap + timedelta(3), 19.5), rain=100.0)
    assert garden.look(at(gap + timedelta(3), 19.6)) == 4
    after = {day.day: day for day in garden.days()}
    assert after[gap].indices is not None
    assert after[gap].after.p - after[gap].before.p == pytest.approx(A_DAY, rel=1e-6)
    for n in range(1, 4):
        day = gap + timedelta(n)
        assert after[day].after.p - before[day].after.p == pytest.approx(A_DAY, rel=1e-6)
        assert after[day].after.codes != before[day].after.codes
    assert recompute(garden.folder / NAME).differ == []
    assert garden.look(at(gap + timedelta(3), 19.7)) == 0


def test_what_came_late_while_nobody_looked_is_seen_at_the_next_start(garden: Garden) -> None:
    garden.days_pass(2)
    gap = FIRST + timedelta(2)
    garden.days_pass(2, gap + timedelta(1))
    garden.watch.close()
    garden.tell(at(gap), 24, at(gap + timedelta(2), 20), rain=100.0)
    garden.watch = garden.started()
    garden.look(at(gap + timedelta(2), 20.5))
    assert next(day for day in garden.days() if day.day == gap).indices is not None


def test_weather_under_maintenance_is_none(tmp_path: Path) -> None:
    noon = datetime(FIRST.year, FIRST.month, FIRST.day, 8, tzinfo=HANOI)
    garden = Garden(
        tmp_path, Maintenance(gateway="sg-01", channel="weather-1", starts=noon, ends=noon + timedelta(hours=8))
    )
    garden.tell(at(FIRST, -24), 38, rain=100.0)
    garden.look(at(FIRST, 14))
    assert garden.days()[-1].indices is None
    garden.close()


def test_the_afternoons_peak_follows_the_hours_and_ends_with_them(garden: Garden) -> None:
    garden.days_pass(2)
    day = garden.days()[-1]
    assert day.inputs.hours[0].start_ms == at(day.day, -8)
    assert day.inputs.hours[-1].start_ms == at(day.day, 17)
    assert day.peak_ms == at(day.day, 18)
    ffmc = day.before.codes.ffmc
    for _ in day.inputs.hours:
        ffmc = fwi.hourly_fine_fuel(ffmc, fwi.Noon(30.0, 40.0, 7.2, 0.0))
    assert day.peak == ffmc


def test_a_table_with_another_limit_of_rain_sums_p_anew(garden: Garden) -> None:
    garden.tell(at(FIRST, -24), 60, rain=100.0)
    garden.tell(at(FIRST + timedelta(1), 12), 6, rain=100.0, grows=6.0)
    garden.tell(at(FIRST + timedelta(1), 18), 24, rain=106.0)
    garden.look(at(FIRST + timedelta(2), 14))
    assert garden.days()[-1].after.p == pytest.approx(0.0), "6 mm at once: until 13:00 of the next day"
    garden.change("danger_table", table(rain_mm=7.0))
    assert verdict(garden.days()[-1], table(rain_mm=7.0)).why == "limit", "until it is summed anew"
    garden.look(at(FIRST + timedelta(2), 14.01))
    day = garden.days()[-1]
    assert (day.limit_mm, verdict(day, table(rain_mm=7.0)).why) == (7.0, "")
    assert day.after.p > 0
    assert recompute(garden.folder / NAME).differ == []


def test_no_level_is_wrong_at_a_border_of_a_table() -> None:
    for one in json.loads(TABLES.read_text("utf-8"))["tables"]:
        if one["thresholds"] is None:
            continue
        bounds = tuple(one["thresholds"])
        assert (number(0.0, bounds), number(1e9, bounds)) == (1, 5)
        for level, bound in enumerate(bounds, 1):
            assert [number(p, bounds) for p in (bound - 1e-6, bound, bound + 1e-6)] == [level, level, level + 1]


def test_levels_are_those_of_the_182_days_by_both_tables() -> None:
    five = 1_000, 2_500, 5_000, 10_000
    hue = 5_000, 10_000, 15_000, 20_000
    with (TABLES.parent / "nesterov_cases.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            assert number(float(row["p_rain5"]), five) == int(row["level_pnh_5mm"])
            assert number(float(row["p_rain5"]), hue) == int(row["level_hue_5mm"])


def test_a_level_carries_its_law_and_without_one_there_is_none(garden: Garden) -> None:
    garden.days_pass(2)
    day = garden.days()[-1]
    assert verdict(day, garden.now.danger_tables.on(garden.now.zones["z01"], day.day)).why == "no_table"
    own = table(place="zone", code="z01", decision="1/2026/QĐ-THỬ", area="tiểu vùng 2", up_to_1=100)
    garden.change("danger_table", table(), own, table(valid_from=day.day + timedelta(30), decision="later"))
    found = verdict(day, garden.now.danger_tables.on(garden.now.zones["z01"], day.day)).level
    assert found is not None
    assert (found.table.decision, found.table.area, found.roman, found.at_least) == (
        "1/2026/QĐ-THỬ", "tiểu vùng 2", "II", True,
    )  # fmt: skip
    ended = replace(own, valid_to=day.day)
    garden.change("danger_table", ended, table())
    found = verdict(day, garden.now.danger_tables.on(garden.now.zones["z01"], day.day)).level
    assert found is not None
    assert (found.table.decision, found.roman) == ("0/2026/QĐ-THỬ", "I"), "the zone's has ended: the province's holds"


def test_ten_thousand_numbers_are_made_again_alike_and_one_that_was_touched_is_found(garden: Garden) -> None:
    random = Random(9)
    before, made = course.FIRST, []
    for n in range(2_000):
        inputs = course.Inputs(
            21.6, *(round(random.uniform(low, high), 2) for low, high in ((5, 38), (15, 100), (0, 9), (0, 9))),
            1, round(random.uniform(5, 38), 2), round(random.uniform(15, 100), 1), round(random.uniform(0, 9), 2),
        )  # fmt: skip
        made.append(course.day("z01", FIRST + timedelta(n), before, inputs, 5.0))
        before = made[-1].after
    garden.look(at(FIRST))
    assert garden.watch._book is not None
    garden.watch._book.put(made)
    assert recompute(garden.folder / NAME) == (2_000, [])
    db = sqlite3.connect(garden.folder / NAME)
    day = (FIRST + timedelta(700)).isoformat()
    (row,) = db.execute("SELECT row FROM day WHERE day = ?", (day,)).fetchone()
    told = json.loads(zlib.decompress(row))
    told["inputs"]["one_temp_c"] += 0.01
    db.execute("UPDATE day SET row = ? WHERE day = ?", (json.dumps(told).encode(), day))
    db.commit()
    db.close()
    assert recompute(garden.folder / NAME).differ == [("z01", FIRST + timedelta(700))]


def test_a_store_that_does_not_answer_is_asked_again_and_nothing_is_half_done(garden: Garden) -> None:
    garden.days_pass(1)
    whole = garden.store.latest

    def silent() -> None:
        raise Retry("database is away")

    garden.store.latest = silent  # type: ignore[method-assign, assignment]
    garden.tell(at(FIRST + timedelta(1)), 13.5, rain=100.0)
    garden.clock.now_ms = at(FIRST + timedelta(1), 13.6)
    with pytest.raises(Retry):
        garden.watch.look()
    assert garden.days()[-1].day == FIRST
    garden.store.latest = whole  # type: ignore[method-assign]
    assert garden.watch.look() == 1


def test_a_book_of_a_newer_gocche_is_left_alone(garden: Garden) -> None:
    garden.look(at(FIRST))
    garden.watch.close()
    db = sqlite3.connect(garden.folder / NAME)
    db.execute("PRAGMA user_version = 99")
    db.close()
    garden.watch = garden.started()
    with pytest.raises(Taken):
        garden.watch.look()


def test_a_damaged_book_is_set_aside_and_made_anew_of_the_store(garden: Garden) -> None:
    garden.days_pass(3)
    before = garden.days()
    garden.watch.close()
    (garden.folder / NAME).write_bytes(b"no database " * 1_000)
    for end in ("-wal", "-shm"):
        (garden.folder / f"{NAME}{end}").unlink(missing_ok=True)
    garden.watch = garden.started()
    garden.look(at(FIRST + timedelta(2), 19.5))
    assert [day.day for day in garden.days()] == [day.day for day in before]
    assert garden.days()[-1].after.p == pytest.approx(before[-1].after.p, rel=1e-6)
    assert (garden.folder / f"{NAME}.damaged-1").exists()


def test_a_row_that_cannot_be_read_costs_its_zone_alone_until_it_is_made_anew(garden: Garden) -> None:
    """It keeps no other zone's list away, nor those who look for smoke; the next day at the latest it is whole."""
    garden.change("zone", ZONE, replace(ZONE, code="z02"))
    rows = garden.rows["binding"]
    garden.change("binding", *rows, *(replace(one, code="z02") for one in rows))
    garden.days_pass(9)
    was, on = garden.days(), FIRST + timedelta(8)
    assert garden.watch._book is not None
    for day in (FIRST + timedelta(2), on):
        garden.watch._book._db.execute("UPDATE day SET row = x'7b' WHERE zone = 'z01' AND day = ?", (day.isoformat(),))
    assert set(newest(garden.folder / NAME, ["z01", "z02"], on)) == {"z02"}
    assert Now(garden.folder / NAME, garden, garden.clock).level("zone:z01") is None, "who looks for smoke goes on"
    assert {zone for zone, _ in recompute(garden.folder / NAME).differ} == {"z01"}
    garden.days_pass(1, on + timedelta(1))
    assert [(one.day, one.after) for one in garden.days()[:9]] == [(one.day, one.after) for one in was]
    assert recompute(garden.folder / NAME).differ == []
    assert garden.watch._passed_over == ""


@pytest.mark.parametrize("anew", [False, True])
def test_what_came_while_a_zone_was_passed_over_is_not_forgotten(
    garden: Garden, monkeypatch: pytest.MonkeyPatch, *, anew: bool
) -> None:
    """Late data and another limit of rain, while a fault of our own keeps the zone from being computed."""
    gap, on = FIRST + timedelta(2), FIRST + timedelta(5)
    garden.days_pass(2)
    garden.days_pass(2, gap + timedelta(1))

    def fault(*_: object) -> None:
        raise ValueError("a number that cannot be")

    with monkeypatch.context() as broken:
        broken.setattr(Work, "follow", fault)
        garden.tell(at(gap), 24, at(on, 9), rain=100.0)
        garden.change("danger_table", table(rain_mm=7.0))
        for minute in range(3):
            garden.look(at(on, 9.1) + minute * 60_000)
        assert "a number that cannot be" in garden.watch._passed_over
        assert garden.watch._book is not None
        assert garden.watch._book.ledger_ms < at(on, 9), "whoever begins anew reads of it again"
    if anew:
        garden.watch.close()
        garden.watch = garden.started()
    garden.look(at(on, 9.6))
    found = {day.day: day for day in garden.days()}
    assert found[gap].has_p
    assert {day.limit_mm for day in found.values()} == {7.0}
    assert garden.watch._passed_over == ""
    assert garden.watch._book is not None
    assert garden.watch._book.ledger_ms == at(on, 9)


def test_what_is_no_fault_of_the_store_ends_no_loop(garden: Garden) -> None:
    turns: list[float] = []
    stop = threading.Event()

    def wait(event: threading.Event, seconds: float) -> bool:
        turns.append(seconds)
        if len(turns) == 3:
            stop.set()
        return event.is_set()

    garden.clock.wait = wait  # type: ignore[method-assign]
    garden.store.ledger = garden.store.latest = lambda *_: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    garden.watch.run(stop)
    assert turns == [5.0, 60.0, 60.0]
    assert "ZeroDivisionError" in garden.watch.fault


def test_a_day_is_not_asked_for_again_each_minute(garden: Garden) -> None:
    garden.days_pass(1)
    asked: list[str] = []
    whole = garden.store.latest
    garden.store.latest = lambda: asked.append("latest") or whole()  # type: ignore[method-assign, func-returns-value]
    for minute in range(60):
        garden.look(at(FIRST + timedelta(1), 9) + minute * 60_000)
    assert len(asked) == 2, "once an hour, which may begin in between"


def test_a_garden_without_weather_is_not_looked_through_each_minute(garden: Garden) -> None:
    asked: list[str] = []
    whole = garden.store.latest
    garden.store.latest = lambda: asked.append("latest") or whole()  # type: ignore[method-assign, func-returns-value]
    for minute in range(60):
        garden.look(at(FIRST, 9) + minute * 60_000)
    assert len(asked) == 2
    garden.tell(at(FIRST, 10), 3.6, rain=100.0)
    garden.look(at(FIRST, 13.6))
    assert [day.day for day in garden.days()] == [FIRST], "what is heard then is a day as soon as one is due"


def test_days_of_a_clock_that_was_ahead_are_not_shown_and_are_made_when_they_come(garden: Garden) -> None:
    garden.days_pass(3)
    third = FIRST + timedelta(2)
    true = garden.days()
    garden.look(at(FIRST + timedelta(30), 14.0))  # a month ahead, and put right
    garden.look(at(third, 19.5))
    assert garden.days() == true
    garden.days_pass(2, FIRST + timedelta(3))
    days = garden.days()
    assert [day.day for day in days][-2:] == [FIRST + timedelta(3), FIRST + timedelta(4)]
    assert all(day.has_p for day in days[-2:])
    assert days[-1].before == days[-2].after
