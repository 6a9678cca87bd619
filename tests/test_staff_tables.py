"""The tables as staff edit them: every kind as a form, faults beside their fields, two editors, audit and undo."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from msgspec.structs import replace

from cloud.config import load
from cloud.registry.book import Book
from cloud.registry.kinds import KINDS, Binding, Consent, Device, Lot, Person, Tree, key_of
from cloud.registry.rows import columns, write
from cloud.registry.sheets import STEMS
from cloud.staff.book.fields import judged
from cloud.staff.entrance.access import TABLES
from cloud.staff.entrance.passwords import hashed
from cloud.staff.words import Speaker
from settings.words import words as words_of
from tests.staffroom import NOW_MS, PASSWORD, StaffWorld
from tests.visitors import TREE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from httpx import Response

    from cloud.registry.kinds import Record
    from tests.staffroom import Browser

DAY = date(2026, 1, 1)
MORE = {
    "device": Device(code="d1", model="SN-3002", serial_no="77"),
    "consent": Consent(code="c1", person="p01", what="photo", given_on=DAY),
    "lot": Lot(code="l1", product_vi="Chè", product_en="Tea", picked_from=DAY, picked_to=DAY),
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StaffWorld]:
    made = StaffWorld(tmp_path)
    yield made
    made.close()


def query(record: Record) -> str:
    texts = write(record)
    return urlencode([("k", texts[name]) for name in record.key])


def opened(browser: Browser, record: Record, kind: str) -> dict[str, Any]:
    """Return what a row's form holds, as a browser would send it."""
    page = browser.get(f"/bang/{STEMS[kind]}/dong?{query(record)}")
    assert page.status_code == 200, page.text
    seen = re.search(r'name="seen" value="(\d+)"', page.text)
    assert seen
    return {**write(record), "seen": seen[1]}


def saved(browser: Browser, kind: str, fields: dict[str, Any]) -> Response:
    return browser.post(f"/bang/{STEMS[kind]}/luu", **fields)


