"""From where a hamlet can call: what was measured, as of when, and nothing beyond it."""

from __future__ import annotations

import math
import random
import re
import threading
import time
from typing import TYPE_CHECKING, Any

import h3.api.basic_int as h3
import pytest

from cloud.clock import hanoi
from cloud.coverage.book import NAME, Book
from cloud.coverage.lifeline import OLD_MS, Lifelines
from cloud.coverage.networks import named
from cloud.coverage.sample import NONE, SERVED, Heard, Sample
from cloud.coverage.scale import Scale
from cloud.coverage.seam import Judged
from cloud.coverage.sheets import Sheets
from cloud.coverage.shelf import Sheet
from cloud.pages.app import build
from tests.visitors import MODEM, NOW_MS, Visitor, World

if TYPE_CHECKING:
    from pathlib import Path

LAT, LON = 21.721, 104.002
VIETTEL, MOBIFONE = 452004, 452001


def cell(north_m: float, east_m: float = 0.0, res: int = 9) -> int:
    return int(h3.latlng_to_cell(LAT + north_m / 111_195, LON + east_m / 103_300, res))


def sheet(plmn: int, *cells: tuple[int, str], layer: str = "phone", age_ms: int = 0) -> Sheet:
    judged = [Judged(one, state, 5, 2, NOW_MS - age_ms, -101.0) for one, state in cells]
    return Sheet(layer, plmn, 0, 9, NOW_MS, judged)


def test_the_nearest_place_of_each_network_that_was_measured_and_no_other() -> None:
    sheets = [
        sheet(VIETTEL, (cell(0), "none"), (cell(3000), "weak"), (cell(6000), "good"), (cell(1000), "unmeasured")),
        sheet(MOBIFONE, (cell(-1500, -1500), "served"), (cell(900), "uncertain")),
        sheet(0, (cell(3000), "weak"), (cell(-1500, -1500), "served")),
        sheet(0, (cell(3000), "good"), layer="5g"),
    ]
    first, second = Lifelines(sheets).of(LAT, LON)[0]
    assert (first.plmn, first.state, first.within, first.nr) == (MOBIFONE, "served", False, False)
    assert 1900 <= first.distance_m <= 2400
    assert first.distance_m % 100 == 0
    assert 210 <= first.bearing <= 240
    assert (second.plmn, second.state, second.nr) == (VIETTEL, "weak", True)
    assert 2700 <= second.distance_m <= 3300
    assert second.bearing in (*range(350, 360), *range(11))
    assert Lifelines(sheets).of(LAT, LON)[1]


def test_somebodys_network_is_told_only_where_it_is_nearer_and_what_is_far_or_not_measured_is_nothing() -> None:
    near = [sheet(0, (cell(500), "served")), sheet(VIETTEL, (cell(4000), "good"))]
    assert [one.plmn for one in Lifelines(near).of(LAT, LON)[0]] == [0, VIETTEL]
    assert Lifelines([sheet(VIETTEL, (cell(40_000), "good"))]).of(LAT, LON)[0] == []
    assert Lifelines([sheet(VIETTEL, (cell(100), "none"), (cell(400), "uncertain"))]).of(LAT, LON)[0] == []
    assert not Lifelines([sheet(VIETTEL, (cell(5_000), "good"), (cell(0), "unmeasured"))]).of(LAT, LON)[1]
    assert Lifelines([]).of(LAT, LON)[0] == []
    (one,) = Lifelines([sheet(VIETTEL, (cell(0), "good"), age_ms=OLD_MS + 1)]).of(LAT, LON)[0]
    assert one.within
    assert one.old(NOW_MS)


def test_the_nearest_is_the_nearest_wherever_cells_lie() -> None:
    chance = random.Random(5)
    for _ in range(300):
        spots = [(chance.uniform(-24_000, 24_000), chance.uniform(-24_000, 24_000)) for _ in range(12)]
        cells = {cell(north, east, chance.choice((8, 9))) for north, east in spots}
        found = Lifelines([sheet(VIETTEL, *((each, "good") for each in cells))]).of(LAT, LON)[0]
        middles = [h3.cell_to_latlng(each) for each in cells]
        away = min(math.hypot(lat - LAT, (lon - LON) * math.cos(math.radians(LAT))) * 111_195 for lat, lon in middles)
        assert bool(found) == (away <= 25_000)
        assert not found or abs(found[0].distance_m - away) <= 51


def test_a_province_of_hamlets_is_asked_in_little_time() -> None:
    wide = [(each, "good" if n % 7 else "none") for n, each in enumerate(h3.grid_disk(cell(0, 0, 8), 40))]
    sheets = [sheet(plmn, *wide) for plmn in (0, VIETTEL, MOBIFONE, 452002)]
    began = time.perf_counter()
    made = Lifelines(sheets)
    made_s = time.perf_counter() - began
    began = time.perf_counter()
    for n in range(200):
        assert made.of(LAT + n / 2_000, LON - n / 2_000)[0]
    asked_s = time.perf_counter() - began
    print(f"{len(wide)} cells of 4 networks sorted in {made_s:.2f} s, 200 hamlets asked in {asked_s:.3f} s")
    assert asked_s < 2.0


