"""Telephones of teams on the staff's pages: invited once, listed, revoked, and who did it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from cloud.access import book, heard
from cloud.access.fleet import Fleet
from cloud.access.heard import Heard
from cloud.clock import hanoi, midnight_ms
from cloud.config import Coverage
from gocche.__main__ import main
from tests.staffroom import NOW_MS, StaffWorld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATH = "/dien-thoai"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StaffWorld]:
    made = StaffWorld(tmp_path)
    yield made
    made.close()


def invited(world: StaffWorld, role: str = "editor", **fields: str) -> str:
    answer = world.visitor(role).post(
        f"{PATH}/moi", PATH, **({"team": "hang-tay", "count": "2", "days": "90"} | fields)
    )
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.text


def test_each_telephone_has_its_own_symbol_which_is_seen_once(world: StaffWorld, tmp_path: Path) -> None:
    zxingcpp, resvg = pytest.importorskip("zxingcpp"), pytest.importorskip("PIL")
    assert zxingcpp, resvg
    page = invited(world)
    assert page.count("<svg") == 2
    assert page.count("Điện thoại đo sóng của Đội Háng Tày") == 2
    held = {one.user: one for one in book.accounts(tmp_path / book.NAME)}
    assert list(held) == ["doi-hang-tay-1", "doi-hang-tay-2"]
    assert {one.made_by for one in held.values()} == {"Tên editor (editor)"}
    last = hanoi(NOW_MS).date() + timedelta(90)
    assert {one.until_ms for one in held.values()} == {midnight_ms(last + timedelta(1)) - 1}, "to the end of that day"
    assert f"Dùng được đến hết ngày {last:%d/%m/%Y}" in page
    listed = world.visitor("editor").get(PATH).text
    assert "<svg" not in listed
    assert listed.count("Chưa nghe lần nào") == 2


def test_who_was_heard_and_what_was_refused_is_listed(world: StaffWorld, tmp_path: Path) -> None:
    invited(world)
    kept = heard.Book(tmp_path / heard.NAME)
    kept.add([Heard("doi-hang-tay-1", NOW_MS - 3_600_000, 40, 17, {"rate": 3, "json": 1})])
    kept.close()
    page = re.sub(r"\s+", " ", world.visitor("admin").get(PATH).text)
    assert "17 mẫu · không nhận 4 tin: 1 × JSON hỏng; 3 × quá nhiều tin một lúc" in page
    assert page.index("Đội Háng Tày") < page.index("doi-hang-tay-1")


def test_revoked_by_whom_and_never_twice(world: StaffWorld, tmp_path: Path) -> None:
    invited(world)
    browser = world.visitor("admin")
    answer = browser.post(f"{PATH}/huy", PATH, user="doi-hang-tay-1")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PATH}?xong=revoked&gi=doi-hang-tay-1")
    assert book.team_of(tmp_path / book.NAME, "doi-hang-tay-1", NOW_MS) is None
    assert "Tên admin (admin) đã huỷ" in browser.get(PATH).text
    assert browser.post(f"{PATH}/huy", PATH, user="doi-hang-tay-1").status_code == 409
    assert browser.post(f"{PATH}/huy", PATH, user="nobody").status_code == 409
    assert (tmp_path / book.CHANGED).exists()


@pytest.mark.parametrize(
    "fields", [{"team": "nix"}, {"team": ""}, {"count": "0"}, {"count": "11"}, {"count": "x"}, {"days": "7"}]
)
def test_what_cannot_be_is_said_and_makes_no_account(world: StaffWorld, tmp_path: Path, fields: dict[str, str]) -> None:
    given = {"team": "hang-tay", "count": "1", "days": "30"} | fields
    answer = world.visitor("editor").post(f"{PATH}/moi", PATH, **given)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert book.accounts(tmp_path / book.NAME) == []


def test_without_a_way_in_nobody_is_invited_and_it_is_said(tmp_path: Path) -> None:
    world = StaffWorld(tmp_path)
    world.staff = replace_fleet(world, Coverage())
    try:
        page = world.visitor("editor").get(PATH).text
        assert "phone_host" in page or "MQTT" in page
    finally:
        world.close()


def replace_fleet(world: StaffWorld, way: Coverage) -> object:
    object.__setattr__(world.staff, "fleet", Fleet(world.folder, way, world.clock))
    return world.staff


def test_who_is_erased_is_erased_from_the_accounts_too(
    world: StaffWorld, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    invited(world)
    world.visitor("editor").post(f"{PATH}/huy", PATH, user="doi-hang-tay-2")
    file = tmp_path / "cloud.toml"
    file.write_text(f'[data]\npath = "{tmp_path}"\n')
    assert main(["person", "erase", "--config", str(file), "editor", "--yes"]) in {0, 1}
    names = {name for one in book.accounts(tmp_path / book.NAME) for name in (one.made_by, one.revoked_by) if name}
    assert len(names) == 1
    assert re.fullmatch(r"an-\w{6}", names.pop())
    assert "Tên editor".encode() not in b"".join(one.read_bytes() for one in tmp_path.glob(f"{book.NAME}*"))
