"""What the community's teams did: by effort, of teams alone; a table for others that names nobody."""

from __future__ import annotations

import csv
import io
import re
from datetime import date
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from cloud.coverage.book import NAME, Book
from cloud.coverage.sample import SERVED, Sample
from cloud.pages.app import build
from cloud.pages.score import Period, checks, scores
from cloud.registry import Registry
from cloud.registry.kinds import Tag, Team
from cloud.reports.book import NAME as REPORTS
from cloud.reports.book import Book as Reports
from cloud.reports.door import Door
from cloud.reports.read import Answered
from cloud.reports.report import Place, Report
from tests.visitors import MODEM, NOW_MS, Visitor, World

if TYPE_CHECKING:
    from pathlib import Path

TODAY = date(2025, 11, 23)
HOUR_MS = 3_600_000
SINCE = date(2025, 1, 1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    teams = [
        Team(code="hang-tay", name="Đội Háng Tày", hamlet="h01", valid_from=SINCE),
        Team(code="pu-va", name="=Đội Pú Vá", hamlet="h03", valid_from=SINCE),
        Team(code="old", name="Đội cũ", hamlet="h02", valid_from=SINCE, valid_to=date(2025, 6, 1)),
    ]
    made.registry = with_rows(made.registry, team=teams)
    return made


def with_rows(registry: Registry, **rows: list[Any]) -> Registry:
    return Registry({kind: list(own) for kind, own in registry._records.items()} | rows)


def test_ranks_are_by_effort_and_who_did_as_much_has_the_same(world: World) -> None:
    tree = msgspec.structs.replace(world.registry.trees["7K3MQP"], lat=21.7212, lon=104.0021)
    tags = [
        Tag(code="EQ5R7X", state="bound", tree=tree.code, checked_on=date(2025, 11, 3)),
        Tag(code="4TN8WJ", state="bound", tree=tree.code, checked_on=date(2025, 10, 3)),
    ]
    registry = with_rows(world.registry, tag=tags, tree=[tree])
    efforts = [("hang-tay", 202511, 3), ("hang-tay", 202509, 10), ("pu-va", 202511, 5), ("stranger", 202511, 99)]
    answers = [
        Answered("h01", NOW_MS - 9 * HOUR_MS, NOW_MS - 7 * HOUR_MS), Answered("h01", NOW_MS - 5 * HOUR_MS, None),
        Answered("h03", NOW_MS - 90 * 24 * HOUR_MS, NOW_MS - 90 * 24 * HOUR_MS + HOUR_MS),
    ]  # fmt: skip
    heard = {"h01": {date(2025, 11, 1), date(2025, 11, 2), date(2025, 10, 9)}}
    first, second = scores(registry, TODAY, Period(202511), efforts, answers, heard, checks(registry, TODAY))
    assert (first.code, first.rank, first.cells, first.tags, first.answered, first.reports) == (
        "hang-tay", 1, 3, 1, 1, 2,
    )  # fmt: skip
    assert (first.median_h, first.days) == (2.0, 2)
    assert (second.code, second.rank, second.cells, second.median_h) == ("pu-va", 1, 5, None), "five of work each"
    whole = {
        one.code: one for one in scores(registry, TODAY, Period(0), efforts, answers, None, checks(registry, TODAY))
    }
    assert (whole["hang-tay"].cells, whole["hang-tay"].tags, whole["hang-tay"].days) == (13, 2, None)
    assert whole["pu-va"].answered == 1
    assert "old" not in whole


def test_the_board_from_real_files_and_its_table_name_no_person(world: World, tmp_path: Path) -> None:
    world.tell({"modem-hang-tay": MODEM})
    book = Book(tmp_path / NAME)
    book.put(
        [
            Sample(
                time_ms=NOW_MS - 60_000 * k, lat=21.72 + 0.02 * k, lon=104.0, source="phone", by="hang-tay",
                service=SERVED, plmn=452004,
            )
            for k in range(1, 5)
        ],
        NOW_MS,
    )  # fmt: skip
    book.close()
    with Reports(tmp_path / REPORTS) as reports:
        one = reports.put(
            Report(key="k", kind="signal", text="0912345678", phone="0912345678"), Place("", "h01"), NOW_MS
        )
        reports.judge(one.id, "confirmed", "", "lan", NOW_MS + HOUR_MS)
    door = Door(tmp_path / REPORTS, world.clock)
    asks = Visitor(build(world.garden(surveyed=tmp_path / NAME, reports=door)))
    page = asks.get("/doi")
    assert page.status_code == 200
    text = " ".join(re.sub(r"<[^>]+>", " ", page.text).split())
    assert "1. Đội Háng Tày Háng Tày 4 0 1/1 giữa: 1,0 giờ 1" in text
    assert "Tháng 11/2025" in text
    assert "Từ đầu đến nay" in text
    table = asks.get("/doi.csv")
    assert table.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(table.text.removeprefix("\ufeff"))))
    counted = {(one["period"], one["team"]): one["cells_measured"] for one in rows}
    assert {key for key, cells in counted.items() if cells == "4"} == {("2025-11", "hang-tay"), ("all", "hang-tay")}
    assert len(counted) == 6
    assert {one["name"] for one in rows} == {"Đội Háng Tày", "'=Đội Pú Vá"}, "no formula"
    for told in (page.text, table.text):
        assert "0912345678" not in told
        assert "lan" not in re.findall(r"[a-z]+", told.partition("<main")[2])


