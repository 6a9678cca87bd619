"""The public pages: the same honest figure on the page, in its JSON and in memory, in two languages, on any day."""

from __future__ import annotations

import gzip
import io
import json
import re
import threading
import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from random import Random
from string import Formatter
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from PIL import Image
from starlette.routing import Route

from cloud.clock import hanoi
from cloud.coverage.hamlets import Coverage
from cloud.pages.app import build, site
from cloud.pages.lots import is_gtin
from cloud.pages.past import midnight_ms
from cloud.pages.plan import nearest, public
from cloud.pages.readings import metres
from cloud.pages.words import LANGS, Speaker, catalogue, choose, iso
from cloud.registry import Registry, codes
from cloud.registry.cells import Text
from cloud.registry.fire import OfficialLevel
from cloud.registry.kinds import (
    KINDS,
    Calibration,
    Consent,
    DangerTable,
    Device,
    Gateway,
    Maintenance,
    Person,
    Photo,
    Story,
    Tag,
    Voice,
)
from cloud.registry.map import distance_m
from cloud.registry.rows import columns
from cloud.registry.transfer import load
from cloud.store import Hour, Past, Retry
from cloud.stream.latest import Latest
from tests import build as made_of
from tests.visitors import ALL, BARE, GARDEN, GNSS, MODEM, NOW_MS, SMOKE, TREE, Incident, Visitor, World
from wire.batch import Source
from wire.quantities import QUANTITIES
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY_S, DAY_MS = 86_400, 86_400_000
AGES = {"live": 60, "late": 3_600, "old": 30 * 3_600}
TEMPLATES = GARDEN.parents[1] / "cloud" / "pages" / "templates"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


def client(world: World, **changed: Any) -> Visitor:
    return Visitor(build(world.garden(**changed)))


