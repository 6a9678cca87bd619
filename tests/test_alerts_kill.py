"""Alerts killed with -9 in the worst places: while counting, between onset and mail, between acceptance and commit."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cloud.alerts.journal import read_incidents
from cloud.alerts.listing import events
from cloud.clock import SystemClock
from tests.rules.garden import SMOKE, Bench, Post, batch, serving, until
from tests.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent


@contextlib.contextmanager
def alerts_process(folder: Path, port: int, start_ms: int, minutes: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run alerts apart, fed with so many minutes of smoke, and kill it with -9."""
    arguments = [str(part) for part in (folder, port, start_ms, minutes)]
    child = subprocess.Popen(
        [sys.executable, __file__, *arguments], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait(10)


def child(folder: Path, port: int, start_ms: int, minutes: int) -> None:
    bench = Bench(folder, [SMOKE], port, clock=SystemClock())
    readings = [(start_ms + 60_000 * n, 80.0) for n in range(minutes)]
    bench.alerts.offer(batch(1, readings), SystemClock().utc_ms())
    with bench.running():
        threading.Event().wait()


@pytest.fixture
def post() -> Post:
    return Post(free_port())


def _processed(folder: Path) -> bool:
    import sqlite3

    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(folder / "alerts.db")) as db:
        return bool(db.execute("SELECT count(*) FROM processed").fetchone()[0])
    return False


def _next_life(folder: Path, port: int) -> Bench:
    return Bench(folder, [SMOKE], port, clock=SystemClock())


def test_killed_while_persistence_is_counted(tmp_path: Path, post: Post) -> None:
    start_ms = SystemClock().utc_ms() - 300_000
    with serving(post):
        with alerts_process(tmp_path, post.port, start_ms, 3):
            until(lambda: _processed(tmp_path))
        assert read_incidents(tmp_path / "alerts.db", 10) == []
        bench = _next_life(tmp_path, post.port)
        bench.store.commit([batch(4, [(start_ms + 180_000, 80.0)])], SystemClock().utc_ms())
        bench.step()
        (incident,) = bench.alerts.incidents()
        assert (incident.since_ms, incident.opened_ms) == (start_ms, start_ms + 180_000)
        assert len(post.mails) == 1
        bench.close()


def test_killed_between_onset_and_mail(tmp_path: Path, post: Post) -> None:
    start_ms = SystemClock().utc_ms() - 300_000
    with alerts_process(tmp_path, post.port, start_ms, 5):  # nobody listens on the port
        until(lambda: any(row[1] == "tell-failed" for row in _events(tmp_path)))
    bench = _next_life(tmp_path, post.port)
    with serving(post):
        until(lambda: bench.step() or post.mails)
        for _ in range(5):
            bench.step()
        assert len(post.mails) == 1
        assert len(bench.alerts.incidents()) == 1
    bench.close()


def test_killed_between_acceptance_and_commit(tmp_path: Path, post: Post) -> None:
    start_ms = SystemClock().utc_ms() - 300_000
    post.go_on.clear()  # the server has the mail and has not said so yet
    with serving(post):
        with alerts_process(tmp_path, post.port, start_ms, 5):
            assert post.accepted.wait(20)
        post.go_on.set()
        bench = _next_life(tmp_path, post.port)
        until(lambda: bench.step() or len(post.mails) > 1)
        bench.restart()  # ordered: repeats nothing
        for _ in range(5):
            bench.step()
        assert len(post.mails) == 2  # one repeat for one crash …
        assert len({mail["Message-ID"] for _, mail in post.mails}) == 1  # … that says that it is one
        bench.close()


def _events(folder: Path) -> list[tuple[int, str, str, str, str]]:
    import sqlite3

    with contextlib.suppress(sqlite3.Error):
        return events(folder / "alerts.db", 1)
    return []


if __name__ == "__main__":
    child(Path(sys.argv[1]), *(int(argument) for argument in sys.argv[2:5]))
