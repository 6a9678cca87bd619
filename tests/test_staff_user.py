"""`gocche user add`: a link for once, for somebody new or known; what `gocche up` prints of the staff's pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloud.config import load
from cloud.registry.people import ACCESS
from gocche import command_line
from gocche.__main__ import main
from gocche.user import accounts, first_admin
from tests.staffroom import PASSWORD, StaffWorld

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = Path(__file__).parents[1] / "config"
URL = "http://127.0.0.1:8082"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StaffWorld]:
    made = StaffWorld(tmp_path)
    yield made
    made.close()


def added(world: StaffWorld, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Return the exit status, the path of the link, and what was said."""
    code = main(["user", "add", *words, "--config", str(CONFIG), "--data", str(world.folder)])
    told = capsys.readouterr()
    link = re.search(rf"^{URL}(/moi/[\w-]{{43}})$", told.out, re.MULTILINE)
    return code, link[1] if link else "", told.out + told.err


def test_somebody_new_gets_a_link_and_is_written_down_when_they_use_it(
    world: StaffWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    code, link, said = added(world, capsys, "Giàng A Sử", "--role", "editor")
    assert code == 0
    assert "Giàng A Sử (giang-a-su)" in said
    assert world.shelf.person("giang-a-su") is None, "a link that is lost has made nobody"
    browser = world.visitor()
    assert browser.post(link, name="Giàng A Sử", password=PASSWORD, again=PASSWORD).status_code == 303
    made = world.shelf.person("giang-a-su")
    assert made is not None
    assert (made.name, made.access) == ("Giàng A Sử", "editor")
    assert browser.get("/bang/trees/moi").status_code == 200


def test_somebody_known_keeps_their_role_and_addresses(world: StaffWorld, capsys: pytest.CaptureFixture[str]) -> None:
    world.accounts.change("moderator", "x")
    inside = world.visitor("moderator")
    code, link, _ = added(world, capsys, "moderator")
    assert code == 0
    assert inside.get("/").status_code == 200, "until the new password is chosen nothing changes"
    assert world.visitor().post(link, password=PASSWORD, again=PASSWORD).status_code == 303
    assert inside.get("/").status_code == 303, "then every device is signed out"
    assert world.visitor().sign_in("moderator").status_code == 303
    p03 = world.shelf.person("p03")
    code, link, _ = added(world, capsys, "p03", "--role", "officer")
    assert world.visitor().post(link, name="Trực ban", password=PASSWORD, again=PASSWORD).status_code == 303
    made = world.shelf.person("p03")
    assert made is not None
    assert p03 is not None
    assert (made.email, made.roles, made.access, made.name) == (p03.email, p03.roles, "officer", "Trực ban")


def test_what_is_not_said_is_asked_for(world: StaffWorld, capsys: pytest.CaptureFixture[str]) -> None:
    code, link, said = added(world, capsys, "Ai Đó")
    assert (code, link) == (2, "")
    assert "--role" in said
    code, _, said = added(world, capsys, "Ai Đó", "--role", "king")
    assert code == 2
    assert "editor" in said
    assert command_line.ACCESS == ACCESS


def test_two_people_of_one_name_have_two_codes(world: StaffWorld, capsys: pytest.CaptureFixture[str]) -> None:
    codes = []
    for number in range(2):
        _, link, said = added(world, capsys, "Vàng Thị Mảo" + " " * number, "--role", "viewer")
        codes.append(re.findall(r"\(([a-z0-9-]+)\)", said)[0])
        assert world.visitor().post(link, name="Vàng Thị Mảo", password=PASSWORD, again=PASSWORD).status_code == 303
    assert codes == ["vang-thi-mao", "vang-thi-mao-2"]
    _, _, said = added(world, capsys, "漢字", "--role", "viewer")
    assert "(staff)" in said


def test_up_prints_a_link_until_somebody_has_used_one(world: StaffWorld) -> None:
    lines = first_admin(world.folder, URL)
    assert len(lines) == 2
    old = re.search(r"(/moi/[\w-]{43})$", lines[0])
    new = re.search(r"(/moi/[\w-]{43})$", first_admin(world.folder, URL)[1])
    assert old
    assert new
    assert world.visitor().get(old[1]).status_code == 410, "a newer one replaces it"
    assert world.visitor().post(new[1], name="Chủ", password=PASSWORD, again=PASSWORD).status_code == 303
    assert first_admin(world.folder, URL) == [f"Trang nhân viên: {URL}", f"Staff pages: {URL}"]


def test_accounts_are_for_their_owner_alone(tmp_path: Path) -> None:
    accounts(tmp_path / "fresh").close()
    file = tmp_path / "fresh" / "staff.db"
    assert file.stat().st_mode & 0o777 == 0o600
    assert load(CONFIG / "cloud.toml").staff.port == 8082