def test_networks_are_called_as_people_call_them() -> None:
    assert [named(one) for one in (452001, 452002, 452004, 452005, 452009, 310410, 0)] == [
        "MobiFone", "VinaPhone", "Viettel", "Vietnamobile", "452-09", "310-410", "",
    ]  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def page(world: World, path: str = "/khan-cap/h01", **more: Any) -> str:
    answer = Visitor(build(world.garden(**more))).get(path)
    assert answer.status_code == 200
    return " ".join(
        re.sub(r"<style>.*?</style>|<script>.*?</script>|<[^>]+>", " ", answer.text, flags=re.DOTALL).split()
    )


def test_where_nothing_is_known_the_page_says_so_and_claims_nothing(world: World) -> None:
    told = page(world)
    assert "Thôn chưa có modem đo sóng." in told
    assert "Chưa biết: chưa ai đo quanh thôn này." in told
    assert "114 cháy, cứu nạn" in told
    assert "có sóng:" not in told.lower()
    assert "chưa biết gọi được từ đâu" in page(world, "/khan-cap")
    assert Visitor(build(world.garden())).get("/khan-cap/h99").status_code == 404


@pytest.mark.parametrize(
    ("values", "age_s", "words"),
    [
        (MODEM | {"plmn": VIETTEL}, 60, "Có sóng: Viettel 4G"),
        (MODEM, 60, "Có sóng: một mạng, chưa rõ mạng nào 4G"),
        ({"registration": 8, "radio": 1}, 60, "Chỉ gọi khẩn cấp được"),
        ({"registration": 2, "radio": 0}, 60, "Modem trong thôn không có sóng."),
        (MODEM, 86_400, "Chưa biết: modem trong thôn đã im lặng."),
    ],
)
def test_what_the_modem_of_the_hamlet_says(world: World, values: dict[str, float], age_s: float, words: str) -> None:
    world.tell({"modem-hang-tay": values}, age_s)
    told = page(world)
    assert words in told
    assert "Modem đặt trong thôn đo lúc" in told


def walk(north_m: float, at_ms: int, n: int, **more: Any) -> list[Sample]:
    """A telephone that stands at some places of one cell."""
    return [
        Sample(
            time_ms=at_ms + 60_000 * k, lat=LAT + (north_m + 60 * (k % 5)) / 111_195, lon=LON, source="phone",
            by="hang-tay", **more,
        )
        for k in range(n)
    ]  # fmt: skip


def test_a_real_survey_from_samples_to_the_sheet_of_paper(world: World, tmp_path: Path) -> None:
    book = Book(tmp_path / NAME)
    heard = Heard(rsrp_dbm=-88.0)
    book.put(walk(0, NOW_MS - 3_600_000, 30, service=NONE, plmn=VIETTEL), NOW_MS)
    book.put(walk(2500, NOW_MS - 7_200_000, 30, service=SERVED, plmn=VIETTEL, lte=heard), NOW_MS)
    sheets = Sheets(book, Scale())
    while sheets.make([(LAT, LON)], NOW_MS):
        pass
    book.close()
    told = page(world, surveyed=tmp_path / NAME)
    assert re.search(r"Viettel : chừng 2,[4-9] km về phía bắc, sóng tốt", told), told
    assert "Đường chim bay" in told
    assert "trong vòng 25 km" not in told
    assert re.search(r"chừng 2,[4-9] km", page(world, "/khan-cap", surveyed=tmp_path / NAME))
    assert "Đo trước lúc modem" not in told
    world.tell({"modem-hang-tay": {"registration": 2, "radio": 0}}, 60)
    assert "Đo trước lúc modem trong thôn mất sóng" in page(world, surveyed=tmp_path / NAME)
    (tmp_path / NAME).write_bytes(b"no book" * 2000)
    broken = page(world, surveyed=tmp_path / NAME)
    assert "Lúc này không đọc được sổ đo sóng" in broken


def test_looking_for_the_nearest_cells_keeps_no_other_visitor_waiting(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Book(tmp_path / NAME)
    book.put(walk(2500, NOW_MS - 7_200_000, 30, service=SERVED, plmn=VIETTEL, lte=Heard(rsrp_dbm=-88.0)), NOW_MS)
    sheets = Sheets(book, Scale())
    while sheets.make([(LAT, LON)], NOW_MS):
        pass
    book.close()
    looks, threads = Lifelines._lines, list[str]()

    def seen(self: Lifelines, lat: float, lon: float) -> Any:
        threads.append(threading.current_thread().name)
        return looks(self, lat, lon)

    monkeypatch.setattr(Lifelines, "_lines", seen)
    assert "Viettel" in page(world, surveyed=tmp_path / NAME)
    assert set(threads) == {"ask-lifelines"}, "not in the loop that all pages share"


def test_a_modem_without_service_says_when_it_had_it_last(world: World) -> None:
    world.tell({"modem-hang-tay": MODEM}, age_s=3 * 3_600)
    world.tell({"modem-hang-tay": {"registration": 2, "radio": 0}})
    had = hanoi(NOW_MS - 3 * 3_600_000)
    assert re.search(rf"không có sóng\. Modem đặt trong thôn đo lúc .* Lần cuối có sóng: .*{had:%H:%M}", page(world))
