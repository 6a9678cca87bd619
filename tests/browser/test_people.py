"""What people send, what teams did, the sheets of hamlets, in a real browser: with scripts, without, and offline."""

from __future__ import annotations

import re
import sqlite3
import urllib.request
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from cloud.clock import SystemClock
from cloud.coverage.book import NAME as COVERAGE
from cloud.coverage.book import Book
from cloud.coverage.sample import SERVED, Heard, Sample
from cloud.coverage.scale import Scale
from cloud.coverage.sheets import Sheets
from cloud.reports.book import NAME
from cloud.reports.door import Door
from cloud.reports.report import Place, Report
from tests.browser.test_visitor import (
    AXE,
    CONTRAST,
    CUT,
    DESK,
    NARROW,
    PHONE,
    STRUCTURE,
    Seen,
    axe,
    browser,
)
from tests.visitors import ALL, TREE, Site, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page, Route

__all__ = ["browser"]
pytestmark = [pytest.mark.journey, pytest.mark.browser, pytest.mark.usefixtures("budget")]
BUDGET_S = 120
KEPT_SOON = """async path => {
  for (let n = 0; n < 100; n++) {
    if (await (await caches.open("gocche")).match(path)) return true;
    await new Promise(done => setTimeout(done, 50));
  }
  return false;
}"""
IN_TIME_MS = 15_000
THREE_NINETY = (390, 844)


class Ahead(SystemClock):
    """The machine's clock, put ahead by a test: nobody has to wait until a form is three seconds old."""

    ahead_ms = 0

    def utc_ms(self) -> int:
        return super().utc_ms() + self.ahead_ms


class Village(Site):
    """The pages with a form, and what it has kept."""

    def __init__(self, folder: Path) -> None:
        world = World(folder)
        self.clock = Ahead()
        world.clock.now_ms = self.clock.utc_ms()
        world.tell(dict[str, Any](ALL))
        self.world = world
        self.path = folder / NAME
        self.door = Door(self.path, self.clock)
        numbers = {"duty_tel": "0988000111", "duty_sms": "0988000112"}
        self.survey = folder / COVERAGE
        super().__init__(world.garden(clock=self.clock, reports=self.door, surveyed=self.survey, **numbers))

    def kept(self) -> list[tuple[str, str, int]]:
        """Return (kind, text, how many) of each head."""
        if not self.path.exists():  # made with the first
            return []
        with closing(sqlite3.connect(self.path)) as db:
            return db.execute("SELECT kind, text, n FROM report WHERE head IS NULL ORDER BY id").fetchall()


@pytest.fixture
def village(tmp_path: Path) -> Iterator[Village]:
    with Village(tmp_path) as running:
        urllib.request.urlopen(f"{running.url}/bao").close()
        yield running
    running.door.close()
    running.world.store.close()


def filled(page: Page, text: str, kind: str = "Báo cháy, có khói") -> None:
    page.get_by_label(kind).check()
    page.get_by_label("Thôn gần nhất").select_option("h01")
    page.get_by_label("Thấy gì?").fill(text)


def test_everybody_can_read_every_page_of_people(browser: Browser, village: Village) -> None:
    kept = village.door.put(Report(key="k", kind="fire", text="khói", lat=21.72, lon=104.0), Place("hamlet:h01", "h01"))
    of_reports = ("/bao", f"/bao/cay/{TREE}", f"/bao/{kept.code}", "/bao/AAAA-AAAA-AAAA")
    paths = (*of_reports, "/doi", "/khan-cap", "/khan-cap/h01")
    with Seen(browser, village, THREE_NINETY) as seen:
        for path in paths:
            page = seen.go(path, "networkidle")
            page.evaluate(axe())
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                for size in (THREE_NINETY, NARROW, DESK):
                    page.set_viewport_size({"width": size[0], "height": size[1]})
                    assert page.evaluate(CUT) == [], (path, size)
                assert page.evaluate(AXE) == [], (path, scheme)
                checked, faint = page.evaluate(CONTRAST)
                assert checked > 10
                assert faint == [], (path, scheme)
            assert page.evaluate(STRUCTURE) == [], path
            assert [url for url in seen.requests if not url.startswith(village.url + "/")] == []
            assert page.context.cookies() == []
        assert [words for words in seen.complaints if "404" not in words] == []


