"""Figures as staff ask for them: page, CSV and XLSX say what the store says, with what is absent and why."""

from __future__ import annotations

import csv
import io
import re
import threading
from datetime import UTC, date, datetime
from time import process_time
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from openpyxl import load_workbook

from cloud.registry.kinds import Binding, Calibration, Tree, Zone
from cloud.staff.aside import jobs
from cloud.staff.figures import data
from cloud.staff.figures.sheet import iso
from cloud.store import Hour, Past, Retry, open_store
from tests.build import batch
from tests.servers import until
from tests.staffroom import NOW_MS, StaffWorld
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
AIR = {"air_temperature": 20.5, "air_humidity": 80.0}
WEATHER = {"air_temperature": 21.25, "wind_direction": 90.0, "rain_total": 12.5}
START_MS = (NOW_MS + 7 * HOUR_MS) // DAY_MS * DAY_MS - 7 * HOUR_MS - 9 * DAY_MS  # a midnight of Vietnam
FIRST, LAST = iso(START_MS)[:10], iso(START_MS + DAY_MS)[:10]
ASK = f"noi=zone:z01&dl=air_temperature&tu={FIRST}&den={LAST}&buoc=gio"


def of_hour(at: int) -> Hour:
    return Hour(START_MS + at * HOUR_MS, 6, 15 + at % 7 + 0.123456, 14.0 + at % 7, 17.25 + at % 7)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StaffWorld]:
    """Ten days of air-1 without hours 5 to 9, of which 6 has a reason; a rain gauge that is set back once."""
    store = open_store({"engine": "sqlite"}, writer=True, folder=tmp_path)
    store.setup()
    totals = [100.0, 100.5, 103.0, 1.0, 1.25, 1.25]
    rain = [Hour(START_MS + at * HOUR_MS, 6, total, total - 0.25, total) for at, total in enumerate(totals)]
    hours = [of_hour(at) for at in range(9 * 24) if not 5 <= at < 10]
    store.write_hours(
        [Past("sg-01", "air-1", "air_temperature", hours), Past("sg-01", "weather-1", "rain_total", rain)]
    )
    silent: dict[str, Any] = dict.fromkeys(AIR, Reason.CHECKSUM)
    absent = batch(start_ms=START_MS + 6 * HOUR_MS + 60_000, rows=[{"air-1": silent}], now_ms=NOW_MS)
    now = batch(start_ms=NOW_MS - 60_000, first=2, rows=[{"air-1": AIR}, {"weather-1": WEATHER}], now_ms=NOW_MS)
    store.commit([absent, now], NOW_MS)
    made = StaffWorld(tmp_path, store=store)
    yield made
    made.close()
    store.close()


def ready(world: StaffWorld, path: str, role: str = "viewer") -> Any:
    """Return the answer once it is no page that waits."""
    browser, found = world.visitor(role), []

    def done() -> bool:
        found.append(browser.get(path))
        return "refresh" not in found[-1].headers

    until(done, 60, "a page still waits")
    return found[-1]


def link(html: str, ending: str) -> str:
    found = re.search(rf'href="(/so-lieu/tai\.{ending}\?[^"]+)"', html)
    assert found
    return found[1].replace("&amp;", "&")


def lines(body: bytes) -> tuple[list[list[str]], list[str], list[list[str]]]:
    """Return remarks, names and rows of a CSV."""
    assert body.startswith(b"\xef\xbb\xbf")
    told = list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")))
    rows = [row for row in told if row[0] != "#"]
    return [row[1:] for row in told if row[0] == "#"], rows[0], rows[1:]


def same(cell: object) -> object:
    """Return a cell as it compares: numbers as numbers, in a file of texts, too."""
    try:
        return float(str(cell))
    except ValueError:
        return cell


def cells(html: str) -> list[tuple[str, str]]:
    """Return (time, text of the first column) of the table's rows."""
    return [
        (time, re.sub(r"<[^>]+>", " ", cell).strip())
        for time, cell in re.findall(
            r'<tr><th scope="row"><time datetime="([^"]+)">[^<]*</time></th><td>(.*?)</td>', html
        )
    ]


