"""The status is read off the board, and its file lies in memory where one rule says: written on change, never stale."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import status as edge_status
from edge.board import Board, Channel, Keeping, Link
from edge.send.allowance import DAY_MS, Allowance
from edge.status import AGAIN_MS, Own, StatusFile, compose, encoded, news, status_file
from edge.words import note
from wire import beat
from wire.batch import Status, Unstored
from wire.codec import MAX_PACKET

OWN = Own("a1" * 8, 10.0, 60.0, "1", "c")


def keeping(acquired, cut, **figures):
    return Keeping(epoch="e0" * 8, acquired=acquired, cut=cut, dropped=2, **figures)


@pytest.fixture
def board():
    made = Board()
    made.channels["soil-1"] = Channel(4_000, "", None, {"model": "X"}, 7)
    made.keeping = keeping(100, 90, spooled=30, oldest_ms=-5_000)
    return made


def test_one_rule_says_where_the_file_is(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/gocche")
    assert status_file(Path("/anywhere")) == Path("/run/gocche/status.json"), "for the agent, as systemd says"
    monkeypatch.delenv("RUNTIME_DIRECTORY")
    here, link = tmp_path / "data", tmp_path / "link"
    here.mkdir()
    link.symlink_to(here)
    assert status_file(here) == status_file(link) == status_file(here / "." / ".." / "data")
    assert status_file(here) != status_file(tmp_path), "every agent has its own"
    assert not status_file(here).is_relative_to(tmp_path), "in memory, not beside the spool"
    monkeypatch.setattr(edge_status, "_MEMORY", tmp_path / "no such folder")
    assert status_file(here).name == "status.json"


def test_who_asks_from_outside_finds_the_file_of_the_unit(monkeypatch):
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setattr(Path, "is_dir", lambda self: self == Path("/run/gocche"))
    assert status_file(Path("/var/lib/gocche")) == Path("/run/gocche/status.json")


def test_who_may_not_look_into_the_folder_of_the_unit_is_told_so_and_not_led_elsewhere(monkeypatch):
    def closed(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setattr(Path, "is_dir", closed)
    assert status_file(Path("/var/lib/gocche")) == Path("/run/gocche/status.json")


def test_what_is_said_carries_times_of_the_boot(board):
    said = compose(board, OWN, 10_000, "online")
    assert (said.mono_ms, said.oldest_s, said.cut, said.dropped) == (10_000, 15.0, 90, 2)
    assert said.channels["soil-1"]["last_ok_ms"] == 4_000
    assert said.link["up"] is False


def test_figures_ages_and_the_words_of_a_fault_are_no_news(board):
    before = compose(board, OWN, 10_000, "online")
    board.keeping = keeping(200, 190, spooled=3, oldest_ms=9_000)
    board.channels["soil-1"] = Channel(14_000, "", None, {"model": "X"}, 8, {"silence": 1})
    assert news(compose(board, OWN, 15_000, "online")) == news(before)
    board.channels["soil-1"] = Channel(14_000, "silence: 0 of 13 bytes", 15_000, {"model": "X"}, 9)
    ill = compose(board, OWN, 20_000, "online")
    assert news(ill) != news(before)
    board.channels["soil-1"] = Channel(14_000, "silence: 1 of 13 bytes", 15_000, {"model": "X"}, 10)
    assert news(compose(board, OWN, 25_000, "online")) == news(ill)
    board.link = Link(up=True, since_ms=1, why="")
    assert news(compose(board, OWN, 25_000, "online")) != news(ill)


def test_the_file_is_written_on_change_and_before_it_looks_dead(board, tmp_path):
    path = tmp_path / "run" / "status.json"
    file = StatusFile(path)
    written = set()
    for now in range(0, 10 * AGAIN_MS, 5_000):
        board.keeping = keeping(now, now)
        file.write(compose(board, OWN, now, "online"))
        written.add(path.read_bytes())
        assert now - msgspec.json.decode(path.read_bytes(), type=Status).mono_ms < AGAIN_MS
    assert len(written) == 10, "no more often than it must"
    board.channels["soil-1"] = Channel(why="silence")
    file.write(compose(board, OWN, now + 1, "online"))
    assert file.read().channels["soil-1"]["why"] == "silence", "a change does not wait"
    assert [each.name for each in path.parent.iterdir()] == ["status.json"]


def test_what_stands_in_the_way_of_the_file_costs_nothing_else_and_is_said_once(board, tmp_path, caplog):
    (tmp_path / "run").write_text("a file where the folder should be")
    file = StatusFile(tmp_path / "run" / "status.json")
    for now in range(0, 100_000, 5_000):
        file.write(compose(board, OWN, now, "online"))
    assert file.read() is None
    assert len(caplog.records) == 1
    (tmp_path / "run").unlink()
    file.write(compose(board, OWN, 100_000, "online"))
    assert file.read().mono_ms == 100_000
    assert len(caplog.records) == 2


def test_an_agent_without_a_free_descriptor_does_not_look_dead(board, tmp_path):
    file, taken, limit = StatusFile(tmp_path / "run" / "status.json"), [], resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limit[1]))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for now in range(0, 5 * AGAIN_MS, AGAIN_MS):
            file.write(compose(board, OWN, now, "online"))
    finally:
        for one in taken:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert file.read().mono_ms == 4 * AGAIN_MS


def test_a_folder_that_somebody_else_laid_in_memory_is_not_used(board, tmp_path, monkeypatch, caplog):
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    StatusFile(tmp_path / "run" / "status.json").write(compose(board, OWN, 0, "online"))
    assert list((tmp_path / "run").iterdir()) == []
    assert "belongs to somebody else" in caplog.text


@given(st.lists(st.tuples(st.integers(0, 3_600_000), st.integers(1, 20_000)), max_size=200))
def test_an_allowance_is_never_overdrawn_by_more_than_one_message(asked):
    allowance, now, spent = Allowance(30_000, 8_000), 0, 0
    for pause, size in asked:
        now += pause
        if allowance.affords(size, now):
            allowance.spend(size)
            spent += size
    assert spent <= 8_000 + 30_000 * now / DAY_MS + 20_000


def filled(board, channels, text=""):
    for i in range(channels):
        why = "no answer" if i % 50 == 0 else ""
        board.channels[f"soil-{i}"] = Channel(1, f"{why}: {text}" if why else "", 1, {f"t{n}": text for n in range(24)})
    return compose(board, OWN, 60_000, "online")


def test_a_capture_that_ended_stands_in_the_status(board):
    board.captures["rs485"] = note("capture_ended", file="wire.txt", why=OSError(28, "No space left on device"))
    status = compose(board, OWN, 60_000, "online")
    assert "the capture in wire.txt ended (No space left on device)" in status.why
    assert "wire.txt đã dừng" in status.why_vi


def test_a_status_that_fits_goes_out_whole(board):
    status = filled(board, 10, "text")
    assert msgspec.json.decode(encoded(status), type=Status) == status


def test_a_status_that_does_not_fit_leaves_out_the_least_telling_first(board):
    """A broker puts out whoever sends more than it takes, and the status is the first word of every connection."""
    said = msgspec.json.decode(encoded(filled(board, 256, "ngoài vườn " * 5)), type=Status)
    assert len(said.channels) == 256
    assert said.channels["soil-50"]["why"].startswith("no answer")
    said = msgspec.json.decode(encoded(filled(board, 2_000, "x" * 60)), type=Status)
    assert said.channels.keys() == {f"soil-{i}" for i in range(0, 2_000, 50)}
    assert (said.acquired, said.cut, said.spooled) == (100, 90, 30)


@settings(max_examples=40)
@given(st.integers(0, 300), st.text(max_size=500), st.integers(0, 3_000), st.text(max_size=200))
def test_no_status_is_larger_than_a_message_may_be(channels, text, values, why):
    board = Board()
    smoke = [Unstored(f"smoke-{i}", "pm2_5", 900.0, i) for i in range(values)]
    board.keeping = keeping(values, 0, urgent=tuple(smoke), why=why * 500)
    said = encoded(filled(board, channels, text))
    assert len(said) <= MAX_PACKET
    assert msgspec.json.decode(said, type=Status).urgent[-1:] == smoke[-1:], "the newest is told"


def test_what_began_in_the_future_by_a_wrong_date_has_no_age_below_zero(board):
    board.keeping = keeping(100, 90, oldest_ms=99_000)
    assert beat.decode(beat.encode(beat.beat_of(compose(board, OWN, 5_000, "online")))).oldest_s == 0
