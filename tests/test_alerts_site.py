"""A journal whose file takes nothing: full, held, damaged, not there. Smoke is told all the same, and nothing twice."""

from __future__ import annotations

import contextlib
import fcntl
import sqlite3
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from cloud.alerts import site
from cloud.alerts.engine import BACK_S
from cloud.alerts.journal import read_incidents
from tests.rules.garden import SILENT, SMOKE, Bench, Post

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRE = [(60.0 * n, 80.0) for n in range(6)]
CALM = [(360.0 + 60.0 * n, 10.0) for n in range(6)]


@pytest.fixture
def bench(tmp_path: Path, post: Post, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(site, "BUSY_S", 0.05)
    monkeypatch.setattr(site, "AGAIN_S", 0.05)
    one = Bench(tmp_path, [SMOKE, SILENT], post.port)
    yield one
    one.close()


@pytest.mark.parametrize("at", [2, 4])
def test_smoke_is_told_once_although_the_journal_takes_nothing(bench: Bench, post: Post, at: int) -> None:
    bench.live(FIRE[:at])
    before = len(read_incidents(bench.path, 10))
    other = sqlite3.connect(bench.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    bench.live(FIRE[at:])
    assert len(post.mails) == 1, "at once"
    health = bench.alerts.health()
    assert health["journal"].startswith("in memory, its file takes nothing: ")
    assert (health["open"], health["waiting"], len(bench.alerts.incidents())) == (1, 0, 1)
    assert len(read_incidents(bench.path, 10)) == before, "the file knows nothing of it"
    bench.idle(2 * BACK_S, BACK_S)
    assert bench.alerts.health()["journal"] != "ok"
    other.close()
    bench.idle(BACK_S)
    assert bench.alerts.health()["journal"] == "ok"
    assert [one.open for one in read_incidents(bench.path, 10)] == [True]
    assert bench.events().count("opened") == bench.events().count("told") == 1
    bench.restart()
    bench.live(CALM)
    assert len(post.mails) == 2, "its beginning and its end"
    assert [one.open for one in read_incidents(bench.path, 10)] == [False]


def test_a_damaged_journal_is_set_aside_and_nobody_is_told_twice(bench: Bench, post: Post) -> None:
    bench.live(FIRE[:2])
    with contextlib.closing(sqlite3.connect(bench.path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    bench.alerts.close()
    with bench.path.open("r+b") as file:  # all but the first pages: the schema can be read
        file.seek(8 * 4096)
        file.write(b"\xa5" * (bench.path.stat().st_size - 8 * 4096))
    bench.alerts = bench._build()
    bench.live(FIRE[2:])
    bench.live([(360.0, 90.0)])
    assert len(post.mails) == 1
    bench.idle(2 * BACK_S)
    assert bench.alerts.health()["journal"] == "ok"
    assert bench.path.with_name("alerts.db.damaged-1").exists()
    assert [one.open for one in read_incidents(bench.path, 10)] == [True]
    bench.restart()
    bench.live(CALM)
    assert len(post.mails) == 2


def test_a_disk_that_is_full_from_the_beginning_costs_no_smoke(
    bench: Bench, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
        db = sqlite3.connect(*arguments, **named)
        if "memdb" not in arguments[0]:
            db.execute("PRAGMA max_page_count=2")  # SQLite's own "database or disk is full"
        return db

    monkeypatch.setattr(site, "sqlite3", SimpleNamespace(**vars(sqlite3) | {"connect": connect}))
    bench.live(FIRE)
    assert len(post.mails) == 1
    assert bench.alerts.health()["journal"] == "in memory, its file takes nothing: database or disk is full"
    monkeypatch.undo()
    bench.idle(2 * BACK_S, BACK_S)
    assert bench.alerts.health()["journal"] == "ok"
    bench.restart()
    bench.live(CALM)
    assert len(post.mails) == 2


def test_what_another_process_takes_out_of_the_file_meanwhile_does_not_come_back(bench: Bench) -> None:
    bench.live(FIRE)
    other = sqlite3.connect(bench.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # somebody is erased, which takes longer than the room has patience
    bench.live([(360.0, 90.0)])
    assert bench.alerts.health()["journal"] != "ok"
    other.execute("UPDATE letter SET person = 'an-x', address = 'an-x'")
    other.execute("DELETE FROM meta WHERE key = 'uid'")
    other.execute("COMMIT")
    other.close()
    bench.idle(2 * BACK_S, BACK_S)
    assert bench.alerts.health()["journal"] == "ok"
    with contextlib.closing(sqlite3.connect(bench.path)) as db:
        assert db.execute("SELECT person, address FROM letter").fetchall() == [("an-x", "an-x")]
        assert db.execute("SELECT count(*) FROM meta WHERE key = 'uid'").fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM incident WHERE value = 90").fetchone() == (1,), (
            "and what was decided is there"
        )


def test_that_the_journal_is_elsewhere_is_shown_although_somebody_looked_just_when_it_moved(bench: Bench) -> None:
    mark = site._mark_of(bench.path)
    bench.live(FIRE[:2])
    with contextlib.closing(sqlite3.connect(bench.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with mark.open("rb") as looking:
            fcntl.flock(looking, fcntl.LOCK_SH)
            bench.live(FIRE[2:])
            assert bench.alerts.health()["journal"] != "ok"
            assert not site.is_elsewhere(bench.path)
        bench.idle(2 * BACK_S, BACK_S)
        assert bench.alerts.health()["journal"] != "ok"
        assert site.is_elsewhere(bench.path)
    bench.idle(2 * BACK_S, BACK_S)
    assert not site.is_elsewhere(bench.path)