def plain(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


@pytest.mark.parametrize("kind", TABLES)
def test_every_kind_is_listed_opened_saved_unchanged_and_has_words_for_each_column(
    world: StaffWorld, kind: str
) -> None:
    if kind in MORE:
        with world.shelf.act("test", "more") as draft:
            draft.put([MORE[kind]])
    rows = world.shelf.rows(kind)
    browser = world.visitor("admin")
    stem = STEMS[kind]
    assert f"{len(rows)} dòng" in browser.get(f"/bang/{stem}").text
    labels = words_of("cloud.staff")["column"]
    for column in columns(KINDS[kind]):
        assert column.name in labels or f"{kind}_{column.name}" in labels, column.name
        if (kind, column.name) not in {
            ("photo", "code"),
            ("photo", "published"),
            ("photo", "remark"),
            ("voice", "code"),
            ("voice", "published"),
            ("voice", "remark"),
        }:  # a photo or a voice is sent, then shown
            assert f'name="{column.name}"' in browser.get(f"/bang/{stem}/moi").text
    with world.shelf.book() as book:
        before = book.acts(1)[0].id
    for record in rows[:2] + rows[-2:]:
        answer = saved(browser, kind, opened(browser, record, kind))
        assert answer.status_code == 303, plain(answer.text)
        assert browser.get(answer.headers["location"]).status_code == 200
    with world.shelf.book() as book:
        assert book.acts(1)[0].id == before, "what changes nothing is no act"
    assert world.shelf.rows(kind) == rows


def test_saved_row_says_who_and_when_and_the_list_shows_it_at_once(world: StaffWorld) -> None:
    browser = world.visitor("editor")
    tree = next(one for one in world.shelf.rows("tree") if key_of(one) == (TREE,))
    fields = opened(browser, tree, "tree") | {"name_vi": "  Cụ chè đầu dốc  "}
    answer = saved(browser, "tree", fields)
    page = browser.get(answer.headers["location"]).text
    assert "Cụ chè đầu dốc" in page
    assert re.search(r"Tên editor \(editor\), <time", page)
    assert f'href="https://goc.che.example/T/{TREE}"' in page
    assert "Cụ chè đầu dốc" in browser.get("/bang/trees?q=cu+che+dau+doc").text
    assert "0 dòng" in browser.get("/bang/trees?q=cu+che+cuoi+doc").text


def test_all_that_is_wrong_is_said_beside_its_field_in_the_language_of_the_visitor(world: StaffWorld) -> None:
    browser = world.visitor("editor")
    tree = next(one for one in world.shelf.rows("tree") if key_of(one) == (TREE,))
    fields = opened(browser, tree, "tree") | {"lat": "21.6201N", "age_low": "viele", "name_vi": "", "girth_cm": "=1+1"}
    answer = saved(browser, "tree", fields)
    assert answer.status_code == 422
    for column, words in (("lat", "không phải là số"), ("age_low", "không phải là số"),
                          ("name_vi", "để trống"), ("girth_cm", "không phải là số")):  # fmt: skip
        assert re.search(rf'id="w-{column}">[^<]*{words}', answer.text), column
    assert answer.text.count('aria-invalid="true"') == 4
    assert 'value="21.6201N"' in answer.text, "what was typed is not lost"
    browser.post("/ngon-ngu", onward="/")
    assert re.search(r'id="w-lat">[^<]*is not a number', saved(browser, "tree", fields).text)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"lat": "104.58", "lon": "21.62"}, "bị đảo"),
        ({"age_low": "900"}, "age_low 900 lớn hơn"),
        ({"zone": "z99"}, "không có trong bảng zone"),
        ({"name_vi": "=HYPERLINK(1)"}, "công thức"),
        ({"name_vi": "x" * 400}, "nhiều nhất 300"),
        ({"state": "sleeping"}, "không có trong"),
        ({"precision": "2.5"}, "số nguyên"),
        ({"ended_on": "31/12/2025"}, "năm-tháng-ngày"),
        ({"alt_m": "1.352"}, "viết liền: 1352; nếu là số lẻ, viết thêm một chữ số: 1.3520"),
        ({"alt_m": "1,352"}, "viết liền: 1352"),
        ({"age_high": "1.000"}, "viết liền: 1000"),
    ],
)
def test_fault_of_a_row_is_told_with_the_registrys_own_words(
    world: StaffWorld, changed: dict[str, str], words: str
) -> None:
    browser = world.visitor("editor")
    tree = next(one for one in world.shelf.rows("tree") if key_of(one) == (TREE,))
    answer = saved(browser, "tree", opened(browser, tree, "tree") | changed)
    assert answer.status_code == 422
    assert words in plain(answer.text)
    assert world.shelf.rows("tree")[0] is not None
    assert tree in world.shelf.rows("tree")


def test_a_decimal_comma_is_read_as_the_keys_of_a_vietnamese_telephone_write_it(world: StaffWorld) -> None:
    browser = world.visitor("editor")
    tree = next(one for one in world.shelf.rows("tree") if key_of(one) == (TREE,))
    typed = {"lat": "21,62015", "lon": "104,5795", "alt_m": "1352,5", "girth_cm": "12,3450", "age_low": "250"}
    assert saved(browser, "tree", opened(browser, tree, "tree") | typed).status_code == 303
    now = next(one for one in world.shelf.rows("tree") if key_of(one) == (TREE,))
    assert isinstance(now, Tree)
    assert (now.lat, now.lon, now.alt_m, now.girth_cm) == (21.62015, 104.5795, 1352.5, 12.345)
    again = opened(browser, now, "tree")
    assert again["girth_cm"] == "12.3450", "what nobody takes for thousands"
    assert saved(browser, "tree", again).status_code == 303, "nothing is refused that stood there"


def test_a_quantity_is_chosen_by_its_name(world: StaffWorld) -> None:
    page = world.visitor("editor").get("/bang/calibrations/moi").text
    assert re.search(r'<option value="soil_moisture"[^>]*>Độ ẩm đất</option>', page)