def test_page_csv_and_xlsx_say_what_the_store_says(world: StaffWorld) -> None:
    page = ready(world, f"/so-lieu?{ASK}&lang=vi")
    assert page.status_code == 200
    about, names, rows = lines(ready(world, link(page.text, "csv")).content)
    book = load_workbook(io.BytesIO(ready(world, link(page.text, "xlsx")).content), read_only=True)
    sheet = [list(row) for row in book["so-lieu"].iter_rows(values_only=True)]
    assert sheet[0] == names
    assert [list(map(same, row)) for row in sheet[1:]] == [
        [same(cell) if cell else None for cell in row] for row in rows
    ]
    sources = [[cell for cell in row if cell is not None] for row in book["nguon"].iter_rows(values_only=True)]
    assert [list(map(same, row)) for row in sources] == [[same(cell) for cell in row if cell] for row in about]
    told = world.staff.store.hourly("sg-01", "air-1", "air_temperature", START_MS, START_MS + 2 * DAY_MS)
    stored = {iso(one.start_ms): [f"{round(x, 2)}" for x in (one.mean, one.low, one.high)] for one in told}
    assert {row[0]: row[1:4] for row in rows if row[1]} == stored
    assert len(rows) == 48
    for (time, text), row in zip(cells(page.text), rows, strict=True):
        assert time == row[0]
        numbers = [f"{float(one):.2f}".replace(".", ",") for one in row[1:4]] if row[1] else [row[4]]
        assert re.split(r"[ …]+", text) == numbers if row[1] else text == row[4]


def test_lowest_and_highest_day_have_no_hour(world: StaffWorld) -> None:
    of_days = ready(world, f"/so-lieu?{ASK.replace('gio', 'ngay')}").text
    edges = re.findall(r"<small><time[^>]*>([^<]+)</time></small>", of_days)
    assert len(edges) == 2
    assert all(re.fullmatch(r"\d\d/\d\d/\d{4}", edge) for edge in edges), edges
    of_hours = re.findall(r"<small><time[^>]*>([^<]+)</time></small>", ready(world, f"/so-lieu?{ASK}").text)
    assert all(re.fullmatch(r"\d\d/\d\d/\d{4} \d\d:\d\d", edge) for edge in of_hours), of_hours


def test_calibrated_numbers_are_shown_and_called_so_and_the_raw_ones_stay_stored(world: StaffWorld) -> None:
    raw = world.staff.store.hourly("sg-01", "air-1", "air_temperature", START_MS, START_MS + 2 * DAY_MS)
    facts = {"gateway": "sg-01", "channel": "air-1", "quantity": "air_temperature"}
    second = Calibration(**facts, valid_from=date.fromisoformat(LAST), reads_low=20.0, reads_high=10.0)
    with world.shelf.act("test", "compared") as draft:
        draft.put([second])
    page = ready(world, f"/so-lieu?{ASK}&lang=vi")
    about, names, rows = lines(ready(world, link(page.text, "csv")).content)
    book = load_workbook(io.BytesIO(ready(world, link(page.text, "xlsx")).content), read_only=True)
    assert [one for one in names if "đã hiệu chuẩn" in one] == names[1:5], "and not the other thermometer's"
    assert next(iter(book["so-lieu"].iter_rows(values_only=True))) == tuple(names)
    assert "đã hiệu chuẩn" in page.text
    assert [("đã hiệu chuẩn" in row[2]) for row in about[-2:]] == [True, False]
    told = {row[0]: [float(cell) for cell in row[1:4]] for row in rows if row[1]}
    for hour in raw:
        as_told = [round(x, 2) for x in (hour.mean, hour.low, hour.high)]
        per_cent = [min(100.0, max(0.0, round(10 * (20 - x), 2))) for x in (hour.mean, hour.high, hour.low)]
        assert told[iso(hour.start_ms)] == (as_told if hour.start_ms < START_MS + DAY_MS else per_cent)
    assert world.staff.store.hourly("sg-01", "air-1", "air_temperature", START_MS, START_MS + 2 * DAY_MS) == raw
    now = ready(
        world, f"/so-lieu?noi=zone:z01&dl=air_temperature&tu={iso(NOW_MS)[:10]}&den={iso(NOW_MS)[:10]}&buoc=goc"
    )
    assert ">0,00" in now.text, "20.5 is drier than nothing"


