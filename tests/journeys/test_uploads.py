"""Hostile files through the staff's pages: what is no table, what unpacks to more than a disk, what takes for ever."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import pytest

from cloud.staff.aside.uploads import LARGEST, LIMITS, Limit, Unreadable, read_aside
from cloud.staff.book import bring_in
from tests.staffroom import StaffWorld
from tests.test_staff_import import plain, tried

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.journey, pytest.mark.usefixtures("budget")]
BUDGET_S = 60


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StaffWorld]:
    made = StaffWorld(tmp_path)
    yield made
    made.close()


def bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("xl/worksheets/sheet1.xml", b"0" * 300_000_000)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("name", "body", "status", "words"),
    [
        ("x.exe", b"MZ", 422, "Chỉ nhận tệp"),
        ("", b"", 422, "Chưa chọn tệp"),
        ("devices.csv", b"", 422, "Chưa chọn tệp"),
        ("secrets.csv", b"a,b\n1,2\n", 422, "chọn bảng"),
        ("../../etc/devices.csv", b"code,model\nd1,x\n", 200, "1 dòng mới"),
        ("devices.csv", b"kode,model\n1,2\n", 422, "có cột lạ"),
        ("devices.csv", b"\x00\xff\xfe" * 1000, 422, "devices.csv"),
        ("book.xlsx", b"PK\x03\x04 no zip", 422, "không phải tệp XLSX"),
        ("book.xlsx", b"<html></html>", 422, "không phải tệp XLSX"),
        ("map.geojson", b"[" * 100_000, 422, "GeoJSON"),
        ("map.geojson", b"{}", 422, "GeoJSON"),
    ],
)
def test_what_is_no_table_of_ours_is_told_so(
    world: StaffWorld, name: str, body: bytes, status: int, words: str
) -> None:
    page = tried(world.visitor("editor"), name, body)
    assert (page.status_code, words in plain(page.text)) == (status, True), plain(page.text)
    assert world.shelf.rows("device") == []


def test_bomb_and_what_is_too_large_harm_nobody(world: StaffWorld) -> None:
    browser = world.visitor("editor")
    page = tried(browser, "book.xlsx", bomb())
    assert page.status_code == 422
    assert "giải nén ra" in page.text
    assert tried(browser, "devices.csv", b"x" * (LIMITS[".csv"].size + 1)).status_code == 413
    assert tried(browser, "devices.csv", b"x" * LARGEST).status_code == 413
    assert browser.get("/").status_code == 200


@pytest.mark.parametrize("limit", [Limit(1, 60_000_000, 5), Limit(1, 512 * 2**20, 0)])
def test_reader_that_takes_too_much_is_ended(
    world: StaffWorld, limit: Limit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    body = "code,model\n" + "".join(f"d{number},x\n" for number in range(100_000))
    with pytest.raises(Unreadable):
        read_aside(bring_in.READER, "devices.csv", body.encode(), limit)
    monkeypatch.setitem(bring_in.LIMITS, ".csv", limit._replace(size=5_000_000))
    page = tried(world.visitor("editor"), "devices.csv", body.encode())
    assert page.status_code == 422
    assert "đọc không xong" in page.text
    assert "upload not read" in caplog.text
