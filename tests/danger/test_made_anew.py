"""Past days follow what the registry says of them, whenever somebody writes it down; what they said before is kept."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cloud.clock import HANOI
from cloud.danger.book import _STEPS, NAME, changes, recompute
from cloud.registry.kinds import Binding, Calibration, Maintenance
from cloud.store import open_store
from gocche.danger import _changed
from tests.danger.garden import FIRST, HUNG, ZONE, Garden, again, at, table
from tests.danger.garden import lived as a_life

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date
    from pathlib import Path

    from cloud.danger.course import Day

DAYS = 5
LOW = Calibration(gateway="sg-01", channel="weather-1", quantity="air_temperature", valid_from=FIRST, offset=2.0)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    return a_life(tmp_path_factory.mktemp("lived"), DAYS)


@pytest.fixture
def garden(lived: tuple[Path, int], tmp_path: Path) -> Iterator[Garden]:
    made = again(lived, tmp_path)
    made.look(at(FIRST + timedelta(DAYS - 1), 19.1))
    yield made
    assert recompute(tmp_path / NAME).differ == [], "every number comes again, those of before as well"
    made.close()


def day(n: int) -> date:
    return FIRST + timedelta(n)


def by_day(garden: Garden) -> dict[date, Day]:
    return {one.day: one for one in garden.days()}


def before(garden: Garden) -> dict[date, tuple[Day, str]]:
    return {was.day.day: (was.day, was.why) for was, _ in changes(garden.folder / NAME, "z01")}


def test_a_calibration_written_on_thursday_makes_the_days_since_monday_anew(
    garden: Garden, capsys: pytest.CaptureFixture[str]
) -> None:
    was = by_day(garden)
    garden.change("calibration", replace(LOW, valid_from=day(2)))
    garden.look(at(day(DAYS - 1), 20))
    now = by_day(garden)
    assert [now[day(n)].inputs.noon_temp_c for n in range(DAYS)] == [30.0, 30.0, 32.0, 32.0, 32.0]
    assert now[day(1)] == was[day(1)], "the days before stay as they were"
    assert all(now[day(n)].after.p > was[day(n)].after.p for n in range(2, DAYS))
    assert all("hours" not in now[day(n)].inputs.flags for n in range(DAYS)), "of single readings, as it was made"
    assert before(garden) == {day(n): (was[day(n)], "registry") for n in range(2, DAYS)}, "what they said is kept"
    assert _changed(garden.folder / NAME) == 0
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 3
    assert f"zone=z01 day={day(2)} until=2026-02-06T20:00 why=registry p={was[day(2)].after.p:.0f} now=" in told[0]
    assert garden.look(at(day(DAYS - 1), 20.1)) == 0


def test_a_calibration_that_is_taken_back_brings_the_numbers_back(garden: Garden) -> None:
    was = by_day(garden)
    garden.change("calibration", LOW)
    garden.look(at(day(DAYS - 1), 20))
    garden.change("calibration")
    garden.look(at(day(DAYS - 1), 21))
    assert by_day(garden) == was
    assert len(list(changes(garden.folder / NAME))) == 2 * (DAYS - 1), (
        "all but the first, of which nobody knows the rain"
    )


def test_one_that_ends_or_begins_later_touches_only_the_days_between(garden: Garden) -> None:
    garden.change("calibration", LOW)
    garden.look(at(day(DAYS - 1), 20))
    was = by_day(garden)
    garden.change("calibration", replace(LOW, valid_to=day(3)))
    garden.look(at(day(DAYS - 1), 20.5))
    temps = [one.inputs.noon_temp_c for one in by_day(garden).values()][-DAYS:]
    assert temps == [32.0, 32.0, 32.0, 30.0, 30.0]
    assert by_day(garden)[day(2)] == was[day(2)]


def test_what_was_changed_while_nobody_looked_is_seen_at_the_next_start(garden: Garden) -> None:
    garden.watch.close()
    garden.change("calibration", LOW)
    garden.watch = garden.started()
    garden.look(at(day(DAYS - 1), 20))
    assert by_day(garden)[FIRST].inputs.noon_temp_c == 32.0


def test_maintenance_that_is_written_down_later_takes_its_weather_back(garden: Garden) -> None:
    noon = datetime(day(2).year, day(2).month, day(2).day, 8, tzinfo=HANOI)
    rest = Maintenance(gateway="sg-01", channel="weather-1", starts=noon, ends=noon + timedelta(hours=8))
    garden.change("maintenance", rest)
    garden.look(at(day(DAYS - 1), 20))
    days = by_day(garden)
    assert (days[day(2)].indices, days[day(2)].has_p) == (None, False)
    assert days[day(2)].after.p == days[day(1)].after.p
    assert days[day(3)].indices is not None
    assert before(garden)[day(2)][0].indices is not None


def test_a_sensor_that_hung_elsewhere_all_the_time_is_taken_out_of_its_days(garden: Garden) -> None:
    weather, gauge = garden.rows["binding"]
    assert isinstance(weather, Binding)
    garden.change("binding", replace(weather, valid_to=day(3)), gauge)
    garden.look(at(day(DAYS - 1), 20))
    days = by_day(garden)
    assert [days[day(n)].indices is not None for n in range(1, DAYS)] == [True, True, False, False]
    garden.change("binding", replace(weather, above_ground_m=2.0), gauge)
    garden.look(at(day(DAYS - 1), 21))
    assert all(one.inputs.wind_m == 2.0 and one.indices for one in list(by_day(garden).values())[1 - DAYS :])


def test_a_sensor_that_is_written_down_for_days_before_the_first_gives_them_a_course(tmp_path: Path) -> None:
    garden = Garden(tmp_path)
    rows = garden.rows["binding"]
    garden.change("binding", *(replace(one, valid_from=day(3)) for one in rows))
    garden.days_pass(DAYS)
    assert garden.days()[0].day == day(3)
    garden.change("binding", *rows)
    garden.look(at(day(DAYS - 1), 20))
    assert [one.day for one in garden.days()][-DAYS:] == [day(n) for n in range(DAYS)]
    assert garden.days()[-1].before == garden.days()[-2].after
    assert recompute(tmp_path / NAME).differ == []
    garden.close()


def test_a_zone_whose_place_was_wrong_is_made_anew_on_its_own_side_of_20_degrees(garden: Garden) -> None:
    was = by_day(garden)
    garden.change("zone", replace(ZONE, lat=18.5))
    asked: list[object] = []
    garden.store.each_series = lambda *of: asked.append(of) or iter(())  # type: ignore[method-assign, func-returns-value]
    garden.look(at(day(DAYS - 1), 20))
    days = by_day(garden)
    assert {one.inputs.lat for one in days.values()} == {18.5}
    assert days[day(3)].after.codes.dc != was[day(3)].after.codes.dc
    assert [of[0] for of in asked] == [], "no weather is asked for again"  # type: ignore[index]


def test_days_that_the_store_has_lost_keep_the_inputs_that_they_had(garden: Garden, tmp_path: Path) -> None:
    was = by_day(garden)
    garden.watch.close()
    garden.store.close()
    garden.store = open_store({"path": str(tmp_path / "another.db")}, writer=True)
    garden.store.setup()
    garden.watch = garden.started()
    garden.change("calibration", LOW)
    garden.look(at(day(DAYS - 1), 20))
    assert by_day(garden) == was


def test_a_limit_of_rain_that_changes_keeps_what_was_said_by_the_other(garden: Garden) -> None:
    garden.tell(at(day(DAYS), 0), 13, rain=100.0, grows=6.0)
    garden.tell(at(day(DAYS), 13), 1, rain=106.0)
    garden.look(at(day(DAYS), 13.9))
    assert garden.days()[-1].after.p == 0.0
    garden.change("danger_table", table(rain_mm=7.0, valid_from=HUNG))
    garden.look(at(day(DAYS), 14))
    assert garden.days()[-1].after.p > 0.0
    said, why = before(garden)[day(DAYS)]
    assert (said.after.p, said.limit_mm, why) == (0.0, 5.0, "table")


def test_late_data_keep_what_was_said_without_them_and_an_afternoon_does_not(garden: Garden) -> None:
    assert before(garden) == {}, "that the hours of an afternoon came one after another is no other number"
    gap = day(DAYS)
    garden.days_pass(1, gap + timedelta(1))
    garden.tell(at(gap), 24, at(gap + timedelta(1), 19.5), rain=100.0)
    garden.look(at(gap + timedelta(1), 19.6))
    assert {on: (said.has_p, why) for on, (said, why) in before(garden).items()} == {
        gap: (False, "late"), gap + timedelta(1): (True, "late"),
    }  # fmt: skip


def test_a_book_of_an_older_gocche_is_brought_forward_and_its_days_stay(garden: Garden) -> None:
    was = by_day(garden)
    garden.watch.close()
    with sqlite3.connect(garden.folder / NAME) as db:
        db.executescript(f"DROP TABLE before; DROP TABLE ground; PRAGMA user_version = {len(_STEPS) - 1}")
    db.close()
    assert list(changes(garden.folder / NAME)) == []
    assert recompute(garden.folder / NAME).differ == []
    garden.watch = garden.started()
    garden.change("calibration", replace(LOW, valid_from=day(1)))  # nobody knows whether it stood there before
    garden.look(at(day(DAYS - 1), 20))
    assert by_day(garden) == was
    garden.change("calibration", replace(LOW, valid_from=day(1), offset=3.0))
    garden.look(at(day(DAYS - 1), 22))
    assert by_day(garden)[day(1)].inputs.noon_temp_c == 33.0
