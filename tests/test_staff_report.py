"""The monthly report: its figures are the store's, page and PDF say the same, and an empty month is a page, too."""

from __future__ import annotations

import re
from datetime import date
from html import unescape
from typing import TYPE_CHECKING

import pypdfium2
import pytest

from cloud.clock import midnight_ms
from cloud.registry.kinds import Binding, Calibration, Device, Zone
from cloud.staff.figures import monthly
from cloud.staff.figures.report import month_of, next_month
from cloud.staff.incidents import Suspicion
from cloud.store import Hour, Past, open_store
from tests.build import batch
from tests.staffroom import NOW_MS, StaffWorld
from tests.test_staff_data import ready
from tests.visitors import TREE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_MS, HOUR_MS = midnight_ms(date(2026, 10, 1)), 3_600_000
HOSTILE = "=cmd|' <b>&amp;\x00"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StaffWorld]:
    """October 2026 at zone z01: 700 of 744 hours of air, ten millimetres of rain; one alarm; a zone of hostile name."""
    store = open_store({"engine": "sqlite"}, writer=True, folder=tmp_path)
    store.setup()
    air = [
        Hour(START_MS + at * HOUR_MS, 6 * (at > 9), 10.0 + at % 24, 9.0 + at % 24, 12.5 + at % 24) for at in range(700)
    ]
    rain = [Hour(START_MS + at * HOUR_MS, 6, at / 10, at / 10, (at + 1) / 10) for at in range(100)]
    store.write_hours([Past("sg-01", "air-1", "air_temperature", air), Past("sg-01", "weather-1", "rain_total", rain)])
    rows = [{"air-1": {"air_temperature": 20.0}}, {"weather-1": {"rain_total": 50.0}}]
    store.commit([batch(start_ms=NOW_MS - 60_000, rows=rows, now_ms=NOW_MS)], NOW_MS)
    made = StaffWorld(tmp_path, store=store)
    made.alarms = [Suspicion("zone:z01", "Nghi khói", "Smoke", "Khu mẫu", "Sample", START_MS + HOUR_MS, None)]
    yield made
    made.close()
    store.close()


def texts(html: str) -> list[str]:
    """Return the cells and lines of a report's page."""
    main = html.split("<main", 1)[1].split("</main>", 1)[0]
    return [unescape(one).strip() for one in re.findall(r"<(?:td|th|li)(?: [^>]*)?>(.*?)</(?:td|th|li)>", main)]


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_report_says_what_the_store_says_and_the_pdf_says_the_same(world: StaffWorld) -> None:
    page = ready(world, "/bao-cao?thang=2026-10")
    told = texts(page.text)
    hours = world.staff.store.hourly("sg-01", "air-1", "air_temperature", START_MS, START_MS + 744 * HOUR_MS)
    mean = f"{sum(one.mean for one in hours) / len(hours):.2f}".replace(".", ",")
    row = next(at for at, one in enumerate(told) if "Nhiệt độ không khí" in one and "air-1" in one)
    assert told[row + 1 : row + 5] == [mean, "9,00 (01/10 00:00)", "35,50 (01/10 23:00)", "94,1 % (700/744)"]
    rain = next(at for at, one in enumerate(told) if "Mưa rơi" in one)
    assert (told[rain + 1], told[rain + 4]) == ("10,00", "13,4 % (100/744)")
    assert "01/10 01:00 – còn kéo dài: Nghi khói · Khu mẫu" in told
    assert "10 trong 800 số theo giờ do máy bịa" in page.text
    charts = re.findall(
        r"<figcaption>(.*?)</figcaption><small>(.*?)</small>(<svg.*?</svg>)<small>(.*?)</small>", page.text
    )
    assert [(name, high, low) for name, high, _, low in charts] == [
        ("Nhiệt độ không khí (°C) · sg-01/air-1", "35,50", "9,00"),
        ("Mưa rơi (mm) · sg-01/weather-1", "2,40", "0,00"),
    ]
    air, rain_of_days = (svg for _, _, svg, _ in charts)
    assert (air.count("V"), air.count("L"), rain_of_days.count("V")) == (30, 29, 5)  # of 31 days; 29 ⅙ have hours
    pdf = ready(world, "/bao-cao/tai.pdf?thang=2026-10")
    assert pdf.headers["content-type"] == "application/pdf"
    paper = pypdfium2.PdfDocument(pdf.content)
    assert len(paper) == 1  # one zone has something to say
    told = [re.sub(r"<[^>]+>", "", one) for one in told]  # a sensor's name is kept in one piece by a mark of its own
    printed = squeezed("".join(leaf.get_textpage().get_text_range() for leaf in paper))
    assert [one for one in [*told, *sum((one[:2] for one in charts), ())] if squeezed(one) not in printed] == []
    drawn = [one.type for one in paper[0].get_objects()].count(pypdfium2.raw.FPDF_PAGEOBJ_PATH)
    assert drawn > 30 + 5, "the bars of the page are on paper, too"


