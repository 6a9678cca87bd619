"""Field binding on a telephone in a real Chromium: with signal, without, signed out meanwhile, and two at one tag."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image

from cloud.registry import codes
from cloud.registry.kinds import Binding, Photo, Tag
from cloud.staff.entrance import passwords
from tests.browser.test_staff import Running, pictured, signed_in
from tests.browser.test_visitor import PHONE, Seen, browser, readable
from tests.servers import until
from tests.staffroom import PASSWORD
from tests.visitors import TREE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.journey, pytest.mark.browser, pytest.mark.usefixtures("budget")]
BUDGET_S = 150
OTHER = "4TN8WJ"
AT_THE_TREE = {"latitude": 21.62011, "longitude": 104.57952, "accuracy": 8}  # a metre or two from TREE
KEPT = "async () => !!await (await caches.open('gan')).match('/gan')"
WAITING = "async () => (await Queue.all()).length"
__all__ = ["browser"]


def code(number: int) -> str:
    five = f"9{number:04}"
    return five + codes.check_char(five)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    world = Running(tmp_path_factory.mktemp("field"))
    with world.shelf.act("test", "tags") as draft:
        draft.put([Tag(code=code(number), state="printed") for number in range(9)])
    assert world.accounts.accept(world.accounts.invite("editor", "Tên editor", "editor"), passwords.hashed(PASSWORD))
    yield world
    world.close()


def comes(page: Page, true: str) -> None:
    """Wait for an expression; the policy of the pages forbids the browser's own way, which evaluates texts."""
    until(lambda: page.evaluate(true), 20, true)


def tag(site: Running, number: int) -> Tag:
    return next(one for one in site.shelf.rows("tag") if isinstance(one, Tag) and one.code == code(number))


def phone(browser: Browser, site: Running) -> Seen:
    return Seen(browser, site, PHONE, device_scale_factor=2, permissions=["geolocation"], geolocation=AT_THE_TREE)


def opened(seen: Seen, site: Running, role: str = "editor", path: str = "/gan") -> Page:
    """Open the page and wait until the telephone can do without the net."""
    page = signed_in(seen, site, role)
    seen.go(path)
    page.wait_for_selector("#copy:has-text('bản lúc')")
    comes(page, "navigator.serviceWorker.controller !== null")
    until(lambda: page.evaluate(KEPT), 20, "the page is kept")
    return page


def choose(page: Page, typed: str, tree: str) -> None:
    page.fill("#tag", typed)
    page.get_by_role("button", name="Tìm quanh chỗ tôi đứng").click()
    page.wait_for_selector("#spots small:has-text('cách')")
    page.check(f"input[name=place][value='tree:{tree}']")


def bind(page: Page, typed: str, tree: str) -> None:
    choose(page, typed, tree)
    page.get_by_role("button", name="Gắn", exact=True).click()
    page.wait_for_selector("#says:has-text('Đã giữ')")


def test_a_blank_tag_gets_the_nearest_tree_and_a_photo(browser: Browser, site: Running, tmp_path: Path) -> None:
    file = tmp_path / "tree.jpg"
    Image.effect_noise((2400, 1800), 60).convert("RGB").save(file, "JPEG")
    with phone(browser, site) as seen:
        page = opened(seen, site, path=f"/gan/{code(0)}")
        assert page.input_value("#tag") == codes.shown(code(0))
        assert page.is_hidden(".plain")
        choose(page, codes.shown(code(0)).lower(), TREE)
        assert page.inner_text("#tag-says") == "Thẻ chưa gắn."
        near = page.inner_text("#spots label:first-child")
        assert "Cây mẫu số 1" in near
        assert "cách 2 m" in near
        assert "8 m" in page.inner_text("#position")
        page.set_input_files("#photo", file)
        pictured(page, tmp_path, "field-phone")
        page.get_by_role("button", name="Gắn", exact=True).click()
        until(lambda: tag(site, 0).state == "bound", 30, "the tag is bound")
        assert tag(site, 0).tree == TREE
        page.wait_for_selector("#waiting li:has-text('Đã gắn')")
        (photo,) = [one for one in site.shelf.rows("photo") if isinstance(one, Photo)]
        with Image.open(site.folder / "photos" / f"{photo.code}-1440.jpg") as kept:
            assert max(kept.size) == 1440
        until(lambda: page.evaluate(WAITING) == 0, 30, "the answer is read")
        pictured(page, tmp_path, "field-sent-phone")
        readable(page)
        assert [words for words in seen.complaints if "[DOM]" not in words] == []
        assert [url for url in seen.requests if not url.startswith(site.url + "/")] == []


