"""The exported boards in a real Grafana over a real InfluxDB: they load, every query answers, and a browser shows them.

GOCCHE_IMG, where set, is the folder that the pictures of the boards are saved to.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
import urllib.parse
from base64 import b64encode
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloud.panels import looks
from cloud.panels.board import board
from cloud.panels.coverage import coded, coverage
from cloud.panels.export import export
from cloud.panels.fire import fire
from cloud.store import Shown, open_store
from tests import build, servers, surveys
from tests.conftest import need
from tests.visitors import Site, World
from wire.batch import Batch, Status
from wire.quantities import CLAIM, QUANTITIES, SIREN
from wire.reading import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from tests.build import Row

pytestmark = [pytest.mark.journey, pytest.mark.influx, pytest.mark.grafana]

GATEWAY, EPOCH = "sg-01", "5117a9c3d2e84b60"
HOURS, STEP_MS = 24, 300_000
STEPS = HOURS * 3_600_000 // STEP_MS
Columns = dict[str, list[Any]]  # of one series of a reply
ADMIN = {"Authorization": f"Basic {b64encode(b'admin:admin').decode()}"}
PORT_LOST = (STEPS - 9, STEPS - 8)
NO_PH = range(STEPS - 7, STEPS)
CHANNELS = ("soil-1", "soil-2", "air-1", "weather-1", "smoke-1", "gnss-1", "modem-hang-tay", "modem-che-tao")
CHANNELS += ("co-1", "node-1", "siren-1", "supply-1")
IN_ITS_BOX = (Reason.OUT_OF_RANGE, 19.1)  # what a pH probe tells that nobody has put into the ground
MISSING_NOW = {  # (sensor, quantity): reason and raw number, as they are shown
    ("modem-hang-tay", "rssi"): ("lần này thiết bị không báo số · the device left this value out", "–"),
    ("soil-2", "soil_ph"): ("số ngoài khoảng hợp lý · the number is out of range", "19.1"),
}
SIM = {"rtt": 48.5, "loss": 0.0, "sim_balance": 52_000, "sim_data_left": 3_400, "sim_days_left": 12}
PAST_MS = (2 * 3_600_000, 24 * 3_600_000, 7 * 86_400_000, 14 * 86_400_000)  # in the weekly shard of now and in older
GARDEN, FIRE, COVERAGE = board(), fire(), coverage()
BOARDS = pytest.mark.parametrize("made", [GARDEN, FIRE, COVERAGE], ids=["garden", "fire", "coverage"])


def panels_of(made: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the panels of a board without the titles of its sections."""
    return [panel for panel in made["panels"] if panel["type"] != "row"]


def sample_day() -> list[Row]:
    """Return one day of a whole garden, every five minutes.

    soil-2 falls silent for an hour and a half. Within the last hour the port is lost for ten minutes, with everything
    on it, and is back since then; a probe's pH is out of range from then on, and a modem's RSSI was so before.
    """
    rows = [_poll(step, step / STEPS, math.sin(step / 7)) for step in range(STEPS)]
    rows[PORT_LOST[0] - 1] |= {"modem-hang-tay": {"rssi": (Reason.OUT_OF_RANGE, -7)}}
    for step in PORT_LOST:
        rows[step] = {channel: dict.fromkeys(values, Reason.PORT_LOST) for channel, values in rows[step].items()}
    return rows


def past_absences() -> Row:
    """Return a round in which every sensor lacked every quantity that there is, whatever it measures."""
    return {channel: dict.fromkeys(QUANTITIES, Reason.SILENCE) for channel in CHANNELS}