def test_what_was_changed_in_the_month_stands_at_its_zone_and_people_do_not(world: StaffWorld) -> None:
    with world.shelf.act("test", "hang") as draft:  # now: in November
        draft.put([Device(code="dv-9", model="x")])
        facts = {"gateway": "sg-01", "channel": "soil-1", "valid_from": date(2026, 11, 2)}
        draft.put([Calibration(**facts, quantity="soil_moisture", offset=1.0)])
        draft.put([Binding(**facts | {"channel": "air-2"}, place="tree", code=TREE)])
        before = facts | {"channel": "air-2", "valid_from": date(2024, 1, 1), "valid_to": date(2026, 11, 2)}
        draft.put([Binding(**before, place="tree", code="4TN8WJ")])
        draft.put([Calibration(**facts | {"channel": "air-2"}, quantity="air_temperature", offset=1.0)])
        draft.put([Zone(code="zz", name_vi=HOSTILE.replace("\x00", ""), name_en="x", lat=21.6, lon=104.5)])
    page = ready(world, "/bao-cao?thang=2026-11")
    told = texts(page.text)
    assert any(one.endswith(f"Khu · thêm: {HOSTILE}".replace("\x00", "")) for one in told)
    assert any(
        one.endswith("Hiệu chuẩn · thêm: sg-01/soil-1 (Cây mẫu số 1), sg-01/air-2 (Cây mẫu số 1)") for one in told
    )
    assert any(
        one.endswith("Treo ở đâu · thêm: sg-01/air-2 (Cây mẫu số 1), sg-01/air-2 (Cây mẫu số 2)") for one in told
    )
    assert not any("dv-9" in one or "admin" in one for one in told)  # hangs nowhere; people are nobody's zone
    assert HOSTILE.replace("\x00", "") in unescape(page.text)
    assert "<b>&amp;" not in page.text
    pdf = ready(world, "/bao-cao/tai.pdf?thang=2026-11")
    assert len(pypdfium2.PdfDocument(pdf.content)) >= 2


def test_month_without_anything_and_one_that_is_none_are_pages(world: StaffWorld) -> None:
    world.alarms = []
    page = ready(world, "/bao-cao?thang=2019-02")
    assert (page.status_code, "Không có gì để báo cáo" in page.text) == (200, True)
    assert len(pypdfium2.PdfDocument(ready(world, "/bao-cao/tai.pdf?thang=2019-02").content)) == 1
    assert month_of("x", date(2026, 1, 5)) == date(2025, 12, 1)
    assert month_of("9999-12", date(2026, 1, 5)) == date(2026, 1, 1)
    assert next_month(date(2026, 12, 1)) == date(2027, 1, 1)


def test_without_fonts_there_is_a_sentence_and_the_page_to_print(
    world: StaffWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monthly, "font", lambda: "")
    answer = ready(world, "/bao-cao/tai.pdf?thang=2026-10")
    assert (answer.status_code, "fonts-dejavu-core" in answer.text) == (503, True)
    assert ready(world, "/bao-cao?thang=2026-10").status_code == 200