def test_markup_that_is_typed_stays_text(world: StaffWorld) -> None:
    browser = world.visitor("editor")
    tree = next(one for one in world.shelf.rows("tree") if key_of(one) == (TREE,))
    bad = '<script>alert(1)</script>"onfocus="x'
    answer = saved(browser, "tree", opened(browser, tree, "tree") | {"name_vi": bad, "lat": bad})
    assert answer.status_code == 422
    saved(browser, "tree", opened(browser, tree, "tree") | {"name_vi": bad})
    for page in (answer, browser.get("/bang/trees"), browser.get("/viec"), browser.get(f"/bang/trees?q={bad}")):
        assert "<script>" not in page.text
        assert '"onfocus' not in page.text


def test_second_of_two_editors_is_told_what_changed_and_may_save_knowingly(world: StaffWorld) -> None:
    one, other = world.visitor("editor"), world.visitor("moderator")
    tree = next(row for row in world.shelf.rows("tree") if key_of(row) == (TREE,))
    first, second = opened(one, tree, "tree"), opened(other, tree, "tree")
    assert saved(one, "tree", first | {"girth_cm": "140"}).status_code == 303
    answer = saved(other, "tree", second | {"girth_cm": "150", "name_vi": "Tên khác"})
    assert answer.status_code == 409
    told = plain(answer.text)
    assert "Chưa lưu: có người khác vừa sửa dòng này." in told
    assert "Tên editor (editor)" in told
    assert "Trong sổ bây giờ: 140" in told
    assert 'value="150"' in answer.text
    kept = next(row for row in world.shelf.rows("tree") if key_of(row) == (TREE,))
    assert getattr(kept, "girth_cm", None) == 140
    seen = re.search(r'name="seen" value="(\d+)"', answer.text)
    assert seen
    again = saved(other, "tree", second | {"girth_cm": "150", "seen": seen[1]})
    assert again.status_code == 303
    assert saved(one, "tree", first | {"girth_cm": "160"}).status_code == 409


def test_form_from_before_a_backup_came_back_overwrites_nobody(world: StaffWorld) -> None:
    one, other, file = world.visitor("editor"), world.visitor("moderator"), world.folder / "registry.db"
    tree = next(row for row in world.shelf.rows("tree") if key_of(row) == (TREE,))
    backup = file.read_bytes()
    new = {"code": "d1", "model": "SN-3002", "serial_no": "1"}
    assert saved(one, "device", new | {"seen": "0"}).status_code == 303
    assert saved(one, "tree", opened(one, tree, "tree") | {"girth_cm": "120"}).status_code == 303
    kept = opened(one, next(row for row in world.shelf.rows("tree") if key_of(row) == (TREE,)), "tree")
    gone = opened(one, world.shelf.rows("device")[0], "device")
    world.shelf.close()
    for left in world.folder.glob("registry.db*"):
        left.unlink()
    file.write_bytes(backup)
    assert saved(other, "tree", opened(other, tree, "tree") | {"girth_cm": "140"}).status_code == 303
    answer = saved(one, "tree", kept | {"girth_cm": "160"})
    assert (answer.status_code, "bản cũ hơn" in plain(answer.text)) == (409, True)
    assert "Trong sổ bây giờ: 140" in plain(answer.text)
    answer = saved(one, "device", gone)
    assert (answer.status_code, "bản cũ hơn" in plain(answer.text)) == (409, True)
    assert [getattr(row, "girth_cm", 0) for row in world.shelf.rows("tree") if key_of(row) == (TREE,)] == [140]
    assert world.shelf.rows("device") == []


def test_new_row_overwrites_nobody(world: StaffWorld) -> None:
    browser = world.visitor("editor")
    fields = {"code": "d1", "model": "SN-3002", "serial_no": "1", "seen": "0"}
    assert saved(browser, "device", fields).status_code == 303
    answer = saved(browser, "device", fields | {"serial_no": "2"})
    assert answer.status_code == 409
    assert "Đã có dòng d1" in answer.text
    assert getattr(world.shelf.rows("device")[0], "serial_no", "") == "1"


