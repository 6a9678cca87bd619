"""The public pages of fire danger: why, since when, by which law; and nothing of smoke or alarms."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cloud.danger.book import NAME
from cloud.pages.app import build
from cloud.pages.danger_map import FILLS, INKS
from cloud.registry import Registry
from cloud.registry.fire import OfficialLevel
from tests.danger.garden import FIRST, ZONE, Garden, at, table
from tests.visitors import Visitor, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROMAN = re.compile(r"\b(?:[Cc]ấp|[Ll]evel) (?:I|II|III|IV|V)\b")


class Place:
    """A garden whose danger is kept, and the pages that show it."""

    def __init__(self, folder: Path) -> None:
        (folder / "pages").mkdir()
        self.garden, self.world = Garden(folder), World(folder / "pages")
        self.asked = self.visitor()

    def visitor(self, **of: Any) -> Visitor:
        rows = self.world.registry._records
        current = Registry({kind: list(rows.get(kind, ())) for kind in rows} | dict(self.garden.rows))
        how = {"danger": self.garden.folder / NAME, "clock": self.garden.clock, "current": current} | of
        return Visitor(build(self.world.garden(**how)))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.garden.close()


def test_without_a_table_a_zone_shows_p_says_why_and_no_level(place: Place) -> None:
    place.garden.days_pass(4)
    day = place.garden.days()[-1]
    for lang, sentence in {"vi": "chưa có bảng cấp của tỉnh", "en": "no table of the province"}.items():
        for path in ("/nguy-co/z01", "/nguy-co", "/nguy-co/z01.txt"):
            answer = place.asked.get(path, params={"lang": lang})
            assert (answer.status_code, sentence in answer.text) == (200, True), path
            assert not ROMAN.search(answer.text), path
    page = place.asked.get("/nguy-co/z01").text
    p = f"{day.after.p:,.0f}".replace(",", ".")
    assert f"P = {p} <small>" in page
    assert "không có mũi tên" in page
    assert "30,0 °C × 25,4 hPa" in page, "how today's part came about"
    assert "sg-01/weather-1, sg-01/rain-1" in page
    assert "Cộng từ khi bắt đầu đo, 03/02/2026" in page
    assert page.count('class="mean"') == 2, "P and FWI"


def test_what_rangers_published_stands_beside_ours_and_on_the_map_as_a_square(place: Place) -> None:
    place.garden.days_pass(4)
    place.garden.change("danger_table", table(place="zone", code="z01"))
    until = FIRST + timedelta(5)
    row = OfficialLevel(place="zone", code="z01", level="V", source="FireWatch <1>", valid_from=FIRST, valid_to=until)
    place.garden.change("official_level", row)
    asked = place.visitor()
    for path in ("/nguy-co", "/nguy-co/z01", "/"):
        page = asked.get(path).text
        assert "Kiểm lâm công bố" in page, path
        assert "cấp V – cực kỳ nguy hiểm · FireWatch &lt;1&gt; · từ 02/02/2026 đến trước 07/02/2026" in page, path
        assert "ấp II" in page, "ours stays"
    told = asked.get("/nguy-co/z01.json").json()
    assert (told["level"]["level"], told["official"]["level"]) == ("II", "V")
    drawn = asked.get("/nguy-co").text.partition('<figure class="danger">')[2].partition("</svg>")[0]
    assert re.findall(r"<(circle|rect).*?<text[^>]*>(\w+)</text>", drawn) == [("circle", "II"), ("rect", "V")]
    place.garden.look(at(until, 14.0))
    assert "FireWatch" not in place.visitor().get("/nguy-co").text, "its days are over"


def test_the_map_has_colour_numeral_and_name_and_a_table_that_says_the_same(place: Place) -> None:
    place.garden.days_pass(4)
    place.garden.change("danger_table", table(place="zone", code="z01"))
    outline = ((21.62, 104.57), (21.63, 104.58), (21.62, 104.59))
    zones = [msgspec.structs.replace(ZONE, outline=outline, name_vi="Khu <một>")]
    zones += [msgspec.structs.replace(ZONE, code=f"z{n}", lat=21.7 + n / 100) for n in range(20, 300)]
    few = Registry({**place.garden.rows, "zone": zones[:3]})
    page = place.visitor(current=few).get("/nguy-co").text
    drawn = page.partition('<figure class="danger">')[2].partition("</svg>")[0]
    assert FILLS[1] in drawn
    assert drawn.count("fill-opacity") == 1, "one zone has an outline"
    assert "Khu &lt;một&gt;</text>" in drawn
    assert 'aria-hidden="true"' in drawn
    assert "18/2021/QĐ-TTg" in page
    assert page.count('<th scope="row"') == 3
    many = place.visitor(current=Registry({**place.garden.rows, "zone": zones})).get("/nguy-co").text
    assert "Còn 81 khu nữa" in many
    assert many.count('<th scope="row"') == 281
    assert 'font-size="9.5"' not in many, "no names"
    assert "<script" not in many.partition("<main")[2].partition("</main>")[0]


def test_no_square_of_the_rangers_is_cut_off_where_the_map_ends(place: Place) -> None:
    place.garden.days_pass(1)
    until = FIRST + timedelta(5)
    zones = [msgspec.structs.replace(ZONE, code=f"z{n}", lon=104.5 + n / 10) for n in range(2)]
    published = [OfficialLevel(place="zone", code=one.code, level="V", source="FireWatch", valid_from=FIRST,
                               valid_to=until) for one in zones]  # fmt: skip
    known = Registry({**place.garden.rows, "zone": zones, "official_level": published})
    page = place.visitor(current=known).get("/nguy-co").text
    drawn = page.partition('<figure class="danger">')[2].partition("</svg>")[0]
    width = float(re.findall(r'viewBox="0 0 (\d+)', drawn)[0])
    squares = [
        (float(x), float(wide)) for x, wide in re.findall(r'<rect[^>]* x="([\d.]+)"[^>]* width="([\d.]+)"', drawn)
    ]
    assert len(squares) == 2
    assert all(x >= 0 and x + wide <= width for x, wide in squares)


def test_numerals_can_be_read_on_their_colours_and_colours_told_apart() -> None:
    def light(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    def contrast(one: str, other: str) -> float:
        low, high = sorted((light(one), light(other)))
        return (high + 0.05) / (low + 0.05)

    assert all(contrast(fill, ink) >= 4.5 for fill, ink in zip(FILLS, INKS, strict=True))  # WCAG 1.4.3


def test_a_level_stands_beside_its_decision_zone_and_validity_on_every_page(place: Place) -> None:
    place.garden.days_pass(4)
    own = table(place="zone", code="z01", area="tiểu vùng 2", valid_to=FIRST + timedelta(300))
    place.garden.change("danger_table", own)
    asked = place.visitor()
    page = asked.get("/nguy-co/z01").text
    for words in (
        "Theo 0/2026/QĐ-THỬ, tiểu vùng 2",
        "từ 01/01/2025",
        "đến trước 29/11/2026",
        "ít nhất",
        "mũi tên chỉ cấp II,",
    ):
        assert words in page
    for path in ("/nguy-co", "/", "/nguy-co/z01.txt"):
        text = asked.get(path).text
        assert re.search("QĐ-THỬ|quyết định", text), path
        assert "tiểu vùng" in text, path
    told = asked.get("/nguy-co/z01.json").json()
    assert (told["level"]["level"], told["level"]["at_least"]) == ("II", True)
    assert told["level"]["table"]["decision"] == "0/2026/QĐ-THỬ"
    assert (told["level"]["table"]["valid_from"], told["level"]["table"]["code"]) == ("2025-01-01", "z01")


def test_old_numbers_say_since_when_and_after_three_days_no_level(place: Place) -> None:
    place.garden.change("danger_table", table())
    place.garden.days_pass(3)
    place.garden.look(at(FIRST + timedelta(4), 19))
    page = place.visitor().get("/nguy-co/z01").text
    assert "lần cuối đủ số đo là 04/02/2026. Từ đó 2 ngày thiếu" in page
    assert ROMAN.search(page)
    place.garden.look(at(FIRST + timedelta(5), 19))
    page = place.visitor().get("/nguy-co/z01").text
    assert "thiếu số đo thời tiết từ ba ngày trở lên" in page
    assert not ROMAN.search(page)
    place.garden.clock.now_ms = at(FIRST + timedelta(8), 15)  # and the loop itself no longer makes days
    assert "ngày mới nhất tính được là 07/02/2026" in place.visitor().get("/nguy-co/z01").text


def test_what_the_inputs_lack_is_said_in_words(place: Place) -> None:
    place.garden.tell(at(FIRST), 24, rain=None)
    place.garden.look(at(FIRST, 14))
    page = place.asked.get("/nguy-co/z01").text
    assert "không có số đo mưa trọn ngày" in page
    assert "P = – <small>chưa có số đo nào để tính P" in page, "nothing is not nought"
    assert "Chưa có số đo nào để tính P." in place.asked.get("/nguy-co/z01.txt").text
    assert "no rain of the whole day" in place.asked.get("/nguy-co/z01", params={"lang": "en"}).text


def test_a_zone_without_a_station_and_a_book_that_is_not_there_yet_say_so(place: Place) -> None:
    page = place.asked.get("/nguy-co/z01")
    assert (page.status_code, "chưa có trạm đo" in page.text) == (200, True)
    assert place.asked.get("/nguy-co/z01.txt").status_code == 404
    assert place.asked.get("/nguy-co/z99").status_code == 404
    assert place.asked.get("/nguy-co").status_code == 200


def test_a_book_that_cannot_be_read_is_said_and_takes_no_other_page_along(place: Place) -> None:
    (place.garden.folder / NAME).write_bytes(b"no database" * 100)
    asked = place.visitor()
    assert asked.get("/nguy-co/z01").status_code == 503
    assert "không đọc được" in asked.get("/nguy-co").text
    assert asked.get("/").status_code == 200


def test_the_bulletin_is_a_page_of_a4_and_a_text_to_be_read_aloud(place: Place) -> None:
    place.garden.days_pass(2)
    sheet = place.asked.get("/nguy-co/z01.pdf")
    assert (sheet.status_code, sheet.headers["content-type"], sheet.content[:5]) == (200, "application/pdf", b"%PDF-")
    assert 'filename="z01-2026-02-03.pdf"' in sheet.headers["content-disposition"]
    aloud = place.asked.get("/nguy-co/z01.txt").text
    assert aloud.startswith("Xin bà con chú ý nghe.")
    assert not re.search(r"\d", aloud)


def test_danger_shares_no_page_with_smoke(place: Place) -> None:
    place.garden.days_pass(2)
    for path in ("/nguy-co", "/nguy-co/z01", "/nguy-co/z01.txt", "/nguy-co/z01.json"):
        text = place.asked.get(path).text
        for word in ("PM2", "Nghi có khói", "Suspected", "xác nhận", "confirmed"):
            assert word not in text, (path, word)


@pytest.mark.journey
def test_pages_of_danger_are_light_and_need_no_script(place: Place) -> None:
    place.garden.days_pass(130)
    for path, most in (("/nguy-co/z01", 14_000), ("/nguy-co", 8_000)):
        answer = place.asked.get(path, headers={"Accept-Encoding": "gzip"})
        assert int(answer.headers["content-length"]) <= most, path
        assert "<svg" in answer.text or path == "/nguy-co"
    assert len(json.dumps(place.asked.get("/nguy-co/z01.json").json())) < 80_000


def test_the_line_of_a_trees_page_leads_to_its_zones_danger(place: Place) -> None:
    place.garden.days_pass(2)
    page = place.asked.get("/T/7K3MQP").text
    assert 'href="/nguy-co/z01"' in page
    assert "chưa có bảng cấp của tỉnh" in page
