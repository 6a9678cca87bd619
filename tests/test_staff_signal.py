"""Lost service on the staff's pages: called what it is, with why, apart from what may burn; the history is by kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cloud.registry.kinds import Binding
from tests.dutyroom import DutyWorld
from tests.rules.garden import DAY, SIGNAL, SILENT, SMOKE, batch
from tests.test_staff_duty import plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRE_WORDS = ("cháy", "khói", "fire", "smoke")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[DutyWorld]:
    """A hamlet without service, then its gateway silent: nothing that burns."""
    hung = Binding(gateway="sg-07", channel="modem-1", place="hamlet", code="h01", valid_from=DAY, way_out=True)
    made = DutyWorld(tmp_path, rows=[hung], rules=(SMOKE, SIGNAL, SILENT))
    bench = made.bench
    for n in range(20):
        bench.clock.advance(20)
        code = 1.0 if n < 5 else 2.0
        told = batch(bench.seq, [(bench.clock.utc_ms(), code)], quantity="registration", channel="modem-1",
                     gateway="sg-07")  # fmt: skip
        bench.seq += 1
        bench.alerts.offer(told, bench.clock.utc_ms())
        bench.step()
    yield made
    made.close()


def _card(page: str) -> str:
    """Return what a page says of its incident: not its menu."""
    return plain(page.partition("<main")[2].partition("</main")[0]).lower()


def test_lost_service_is_called_so_and_has_no_word_of_fire(world: DutyWorld) -> None:
    officer = world.visitor("officer")
    page = _card(officer.get("/truc/1").text)
    assert "sóng di động: đang xảy ra" in page
    assert "bắt đầu: mất hoặc kém sóng" in page
    assert "nghi cháy" not in page
    assert 'class="fire-card"' in officer.get("/truc/1").text
    story = page.partition("tải lại")[2].partition("diễn biến")[0]  # behind the link to the board
    assert not [word for word in FIRE_WORDS if word in story], story


def test_the_history_is_by_kind(world: DutyWorld) -> None:
    officer = world.visitor("officer")
    assert "Không có." in plain(officer.get("/truc/lich-su").text)
    past = plain(officer.get("/truc/lich-su?loai=service").text)
    assert "Sóng di động: đang xảy ra" in past
    assert "số 1" in past
    assert "Không có." in plain(officer.get("/truc/lich-su?loai=upkeep").text)
    assert "Không có." in plain(officer.get("/truc/lich-su?loai=nonsense").text), "what is not understood is left out"


def test_the_page_of_a_silent_gateway_says_why_as_far_as_is_known(world: DutyWorld) -> None:
    bench = world.bench
    bench.alerts.lives("sg-08", "b0", 900_000)
    bench.alerts.heard("sg-08", bench.clock.utc_ms())
    bench.alerts.stopped("sg-08", bench.clock.utc_ms())
    bench.idle(400)
    officer = world.visitor("officer")
    (silent,) = [one for one in bench.alerts.incidents() if one.gateway == "sg-08"]
    page = _card(officer.get(f"/truc/{silent.id}").text)
    assert "thiết bị: đang xảy ra" in page
    assert "vì sao: trạm được tắt theo lệnh: trạm báo tắt lúc" in page