def test_removed_row_is_gone_where_nobody_needs_it_and_can_be_had_back(world: StaffWorld) -> None:
    browser = world.visitor("editor")
    saved(browser, "device", {"code": "d1", "model": "SN-3002", "seen": "0"})
    bound = next(one for one in world.shelf.rows("binding") if isinstance(one, Binding))
    saved(browser, "binding", opened(browser, bound, "binding") | {"device": "d1"})
    seen = opened(browser, Device(code="d1", model="x"), "device")["seen"]
    refused = browser.post("/bang/devices/xoa", k="d1", seen=seen)
    assert refused.status_code == 422
    assert "còn được dùng ở binding" in plain(refused.text)
    bound = next(one for one in world.shelf.rows("binding") if getattr(one, "device", "") == "d1")
    saved(browser, "binding", opened(browser, bound, "binding") | {"device": ""})
    assert browser.post("/bang/devices/xoa", k="d1", seen="0").status_code == 409
    assert browser.post("/bang/devices/xoa", k="d1", seen=seen).status_code == 303
    assert world.shelf.rows("device") == []
    with world.shelf.book() as book:
        act = book.acts(1)[0].id
    page = browser.get(f"/viec/{act}").text
    assert "SN-3002" in page
    assert browser.post(f"/viec/{act}/lay-lai").status_code == 303
    assert len(world.shelf.rows("device")) == 1
    assert "Lấy lại việc" in browser.get("/viec").text


def test_act_whose_row_was_changed_since_is_not_taken_back(world: StaffWorld) -> None:
    browser = world.visitor("editor")
    saved(browser, "device", {"code": "d1", "model": "a", "seen": "0"})
    with world.shelf.book() as book:
        act = book.acts(1)[0].id
    saved(browser, "device", opened(browser, Device(code="d1", model="x"), "device") | {"model": "b"})
    answer = browser.post(f"/viec/{act}/lay-lai")
    assert answer.status_code == 409
    assert "a → b" in plain(answer.text)
    assert browser.post("/viec/999999/lay-lai").status_code == 404
    assert browser.post("/viec/x/lay-lai").status_code == 404


def test_editor_neither_reads_nor_takes_back_what_is_of_people(world: StaffWorld) -> None:
    admin, editor = world.visitor("admin"), world.visitor("editor")
    secret = "giau-kin@example.org"
    person = next(one for one in world.shelf.rows("person") if isinstance(one, Person) and one.code == "viewer")
    saved(admin, "person", opened(admin, person, "person") | {"email": secret})
    with world.shelf.book() as book:
        act = book.acts(1)[0].id
    page = editor.get(f"/viec/{act}")
    assert page.status_code == 200
    assert secret not in page.text
    assert secret in admin.get(f"/viec/{act}").text
    assert editor.post(f"/viec/{act}/lay-lai").status_code == 403
    made = saved(editor, "person", {"code": "evil", "name": "x", "access": "admin", "seen": "0"})
    assert made.status_code == 403
    assert world.shelf.person("evil") is None
    assert secret in world.visitor("officer").get("/bang/people/dong?k=viewer").text
    assert (
        '<form method="post" action="/bang/people'
        not in world.visitor("officer").get("/bang/people/dong?k=viewer").text
    )


def test_admin_lets_somebody_in_by_a_link_and_out_everywhere(world: StaffWorld) -> None:
    admin = world.visitor("admin")
    fields = {"code": "su", "name": "Giàng A Sử", "lang": "vi", "access": "editor", "seen": "0"}
    assert saved(admin, "person", fields).status_code == 303
    page = admin.post("/nguoi/lien-ket", code="su")
    link = re.search(r'class="link">http://127.0.0.1:8082(/moi/[\w-]{43})<', page.text)
    assert link
    theirs = world.visitor()
    password = "chè cổ thụ trên đồi"
    assert theirs.post(link[1], password=password, again=password).status_code == 303
    theirs._secret = "x"
    assert theirs.get("/bang/trees").status_code == 200
    assert admin.post("/nguoi/dang-xuat", code="su").status_code == 303
    assert theirs.get("/bang/trees").status_code == 303
    assert admin.post("/nguoi/lien-ket", code="p01").status_code == 422, "who has no role gets no link"
    assert admin.post("/nguoi/lien-ket", code="nobody").status_code == 422


def by_form(world: StaffWorld, person: Person) -> None:
    admin = world.visitor("admin")
    fields = opened(admin, person, "person") | {"access": ""}
    assert saved(admin, "person", fields).status_code == 303


