"""Pages of coverage: map and table say the same, three kinds of nothing differ, a book that fails is said."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import brotli
import h3.api.basic_int as h3
import msgspec
import pytest

from cloud.coverage import shelf
from cloud.coverage.around import Around, around, change, near, states
from cloud.coverage.book import Book
from cloud.coverage.file import File
from cloud.coverage.hamlets import Coverage
from cloud.coverage.into.phone import Door
from cloud.coverage.scale import Scale
from cloud.coverage.seam import STATES, Judged
from cloud.coverage.sheets import Sheets
from cloud.pages import still
from cloud.pages.app import build
from cloud.pages.coverage_map import CLASSES, Frame, Place, chart, patterns
from cloud.pages.surveyed import Surveyed
from cloud.pages.views import Asked, View, view_of
from cloud.pages.words import LANGS, catalogue
from cloud.registry import Registry
from tests import sentinels, surveys
from tests.test_hexes import inside, read
from tests.visitors import ALL, NOW_MS, Visitor, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAP_MOST, PAGE_MOST = 10_000, 14_000  # bytes, Brotli as proxies make it
BROTLI = 5


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return surveys.surveyed(tmp_path_factory.mktemp("book") / "coverage.db", NOW_MS)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.tell(ALL)
    yield made
    made.store.close()


def client(world: World, path: Path | None, **changed: Any) -> Visitor:
    return Visitor(build(world.garden(surveyed=path, **changed)))


def text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", html.partition("<main")[2]))


def picture(html: str) -> str:
    found = re.search(r'<div class="hexes">(<svg.*?</svg>)', html, re.DOTALL)
    assert found is not None
    return found[1]


# --- the map


def test_a_district_weighs_what_a_bad_telephone_can_load(world: World, tmp_path: Path) -> None:
    """All 1,775 cells measured: of ground that is hilly, and of classes drawn by lot, the worst there is."""
    for lot in (False, True):
        path = tmp_path / f"{lot}.db"
        cells = surveys.judged(8, NOW_MS)
        if lot:
            cells = [msgspec.structs.replace(one, state=CLASSES[one.cell // 7 % 6]) for one in cells]
        surveys.put(path, ("phone", 0, 0, 8, NOW_MS, cells))
        surveys.put(path, ("phone", 0, 0, 9, NOW_MS, surveys.judged(9, NOW_MS)))
        html = client(world, path).get("/phu-song").text
        sizes = [len(brotli.compress(part.encode(), quality=BROTLI)) for part in (picture(html), html)]
        print(f"{len(cells)} cells{' by lot' if lot else ''}: map {sizes[0]:,} B, page {sizes[1]:,} B of Brotli")
        assert sizes[0] <= MAP_MOST
        assert sizes[1] <= PAGE_MOST + (2_000 if lot else 0)


def test_each_cell_is_drawn_in_its_class_and_in_no_other() -> None:
    cells = surveys.judged(8, NOW_MS, share=0.7)
    classes: dict[str, list[int]] = {}
    for one in cells:
        classes.setdefault(one.state, []).append(one.cell)
    frame = Frame([one.cell for one in cells], surveys.HAMLETS, 4_000)
    body = str(chart(frame, classes, [Place(f"Thôn {n} <b>", at) for n, at in enumerate(surveys.HAMLETS)]).body)
    paths = {kind: read(d) for kind, d in re.findall(r'<path fill="url\(#c-(\w+)\)" d="([^"]+)"/>', body)}
    assert set(paths) == set(classes) - {"unmeasured"}
    for one in cells:
        x, y = frame.at(h3.cell_to_latlng(one.cell))
        assert 0 < x < 1000
        assert 0 < y < frame.height
        assert [kind for kind, rings in paths.items() if inside(rings, x, y)] == [
            kind for kind in [one.state] if kind != "unmeasured"
        ]
    assert "Thôn 0 &lt;b&gt;" in body


def test_classes_differ_by_pattern_too() -> None:
    made = {
        kind: re.sub(r'(?:fill|stroke)="#\w+"', "", inner)
        for kind, inner in re.findall(r'<pattern id="c-(\w+)"[^>]*>(.*?)</pattern>', str(patterns()))
    }
    assert set(made) == set(STATES)
    assert len(set(made.values())) == len(STATES), "without colours they are still seven"


def test_a_cell_of_another_province_widens_no_map_and_is_counted(world: World, tmp_path: Path) -> None:
    hanoi = Judged(h3.latlng_to_cell(21.03, 105.85, 8), "good", 5, 1, NOW_MS)
    near_it = surveys.judged(8, NOW_MS)
    surveys.put(tmp_path / "c.db", ("phone", 0, 0, 8, NOW_MS, [*near_it, hanoi]))
    page = client(world, tmp_path / "c.db").get("/phu-song?lang=en")
    drawn = client(world, tmp_path / "c.db").get("/phu-song.json").json()["map"]
    measured = sum(one.state != "unmeasured" for one in near_it)
    assert sum(drawn["cells"].values()) + drawn["left_out"] == measured + 1
    assert f"far from the hamlets, not drawn here: {drawn['left_out']};" in text(page.text)
    assert drawn["left_out"] < measured / 10


# --- the table


def test_the_table_says_what_the_map_says(world: World, book: Path) -> None:
    asked = client(world, book)
    page, told = asked.get("/phu-song").text, asked.get("/phu-song.json").json()
    own = told["hamlets"][0]
    assert own["name"] == "Háng Tày"
    cells = {one.cell: one for one in surveys.judged(9, NOW_MS, share=0.8, seed=9)}
    around_it = [cells.get(cell) for cell in near(*surveys.HAMLETS[0], 1_000, 9)]
    states_of = [one.state if one else "unmeasured" for one in around_it]
    assert own["cells"]["covered"] == sum(one in {"good", "fair", "weak", "served"} for one in states_of) > 0
    assert own["cells"]["uncovered"] == states_of.count("none")
    assert own["cells"]["unmeasured"] == states_of.count("unmeasured") > 0
    row = text(page)[text(page).index("Từng thôn") :]
    for key in ("covered", "uncovered", "unmeasured"):
        assert catalogue("vi")[f"coverage.n_{key}"].format(n=own["cells"][key], what="sóng") in row
    assert "không quá 1.000 m" in row, "whose cells these are is said"


@pytest.mark.parametrize("lang", LANGS)
def test_no_signal_no_data_and_not_measured_are_three_things(world: World, book: Path, lang: str) -> None:
    words = catalogue(lang)
    three = [words[f"signal.{state}"] for state in ("none", "stale", "unmeasured")]
    assert len(set(three)) == 3
    page = client(world, book).get(f"/phu-song?lang={lang}").text
    for state in ("none", "stale", "unmeasured"):
        assert words[f"means.{state}"] in page
    world.latest.filled = True
    world.clock.now_ms += 3_600_000
    late = client(world, book).get(f"/phu-song/h01?lang={lang}").text
    assert words["signal.stale"] in late
    assert words["signal.none"] not in late.partition("<h2 id")[0]
    other = client(world, book).get(f"/phu-song/h03?lang={lang}").text.partition("<h2 id")[0]
    assert words["signal.unmeasured"] in other
    assert words["coverage.no_modem"] in other


def test_since_when_a_cell_is_without_signal(world: World, tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    cell = h3.latlng_to_cell(*surveys.HAMLETS[1], 9)
    for month, state in ((0, "none"), (202611, "none"), (202609, "none"), (202610, "uncertain"), (202608, "good")):
        surveys.put(path, ("phone", 0, month, 9, NOW_MS, [Judged(cell, state, 9, 2, NOW_MS - 86_400_000)]))
        surveys.put(path, ("phone", 0, month, 8, NOW_MS, []))
    asked = client(world, path)
    assert "1 without signal since Sep 2026 or longer" in text(asked.get("/phu-song?lang=en").text)
    told = {one["code"]: one["cells"] for one in asked.get("/phu-song.json").json()["hamlets"]}
    assert (told["h02"]["uncovered"], told["h02"]["uncovered_since"]) == (1, "2026-09")
    assert (told["h01"]["uncovered"], told["h01"]["last_measured"]) == (0, None)


def test_cells_around_a_place() -> None:
    at = surveys.HAMLETS[0]
    for res, radius_m in ((8, 2_000), (9, 1_000), (9, 3_000)):
        own = near(*at, radius_m, res)
        every = h3.grid_disk(h3.latlng_to_cell(*at, res), 30)
        within = {one for one in every if h3.great_circle_distance(h3.cell_to_latlng(one), at, "m") <= radius_m}
        assert set(own) == within
    assert near(*at, 1.0, 8) == [h3.latlng_to_cell(*at, 8)]
    own = near(*at, 1_000, 9)
    cells = {own[0]: Judged(own[0], "none", 4, 1, 7), own[1]: Judged(own[1], "unmeasured", 2, 1, 9)}
    assert around(own, cells) == Around(0, 1, 0, len(own) - 1, last_ms=9)


def test_what_changed_between_two_months() -> None:
    before = states(Judged(n, state, 3, 1, 1) for n, state in enumerate(("none", "good", "weak", "uncertain", "none")))
    after = states(Judged(n, state, 3, 1, 1) for n, state in enumerate(("fair", "none", "served", "none")))
    told = change(before, after)
    assert (told.gained, told.lost, told.found, told.gone) == (1, 1, 1, 1)


def test_a_registry_without_hamlets_has_a_map_and_sheets_without_cells_have_words(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "c.db"
    for cells in ([], [Judged(surveys.ground(8)[0], "unmeasured", 2, 1, NOW_MS)], surveys.judged(8, NOW_MS)):
        for month in (0, 202610, 202611):
            surveys.put(path, ("phone", 0, month, 8, NOW_MS, cells))
        for hamlets in (world.registry, Registry(world.registry._records | {"hamlet": []})):
            asked = client(
                world, path, current=hamlets, coverage=Coverage(hamlets, world.latest, world.store, world.clock)
            )
            for page in ("/phu-song", "/phu-song/thang", "/phu-song.json"):
                answer = asked.get(page)
                assert answer.status_code == 200
                assert catalogue("vi")["coverage.away"] not in answer.text, page
            drawn = 'class="hexes"' in asked.get("/phu-song").text
            assert drawn == (len(cells) > 1)
    assert "stumbled" not in caplog.text


def test_views_that_are_none_push_none_out(world: World, book: Path) -> None:
    """Whoever asks for a thousand networks that nobody has makes no map be drawn again."""
    surveyed = Surveyed(book, StandingCurrent(world.registry), world.clock)
    first = surveyed.ask(Asked(View()))
    for plmn in range(1, 1_000):
        assert surveyed.ask(Asked(View("phone", plmn))).drawn is None
    assert surveyed.ask(Asked(View())) is first


class StandingCurrent:
    def __init__(self, now: Registry) -> None:
        self.now = now


# --- layers, networks, months


@pytest.mark.journey  # seconds of a core
def test_every_view_that_is_linked_is_there_in_both_languages(world: World, book: Path) -> None:
    asked = client(world, book)
    left, seen = ["/phu-song", "/phu-song?lang=en"], set()
    while left:
        path = left.pop()
        seen.add(path)
        answer = asked.get(path)
        assert answer.status_code == 200, path
        links = re.findall(r'href="(/phu-song[^"#.]*(?:\.\d+)*[^"#]*)"', answer.text)
        left += [link for link in dict.fromkeys(links) if link not in seen and link not in left]
    for path in (
        "/phu-song/lop/5g",
        "/phu-song/lop/phone.452004.202609",
        "/phu-song/h02/5g?lang=en",
        "/phu-song/thang",
    ):
        assert path in seen
    assert len(seen) > 60


@pytest.mark.parametrize(
    "path",
    ["lop/6g", "lop/phone.99999", "lop/phone.0.0", "lop/phone.0452004", "lop/5g.0.202613", "lop/5g.452004.203001",
     "h99", "h01/5g.1.2.3", "thang/5g.0.202609", "lop/phone.٤٥٢٠٤", "lop/phone.1e3"],
)  # fmt: skip
def test_what_is_no_view_is_not_there(world: World, book: Path, path: str) -> None:
    assert client(world, book).get(f"/phu-song/{path}").status_code == 404


def test_a_view_has_one_address() -> None:
    for view in (View(), View("5g"), View("phone", 452004), View("5g", 0, 202609), View("phone", 452001, 202611)):
        assert view_of(view.name) == view
    assert view_of("phone.0") is None


def test_paper_says_which_view_it_is(world: World, book: Path) -> None:
    asked = client(world, book)
    for path in ("/phu-song", "/phu-song/lop/5g.452004.202609", "/phu-song/h01/5g", "/phu-song/thang/phone.452004"):
        assert f"· https://goc.example.org{path}</p>" in asked.get(path).text


def test_months_stand_side_by_side_with_what_changed(world: World, book: Path) -> None:
    page = client(world, book).get("/phu-song/thang?lang=en").text
    assert re.findall(r"<h3>(\w+ 2026)</h3>", page) == ["Sep 2026", "Oct 2026", "Nov 2026"]
    assert len(re.findall(r'<svg viewBox="0 0 1000 (\d+)" role', page)) == 3
    assert len(set(re.findall(r'<svg viewBox="0 0 1000 (\d+)" role', page))) == 1, "in one frame"
    linked = set(re.findall(r'href="(/phu-song/lop/phone\.0\.\d+)', page))
    assert linked == {f"/phu-song/lop/phone.0.{month}" for month in surveys.MONTHS}, "each month can be looked at"
    assert '<th scope="col">Cells</th>' not in page, "of which of the months would it count?"
    changed = r"Cells compared with (Sep|Oct) 2026: <b>\d+ gained signal</b>, <b>\d+ lost signal"
    assert len(re.findall(changed, page)) == 2
    assert len(brotli.compress(page.encode(), quality=BROTLI)) <= 20_000


@pytest.mark.parametrize("lang", LANGS)
def test_what_was_invented_says_so_on_every_page(world: World, tmp_path: Path, lang: str) -> None:
    path = surveys.surveyed(tmp_path / "c.db", NOW_MS, networks=(0,), months=(202610, 202611))
    pages = ("/phu-song", "/phu-song/h01", "/phu-song/thang", "/phu-song/lop/5g")
    words = catalogue(lang)["coverage.invented"]
    assert not [page for page in pages if words in client(world, path).get(f"{page}?lang={lang}").text]
    book = File(path)
    book.keep(shelf.INVENTED, "yes")
    book.close()
    assert not [page for page in pages if words not in client(world, path).get(f"{page}?lang={lang}").text]


@pytest.mark.parametrize(("lang", "said"), [("vi", "không có 5G"), ("en", "without 5G")])
def test_where_there_is_no_5g_there_may_well_be_signal(world: World, book: Path, lang: str, said: str) -> None:
    """The layer of 5G calls no cell one without signal: people would take that for a dead zone."""
    asked = client(world, book)
    assert said in asked.get(f"/phu-song/h01/5g?lang={lang}").text
    for path in ("h01/5g", "lop/5g", "thang/5g"):
        page = text(asked.get(f"/phu-song/{path}?lang={lang}").text.partition("<h3")[0])
        for words in ("ô không có sóng", "without signal", "gained signal", "thêm sóng", "mất sóng"):
            assert words not in page, (path, words)


def test_limits_stand_on_the_page_as_they_are_set(world: World, book: Path) -> None:
    page = client(world, book).get("/phu-song").text
    assert "−95 dBm" in page
    assert "Nguồn: " in page
    other = client(world, book, scale=msgspec.structs.replace(world.garden().scale, lte_good_dbm=-85)).get("/phu-song")
    assert "−85 dBm" in other.text


# --- a book that is not well


def test_without_a_book_the_table_of_modems_is_there(world: World, tmp_path: Path) -> None:
    for path in (None, tmp_path / "none.db"):
        asked = client(world, path)
        for page in ("/phu-song", "/phu-song/h01", "/phu-song/thang"):
            answer = asked.get(page)
            assert answer.status_code == 200
            assert catalogue("vi")["coverage.not_surveyed"] in answer.text
        assert "Háng Tày" in asked.get("/phu-song").text
        assert asked.get("/phu-song.json").json()["map"] is None


def damaged(path: Path) -> None:
    path.write_bytes(b"nothing of SQLite's" * 500)


def page_damaged(path: Path) -> None:
    with path.open("r+b") as file:
        size = path.stat().st_size
        for at in range(4_096 * 4, size, 4_096):
            file.seek(at)
            file.write(b"\xff" * 600)


def newer(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


def cells_damaged(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE sheet SET cells = ?", (msgspec.msgpack.encode([[1, "good", "many", 2, 3]]),))
    db.close()


def cells_of_nowhere(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("UPDATE sheet SET cells = ?", (msgspec.msgpack.encode([Judged(12345, "good", 5, 2, 3)]),))
    db.close()


def no_tables(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE sheet")
    db.close()


@pytest.mark.parametrize("ill", [damaged, page_damaged, newer, cells_damaged, cells_of_nowhere, no_tables])
def test_a_book_that_cannot_be_read_is_said_and_the_table_stays(
    world: World, tmp_path: Path, ill: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = surveys.surveyed(tmp_path / "coverage.db", NOW_MS, networks=(0,), months=(202611,))
    ill(path)
    asked = client(world, path)
    for page in ("/phu-song", "/phu-song/h01", "/phu-song/thang"):
        answer = asked.get(page)
        assert answer.status_code == 200
        assert catalogue("vi")["coverage.away"] in answer.text, page
        assert catalogue("vi")["coverage.not_surveyed"] not in answer.text
    assert "Háng Tày" in asked.get("/phu-song").text
    assert asked.get("/phu-song.json").json()["maps"] is None
    assert "stumbled" not in caplog.text, "it was foreseen"


def test_a_book_that_is_held_is_waited_for_a_moment_and_what_was_known_is_shown(world: World, tmp_path: Path) -> None:
    path = surveys.surveyed(tmp_path / "coverage.db", NOW_MS, networks=(0,), months=(202611,))
    asked = client(world, path, patience_s=5.0)
    assert 'class="hexes"' in asked.get("/phu-song").text
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("PRAGMA journal_mode = DELETE")
    holder.execute("BEGIN EXCLUSIVE")
    try:
        world.clock.now_ms += 600_000
        late = asked.get("/phu-song").text
        assert 'class="hexes"' in late
        assert "Bản đồ này đọc 10 phút trước" in text(late)
        assert catalogue("vi")["coverage.away"] in client(world, path, patience_s=5.0).get("/phu-song").text
    finally:
        holder.close()


def test_a_book_that_is_written_meanwhile_is_read_whole(world: World, tmp_path: Path) -> None:
    """Each sheet is of one writing: its cells have all one class, whichever that is."""
    path, seen_all, failed = tmp_path / "coverage.db", threading.Event(), []
    cells = surveys.judged(8, NOW_MS)
    kinds = [[msgspec.structs.replace(one, state=kind) for one in cells] for kind in ("good", "none")]
    surveys.put(path, ("phone", 0, 0, 8, NOW_MS, kinds[0]))

    def write() -> None:
        for made_ms in range(1, 2_000):
            surveys.put(path, ("phone", 0, 0, 8, NOW_MS + made_ms, kinds[made_ms % 2]))
            if seen_all.is_set():
                return

    writer = threading.Thread(target=write)
    writer.start()
    asked = client(world, path)
    seen: Counter[str] = Counter()
    while writer.is_alive():
        world.clock.now_ms += 61_000
        answer = asked.get("/phu-song.json").json()["map"]
        failed += [answer] if answer is None or len(answer["cells"]) != 1 else []
        seen.update(answer["cells"] if answer else ())
        if min(seen["good"], seen["none"]) > len(cells) * 3:
            seen_all.set()
    writer.join()
    assert failed == []
    assert seen_all.is_set()


def test_no_identity_of_a_telephone_is_on_any_page(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """From the messages of a telephone that carry all of them, by the door, the book and the judge to each page."""
    folder = tmp_path / "data"
    folder.mkdir()
    world.clock.now_ms = sentinels.NOW_MS
    door, book = Door(), Book(folder / "coverage.db")
    lat, lon = surveys.HAMLETS[0]
    told = []
    for n in range(40):
        time = f"2026-11-27T10:{n:02}:30.123+07:00"
        here = {"latitude": lat + n * 2e-4, "longitude": lon, "deviceTime": time, "groupNumber": n}
        record = sentinels.message("LteRecord", **(sentinels.LTE | here))
        told += door.hear("hang-tay", sentinels.STREAM["LteRecord"], record, sentinels.NOW_MS)
    told += door.rest(sentinels.NOW_MS)
    assert len(told) == 40, door.counted
    book.put(told, sentinels.NOW_MS)
    sheets = Sheets(book, Scale())
    while sheets.make(surveys.HAMLETS, sentinels.NOW_MS):
        pass
    book.close()
    asked = client(world, folder / "coverage.db")
    paths = ["/phu-song", "/phu-song/h01", "/phu-song/thang", "/phu-song.json", "/phu-song.geojson", "/phu-song.csv"]
    pages = [asked.get(path) for path in (*paths, "/phu-song/lop/phone.452004", "/phu-song/h01?lang=en")]
    assert [page.status_code for page in pages] == [200] * len(pages)
    assert "Viettel" in pages[1].text
    assert sum(pages[3].json()["map"]["cells"].values()) > 0
    assert sentinels.leaks(folder, caplog.text, *(page.content for page in pages)) == []
    assert not [page for page in pages if b"hang-tay" in page.content], "no map says which team walked there"


# --- the pages as files


@pytest.mark.journey  # seconds of a core
def test_an_export_has_every_view(world: World, book: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    asyncio.run(still.export(build(world.garden(surveyed=book, still=True)), world.registry, out))
    for name in ("phu-song.html", "phu-song.en.html", "phu-song/h01.html", "phu-song/h01/5g.en.html",
                 "phu-song/thang.html", "phu-song/lop/5g.452004.202609.html"):  # fmt: skip
        assert (out / name).stat().st_size > 0, name
    for page in [*out.glob("phu-song*.html"), *(out / "phu-song").rglob("*.html")]:
        main = page.read_text("utf-8").partition("<main")[2]
        assert "phút trước" not in main
        assert "days ago" not in main