def _poll(step: int, day: float, wave: float) -> Row:
    warm = math.sin((day - 0.3) * 2 * math.pi)
    smoke = 140 * math.exp(-(((day - 0.8) / 0.02) ** 2))
    air, humidity = 17 + 5 * warm, 78 - 16 * warm
    soil = {"soil_moisture": 33 - 4 * day, "soil_temperature": 18 + 2 * warm, "soil_ec": 412 + 9 * wave, "soil_ph": 4.8}
    dry = {"soil_moisture": 19 - 5 * day, "soil_temperature": 17 + 2 * warm, "soil_ec": 366 + 7 * wave, "soil_ph": 5.1}
    silent: dict[str, float | Reason] = dict.fromkeys(dry, Reason.SILENCE)
    return {
        "soil-1": soil,
        "soil-2": silent if 150 <= step < 168 else dry | ({"soil_ph": IN_ITS_BOX} if step in NO_PH else {}),
        "air-1": {"air_temperature": air, "air_humidity": humidity},
        "weather-1": {
            "air_temperature": air - 0.6,
            "air_humidity": humidity + 2,
            "dew_point": air - 5,
            "air_pressure": 868 + wave,
            "wind_speed": 2.5 + 1.5 * abs(wave),
            "wind_direction": (340 + 40 * wave) % 360,
        },
        "smoke-1": {"pm1": 8 + smoke / 2, "pm2_5": 14 + 3 * wave + smoke, "pm10": 20 + 4 * wave + 1.3 * smoke},
        "co-1": {"co": 0.4 + smoke / 8},
        "node-1": {"smoke_claim": next(at for at, above in ((3, 90), (2, 40), (1, 15), (0, -1)) if smoke > above)},
        "siren-1": {"siren": 1 if smoke > 120 else 2 if smoke > 90 else 0},
        "supply-1": {"supply_voltage": 12.4 + warm / 4},
        "gnss-1": {
            "lat": 21.4512345,
            "lon": 104.4712345,
            "alt": 1371.5,
            "fix_quality": 1,
            "satellites": 9,
            "hdop": 0.9,
        },
        "modem-hang-tay": _modem(step, wave),
        "modem-che-tao": {"registration": 1, "radio": 3, "lte_rsrp": -93 + 2 * wave, "lte_sinr": 14 + wave}
        | SIM,  # no 5G
    }


def _modem(step: int, wave: float) -> dict[str, float | Reason]:
    lte = {"lte_rsrp": -101 + 6 * wave, "lte_sinr": 8 + 3 * wave}
    measured = lte | {"nr_ss_rsrp": -109 + 5 * wave, "nr_ss_sinr": 4 + wave}
    if 96 <= step < 110:
        return {"registration": 2, **dict.fromkeys(measured, Reason.NOT_REPORTED)}
    return {"registration": 1, "radio": 4, "rssi": Reason.NOT_REPORTED, **measured}


def batches(start_ms: int, now_ms: int) -> Iterator[Batch]:
    """Cut the day into batches as a gateway does, and carry them over the wire."""
    rows, first = sample_day(), 1
    for at in range(0, STEPS, 24):
        some = rows[at : at + 24]
        yield build.batch(
            gateway=GATEWAY,
            now_ms=now_ms,
            epoch=EPOCH,
            first=first,
            start_ms=start_ms + at * STEP_MS,
            step_ms=STEP_MS,
            rows=some,
        )
        first += sum(map(len, some))
    for number, ago_ms in enumerate(PAST_MS):
        yield build.batch(
            gateway=GATEWAY,
            now_ms=now_ms,
            epoch=f"{number:016x}",
            start_ms=now_ms - ago_ms,
            rows=[past_absences()],
        )


def heartbeats(start_ms: int) -> Iterator[tuple[int, Status]]:
    """Yield (arrival, status) of one day, with two hours without a link."""
    for step in range(STEPS):
        waiting = max(0, step - 200) if step < 224 else 0
        taken = len(CHANNELS) * (step + 1)
        yield (
            start_ms + step * STEP_MS,
            Status(
                1,
                "online",
                boot="626f6f74626f6f74",
                epoch=EPOCH,
                acquired=taken,
                cut=taken,
                spooled=len(CHANNELS) * waiting,
                oldest_s=waiting * STEP_MS / 1000,
                version="0.1.0",
            ),
        )


@dataclass(frozen=True)
class Database:
    """A real InfluxDB with a day of readings in it, and how Grafana signs in to it."""

    url: str
    generation: int
    user: str
    secret: str
    secret_env: str


