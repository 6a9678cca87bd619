"""Tags through the staff's pages: minted, printed on a sheet that is read back, and one of them printed again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from cloud.labels.verify import verify
from cloud.registry import codes
from cloud.registry.kinds import Tag, Tree
from cloud.rooms.label_writer import FORMS
from cloud.staff.book import tags
from tests.staffroom import StaffWorld
from tests.visitors import TREE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StaffWorld]:
    made = StaffWorld(tmp_path)
    yield made
    made.close()


def minted(world: StaffWorld) -> list[Tag]:
    return [one for one in world.shelf.rows("tag") if isinstance(one, Tag) and one.batch == "đợt 1"]


def test_codes_are_minted_printed_read_back_and_printed_again(world: StaffWorld, tmp_path: Path) -> None:
    browser = world.visitor("editor")
    answer = browser.post("/the/tao", count="5", batch=" đợt  1 ")
    assert answer.headers["location"].startswith("/the?xong=minted")
    assert "Đã tạo 5 mã mới" in browser.get(answer.headers["location"]).text
    assert {one.state for one in minted(world)} == {"blank"}
    assert "đợt 1: 5 (5 chưa in)" in browser.get("/the").text
    pdf = browser.post("/the/to", batch="đợt 1", form="3x4", skip="10")
    assert pdf.headers["content-type"] == "application/pdf"
    (tmp_path / "sheet.pdf").write_bytes(pdf.content)
    found = verify(tmp_path / "sheet.pdf", "https://goc.che.example")
    assert sorted(found.codes) == sorted(one.code for one in minted(world))
    assert {one.state for one in minted(world)} == {"printed"}
    for code in (codes.shown(minted(world)[0].code).lower(), TREE):
        pdf = browser.post("/the/to", code=code, form="60x80")
        (tmp_path / "one.pdf").write_bytes(pdf.content)
        assert verify(tmp_path / "one.pdf", "https://goc.che.example").codes == [codes.normalise(code)]
    with world.shelf.book() as book:
        assert [act.what for act in book.acts(9)[:2]] == ["labels đợt 1", "mint đợt 1 (5)"]
    assert f'value="{TREE}"' in browser.get(f"/the?ma={TREE}").text


def test_living_trees_of_a_zone_without_a_tag_are_printed_in_portions(
    world: StaffWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees = {one.code: one for one in world.shelf.rows("tree") if isinstance(one, Tree)}
    with world.shelf.act("test", "one dead, one with a tag") as draft:
        draft.put([replace(trees["9XJ6DC"], state="dead"), Tag(code="7K3MZ6", state="bound", tree="C0HV26")])
    monkeypatch.setattr(tags, "MOST", 1)
    browser = world.visitor("editor")
    offered = re.findall(r'<option value="(\w+ \d+)">([^<]+)', browser.get("/the").text)
    assert [asked for asked, _ in offered] == ["z01 0", "z01 1", "z02 0"]
    assert "cây 2–2 trong 2" in offered[1][1]
    read = []
    for asked, _ in offered:
        (tmp_path / "zone.pdf").write_bytes(browser.post("/the/to", zone=asked, form="4x5").content)
        read += verify(tmp_path / "zone.pdf", "https://goc.che.example").codes
    assert read == [TREE, "4TN8WJ", "EQ5R7X"]


@pytest.mark.parametrize(
    ("public_url", "told"),
    [("https://goc.che.example", True), ("https://che.example", False), ("https://" + "a" * 50, False), ("", False)],
)
def test_that_a_shorter_address_is_read_from_farther_is_told_before_tags_are_printed(
    tmp_path: Path, public_url: str, told: bool
) -> None:
    world = StaffWorld(tmp_path, public_url=public_url)
    page = world.visitor("editor").get("/the").text
    world.close()
    assert ("mã có 29 ô mỗi cạnh; nhiều nhất 29 ký tự thì 25 ô" in page) == told


@pytest.mark.parametrize(
    ("path", "fields", "words"),
    [
        ("/the/tao", {"count": "0"}, "từ 1 đến 500"),
        ("/the/tao", {"count": "501"}, "từ 1 đến 500"),
        ("/the/tao", {"count": "mười"}, "từ 1 đến 500"),
        ("/the/to", {"batch": "không có", "form": "3x4"}, "Không có thẻ nào để in"),
        ("/the/to", {"code": "7K3MQ2", "form": "3x4"}, "Không có thẻ nào để in"),
        ("/the/to", {"zone": "z09 0", "form": "3x4"}, "Không có thẻ nào để in"),
        ("/the/to", {"code": TREE, "form": "9x9"}, "Không có thẻ nào để in"),
        ("/the/to", {"code": TREE, "form": "3x4", "skip": "99"}, "Không có thẻ nào để in"),
    ],
)
def test_what_cannot_be_printed_is_told(world: StaffWorld, path: str, fields: dict[str, str], words: str) -> None:
    answer = world.visitor("editor").post(path, **fields)
    assert (answer.status_code, words in answer.text) == (422, True)
    assert set(tags.FORMS) == set(FORMS)