def test_files_that_cannot_be_read_leave_a_board_that_says_so(world: World, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"no book" * 2000)
    asks = Visitor(build(world.garden(surveyed=tmp_path / NAME)))
    assert "Có phần lúc này không đếm được" in asks.get("/doi").text
    world.registry = with_rows(world.registry, team=[])
    assert "Chưa có đội nào trong sổ" in Visitor(build(world.garden())).get("/doi").text


def test_what_a_modem_said_while_it_hung_elsewhere_is_no_day_of_the_hamlet(world: World) -> None:
    world.tell({"modem-hang-tay": MODEM})
    here, rest = (
        [one for one in world.registry.bindings if (one.channel == "modem-hang-tay") == own] for own in (True, False)
    )
    gone = [msgspec.structs.replace(one, valid_to=TODAY) for one in here]
    moved = [msgspec.structs.replace(one, code="h03", valid_from=TODAY) for one in here]
    days = {}
    for name, bound in (("here", here), ("moved", [*moved, *gone])):
        world.registry = with_rows(world.registry, binding=[*bound, *rest])
        told = Visitor(build(world.garden())).get("/doi.csv").text.removeprefix("\ufeff")
        rows = csv.DictReader(io.StringIO(told))
        days[name] = {one["team"]: one["days_heard"] for one in rows if one["period"] == "all"}
    assert days == {"here": {"hang-tay": "1", "pu-va": "0"}, "moved": {"hang-tay": "0", "pu-va": "1"}}


def test_two_years_are_counted_once_and_then_the_last_month_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for days in (140, 60, 20):
        world.tell({"modem-hang-tay": MODEM}, age_s=days * 86_400)
    asks, spans = world.store.each_hourly, []

    def asked(wanted: Any, start_ms: int, end_ms: int) -> Any:
        spans.append(round((end_ms - start_ms) / (24 * HOUR_MS)))
        return asks(wanted, start_ms, end_ms)

    monkeypatch.setattr(world.store, "each_hourly", asked)
    visitor, counted = Visitor(build(world.garden())), []
    for _ in range(2):
        rows = csv.DictReader(io.StringIO(visitor.get("/doi.csv").text.removeprefix("\ufeff")))
        counted += [one["days_heard"] for one in rows if (one["period"], one["team"]) == ("all", "hang-tay")]
        world.clock.now_ms += 3_600_000
        world.tell({"modem-hang-tay": MODEM}, age_s=86_400)
    assert counted == ["3", "4"]
    assert spans == [731, 32], "the database works for seconds once, not for every visitor"