@pytest.fixture(params=["1.8", "2.7"], scope="module")
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder = tmp_path_factory.mktemp("influxd")
    secret = folder / "secret"
    if request.param == "1.8":
        need(servers.INFLUXD1)
        with servers.InfluxD1(folder, auth=("gocche", "không: đoán #1 nổi")) as one:
            secret.write_text("không: đoán #1 nổi")
            seed({"url": one.url, "user": "gocche", "password_file": str(secret)})
            yield Database(one.url, 1, "gocche", secret.read_text(), "GOCCHE_INFLUX_PASSWORD")
    else:
        need(servers.INFLUXD2)
        with servers.InfluxD2(folder) as two:
            secret.write_text(two.token)
            seed({"url": two.url, "token_file": str(secret)})
            yield Database(two.url, 2, "", two.token, "GOCCHE_INFLUX_TOKEN")


def seed(table: dict[str, str]) -> None:
    """Store the day as the ingester does."""
    now_ms = int(time.time() * 1000)
    start_ms = now_ms - HOURS * 3_600_000 + STEP_MS // 2
    store = open_store({"engine": "influx"} | table, writer=True)
    store.setup()
    assert not any(store.commit(list(batches(start_ms, now_ms)), now_ms))
    for arrival_ms, status in heartbeats(start_ms):
        store.write_status(GATEWAY, status, arrival_ms)
    shown = list(found(now_ms))
    for at in range(0, len(shown), 1_000):
        assert store.show(shown[at : at + 1_000])
    store.close()


STAGES = ((290, "nghi có cháy · suspected"), (270, "đã xác nhận · confirmed"), (200, "đã đóng · closed"))  # minutes ago