def test_without_signal_and_signed_out_meanwhile_nothing_is_lost_or_sent_by_another(
    browser: Browser, site: Running, tmp_path: Path
) -> None:
    with phone(browser, site) as seen:
        page = opened(seen, site)
        page.context.set_offline(True)
        seen.go("/")
        assert page.url == f"{site.url}/gan", "the page that works without signal stands in for one that does not"
        seen.go(f"/gan/{code(1)}")
        assert page.input_value("#tag").replace("-", "") == code(1), (
            "a page that was kept reads the tag off its address"
        )
        bind(page, code(1), TREE)
        bind(page, code(2), OTHER)
        page.wait_for_selector("#state:has-text('Chưa có sóng')")
        pictured(page, tmp_path, "field-offline-phone")
        page.reload()
        page.wait_for_selector("#waiting li >> nth=1")
        assert tag(site, 1).state == "printed"

        # meanwhile the sign-in has ended
        for session in site.accounts.sessions("editor"):
            site.accounts.end("editor", session.id)
        page.context.set_offline(False)
        page.wait_for_selector("#sign-in:visible")
        assert "Phiên đăng nhập đã hết" in page.inner_text("#state")
        assert page.evaluate(WAITING) == 2

        # somebody else signs in on this telephone: what another did is not sent in their name
        other = signed_in(seen, site, "moderator")
        seen.go("/gan")
        other.wait_for_selector("#waiting small:has-text('Tên editor')")
        pictured(page, tmp_path, "field-other-phone")
        assert tag(site, 1).state == "printed"
        page.context.clear_cookies()

        page.goto(f"{site.url}/gan")
        assert page.inner_text("h1") == "Đăng nhập"
        page.fill("#who", "editor")
        page.fill("#password", PASSWORD)
        page.keyboard.press("Enter")
        until(lambda: tag(site, 1).tree == TREE and tag(site, 2).tree == OTHER, 30, "what waited is written")
        comes(page, "async () => (await Queue.all()).length === 0")
        with site.shelf.book() as book:
            mine = [act for act in book.acts(20) if code(1) in act.what or code(2) in act.what]
        assert [act.who for act in mine] == ["Tên editor (editor)"] * 2


def test_two_telephones_at_one_tag_see_both_sides_and_one_decides(
    browser: Browser, site: Running, tmp_path: Path
) -> None:
    with phone(browser, site) as mine, phone(browser, site) as theirs:
        page = opened(mine, site)
        other = opened(theirs, site, "moderator")
        page.context.set_offline(True)
        bind(page, code(3), TREE)
        bind(page, code(4), TREE)
        for number in (3, 4):
            bind(other, code(number), OTHER)
        until(lambda: tag(site, 4).tree == OTHER, 30, "the other telephone was first")
        page.context.set_offline(False)
        page.wait_for_selector("#waiting li:has-text('Trong sổ bây giờ') >> nth=1")
        card = page.inner_text("#waiting li:first-child")
        assert "Cây mẫu số 1" in card
        assert "Tên moderator" in card
        assert OTHER in card
        pictured(page, tmp_path, "field-conflict-phone")
        readable(page)
        assert {tag(site, number).tree for number in (3, 4)} == {OTHER}, "nothing is overwritten"
        page.reload()
        page.get_by_role("button", name="Giữ như trong sổ").first.click()
        comes(page, "async () => (await Queue.all()).length === 1")
        page.get_by_role("button", name="Vẫn ghi việc của tôi").click()
        until(lambda: tag(site, 4).tree == TREE, 30, "it was written knowingly")
        assert tag(site, 3).tree == OTHER


def test_what_will_never_be_taken_is_said_and_what_follows_is_sent_all_the_same(
    browser: Browser, site: Running, tmp_path: Path
) -> None:
    with phone(browser, site) as seen:
        page = opened(seen, site)
        page.route("**/gan/gui", lambda route: route.fulfill(status=413, body="too long"), times=1)
        bind(page, code(7), TREE)
        page.wait_for_selector("#waiting li .why")
        bind(page, code(8), TREE)
        until(lambda: tag(site, 8).tree == TREE, 30, "the next one is written")
        until(lambda: page.evaluate(WAITING) == 1, 30, "the answer to it is read")
        page.get_by_role("button", name="Gửi lại").click()
        until(lambda: tag(site, 7).tree == TREE, 30, "and the first, once it is taken")
        page.route("**/gan/gui", lambda route: route.fulfill(status=403, body="not yours"), times=1)
        bind(page, code(6), TREE)
        page.wait_for_selector("#state:has-text('không còn cho phép')")


