"""The staff's pages in a real Chromium: a morning's work on a telephone, and every screen readable by everybody."""

from __future__ import annotations

import json
import math
import os
import re
import threading
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zxingcpp
from msgspec.structs import replace
from PIL import Image

from cloud.clock import midnight_ms
from cloud.registry.kinds import Consent, Person, Photo, Story, Tree
from cloud.registry.mint import mint
from cloud.registry.pictures import SIZES, TYPES
from cloud.reports.book import Book as Reports
from cloud.reports.report import Place, Report
from cloud.rooms.listener import listen, url
from cloud.serve import Server
from cloud.staff.day.today import Sensor, Today
from cloud.staff.incidents import Alarm, Suspicion
from cloud.store import Hour, Past, open_store
from tests.browser.test_visitor import DESK, IMG, PHONE, TABLET, Seen, browser, readable
from tests.build import batch
from tests.staffroom import NOW_MS, PASSWORD, StaffWorld
from tests.visitors import TREE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.journey, pytest.mark.browser, pytest.mark.usefixtures("budget")]
BUDGET_S = 120
SCREENS = [
    "/", "/toi", "/bang", "/bang/trees", "/bang/trees?q=khong+co", f"/bang/trees/dong?k={TREE}", "/bang/trees/moi",
    "/bang/people/dong?k=p01", "/bang/people/moi", "/bang/bindings/moi", "/chuyen", f"/chuyen/{TREE}/vi", "/duyet",
    "/tin-bao", "/gan", "/dien-thoai", "/do-song", "/do-song/0a1b2c", "/bao-tri", "/bao-tri?o=sg-01/air-1", "/the",
    "/nhap", "/so-lieu", "/bao-cao", "/viec", "/viec/1", "/so-tay", "/so-tay/cay", "/nowhere",
]  # fmt: skip
PICTURES = {
    "tags": "/the", "queue": "/duyet", "stories": "/chuyen", "story": "/chuyen/4TN8WJ/vi", "trees": "/bang/trees",
    "rest": "/bao-tri", "bring": "/nhap", "acts": "/viec", "people": "/bang/people", "handbook": "/so-tay/the",
    "report": "/bao-cao?thang=2026-10", "nowhere": "/nowhere",
    "data": "/so-lieu?noi=zone:z01&dl=air_temperature&dl=air_humidity&tu=2026-10-01&den=2026-10-29&buoc=ngay",
}  # fmt: skip
WAITED_FOR = {"report": "main figure", "data": "main .plot"}  # of what is made aside
__all__ = ["browser"]