def found(now_ms: int) -> Iterator[Shown]:
    """Yield ten days of danger in two zones and three stages of a fire, as the server copies them for boards."""
    for ago in range(10):
        at_ns = (now_ms - ago * 86_400_000 - 3_600_000) * 10**6
        figures = {"p": 5_200.0 - 400 * ago, "fwi": 24.0 - ago, "ffmc_peak": 91.0 - ago / 2, "level": 4.0}
        yield Shown("danger", {"zone": "Z-02"}, at_ns, figures, {"name": "Suối Giàng"})
        yield Shown("danger", {"zone": "Z-03"}, at_ns, figures | {"p": 900.0, "level": 0}, {"name": "Tả Xùa"})
    lat, lon = surveys.MIDDLE
    for number, (hamlet, state) in enumerate((("Háng Tày", "good"), ("Kể Cả", "weak"), ("Pú Vá", "none"))):
        for ago in range(HOURS * 6):
            figures = {"state": float(coded(state)), "lat": lat + number / 50, "lon": lon - number / 30}
            figures |= {"rsrp": -88.0 - 9 * number - ago % 5} if state != "none" or ago > 100 else {}
            at_ns = (now_ms - ago * 600_000) * 10**6
            yield Shown("hamlet", {"hamlet": hamlet}, at_ns, figures, {"commune": "Chế Tạo"})
    for ago_min, stage in (
        (290, "nghi có cháy · suspected"),
        (270, "đã xác nhận · confirmed"),
        (200, "đã đóng · closed"),
    ):
        at_ns = (now_ms - ago_min * 60_000) * 10**6
        words = {"text": f"Sự việc 7: {stage}", "stage": stage}
        yield Shown("incident", {"gateway": GATEWAY}, at_ns, {"number": 7}, words)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The public pages of a surveyed district, on an origin of their own."""
    world = World(tmp_path_factory.mktemp("pages"))
    world.clock.now_ms = int(time.time() * 1000)
    book = surveys.surveyed(tmp_path_factory.mktemp("book") / "coverage.db", world.clock.now_ms)
    with Site(world.garden(surveyed=book)) as pages:
        yield pages.url
    world.store.close()


@pytest.fixture(scope="module")
def grafana(database: Database, site: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Grafana]:
    need(servers.GRAFANA)
    server = servers.Grafana(tmp_path_factory.mktemp("grafana"))
    export(
        server.provisioning,
        url=database.url,
        generation=database.generation,
        user=database.user,
        pages=site,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(database.secret_env, database.secret)
        with server:
            for made in (GARDEN, FIRE, COVERAGE):
                servers.until(partial(has_read, server, made["uid"]), 30, "Grafana has read the board")
            yield server


def has_read(server: servers.Grafana, uid: str) -> bool:
    """Tell whether Grafana knows a board."""
    return bool(servers.ask(f"{server.url}/api/dashboards/uid/{uid}", headers=ADMIN)[0] == 200)


@BOARDS
def test_provisioned_without_a_word_of_complaint(grafana: servers.Grafana, made: dict[str, Any]) -> None:
    reply = fetch(grafana, f"/api/dashboards/uid/{made['uid']}")
    assert reply["meta"]["provisioned"]
    assert (reply["dashboard"]["title"], reply["meta"]["folderTitle"]) == (made["title"], "Gốc chè")
    assert len(panels_of(reply["dashboard"])) == len(panels_of(made))
    log = (grafana.folder / "server.log").read_text()
    # Folders that the tree does not have (plugins, notifiers, alerting) are told as errors by other loggers.
    ours = [line for line in log.splitlines() if "logger=provisioning.da" in line]
    assert ours
    assert not [line for line in ours if "level=error" in line or "level=warn" in line]


@BOARDS
@pytest.mark.parametrize("path", ["ds/query", "datasources/proxy"])
def test_every_target_answers(grafana: servers.Grafana, path: str, made: dict[str, Any]) -> None:
    ask = by_backend if path == "ds/query" else by_proxy
    for panel in panels_of(made):
        for target in panel["targets"]:
            series = ask(grafana, target["query"], target)
            assert series, f"{panel['title']}: nothing came back"
            # A row of a table may have a blank, raw numbers are rare; a line has a value, or it is of no sensor.
            for columns in series if target["resultFormat"] == "time_series" else [together(series)]:
                empty = {name for name, values in columns.items() if all(value is None for value in values)}
                assert empty <= {"raw"}, f"{panel['title']}: no value in {empty}"


def test_the_choices_above_the_board_are_filled(grafana: servers.Grafana) -> None:
    gateway, channel, zone = (item["query"] for item in FIRE["templating"]["list"])
    hamlet = COVERAGE["templating"]["list"][-1]["query"]
    assert set(together(by_proxy(grafana, hamlet, {}))["value"]) == {"Háng Tày", "Kể Cả", "Pú Vá"}
    assert set(together(by_proxy(grafana, zone, {}))["value"]) == {"Z-02", "Z-03"}
    assert set(together(by_proxy(grafana, gateway, {}))["value"]) == {GATEWAY}
    assert set(together(by_proxy(grafana, channel, {}))["value"]) == set(CHANNELS)


def fetch(grafana: servers.Grafana, path: str, data: object = None) -> Any:
    status, reply = servers.ask(grafana.url + path, data, ADMIN | {"Content-Type": "application/json"})
    assert status == 200, f"{path}: {status} {reply[:1000]!r}"
    return json.loads(reply)


def by_backend(grafana: servers.Grafana, query: str, target: dict[str, Any]) -> list[Columns]:
    """Ask as Grafana's server does for alerts and in its newer pages; it fills in the time itself."""
    now = int(time.time() * 1000)
    asked = target | {"query": chosen(query), "intervalMs": 300_000, "maxDataPoints": 500}
    body = {"queries": [asked], "from": str(now - HOURS * 3_600_000), "to": str(now)}
    result = fetch(grafana, "/api/ds/query", body)["results"][target["refId"]]
    assert "error" not in result, result
    return [
        {
            field["name"]: values
            for field, values in zip(frame["schema"]["fields"], frame["data"]["values"], strict=True)
        }
        for frame in result["frames"]
    ]