class _Text(HTMLParser):
    """The words of a page, with what stands inside each `<li>` kept together."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[str] = []
        self.all: list[str] = []
        self._open = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "li":
            self._open += 1
            self.items.append("")

    def handle_endtag(self, tag: str) -> None:
        self._open -= tag == "li"

    def handle_data(self, data: str) -> None:
        self.all.append(data)
        if self._open:
            self.items[-1] += data


def words_of(html: str) -> _Text:
    parser = _Text()
    parser.feed(html)
    return parser


SCRIPT = f"<script>{(TEMPLATES / 'page.js').read_text('utf-8')}</script>"


def without_ours(html: str) -> str:
    """Return a page without its one script and what it tells search engines: no other script may be left."""
    return re.sub(r'<script type="application/ld\+json">[^<]*</script>', "", html.replace(SCRIPT, ""))


def squeezed(text: str) -> str:
    return " ".join(text.split())


# --- the tree ---


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("state", AGES)
def test_page_json_and_memory_say_the_same(world: World, lang: str, state: str) -> None:
    world.tell(ALL, age_s=AGES[state])
    asked = client(world)
    page = asked.get(f"/T/{TREE}?lang={lang}")
    answer = asked.get(f"/T/{TREE}.json?lang={lang}").json()
    assert page.status_code == 200
    assert answer["readings"]
    text = squeezed(" ".join(words_of(page.text).all))
    for reading in answer["readings"]:
        gateway, channel = reading["source"].split("/")
        value = world.latest.get(gateway, channel, reading["quantity"])
        assert value is not None
        assert (reading["value"], reading["quality"]) == (value.value, state)
        assert reading["time"] == ("2025-11-23T10:59:00.000+07:00" if state == "live" else reading["time"])
        assert f'datetime="{reading["time"]}"' in page.text
        assert reading["source"] in text
        figure = Speaker(lang, NOW_MS).figure(QUANTITIES[reading["quantity"]], reading["value"])
        assert f"{figure}{reading['unit']}".replace(" ", "") in text.replace(" ", "")
        assert reading["label"] in text


def test_the_json_of_a_tree(world: World) -> None:
    world.tell(ALL)
    answer = client(world).get(f"/T/{TREE}.json").json()
    assert answer["code"] == TREE
    assert answer["name"] == "Cây mẫu số 1"
    assert answer["age"] == {"low": 250, "high": 350, "method": "điều tra của hợp tác xã (ước tính)"}
    assert (answer["lat"], answer["lon"], answer["alt_m"]) == (21.6201, 104.5795, 1352)
    assert answer["zone"]["code"] == "z01"
    assert answer["story"].startswith("Đây là câu chuyện mẫu")
    moisture = answer["readings"][0]
    assert moisture == {
        "quantity": "soil_moisture",
        "label": "Độ ẩm đất",
        "value": 31.27,
        "unit": "%",
        "time": "2025-11-23T10:59:00.000+07:00",
        "time_certain": True,
        "source": "sg-01/soil-1",
        "measured": "tree",
        "distance_m": 2,
        "quality": "live",
        "height_m": None,
        "calibrated": None,
        "newest_poll": None,
    }


@pytest.mark.parametrize(
    "written",
    [TREE, TREE.lower(), "7K3-MQP", "7k3-mqp", codes.shown(TREE)],
    ids=["tag", "lower", "dash", "both", "shown"],
)
@pytest.mark.parametrize("door", ["/T", "/t"])
def test_a_code_is_found_as_people_type_it_without_a_redirect(world: World, door: str, written: str) -> None:
    asked = client(world)
    for tail in ("", ".json"):
        answer = asked.get(f"{door}/{written}{tail}", follow_redirects=False)
        assert answer.status_code == 200
    assert f'<link rel="canonical" href="https://goc.example.org/T/{TREE}">' in asked.get(f"{door}/{written}").text


def test_each_figure_says_where_it_was_measured(world: World) -> None:
    world.tell(ALL)
    page = client(world).get(f"/T/{TREE}").text
    tree, zone = world.registry.trees[TREE], world.registry.zones["z01"]
    away = round(metres(tree.lat, tree.lon, zone.lat, zone.lon))
    assert "Đo tại cây này" in page
    assert "cách gốc 2 m" in page
    assert f"cách cây khoảng {away} m – không đo ngay tại cây" in page
    distances = {row["measured"]: row["distance_m"] for row in client(world).get(f"/T/{TREE}.json").json()["readings"]}
    assert distances == {"tree": 2, "zone": away}


def test_a_degree_of_latitude_is_111_km() -> None:
    # 6,371,008.8 m · π / 180
    assert metres(21, 104, 22, 104) == pytest.approx(111_195.08, abs=0.01)
    assert metres(21, 104, 21, 104) == 0


@pytest.mark.parametrize(
    ("age_s", "quality"), [(0, "live"), (900, "live"), (901, "late"), (DAY_S, "late"), (DAY_S + 1, "old")]
)
def test_when_a_figure_stops_being_now(world: World, age_s: float, quality: str) -> None:
    world.tell({"soil-1": {"soil_moisture": 30.0}}, age_s=age_s)
    assert client(world).get(f"/T/{TREE}.json").json()["readings"][0]["quality"] == quality
    page = client(world).get(f"/T/{TREE}").text
    assert f'<section class="now {quality}"' in page
    assert f'<li class="{quality}" data-q=' in page
    assert ("đo lần cuối" in page) == (quality == "old")


def test_how_late_is_slow_for_a_slow_gateway(world: World) -> None:
    world.tell({"soil-1": {"soil_moisture": 30.0}}, age_s=3_000)
    answer = client(world, live_s=3 * 1_800).get(f"/T/{TREE}.json").json()
    assert answer["readings"][0]["quality"] == "live"


def test_one_late_sensor_is_late_beside_fresh_ones(world: World) -> None:
    world.tell({"soil-1": {"soil_moisture": 30.0}}, age_s=7_200)
    world.tell({"air-1": {"air_humidity": 80.0}}, age_s=10)
    page = client(world).get(f"/T/{TREE}").text
    assert '<section class="now live"' in page
    soil, air, *_ = words_of(page).items
    assert "muộn" in soil
    assert "2 giờ trước" in soil
    assert "chưa đầy 1 phút trước" in air


def test_a_sensor_that_fails_now_says_so_beside_its_last_value(world: World) -> None:
    world.tell({"soil-1": {"soil_moisture": 30.5}}, age_s=300)
    world.tell({"soil-1": {"soil_moisture": Reason.CHECKSUM}}, age_s=10)
    item = words_of(client(world).get(f"/T/{TREE}").text).items[0]
    assert "30,5" in item
    assert "lần đo mới nhất không có số: câu trả lời sai mã kiểm tra" in item
    assert client(world).get(f"/T/{TREE}.json").json()["readings"][0]["newest_poll"] == "câu trả lời sai mã kiểm tra"


def test_a_sensor_that_never_gave_a_value_shows_none(world: World) -> None:
    world.tell({"soil-1": {"soil_moisture": Reason.SILENCE}})
    reading = client(world).get(f"/T/{TREE}.json").json()["readings"][0]
    assert (reading["value"], reading["time"], reading["quality"]) == (None, None, "none")
    page = client(world).get(f"/T/{TREE}").text
    assert "cảm biến không trả lời" in page
    assert "Có cảm biến ở đây chưa có số đo nào." in page


def test_which_gateway_was_never_heard_is_not_for_the_world(world: World) -> None:
    asked = client(world)
    told = asked.get(f"/T/{TREE}.json")
    assert told.json()["silent"]
    for answer in (told, asked.get(f"/T/{TREE}"), asked.get(f"/T/{TREE}?lang=en")):
        assert not re.search(r"\bsg-\d", answer.text), answer.text
    assert "A sensor here has not measured anything yet." in answer.text


def test_an_uncertain_time_is_said(world: World) -> None:
    world.tell({"soil-1": {"soil_moisture": 30.5}}, source=Source.BOUNDED, uncertainty_ms=60_000)
    assert "thời điểm chưa chắc chắn" in client(world).get(f"/T/{TREE}").text
    assert client(world).get(f"/T/{TREE}.json").json()["readings"][0]["time_certain"] is False


@pytest.mark.parametrize("lang", LANGS)
def test_a_tree_without_any_sensor_is_a_page_all_the_same(world: World, lang: str) -> None:
    world.tell(ALL)
    answer = client(world).get(f"/T/{BARE}?lang={lang}")
    assert answer.status_code == 200
    assert catalogue(lang)["reading.no_sensor"] in answer.text
    assert client(world).get(f"/T/{BARE}.json").json()["readings"] == []


def test_what_is_not_trusted_or_not_the_publics_is_nowhere(world: World) -> None:
    world.tell(ALL | {"smoke-1": SMOKE | {"smoke_claim": 2, "siren": 1, "siren_button": 0}})  # a suspicion is no news
    asked = client(world)
    hidden = {"soil_nitrogen", "soil_potassium", "cell", "smoke_claim", "siren", "siren_button", *GNSS}
    assert not {row["quantity"] for row in asked.get(f"/T/{TREE}.json").json()["readings"]} & hidden
    for path in (f"/T/{TREE}", f"/T/{TREE}.json", "/phu-song", "/phu-song.json", "/"):
        text = asked.get(path).text
        assert "Đạm" not in text
        assert "Còi" not in text
        assert str(MODEM["cell"]) not in text
        assert "example.org" not in text.replace("goc.example.org", "")


def test_of_two_thermometers_the_freshest_is_seen_and_the_other_kept(world: World) -> None:
    world.tell(ALL)
    page = client(world).get(f"/T/{TREE}").text
    tiles = [item for item in words_of(page).items if "Nhiệt độ không khí" in item]
    assert len(tiles) == 1
    assert "21,4" in tiles[0]
    assert "từ sg-01/air-1, smoke-1, weather-1" in page
    assert "21,9" in page  # the weather station's, in the table of all
    world.clock.now_ms += 600_000
    world.tell({"weather-1": {"air_temperature": 17.5}}, age_s=5)
    tiles = [item for item in words_of(client(world).get(f"/T/{TREE}").text).items if "Nhiệt độ không khí" in item]
    assert "17,5" in tiles[0]


def test_the_span_of_the_last_day_comes_from_the_store(world: World) -> None:
    for hours, humidity in ((30, 10.0), (20, 61.5), (5, 97.0), (1, 80.0)):
        world.tell({"air-1": {"air_humidity": humidity}}, age_s=hours * 3_600)
    world.tell({"air-1": {"air_humidity": 81.0}})
    assert "từ 15:00: 61,5 – 97,0" in words_of(client(world).get(f"/T/{TREE}").text).items[0]


def test_24_hours_are_called_so_only_when_there_are_24_and_a_gap_is_a_gap(world: World) -> None:
    for hours in range(24, 0, -1):
        world.tell({"air-1": {"air_humidity": 60.0 + hours}}, age_s=hours * 3_600)
    world.tell({"air-1": {"air_humidity": 60.0}})
    page = client(world).get(f"/T/{TREE}").text
    assert "24 giờ: 60,0 – 84,0" in words_of(page).items[0]
    line = re.search(r'<path class="mean" d="([^"]+)"', page)
    assert line
    assert line[1].count("M") == 1
    for gap in (24, 23, 12, 11, 5):
        world.store._writer._db.execute("DELETE FROM reading WHERE hour = ?", (NOW_MS // 3_600_000 - gap,))
        world.store._writer._db.execute("DELETE FROM dirty_hour WHERE hour = ?", (NOW_MS // 3_600_000 - gap,))
    page = client(world).get(f"/T/{TREE}").text
    assert "từ 13:00: 60,0 – 82,0" in words_of(page).items[0]
    assert re.search(r'<path class="mean" d="([^"]+)"', page)[1].count("M") == 3  # type: ignore[index]


def test_the_span_of_the_last_day_never_leaves_out_what_stands_beside_it(world: World) -> None:
    world.tell({"air-1": {"air_humidity": 70.0}}, age_s=3_600)
    world.tell({"air-1": {"air_humidity": 81.0}}, age_s=5)
    asked = client(world)
    asked.get(f"/T/{TREE}")  # from here on the span is kept for some minutes
    world.clock.now_ms += 61_000
    world.tell({"air-1": {"air_humidity": 95.0}})
    assert "từ 10:00: 70,0 – 95,0" in words_of(asked.get(f"/T/{TREE}").text).items[0]


class Out:
    """A store that does not answer, until it is well."""

    def __init__(self, store: Any) -> None:
        self._store, self.asked, self.well = store, 0, False

    def hourly(self, *of: Any) -> Any:
        self.asked += 1
        return self._store.hourly(*of) if self.well else out()


def test_a_store_that_does_not_answer_costs_a_note_not_the_page(world: World) -> None:
    store = Out(world.store)
    world.tell(ALL)
    asked = client(world, store=store)
    for _ in range(3):
        answer = asked.get(f"/T/{TREE}")
        assert answer.status_code == 200
        assert catalogue("vi")["reading.store"] in answer.text
        assert "31,3" in answer.text
        assert "database is locked" not in answer.text
        world.clock.now_ms += 5_000
    assert store.asked == 2  # for its day and for its year: then it is left alone for a while
    world.clock.now_ms += 31_000
    store.well = True
    for _ in range(100):  # nobody waits for it: one of the next visitors sees what it said
        page = asked.get(f"/T/{TREE}").text
        if catalogue("vi")["reading.store"] not in page:
            break
        world.clock.now_ms += 1_000
    else:
        pytest.fail("the pages did not notice within a hundred visits that the store is well")


def test_spans_that_can_not_be_had_anew_are_shown_with_their_age(world: World) -> None:
    store = Out(world.store)
    store.well = True
    for hours, humidity in ((5, 97.0), (1, 61.5)):
        world.tell({"air-1": {"air_humidity": humidity}}, age_s=hours * 3_600)
    world.tell({"air-1": {"air_humidity": 80.0}})
    asked = client(world, store=store)
    assert "từ 06:00: 61,5 – 97,0" in asked.get(f"/T/{TREE}").text
    store.well = False
    world.clock.now_ms += 720_000
    page = asked.get(f"/T/{TREE}").text
    assert "từ 06:00: 61,5 – 97,0" in page
    assert "Thấp nhất và cao nhất của 24 giờ là tra 12 phút trước" in re.sub("<[^>]+>", "", page)


@pytest.mark.parametrize(
    ("state", "status", "words"),
    [
        ("blank", 200, "blank"),
        ("printed", 200, "blank"),
        ("retired", 200, "retired"),
        ("gone", 200, "retired"),
        ("bound", 200, None),
    ],
)
def test_a_code_that_was_minted_answers_for_ever(world: World, state: str, status: int, words: str | None) -> None:
    code = "9" + TREE[1:5]
    code += codes.check_char(code)
    if state == "gone":
        world.registry.gone = frozenset({code})
    else:
        world.registry.tags[code] = Tag(code=code, state=state, tree=TREE if state == "bound" else "")
    answer = client(world).get(f"/T/{code}")
    assert answer.status_code == status
    title = catalogue("vi")[f"missing.{words}_title"].format(code=codes.shown(code)) if words else codes.shown(TREE)
    assert title in answer.text
    for path in (f"/T/{code}.json", f"/T/{code}/history.csv", f"/T/{code}/air_temperature", f"/T/{code}/hinh.svg"):
        told = client(world).get(path)
        if words:
            assert told.status_code == status
            assert title in told.text or told.json() == {"code": code, "state": words}
    linked = client(world).get(f"/T/{code}/linkset")
    [links] = linked.json()["linkset"]
    assert (linked.status_code, linked.headers["content-type"]) == (200, "application/linkset+json")
    assert words is None or {one["title"] for one in links["https://ref.gs1.org/voc/defaultLink"]} == {title}
    staff = client(world, staff_url="https://staff.goc.che.example").get(f"/T/{code}").text
    assert (f'href="https://staff.goc.che.example/gan/{code}"' in staff) == (words == "blank")


def test_a_tree_that_is_withheld_says_so_and_nothing_of_it_leaves(world: World) -> None:
    tree = world.registry.trees[TREE]
    world.registry.trees[TREE] = msgspec.structs.replace(tree, published=False, name_vi="Cây giấu", precision=2)
    asked = client(world)
    for path in ("/", f"/T/{TREE}", f"/T/{TREE}.json", f"/T/{TREE}/linkset", f"/T/{TREE}/hinh.svg", "/canh-bao"):
        page = asked.get(path).text
        assert "Cây giấu" not in page
        assert f"{tree.lat:.4f}" not in page
    assert asked.get(f"/T/{TREE}").status_code == 200
    assert asked.get(f"/T/{TREE}.json").json() == {"code": TREE, "state": "withheld"}
    for path in (f"/T/{TREE}/air_temperature", f"/T/{TREE}/hinh.svg", f"/T/{TREE}/linkset"):
        assert "chưa được giới thiệu" in asked.get(path).text
    world.clock.now_ms += 2_000
    world.registry.trees[TREE] = msgspec.structs.replace(tree, precision=2)
    page = asked.get(f"/T/{TREE}.json").json()
    assert (page["lat"], page["lon"]) == (round(tree.lat, 2), round(tree.lon, 2))


def test_a_story_is_text_never_markup(world: World) -> None:
    evil = '<script>alert(1)</script>\n\n<img src=x onerror=alert(2)> & "quoted"'
    world.registry.stories[TREE, "vi"] = Story(tree=TREE, lang="vi", text=evil)
    world.registry.trees[TREE] = msgspec.structs.replace(world.registry.trees[TREE], name_vi="<b></script>Cây</b>")
    page = client(world).get(f"/T/{TREE}").text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script" not in without_ours(page)
    assert "<img src=x" not in page
    assert "<b>Cây" not in page
    assert "</script>Cây" not in page


def test_a_story_in_one_language_only_is_marked_as_that_language(world: World) -> None:
    del world.registry.stories[TREE, "vi"]
    page = client(world).get(f"/T/{TREE}").text
    assert '<div class="story" lang="en"><p>This is a sample story' in page
    del world.registry.stories[TREE, "en"]
    assert "Hợp tác xã chưa viết chuyện" in client(world).get(f"/T/{TREE}").text


# --- codes that are no tree ---


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize(
    ("written", "key"),
    [("00000-0", "unknown"), ("7K3MQ2", "slip"), ("<script>", "slip"), ("x" * 300, "slip"), ("%F0%9F%8D%B5", "slip")],
)
def test_an_unknown_code_is_explained(world: World, lang: str, written: str, key: str) -> None:
    answer = client(world).get(f"/T/{written}?lang={lang}")
    assert answer.status_code == 404
    said = squeezed(" ".join(words_of(answer.text).all))
    assert catalogue(lang)[f"missing.{key}_lead"].partition("{code}")[2][:60] in said
    assert "<script" not in without_ours(answer.text)
    assert len(answer.text) < 12_000
    machine = client(world).get(f"/T/{written}.json")
    assert (machine.status_code, machine.json()) == (404, {"error": "no tree carries this code"})


def test_the_box_takes_a_code_to_its_tree(world: World) -> None:
    asked = client(world)
    answer = asked.get("/?ma=7k3-mqp&lang=en", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/T/{TREE}?lang=en")
    assert asked.get("/?x=1&ma=7k3-mqp", follow_redirects=False).status_code == 303
    wrong = asked.get("/", params={"ma": '"><script>'})
    assert wrong.status_code == 200
    assert "không phải mã cây" in wrong.text
    assert "<script" not in without_ours(wrong.text)


# --- the other pages ---


def test_the_first_page_lists_the_first_of_many_trees_of_each_zone_and_says_how_many_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud.pages.app.MOST_LISTED", 2)
    zones = Counter(one.zone for one in world.registry.trees.values() if one.published)
    assert len(zones) == 2
    page = client(world).get("/?lang=en").text
    assert page.count('<li><a href="/T/') == 2
    assert [int(n) for n in re.findall(r"This zone has (\d+) more", page)] == [n - 1 for n in zones.values() if n > 1]


@pytest.mark.parametrize("lang", LANGS)
def test_the_index_links_every_tree(world: World, lang: str) -> None:
    page = client(world).get(f"/?lang={lang}").text
    for code in world.registry.trees:
        assert f'href="/T/{code}?lang={lang}"' in page


@pytest.mark.parametrize("lang", LANGS)
def test_coverage_tells_weak_none_stale_and_not_measured_apart(world: World, lang: str) -> None:
    seen = {}
    for state, modem in {
        "weak": {"registration": 1, "radio": 3, "lte_rsrp": -118.0},
        "none": {"registration": 2},
        "stale": {"registration": Reason.SILENCE},
    }.items():
        world.clock.now_ms += 1_000_000
        world.tell({"modem-hang-tay": modem}, age_s=5)
        page = client(world).get(f"/phu-song?lang={lang}").text
        row = page[page.index("Háng Tày") : page.index("Kể Cả")]
        assert catalogue(lang)[f"signal.{state}"] in row
        seen[state] = re.findall(r"<svg.*?</svg>", row, re.DOTALL)[0]
        assert f"signal.{state}" not in page
        last = page[page.index("Pú Vá") :]
        assert catalogue(lang)["signal.unmeasured"] in last
        seen["unmeasured"] = re.findall(r"<svg.*?</svg>", last, re.DOTALL)[0]
    assert len(set(seen.values())) == 4  # by symbol too, not by colour alone
    assert "Lào Cai" in page
    assert "Yên Bái" not in page


def test_coverage_says_when_there_was_signal_last(world: World) -> None:
    world.tell({"modem-hang-tay": MODEM}, age_s=2 * DAY_S)
    world.tell({"modem-hang-tay": {"registration": 2}})
    page = client(world).get("/phu-song").text
    assert '<time datetime="2025-11-21T11:00:00.000+07:00">11:00, 21/11</time>' in page
    assert "2 ngày trước" in page
    assert "đang tìm sóng" in page
    first = client(world).get("/phu-song.json").json()["hamlets"][0]
    assert (first["state"], first["last_service"]) == ("none", "2025-11-21T11:00:00.000+07:00")


def out(*_: object) -> Any:
    raise Retry("database is locked")


def test_a_list_that_cannot_be_read_says_so(world: World) -> None:
    answer = client(world, incidents=out).get("/canh-bao")
    assert answer.status_code == 503
    assert "locked" not in answer.text


def test_a_list_that_can_not_be_read_anew_is_shown_with_its_age(world: World) -> None:
    world.incidents = [Incident()]
    away = threading.Event()
    asked = client(world, incidents=lambda: out() if away.is_set() else world.incidents)
    assert "Mưa lớn" in asked.get("/canh-bao").text
    away.set()
    world.clock.now_ms += 120_000
    late = asked.get("/canh-bao")
    assert late.status_code == 200
    assert "Mưa lớn" in late.text
    assert "Danh sách này đọc 2 phút trước" in re.sub("<[^>]+>", "", late.text)


def test_coverage_is_shown_without_the_store_and_says_what_it_does_not_know(world: World) -> None:
    world.tell({"modem-hang-tay": {"registration": 2}})
    coverage = Coverage(world.registry, world.latest, world.store, world.clock)
    coverage.search = out  # type: ignore[method-assign]
    asked = client(world, coverage=coverage)
    page = asked.get("/phu-song")
    assert page.status_code == 200
    assert "chưa tra được" in page.text
    assert "không có sóng" in page.text
    assert asked.get("/phu-song.json").json()["hamlets"][0]["searched"] is False


def test_a_search_of_the_past_that_fails_later_is_shown_with_its_age(world: World) -> None:
    world.tell({"modem-hang-tay": MODEM}, age_s=2 * DAY_S)
    world.tell({"modem-hang-tay": {"registration": 2}})
    coverage = Coverage(world.registry, world.latest, world.store, world.clock)
    asked = client(world, coverage=coverage)
    assert "11:00, 21/11" in asked.get("/phu-song").text
    coverage.search = out  # type: ignore[method-assign]
    world.clock.now_ms += 600_000
    page = asked.get("/phu-song").text
    assert "11:00, 21/11" in page
    assert "Lần cuối có sóng là tra 10 phút trước" in re.sub("<[^>]+>", "", page)


def test_before_the_store_was_read_pages_say_that_more_may_come(world: World) -> None:
    world.latest = Latest()
    asked = client(world)
    for path in (f"/T/{TREE}", "/phu-song"):
        assert catalogue("vi")["reading.filling"] in asked.get(path).text
    assert "chưa có số đo nào" not in asked.get(f"/T/{TREE}").text
    world.latest.fill(world.store)
    world.clock.now_ms += 5_000
    assert catalogue("vi")["reading.filling"] not in asked.get(f"/T/{TREE}").text


@pytest.mark.parametrize("lang", LANGS)
def test_incidents_are_shown_with_their_state_and_never_called_confirmed(world: World, lang: str) -> None:
    asked = client(world)
    assert catalogue(lang)["alerts.none"] in asked.get(f"/canh-bao?lang={lang}").text
    world.incidents = [Incident(state="open"), Incident(state="ended", until_ms=NOW_MS), Incident(state="late")]
    world.clock.now_ms += 5_000
    page = asked.get(f"/canh-bao?lang={lang}").text
    for state in ("open", "ended", "late"):
        assert catalogue(lang)[f"state.{state}"] in page
    assert ("Mưa lớn" if lang == "vi" else "Heavy rain") in page
    assert "confirmed" not in page


def test_the_public_hears_that_the_pages_are_up_and_no_more(world: World) -> None:
    answer = client(world).get("/healthz")
    assert (answer.status_code, answer.text) == (200, "up\n")
    assert answer.headers["cache-control"] == "no-store"


# --- what holds on every route ---


def every_path(world: World) -> list[str]:
    found: list[str] = []
    values = {
        "code": TREE,
        "quantity": "air_humidity",
        "zone": "z01",
        "lot": "a7k2",
        "name": "x-360.webp",
        "giai": "95201237K3MQP",
    }
    for route in site(world.garden()).routes:
        assert isinstance(route, Route)
        path = route.path
        for name, value in (values | {"gtin": "09520123456788"}).items():
            path = path.replace(f"{{{name}}}", value)
        found.append(path)
    return [*found, "/T/000000", "/nowhere", f"/T/{TREE}/x", f"/t/{BARE}"]


def test_every_answer_is_guarded_sets_no_cookie_and_loads_nothing(world: World) -> None:
    world.tell(ALL)
    asked = client(world)
    for path in every_path(world):
        for method in ("GET", "HEAD", "POST"):
            answer = asked.request(method, path, follow_redirects=False)
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; style-src 'sha256-")
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert "set-cookie" not in answer.headers
            assert "server" not in answer.headers
            assert (answer.status_code == 405) == (method == "POST" and answer.status_code != 404)
        page = asked.get(path).text
        assert not re.search(r"(src|href|action)=\"(https?:)?//(?!goc\.example\.org)", page), path
        assert "<script" not in without_ours(page)
        assert "style=" not in without_ours(page)


def test_a_fault_of_ours_shows_no_inner_parts_and_is_guarded(world: World) -> None:
    class Broken(Latest):
        def channel(self, *_: object) -> Any:
            raise KeyError("the inner part")

    answer = client(world, latest=Broken()).get(f"/T/{TREE}")
    assert answer.status_code == 500
    assert "inner part" not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("path", ["/", f"/T/{TREE}", f"/T/{TREE}.json", "/phu-song", "/canh-bao", "/icon.svg"])
def test_an_unchanged_answer_is_304(world: World, path: str) -> None:
    world.tell(ALL)
    asked = client(world)
    first = asked.get(path)
    assert first.headers["cache-control"] == "public, max-age=60"
    again = asked.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    world.clock.now_ms += 120_000
    world.tell({"soil-1": {"soil_moisture": 12.5}, "modem-hang-tay": {"registration": 2}}, age_s=1)
    changed = asked.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == (200 if path in {f"/T/{TREE}", f"/T/{TREE}.json", "/phu-song"} else 304)


@pytest.mark.parametrize("path", ["/", f"/T/{TREE}", "/phu-song", "/canh-bao"])
def test_pages_are_light(world: World, path: str) -> None:
    world.tell(ALL)
    world.incidents = [Incident()] * 5
    html = client(world).get(path).content
    assert len(gzip.compress(html, 6)) <= 8 * 1024


def test_pages_travel_compressed(world: World) -> None:
    answer = client(world).get(f"/T/{TREE}", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert {"Accept-Language", "Accept-Encoding", "Save-Data"} == {
        name.strip() for name in answer.headers["vary"].split(",")
    }


def test_head_tells_what_get_would_and_sends_nothing(world: World) -> None:
    asked = client(world)
    for path in ("/", f"/T/{TREE}", f"/T/{TREE}.json", "/phu-song", "/icon.svg", "/nowhere"):
        got, head = asked.get(path), asked.request("HEAD", path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers == got.headers


@pytest.mark.parametrize("path", [f"/T/{TREE}.json", "/phu-song.json"])
def test_the_json_is_the_same_when_nothing_changed(world: World, path: str) -> None:
    world.tell(ALL)
    asked = client(world)
    tag = asked.get(path).headers["etag"]
    for _ in range(3):
        world.clock.now_ms += 61_000
        assert asked.get(path, headers={"If-None-Match": f'"other", {tag}'}).status_code == 304


def test_visitors_of_one_second_are_shown_what_was_made_once(world: World) -> None:
    class Counted(Latest):
        looked = 0

        def channel(self, gateway: str, channel: str) -> Any:
            self.looked += 1
            return world.latest.channel(gateway, channel)

    counted = Counted()
    asked = client(world, latest=counted)
    once = {asked.get(f"/T/{TREE}", headers={"Accept-Language": lang, "Cookie": lang}).text for lang in ("vi", "vi-VN")}
    looked = counted.looked
    assert len(once) == 1
    for _ in range(20):
        asked.get(f"/T/{TREE}")
        asked.request("HEAD", f"/T/{TREE}/")
        asked.get(f"/T/{TREE}?fbclid={looked}&x")
    assert counted.looked == looked
    for how in ({"headers": {"Accept-Language": "en"}}, {"params": "fbclid=1&lang=en"}):
        assert '<html lang="en">' in asked.get(f"/T/{TREE}", **how).text
    world.tell({"soil-1": {"soil_moisture": 12.5}}, age_s=1)
    world.clock.now_ms += 2_001
    assert "12,5" in asked.get(f"/T/{TREE}").text


def test_what_a_browser_says_is_thought_about_once_and_in_little_memory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud.pages.front.MOST_MEANT", 3)
    front = build(world.garden())
    said = {"Accept-Language": "en", "Save-Data": "on", "Accept": "text/html", "Accept-Encoding": "gzip"}
    words = {name.lower().encode(): value.encode() for name, value in said.items()}
    url = f"/T/{TREE}?lang=en".encode()
    assert front.at_once(b"GET", url, words) is None, "nobody asked yet"
    shown = Visitor(front).get(url.decode(), headers=said)
    ready = front.at_once(b"GET", url, words | {b"user-agent": b"another", b"x-forwarded-for": b"203.0.113.9"})
    assert ready
    assert (ready.status, gzip.decompress(ready.body)) == (200, shown.content)
    unchanged = front.at_once(b"GET", url, words | {b"if-none-match": shown.headers["etag"].encode()})
    assert unchanged
    assert (unchanged.status, unchanged.body) == (304, b"")
    for other in (words | {b"accept-language": b"vi"}, words | {b"accept": b"*/*"}, {}):
        assert front.at_once(b"GET", url, other) is None
    for word in ("a", "b", "c", "d", "e", "x" * 2_000):
        Visitor(front).get(url.decode(), headers=said | {"Accept": word})
    assert 0 < len(front._wanted) <= 3
    assert all(len(word or b"") < 2_000 for one in front._wanted for word in one)


def test_who_shares_the_link_of_a_tree_without_a_photo_shares_a_picture_that_everybody_can_show(world: World) -> None:
    asked = client(world)
    (named,) = re.findall(
        r'<meta property="og:image" content="https://goc.example.org(/[^"]+)">', asked.get(f"/T/{TREE}").text
    )
    for wants in ({}, {"Accept-Encoding": "gzip"}):
        picture = asked.get(named, headers=wants)
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
        assert "content-encoding" not in picture.headers
        assert Image.open(io.BytesIO(picture.content)).size == (1200, 630)
    assert len(picture.content) < 60_000


def test_what_is_no_page_is_not_kept(world: World) -> None:
    asked = client(world, incidents=out)
    missing, away = asked.get("/T/000000"), asked.get("/canh-bao")
    assert (missing.status_code, away.status_code) == (404, 503)
    for answer in (missing, away):
        assert answer.headers["cache-control"] == "no-store"
        assert "etag" not in answer.headers
    registry, tree = world.registry, world.registry.trees[TREE]
    registry.trees["000000"] = msgspec.structs.replace(tree, code="000000")
    assert asked.get("/T/000000").status_code == 200


@pytest.mark.parametrize(
    "path", ["//evil.example/x", "///evil.example", "//evil.example/T/" + TREE, "/\\evil.example/"]
)
def test_a_path_that_looks_like_another_host_makes_no_link(world: World, path: str) -> None:
    answer = client(world).get(f"http://garden.test{path}", follow_redirects=False)
    assert answer.status_code == 404
    assert "evil.example" not in answer.text
    assert "evil" not in answer.headers.get("location", "")


@pytest.mark.parametrize("host", ["[", "a/b", "x:y:z", "a@b", 'evil"><b'])
def test_whatever_a_visitor_calls_us_stands_in_no_page(world: World, host: str) -> None:
    answer = client(world).get(f"/T/{TREE}", headers={"Host": host})
    assert answer.status_code == 200
    assert f"//{host}" not in answer.text
    assert "evil" not in answer.text


@pytest.mark.parametrize("path", ["/phu-song/", f"/T/{TREE}/", "//phu-song"])
def test_a_slash_too_many_means_nothing(world: World, path: str) -> None:
    assert client(world).get(f"http://garden.test{path}", follow_redirects=False).status_code == 200


def test_no_place_name_stands_in_a_path(world: World) -> None:
    paths = " ".join(every_path(world)).lower()
    for name in ("suoi", "giang", "yen-bai", "lao-cai", "hang-tay", "che-tao"):
        assert name not in paths


# --- words ---


@pytest.mark.parametrize(
    ("asked", "accept", "lang"),
    [
        (None, "", "vi"),
        (None, "en-US,en;q=0.9", "en"),
        (None, "en;q=0.5, vi;q=0.8", "vi"),
        (None, "fr-FR,fr;q=0.9,en;q=0.8", "en"),
        (None, "ko", "vi"),
        (None, "en;q=0", "vi"),
        (None, "en;q=x", "vi"),
        (None, ";;;,,,q=", "vi"),
        ("en", "vi", "en"),
        ("vi", "en", "vi"),
        ("xx", "en", "en"),
    ],
)
def test_which_language_is_first(asked: str | None, accept: str, lang: str) -> None:
    assert choose(asked, accept) == lang


@pytest.mark.parametrize(("lang", "accept"), [("vi", "vi-VN"), ("en", "en-GB")])
def test_a_page_speaks_one_language_and_links_to_the_other(world: World, lang: str, accept: str) -> None:
    world.tell(ALL)
    other = "en" if lang == "vi" else "vi"
    only_vi = re.compile("[ăđĩũơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ]")
    for path in ("/", f"/T/{TREE}", f"/T/{TREE}/air_humidity", "/phu-song", "/canh-bao", "/nowhere"):
        page = client(world).get(path, headers={"Accept-Language": accept}).text
        assert f'<html lang="{lang}">' in page
        assert f'?lang={other}" hreflang="{other}" lang="{other}"' in page
        said = " ".join(
            words_of(re.sub(r"<(style|script)[^>]*>.*?</\1>|<a class=\"lang\".*?</a>", "", page, flags=re.DOTALL)).all
        )
        names = ("Gốc chè", "Suối Giàng", "Shan Tuyết", "Háng Tày", "Kể Cả", "Pú Vá", "Chế Tạo", "Lào Cai")
        for name in names:
            said = said.replace(name, "")
        assert bool(only_vi.search(said)) == (lang == "vi"), (path, said)


def test_no_string_is_missing_in_a_language_and_none_is_dead() -> None:
    assert set(catalogue("vi")) == set(catalogue("en"))
    for key, words in catalogue("vi").items():
        fields = {name for _, name, _, _ in Formatter().parse(words) if name}
        assert fields == {name for _, name, _, _ in Formatter().parse(catalogue("en")[key]) if name}, key
    used = "".join(path.read_text("utf-8") for path in [*TEMPLATES.glob("*.html"), *TEMPLATES.parent.glob("*.py")])
    tables = "signal state confidence quality unit place age way layer by means what why refusal became strength calls"
    made = set(tables.split())  # their last part is data
    by_part = {"tree.dead", "tree.fallen", "tree.is_dead", "tree.is_fallen"} | {
        key for key in catalogue("vi") if "missing." in key
    }
    for key in set(catalogue("vi")) - by_part:
        assert f'"{key}"' in used or key.partition(".")[0] in made, key


def test_every_reason_and_unit_has_words() -> None:
    for lang in LANGS:
        for reason in Reason:
            assert Speaker(lang, 0).absent(reason)
        for quantity in QUANTITIES.values():
            assert Speaker(lang, 0).unit(quantity) not in {"Cel", "%RH", "ug/m3", "uS/cm", "deg", "1"}


@pytest.mark.parametrize(
    ("text", "vi", "en"),
    [
        ("31.27", "31,27", "31.27"),
        ("-0.50", "−0,50", "−0.50"),
        ("18.40", "18,40", "18.40"),
        ("1352", "1.352", "1,352"),
        ("250000", "250.000", "250,000"),
        ("0", "0", "0"),
        ("-1250.5", "−1.250,5", "−1,250.5"),
    ],
)
def test_numbers_as_each_language_writes_them(text: str, vi: str, en: str) -> None:
    assert (Speaker("vi", 0).decimal(text), Speaker("en", 0).decimal(text)) == (vi, en)


@pytest.mark.parametrize(
    ("ago_s", "vi", "en"),
    [
        (-300, "chưa đầy 1 phút trước", "less than a minute ago"),
        (59, "chưa đầy 1 phút trước", "less than a minute ago"),
        (60, "1 phút trước", "1 min ago"),
        (3_599, "59 phút trước", "59 min ago"),
        (3_600, "1 giờ trước", "1 h ago"),
        (86_400, "1 ngày trước", "1 d ago"),
        (864_000, "10 ngày trước", "10 d ago"),
    ],
)
def test_ages_in_words(ago_s: int, vi: str, en: str) -> None:
    assert Speaker("vi", NOW_MS).age(NOW_MS - ago_s * 1_000) == vi
    assert Speaker("en", NOW_MS).age(NOW_MS - ago_s * 1_000) == en


@pytest.mark.parametrize(
    ("ago_s", "vi", "en"),
    [
        (0, "11:00", "11:00"),
        (DAY_S, "11:00, 22/11", "11:00, 22 Nov"),
        (400 * DAY_S, "11:00, 19/10/2024", "11:00, 19 Oct 2024"),
    ],
)
def test_times_are_vietnams(ago_s: int, vi: str, en: str) -> None:
    for lang, text in (("vi", vi), ("en", en)):
        assert f">{text}</time>" in Speaker(lang, NOW_MS).when(NOW_MS - ago_s * 1_000)


def test_json_is_readable_by_the_plainest_reader(world: World) -> None:
    world.tell(ALL)
    for path in (f"/T/{TREE}.json", "/phu-song.json"):
        answer = client(world).get(path)
        assert answer.headers["content-type"] == "application/json"
        json.loads(answer.content, parse_constant=pytest.fail)


# --- lots, other doors, data to take away ---


def test_a_lot_shows_where_and_when_it_was_picked_by_every_door(world: World) -> None:
    world.registry.trees[TREE] = msgspec.structs.replace(world.registry.trees[TREE], giai="95201237K3MQP")
    asked = client(world)
    page = asked.get("/l/a7k2")
    assert page.status_code == 200
    for words in (
        "vụ xuân 2026",
        "18/03/2026 – 22/03/2026",
        "7,6 kg",
        "Cây mẫu số 1",
        f'href="/T/{TREE}"',
        "/T/C0HV26",
    ):
        assert words in page.text
    assert "Chè Shan Tuyết mẫu, vụ xuân 2026" in asked.get(f"/T/{TREE}").text
    for path in ("/01/09520123456788/10/a7k2", "/01/9520123456788/10/A7K2", "/l/A7K2"):
        other = asked.get(path, follow_redirects=False)
        assert (other.status_code, other.text) == (200, page.text), path
    for path in ("/01/09520123456787/10/a7k2", "/01/09520123456788/10/x", "/l/x", "/8004/9520123XXXXXX"):
        assert asked.get(path).status_code == 404, path
    tree = asked.get("/8004/95201237k3mqp", follow_redirects=False)
    assert (tree.status_code, tree.text) == (200, asked.get(f"/T/{TREE}").text)


@pytest.mark.parametrize(("text", "right"), [("4006381333931", True), ("4006381333932", False), ("96385074", True)])
def test_a_gtin_has_a_check_digit(text: str, right: bool) -> None:
    assert is_gtin(text) == right  # 4006381333931, 96385074: examples of EAN-13 and EAN-8 in wide use


def test_the_weather_of_a_lot_is_that_of_its_days(world: World) -> None:
    for days, warm in ((100, 30.0), (40, 12.0), (20, 15.0), (10, 18.0), (2, 30.0)):
        world.tell({"air-1": {"air_temperature": warm}}, age_s=days * DAY_S)
    world.tell({"air-1": {"air_temperature": 21.0}})
    lot = world.registry.lots["a7k2"]
    world.registry.lots["a7k2"] = msgspec.structs.replace(
        lot, picked_from=date(2025, 11, 10), picked_to=date(2025, 11, 15)
    )
    text = squeezed(" ".join(words_of(client(world).get("/l/a7k2").text).all))
    assert "15,0 °C" in text
    assert "12,0 – 18,0 trong 3 ngày" in text


def test_page_table_and_store_say_the_same_of_the_past(world: World) -> None:
    start_ms = NOW_MS // DAY_MS * DAY_MS - 9 * DAY_MS
    hours = [Hour(start_ms + at * 3_600_000, 5, 60.0 + at % 7, 50.0, 90.0) for at in range(200) if not 60 < at < 110]
    world.store.write_hours([Past("sg-01", "air-1", "air_humidity", hours)])
    world.tell({"air-1": {"air_humidity": 81.0}})
    asked = client(world, licence="CC BY 4.0")
    first, head, *lines = asked.get(f"/T/{TREE}/history.csv").text.splitlines()
    assert (first, head.split(",")[:3]) == ("# CC BY 4.0", ["day", "quantity", "unit"])
    rows = [dict(zip(head.split(","), line.split(","), strict=True)) for line in lines]
    page = asked.get(f"/T/{TREE}/air_humidity").text
    by_day: dict[str, list[Hour]] = {}
    for hour in world.store.hourly("sg-01", "air-1", "air_humidity", 0, midnight_ms(NOW_MS)):
        by_day.setdefault(iso(hour.start_ms)[:10], []).append(hour)
    assert [row["day"] for row in rows] == sorted(by_day)
    assert len(rows) < 9, "a day without an hour is no row"
    for row in rows:
        own = by_day[row["day"]]
        assert (int(row["hours"]), row["invented"]) == (len(own), "no")
        assert float(row["mean"]) == pytest.approx(sum(hour.mean for hour in own) / len(own), abs=0.05)
        day = date.fromisoformat(row["day"])
        assert f'<th scope="row">{day:%d/%m/%Y}</th><td>{row["mean"].replace(".", ",")}</td>' in page


def test_a_garden_that_was_just_started_shows_the_year_before_anything_was_heard(world: World) -> None:
    hours = [Hour(NOW_MS - at * 3_600_000, 0, 15.0, 10.0, 20.0) for at in range(1, 500)]
    world.store.write_hours([Past("sg-01", "air-1", "air_temperature", hours)])
    page = client(world).get(f"/T/{TREE}").text
    assert catalogue("vi")["past.invented"] in page
    assert "Một năm: thấp nhất 10,0" in page
    assert "Có cảm biến ở đây chưa có số đo nào." in page


def test_a_probe_that_was_replaced_leaves_its_past_to_the_place_and_takes_none_along(world: World) -> None:
    """soil-9 hung at this tree until 1 November; soil-1 came then, from another tree."""
    start_ms = NOW_MS // DAY_MS * DAY_MS - 60 * DAY_MS
    for channel, value in (("soil-9", 40.0), ("soil-1", 20.0)):
        hours = [Hour(start_ms + at * 3_600_000, 5, value, value - 1, value + 1) for at in range(60 * 24)]
        world.store.write_hours([Past("sg-01", channel, "soil_moisture", hours)])
    world.tell({"soil-1": {"soil_moisture": 20.0}})
    records = {kind: list(world.registry._records.get(kind, ())) for kind in KINDS}
    moved, others = date(2025, 11, 1), [one for one in world.registry.bindings if one.channel != "soil-1"]
    own = next(one for one in world.registry.bindings if one.channel == "soil-1")
    old = msgspec.structs.replace(own, channel="soil-9", valid_to=moved)
    elsewhere = msgspec.structs.replace(own, code="C0HV26", valid_to=moved)
    world.registry = Registry(
        records | {"binding": [*others, old, elsewhere, msgspec.structs.replace(own, valid_from=moved)]}
    )
    lines = client(world).get(f"/T/{TREE}/history.csv").text.splitlines()[1:]
    means = {line.split(",")[0]: float(line.split(",")[3]) for line in lines}
    assert means["2025-10-31"] == 40.0
    assert means["2025-11-01"] == 20.0
    assert len(means) >= 58, "the place's history goes on"


def test_what_is_measured_under_maintenance_is_not_shown_and_the_rest_is(world: World) -> None:
    """The thermometer is worked at for an hour at noon two days ago, and since ten minutes."""
    start_ms = NOW_MS // DAY_MS * DAY_MS - 9 * DAY_MS
    noon_ms = NOW_MS // DAY_MS * DAY_MS - 2 * DAY_MS
    hours = [Hour(at, 5, 20.0 + 50 * (at == noon_ms), 19.0, 21.0 + 50 * (at == noon_ms)) for at in
             range(start_ms, NOW_MS - 3_600_000, 3_600_000)]  # fmt: skip
    world.store.write_hours([Past("sg-01", "air-1", "air_temperature", hours)])
    world.tell({"air-1": {"air_temperature": 20.5, "air_humidity": 81.0}}, age_s=1_800)
    world.tell({"air-1": {"air_temperature": 66.6, "air_humidity": 99.9}, "soil-1": made_of.SOIL}, age_s=60)
    world.tell({"modem-hang-tay": MODEM})
    asked = client(world)
    assert "66,6" in asked.get(f"/T/{TREE}").text
    assert "71.00" in asked.get(f"/T/{TREE}/history.csv").text
    world.registry = Registry(
        {kind: list(world.registry._records.get(kind, ())) for kind in KINDS}
        | {
            "maintenance": [
                Maintenance(gateway="sg-01", channel=channel, starts=hanoi(start), ends=hanoi(start + 3_600_000))
                for channel, start in (
                    ("air-1", noon_ms),
                    ("air-1", NOW_MS - 600_000),
                    ("modem-hang-tay", NOW_MS - 600_000),
                )
            ]
        }
    )
    asked = client(world)
    pages = [f"/T/{TREE}", f"/T/{TREE}.json", f"/T/{TREE}/air_temperature", f"/T/{TREE}/history.csv", "/"]
    told = {path: asked.get(path).text for path in pages}
    for path, text in told.items():
        assert not re.search(r"66[.,]6|71[.,]0|99[.,]9|22[.,]1", text), path
    assert catalogue("vi")["reading.worked_at"] in told[f"/T/{TREE}"]
    assert "soil-1" in told[f"/T/{TREE}"], "another sensor of the gateway is shown"
    readings = {(one["source"], one["quantity"]): one for one in asked.get(f"/T/{TREE}.json").json()["readings"]}
    assert readings["sg-01/air-1", "air_temperature"]["value"] is None
    assert readings["sg-01/air-1", "air_temperature"]["newest_poll"] == catalogue("vi")["reading.worked_at"]
    days = [line.split(",") for line in told[f"/T/{TREE}/history.csv"].splitlines() if ",air_temperature," in line]
    assert {line[3] for line in days} == {"20.00"}
    coverage = asked.get("/phu-song").text
    assert catalogue("vi")["signal.unmeasured"] in coverage[coverage.index("Háng Tày") : coverage.index("Kể Cả")]


def test_of_forty_thousand_trees_the_nearest_are_found_at_once(world: World) -> None:
    tree, random = world.registry.trees[TREE], Random(7)
    for number in range(40_000):
        lat, lon = 21.6 + random.random() / 20, 104.55 + random.random() / 20
        one = msgspec.structs.replace(tree, code=f"{number:06}", lat=lat, lon=lon)
        world.registry.trees[one.code] = one
    own = public(tree)
    assert nearest(world.registry, own, 1), "the order is made once"
    began = time.process_time()
    found = nearest(world.registry, own, 60)
    took_s = time.process_time() - began
    truth = sorted(world.registry.trees.values(), key=lambda one: (distance_m(own, public(one)), one.code))[:60]
    assert [one.code for one in found] == [one.code for one in truth]
    assert took_s < 0.1


def test_all_public_trees_can_be_taken_away_as_geojson(world: World) -> None:
    tree = world.registry.trees[TREE]
    world.registry.trees[TREE] = msgspec.structs.replace(tree, precision=2)
    world.registry.trees[BARE] = msgspec.structs.replace(world.registry.trees[BARE], published=False)
    answer = client(world, licence="CC BY 4.0").get("/cay.geojson")
    assert answer.headers["content-type"] == "application/geo+json"
    told = answer.json()
    assert (told["type"], told["licence"]) == ("FeatureCollection", "CC BY 4.0")
    places = {one["id"]: one["geometry"]["coordinates"] for one in told["features"]}
    assert BARE not in places
    assert places[TREE] == [104.58, 21.62, 1352]
    assert client(world).get("/z/z01.json").json()["paths"][:2] == ["/T/4TN8WJ", "/T/4TN8WJ/hinh.svg"]


def test_a_tree_of_a_name_has_one_portrait_and_no_two_the_same(world: World) -> None:
    asked = client(world)
    drawn = {code: asked.get(f"/T/{code}/hinh.svg") for code in world.registry.trees}
    assert {answer.headers["content-type"] for answer in drawn.values()} == {"image/svg+xml"}
    assert len({answer.text for answer in drawn.values()}) == len(drawn)
    assert asked.get(f"/T/{TREE}/hinh.svg").content == drawn[TREE].content
    assert max(len(gzip.compress(answer.content)) for answer in drawn.values()) < 10_000
    assert asked.get("/T/000000/hinh.svg").status_code == 404


def test_a_photo_that_is_shown_stands_where_the_drawing_did(world: World, tmp_path: Path) -> None:
    records = {kind: list(world.registry._records.get(kind, ())) for kind in KINDS}
    photo = Photo(
        code="0123456789abcdef", tree=TREE, alt_vi="Cây và người hái", alt_en="x", author="Lan", licence="CC BY 4.0"
    )
    for width in (360, 720, 1440):
        for kind in ("webp", "jpg"):
            (tmp_path / f"{photo.code}-{width}.{kind}").write_bytes(b"picture " * 200)
    path = f"/anh/{photo.code}-720.webp"
    for published, status in ((False, 404), (True, 200)):
        world.registry = Registry(records | {"photo": [msgspec.structs.replace(photo, published=published)]})
        asked = client(world, photos=tmp_path)
        page, picture = asked.get(f"/T/{TREE}").text, asked.get(path, headers={"Accept-Encoding": "gzip"})
        assert picture.status_code == status
        assert (path in page) == ("Cây và người hái" in page) == ("Ảnh: Lan, CC BY 4.0" in page) == published
        assert ("hinh.svg" in page) == (not published)
    assert picture.headers["content-type"] == "image/webp"
    assert "content-encoding" not in picture.headers
    assert path.replace("720", "360") in asked.get("/z/z01.json").text
    for wrong in ("/anh/..%2Fregistry.db", f"/anh/{photo.code}-721.webp", "/anh/ffff456789abcdef-720.webp"):
        assert asked.get(wrong).status_code == 404
    tree = world.registry.trees[TREE]
    world.registry.trees[TREE] = msgspec.structs.replace(tree, published=False)
    assert client(world, photos=tmp_path).get(path).status_code == 404, "of a tree that is withheld"


@pytest.mark.parametrize("state", ["dead", "fallen"])
def test_a_dead_tree_keeps_its_page_and_no_weather_of_now(world: World, state: str) -> None:
    world.tell(ALL)
    tree = world.registry.trees[TREE]
    world.registry.trees[TREE] = msgspec.structs.replace(tree, state=state, ended_on=date(2025, 9, 1))
    answer = client(world).get(f"/T/{TREE}")
    assert answer.status_code == 200
    assert catalogue("vi")[f"tree.{state}"] in answer.text
    assert "01/09/2025" in answer.text
    assert "câu chuyện mẫu" in answer.text
    assert 'class="now' not in answer.text


@pytest.mark.parametrize("path", ["/", f"/T/{TREE}", "/l/a7k2"])
def test_lists_say_which_tree_stands_no_more(world: World, path: str) -> None:
    near = "4TN8WJ"
    assert "đã đổ" not in client(world).get(path).text
    world.registry.trees[near] = msgspec.structs.replace(world.registry.trees[near], state="fallen")
    world.registry = Registry(
        {kind: list(rows) for kind, rows in world.registry._records.items()}
        | {"tree": list(world.registry.trees.values())}
    )
    page = client(world).get(path).text
    assert page.count("đã đổ") == 1
    assert page.index(f"/T/{near}") < page.index("đã đổ")
    assert ('<circle class="off"' in page) == path.startswith("/T/")


def test_no_distance_tells_more_of_a_tree_than_its_own_coordinates(world: World) -> None:
    """A hundred metres from three stations, told to the metre, are a place."""
    world.tell(ALL)
    tree = world.registry.trees[TREE]
    answer = client(world).get(f"/T/{TREE}.json").json()
    assert {one["distance_m"] for one in answer["readings"] if one["measured"] == "zone"} == {83}
    world.registry.trees[TREE] = msgspec.structs.replace(tree, precision=3)
    asked = client(world)
    answer = asked.get(f"/T/{TREE}.json").json()
    assert {one["distance_m"] for one in answer["readings"] if one["measured"] == "zone"} == {100}
    page = asked.get(f"/T/{TREE}").text
    assert "cách cây không quá 100 m" in page
    assert "khoảng" not in page, "a tree 83 m away is not about 100 m or, with two decimals, about 1000 m away"
    assert "m về phía" not in page, "where one stands no nearer than 100 m is known, no tree is 100 m to its west"
    assert "cách cây không quá 100 m" in asked.get(f"/T/{TREE}/air_temperature").text
    assert "83,zone" not in asked.get(f"/T/{TREE}/history.csv").text


def test_all_figures_of_a_quantity_are_as_fine(world: World) -> None:
    """A probe of one decimal, hours of two, and what a calibration divides."""
    start_ms = NOW_MS // 3_600_000 * 3_600_000
    hours = [Hour(start_ms - n * 3_600_000, 5, 15.333, 15.004, 16.69) for n in range(1, 25)]
    world.store.write_hours([Past("sg-01", "soil-1", "soil_temperature", hours)])
    world.tell({"soil-1": made_of.SOIL | {"soil_temperature": 16.0, "soil_moisture": 24.6}})
    text = squeezed(" ".join(words_of(client(world).get(f"/T/{TREE}").text).all))
    assert "16,0 °C" in text
    assert "15,0 – 16,7" in text
    course = client(world).get(f"/T/{TREE}/soil_temperature").text
    assert set(re.findall(r"<td>([^<]+)</td>", course)) == {"15,3", "15,0", "16,7", "16,0"}
    dry = Calibration(
        gateway="sg-01", channel="soil-1", quantity="soil_moisture", valid_from=hanoi(NOW_MS).date(),
        reads_low=5.0, reads_high=45.0,
    )  # fmt: skip
    world.registry = Registry(world.registry._records | {"calibration": [dry]})
    readings = client(world).get(f"/T/{TREE}.json").json()["readings"]
    assert [one["value"] for one in readings if one["quantity"] == "soil_moisture"] == [49.0]


def test_a_calibrated_figure_says_so_and_the_past_means_what_it_meant_then(world: World) -> None:
    """The probe reads 10 at 0 % and 60 at 100 % since yesterday; before, somebody took 5 off."""
    noon_ms = NOW_MS // DAY_MS * DAY_MS - 2 * DAY_MS
    hours = [Hour(noon_ms + day * DAY_MS, 5, 35.0, 5.0, 85.0) for day in (-2, 0, 1)]
    world.store.write_hours([Past("sg-01", "soil-1", "soil_moisture", hours)])
    world.tell({"soil-1": made_of.SOIL | {"soil_moisture": 45.0}}, age_s=60)
    asked, path = client(world), f"/T/{TREE}.json"
    assert [one["value"] for one in asked.get(path).json()["readings"] if one["quantity"] == "soil_moisture"] == [45.0]
    today = hanoi(NOW_MS).date()
    facts = {"gateway": "sg-01", "channel": "soil-1", "quantity": "soil_moisture"}
    since = today - timedelta(1)
    world.registry = Registry(
        {kind: list(world.registry._records.get(kind, ())) for kind in KINDS}
        | {
            "calibration": [
                Calibration(**facts, valid_from=since - timedelta(1), valid_to=since, offset=-5.0),
                Calibration(**facts, valid_from=since, reads_low=10.0, reads_high=60.0),
            ]
        }
    )
    asked = client(world)
    [soil] = [one for one in asked.get(path).json()["readings"] if one["quantity"] == "soil_moisture"]
    assert (soil["value"], soil["calibrated"]) == (70.0, since.isoformat())
    page = asked.get(f"/T/{TREE}").text
    assert f"hiệu chuẩn {since:%d/%m/%Y}" in page
    assert "70,0" in page
    told = [
        line.split(",") for line in asked.get(f"/T/{TREE}/history.csv").text.splitlines() if ",soil_moisture," in line
    ]
    assert [line[3:6] + line[-1:] for line in told] == [
        ["35.00", "5.00", "85.00", "no"],
        ["30.00", "0.00", "80.00", "yes"],
        ["50.00", "0.00", "100.00", "yes"],
    ]


def test_the_lowest_and_highest_of_24_hours_stand_on_one_scale(world: World) -> None:
    """Of a probe that was compared with its soil this morning, yesterday's numbers mean something else."""
    for hours, told in ((20, 20.0), (3, 40.0), (1, 45.0)):
        world.tell({"soil-1": made_of.SOIL | {"soil_moisture": told}}, age_s=hours * 3_600)
    world.tell({"soil-1": made_of.SOIL | {"soil_moisture": 45.0}}, age_s=60)
    today = hanoi(NOW_MS).date()
    compared = Calibration(
        gateway="sg-01", channel="soil-1", quantity="soil_moisture", valid_from=today, reads_low=10.0, reads_high=60.0
    )
    world.registry = Registry(
        {kind: list(world.registry._records.get(kind, ())) for kind in KINDS} | {"calibration": [compared]}
    )
    assert re.search(r"từ \d\d:00: 60,0+ – 70,0+", client(world).get(f"/T/{TREE}").text)


