"""Drills: what would happen is tried on the true path, and marked as an exercise at every step of it.

A fire drill opens an incident, or stages smoke at the simulated devices of `gocche up`, and follows it: who was told by
which channel after how long, who answered, and what failed. At its end it is closed as what it was.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import asdict

from cloud.alerts import drilled
from cloud.alerts.decide.exercise import DRILLED_BY
from cloud.clock import SystemClock
from cloud.store import Retry
from gocche.up import running
from gocche.words import LANGUAGES, Refused, both, said

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cloud.alerts.drilled import Report
    from cloud.inbox import Asker

LOOK_S = 0.3
ANSWER_S, SEEN_S = 15.0, 90.0  # for the room to take an act, for staged smoke to be suspected
STAGED_MS = 600_000
GATEWAY = "sg-01"  # of the sample garden


class Staged(NamedTuple):
    """The newest incident before smoke was staged, and when that was: UTC in ms."""

    newest: int
    at_ms: int


def drills() -> int:
    """List the drills that there are; return 0."""
    print(both("drill", "list"))
    return 0


def fire(data: Path | None, place: str, stage: str, minutes: float) -> int:
    """Drill a fire alarm and print its report; return 0 where somebody answered, 1 where nobody did. Raises Refused."""
    folder = data or _garden()
    asker = drilled.asker_of(folder, SystemClock())
    try:
        if not asker.attended():
            raise Refused("drill", "no_room", folder=folder)
        number = 0
        with _ended_in_order(), _staged(folder, asker, stage) as staged, suppress(KeyboardInterrupt):
            number = _suspected(folder, staged.newest) if staged else _ask(asker, act="drill", place=place)
            print(both("drill", "begun", number=number, minutes=f"{minutes:g}"), flush=True)
            _follow(folder, number, minutes)
        if not number:
            raise KeyboardInterrupt  # before anything was begun
        found = drilled.report(folder, number, DRILLED_BY)
        took = drilled.course(folder, number, staged.at_ms) if staged else None
        with suppress(Refused):  # closed by whoever answered
            _ask(asker, act="close", incident=number, closed_as="drill", words=DRILLED_BY)
    except Retry as fault:
        raise Refused("drill", "not_now", why=fault) from fault
    finally:
        asker.close()
    _print(found)
    if took:
        steps = {name: "—" if took_s is None else f"{took_s:.1f}" for name, took_s in asdict(took).items()}
        print(both("drill", "took", **steps))
    return 0 if found.answered_s is not None else 1


def show(data: Path | None, number: int) -> int:
    """Print the report of an incident; return 0. Raises Refused."""
    try:
        _print(drilled.report(data or _garden(), number, DRILLED_BY))
    except (LookupError, sqlite3.Error) as error:
        raise Refused("drill", "no_incident", number=number) from error
    return 0


def _garden() -> Path:
    folder = running()
    if folder is None:
        raise Refused("drill", "no_garden")
    return folder


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """A drill that is ended, or whose terminal is closed, ends as one that is interrupted: what it began is over."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {one: signal.signal(one, interrupt) for one in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def _staged(folder: Path, asker: Asker, stage: str) -> Iterator[Staged | None]:
    """Stage it at the simulated devices meanwhile; None where nothing is to be staged."""
    if not stage:
        yield None
        return
    if not (folder / "ports").is_dir():
        raise Refused("drill", "no_stage", folder=folder)
    newest = drilled.newest(folder)
    _ask(asker, act="exercise", scope=GATEWAY, until_ms=SystemClock().utc_ms() + STAGED_MS)
    control = folder / "control.json"
    before = json.loads(control.read_bytes()) if control.exists() else {}
    before.pop("air", None)  # what a drill that was killed has left there
    _write(control, before | {"air": stage})
    try:
        yield Staged(newest, SystemClock().utc_ms())
    finally:
        _write(control, before)


def _write(control: Path, content: dict[str, Any]) -> None:
    new = control.with_suffix(".new")
    new.write_text(json.dumps(content), encoding="utf-8")
    new.replace(control)


def _ask(asker: Asker, **act: Any) -> int:
    """Have the room do something, and return the number of what it did it to. Raises Refused."""
    number = asker.ask("act", {"who": DRILLED_BY, "by": "cli"} | act)
    outcome = _until(lambda: asker.outcome(number), ANSWER_S)
    if outcome is None:
        raise Refused("drill", "no_answer", seconds=f"{ANSWER_S:g}")
    if not outcome["ok"]:
        raise Refused("drill", "refused", why=outcome.get("words_en", ""), why_vi=outcome.get("words_vi", ""))
    return int(outcome["number"])


def _suspected(folder: Path, after: int) -> int:
    """Return the number of the exercise that staged smoke opens. Raises Refused where it does not in time."""
    print(both("drill", "staged", seconds=f"{SEEN_S:g}"), flush=True)
    found = _until(lambda: drilled.exercise_after(folder, after), SEEN_S)
    if found is None:
        raise Refused("drill", "not_seen", seconds=f"{SEEN_S:g}")
    return int(found)


def _follow(folder: Path, number: int, minutes: float) -> None:
    """Print what happens to an incident until it is answered or the time is over."""
    seen = 0

    def look() -> bool | None:
        nonlocal seen
        news = drilled.happened(folder, number, seen)
        seen += len(news)
        for event, *rest in news:
            if event in drilled.SHOWN:
                told = " · ".join(said("drill", event, language) for language in LANGUAGES)
                print("  " + "  ".join(filter(None, (told, *rest))), flush=True)
        return drilled.report(folder, number, DRILLED_BY).answered_s is not None or None

    _until(look, 60.0 * minutes)


def _until(look: Any, within_s: float) -> Any:
    """Return what a look finds, None where it finds nothing in time."""
    clock, never = SystemClock(), threading.Event()
    end_s = clock.monotonic() + within_s
    while (found := look()) is None and clock.monotonic() < end_s:
        clock.wait(never, LOOK_S)
    return found


def _print(found: Report) -> None:
    print(both("drill", "report", number=found.incident))
    for line in found.lines:
        told = "—" if line.told_s is None else f"{line.told_s:.1f} s"
        print(f"  {line.person}  {line.channel}  {line.state}  {told}  {line.receipt}".rstrip())
    if found.failed:
        print(both("drill", "failed", channels=", ".join(found.failed)))
    if found.answered_s is None:
        print(both("drill", "unanswered"))
    else:
        print(both("drill", "answered", who=found.answered_by, seconds=f"{found.answered_s:.1f}"))