def test_without_scripts_a_report_is_sent_looked_up_and_erased(browser: Browser, village: Village) -> None:
    with Seen(browser, village, PHONE, java_script_enabled=False) as seen:
        page = seen.go(f"/T/{TREE}")
        page.get_by_role("link", name="Báo cháy, mất sóng, cây hỏng").first.click()
        assert page.get_by_label("Mã trên thẻ cây").input_value() == "7K3-MQP"
        assert not page.locator("#here").is_visible(), "no button that does nothing"
        filled(page, "Khói đen")
        village.clock.ahead_ms = 5_000
        page.get_by_role("button", name="Gửi tin báo").click()
        assert page.inner_text("h1") == "Cảm ơn, đã nhận"
        assert village.kept() == [("fire", "Khói đen", 1)]
        assert re.fullmatch(r"/bao/[0-9A-Z-]{14}", page.url.removeprefix(village.url))
        page.get_by_role("button", name="Xoá lời kể").click()
        assert "người báo đã rút" in page.inner_text("main")
        assert village.kept() == [("fire", "", 1)]
        seen.go("/bao")
        page.get_by_label("Báo mất sóng").check()
        page.get_by_role("button", name="Gửi tin báo").click()
        assert "Gửi nhanh quá" in page.inner_text("main") or "Chưa có gì" in page.inner_text("main")
        assert page.get_by_label("Báo mất sóng").is_checked(), "what was chosen stays"


def test_what_is_written_without_signal_waits_in_the_telephone_and_is_sent_once(
    browser: Browser, village: Village
) -> None:
    with Seen(browser, village, PHONE) as seen:
        page = seen.go("/bao", "networkidle")
        page.wait_for_function("() => !!navigator.serviceWorker.controller")
        page.wait_for_function("async () => !!await (await caches.open('gocche')).match('/bao')")
        page.context.set_offline(True)
        seen.go("/bao/thon/h02")
        assert page.get_by_label("Thôn gần nhất").input_value() == "h02", (
            "a page that was never seen, from the kept one"
        )
        filled(page, "không có sóng", "Báo mất sóng")
        page.get_by_role("button", name="Gửi tin báo").click()
        page.get_by_text("Chưa gửi").wait_for(timeout=IN_TIME_MS)
        page.wait_for_function("() => document.getElementById('unsent-n').textContent === '(1)'")
        assert page.get_by_label("Thấy gì?").input_value() == ""
        context = page.context
        page.close()  # killed
        assert village.kept() == []
        page = seen.page = context.new_page()
        page.goto(village.url + "/bao")
        page.wait_for_function("() => document.getElementById('unsent-n').textContent === '(1)'")
        village.clock.ahead_ms = 5_000
        context.set_offline(False)
        page.locator("#sent a").wait_for(timeout=IN_TIME_MS)
        page.locator("#unsent").wait_for(state="hidden", timeout=IN_TIME_MS)
        assert village.kept() == [("signal", "không có sóng", 1)]
        page.locator("#sent a").click()
        assert page.inner_text("h1") == "Cảm ơn, đã nhận"