class Running(StaffWorld):
    """The pages on a socket."""

    def __init__(self, folder: Path, store: Any = None) -> None:
        self.socket = listen("127.0.0.1", 0)
        super().__init__(folder, url(self.socket), store)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=Server(self.app, self.socket).run, args=(self._stop,), name="staff")
        self._thread.start()
        now_ms = self.clock.utc_ms()
        alarm = Alarm(
            1, "Đất khô", "Dry soil", "Cây mẫu số 2", "Sample tree 2", now_ms - 7_200_000, "sg-01/soil-2", True
        )
        silent = Sensor("sg-01", "air-1", "zone", "z01", now_ms - 90_000_000, 3, new=False, stuck="")
        stuck = Sensor("sg-01", "soil-1", "tree", TREE, now_ms - 60_000, 24, new=False, stuck="soil_moisture")
        self.today = Today(now_ms, [alarm], [silent, stuck])
        with Reports(folder / "reports.db") as reports:
            for n, kind in enumerate(("fire", "signal", "signal")):
                told = Report(
                    key=f"k{n}", kind=kind, text="Khói đen trên đồi", lat=21.7 + n / 10, lon=104.0, phone="114"
                )
                reports.put(told, Place("hamlet:h01", "h01"), now_ms)
            reports.judge(3, "rejected", "đã hỏi lại, không phải", "lan", now_ms)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(20)
        super().close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    world = Running(tmp_path_factory.mktemp("staff"))
    yield world
    world.close()


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A room in which somebody has printed tags, and a story, a photo and a consent wait for somebody else."""
    folder = tmp_path_factory.mktemp("busy")
    store = open_store({"engine": "sqlite"}, writer=True, folder=folder)
    store.setup()
    start_ms = midnight_ms(date(2026, 10, 1))
    hours = {"air_temperature": list[Hour](), "air_humidity": list[Hour]()}
    for at in range(700):
        warmth = 4 * math.sin((at % 24 - 9) / 24 * math.tau) + 2 * math.sin(at / 61) + math.sin(at / 23)
        for quantity, mean in (("air_temperature", 18 + warmth), ("air_humidity", 82 - 2.2 * warmth)):
            hours[quantity].append(Hour(start_ms + at * 3_600_000, 6, mean, mean - 0.6, mean + 0.7))
    store.write_hours([Past("sg-01", "air-1", quantity, own) for quantity, own in hours.items()])
    row = {"air-1": dict.fromkeys(hours, 20.0)}
    store.commit([batch(start_ms=NOW_MS - 60_000, rows=[row], now_ms=NOW_MS)], NOW_MS)
    world = Running(folder, store)
    world.alarms = [Suspicion("zone:z01", "Nghi khói", "Smoke", "Đồi trên", "Upper hill", start_ms + 86_400_000, None)]
    day = world.shelf.today
    with world.shelf.book() as book:
        minted = mint(book, 12, "đợt 1", day, who="Tên editor (editor)", at_ms=world.clock.utc_ms())
    told = "Năm có sương muối, búp vụ xuân ra muộn hơn mười ngày.\n\nNgười hái trèo lên chạc thứ ba, không lên nữa."
    words = {"alt_vi": "Cây số 2 nhìn từ phía suối", "alt_en": "Tree 2 seen from the stream", "licence": "CC BY 4.0"}
    lan = Consent(code="c1", person="lan", what="name", given_on=day - timedelta(30), valid_to=day + timedelta(9))
    with world.shelf.act("Tên editor (editor)", "story 4TN8WJ vi") as draft:
        draft.put([replace(one, state="printed") for one in minted[:7]])
        draft.put([Person(code="lan", name="Giàng Thị Lan"), lan])
        draft.put([Story(tree="4TN8WJ", lang="vi", status="review", author="Tên editor", text=told)])
        draft.put([Photo(code="f1", tree="4TN8WJ", author="Giàng Thị Lan", consents=("c1",), **words)])
    world.staff.photos.mkdir(exist_ok=True)
    with Image.open(IMG / "tree-tablet.png") as drawn:
        face = drawn.convert("RGB").crop((100, 60, 740, 380))  # below what floats on it
    for size in SIZES:
        for ending in TYPES:
            face.resize((size, size // 2)).save(world.staff.photos / f"f1-{size}.{ending}")
    yield world
    world.close()
    store.close()


def signed_in(seen: Seen, site: Running, role: str) -> Page:
    cookie = {"name": site.staff.cookie("session"), "value": site.accounts.sign_in(role, "Chrome"), "url": site.url}
    seen.page.context.add_cookies([cookie])
    return seen.page


def pictured(page: Page, tmp_path: Path, name: str) -> None:
    page.screenshot(path=Path(os.environ.get("GOCCHE_IMG") or tmp_path) / f"staff-{name}.png", full_page=True)


def test_first_morning_of_an_administrator(browser: Browser, site: Running, tmp_path: Path) -> None:
    link = f"/moi/{site.accounts.invite('chu', 'Chủ vườn', 'admin')}"
    with Seen(browser, site, PHONE, device_scale_factor=2) as seen:
        page = seen.go(link)
        page.fill("#password", PASSWORD)
        page.fill("#again", PASSWORD)
        page.get_by_role("button", name="Bắt đầu").click()
        assert page.inner_text("h1") == "Hôm nay"
        assert "Đất khô" in page.inner_text("main")
        assert "đứng yên" in page.inner_text("main")
        pictured(page, tmp_path, "today-phone")

        # a tree, a slip of the keyboard, and the sentence beside it
        page.get_by_role("link", name="Sổ vườn", exact=True).click()
        page.get_by_role("link", name="Cây 5").click()
        page.fill("#q", "cay mau so 1")
        page.get_by_role("button", name="Tìm").click()
        page.get_by_role("link", name="Cây mẫu số 1").click()
        page.fill("#f-girth_cm", "140,5 cm")
        page.get_by_role("button", name="Lưu").click()
        assert "không phải là số" in page.inner_text("#w-girth_cm")
        assert page.input_value("#f-girth_cm").endswith(" cm"), "what was typed is not lost"

        # meanwhile somebody else saves the same tree
        changed = next(one for one in site.shelf.rows("tree") if isinstance(one, Tree) and one.code == TREE)
        with site.shelf.act("Tên editor (editor)", f"tree {TREE}") as draft:
            draft.put([replace(changed, alt_m=1353.0)])

        page.fill("#f-girth_cm", "140,5")
        page.get_by_role("button", name="Lưu").click()
        assert "có người khác vừa sửa" in page.inner_text("[role=alert]")
        assert "Trong sổ bây giờ: 1353" in page.inner_text("main")
        page.fill("#f-alt_m", "1353")
        page.get_by_role("button", name="Lưu").click()
        assert "Đã lưu" in page.inner_text("[role=status]")

        # what was done is taken back
        page.get_by_role("link", name="sửa gì").click()
        assert "140.5" in page.inner_text("main")
        page.get_by_role("button", name="Lấy lại việc này").click()
        assert "Đã lấy lại việc" in page.inner_text("[role=status]")

        # out
        page.get_by_role("button", name="Đăng xuất").click()
        assert page.inner_text("h1") == "Đăng nhập"
        page.fill("#who", "chu")
        page.fill("#password", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{site.url}/")
        assert page.inner_text("h1") == "Hôm nay"
        assert [url for url in seen.requests if not url.startswith(site.url + "/")] == []


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_telephone_scans_the_symbol_of_the_page(
    browser: Browser, site: Running, tmp_path: Path, width: tuple[int, int]
) -> None:
    with Seen(browser, site, width, device_scale_factor=2) as seen:
        page = signed_in(seen, site, "editor")
        seen.go("/dien-thoai")
        page.fill("#count", "2")
        page.get_by_role("button", name="Mời điện thoại").click()
        pictured(page, tmp_path, "phones-invited")
        paper = page.pdf(format="A4", margin=dict.fromkeys(("top", "right", "bottom", "left"), "12mm"))
        assert len(re.findall(rb"/Type\s*/Page\b", paper)) == 2, "a sheet of paper for each telephone"
        setups = []
        for number in range(2):
            page.locator(".qr").nth(number).screenshot(path=tmp_path / "qr.png")
            (found,) = zxingcpp.read_barcodes(Image.open(tmp_path / "qr.png"))
            setups.append(json.loads(found.text))
        assert len({one["mqtt_client"] for one in setups}) == 2
        assert setups[0]["mqtt_topic_prefix"] == f"v1/{setups[0]['mqtt_username']}/"
        readable(page)
        page.get_by_role("link", name="Xong").click()
        assert setups[0]["mqtt_password"] not in page.content()
        page.get_by_role("button", name=f"Huỷ {setups[0]['mqtt_username']}").click()
        assert "Đã huỷ" in page.inner_text("[role=status]")
        assert [url for url in seen.requests if not url.startswith(site.url + "/")] == []


def test_a_file_is_chosen_tried_and_written(browser: Browser, site: Running, tmp_path: Path) -> None:
    file = tmp_path / "devices.csv"
    file.write_text("code,model,bought_on\nd1,SN-3002,\nd2,x,31/12/2025\n", "utf-8")
    with Seen(browser, site, PHONE) as seen:
        page = signed_in(seen, site, "editor")
        seen.go("/nhap")
        page.set_input_files("#file", file)
        page.get_by_role("button", name="Thử").click()
        assert "năm-tháng-ngày" in page.inner_text("main")
        pictured(page, tmp_path, "import-phone")
        readable(page)
        page.get_by_role("button", name="Ghi 1 dòng đúng").click()
        assert "Đã ghi devices.csv" in page.inner_text("[role=status]")
        assert len(site.shelf.rows("device")) == 1


def test_a_sensor_rests_while_it_is_cleaned(browser: Browser, site: Running, tmp_path: Path) -> None:
    with Seen(browser, site, PHONE, device_scale_factor=2) as seen:
        page = signed_in(seen, site, "editor")
        seen.go("/")
        page.get_by_role("link", name="Bảo trì").click()
        page.get_by_label("sg-01/smoke-1").check()
        page.get_by_label("Trong bao lâu").select_option("30")
        pictured(page, tmp_path, "maintenance-phone")
        page.get_by_role("button", name="Đặt bảo trì").click()
        assert "Đợi 5 giây" in page.inner_text("[role=status]")
        assert "sg-01/smoke-1 · lau chùi" in page.inner_text("main")
        pictured(page, tmp_path, "maintenance-runs-phone")
        page.get_by_role("button", name="Xong rồi").click()
        assert "sg-01/smoke-1 lại đo và lại báo" in page.inner_text("[role=status]")


@pytest.mark.parametrize("path", SCREENS)
def test_everybody_can_read_every_screen(browser: Browser, site: Running, path: str) -> None:
    with Seen(browser, site, PHONE, java_script_enabled=True) as seen:
        page = signed_in(seen, site, "admin")
        seen.go(path, "networkidle")
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        readable(page)
        assert [url for url in seen.requests if not url.startswith(site.url + "/")] == []
        assert [words for words in seen.complaints if "404" not in words and "[DOM]" not in words] == []


@pytest.mark.parametrize("path", ["/dang-nhap", "/dang-nhap?lang=en"])
def test_everybody_can_read_what_stands_before_the_door(browser: Browser, site: Running, path: str) -> None:
    with Seen(browser, site, PHONE) as seen:
        page = seen.go(path)
        readable(page)
        assert page.evaluate("document.documentElement.lang") == ("en" if "en" in path.partition("?")[2] else "vi")


def test_a_desk_shows_the_same_in_two_columns(browser: Browser, site: Running, tmp_path: Path) -> None:
    with Seen(browser, site, DESK) as seen:
        page = signed_in(seen, site, "admin")
        seen.go("/")
        pictured(page, tmp_path, "today-desktop")
        seen.go(f"/bang/trees/dong?k={TREE}")
        pictured(page, tmp_path, "tree-desktop")
        left, right = (page.locator(f"#f-{name}").bounding_box() for name in ("name_vi", "name_en"))
        assert left
        assert right
        assert left["y"] == right["y"] or left["x"] == right["x"]


@pytest.mark.parametrize(("name", "size"), [("phone", PHONE), ("tablet", TABLET), ("desktop", DESK)])
def test_pictures_of_the_screens(
    browser: Browser, busy: Running, tmp_path: Path, name: str, size: tuple[int, int]
) -> None:
    with Seen(browser, busy, size) as seen:
        seen.go("/dang-nhap")
        pictured(seen.page, tmp_path, f"door-{name}")
        page = signed_in(seen, busy, "admin")
        for shown, path in PICTURES.items():
            seen.go(path, "networkidle")
            page.wait_for_selector(WAITED_FOR.get(shown, "h1"))
            assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
            assert page.inner_text("h1")
            if shown == "report":  # nothing to scroll sideways to, no name of a sensor in two pieces
                assert page.locator("main .scroll").count() == 0
                heights = page.locator(".at-once").evaluate_all("all => all.map(one => one.getClientRects()[0].height)")
                assert heights
                assert max(heights) < 36
            pictured(page, tmp_path, f"{shown}-{name}")
        assert [words for words in seen.complaints if "404" not in words] == []


@pytest.mark.parametrize(("name", "size"), [("phone", PHONE), ("tablet", TABLET), ("desktop", DESK)])
def test_pictures_of_what_is_refused_and_what_fails(
    browser: Browser, busy: Running, tmp_path: Path, name: str, size: tuple[int, int]
) -> None:
    registry, aside, today = busy.folder / "registry.db", busy.folder / "aside.db", busy.today
    with Seen(browser, busy, size) as seen:
        page = signed_in(seen, busy, "viewer")

        def shown(path: str, status: int, picture: str) -> None:
            answer = page.goto(busy.url + path)
            assert answer
            assert answer.status == status
            pictured(page, tmp_path, f"{picture}-{name}")
            if size == PHONE:
                readable(page)
                page.emulate_media(color_scheme="light")
                page.set_viewport_size({"width": size[0], "height": size[1]})

        shown("/bang/people", 403, "forbidden")
        busy.today = object()  # what no screen can show
        shown("/", 500, "broken")
        busy.today = today
        busy.shelf.close()
        registry.rename(aside)
        shown("/bang", 503, "not-yet")
        busy.shelf.close()
        aside.rename(registry)

        signed_in(seen, busy, "editor")  # a row that cannot stand is shown as it was typed, with why
        seen.go(f"/bang/trees/dong?k={TREE}")
        page.fill("#f-girth_cm", "1.405")
        with page.expect_response(lambda answer: answer.request.method == "POST") as answered:
            page.get_by_role("button", name="Lưu").click()
        assert answered.value.status == 422
        page.wait_for_selector("#w-girth_cm")
        pictured(page, tmp_path, f"fault-{name}")