def by_removal(world: StaffWorld, person: Person) -> None:
    admin = world.visitor("admin")
    seen = opened(admin, person, "person")["seen"]
    assert admin.post("/bang/people/xoa", k=person.code, seen=seen).status_code == 303


def by_history(world: StaffWorld, _: Person) -> None:
    with world.shelf.book() as book:
        act = book.acts(1)[0].id
    assert world.visitor("admin").post(f"/viec/{act}/lay-lai").status_code == 303


def by_command(world: StaffWorld, _: Person) -> None:
    with Book(world.folder / "registry.db", writer=True) as book:
        book.undo(book.acts(1)[0].id, "root (gocche)", world.clock.utc_ms())


def by_import(world: StaffWorld, person: Person) -> None:
    body = f"code,name\n{person.code},{person.name}\n".encode()
    admin = world.visitor("admin")
    tried = admin.post("/nhap", files={"file": ("people.csv", body)}, table="people")
    ticket = re.search(r'name="ticket" value="([^"]+)"', tried.text)
    assert ticket, plain(tried.text)
    assert admin.post("/nhap/ghi", ticket=ticket[1]).status_code == 303


@pytest.mark.parametrize("taken", [by_form, by_removal, by_history, by_command, by_import])
def test_who_was_let_in_no_more_comes_back_by_a_new_link_alone(
    world: StaffWorld, taken: Callable[[StaffWorld, Person], None]
) -> None:
    person = Person(code="lan", name="Lan", access="editor")
    with world.shelf.act("test", "a person") as draft:
        draft.put([replace(person, access="")])
    with world.shelf.act("test", "let in") as draft:
        draft.put([person])
    assert world.accounts.accept(world.accounts.invite("lan", "Lan", ""), hashed(PASSWORD))
    old_phone, old_link = world.visitor("lan"), world.accounts.invite("lan", "Lan", "editor")
    assert (old_phone.get("/bang").status_code, world.visitor().sign_in("lan").status_code) == (200, 303)
    world.clock.advance(60)
    taken(world, person)
    assert (old_phone.get("/bang").status_code, world.visitor().sign_in("lan").status_code) == (303, 403)
    world.clock.advance(60)
    with world.shelf.act("test", "given again, perhaps to somebody else") as draft:
        draft.put([person])
    assert old_phone.get("/bang").status_code == 303, "an old telephone"
    assert world.visitor().sign_in("lan").status_code == 403, "an old password"
    assert world.visitor().get(f"/moi/{old_link}").status_code == 410, "an old link"
    assert world.accounts.sessions("lan") == []
    answer = world.visitor("admin").post("/nguoi/lien-ket", code="lan")
    new_link = re.search(r"/moi/[\w-]+", answer.text)
    assert new_link
    browser = world.visitor()
    assert browser.post(new_link[0], password=PASSWORD, again=PASSWORD).status_code == 303
    assert (browser.get("/bang").status_code, old_phone.get("/bang").status_code) == (200, 303)
    assert world.visitor().sign_in("lan").status_code == 303


def test_whom_no_channel_reaches_is_doubted_on_their_page(tmp_path: Path) -> None:
    sms = '[[channel]]\nkind = "webhook"\nname = "sms"\nurl = "http://127.0.0.1:1/send"\n'
    (tmp_path / "cloud.toml").write_text(sms, "utf-8")
    world = StaffWorld(tmp_path, ways=load(tmp_path / "cloud.toml").ways)
    browser = world.visitor("admin")
    doubt = "Không kênh nào của máy chủ tới được người này: có khói thì họ không được báo. Kênh đang có: sms."
    person = {"code": "lan", "name": "Lan", "roles": "fire-watch", "addresses": "zalo:84912345678", "seen": "0"}
    answer = saved(browser, "person", person)
    assert doubt in browser.get(answer.headers["location"]).text
    for address in ("sms:+84912345678", "webhook:+84912345678"):
        fields = opened(browser, next(one for one in world.shelf.rows("person") if key_of(one) == ("lan",)), "person")
        answer = saved(browser, "person", fields | {"addresses": address})
        assert "Không kênh nào" not in browser.get(answer.headers["location"]).text, address
    assert "Không kênh nào" not in browser.get("/bang/people/dong?k=viewer").text, "who is told of nothing"
    world.close()


