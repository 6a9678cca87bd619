"""A survey of a team from a file, by the command and the real room, which is killed with 9 amid it, and again."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloud.clock import SystemClock
from cloud.coverage import book
from cloud.coverage.uploads import FOLDER, MOST_BYTES
from cloud.registry.book import NAME as REGISTRY
from cloud.registry.live import found
from tests import sentinels
from tests.servers import free_port, until
from tests.test_coverage_room import survey

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.journey, pytest.mark.usefixtures("budget")]
BUDGET_S = 120
ROOT = Path(__file__).parents[2]
BOUND_S = 60.0
MOMENTS = 20_000


class Room:
    """The coverage room alone, with the sample's configuration, without broker and store."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        found(folder / REGISTRY, ROOT / "config" / "garden", SystemClock())
        self.start()

    @property
    def where(self) -> list[str]:
        return ["--config", str(ROOT / "config" / "cloud.toml"), "--data", str(self.folder)]

    def start(self) -> None:
        words = [*self.where, "--room", "coverage", "--broker", f"127.0.0.1:{self.port}"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "gocche", "cloud", *words], stderr=log, cwd=ROOT)

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(BOUND_S)

    def command(self, path: Path, team: str = "Háng Tày") -> subprocess.Popen[str]:
        words = ["coverage", "import", str(path), "--team", team, *self.where]
        pipe = subprocess.PIPE
        return subprocess.Popen([sys.executable, "-m", "gocche", *words], stdout=pipe, stderr=pipe, text=True, cwd=ROOT)

    def read(self) -> int:
        """Return how many records of the newest file are read."""
        try:
            return next((one.records for one in book.uploads(self.folder / book.NAME)), 0)
        except sqlite3.Error:
            return 0


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    try:
        until((tmp_path / "inbox-coverage.db").exists, BOUND_S, "the room has its inbox")
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def test_a_file_is_read_to_its_end_though_the_room_is_killed_amid_it(room: Room, tmp_path: Path) -> None:
    file = tmp_path / f"{sentinels.MISSION}.csv"
    file.write_bytes(survey(MOMENTS, 1_790_000_000_000))
    command = room.command(file)
    for _ in range(2):
        until(lambda: 0 < room.read() < MOMENTS, BOUND_S, "some of it is read")
        assert room.end(signal.SIGKILL) == -signal.SIGKILL
        room.start()
    told, said = command.communicate(timeout=BOUND_S)
    if "hộp thư" in told:  # the command saw that nobody was there, and has said that it waits
        until(lambda: book.uploads(tmp_path / book.NAME)[0].done_ms, BOUND_S, "the room has read it all")
    else:
        assert f"{MOMENTS} new samples, 0 known, 0 too late" in told, said
        assert "1 records are no samples: no number where one should be" in told
        assert command.returncode == 1
    (upload,) = book.uploads(tmp_path / book.NAME)
    assert (upload.new, upload.known, upload.late, sum(upload.refused.values())) == (MOMENTS, 0, 0, 1)
    until(lambda: not list((tmp_path / FOLDER).iterdir()), BOUND_S, "the copy is gone")
    room.end(signal.SIGTERM)
    file.unlink()
    assert sentinels.leaks(tmp_path) == []


def test_what_cannot_be_imported_is_told_and_leaves_nothing(room: Room, tmp_path: Path) -> None:
    large = tmp_path / "large.csv"
    with large.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    for path, team, words in (
        (large, "Háng Tày", "more than 50 MB"),
        (tmp_path / "gone.csv", "Háng Tày", "gone.csv"),
        (large, "Nobody", "Nobody"),
    ):
        command = room.command(path, team)
        told, said = command.communicate(timeout=BOUND_S)
        assert command.returncode != 0
        assert words in told + said
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_two_commands_at_once_are_both_read(room: Room, tmp_path: Path) -> None:
    files = [tmp_path / f"{n}.csv" for n in range(2)]
    for n, file in enumerate(files):
        file.write_bytes(survey(300, 1_790_000_000_000 + n * 86_400_000))
    commands = [room.command(file, team) for file, team in zip(files, ["hang-tay", "Pú Vá"], strict=True)]
    for command in commands:
        told, said = command.communicate(timeout=BOUND_S)
        assert "300 new samples" in told, said
    os.sync()
    assert sorted(team for team, _, _ in book.effort(tmp_path / book.NAME, 0)) == sorted(
        one.team for one in book.uploads(tmp_path / book.NAME)
    )