def test_an_answer_that_is_lost_writes_nothing_twice(browser: Browser, site: Running) -> None:
    with phone(browser, site) as seen:
        page = opened(seen, site)
        lost = page.evaluate(
            """() => { const real = fetch; let lost = 0;
            window.lost = () => lost;
            window.fetch = async (path, how) => { const got = await real(path, how);
              if (String(path) === '/gan/gui' && !lost++) throw new TypeError('the answer is lost'); return got; } }"""
        )
        assert lost is None
        bind(page, code(5), TREE)
        comes(page, "lost() === 1")
        until(lambda: tag(site, 5).tree == TREE, 30, "it was written")
        assert page.evaluate(WAITING) == 1
        page.reload()
        page.wait_for_selector("#waiting li:has-text('đã ghi từ lần gửi trước')")
        with site.shelf.book() as book:
            assert sum(code(5) in act.what for act in book.acts(50)) == 1


def test_a_probe_is_replaced_without_signal_and_the_first_screen_sends_it(
    browser: Browser, site: Running, tmp_path: Path
) -> None:
    with phone(browser, site) as seen:
        page = opened(seen, site)
        page.context.set_offline(True)
        page.get_by_label("Cảm biến vào chỗ treo").check()
        assert page.is_hidden("#tag")
        page.get_by_role("button", name="Tìm quanh chỗ tôi đứng").click()
        page.wait_for_selector("#spots small:has-text('cách')")
        page.select_option("#sensor", "sg-01/soil-2")
        page.check(f"input[name=place][value='tree:{TREE}']")
        page.select_option("#instead", "sg-01/soil-1")
        pictured(page, tmp_path, "field-sensor-phone")
        readable(page)
        page.get_by_role("button", name="Gắn", exact=True).click()
        page.wait_for_selector("#says:has-text('Đã giữ')")
        page.context.set_offline(False)
        seen.go("/")

        def hangs() -> dict[str, str]:
            rows = [one for one in site.shelf.rows("binding") if isinstance(one, Binding)]
            return {one.channel: one.code for one in rows if one.channel.startswith("soil") and one.valid_to is None}

        until(lambda: hangs() == {"soil-2": TREE}, 30, "the probe hangs there")


def test_a_browser_that_keeps_nothing_still_binds_with_signal(browser: Browser, site: Running) -> None:
    with phone(browser, site) as seen:
        page = signed_in(seen, site, "editor")
        page.add_init_script("IDBFactory.prototype.open = () => { throw new DOMException('', 'SecurityError'); }")
        seen.go(f"/gan/{code(7)}?q=cay+mau+so+2")
        assert page.is_visible(".plain")
        page.check(f"input[name=place][value='tree:{OTHER}']")
        page.get_by_role("button", name="Gắn", exact=True).click()
        page.wait_for_selector(".done:has-text('Đã gắn')")
        assert tag(site, 7).tree == OTHER


def test_signing_out_takes_the_copy_away_and_leaves_what_waits(browser: Browser, site: Running) -> None:
    with phone(browser, site) as seen:
        page = opened(seen, site)
        page.evaluate("Queue.keep({ id: 'x', who: 'gone', made: 0, line: 'x', state: 'waiting', fields: {} })")
        page.wait_for_load_state("networkidle")
        page.get_by_role("button", name="Đăng xuất").click()
        assert page.inner_text("h1") == "Đăng nhập"
        comes(page, "async () => !(await caches.match('/gan/vuon.json')) && !(await caches.match('/gan'))")
        left = """() => new Promise(done => { indexedDB.open('gocche-gan').onsuccess = opened =>
          opened.target.result.transaction('waiting').objectStore('waiting').count().onsuccess =
            counted => done(counted.target.result) })"""
        assert page.evaluate(left) == 1


def test_a_telephone_whose_clock_is_put_right_after_the_work_dates_it_right(browser: Browser, site: Running) -> None:
    day_s, now = 86_400, 1_795_000_000_000
    with phone(browser, site) as seen:
        seen.page.add_init_script(
            "const real = Date.now; self.wrong = -3 * 864e5; Date.now = () => real.call(Date) + self.wrong"
        )
        page = opened(seen, site)
        page.context.set_offline(True)
        bind(page, code(8), TREE)
        page.evaluate("() => { self.wrong = 0 }")
        page.context.set_offline(False)
        until(lambda: tag(site, 8).state == "bound", 30, "the tag is bound")
        assert tag(site, 8).bound_on == site.shelf.today

        # copied two days ago by the server's clock, done a day later, sent now: by when the clock was wrong
        for wrong_at_copy, wrong_at_work, days in (
            (0, 0, 1), (5, 5, 1), (-5, -5, 1), (0, 5, 0), (0, -20_000, 0), (-5, 0, 1), (5, 0, 1),
        ):  # fmt: skip
            made, at = 1 - wrong_at_work, 2 - wrong_at_copy
            ago = page.evaluate(
                "([made, at, now]) => Queue.ago({ made: Date.now() - made * 864e5,"
                " copy: { at: Date.now() - at * 864e5, made_ms: now - 2 * 864e5 } }, now)",
                [made, at, now],
            )
            assert round(ago / day_s) == days, (wrong_at_copy, wrong_at_work)