def test_what_is_absent_says_why_and_how_much_is_there(world: StaffWorld) -> None:
    page = ready(world, f"/so-lieu?{ASK}")
    about, _, rows = lines(ready(world, link(page.text, "csv")).content)
    assert [row[4] for row in rows[4:11]] == [
        "", *["không có số đọc nào tới"], "câu trả lời sai mã kiểm tra", *["không có số đọc nào tới"] * 3, "",
    ]  # fmt: skip
    facts = dict(zip(about[-3], about[-2], strict=False))
    assert (facts["nguồn"], facts["phải có"], facts["có"], facts["đủ, %"]) == ("sg-01/air-1", "48", "43", "89.6")
    assert "89,6 %" in page.text
    assert rows[0][0] == f"{FIRST}T00:00:00+07:00"
    assert "L" in page.text.split('class="mean" d="')[1].split('"')[0]
    assert page.text.split('class="mean" d="')[1].split('"')[0].count("M") == 2  # one gap


def test_rain_is_what_fell_and_a_gauge_that_was_set_back_takes_nothing_away(world: StaffWorld) -> None:
    page = ready(world, f"/so-lieu?noi=zone:z01&dl=rain_total&tu={FIRST}&den={FIRST}&buoc=gio")
    _, names, rows = lines(ready(world, link(page.text, "csv")).content)
    assert "Mưa rơi (mm)" in names[1]
    assert [row[1] for row in rows[:6]] == ["0.25", "0.5", "2.5", "0.25", "0.25", "0.0"]
    day = ready(world, f"/so-lieu?noi=zone:z01&dl=rain_total&tu={FIRST}&den={FIRST}&buoc=ngay")
    assert lines(ready(world, link(day.text, "csv")).content)[2][0][1] == "3.75"


def test_raw_readings_are_those_of_the_store_to_the_millisecond(world: StaffWorld) -> None:
    today = iso(NOW_MS)[:10]
    ask = f"noi=zone:z01&dl=air_temperature&dl=wind_direction&tu={today}&den={today}&buoc=goc"
    _, names, rows = lines(ready(world, link(ready(world, f"/so-lieu?{ask}").text, "csv")).content)
    assert [row[0] for row in rows] == [iso(NOW_MS - 60_000), iso(NOW_MS - 59_000)]
    assert [[cell for cell in row[1:] if cell] for row in rows] == [["20.5"], ["21.25", "90.0"]]
    assert len(names) == 1 + 2 * 3
    hours = ready(world, f"/so-lieu?{ask.replace('goc', 'gio')}").text
    assert "Chỉ xem được ở số đọc gốc" in hours


def test_channel_keeps_to_the_days_on_which_it_hung_there(world: StaffWorld) -> None:
    hung = datetime.fromtimestamp((START_MS + DAY_MS) / 1000 + 7 * 3600, UTC).date()
    with world.shelf.act("test", "move") as draft:
        draft.put([Zone(code="zz", name_vi='=HYPERLINK("x")\x07', name_en="<b>x", lat=21.6, lon=104.5)])
        draft.put([Binding(gateway="sg-01", channel="air-1", place="zone", code="zz", valid_from=hung)])
    page = ready(world, f"/so-lieu?{ASK.replace('z01', 'zz')}")
    about, names, rows = lines(ready(world, link(page.text, "csv")).content)
    assert [bool(row[1]) for row in rows] == [False] * 24 + [True] * 24
    assert {row[4] for row in rows[:24]} == {""}
    assert about[-1][3:6] == ["24", "24", "100.0"]
    assert names[1].startswith("'=HYPERLINK")
    book = load_workbook(io.BytesIO(ready(world, link(page.text, "xlsx")).content))
    assert {cell.data_type for row in book["so-lieu"].iter_rows() for cell in row} <= {"s", "n", "inlineStr"}
    assert "<b>x" not in page.text


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("noi=zone:z01&tu=2026-11-01&den=2026-11-02", "Chưa chọn đại lượng"),
        ("dl=air_temperature&tu=2026-11-01&den=2026-11-02", "Chưa chọn nơi đo"),
        ("noi=zone:z01&dl=air_temperature&tu=2026-11-02&den=2026-11-01", "Ngày đầu đứng sau"),
        ("noi=zone:z01&dl=air_temperature&tu=2020-01-01&den=2026-11-01", "nhiều nhất 366 ngày"),
        ("noi=zone:z01&dl=air_temperature&tu=2026-11-01&den=2026-11-04&buoc=goc", "nhiều nhất 3 ngày"),
    ],
)
def test_question_that_cannot_be_answered_is_refused_in_words(world: StaffWorld, query: str, told: str) -> None:
    for path in ("/so-lieu", "/so-lieu/tai.csv", "/so-lieu/tai.xlsx"):
        answer = world.visitor("viewer").get(f"{path}?{query}")
        assert (answer.status_code, told in answer.text) == (422, True)


