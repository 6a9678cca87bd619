"""A year of the sample by hours, through the staff's pages: no answer keeps anybody waiting, all say how far it is."""

from __future__ import annotations

import io
import re
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from openpyxl import load_workbook

from cloud.clock import hanoi
from cloud.store import open_store
from gocche.garden.past import SERIES, invent
from tests.build import batch
from tests.staffroom import NOW_MS, Browser, StaffWorld
from tests.test_staff_data import lines, link

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.journey, pytest.mark.usefixtures("budget")]
BUDGET_S = 180
LEFT_OUT = {"pm2_5", "wind_speed", "dew_point"}  # a page has so many lines and no more
LINES = sum(quantity not in LEFT_OUT for _, quantity in SERIES)
ONE_S = 2.0  # a second, on a machine that may do much else


@pytest.fixture
def world(tmp_path: Any) -> Iterator[StaffWorld]:
    store = open_store({"engine": "sqlite"}, writer=True, folder=tmp_path)
    store.setup()
    invent(store, NOW_MS)
    rows: dict[str, dict[str, Any]] = {}
    for channel, quantity in SERIES:
        rows.setdefault(channel, {})[quantity] = 20.0 if quantity not in {"soil_ph", "air_pressure"} else 5.0
    rows["weather-1"]["air_pressure"] = 900.0
    told: list[Any] = [{channel: values} for channel, values in rows.items()]
    store.commit([batch(start_ms=NOW_MS - 60_000, rows=told, now_ms=NOW_MS)], NOW_MS)
    made = StaffWorld(tmp_path, store=store)
    yield made
    made.close()
    store.close()


def timed(browser: Browser, path: str) -> tuple[Any, list[float], set[int]]:
    """Return the answer that waits no more, how long each took, and the per cents that were shown meanwhile."""
    took, seen = [], set()
    while True:
        begun = time.monotonic()
        answer = browser.get(path)
        took.append(time.monotonic() - begun)
        if "refresh" not in answer.headers:
            return answer, took, seen
        assert "<progress" in answer.text
        seen |= {int(one) for one in re.findall(r"<b>(\d+) %</b>", answer.text)}


def test_year_of_many_lines_says_how_far_it_is_and_comes_whole(
    world: StaffWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    last = hanoi(NOW_MS).date()
    names = "&".join(f"dl={quantity}" for quantity in sorted({quantity for _, quantity in SERIES} - LEFT_OUT))
    places = "noi=zone:z01&noi=tree:7K3MQP&noi=tree:4TN8WJ"
    path = f"/so-lieu?{places}&{names}&tu={last - timedelta(365)}&den={last}"
    browser = world.visitor("viewer")
    page, took, seen = timed(browser, path)
    assert page.status_code == 200
    assert page.text.count('<section class="card">') == LINES
    told, of_csv, _ = timed(browser, link(page.text, "csv"))
    book, of_xlsx, _ = timed(browser, link(page.text, "xlsx"))
    _, _, rows = lines(told.content)
    sheet = load_workbook(io.BytesIO(book.content), read_only=True)["so-lieu"]
    assert len(rows) == 366 * 24
    assert sum(1 for _ in sheet.iter_rows()) == len(rows) + 1
    assert len(took) == 1 or seen
    assert max(took + of_xlsx) < ONE_S
    with capsys.disabled():
        print(f"\na year of {LINES} lines: page {sum(took):.1f} s, CSV {sum(of_csv):.1f} s, XLSX {sum(of_xlsx):.1f} s")