def by_proxy(grafana: servers.Grafana, query: str, _: dict[str, Any]) -> list[Columns]:
    """Ask as Grafana's page does, which fills in the time before it asks."""
    now = int(time.time() * 1000)
    filled = chosen(query).replace("$timeFilter", f"time >= {now - HOURS * 3_600_000}ms and time <= {now}ms")
    words = urllib.parse.urlencode({"db": "gocche", "q": filled.replace("$__interval", "5m"), "epoch": "ms"})
    (result,) = fetch(grafana, f"/api/datasources/proxy/uid/gocche/query?{words}")["results"]
    assert "error" not in result, result
    return [
        {
            name: list(values)
            for name, values in zip(series["columns"], zip(*series["values"], strict=True), strict=True)
        }
        for series in result.get("series", [])
    ]


def together(series: list[Columns]) -> Columns:
    """Return the series as one table."""
    columns: Columns = {}
    for name, values in (item for each in series for item in each.items()):
        columns.setdefault(name, []).extend(values)
    return columns


def chosen(query: str) -> str:
    """Fill in the variables as "All" does."""
    for name in ("gateway", "channel", "zone", "hamlet"):
        query = query.replace(f"${name}", ".*")
    return query


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        said = pytest.fail if os.environ.get("GOCCHE_REQUIRE_SERVERS") == "1" else pytest.skip
        said("chromium absent: apt-get install chromium")

    from playwright.sync_api import sync_playwright

    with sync_playwright() as engine, engine.chromium.launch(executable_path=program, args=["--no-sandbox"]) as browser:
        yield browser


def opened(
    chromium: Browser,
    grafana: servers.Grafana,
    made: dict[str, Any],
    width: int = 1600,
    asked_of: list[str] | None = None,
) -> Page:
    """Open a board, high enough for all of it: Grafana draws only what can be seen. On a phone panels stand alone."""
    places = [panel["gridPos"] for panel in made["panels"]]
    rows = max(place["y"] + place["h"] for place in places) if width > 768 else sum(place["h"] for place in places)
    size = {"width": width, "height": rows * 38 + 80}
    context = chromium.new_context(viewport=size, locale="vi-VN")
    assert context.request.post(f"{grafana.url}/login", data={"user": "admin", "password": "admin"}).ok
    page = context.new_page()
    page.on("request", lambda asked: asked_of.append(asked.url)) if asked_of is not None else None
    page.goto(f"{grafana.url}/d/{made['uid']}/?kiosk")
    wait_for_panels(page, len(panels_of(made)))
    return page


def kept(page: Page, name: str, folder: Path) -> None:
    """Keep the picture of a board."""
    page.screenshot(path=Path(os.environ.get("GOCCHE_IMG") or folder) / name)


@pytest.mark.parametrize(("width", "name"), [(1600, "board-fire-desktop.png"), (390, "board-fire-phone.png")])
def test_a_browser_shows_fire_on_a_desk_and_on_a_phone(
    chromium: Browser, grafana: servers.Grafana, tmp_path: Path, width: int, name: str
) -> None:
    page = opened(chromium, grafana, FIRE, width)
    kept(page, name, tmp_path)
    seen = page.inner_text("body")
    empty = page.locator(".react-grid-item", has_text="No data").all_inner_texts()
    faults = page.locator('[aria-label="Panel status"], [data-testid*="Panel status error"]').count()
    marks = page.locator('[data-testid="data-testid annotation-marker"]')
    times = marks.count()
    marks.last.hover()  # of those that lie over each other on a phone, the one on top
    page.get_by_text("Sự việc 7:").first.wait_for()
    wide = page.evaluate("document.documentElement.scrollWidth")
    page.context.close()
    assert all("what is missing now and why (empty: nothing)" in panel for panel in empty)
    assert faults == 0
    assert wide <= width
    assert times >= 3 * 6  # each stage in each course of what was measured
    assert times % 3 == 0
    for words in (f"{GATEWAY} · node-1", "\u03bcg/m³", "ppm", "cấp IV · level IV", "không có cấp · no level"):
        assert words in seen
    for claimed in (
        *CLAIM.values(),
        *(SIREN[code] for code in (0, 1, 2)),
    ):  # each in a bar or beside it, however narrow
        assert looks.both(*claimed) in seen


