"""The duty board in a real Chromium: it rings, says what it cannot do, and answers by one tap; readable by all."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Error

from cloud.clock import SystemClock
from cloud.rooms.listener import listen, url
from cloud.serve import Server
from tests.browser.test_staff import signed_in
from tests.browser.test_visitor import CONTRAST, DESK, PHONE, Seen, browser, readable
from tests.dutyroom import DutyWorld
from tests.rules.garden import Post, batch, serving, until
from tests.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.journey, pytest.mark.browser, pytest.mark.usefixtures("budget")]
BUDGET_S = 240
# What is tapped is 44 pixels high; links within a sentence are not (WCAG 2.5.8 excepts them).
SMALL = """[...document.querySelectorAll('main button, main select, main input:not([type=hidden]), main summary,'
  + ' main textarea, main a.button, main .cards a, main label:has(input)')].filter(one => one.offsetParent
  && Math.max(one.getBoundingClientRect().height, one.closest('label')?.getBoundingClientRect().height ?? 0) < 44)
  .map(one => one.outerHTML.slice(0, 90))"""
__all__ = ["browser"]


class Watched(DutyWorld):
    """The pages on a socket, and the alerts' room in threads of its own, by the machine's clock."""

    def __init__(self, folder: Path, port: int) -> None:
        self.socket = listen("127.0.0.1", 0)
        super().__init__(folder, port, url(self.socket), clock=SystemClock())
        self._stop, self._alerts = threading.Event(), self.bench.running()
        self._alerts.__enter__()
        self._served = threading.Thread(target=Server(self.app, self.socket).run, args=(self._stop,), name="staff")
        self._served.start()

    def burn(self, gateway: str = "sg-01", channel: str = "smoke-1") -> int:
        """Let a sensor have measured smoke for five minutes; return the number of its incident once there is one."""
        known, now_ms = {one.number for one in self.desk.going()}, self.clock.utc_ms()
        quantities = {"pm2_5": (12.0, 80.0)} | ({"co": (0.4, 3.2)} if gateway == "sg-01" else {})
        for quantity, (calm, smoke) in quantities.items():
            at = channel if quantity == "pm2_5" else "co-1"
            for minute in range(60, -1, -1):
                value = smoke + 7 * (5 - minute) if minute < 6 else calm + minute % 5
                made = batch(
                    self.bench.seq, [(now_ms - 60_000 * minute, value)], quantity=quantity, channel=at, gateway=gateway
                )
                self.bench.seq += 1
                self.bench.store.commit([made], now_ms)
                if minute < 8:
                    self.bench.alerts.offer(made, now_ms)
        until(lambda: {one.number for one in self.desk.going()} - known, 20)
        self.look()
        return max({one.number for one in self.desk.going()} - known)

    def close(self) -> None:
        self._stop.set()
        self._served.join(20)
        self._alerts.__exit__(None, None, None)
        super().close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Watched]:
    with serving(Post(free_port())) as post:
        world = Watched(tmp_path, post.port)
        yield world
        world.close()


def pictured(page: Page, tmp_path: Path, name: str) -> None:
    page.screenshot(path=Path(os.environ.get("GOCCHE_IMG") or tmp_path) / f"duty-{name}.png", full_page=True)


def bell(page: Page) -> str:
    return str(page.evaluate("document.getElementById('bell').dataset.state"))


def rung(page: Page) -> int:
    return int(page.evaluate("Number(document.getElementById('bell').dataset.rung ?? 0)"))


def test_the_bell_is_armed_by_one_tap_rings_until_somebody_has_it_and_says_its_state(
    browser: Browser, site: Watched, tmp_path: Path
) -> None:
    with Seen(browser, site, PHONE, device_scale_factor=2) as seen:
        page = signed_in(seen, site, "officer")
        seen.go("/truc")
        assert "Yên: không có báo cháy nào đang mở" in page.inner_text("main")
        until(lambda: bell(page) == "not_armed", 10)
        assert "CHUÔNG CHƯA BẬT" in page.inner_text("#bell-state")
        pictured(page, tmp_path, "calm-phone")
        page.click("#arm")
        until(lambda: bell(page) == "armed", 10)
        assert page.is_hidden("#arm")
        assert rung(page) == 0
        number = site.burn()
        until(lambda: page.locator(f"#ack-{number}").count() == 1, 15)
        until(lambda: rung(page) >= 1, 10)
        until(lambda: "BÁO CHÁY" in page.title(), 10)
        assert page.is_visible("#mute")
        box = page.locator(f"#ack-{number}").bounding_box()
        assert box is not None
        assert box["height"] >= 44
        assert box["y"] + box["height"] <= page.viewport_size["height"], "one tap, without scrolling"
        pictured(page, tmp_path, "rings-phone")
        page.click(f"#ack-{number}")
        until(lambda: "Tên officer đã nhận việc" in page.inner_text("#board"), 15)
        until(lambda: page.is_hidden("#mute"), 10)
        before = rung(page)
        until(lambda: "BÁO CHÁY" not in page.title(), 10)
        assert rung(page) <= before + 1
        assert site.head.acked_by == "officer"
        pictured(page, tmp_path, "has-phone")
        page.reload()
        until(lambda: bell(page) in ("again", "armed"), 10)
        if bell(page) == "again":
            assert "trang đã tải lại" in page.inner_text("#bell-state")
        assert [one for one in seen.complaints if "AudioContext was not allowed" not in one] == []


def test_muted_here_is_silent_here_and_a_raised_stage_rings_again(browser: Browser, site: Watched) -> None:
    number = site.burn()
    with Seen(browser, site, DESK) as seen:
        page = signed_in(seen, site, "officer")
        seen.go("/truc")
        page.click("#arm")
        until(lambda: rung(page) >= 1, 10)
        page.click("#mute")
        assert page.is_hidden("#mute")
        assert site.head.acked_ms is None, "others still hear it"
        alerts = site.bench.alerts
        done = threading.Event()
        alerts._answering._steps.tick, tick = (lambda: (raise_once(), tick())), alerts._answering._steps.tick

        def raise_once() -> None:
            if not done.is_set():
                done.set()
                with alerts._journal.transaction():
                    alerts._desk.raise_to(alerts._journal.incident(number), "probable", "silence", site.clock.utc_ms())

        until(lambda: "RẤT CÓ THỂ CHÁY" in page.inner_text("#board"), 20)
        until(lambda: page.is_visible("#mute"), 10)
        before = rung(page)
        until(lambda: rung(page) > before, 10)


def test_an_exercise_rings_as_one(browser: Browser, site: Watched) -> None:
    site.desk.act({"act": "drill", "who": "officer", "by": "cli", "place": "zone:z02"})
    with Seen(browser, site, PHONE) as seen:
        page = signed_in(seen, site, "officer")
        seen.go("/truc")
        until(lambda: "1 DIỄN TẬP báo cháy" in page.title(), 10)
        site.burn()
        until(lambda: "2 BÁO CHÁY" in page.title(), 15)


def test_where_sound_is_blocked_it_says_so_and_title_and_telephone_tell(browser: Browser, site: Watched) -> None:
    site.burn()
    with Seen(browser, site, PHONE) as seen:
        page = signed_in(seen, site, "officer")
        page.add_init_script("""
            AudioContext.prototype.resume = () => new Promise(() => {});
            Object.defineProperty(AudioContext.prototype, 'state', { get: () => 'suspended' });
            window.shaken = 0; navigator.vibrate = () => { window.shaken++; return true; };
        """)
        seen.go("/truc")
        page.click("#arm")
        until(lambda: bell(page) == "blocked", 10)
        assert "TRÌNH DUYỆT CHẶN TIẾNG" in page.inner_text("#bell-state")
        until(lambda: "BÁO CHÁY" in page.title(), 10)
        until(lambda: page.evaluate("window.shaken") > 0, 10)
        assert rung(page) == 0


def test_a_board_that_cannot_reach_the_server_says_it_is_old_and_a_tap_that_did_not_arrive_says_so(
    browser: Browser, site: Watched, tmp_path: Path
) -> None:
    number = site.burn()
    with Seen(browser, site, PHONE, device_scale_factor=2) as seen:
        page = signed_in(seen, site, "officer")
        seen.go("/truc")
        until(lambda: "giây trước" in page.inner_text("#fresh"), 10)
        assert page.is_hidden("#lost")
        page.context.set_offline(True)
        page.click(f"#ack-{number}")
        until(lambda: "CHƯA GỬI ĐƯỢC" in page.inner_text(f"#i-{number}"), 15)
        assert page.is_enabled(f"#ack-{number}"), "it can be tried again"
        until(lambda: page.is_visible("#lost"), 30)
        assert "KHÔNG NỐI ĐƯỢC MÁY CHỦ" in page.inner_text("#lost")
        pictured(page, tmp_path, "lost-phone")
        page.context.set_offline(False)
        until(lambda: page.is_hidden("#lost"), 20)
        assert site.head.acked_ms is None, "nothing was kept for later behind somebody's back"
        page.click(f"#ack-{number}")
        until(lambda: site.head.acked_by == "officer", 10)
        site.accounts.end("officer")
        until(lambda: page.is_visible("#lost") and "ĐĂNG XUẤT" in page.inner_text("#lost"), 30)


def test_a_tap_whose_answer_is_lost_is_neither_lost_nor_doubled_nor_called_unsent(
    browser: Browser, site: Watched
) -> None:
    """The network takes the tap to the server and loses its answer, or a proxy says 503 with a page of its own."""
    number = site.burn()
    with Seen(browser, site, PHONE) as seen:
        page = signed_in(seen, site, "officer")
        seen.go("/truc")
        page.route("**/truc/bang.json", lambda route: route.abort())  # the board cannot say it either
        page.route("**/truc/viec", lambda route: route.fulfill(status=503, body="<html>upstream"))
        page.click(f"#ack-{number}")
        until(lambda: "KHÔNG BIẾT MÁY CHỦ ĐÃ NHẬN CHƯA" in page.inner_text(f"#i-{number}"), 15)
        assert site.head.acked_ms is None
        page.unroute("**/truc/viec")
        page.route("**/truc/viec", lambda route: (route.fetch(), route.abort()))
        page.click(f"#ack-{number}")
        until(lambda: site.head.acked_by == "officer", 10)
        until(lambda: page.is_enabled(f"#ack-{number}"), 15)
        assert "KHÔNG BIẾT MÁY CHỦ ĐÃ NHẬN CHƯA" in page.inner_text(f"#i-{number}")
        page.unroute("**/truc/viec")
        page.click(f"#ack-{number}")
        until(lambda: page.is_enabled(f"#ack-{number}"), 15)
        page.unroute("**/truc/bang.json")
        until(lambda: "Tên officer đã nhận việc" in page.inner_text("#board"), 15)
        assert "KHÔNG BIẾT" not in page.inner_text("#board")
        assert site.events(number).count("acknowledged") == 1


def test_what_became_of_a_tap_stays_when_the_board_is_renewed(browser: Browser, site: Watched) -> None:
    number = site.burn()
    with Seen(browser, site, PHONE) as seen:
        page = signed_in(seen, site, "officer")
        seen.go("/truc")
        page.route("**/truc/viec", lambda route: route.fulfill(status=502, body="<html>"))
        page.click(f"#ack-{number}")
        until(lambda: "KHÔNG BIẾT MÁY CHỦ ĐÃ NHẬN CHƯA" in page.inner_text(f"#i-{number}"), 15)
        site.desk.act({"act": "comment", "who": "admin", "by": "page", "incident": number, "words": "x"})
        site.desk.act({"act": "assign", "who": "admin", "by": "page", "incident": number, "to": "su"})
        until(lambda: "Sùng A Sử" in page.inner_text(f"#i-{number}"), 15)
        assert "KHÔNG BIẾT MÁY CHỦ ĐÃ NHẬN CHƯA" in page.inner_text(f"#i-{number}")


def test_two_tap_at_once_and_one_acts_on_what_the_other_has_closed(browser: Browser, site: Watched) -> None:
    number = site.burn()
    with Seen(browser, site, PHONE) as seen, Seen(browser, site, PHONE) as other:
        mine, theirs = signed_in(seen, site, "officer"), signed_in(other, site, "admin")
        for one in (seen, other):
            one.go("/truc")
        for page in (mine, theirs):
            page.evaluate(f"document.getElementById('ack-{number}').click()")
        until(lambda: site.events(number).count("acknowledged") == 2, 15)
        for page in (mine, theirs):
            until(lambda page=page: f"{site.head.acked_by} đã nhận việc" in page.inner_text("#board"), 15)  # type: ignore[misc]
        seen.go(f"/truc/{number}")
        other.go(f"/truc/{number}")
        theirs.check("input[value=cooking]")
        theirs.click("details[open] button.risky")
        until(lambda: not site.desk.whole(number).one.going, 10)  # type: ignore[union-attr]
        mine.dblclick("text=Báo bậc kế ngay")
        mine.wait_for_selector("text=Sự việc này đã đóng")
        assert mine.get_attribute("main a.button", "href") == f"/truc/{number}"
        mine.go_back()
        assert "khói bếp, nấu nướng" in mine.inner_text("main"), "what is gone back to is asked for again"


def test_a_page_of_an_incident_that_is_left_open_says_that_it_is_old(browser: Browser, site: Watched) -> None:
    number = site.burn()
    with Seen(browser, site, PHONE) as seen:
        page = signed_in(seen, site, "officer")
        page.clock.install()
        seen.go(f"/truc/{number}")
        assert "Trang này của" in page.inner_text("#as-of")
        page.clock.fast_forward(9 * 3_600_000)
        until(lambda: "TRANG NÀY CŨ 540 phút" in page.inner_text("#as-of"), 10)
        assert page.get_attribute("#as-of", "class") == "lost"
        assert page.evaluate(CONTRAST)[1] == []
        page.click("#as-of a")
        assert "TRANG NÀY CŨ" not in page.inner_text("#as-of")


def test_without_signal_a_duty_page_that_is_loaded_again_is_not_another_page(browser: Browser, site: Watched) -> None:
    with Seen(browser, site, PHONE) as seen:
        page = signed_in(seen, site, "admin")
        seen.go("/gan")
        page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
        until(lambda: page.evaluate("caches.match('/gan', { cacheName: 'gan' }).then(one => !!one)"), 15)
        seen.go("/truc")
        page.context.set_offline(True)
        with pytest.raises(Error, match=r"ERR_INTERNET_DISCONNECTED|ERR_FAILED"):
            page.reload()
        page.context.set_offline(False)


def test_an_incident_is_led_by_the_keyboard_alone(browser: Browser, site: Watched) -> None:
    number = site.burn()
    with Seen(browser, site, PHONE) as seen:
        page = signed_in(seen, site, "officer")
        seen.go(f"/truc/{number}")

        def to(css: str) -> None:
            for _ in range(60):
                page.keyboard.press("Tab")
                if page.evaluate("css => document.activeElement.matches(css)", css):
                    return
            raise AssertionError(css)

        def done(css: str, key: str) -> None:
            to(css)
            with page.expect_navigation():
                page.keyboard.press(key)

        done(f"#ack-{number}", "Enter")
        assert site.head.acked_by == "officer"
        to("details:has(#w-comment) summary")
        page.keyboard.press("Enter")
        to("#w-comment")
        page.keyboard.type("da toi noi")
        done("details:has(#w-comment) button", "Space")
        assert "comment" in site.events(number)
        to("input[name=closed_as]")
        page.keyboard.press("ArrowDown")
        done("details:has(#w-close) button", "Enter")
        assert site.head.closed_as == "permitted"
        to("details:has(#w-reopen) summary")
        page.keyboard.press("Enter")
        done("details:has(#w-reopen) button.quiet", "Enter")
        assert (site.head.stage, site.head.closed_ms) == ("suspected", None)


def test_without_scripts_it_is_seen_and_answered(browser: Browser, site: Watched) -> None:
    number = site.burn()
    with Seen(browser, site, PHONE, java_script_enabled=False) as seen:
        page = signed_in(seen, site, "officer")
        seen.go("/truc")
        assert page.locator("noscript").count() >= 1
        page.click(f"#ack-{number}")
        assert "Đã ghi." in page.inner_text("main")
        assert site.head.acked_by == "officer"
        seen.go(f"/truc/{number}/phat-lai")
        assert "Đã nhận việc" in page.inner_text("#steps")


def test_replay_goes_step_by_step(browser: Browser, site: Watched, tmp_path: Path) -> None:
    number = site.burn()
    site.desk.act({"act": "acknowledge", "who": "officer", "by": "page", "incident": number})
    with Seen(browser, site, DESK) as seen:
        page = signed_in(seen, site, "viewer")
        seen.go(f"/truc/{number}/phat-lai")
        first = page.inner_text("#frame-says")
        last = page.locator("#steps > li").count() - 1
        page.evaluate(
            "n => { const f = document.getElementById('frame'); f.value = n; f.dispatchEvent(new Event('input')) }",
            last,
        )
        assert page.inner_text("#frame-says") != first
        assert page.locator("#steps > li.at").count() == 1
        assert page.locator(".film .cursor").count() == page.locator(".film").count() >= 1
        pictured(page, tmp_path, "replay-desktop")
        assert seen.complaints == []


@pytest.mark.parametrize("role", ["viewer", "officer"])
def test_every_screen_is_readable_by_everybody(browser: Browser, site: Watched, role: str, tmp_path: Path) -> None:
    number = site.burn()
    site.burn("sg-02")
    now_ms = site.clock.utc_ms()
    site.desk.act({"act": "silence", "who": "officer", "by": "page", "scope": "gateway:sg-02", "words": "đốt nương",
                   "until_ms": now_ms + 3_600_000})  # fmt: skip
    site.desk.act({"act": "drill", "who": "officer", "by": "cli", "place": "zone:z02"})
    screens = {"board": "/truc", "incident": f"/truc/{number}", "replay": f"/truc/{number}/phat-lai",
               "history": "/truc/lich-su", "letter": site.letter(1), "duties": "/bang/duties"}  # fmt: skip
    if role == "viewer":
        del screens["duties"]
    for size, scheme, name in ((PHONE, "light", "phone"), (PHONE, "dark", "dark"), (DESK, "light", "desktop")):
        with Seen(browser, site, size, color_scheme=scheme) as seen:
            page = signed_in(seen, site, role)
            for screen, path in screens.items():
                seen.go(path)
                if role == "officer":
                    pictured(page, tmp_path, f"{screen}-{name}")
            assert {asked.split("/")[2] for asked in seen.requests} == {site.url.split("/")[2]}, "nobody else is asked"
    with Seen(browser, site, PHONE) as seen:
        page = signed_in(seen, site, role)
        for path in screens.values():
            seen.go(path)
            readable(page)
            assert page.evaluate(SMALL) == [], path
