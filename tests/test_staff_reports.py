"""What people report, on the staff's page: who may read it, who may judge it, and what becomes of numbers and names."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from cloud.access.book import NAME as ACCOUNTS
from cloud.registry.forget import Known
from cloud.registry.people import ACCESS
from cloud.reports.book import NAME, Book
from cloud.reports.forget import forget, reports
from cloud.reports.read import judged, waiting
from cloud.reports.report import Place, Report
from cloud.staff.day.today import Today
from tests.staffroom import StaffWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PHONE = "0912 345 678"
PATH = "/tin-bao"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StaffWorld]:
    made = StaffWorld(tmp_path)
    yield made
    made.close()


def put(world: StaffWorld, key: str, kind: str = "signal", lat: float = 21.7, **more: Any) -> int:
    with Book(world.folder / NAME) as book:
        one = Report(key=key, kind=kind, lat=lat, lon=104.0, text=more.pop("text", "mất sóng"), phone=PHONE, **more)
        return book.put(one, Place("hamlet:h01", "h01"), world.clock.utc_ms()).id


@pytest.mark.parametrize("role", [*ACCESS, ""])
def test_who_reads_and_who_judges(world: StaffWorld, role: str) -> None:
    number = put(world, "a")
    browser = world.visitor(role)
    page = browser.get(PATH)
    reads, judges = role in ("officer", "moderator", "admin"), role in ("moderator", "admin")
    assert (page.status_code == 200) == reads
    assert (PHONE in page.text) == reads
    assert ("Đúng là có việc ấy" in page.text) == judges
    answer = browser.post(PATH, _from="/", what="confirmed", report=str(number)) if role else None
    assert (answer is not None and answer.status_code == 303) == judges
    assert bool(judged(world.folder / NAME, 9)) == judges


def test_a_judgement_needs_a_reason_is_kept_with_who_and_shows_no_number_to_the_reporter(world: StaffWorld) -> None:
    first, other, fire = put(world, "a"), put(world, "b", lat=21.9), put(world, "c", "fire", text="khói")
    lan = world.visitor("moderator")
    page = lan.get(PATH).text
    assert page.index("khói") < page.index("mất sóng"), "fires first"
    assert "Cháy thật hay không" in page
    bare = lan.post(PATH, what="rejected", report=str(first))
    assert bare.status_code == 422
    assert "Viết một câu vì sao" in bare.text
    assert lan.post(PATH, what="duplicate", report=str(first), of=str(fire), reason="x").status_code == 422
    assert lan.post(PATH, what="duplicate", report=str(first), of=str(other), reason="một việc").status_code == 303
    assert lan.post(PATH, what="rejected", report=str(other), reason="Sử 0912.345.678 đã xem\x00").status_code == 303
    assert lan.post(PATH, what="confirmed", report=str(other)).status_code == 409
    for bad in ({"report": "999"}, {"report": "x"}, {"what": "party"}, {"report": str(first)}):
        assert lan.post(PATH, **({"what": "confirmed", "report": str(fire)} | bad)).status_code in (404, 409)
    (last, who), (before, _) = judged(world.folder / NAME, 9)
    assert (last.state, last.reason, last.n, who) == ("rejected", "Sử […] đã xem", 2, "moderator")
    assert before.state == "duplicate"
    assert [one.id for one in waiting(world.folder / NAME, 9)] == [fire]
    world.today = Today(world.clock.utc_ms(), [], [])
    assert "1 tin báo của người dân chờ xem" in lan.get("/").text
    assert "chờ xem" not in world.visitor("viewer").get("/").text


def test_a_book_that_is_not_there_or_takes_nothing_stops_no_screen(world: StaffWorld) -> None:
    lan = world.visitor("moderator")
    assert "Không có tin báo nào chờ xem" in lan.get(PATH).text
    number = put(world, "a")
    with closing(sqlite3.connect(world.folder / NAME)) as held:
        held.execute("BEGIN EXCLUSIVE")
        assert lan.get("/").status_code == 200
        assert lan.post(PATH, _from="/", what="confirmed", report=str(number)).status_code == 503
    assert lan.post(PATH, what="confirmed", report=str(number)).status_code == 303


def test_somebody_who_is_erased_stands_in_no_report(world: StaffWorld) -> None:
    put(world, "a", text="Hàng A Pủ thấy")
    put(world, "b", lat=21.9, text="của người khác")
    path = world.folder / NAME
    with Book(path) as book:
        book.judge(2, "rejected", "Hàng A Pủ đã xem", "p7", 5)
    who = Known("p7", frozenset({"Hàng A Pủ"}), frozenset({"+84912345678", "pu@example.vn"}))
    assert [one.get("text") or one.get("what") for one in reports(path, who)] == [
        "Hàng A Pủ thấy", "của người khác", "rejected",
    ]  # fmt: skip
    assert forget(path, who, "an-x", dry=True)["event"] == 3
    assert len(reports(path, who)) == 3
    forget(path, who, "an-x", dry=False)
    assert reports(path, who) == []
    kept = b"".join(file.read_bytes() for file in world.folder.glob(f"{NAME}*"))
    assert "Hàng A Pủ".encode() not in kept
    assert PHONE.encode() not in kept
    assert judged(path, 9)[0][1] == "an-x"


def test_a_fire_that_was_told_twice_is_told_no_third_time_when_the_desk_makes_it_one(world: StaffWorld) -> None:
    first, again = put(world, "a", "fire"), put(world, "b", "fire", lat=21.9)
    lan = world.visitor("moderator")
    with Book(world.folder / NAME) as book:
        for one in book.untold():
            book.told(one.id, one.n)
        assert lan.post(PATH, what="confirmed", report=str(first)).status_code == 303
        assert f'<option value="{first}">' in lan.get(PATH).text, "it may be one with what was confirmed"
        assert lan.post(PATH, what="duplicate", report=str(again), of=str(first), reason="một đám").status_code == 303
        assert book.untold() == []
        put(world, "c", "fire")
        assert [(one.id, one.n) for one in book.untold()] == [(first, 3)], "more people are news"


@pytest.mark.parametrize(("file", "path"), [(NAME, PATH), (ACCOUNTS, "/dien-thoai")])
def test_a_book_of_a_newer_gocche_stops_its_own_screen_and_says_so(world: StaffWorld, file: str, path: str) -> None:
    with closing(sqlite3.connect(world.folder / file)) as newer:
        newer.execute("PRAGMA user_version = 99")
    admin = world.visitor("admin")
    assert (admin.get("/").status_code, admin.get(path).status_code) == (200, 503)
