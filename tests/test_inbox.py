"""What one room asks of another: a durable row, taken by one, done at least once, and never for ever in the way."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from cloud.clock import SystemClock
from cloud.inbox import KEPT_MS, MAX_BYTES, MOST_OPEN, Asker, Inbox, path_of
from cloud.store import Retry
from settings.words import Taken
from tests.test_exit_codes import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Clock(SystemClock):
    """The machine's clock, moved."""

    ahead_ms = 0

    def utc_ms(self) -> int:
        return super().utc_ms() + self.ahead_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def inbox(tmp_path: Path, clock: Clock) -> Iterator[Inbox]:
    made = Inbox(tmp_path, "alerts", clock)
    yield made
    made.close()


@pytest.fixture
def asker(tmp_path: Path, clock: Clock) -> Iterator[Asker]:
    made = Asker(tmp_path, "alerts", clock)
    yield made
    made.close()


def test_a_question_is_taken_in_turn_and_waits_until_it_is_done(inbox: Inbox, asker: Asker) -> None:
    first, second = (asker.ask("acknowledge", {"incident": n}) for n in (7, 8))
    for _ in range(2):
        assert [(one.id, one.kind, one.body) for one in inbox.take()] == [(first, "acknowledge", {"incident": 7})]
    assert asker.outcome(first) is None
    inbox.done(first, {"by": "Trực"})
    assert asker.outcome(first) == {"by": "Trực"}
    assert [one.id for one in inbox.take(10)] == [second]


def test_it_survives_who_asked_and_who_took_it(tmp_path: Path, clock: Clock) -> None:
    Inbox(tmp_path, "alerts", clock).close()
    script = (
        "import sys, os, signal; from pathlib import Path; from cloud.clock import SystemClock;"
        "from cloud.inbox import Asker, Inbox; here = Path(sys.argv[1]);"
        "Asker(here, 'alerts', SystemClock()).ask('acknowledge', {'incident': 7});"
        "inbox = Inbox(here, 'alerts', SystemClock()); print(inbox.take(), flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, "incident" in ran.stdout) == (-signal.SIGKILL, True), ran.stderr
    again = Inbox(tmp_path, "alerts", clock)  # the dead one holds no lock
    assert [one.body for one in again.take()] == [{"incident": 7}]
    again.close()


def test_a_damaged_inbox_is_set_aside_and_keeps_no_room_from_starting(tmp_path: Path, clock: Clock) -> None:
    """Readings were stored no more, because a file of questions was damaged."""
    path = path_of(tmp_path, "alerts")
    path.write_bytes(b"garbage" * 4_000)
    made, asker = Inbox(tmp_path, "alerts", clock), Asker(tmp_path, "alerts", clock)
    asker.ask("acknowledge", {"incident": 7})
    assert [one.body for one in made.take()] == [{"incident": 7}]
    asker.close()
    made.close()
    assert path.with_name(f"{path.name}.damaged-1").read_bytes() == b"garbage" * 4_000


def test_one_takes_and_the_second_is_told_who_was_first(inbox: Inbox, asker: Asker, tmp_path: Path) -> None:
    with pytest.raises(Taken, match=rf"process {os.getpid()} already takes what is asked in .*alerts.db") as second:
        Inbox(tmp_path, "alerts", SystemClock())
    assert second.value.told("vi").startswith(f"tiến trình {os.getpid()} đang")
    Inbox(tmp_path, "pages", SystemClock()).close()
    assert asker.attended()
    inbox.close()
    inbox.close()  # may be called twice
    assert not asker.attended()


def test_many_ask_at_once_and_none_is_lost(inbox: Inbox, tmp_path: Path, clock: Clock) -> None:
    numbers: list[int] = []

    def ask() -> None:
        own = Asker(tmp_path, "alerts", clock)
        numbers.extend(own.ask("x", {"n": n}) for n in range(20))
        own.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    done = 0
    while any(thread.is_alive() for thread in threads) or inbox.take():
        for one in inbox.take(5):
            inbox.done(one.id, {})
            done += 1
    for thread in threads:
        thread.join()
    assert done == len(set(numbers)) == 80


def test_it_is_bounded_and_forgets_what_is_long_answered(inbox: Inbox, asker: Asker, clock: Clock) -> None:
    with pytest.raises(ValueError, match="more than"):
        asker.ask("x", {"why": "x" * MAX_BYTES})
    with inbox._file.changing() as db:
        db.executemany(
            "INSERT INTO question(asked_ms, kind, body) VALUES (0, 'x', '{}')", [() for _ in range(MOST_OPEN)]
        )
    with pytest.raises(Retry, match="1000 questions wait already"):
        asker.ask("x", {})
    (oldest,) = inbox.take()
    inbox.done(oldest.id, {"well": True})
    number = asker.ask("x", {})
    clock.ahead_ms = KEPT_MS + 1_000
    inbox.done(number, {})
    assert asker.outcome(number) == {}
    with pytest.raises(LookupError, match="kept for a day"):
        asker.outcome(oldest.id)


@pytest.mark.parametrize("body", [b"no json", b"[1]", b"\xff", b'{"a":' + b"[" * 30_000])
def test_a_row_that_rotted_is_answered_and_costs_nobody_else(inbox: Inbox, asker: Asker, body: bytes) -> None:
    number = asker.ask("x", {})
    with inbox._file.changing() as db:
        db.execute("UPDATE question SET body = ?", (body,))
    after = asker.ask("y", {})
    assert [one.id for one in inbox.take(10)] == [after]
    assert "unreadable" in (asker.outcome(number) or {})["error"]


def test_who_never_ran_is_said_and_no_file_is_made(tmp_path: Path) -> None:
    asker = Asker(tmp_path, "alerts", SystemClock())
    assert not asker.attended()
    with pytest.raises(Retry, match="has never run"):
        asker.ask("x", {})
    assert list(tmp_path.iterdir()) == [], "made by a command under another user it could not be the room's"
    asker.close()


def test_a_busy_or_damaged_file_is_a_retry(inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud.inbox.BUSY_S", 0.05)
    asker = Asker(tmp_path, "alerts", SystemClock())
    holder = sqlite3.connect(path_of(tmp_path, "alerts"), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(Retry, match="locked"):
        asker.ask("x", {})
    holder.execute("ROLLBACK")
    holder.close()
    assert asker.ask("x", {}) == 1
    asker.close()
