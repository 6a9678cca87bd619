"""Field binding as the server sees it: written once, whole and by its day; nobody's later work is overwritten."""

from __future__ import annotations

import asyncio
import io
import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace
from PIL import Image

from cloud.clock import hanoi
from cloud.registry import Registry, codes
from cloud.registry.kinds import Binding, Device, Photo, Tag, Tree
from cloud.staff.field import sent
from tests.staffroom import NOW_MS, StaffWorld
from tests.visitors import BARE, TREE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

OTHER = "4TN8WJ"
TODAY = hanoi(NOW_MS).date()


def code(five: str) -> str:
    return five + codes.check_char(five)


BLANK, RETIRED = code("9A9A9"), code("8B8B8")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StaffWorld]:
    made = StaffWorld(tmp_path)
    with made.shelf.act("test", "tags") as draft:
        draft.put([Tag(code=BLANK, state="printed"), Tag(code=RETIRED, state="retired"), Device(code="d2", model="S7")])
    yield made
    made.close()


class Phone:
    """Somebody with a copy of the garden, taken now."""

    def __init__(self, world: StaffWorld, role: str = "editor") -> None:
        self.browser = world.visitor(role)
        self.copy = self.browser.get("/gan/vuon.json").json()
        self._n = 0

    def send(self, **fields: Any) -> httpx.Response:
        self._n += 1
        usual = {"id": f"{id(self):016x}{self._n:016x}", "seen": str(self.copy["seen"]), "ago": "0", "as": "json"}
        return self.browser.post("/gan/gui", **(usual | fields))

    def tag(self, tree: str = TREE, **fields: Any) -> httpx.Response:
        return self.send(**({"what": "tag", "tag": BLANK, "place": f"tree:{tree}"} | fields))

    def hang(self, sensor: str, place: str, **fields: Any) -> httpx.Response:
        return self.send(**({"what": "sensor", "sensor": sensor, "place": place, "how": "hang"} | fields))


def tag_of(world: StaffWorld) -> Tag:
    return next(one for one in world.shelf.rows("tag") if isinstance(one, Tag) and one.code == BLANK)


def bindings(world: StaffWorld, channel: str) -> list[tuple[str, date, date | None, str]]:
    rows = [one for one in world.shelf.rows("binding") if isinstance(one, Binding) and one.channel == channel]
    return sorted((one.code, one.valid_from, one.valid_to, one.device) for one in rows)


def acts(world: StaffWorld) -> int:
    with world.shelf.book() as book:
        return book.acts(1)[0].id


def jpeg() -> bytes:
    out = io.BytesIO()
    Image.effect_noise((400, 300), 50).convert("RGB").save(out, "JPEG")
    return out.getvalue()


def test_a_tag_is_bound_on_the_day_of_the_work_once_with_its_photo_and_taken_back(world: StaffWorld) -> None:
    phone = Phone(world)
    assert phone.copy["tags"][BLANK] == ["printed", ""]
    message = {"id": "a" * 32, "ago": str(2 * 86_400), "files": {"photo": ("x.jpg", jpeg())}}
    answer = phone.tag(**message)
    assert (answer.status_code, answer.json()["state"]) == (200, "done")
    assert tag_of(world) == Tag(code=BLANK, state="bound", tree=TREE, bound_on=TODAY - timedelta(2))
    (photo,) = [one for one in world.shelf.rows("photo") if isinstance(one, Photo)]
    assert (photo.tree, photo.author, photo.published) == (TREE, "Tên editor", False)
    assert len(list((world.folder / "photos").iterdir())) == 6
    act = acts(world)
    for _ in range(3):  # its answer was lost; somebody else has changed the tag meanwhile
        again = phone.tag(**message)
        assert (again.json()["state"], acts(world)) == ("done", act)
        with world.shelf.book() as book:
            assert len(book.changes(act)) == 2
    history = phone.browser.get("/viec").text
    assert f"Gắn ngoài vườn: {'a' * 32}" not in history, "people read what was bound, not its number"
    assert f"{BLANK} → tree:{TREE}" in history
    assert phone.browser.post(f"/viec/{act}/lay-lai").status_code == 303
    assert tag_of(world).state == "printed"
    assert phone.tag(**message).json()["state"] == "done"
    assert tag_of(world).state == "printed", "what was taken back does not come again with an old message"


