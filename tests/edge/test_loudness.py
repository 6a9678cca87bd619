"""What the agent may log in a day, whatever a stranger makes it say."""

from __future__ import annotations

import ast
import io
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from edge.loudness import BURST, LINE, PLACES, TRACE, Bounded
from tests.edge.clock import HandClock

ROOT = Path(__file__).parents[2]
DAY_MS = 86_400_000
HEAD = 100  # bytes: level, logger, time
SAYS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


@pytest.fixture
def heard():
    """A logger's handler that is bounded, in simulated time, and what it wrote."""
    clock, out = HandClock(), io.StringIO()
    handler = logging.StreamHandler(out)
    handler.addFilter(Bounded(clock))
    return clock, handler, out


def say(handler, words, *args, name="edge.x", line=1, error=None, level=logging.WARNING):
    exc = None if error is None else (type(error), error, error.__traceback__)
    handler.handle(logging.LogRecord(name, level, "x.py", line, words, args, exc))


def places():
    """Return each place in the edge that logs."""
    found = []
    for file in sorted((ROOT / "edge").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in SAYS:
                of = ast.unparse(node.func.value)
                if of.endswith("log"):
                    found.append((str(file.relative_to(ROOT)), node.lineno))
    return found


def test_no_place_in_the_edge_says_more_than_so_much_a_day(heard):
    """Something endless every five minutes for two days, in three places: the first burst, and an hour's pace."""
    clock, handler, out = heard
    lines = places()
    assert len(lines) > 20
    try:
        raise ValueError("\0\n" * 5_000)  # noqa: TRY301 - what a device said, in an error's words
    except ValueError as error:
        for _ in range(2 * 288):
            clock.now += DAY_MS // 288
            for name, line in lines[:3]:
                say(handler, "channel=%s why=%r", "soil-1", "ế" * 1_000, name=name, line=line, error=error)
    written = len(out.getvalue().encode()) / 3
    assert written <= (BURST + 48) * (LINE + TRACE + 4)
    assert written > 48 * TRACE, "an hour's pace is kept"
    with_trace, without = written / 2 / 1024, (BURST + 48) * (LINE + HEAD) / 2 / 1024
    print(f"{len(lines)} places; a day each at the worst {without:.0f} KiB, {with_trace:.0f} if all were tracebacks")


def test_what_was_held_back_is_said_with_the_next_line_of_its_place(heard):
    clock, handler, out = heard
    for number in range(100):
        say(handler, "bus=%s hangs", number)
    say(handler, "another place", line=2)
    assert out.getvalue().count("hangs") == BURST
    assert "another place" in out.getvalue(), "nobody is silenced by another"
    clock.now += 3_600_000
    say(handler, "bus=%s hangs", "now")
    assert out.getvalue().endswith(f"bus=now hangs [{100 - BURST} like it were held back]\n")


def test_what_cannot_be_formatted_and_names_without_end_are_bounded_too(heard, capsys):
    _, handler, out = heard
    for number in range(4 * PLACES):
        say(handler, "%d of %d", "x", name=f"invented.{number}")
    assert PLACES <= out.getvalue().count("of %d") <= PLACES + BURST
    assert capsys.readouterr().err == "", "a handler's own traceback is no line of ours"


AGENT = """
import logging, sys
import edge.agent
class Loud:
    def __init__(self, *_): pass
    def run(self, *_):
        for _ in range(1000): logging.getLogger("paho").warning("reconnect")
        return True
edge.agent.Agent = Loud
from gocche.__main__ import main
sys.exit(main(["agent", "--config", "config/devices.toml", "--data", sys.argv[1]]))
"""


def test_the_agent_is_bounded(tmp_path):
    command = [sys.executable, "-c", AGENT, str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stderr.count("reconnect") == BURST