def test_what_is_told_in_hmong_stands_below_in_its_own_language(world: World) -> None:
    world.registry.stories[TREE, "hmn"] = Story(tree=TREE, lang="hmn", text="(words that people write)")
    page = client(world).get(f"/T/{TREE}")
    assert '<summary>Tiếng Mông</summary><div class="story" lang="hmn-Latn-VN"><p>(words that people' in page.text
    assert "câu chuyện mẫu" in page.text, "and the story of the page's language stays first"
    assert client(world).get(f"/T/{TREE}.json").json()["stories"] == {"hmn-Latn-VN": "(words that people write)"}
    del world.registry.stories[TREE, "hmn"]
    assert "hmn" not in client(world).get(f"/T/{TREE}").text, "without words there is no empty slot"


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("/8004/95201237K3MQP", ["/l/a7k2"]),
        ("/01/09520123456788/10/a7k2", [f"/T/{TREE}", "/T/C0HV26", "/T/4TN8WJ"]),
        (f"/T/{TREE}", ["/l/a7k2"]),
    ],
)
def test_who_resolves_a_number_of_gs1_is_given_its_links(world: World, path: str, near: list[str]) -> None:
    world.registry.lots["a7k2"] = msgspec.structs.replace(world.registry.lots["a7k2"], gtin="9520123456788")
    world.registry.trees[TREE] = msgspec.structs.replace(world.registry.trees[TREE], giai="95201237K3MQP")
    asked, url, voc = client(world), world.garden().public_url.rstrip("/"), "https://ref.gs1.org/voc/"
    answer = asked.get(path, params={"linkType": "all"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/linkset+json")
    [links] = answer.json()["linkset"]
    assert links["anchor"] == f"{url}{path}"
    about = [(one["hreflang"], one["type"]) for one in links[f"{voc}pip"]]
    assert about == [(["vi"], "text/html"), (["en"], "text/html")]
    assert {one["href"] for one in links[f"{voc}traceability"]} == {f"{url}{one}" for one in near}
    for one in (*links[f"{voc}pip"], *links[f"{voc}defaultLink"], *links[f"{voc}traceability"]):
        assert asked.get(one["href"].removeprefix(url)).status_code == 200
    tag = path.startswith("/T/")
    accepts = asked.get(path, headers={"Accept": "application/linkset+json"})
    assert (accepts.text == answer.text) is not tag, "a tag's own address answers with its page"
    assert ("Accept" in asked.get(path).headers["vary"].split(", ")) is not tag
    for wrong in ("/8004/9520123XXXXXX", "/01/09520123456787/10/a7k2", "/T/000000"):
        assert asked.get(wrong, params={"linkType": "all"}).status_code == 404


def test_who_saves_data_is_shown_the_smallest_photo(world: World, tmp_path: Path) -> None:
    facts = {"alt_vi": "Gốc cây", "alt_en": "Foot", "author": "Trạm", "licence": "CC0 1.0"}
    world.registry = Registry(
        {kind: list(world.registry._records.get(kind, ())) for kind in KINDS}
        | {"photo": [Photo(code="f1", tree=TREE, published=True, **facts)]}
    )
    for size in (360, 720, 1440):
        for ending in ("webp", "jpg"):
            (tmp_path / f"f1-{size}.{ending}").write_bytes(b"x")
    asked = client(world, photos=tmp_path)
    whole, small = asked.get(f"/T/{TREE}"), asked.get(f"/T/{TREE}", headers={"Save-Data": "on"})
    assert "f1-1440.webp" in whole.text
    assert re.findall(r"/anh/f1-(\d+)", small.text.partition("<header>")[2]) == ["360", "360"]
    assert "Save-Data" in whole.headers["vary"]
    for file in tmp_path.iterdir():
        file.unlink()
    assert "hinh.svg" in client(world, photos=tmp_path).get(f"/T/{TREE}").text, "pictures that are gone are not shown"


SENTINEL = "hushhush"
PUBLIC = {
    "danger_table": {"decision", "area"},
    "official_level": {"source"},
    "province": {"name"},
    "commune": {"name"},
    "hamlet": {"name"},
    "zone": {"name_vi", "name_en"},
    "tree": {"label_no", "name_vi", "name_en", "age_method_vi", "age_method_en"},
    "story": {"text", "standing"},
    "photo": {"alt_vi", "alt_en", "author", "licence"},
    "voice": {"speaker"},
    "lot": {"product_vi", "product_en", "gtin"},
}  # free texts that the world may read; a new one that does not stand here must leave by no route


def marked(kind: str, record: Any) -> Any:
    """A record with the sentinel in each text of its own that is not the world's."""
    free = {one.name for one in columns(type(record)) if isinstance(one.cell, Text)}
    return msgspec.structs.replace(record, **dict.fromkeys(free - PUBLIC.get(kind, set()), SENTINEL))


def secretive() -> Registry:
    """The sample garden with a sentinel in every text that is nobody's but the garden's own."""
    sample = load(GARDEN)
    kinds: dict[str, list[Any]] = {kind: list(sample._records.get(kind, ())) for kind in KINDS}
    on = date(2025, 7, 1)
    hidden = codes.normalise("90000" + codes.check_char("90000")) or ""
    tree = msgspec.structs.replace(sample.trees[TREE], code=hidden, published=False, giai="")
    texts = ("name_vi", "name_en", "label_no", "age_method_vi", "age_method_en")
    kinds["tree"] += [msgspec.structs.replace(tree, **dict.fromkeys(texts, SENTINEL))]
    kinds["tag"] += [Tag(code=hidden, state="bound", tree=hidden, batch=SENTINEL)]
    kinds["story"] += [Story(tree=hidden, lang="vi", text=SENTINEL)]
    kinds["story"] = [msgspec.structs.replace(one, author=SENTINEL, reviewer=SENTINEL) for one in kinds["story"]]
    kinds["story"] = [
        msgspec.structs.replace(one, status="draft", text=SENTINEL) if one.tree == BARE else one
        for one in kinds["story"]
    ]
    kinds["person"] = [Person(code="p1", name=SENTINEL, roles=("operator",), email=f"{SENTINEL}@example.org")]
    kinds["consent"] = [Consent(code="c1", person="p1", what="name", given_on=on, note=SENTINEL)]
    kinds["gateway"] = [Gateway(code="sg-01", name_vi=SENTINEL, name_en=SENTINEL, note=SENTINEL)]
    kinds["device"] = [Device(code=SENTINEL, model=SENTINEL, serial_no=SENTINEL, note=SENTINEL)]
    kinds["binding"] = [msgspec.structs.replace(one, device=SENTINEL) for one in kinds["binding"]]
    kinds["lot"] += [
        msgspec.structs.replace(
            sample.lots["a7k2"], code="b", product_vi=SENTINEL, product_en=SENTINEL, published=False
        )
    ]
    facts = dict.fromkeys(("alt_vi", "alt_en", "author", "licence"), SENTINEL)
    kinds["photo"] = [
        Photo(code=SENTINEL, tree=TREE, **facts),
        Photo(code="faces", tree=TREE, consents=("c1",), published=True, **facts),
    ]
    kinds["voice"] = [
        Voice(code=SENTINEL, tree=TREE, lang="vi", speaker=SENTINEL),
        Voice(code="heard", tree=TREE, lang="en", speaker=SENTINEL, consents=("c1",), published=True),
    ]
    kinds["calibration"] = [
        Calibration(gateway="sg-01", channel="soil-1", quantity="soil_moisture", valid_from=on, offset=1.0)
    ]
    starts = datetime(2025, 7, 1, tzinfo=UTC)
    kinds["maintenance"] = [
        Maintenance(gateway="sg-01", channel="rain-1", starts=starts, ends=starts + timedelta(hours=1))
    ]
    bounds = {"up_to_1": 1, "up_to_2": 2, "up_to_3": 3, "up_to_4": 4}
    kinds["danger_table"] = [DangerTable(decision="1", place="zone", code="z01", valid_from=on, **bounds)]
    published = {"source": "1", "valid_from": on, "valid_to": on + timedelta(days=9)}
    kinds["official_level"] = [OfficialLevel(place="zone", code="z01", level="IV", **published)]
    untold = Story(tree=BARE, lang="en", text=SENTINEL, consents=("c1",))
    kinds["story"] = [one for one in kinds["story"] if (one.tree, one.lang) != (BARE, "en")] + [untold]
    kinds["consent"] = [msgspec.structs.replace(one, withdrawn_on=on) for one in kinds["consent"]]
    assert kinds.keys() == KINDS.keys()
    every = {kind: [marked(kind, one) for one in records] for kind, records in kinds.items()}
    assert all(every.values())
    return Registry(every).public(date(2026, 1, 1))


def test_what_is_the_gardens_own_leaves_by_no_route(world: World) -> None:
    world.registry = secretive()
    world.tell(ALL)
    asked = client(world)
    hidden = next(code for code, tree in world.registry.trees.items() if not tree.published)
    paths = every_path(world)
    paths += [path.replace(TREE, code) for path in paths for code in (hidden, BARE)] + [
        "/l/b",
        "/01/09520123456788/10/b",
    ]
    for path in dict.fromkeys(paths):
        for lang in LANGS:
            answer = asked.get(path, params={"lang": lang})
            for secret in (SENTINEL, hidden if hidden not in path else SENTINEL):
                assert secret not in answer.text, path
                assert secret not in str(answer.headers), path


def test_page_lets_hear_a_story_that_is_told_aloud_and_is_unchanged_without(world: World, tmp_path: Path) -> None:
    records = {kind: list(world.registry._records.get(kind, ())) for kind in KINDS}
    voice = Voice(code="0123456789abcdef", tree=TREE, lang="hmn", speaker="Bà Mỉ", published=True)
    path, sound = f"/giong/{voice.code}.mp3", bytes(range(256)) * 8
    bare = client(world, photos=tmp_path).get(f"/T/{TREE}").text
    assert "<audio" not in bare
    for one in (voice, msgspec.structs.replace(voice, published=False)):  # its file is not there; it is not published
        world.registry = Registry(records | {"voice": [one]})
        assert client(world, photos=tmp_path).get(f"/T/{TREE}").text == bare
        assert client(world, photos=tmp_path).get(path).status_code == 404
        (tmp_path / f"{voice.code}.mp3").write_bytes(sound)
    world.registry = Registry(records | {"voice": [voice]})
    asked = client(world, photos=tmp_path)
    page = asked.get(f"/T/{TREE}")
    assert f'<audio controls preload="none" src="{path}"' in page.text
    assert "Nghe kể bằng tiếng Mông · Bà Mỉ" in page.text
    assert "Hear it told in Hmong" in asked.get(f"/T/{TREE}", params={"lang": "en"}).text
    assert "media-src 'self'" in page.headers["content-security-policy"]
    whole = asked.get(path, headers={"Accept-Encoding": "gzip"})
    assert (whole.content, whole.headers["content-type"], whole.headers["accept-ranges"]) == (
        sound, "audio/mpeg", "bytes",
    )  # fmt: skip
    assert "private" in whole.headers["cache-control"]
    for said, first, last in (("0-1", 0, 1), ("2000-", 2000, 2047), ("-5", 2043, 2047), ("0-99999", 0, 2047)):
        part = asked.get(path, headers={"Range": f"bytes={said}"})
        assert (part.status_code, part.content) == (206, sound[first : last + 1])
        assert part.headers["content-range"] == f"bytes {first}-{last}/2048"
    assert asked.get(path, headers={"Range": "bytes=2048-"}).status_code == 416
    for odd in ("bytes=5-2", "bytes=-", "bytes=0-1,4-5", "lines=1-2"):
        assert asked.get(path, headers={"Range": odd}).status_code == 200
    tree = world.registry.trees[TREE]
    world.registry.trees[TREE] = msgspec.structs.replace(tree, published=False)
    assert client(world, photos=tmp_path).get(path).status_code == 404, "of a tree that is withheld"