@pytest.mark.parametrize(("width", "name"), [(1600, "board-coverage-desktop.png"), (390, "board-coverage-phone.png")])
def test_a_browser_draws_the_map_and_asks_nobody_but_grafana_and_our_pages(
    chromium: Browser, grafana: servers.Grafana, site: str, tmp_path: Path, width: int, name: str
) -> None:
    asked: list[str] = []
    page = opened(chromium, grafana, COVERAGE, width, asked)
    page.wait_for_function(COLOURED, arg=5, timeout=30_000)
    kept(page, name, tmp_path)
    seen = page.inner_text("body")
    empty = page.locator(".react-grid-item", has_text="No data").all_inner_texts()
    faults = page.locator('[aria-label="Panel status"], [data-testid*="Panel status error"]').count()
    wide = page.evaluate("document.documentElement.scrollWidth")
    page.context.close()
    assert all("what is missing now and why (empty: nothing)" in panel for panel in empty)
    assert faults == 0
    assert wide <= width
    for words in ("Háng Tày", "tốt · good", "yếu · weak", "không có sóng · no signal", "Chế Tạo"):
        assert words in seen
    origins = {"/".join(url.split("/")[:3]) for url in asked if not url.startswith(("data:", "blob:"))}
    assert origins == {grafana.url, site}, "nobody else learns who looks at the map"
    assert {url for url in asked if url.startswith(site)} == {f"{site}/phu-song.geojson"}


# Tells whether the map has so many different colours: hexagons of several classes, and not only dots.
COLOURED = """count => {
    const canvas = [...document.querySelectorAll('.ol-layer canvas')]
    const colours = new Set()
    for (const each of canvas) {
        const {data} = each.getContext('2d').getImageData(0, 0, each.width, each.height)
        for (let at = 0; at < data.length; at += 4 * 7) {
            const [r, g, b, alpha] = data.slice(at, at + 4)
            if (alpha > 100 && alpha < 160) colours.add([r >> 5, g >> 5, b >> 5].join())
        }
    }
    return colours.size >= count
}"""


def test_a_browser_shows_every_panel(chromium: Browser, grafana: servers.Grafana, tmp_path: Path) -> None:
    page = opened(chromium, grafana, GARDEN)
    kept(page, "board.png", tmp_path)
    seen = page.inner_text("body")
    empty = page.locator(".react-grid-item", has_text="No data").all_inner_texts()
    faults = page.locator('[aria-label="Panel status"], [data-testid*="Panel status error"]').count()
    missing = cells(page, "what is missing now")
    page.context.close()
    assert all("what is missing now and why (empty: nothing)" in panel for panel in empty)
    assert faults == 0
    for words in ("29.0%", "khô hạn · dry", "có sóng · registered", "đang nối · online"):
        assert words in seen
    assert "modem-che-tao · LTE RSRP" in seen
    assert "modem-che-tao · 5G SS-RSRP" not in seen
    # What is missing now and nothing else, whatever was missing an hour or a week ago.
    assert sorted(row[:5] for row in missing) == sorted(
        [GATEWAY, channel, looks.title(quantity), *words] for (channel, quantity), words in MISSING_NOW.items()
    )


def cells(page: Page, title: str) -> list[list[str]]:
    """Return the cells of the tables whose titles have these words, row by row, without headers."""
    rows = page.locator(".react-grid-item", has_text=title).get_by_role("row").all()
    texts = [[cell.inner_text() for cell in row.get_by_role("cell").all()] for row in rows]
    return [row for row in texts if row]


def wait_for_panels(page: Page, count: int) -> None:
    """Wait until every panel shows more than its title and none is loading, as long as a busy machine may take."""
    drawn = """count => {
        const panels = [...document.querySelectorAll('[data-testid^="data-testid Panel header"]')]
        const title = panel => panel.querySelector('h6').title
        const shows = panel => panel.querySelector('canvas') || panel.innerText.trim() !== title(panel)
        const loading = document.querySelector('[aria-label="Panel loading bar"]')
        return panels.length === count && panels.every(shows) && !loading
    }"""
    page.wait_for_function(drawn, arg=count, timeout=60_000)
    page.wait_for_load_state("networkidle")
