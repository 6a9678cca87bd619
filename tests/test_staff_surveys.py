"""Files of surveys on the staff's pages: streamed to the disk, read by the room, told how far and why not."""

from __future__ import annotations

import html
import re
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from cloud.coverage.uploads import FOLDER, MOST_BYTES, ROOM
from cloud.inbox import Inbox
from tests import sentinels
from tests.staffroom import StaffWorld
from tests.test_coverage_room import World, survey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATH = "/do-song"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[StaffWorld]:
    made = StaffWorld(tmp_path)
    yield made
    made.close()


@pytest.fixture
def room(tmp_path: Path, world: StaffWorld) -> Iterator[World]:
    made = World(tmp_path)
    made.clock.step((world.clock.utc_ms() - made.clock.utc_ms()) / 1000)
    yield made
    made.close()


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", text)))


def sent(world: StaffWorld, body: bytes, name: str = "survey.csv", team: str = "hang-tay") -> str:
    answer = world.visitor("editor").post(PATH, team=team, files={"file": (name, body, "text/csv")})
    assert answer.status_code == 303, plain(answer.text)
    return answer.headers["location"]


def test_a_file_is_sent_read_and_told(world: StaffWorld, room: World) -> None:
    place = sent(world, survey(5_000, world.clock.utc_ms() - 86_400_000), f"{sentinels.MISSION}.csv")
    waiting = world.visitor("editor").get(place)
    assert (waiting.headers["refresh"], "Đang chờ đọc" in waiting.text) == ("3", True)
    for _ in range(2):
        room.keeper.step()
    reading = world.visitor("editor").get(place)
    assert reading.headers["refresh"] == "3"
    assert re.search(r'<progress [^>]*value="[1-9]\d*" max="\d+"', reading.text)
    room.run()
    done = world.visitor("editor").get(place)
    assert "refresh" not in done.headers
    assert "5000 mẫu mới · 0 đã có" in plain(done.text).replace(".", "")
    assert "1 × không phải là số" in plain(done.text)
    listed = plain(world.visitor("editor").get(PATH).text)
    assert "Đội Háng Tày" in listed
    room.die()
    assert sentinels.leaks(world.folder, done.text, listed) == []
    room.begin()


def test_what_cannot_be_sent_is_told(world: StaffWorld, room: World) -> None:
    editor = world.visitor("editor")
    for fields, words in (
        ({"team": "hang-tay"}, "Chưa chọn tệp"),
        ({"team": "hang-tay", "files": {"file": ("a.csv", b"", "text/csv")}}, "Chưa chọn tệp"),
        ({"team": "nobody", "files": {"file": ("a.csv", b"x", "text/csv")}}, "không còn trong sổ vườn"),
    ):
        answer = editor.post(PATH, **fields)
        assert (answer.status_code, words in plain(answer.text)) == (422, True), plain(answer.text)
    assert list((world.folder / FOLDER).iterdir()) == []
    assert editor.get(f"{PATH}/..%2f..%2fstaff.db").status_code == 404
    assert editor.get(f"{PATH}/STAFF.DB").status_code == 404
    assert room.inbox.take() == []


def test_where_the_room_has_never_run_nothing_is_kept(world: StaffWorld) -> None:
    answer = world.visitor("editor").post(PATH, team="hang-tay", files={"file": ("a.csv", b"x" * 100, "text/csv")})
    assert (answer.status_code, "không nhận tệp lúc này" in plain(answer.text)) == (503, True)
    assert list((world.folder / FOLDER).iterdir()) == []


def test_where_the_room_does_not_run_now_the_file_waits(world: StaffWorld) -> None:
    Inbox(world.folder, ROOM, world.clock).close()
    place = sent(world, survey(10))
    page = world.visitor("editor").get(place)
    assert "đang không chạy" in page.text
    assert "refresh" not in page.headers
    assert len(list((world.folder / FOLDER).iterdir())) == 1


def test_a_file_at_the_limit_is_taken_without_holding_it_in_memory_and_one_beyond_is_not(
    world: StaffWorld, room: World
) -> None:
    row = survey(6).splitlines(keepends=True)[-1]
    body = survey(6) + row * ((MOST_BYTES - 1_000) // len(row))
    tracemalloc.start()
    place = sent(world, body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.5 * len(body), "the test's own request holds it twice"
    assert (world.folder / FOLDER / place.rpartition("/")[2]).stat().st_size == len(body)
    answer = world.visitor("editor").post(
        PATH, team="hang-tay", files={"file": ("a.csv", body + b"x" * 50_000, "text/csv")}
    )
    assert answer.status_code == 413
    assert len(list((world.folder / FOLDER).iterdir())) == 1
