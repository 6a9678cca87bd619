"""What is decided and that it is to be told stand or fall together."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from cloud.alerts.decide.progress import Progress
from cloud.alerts.journal import Journal
from cloud.alerts.schema import STEPS
from cloud.alerts.tell.outbox import Outbox
from tests.rules.garden import SMOKE, Bench

if TYPE_CHECKING:
    from pathlib import Path

FIRE = [(60.0 * n, 80.0) for n in range(6)]
CALM = [(360.0 + 60.0 * n, 10.0) for n in range(6)]


def test_each_thing_to_be_told_is_one_row_with_its_grade(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [SMOKE], None, tells=False)
    bench.live(FIRE + CALM)
    told = [(one.tell, one.grade, one.incident, one.at_ms) for one in bench.alerts._journal.intents(0)]
    assert told == [("onset", "life", 1, bench.at(180)), ("end", "life", 1, bench.at(660))]
    bench.close()


@pytest.mark.parametrize("table", ["incident", "journal", "intent", "series", "processed"])
def test_a_write_that_fails_takes_all_of_the_decision_back(tmp_path: Path, table: str) -> None:
    bench = Bench(tmp_path, [SMOKE], None, tells=False)
    bench.live(FIRE[:3])
    db = bench.alerts._journal.db
    db.execute(f"CREATE TEMP TRIGGER full BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    with pytest.raises(sqlite3.IntegrityError, match="disk full"):
        bench.live(FIRE[3:4])
    counts = [db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("incident", "journal", "intent")]
    assert counts == [0, 0, 0]
    db.execute("DROP TRIGGER full")
    bench.live(FIRE[4:])
    assert [one.tell for one in bench.alerts._journal.intents(0)] == ["onset"]
    bench.close()


def test_a_journal_of_the_version_before_goes_on(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "alerts.db")
    db.executescript(STEPS[0])
    db.execute("INSERT INTO processed VALUES ('sg-01', 'aa', '[[1,5],[7,9]]')")
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
    journal = Journal(tmp_path / "alerts.db")
    assert journal.intents(0) == []
    assert list(Progress(journal).processed("sg-01", "aa")) == [(1, 5), (7, 9)]
    journal.close()


def test_a_journal_of_the_first_version_keeps_what_it_knows_and_what_waits(tmp_path: Path) -> None:
    """What waited in its outbox is told, under the id that it had, and nothing that was told is told again."""
    db = sqlite3.connect(tmp_path / "alerts.db")
    db.executescript(f"{STEPS[0]} PRAGMA user_version = 1;")
    message = '{"id": "ab12.1.onset.%d", "at_ms": 0, "to": "", "subject": "", "text": "", "line": ""}'
    for number, state in enumerate(("sent", "sending", "waiting", "replaced", "given up"), 1):
        row = (number, 1, "onset", "email", f"n{number}@example.vn", message % number, state, 0, 0, 5, 0, "")
        db.execute("INSERT INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    db.commit()
    db.close()
    journal = Journal(tmp_path / "alerts.db")
    outbox = Outbox(journal)
    assert journal.intents(0) == []
    rows = outbox.waiting()
    assert [(row.name, row.channel, row.address) for row in rows] == [
        ("ab12.1.onset.2", "email", "n2@example.vn"),
        ("ab12.1.onset.3", "email", "n3@example.vn"),
    ]
    assert outbox.about(rows[0]) == [(1, "onset")]
    assert [outbox.knows(f"n{number}@example.vn", 1) for number in range(1, 6)] == ["onset", "", "", "", ""]
    journal.close()
