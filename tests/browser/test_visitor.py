"""The pages as a visitor's browser draws them: phone and desk, day and night, no scripts, nothing from elsewhere."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Literal, Self

import pytest

from tests.visitors import ALL, BARE, TREE, Incident, Site, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.journey, pytest.mark.browser, pytest.mark.usefixtures("budget")]
BUDGET_S = 120

CHROMIUM = shutil.which("chromium")
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PAGES = ["/", f"/T/{TREE}", f"/T/{BARE}", "/phu-song", "/canh-bao", "/T/7K3MQ2", "/nowhere"]
PHONE, DESK, NARROW = (360, 740), (1280, 900), (320, 640)

# WCAG 2.2 §1.4.3: every text against what is painted behind it. Returns what is below 4.5 : 1 (3 : 1 when large).
CONTRAST = """() => {
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const lum = c => { const [r,g,b] = c.map(v => { v /= 255; return v <= .03928 ? v/12.92 : ((v+.055)/1.055)**2.4 });
                     return .2126*r + .7152*g + .0722*b };
  const behind = el => { for (; el; el = el.parentElement) { const c = parse(getComputedStyle(el).backgroundColor);
                         if (c.length < 4 || c[3] === 1) return c.slice(0, 3) } return [255,255,255] };
  const bad = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let checked = 0;
  for (let n; n = walk.nextNode();) {
    const el = n.parentElement, style = getComputedStyle(el);
    if (!n.data.trim() || !el.getClientRects().length || el.closest('.hide,.skip')) continue;
    checked++;
    const [a, b] = [lum(parse(style.color).slice(0,3)), lum(behind(el))].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && +style.fontWeight >= 700);
    const ratio = (a + .05) / (b + .05);
    if (ratio < (large ? 3 : 4.5)) bad.push(n.data.trim().slice(0, 40) + ' ' + ratio.toFixed(2));
  }
  return [checked, bad];
}"""

# Headings in order, one h1, every field labelled, every table headed, no id twice, languages named, targets of 44 px.
STRUCTURE = """() => {
  const bad = [], all = q => [...document.querySelectorAll(q)];
  const levels = all('h1,h2,h3,h4,h5,h6').map(h => +h.tagName[1]);
  if (levels.filter(l => l === 1).length !== 1) bad.push('h1: ' + levels);
  levels.forEach((l, i) => { if (i && l > levels[i-1] + 1) bad.push('heading skips: ' + levels) });
  all('input:not([type=hidden])').forEach(i => { if (!i.labels.length) bad.push('no label: ' + i.name) });
  all('table').forEach(t => { if (!t.querySelector('thead th[scope=col]') || !t.querySelector('tbody th[scope=row]'))
                              bad.push('table without headers') });
  const ids = all('[id]').map(e => e.id);
  if (new Set(ids).size !== ids.length) bad.push('id twice: ' + ids);
  all('svg').forEach(s => { if (s.getAttribute('aria-hidden') !== 'true') bad.push('svg is not hidden') });
  for (const q of ['html[lang]', 'main', 'header', 'footer nav[aria-label]', 'meta[name=viewport]', 'title'])
    if (!document.querySelector(q)) bad.push('no ' + q);
  all('a:not(.skip),button,summary,input:not([type=hidden])').forEach(e => {
    const height = e.getBoundingClientRect().height;
    if (height < 43.5) bad.push('target ' + height + ': ' + e.textContent.trim().slice(0, 30)) });
  return bad;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        words = "Chromium absent: make servers, or apt-get install chromium"
        (pytest.fail if os.environ.get("GOCCHE_REQUIRE_SERVERS") == "1" else pytest.skip)(words)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    world = World(tmp_path_factory.mktemp("site"))
    world.incidents = [Incident(), Incident(state="ended", until_ms=world.clock.now_ms)]
    for hours in range(12, 0, -1):
        world.tell(ALL | {"soil-1": {"soil_moisture": 30.0 + hours / 4}}, age_s=hours * 3_600)
    world.tell(ALL)
    with Site(world.garden()) as running:
        yield running
    world.store.close()


class Seen:
    """One tab, with all that it asked for and complained about."""

    def __init__(self, browser: Browser, site: Site, size: tuple[int, int], **of: object) -> None:
        options = {"locale": "vi-VN", "java_script_enabled": True} | of
        self._context = browser.new_context(viewport={"width": size[0], "height": size[1]}, **options)
        self.page: Page = self._context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self._url = site.url

    def go(self, path: str, until: Literal["load", "networkidle"] = "load") -> Page:
        self.page.goto(self._url + path, wait_until=until)
        return self.page

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._context.close()


@pytest.mark.parametrize(("name", "size"), [("phone", PHONE), ("desk", DESK)])
def test_pictures_without_scripts(
    browser: Browser, site: Site, tmp_path: Path, name: str, size: tuple[int, int]
) -> None:
    with Seen(browser, site, size, java_script_enabled=False, device_scale_factor=2 if name == "phone" else 1) as seen:
        page = seen.go(f"/T/{TREE}")
        text = page.inner_text("main")
        for words in (
            "Cây mẫu số 1",
            "250–350 năm",
            "1.352 m",
            "21.6201, 104.5795",
            "31,27 %",
            "Độ ẩm đất",
            "1 phút trước",
        ):
            assert words in text
        assert page.locator("details").first.get_attribute("open") is None
        picture = tmp_path / f"tree-{name}.png"
        page.screenshot(path=picture, full_page=True)
        assert picture.stat().st_size > 20_000
        assert seen.complaints == []


@pytest.mark.parametrize("path", PAGES)
def test_everybody_can_read_it_and_nothing_comes_from_elsewhere(browser: Browser, site: Site, path: str) -> None:
    with Seen(browser, site, PHONE) as seen:
        page = seen.go(path, "networkidle")
        assert seen.requests
        assert [url for url in seen.requests if not url.startswith(site.url + "/")] == []
        assert len(seen.requests) <= 2  # the page and its icon
        readable(page)
        expected = ("404",) if path in {"/T/7K3MQ2", "/nowhere"} else ()
        assert [words for words in seen.complaints if not any(code in words for code in expected)] == []
        assert page.context.cookies() == []


def readable(page: Page) -> None:
    """By day, by night, on 320 pixels, and with letters twice as large."""
    wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
    for details in page.locator("summary").all():
        details.click()
    assert page.evaluate(STRUCTURE) == []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        checked, faint = page.evaluate(CONTRAST)
        assert checked > 10
        assert faint == [], scheme
    assert page.evaluate(wider) <= 0
    page.set_viewport_size({"width": 640, "height": 900})
    page.evaluate("document.documentElement.style.fontSize = '200%'")
    assert page.evaluate(wider) <= 0


def test_the_keyboard_reaches_the_content_first(browser: Browser, site: Site) -> None:
    with Seen(browser, site, DESK) as seen:
        page = seen.go("/")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.hash") == "#main"
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.type("7k3mqp")
        page.keyboard.press("Enter")
        page.wait_for_url(f"**/T/{TREE}")
        assert page.inner_text("h1").startswith("Cây mẫu số 1")


def test_a_language_chosen_by_hand_stays(browser: Browser, site: Site) -> None:
    with Seen(browser, site, PHONE) as seen:
        page = seen.go(f"/T/{TREE}")
        page.get_by_role("link", name="English").click()
        assert page.inner_text("h1").startswith("Sample tree 1")
        page.get_by_role("link", name="Coverage").click()
        assert page.inner_text("h1").startswith("Coverage by hamlet")


def test_a_script_in_a_page_would_not_run(browser: Browser, site: Site) -> None:
    with Seen(browser, site, PHONE) as seen:
        page = seen.go("/")
        page.evaluate(
            "() => { const made = document.createElement('script'); made.textContent = 'window.ran = 1';"
            " document.body.append(made) }"
        )
        assert page.evaluate("window.ran === undefined")
        assert any("Content Security Policy" in words for words in seen.complaints)