@pytest.mark.parametrize("query", ["tu=x", "tu=9999-12-31&den=-1", "noi=zone:z01%00&dl='&tu=2026-11-01", "tu=2&so=9e9"])
def test_hostile_address_finds_nothing_and_breaks_nothing(world: StaffWorld, query: str) -> None:
    assert world.visitor("viewer").get(f"/so-lieu?{query}").status_code == 422


def test_more_figures_than_a_table_holds_are_refused(world: StaffWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    today = iso(NOW_MS)[:10]
    monkeypatch.setattr("cloud.staff.figures.gather.MOST_VALUES", 0)
    answer = ready(world, f"/so-lieu?noi=zone:z01&dl=air_temperature&tu={today}&den={today}&buoc=goc")
    assert (answer.status_code, "Hơn 0 số" in answer.text) == (413, True)
    monkeypatch.setattr("cloud.staff.figures.data.MOST_LINES", 0)
    answer = ready(world, f"/so-lieu?{ASK}")
    assert (answer.status_code, "nhiều nhất 0" in answer.text) == (413, True)


def test_days_without_anything_are_a_page_that_says_so(world: StaffWorld) -> None:
    page = ready(world, "/so-lieu?noi=zone:z01&dl=air_temperature&tu=2026-01-01&den=2026-01-31")
    assert (page.status_code, "<svg" in page.text) == (200, False)
    about, _, rows = lines(ready(world, link(page.text, "csv")).content)
    assert {row[1] for row in rows} == {""}
    assert about[-1][5] == "0.0"
    assert "Không có số liệu nào" in ready(world, f"/so-lieu?{ASK}&dl=soil_ph".replace("air_temperature", "co2")).text


class Hanging:
    """A store that answers when it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def latest(self) -> list[Any]:
        self.go.wait(60)
        raise Retry("too late")


def test_store_that_hangs_gives_a_sentence_and_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Hanging()
    monkeypatch.setattr(data, "PATIENCE_S", 0.01)
    world = StaffWorld(tmp_path, store=store)
    browser = world.visitor("viewer")
    asked = [f"/so-lieu?{ASK}&dl={name}" for name in ("co2", "noise", "pm10", "soil_ph")]
    assert [browser.get(path).headers.get("refresh") for path in asked[:3]] == ["1"] * 3
    assert (browser.get(asked[3]).status_code, browser.get("/").status_code) == (503, 200)  # three are asked already
    world.clock.advance(jobs.STILL_S + 1)
    assert "không trả lời" in browser.get(asked[0]).text
    store.go.set()
    assert ready(world, asked[0]).status_code == 503
    world.close()


def test_store_that_is_out_of_reach_is_told_so(tmp_path: Path) -> None:
    world = StaffWorld(tmp_path)
    answer = ready(world, f"/so-lieu?{ASK}")
    assert (answer.status_code, "Kho số đo không trả lời" in answer.text) == (503, True)
    world.close()


def test_workbook_that_takes_too_much_is_given_up_in_words(world: StaffWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    page = ready(world, f"/so-lieu?{ASK.replace(LAST, '2027-10-01')}")
    monkeypatch.setattr(data, "WRITER", data.WRITER._replace(memory=2**20))
    answer = ready(world, link(page.text, "xlsx"))
    assert (answer.status_code, "Không làm được tệp" in answer.text) == (500, True)


def test_the_form_of_a_large_garden_is_there_within_its_second(world: StaffWorld) -> None:
    model = next(one for one in world.shelf.rows("tree") if isinstance(one, Tree))
    trees = [replace(model, code=f"{number:06d}", name_vi=f"Cây thử {number}") for number in range(5_000)]
    hung = [
        Binding(gateway="sg-02", channel=f"soil-{one.code}", place="tree", code=one.code, valid_from=date(2026, 1, 1))
        for one in trees[:3_000]
    ]
    with world.shelf.act("test", "many") as draft:
        draft.put([*trees, *hung])
    browser = world.visitor("viewer")
    browser.get("/bang/trees")  # which reads the new rows once
    begun = process_time()
    page = browser.get("/so-lieu").text
    assert page.count("Cây thử") == 3_000
    assert process_time() - begun < 1