def test_two_phones_the_second_is_told_both_sides_and_may_write_knowingly(world: StaffWorld) -> None:
    first, second = Phone(world, "editor"), Phone(world, "moderator")
    assert first.tag(OTHER).status_code == 200
    answer = second.tag(TREE)
    assert answer.status_code == 409
    mine, theirs = answer.json()["lines"]
    assert "Cây mẫu số 1" in mine
    assert "Tên editor" in theirs
    assert OTHER in theirs
    assert tag_of(world).tree == OTHER
    assert second.tag(TREE, seen=str(answer.json()["seen"])).status_code == 200
    assert tag_of(world).tree == TREE
    assert second.tag(OTHER, seen=str(answer.json()["seen"])).status_code == 200, "one's own change is no surprise"


def test_a_message_that_is_here_twice_at_once_keeps_its_photo(
    world: StaffWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = {"id": "b" * 32, "files": {"photo": ("x.jpg", jpeg())}}
    slow, again = Phone(world), Phone(world)
    again.browser._loop = asyncio.new_event_loop()
    answers: list[str] = []

    def photo(*of: Any, real: Any = sent.photo) -> Any:
        """When its photo is made anew its answer has taken too long: it is sent again, and written before this one."""
        monkeypatch.setattr(sent, "photo", real)
        found = real(*of)
        answers.append(again.tag(**message).json()["state"])
        return found

    monkeypatch.setattr(sent, "photo", photo)
    answers.append(slow.tag(**message).json()["state"])
    again.browser._loop.close()
    assert answers == ["done", "done"]
    assert len(world.shelf.rows("photo")) == 1
    assert len(list((world.folder / "photos").iterdir())) == 6


def test_both_bound_the_same_and_both_are_right(world: StaffWorld) -> None:
    first, second = Phone(world, "editor"), Phone(world, "moderator")
    assert [first.tag().status_code, second.tag().status_code] == [200, 200]


def test_a_tree_that_somebody_changed_since_is_told_and_nothing_is_written(world: StaffWorld) -> None:
    phone = Phone(world)
    tree = next(one for one in world.shelf.rows("tree") if isinstance(one, Tree) and one.code == TREE)
    with world.shelf.act("Tên admin (admin)", "tree") as draft:
        draft.put([replace(tree, lat=tree.lat + 0.0005)])
    answer = phone.tag(files={"photo": ("x.jpg", jpeg())})
    assert (answer.status_code, "Vĩ độ (lat): 21.6201 → 21.6206" in answer.json()["lines"][1]) == (409, True)
    assert tag_of(world).state == "printed"
    assert not list((world.folder / "photos").glob("*"))


def test_a_probe_that_is_replaced_ends_and_the_places_history_goes_on(world: StaffWorld) -> None:
    phone = Phone(world)
    began = date(2025, 7, 1)
    answer = phone.hang("sg-01/soil-9", f"tree:{TREE}", instead="sg-01/soil-1", ago="86400")
    assert answer.status_code == 200, answer.text
    day = TODAY - timedelta(1)
    assert bindings(world, "soil-1") == [(TREE, began, day, "")]
    assert bindings(world, "soil-9") == [(TREE, day, None, "")]
    registry = Registry({"binding": world.shelf.rows("binding")})
    assert [one.channel for one in registry.formerly("tree", TREE, day)] == ["soil-1"]
    # the same channel, another thing at its end
    assert phone.hang("sg-01/soil-2", f"tree:{OTHER}", device="d2").status_code == 200
    assert bindings(world, "soil-2") == [(OTHER, began, TODAY, ""), (OTHER, TODAY, None, "d2")]
    # hung elsewhere on the same day: it was a slip of an hour
    assert phone.hang("sg-01/soil-2", f"tree:{BARE}").status_code == 200
    assert bindings(world, "soil-2") == [(OTHER, began, TODAY, ""), (BARE, TODAY, None, "d2")]


def test_a_row_that_was_wrong_is_corrected_for_all_of_its_time(world: StaffWorld) -> None:
    phone = Phone(world)
    answer = phone.hang("sg-01/soil-1", f"tree:{BARE}", how="correct")
    assert answer.status_code == 200, answer.text
    assert bindings(world, "soil-1") == [(BARE, date(2025, 7, 1), None, "")]
    refused = phone.hang("sg-01/unknown", f"tree:{BARE}", how="correct")
    assert (refused.status_code, "0 dòng" in refused.text) == (422, True)


def test_a_sensor_that_somebody_hung_up_meanwhile_is_told(world: StaffWorld) -> None:
    first, second = Phone(world, "editor"), Phone(world, "moderator")
    assert first.hang("sg-01/soil-1", f"tree:{BARE}").status_code == 200
    answer = second.hang("sg-01/soil-1", f"tree:{OTHER}")
    assert (answer.status_code, "Tên editor" in answer.text) == (409, True)
    assert len(bindings(world, "soil-1")) == 2


def test_what_cannot_be_right_is_refused_with_its_reason(world: StaffWorld) -> None:
    phone, before = Phone(world), acts(world)
    place = {"what": "tag", "place": f"tree:{TREE}"}
    for fields, words in (
        ({"tag": RETIRED}, "đã bỏ"),
        ({"tag": code("7C7C7")}, "chưa có mã này"),
        ({"tag": "7C7C70"}, "gõ nhầm"),
        ({"tag": OTHER}, "chính một cây"),
        ({"tag": BLANK, "place": "tree:ZZZZZZ"}, "không có chỗ"),
        ({"tag": BLANK, "place": "zone:z01"}, "Chưa chọn cây"),
        ({"tag": BLANK, "ago": str(91 * 86_400)}, "90 ngày"),
        ({"tag": BLANK, "ago": "-5"}, "thiếu dữ liệu"),
        ({"tag": BLANK, "seen": "x"}, "thiếu dữ liệu"),
        ({"tag": BLANK, "seen": "999999"}, "lấy lại từ bản cũ"),
        ({"tag": BLANK, "id": "1"}, "thiếu dữ liệu"),
        ({"tag": BLANK, "files": {"photo": ("x.jpg", b"no photo at all")}}, "Ảnh không dùng được"),
        ({"what": "sensor", "sensor": "=cmd/x", "how": "hang"}, "Chưa chọn cảm biến"),
        ({"what": "sensor", "sensor": "sg-01/soil-1", "how": "hang", "device": "d77"}, "d77"),
        ({"what": "sensor", "sensor": "x/soil-1", "how": "hang"}, "Chưa chọn cảm biến"),
    ):
        answer = phone.send(**(place | fields))
        assert (answer.status_code, answer.json()["state"]) == (422, "refused"), fields
        assert words in answer.text, fields
    assert acts(world) == before
    assert not (world.folder / "photos").exists()


def test_without_script_it_is_a_form_that_finds_by_name(world: StaffWorld) -> None:
    browser = world.visitor("editor")
    page = browser.get(f"/gan/{BLANK.lower()}?q=cay mau so 5").text
    assert f'value="{codes.shown(BLANK)}"' in page
    assert f'value="tree:{BARE}"' in page
    assert TREE not in page
    seen = re.search(r'name="seen" value="(\d+)"', page)
    assert seen
    fields = {"id": "b" * 32, "seen": seen[1], "ago": "0", "what": "tag", "tag": codes.shown(BLANK)}
    answer = browser.post("/gan/gui", place=f"tree:{BARE}", **fields)
    assert (answer.status_code, tag_of(world).tree) == (200, BARE)
    assert "Đã gắn" in answer.text
