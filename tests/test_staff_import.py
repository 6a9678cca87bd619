"""Tables and stories through the staff's pages: tried first, all faults told; written by one, published by another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from cloud.registry.kinds import Device, Story, Zone
from cloud.registry.sheets import STEMS, comma, workbook
from cloud.staff.book.sheet_reader import Sheet
from cloud.staff.book.tray import MOST_WAITING, Tray, Waiting
from cloud.staff.entrance.access import TABLES
from tests.staffroom import StaffWorld
from tests.visitors import TREE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from httpx import Response

    from tests.staffroom import Browser


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StaffWorld]:
    made = StaffWorld(tmp_path)
    yield made
    made.close()


def tried(browser: Browser, name: str, body: bytes, table: str = "") -> Response:
    return browser.post("/nhap", files={"file": (name, body)}, table=table)


def plain(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def ticket(page: Response) -> str:
    found = re.search(r'name="ticket" value="([\w-]+)"', page.text)
    return found[1] if found else ""


def last_act(world: StaffWorld) -> Any:
    with world.shelf.book() as book:
        return book.acts(1)[0]


def test_export_of_every_table_comes_back_as_nothing_to_write(world: StaffWorld) -> None:
    browser = world.visitor("admin")
    for kind in TABLES:
        answer = browser.get(f"/bang/{STEMS[kind]}/{STEMS[kind]}.csv")
        assert answer.headers["content-type"].startswith("text/csv")
        assert f'filename="{STEMS[kind]}.csv"' in answer.headers["content-disposition"]
        assert answer.content.startswith(b"\xef\xbb\xbf"), "a spreadsheet needs it to read Vietnamese"
    page = tried(browser, "trees (1).csv", browser.get("/bang/trees/trees.csv").content)
    assert page.status_code == 200, plain(page.text)
    assert "không có gì để ghi" in page.text
    assert ticket(page) == ""


def test_table_is_tried_first_then_written_as_one_act_and_taken_back(world: StaffWorld) -> None:
    browser = world.visitor("editor")
    before = last_act(world).id
    body = "code;model;serial_no\nd1;SN-3002;7\nd2;SN-3002;8\n".encode("utf-8-sig")
    page = tried(browser, "Thiết bị.csv", body, "devices")
    assert page.status_code == 200
    assert "2 dòng mới, 0 dòng đổi" in plain(page.text)
    assert last_act(world).id == before, "nothing is written"
    assert browser.post("/nhap/ghi", ticket=ticket(page)).status_code == 303
    act = last_act(world)
    assert (act.who, act.what, act.changes) == ("Tên editor (editor)", "import devices.csv", 2)
    assert len(world.shelf.rows("device")) == 2
    assert browser.post("/nhap/ghi", ticket=ticket(page)).status_code == 422, "once"
    assert browser.post(f"/viec/{act.id}/lay-lai").status_code == 303
    assert world.shelf.rows("device") == []


def test_what_somebody_changed_since_the_trial_is_not_overwritten_unsaid(world: StaffWorld) -> None:
    browser = world.visitor("editor")
    zone = next(one for one in world.shelf.rows("zone") if isinstance(one, Zone))
    file = browser.get("/bang/zones/zones.csv").content
    page = tried(browser, "zones.csv", file.replace(zone.name_en.encode(), b"Hill of the file"))
    with world.shelf.act("lan", "zone") as draft:
        draft.put([replace(zone, name_vi="Đồi Lan sửa")])
    told = browser.post("/nhap/ghi", ticket=ticket(page))
    assert told.status_code == 409
    assert "đã có người sửa từ lúc thử" in plain(told.text)
    assert "Đồi Lan sửa" in browser.get("/bang/zones").text
    with world.shelf.act("lan", "device") as draft:
        draft.put([Device(code="d9", model="S")])
    assert browser.post("/nhap/ghi", ticket=ticket(told)).status_code == 303, "who has looked again writes"


def test_every_wrong_row_is_told_and_the_good_ones_are_written_only_when_asked(world: StaffWorld) -> None:
    browser = world.visitor("editor")
    body = b"code,model,bought_on\nd1,SN-3002,\nd2,,\nd3,=1+1,\nd4,x,31/12/2025\nd1,twice,\n"
    page = tried(browser, "devices.csv", body)
    assert page.status_code == 422
    told = plain(page.text)
    for words in ("4 dòng sai", "devices.csv, dòng 3", "để trống", "công thức", "năm-tháng-ngày", "trùng với một dòng"):
        assert words in told, words
    assert browser.post("/nhap/ghi", ticket=ticket(page)).status_code == 409
    assert world.shelf.rows("device") == []
    assert browser.post("/nhap/ghi", ticket=ticket(page), partial="yes").status_code == 303
    assert [getattr(one, "code", "") for one in world.shelf.rows("device")] == ["d1"]


def test_workbook_and_map_are_read_too(world: StaffWorld, tmp_path: Path) -> None:
    browser = world.visitor("editor")
    path = tmp_path / "garden.xlsx"
    workbook.write_workbook(path, {"tree": world.shelf.rows("tree"), "zone": world.shelf.rows("zone")})
    page = tried(browser, "vườn.xlsx", path.read_bytes())
    assert page.status_code == 200, plain(page.text)
    assert "không có gì để ghi" in page.text
    page = tried(browser, "../bản đồ 1.geojson", b'{"type": "FeatureCollection", "features": [{}]}')
    assert page.status_code == 422
    assert "bản_đồ_1.geojson" in page.text
    assert str(tmp_path) not in page.text


def test_editor_brings_in_no_people(world: StaffWorld) -> None:
    body = b"code,name,access\nevil,x,admin\n"
    page = tried(world.visitor("editor"), "people.csv", body)
    assert page.status_code == 403
    assert "Người" in page.text
    assert world.shelf.person("evil") is None
    page = tried(world.visitor("admin"), "people.csv", body)
    assert page.status_code == 200
    theirs = world.visitor("editor")
    assert theirs.post("/nhap/ghi", ticket=ticket(page)).status_code == 422, "what another has tried is not theirs"
    assert world.shelf.person("evil") is None


def test_only_the_last_files_wait(world: StaffWorld) -> None:
    tray = Tray()
    sheet = Waiting("editor", "x.csv", Sheet())
    tickets = [tray.put(sheet) for _ in range(MOST_WAITING + 1)]
    assert [tray.get(one, "editor") is not None for one in tickets] == [False] + [True] * MOST_WAITING
    assert tray.get(tickets[-1], "admin") is None
    assert comma.text_of("device", []) == "code,model,serial_no,bought_on,note\n"
    assert world.shelf.rows("device") == []


# --- stories


def told(browser: Browser, what: str, text: str, lang: str = "vi", **fields: str) -> Response:
    path = f"/chuyen/{TREE}/{lang}"
    seen = re.search(r'name="seen" value="(\d+)"', browser.get(path).text)
    return browser.post(path, what=what, text=text, **({"seen": seen[1] if seen else "0"} | fields))


def story(world: StaffWorld, lang: str = "vi") -> Story:
    return next(
        one for one in world.shelf.rows("story") if isinstance(one, Story) and (one.tree, one.lang) == (TREE, lang)
    )


def test_story_is_written_by_one_and_published_by_another(world: StaffWorld) -> None:
    writer, reader = world.visitor("editor"), world.visitor("moderator")
    words = "Đoạn một.\r\n\r\nĐoạn <b>hai</b>."
    page = told(writer, "preview", words)
    assert "<p>Đoạn một.</p>" in page.text
    assert "&lt;b&gt;hai" in page.text
    assert story(world).status == "published", "a preview writes nothing"
    assert told(writer, "draft", words).headers["location"].endswith("xong=draft")
    assert (story(world).status, story(world).author, story(world).reviewer) == ("draft", "Tên editor", "")
    assert story(world).text == "Đoạn một.\n\nĐoạn <b>hai</b>."
    assert told(writer, "review", words).status_code == 303
    assert writer.post(f"/chuyen/{TREE}/vi/duyet", what="publish").status_code == 403
    assert "1 việc chờ bạn duyệt" in reader_today(world, reader)
    page = reader.get(f"/chuyen/{TREE}/vi")
    assert "Duyệt và đăng" in page.text
    seen = re.search(r'name="seen" value="(\d+)"', page.text)
    assert seen
    answer = reader.post(f"/chuyen/{TREE}/vi/duyet", what="publish", seen=seen[1])
    assert answer.headers["location"] == f"/chuyen/{TREE}/vi?xong=published"
    assert (story(world).status, story(world).reviewer) == ("published", "Tên moderator")
    assert reader.post(f"/chuyen/{TREE}/vi/duyet", what="publish", seen=seen[1]).status_code == 409


def reader_today(world: StaffWorld, reader: Browser) -> str:
    from cloud.staff.day.today import Today

    world.today = Today(world.clock.utc_ms(), [], [])
    return plain(reader.get("/").text)


def test_nobody_publishes_their_own_words_whatever_name_stands_there(world: StaffWorld) -> None:
    mine = world.visitor("moderator")
    assert told(mine, "review", "Lời của tôi.").status_code == 303
    assert "Duyệt và đăng" not in mine.get(f"/chuyen/{TREE}/vi").text
    page = mine.get(f"/chuyen/{TREE}/vi").text
    seen = re.search(r'name="seen" value="(\d+)"', page)
    assert seen
    assert mine.post(f"/chuyen/{TREE}/vi/duyet", what="publish", seen=seen[1]).status_code == 403
    assert mine.post(f"/chuyen/{TREE}/vi/duyet", what="back", seen=seen[1]).status_code == 303
    assert story(world).status == "draft"


def test_second_writer_and_a_reader_of_older_words_are_told(world: StaffWorld) -> None:
    one, other = world.visitor("editor"), world.visitor("admin")
    path = f"/chuyen/{TREE}/vi"
    seen = re.search(r'name="seen" value="(\d+)"', other.get(path).text)
    assert seen
    assert told(one, "review", "Lời thứ nhất.").status_code == 303
    answer = other.post(path, what="draft", text="Lời thứ hai.", seen=seen[1])
    assert answer.status_code == 409
    assert "Lời thứ nhất." in plain(answer.text)
    assert "Lời thứ hai." in answer.text
    waiting = re.search(r'name="seen" value="(\d+)"', other.get(path).text)
    assert waiting
    told(one, "review", "Lời đã đổi sau khi đọc.")
    assert other.post(f"{path}/duyet", what="publish", seen=waiting[1]).status_code == 409
    assert story(world).status == "review", "what was not read is not published"


@pytest.mark.parametrize("text", ["", "   ", "x" * 20_001])
def test_story_that_cannot_be_is_told_and_kept_in_its_field(world: StaffWorld, text: str) -> None:
    answer = told(world.visitor("editor"), "draft", text)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert answer.text.count("x" * 20_001) == len(text) // 20_001


def test_stories_are_found_by_what_waits_and_unknown_ones_are_not_found(world: StaffWorld) -> None:
    browser = world.visitor("viewer")
    assert "Gửi duyệt" not in browser.get(f"/chuyen/{TREE}/vi").text, "who may not write only reads"
    assert "0 dòng" in browser.get("/chuyen?cho=review").text
    for path in ("/chuyen/7K3MQ2/vi", f"/chuyen/{TREE}/de", "/chuyen/x/y"):
        assert browser.get(path).status_code == 404
    assert browser.get("/chuyen?tu=99&cho=x&q=%00").status_code == 200
