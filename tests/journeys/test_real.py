"""The whole way on real servers: Mosquitto, InfluxDB 1.8 and 2.7, Grafana, and a browser in front of it.

The number on the tree's page, in its .json, in InfluxDB and on the Grafana board is one and the same, and it was
served on a pseudo-terminal. Pictures are kept in the folder GOCCHE_IMG, where that is set.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from base64 import b64encode
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloud.panels.board import UID, board
from cloud.panels.export import export
from tests import servers
from tests.conftest import need
from tests.journeys.world import GENERATION, SERVERS, TREE, World
from tests.servers import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.journey, pytest.mark.mosquitto, pytest.mark.influx, pytest.mark.timeout(400)]

BOUND_S = 60.0
ADMIN = {"Authorization": "Basic " + b64encode(b"admin:admin").decode()}
PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2}
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PAGES = {"tree": f"/T/{TREE}", "index": "/", "coverage": "/phu-song"}
PINNED = 31.7  # a soil moisture that the walk does not stay at


@pytest.fixture(params=["influx1", "influx2"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    need(servers.MOSQUITTO)
    need(SERVERS[request.param])
    with World(tmp_path, engine=request.param, broker="mosquitto", unique=False) as made:
        made.write_devices(1.0, commit_s=0.5, batch_s=1.0, resend_s=2.0)
        made.write_cloud()
        made.tell(pace=0.5, soil_2={"silent": True})  # a board that has nothing missing shows less
        made.start()
        yield made


def test_one_number_everywhere(world: World, tmp_path: Path) -> None:
    until(world.figure, BOUND_S, "a soil moisture on the tree's page")
    soil = same_everywhere(world)
    until(lambda: world.figure().get("time", soil["time"]) != soil["time"], BOUND_S, "it moves")
    again = same_everywhere(world)
    assert datetime.fromisoformat(again["time"]) > datetime.fromisoformat(soil["time"])
    world.tell(pace=0.5, soil_1={"soil_moisture": PINNED}, modem={"radio": "sa"})
    until(lambda: world.figure().get("value") == PINNED, BOUND_S, "the pinned value on the page")
    seen_by_people(world, tmp_path)
    world.drain()
    (account,) = world.audit()
    assert account["unknown"] == account["quarantined"] == account["declared"] == 0
    print(f"\n{world.engine}: acquired={account['acquired']} stored={account['stored']} unknown=0", end="")


def same_everywhere(world: World) -> dict[str, Any]:
    """Return the figure of the .json after finding it on the page, in InfluxDB, and among what was served."""
    found: list[dict[str, Any]] = []

    def one_moment() -> bool:
        figure = world.figure()
        page = world.ask(f"/T/{TREE}")[1].decode()
        found.append(figure)
        at = page.find("<h4>Độ ẩm đất")
        tile = page[at : page.find("</li>", at)]
        if world.figure() != figure or f'datetime="{figure["time"]}"' not in tile:
            return False  # a page is kept for a second: it may be of the moment before
        assert f"{figure['value']:.1f}".replace(".", ",") in tile
        return True

    until(one_moment, BOUND_S, "page and .json of one moment")
    figure = found[-1]
    at_ms = round(datetime.fromisoformat(figure["time"]).timestamp() * 1000)
    until(lambda: in_influx(world, at_ms) == [figure["value"]], BOUND_S, f"{figure} in InfluxDB")
    told = [json.loads(line) for line in world.log.read_text().splitlines() if line]
    near = [one["values"].get("soil_moisture") for one in told if abs(one["t_ms"] - at_ms) < 1000]
    assert figure["value"] in near
    return figure


def in_influx(world: World, at_ms: int) -> list[float]:
    """Ask the database itself, without our store, for what it has of that millisecond."""
    span = f"time >= {at_ms}000000 AND time < {at_ms + 1}000000"
    query = f"SELECT soil_moisture FROM reading WHERE \"channel\" = 'soil-1' AND {span}"
    assert world.database is not None
    reply: Any = world.database.query(query, "gocche")
    return [row[1] for series in reply["results"][0].get("series", []) for row in series["values"]]


def seen_by_people(world: World, tmp_path: Path) -> None:
    """Look at pages and board as people do, where a browser and Grafana are here; keep pictures."""
    chromium = shutil.which("chromium")
    if chromium is None:
        words = "Chromium absent: make servers, or apt-get install chromium"
        (pytest.fail if os.environ.get("GOCCHE_REQUIRE_SERVERS") == "1" else pytest.skip)(words)
    need(servers.GRAFANA)
    from playwright.sync_api import sync_playwright

    pictures = Path(os.environ.get("GOCCHE_IMG") or tmp_path)
    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            if world.engine == "influx1":
                pages(browser, world, pictures)
            grafana(browser, world, pictures / f"board-{world.engine}.png")
        finally:
            browser.close()


def pages(browser: Browser, world: World, pictures: Path) -> None:
    for size, options in (("phone", PHONE), ("desktop", DESKTOP)):
        page = browser.new_context(locale="vi-VN", java_script_enabled=False, **options).new_page()  # type: ignore[arg-type]
        for name, path in PAGES.items():
            page.goto(f"http://127.0.0.1:{world.http}{path}")
            if name == "tree":
                assert f"{PINNED} %".replace(".", ",") in page.inner_text("main")
            page.screenshot(path=pictures / f"{name}-{size}.png", full_page=True)


def grafana(browser: Browser, world: World, picture: Path) -> None:
    """Show the exported board in a real Grafana, and find the number on it."""
    assert world.database is not None
    server = servers.Grafana(world.folder / "grafana")
    export(server.provisioning, url=world.database.url, generation=GENERATION[world.engine])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GOCCHE_INFLUX_TOKEN", servers.InfluxD2.token)
        with server:
            provisioned = f"{server.url}/api/dashboards/uid/{UID}"
            until(lambda: servers.ask(provisioned, headers=ADMIN)[0] == 200, BOUND_S, "Grafana has read the board")
            panels = [panel for panel in board()["panels"] if panel["type"] != "row"]
            rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
            size = {"width": 1600, "height": rows * 38 + 80}  # Grafana draws only what can be seen
            page = browser.new_context(viewport=size, extra_http_headers=ADMIN, locale="vi-VN").new_page()  # type: ignore[arg-type]
            page.goto(f"{server.url}/d/{UID}/?kiosk&from=now-5m&to=now")
            drawn(page, len(panels))
            page.screenshot(path=picture)
            seen = page.inner_text("body")
            assert f"{PINNED}%" in seen
            may_be_empty = [panel for panel in panels if "trống: không thiếu" in panel["title"]]
            assert seen.count("No data") < len(may_be_empty), "soil-2 is silent; every other panel has figures"
            assert page.locator('[aria-label="Panel status"], [data-testid*="Panel status error"]').count() == 0


def drawn(page: Page, panels: int) -> None:
    """Wait until every panel has its title and none is loading, as long as a busy machine may take."""
    titled, loading = '[data-testid^="data-testid Panel header"]', '[aria-label="Panel loading bar"]'
    count = f"document.querySelectorAll('{titled}').length === {panels}"
    page.wait_for_function(f"() => {count} && !document.querySelector('{loading}')", timeout=60_000)
    page.wait_for_load_state("networkidle")
    time.sleep(0.5)  # the last frame of an animation
