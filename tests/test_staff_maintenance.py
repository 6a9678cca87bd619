"""Maintenance on the staff's pages: begun with an end, ended early, taken back; and what the figures say of it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cloud.clock import hanoi
from cloud.registry.kinds import Binding, Device, Maintenance
from cloud.store import Hour, Past, open_store
from tests.build import batch
from tests.staffroom import NOW_MS, StaffWorld
from tests.test_staff_data import HOUR_MS, START_MS, lines, link, ready

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AIR, RAIN = "sg-01/air-1", "sg-01/weather-1"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StaffWorld]:
    """A day of a thermometer and of a rain gauge into which a bucket is emptied in its fifth hour."""
    store = open_store({"engine": "sqlite"}, writer=True, folder=tmp_path)
    store.setup()
    hours = [Hour(START_MS + at * HOUR_MS, 6, 20.0 + 40 * (at == 5), 19.0, 21.0 + 40 * (at == 5)) for at in range(24)]
    totals = [10.0, 10.0, 10.5, 10.5, 10.5, 90.5, 90.5, 91.0]
    rain = [Hour(START_MS + at * HOUR_MS, 6, total, totals[max(0, at - 1)], total) for at, total in enumerate(totals)]
    store.write_hours(
        [Past("sg-01", "air-1", "air_temperature", hours), Past("sg-01", "weather-1", "rain_total", rain)]
    )
    rows = [{"air-1": {"air_temperature": 55.0}, "weather-1": {"rain_total": 91.0}}]
    store.commit([batch(start_ms=NOW_MS - 60_000, rows=rows, now_ms=NOW_MS)], NOW_MS)
    made = StaffWorld(tmp_path, store=store)
    yield made
    made.close()
    store.close()


def rows(world: StaffWorld) -> list[Maintenance]:
    return [one for one in world.shelf.rows("maintenance") if isinstance(one, Maintenance)]


def marked(world: StaffWorld, source: str, start_ms: int, minutes: int) -> None:
    gateway, _, channel = source.partition("/")
    starts = hanoi(start_ms)
    with world.shelf.act("test", "maintenance") as draft:
        draft.put(
            [Maintenance(gateway=gateway, channel=channel, starts=starts, ends=starts + timedelta(minutes=minutes))]
        )


def test_it_begins_with_an_end_ends_early_and_is_taken_back(world: StaffWorld) -> None:
    browser = world.visitor("editor")
    answer = browser.post("/bao-tri", o=[AIR, RAIN], why="cleaning", **{"bao-lau": "120"})
    assert answer.status_code == 303
    assert "Đợi 5 giây" in browser.get(answer.headers["location"]).text
    assert [(f"{one.gateway}/{one.channel}", one.ends - one.starts) for one in rows(world)] == [
        (AIR, timedelta(hours=2)),
        (RAIN, timedelta(hours=2)),
    ]
    assert rows(world)[0].starts.timestamp() * 1000 <= NOW_MS
    again = browser.post("/bao-tri", o=AIR, why="cleaning", **{"bao-lau": "30"})
    assert again.status_code == 409
    assert "đang bảo trì rồi" in again.text
    world.clock.advance(600)
    key = ["sg-01", "air-1", rows(world)[0].starts.strftime("%Y-%m-%dT%H:%M")]
    assert browser.post("/bao-tri/het", k=key).status_code == 303
    assert rows(world)[0].ends - rows(world)[0].starts == timedelta(minutes=11)
    with world.shelf.book() as book:
        ended, begun = book.acts(2)
    assert (begun.who, begun.changes) == ("Tên editor (editor)", 2)
    assert browser.post(f"/viec/{ended.id}/lay-lai").status_code == 303
    assert rows(world)[0].ends - rows(world)[0].starts == timedelta(hours=2)


def test_without_an_end_or_a_sensor_of_ours_there_is_none(world: StaffWorld) -> None:
    browser = world.visitor("editor")
    for sensor, length, why in (
        (AIR, "20160", "cleaning"),
        (AIR, "", "cleaning"),
        (AIR, "60", "holiday"),
        ("sg-99/x", "60", "cleaning"),
        ("", "60", "cleaning"),
    ):
        assert browser.post("/bao-tri", o=sensor, why=why, **{"bao-lau": length}).status_code == 422
    assert rows(world) == []


def test_the_table_too_takes_no_end_that_is_more_than_a_week_away(world: StaffWorld) -> None:
    fields = {"gateway": "sg-01", "channel": "air-1", "starts": "2026-11-19T08:00", "why": "repair"}
    browser = world.visitor("editor")
    for ends, words in (("2026-11-26T08:01", "7 ngày"), ("", "ends"), ("2026-11-19T08:00", "không sau")):
        answer = browser.post("/bang/maintenance/luu", ends=ends, seen="0", **fields)
        assert answer.status_code == 422
        assert words in answer.text
    answer = browser.post("/bang/maintenance/luu", ends="2026-11-26T08:00", seen="0", **fields)
    assert answer.status_code == 303
    page = browser.get(answer.headers["location"]).text
    assert re.search(r'value="2026-11-26T08:00"[^>]* type="datetime-local"', page)


def test_of_a_device_what_hangs_by_it_today_is_chosen(world: StaffWorld) -> None:
    with world.shelf.act("test", "device") as draft:
        air = next(one for one in world.shelf.rows("binding") if isinstance(one, Binding) and one.channel == "air-1")
        draft.put([Device(code="d1", model="SN-3002"), replace(air, device="d1")])
    browser = world.visitor("editor")
    assert "/bao-tri?may=d1" in browser.get("/bang/devices/dong?k=d1").text
    page = browser.get("/bao-tri?may=d1").text
    assert f'value="{AIR}" checked' in page
    assert page.count(" checked") == 1


def test_it_is_marked_in_page_and_file_and_no_part_of_means_and_rain(world: StaffWorld) -> None:
    for source in (AIR, RAIN):
        marked(world, source, START_MS + 5 * HOUR_MS + 600_000, 30)
    first = hanoi(START_MS).date()
    ask = f"noi=zone:z01&dl=air_temperature&dl=rain_total&tu={first}&den={first}&buoc=gio"
    page = ready(world, f"/so-lieu?{ask}")
    about, names, told = lines(ready(world, link(page.text, "csv")).content)
    air, fell = (next(at for at, name in enumerate(names) if sign in name) for sign in ("Nhiệt độ", "Mưa"))
    words = "đang bảo trì, không tính"
    assert (told[5][air : air + 4], told[4][air + 3]) == (["60.0", "19.0", "61.0", words], "")
    assert told[5][fell : fell + 2] == ["80.0", words]
    assert [row[fell] for row in told[:8]] == ["0.0", "0.0", "0.5", "0.0", "0.0", "80.0", "0.0", "0.5"]
    sums = {row[2]: row for row in about if len(row) > 10 and row[1] in {AIR, RAIN}}
    heat, rain = (next(row for name, row in sums.items() if sign in name) for sign in ("Nhiệt độ", "Mưa"))
    assert (heat[4], heat[7], heat[10]) == ("23", "20.0", "21.0"), "found, mean, highest"
    assert rain[7] == "1.0", "the bucket is no rain"
    assert words in page.text
    days = ready(world, f"/so-lieu?{ask.replace('gio', 'ngay')}")
    _, names, told = lines(ready(world, link(days.text, "csv")).content)
    assert told[0][fell] == "1.0"


def test_a_reading_keeps_its_number_beside_its_mark(world: StaffWorld) -> None:
    marked(world, AIR, NOW_MS - 120_000, 10)
    day = hanoi(NOW_MS).date()
    page = ready(world, f"/so-lieu?noi=zone:z01&dl=air_temperature&tu={day}&den={day}&buoc=goc")
    _, _, told = lines(ready(world, link(page.text, "csv")).content)
    (row,) = [one for one in told if "55.0" in one]
    assert "đang bảo trì, không tính" in row
