"""Who is on duty, what may burn and what always smokes: tables of the registry, and the channels that people choose."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from cloud.clock import HANOI
from cloud.registry import Registry
from cloud.registry.book import Book
from cloud.registry.cells import Bad
from cloud.registry.fire import OfficialLevel
from cloud.registry.forget import dossier, forget, known
from cloud.registry.kinds import (
    BurnPermit,
    Commune,
    Duty,
    KnownSource,
    Person,
    Record,
    Zone,
    key_of,
)
from cloud.registry.rows import read, write
from cloud.registry.sheets import comma
from cloud.registry.transfer import load
from cloud.staff.entrance.access import WRITE
from tests.staffroom import StaffWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SINCE = date(2026, 1, 1)
PUBLIC = ("known_source", "official_level")
LAN = Person(code="lan", name="Lan", email="lan@example.org", ways={"life": ("sms", "zalo"), "danger": ()})
ON_DUTY = Duty(person="lan", rung="hamlet", hamlet="h01", valid_from=SINCE)
PERMIT = {
    "code": "b1", "holder": "Sử", "lat": "21.7", "lon": "104.0", "starts": "2026-03-10T08:00",
    "ends": "2026-03-10T17:00",
}  # fmt: skip
KILN = {
    "code": "s1", "name_vi": "Lò", "name_en": "Kiln", "lat": "21.7", "lon": "104.0", "clock_from": "21:00",
    "clock_to": "05:30", "valid_from": "2026-01-01",
}  # fmt: skip

PUBLISHED = {
    "place": "province", "code": "v01", "level": "IV", "source": "FireWatch", "valid_from": "2026-03-10",
    "valid_to": "2026-03-12",
}  # fmt: skip


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StaffWorld]:
    made = StaffWorld(tmp_path, ways=[("sms", "webhook")])
    yield made
    made.close()


FAULTS = [
    (Duty, {"person": "lan", "rung": "king", "valid_from": "2026-01-01"}, "'king' is none of"),
    (Duty, {"person": "lan", "rung": "hamlet"}, "valid_from is blank"),
    (BurnPermit, PERMIT | {"ends": "2026-03-17T08:01"}, "too far away: 7 days at most"),
    (BurnPermit, PERMIT | {"ends": "2026-03-10T08:00"}, "not after"),
    (BurnPermit, PERMIT | {"radius_m": "5001"}, "from 1 to 5000"),
    (BurnPermit, PERMIT | {"lat": "48.1"}, "outside Vietnam"),
    (KnownSource, KILN | {"radius_m": "1001"}, "from 1 to 1000"),
    (KnownSource, KILN | {"clock_to": "21:00"}, "is when it begins, too"),
    (OfficialLevel, PUBLISHED | {"level": "4"}, "'4' is none of: I, II, III, IV, V"),
    (OfficialLevel, PUBLISHED | {"source": ""}, "source is blank"),
    (OfficialLevel, PUBLISHED | {"valid_to": ""}, "valid_to is blank"),
    (OfficialLevel, PUBLISHED | {"valid_to": "2026-04-11"}, "too far away: 31 days at most"),
    (OfficialLevel, PUBLISHED | {"valid_to": "2026-03-10"}, "not after"),
    (Person, {"code": "lan", "name": "Lan", "ways": "life"}, "must be kind:channel"),
    (Person, {"code": "lan", "name": "Lan", "ways": "life:SMS"}, "must be kind:channel"),
    (Person, {"code": "lan", "name": "Lan", "ways": "life:sms; life:zalo"}, "each kind once"),
    (Person, {"code": "lan", "name": "Lan", "ways": "fun:sms"}, "'fun' is none of: life, service, upkeep, danger"),
    (Person, {"code": "lan", "name": "Lan", "ways": "upkeep:email; life:"}, "nobody can turn off"),
]


@pytest.mark.parametrize(("struct", "cells", "words"), FAULTS)
def test_what_cannot_be_right_is_refused(struct: type[Record], cells: dict[str, str], words: str) -> None:
    with pytest.raises(Bad, match=re.escape(words)):
        read(struct, cells)


def test_what_is_right_is_read_and_written_back_as_it_was() -> None:
    permit = read(BurnPermit, PERMIT | {"ends": "2026-03-17T08:00", "radius_m": "5000"})
    assert isinstance(permit, BurnPermit)
    assert (permit.ends - permit.starts, permit.starts.utcoffset()) == (timedelta(7), timedelta(hours=7))
    assert (read(BurnPermit, PERMIT), write(read(BurnPermit, PERMIT))["radius_m"]) == (
        BurnPermit(
            code="b1", holder="Sử", lat=21.7, lon=104.0, starts=datetime(2026, 3, 10, 8, tzinfo=HANOI),
            ends=datetime(2026, 3, 10, 17, tzinfo=HANOI)
        ),
        "300",
    )  # fmt: skip
    person = read(Person, {"code": "lan", "name": "Lan", "ways": " upkeep:email ; life: sms  zalo sms;danger:"})
    assert isinstance(person, Person)
    assert person.ways == {"life": ("sms", "zalo"), "upkeep": ("email",), "danger": ()}
    assert write(person)["ways"] == "life:sms zalo; upkeep:email; danger:"
    assert read(Person, write(person)) == person


def test_a_known_source_smokes_in_its_hours_also_past_midnight() -> None:
    night = read(KnownSource, KILN)
    day = read(KnownSource, KILN | {"clock_from": "05:30", "clock_to": "21:00"})
    assert isinstance(night, KnownSource)
    assert isinstance(day, KnownSource)
    assert [night.smokes(minute) for minute in (1259, 1260, 1439, 0, 329, 330)] == [
        False,
        True,
        True,
        True,
        True,
        False,
    ]
    assert all(night.smokes(minute) != day.smokes(minute) for minute in range(1440))


def test_who_is_on_duty_is_told_without_a_role_and_others_once_for_each_role() -> None:
    both = Person(code="su", name="Sử", roles=("fire-watch", "operator"), email="su@example.org")
    rows = [
        ON_DUTY,
        Duty(person="lan", rung="commune", valid_from=SINCE),
        Duty(person="su", rung="ranger", valid_from=SINCE),
    ]
    registry = Registry({"person": [LAN, both, Person(code="x", name="X")], "duty": rows})
    assert [(one.code, one.role, one.ways) for one in registry.contacts] == [
        ("lan", "", LAN.ways),
        ("su", "fire-watch", {}),
        ("su", "operator", {}),
    ]
    assert [one.rung for one in registry.duties] == ["hamlet", "commune", "ranger"]
    assert [one.code for one in registry.unreached([("sms", "webhook")])] == ["lan", "su", "su"]
    hidden = Registry(
        {"duty": rows, "burn_permit": [read(BurnPermit, PERMIT)], "known_source": [read(KnownSource, KILN)]}
    )
    seen = hidden.public(SINCE)
    assert (seen.duties, seen.permits, len(seen.sources)) == ((), (), 1)


def test_the_tables_and_the_chosen_channels_come_back_from_files_as_they_went(
    tmp_path: Path, world: StaffWorld
) -> None:
    with world.shelf.act("test", "duty") as draft:
        draft.put([LAN, ON_DUTY, read(BurnPermit, PERMIT), read(KnownSource, KILN)])
    kinds = ("province", "commune", "hamlet", "zone", "person", "duty", "burn_permit", "known_source")
    with world.shelf.book() as book:
        rows = {kind: book.rows(kind) for kind in kinds}
    comma.write_folder(tmp_path / "out", rows)
    again = load(tmp_path / "out")
    assert again.problems == []
    assert {kind: list(again._records[kind]) for kind in kinds} == rows


def test_two_shifts_of_one_place_may_not_overlap_and_a_place_that_is_not_there_is_told(world: StaffWorld) -> None:
    browser = world.visitor("officer")
    fields = {"person": "p04", "rung": "hamlet", "hamlet": "h02", "valid_from": "2026-01-01", "seen": "0"}
    answer = browser.post("/bang/duties/luu", **fields)
    assert answer.status_code == 303, answer.text
    assert "Tổ bảo vệ rừng của thôn (mẫu)" in browser.get("/bang/duties").text
    later = browser.post("/bang/duties/luu", **fields | {"valid_from": "2026-02-01"})
    assert (later.status_code, "trùng thời gian" in later.text) == (422, True)
    other = browser.post("/bang/duties/luu", **fields | {"valid_from": "2026-02-01", "hamlet": "h03"})
    assert other.status_code == 303
    nowhere = browser.post("/bang/duties/luu", **fields | {"hamlet": "h99"})
    assert (nowhere.status_code, "không có trong bảng hamlet" in nowhere.text) == (422, True)
    gone = browser.post("/bang/people/xoa", k="p04", seen="0")
    assert gone.status_code == 403, "people are an administrator's"


def test_somebody_on_the_duty_list_whom_no_channel_reaches_is_doubted_on_both_pages(world: StaffWorld) -> None:
    browser, doubt = world.visitor("admin"), "Không kênh nào của máy chủ tới được người này"
    with world.shelf.act("test", "lan") as draft:
        draft.put([LAN])
    assert doubt not in browser.get("/bang/people/dong?k=lan").text
    answer = browser.post("/bang/duties/luu", person="lan", rung="hamlet", valid_from="2026-01-01", seen="0")
    assert doubt in browser.get(answer.headers["location"]).text
    assert doubt in browser.get("/bang/people/dong?k=lan").text
    with world.shelf.act("test", "a number") as draft:
        draft.put([Person(code="lan", name="Lan", addresses={"sms": "+84912345678"})])
    assert doubt not in browser.get("/bang/people/dong?k=lan").text
    assert doubt not in browser.get(answer.headers["location"]).text


@pytest.mark.parametrize(
    ("stem", "kind", "fields"),
    [
        ("duties", "duty", {"person": "p04", "rung": "ranger", "valid_from": "2026-01-01"}),
        ("burn_permits", "burn_permit", PERMIT),
        ("known_sources", "known_source", KILN),
        ("official_levels", "official_level", PUBLISHED | {"place": "zone", "code": "z01"}),
    ],
)
def test_an_officer_writes_what_a_fire_hangs_on_and_an_editor_only_what_is_no_secret(
    world: StaffWorld, stem: str, kind: str, fields: dict[str, str]
) -> None:
    for role in ("viewer", "editor", "officer", "moderator", "admin"):
        answer = world.visitor(role).post(f"/bang/{stem}/luu", seen="0", **fields)
        allowed = role in WRITE[kind]
        assert (answer.status_code != 403) == allowed, role
    listed = {role: world.visitor(role).get(f"/bang/{stem}").status_code for role in ("viewer", "editor", "officer")}
    assert listed == dict.fromkeys(listed, 200) if kind in PUBLIC else listed["viewer"] == 403


def test_a_duty_row_is_in_the_dossier_and_goes_with_its_person_from_the_past_too(world: StaffWorld) -> None:
    path = world.folder / "registry.db"
    permit = read(BurnPermit, PERMIT | {"holder": "Lan"})
    with world.shelf.act("Tên admin (admin)", f"duty lan hamlet  h01  {SINCE}") as draft:
        draft.put([LAN, ON_DUTY, permit])
    with world.shelf.act("Tên admin (admin)", "another shift") as draft:
        draft.remove("duty", key_of(ON_DUTY))
        draft.put([Duty(person="lan", rung="commune", valid_from=SINCE)])
    world.shelf.close()
    with Book(path, writer=False) as book:
        who = known(book, "lan")
        assert who is not None
        told: dict[str, Any] = dossier(book, who)
    assert [one["rung"] for one in told["duty"]] == ["commune"]
    assert [one["code"] for one in told["burn_permit"]] == ["b1"]
    counts, _ = forget(path, who, "an-1", SINCE, 0, "root", dry=False)
    assert (counts["duty"], counts["burn_permit"]) == (1, 1)
    with Book(path, writer=False) as book:
        assert all(isinstance(one, Duty) and one.person != "lan" for one in book.rows("duty"))
        assert [one.holder for one in book.rows("burn_permit") if isinstance(one, BurnPermit)] == ["Hộ mẫu", "an-1"]
        past = [(act.what, [change.key for change in book.changes(act.id)]) for act in book.acts(3)]
    assert '"lan"' not in json.dumps(past, default=str)
    assert "duty lan" not in json.dumps(past, default=str)
    assert b"lan@example.org" not in path.read_bytes()


def test_of_published_levels_the_nearest_place_counts_each_in_its_days() -> None:
    zone = Zone(code="z01", name_vi="Khu", name_en="Zone", lat=21.6, lon=104.5, commune="x01")
    rows = [PUBLISHED, PUBLISHED | {"place": "commune", "code": "x01", "level": "II", "valid_from": "2026-03-11"}]
    rows.append(PUBLISHED | {"place": "zone", "code": "z01", "level": "V", "valid_from": "2026-03-09"})
    rows[-1]["valid_to"] = "2026-03-10"
    kinds: dict[str, list[Record]] = {
        "zone": [zone],
        "commune": [Commune(code="x01", name="Xã", province="v01", valid_from=SINCE)],
        "official_level": [read(OfficialLevel, row) for row in rows],
    }
    levels = Registry(kinds).official_levels
    found = [levels.on(zone, date(2026, 3, day)) for day in range(8, 13)]
    assert [one and one.level for one in found] == [None, "V", "IV", "II", None]
