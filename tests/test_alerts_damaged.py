"""A journal that is damaged in one place, whichever thread meets it first: what burns then is told, and asked about."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from cloud.alerts.journal import read_incidents
from tests.test_alerts_again import nodes
from tests.test_alerts_to_the_end import Keeping, keeping

if TYPE_CHECKING:
    from pathlib import Path

SPOTS = {"T1": 0.0, "T4": 0.06, "T5": 0.12}
TABLES = ("incident", "letter", "series", "meta", "letter_code")


def zeroed(path: Path, table: str) -> None:
    """Make zeros of the page that a table, or an index, begins with."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = db.execute("PRAGMA page_size").fetchone()[0]
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(bytes(size))


def burn_on(desk: Keeping) -> None:
    """Let it smoke where it did, and at a new place, and nobody answer."""
    before = len(desk.kept.got)
    desk.burn("sg-T4", "sg-T5", minutes=12)
    places = [one.text for one in desk.kept.got[before:]]
    assert any("cây T5" in text for text in places), "the new one"
    assert any("cây T4" in text for text in places), "and the one that goes on: told again, or not answered"
    desk.idle(500, 20)
    rung = {to for to, words in desk.told(before) if words == "CHƯA AI TRẢ LỜI"}
    assert "xa@example.vn" in rung
    health = desk.alerts.health()
    assert (health["journal"], health["faults"], health["post_faults"]) == ("ok", 0, 0)
    assert {one.gateway for one in read_incidents(desk.path, 9) if one.going} >= {"sg-T4", "sg-T5"}, "in the file"


@pytest.mark.parametrize("table", TABLES)
def test_what_burns_is_told_whatever_part_of_the_journal_is_damaged(tmp_path: Path, table: str) -> None:
    with keeping(tmp_path, registry=nodes(SPOTS)) as desk:
        desk.burn("sg-T4")
        desk.alerts.close()
        zeroed(desk.path, table)
        desk.alerts = desk._build()
        burn_on(desk)


def test_a_damaged_letter_of_a_name_costs_nothing_else(tmp_path: Path) -> None:
    with keeping(tmp_path, registry=nodes(SPOTS)) as desk:
        desk.burn("sg-T4")
        desk.alerts.close()
        with closing(sqlite3.connect(desk.path)) as db:
            db.execute("UPDATE incident SET place_en = CAST(x'c36120' AS TEXT)")
            db.commit()
        desk.alerts = desk._build()
        burn_on(desk)


def test_what_burned_before_a_start_on_a_disk_that_is_read_only_is_asked_about(tmp_path: Path) -> None:
    with keeping(tmp_path, registry=nodes(SPOTS)) as desk:
        desk.burn("sg-T4")
        desk.alerts.close()
        shm = desk.path.with_name("alerts.db-shm")
        shm.mkdir()  # as on a read-only disk SQLite can neither write the file nor open it to read
        desk.alerts = desk._build()
        before = len(desk.kept.got)
        desk.burn("sg-T5")
        assert desk.alerts._journal.in_memory
        desk.idle(500, 20)
        texts = [one.text for one in desk.kept.got[before:] if one.to == "xa@example.vn"]
        assert any("cây T4" in text for text in texts), "nobody has answered the old one"
        assert any("cây T5" in text for text in texts), "nor the new one"
        shm.rmdir()
        desk.idle(60, 10)
        assert desk.alerts.health()["journal"] == "ok"
        assert {one.gateway for one in read_incidents(desk.path, 9) if one.going} == {"sg-T4", "sg-T5"}