@pytest.mark.parametrize("kind", MORE)
def test_a_code_that_was_taken_away_is_given_again_at_once(world: StaffWorld, kind: str) -> None:
    browser, record = world.visitor("admin"), MORE[kind]
    assert saved(browser, kind, write(record) | {"seen": "0"}).status_code == 303
    fields = opened(browser, record, kind)
    gone = browser.post(f"/bang/{STEMS[kind]}/xoa", k=[fields[name] for name in record.key], seen=fields["seen"])
    assert gone.status_code == 303
    assert saved(browser, kind, fields).status_code == 409, "who still had it open is told that it went"
    assert saved(browser, kind, write(record) | {"seen": "0"}).status_code == 303
    assert record in world.shelf.rows(kind)
    assert saved(browser, kind, write(record) | {"seen": "0"}).status_code == 409, "it is there"


def test_address_that_names_no_row_is_not_found(world: StaffWorld) -> None:
    browser = world.visitor("admin")
    for path in ("/bang/trees/dong", "/bang/trees/dong?k=7K3MQ2", "/bang/trees/dong?k=7K3MQP&k=x",
                 "/bang/hamlets/dong?k=h01&k=yesterday", "/bang/unknown", "/bang/trees/dong?k="):  # fmt: skip
        assert browser.get(path).status_code == 404, path
    for start in ("-1", "x", "9" * 30, "100"):
        assert browser.get(f"/bang/trees?tu={start}").status_code == 200


def test_thousands_of_trees_are_found_and_paged(world: StaffWorld) -> None:
    tree = next(one for one in world.shelf.rows("tree") if isinstance(one, Tree))
    with world.shelf.act("test", "many") as draft:
        draft.put([replace(tree, code=f"{number:06d}", name_vi=f"Cây thử {number}") for number in range(3_000)])
    browser = world.visitor("viewer")
    page = browser.get("/bang/trees?q=thu+2321").text
    assert "Cây thử 2321" in page
    assert "1 dòng" in page
    first = browser.get("/bang/trees?q=thu").text
    assert "3000 dòng · đang xem 1 đến 50" in plain(first)
    assert "Trang sau" in first


def test_cells_of_a_form_are_judged_all_together() -> None:
    record, bads = judged("zone", {"code": "Z 1", "name_vi": "", "name_en": "x", "lat": "x", "lon": "104"})
    assert record is None
    assert [bad.column for bad in bads] == ["code", "name_vi", "lat"]
    assert Speaker("en", 0).label("lot_input", "code") == "Code of the tree or zone"


def test_a_list_follows_every_write_and_stands_as_people_count(world: StaffWorld, tmp_path: Path) -> None:
    (model,) = (one for one in world.shelf.rows("tree") if isinstance(one, Tree) and one.code == TREE)

    def named(name: str, code: str) -> Tree:
        return replace(model, name_vi=name, code=code)

    def listed() -> list[str]:
        return [one.code for one in world.shelf.found("tree", "thu nghiem") if isinstance(one, Tree)]

    assert listed() == []
    tenth, first = named("Thử nghiệm 10", "00003T"), named("Thử nghiệm 10", "00002W")
    ninth = named("Thử nghiệm 9", "00001Y")
    with world.shelf.act("minh", "plant") as draft:
        draft.put([tenth, first, ninth])
    assert listed() == ["00001Y", "00002W", "00003T"]
    with Book(tmp_path / "registry.db", writer=True) as other, other.writing("lan", "prune", NOW_MS) as draft:
        draft.put([replace(first, girth_cm=77.0)])
        draft.remove("tree", ("00001Y",))
    assert listed() == ["00002W", "00003T"]
    with world.shelf.book() as book:
        newest = book.acts(1)[0].id
    world.shelf.undo(newest, "minh")
    assert listed() == ["00001Y", "00002W", "00003T"]


def test_a_code_that_is_spelled_like_a_role_stays_a_code(world: StaffWorld) -> None:
    assert "admin · quản trị" in world.visitor("admin").get("/bang/people").text