def test_a_telephone_that_dies_before_it_hears_the_answer_sends_again_and_it_is_one_report(
    browser: Browser, village: Village
) -> None:
    village.clock.ahead_ms = 0
    with Seen(browser, village, PHONE) as seen:
        page = seen.go("/bao", "networkidle")
        village.clock.ahead_ms = 5_000
        answered: list[int] = []

        def cut(route: Route) -> None:
            answered.append(route.fetch().status)  # the server has it …
            route.abort()  # … and nobody hears that

        page.route("**/bao", cut)
        filled(page, "khói")
        page.get_by_role("button", name="Gửi tin báo").click()
        page.get_by_text("Chưa gửi").wait_for(timeout=IN_TIME_MS)
        for _ in range(IN_TIME_MS // 20):  # it says so before it is sent
            if answered:
                break
            page.wait_for_timeout(20)
        assert answered == [201]
        context = page.context
        page.close()
        page = seen.page = context.new_page()
        page.goto(village.url + "/bao")
        page.locator("#sent a").wait_for(timeout=IN_TIME_MS)
        assert village.kept() == [("fire", "khói", 1)]


def test_who_is_fast_is_sent_again_by_itself_and_what_cannot_be_read_comes_back_into_the_form(
    browser: Browser, village: Village
) -> None:
    with Seen(browser, village, PHONE) as seen:
        page = seen.go("/bao", "networkidle")
        filled(page, "nhanh")
        page.get_by_role("button", name="Gửi tin báo").click()
        page.locator("#sent a").wait_for(timeout=IN_TIME_MS)
        assert village.kept() == [("fire", "nhanh", 1)]
        filled(page, "số sai")
        page.get_by_label("Số điện thoại").fill("gọi tôi")
        page.get_by_role("button", name="Gửi tin báo").click()
        page.get_by_text("Số điện thoại không đọc được").wait_for(timeout=IN_TIME_MS)
        assert page.get_by_label("Thấy gì?").input_value() == "số sai"
        page.locator("#unsent").wait_for(state="hidden", timeout=IN_TIME_MS)


def test_a_page_that_was_open_for_a_month_gets_a_new_form_by_itself(browser: Browser, village: Village) -> None:
    with Seen(browser, village, PHONE) as seen:
        page = seen.go("/bao", "networkidle")
        village.clock.ahead_ms = 31 * 86_400_000
        filled(page, "sau một tháng")
        page.get_by_role("button", name="Gửi tin báo").click()
        page.locator("#sent a").wait_for(timeout=IN_TIME_MS)
        assert village.kept() == [("fire", "sau một tháng", 1)]


def test_where_the_telephone_is_is_asked_on_a_tap_alone(browser: Browser, village: Village) -> None:
    here = {"latitude": 21.7001, "longitude": 104.0102, "accuracy": 12}
    with Seen(browser, village, PHONE, geolocation=here, permissions=["geolocation"]) as seen:
        page = seen.go("/bao", "networkidle")
        assert page.locator("#lat").input_value() == ""
        page.locator("#here").click()
        page.get_by_text("sai số chừng 12 m").wait_for(timeout=IN_TIME_MS)
        assert page.locator("#lat").input_value() == "21.700100"
        village.clock.ahead_ms = 5_000
        page.get_by_label("Báo cháy, có khói").check()
        page.get_by_role("button", name="Gửi tin báo").click()
        page.locator("#sent a").wait_for(timeout=IN_TIME_MS)
        with closing(sqlite3.connect(village.path)) as db:
            assert db.execute("SELECT lat, lon, measured, place FROM report").fetchall() == [
                (21.7001, 104.0102, 1, "hamlet:h03")
            ]
    with Seen(browser, village, PHONE) as seen:
        page = seen.go(f"/T/{TREE}", "networkidle")
        refused = page.evaluate("() => document.featurePolicy.allowsFeature('geolocation')")
        assert refused is False, "no other page may ask"


def test_the_sheet_of_a_hamlet_is_one_page_of_paper(browser: Browser, village: Village) -> None:
    now_ms, book = village.clock.utc_ms(), Book(village.survey)
    for n, plmn in enumerate((452001, 452002, 452004, 452005, 452007)):  # as much as a sheet can have to say
        old_ms = now_ms - (190 + n) * 86_400_000
        told: dict[str, Any] = {"source": "phone", "by": "hang-tay", "plmn": plmn, "lte": Heard(rsrp_dbm=-90.0)}
        walked = [
            Sample(time_ms=old_ms + 60_000 * k, lat=21.74 + n / 100 + k / 2_000, lon=104.02, service=SERVED, **told)
            for k in range(6)
        ]
        book.put(walked, now_ms)
    sheets = Sheets(book, Scale())
    while sheets.make([(21.721, 104.002)], now_ms):
        pass
    book.close()
    with Seen(browser, village, DESK) as seen:
        page = seen.go("/khan-cap/h01")
        assert "Viettel" in page.inner_text("main")
        assert page.locator(".lines li").count() == 5
        page.evaluate(axe())
        assert page.evaluate(AXE) == []
        for path in ("/khan-cap/h01", "/khan-cap/h03", "/khan-cap/h01?lang=en"):
            page = seen.go(path)
            assert len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))) == 1, path
            page.emulate_media(media="print")
            assert "114" in page.inner_text("main")


def test_from_where_to_call_is_there_without_signal_once_it_was_seen(browser: Browser, village: Village) -> None:
    with Seen(browser, village, PHONE) as seen:
        page = seen.go("/khan-cap/h01", "networkidle")
        assert page.evaluate(KEPT_SOON, "/khan-cap/h01"), "kept by us: the browser itself forgets within a minute"
        page.context.set_offline(True)
        seen.go("/khan-cap/h01")
        assert "gọi khi khẩn cấp" in page.inner_text("h1")
        assert page.locator(".numbers a").evaluate_all("all => all.map(a => a.getAttribute('href'))") == [
            "tel:114", "tel:115", "tel:113", "tel:112", "tel:0988000111",
        ]  # fmt: skip
        assert "Số liệu tính đến" in page.inner_text("main"), "it says how old it is"
