"""Who logs, and who tells systemd, waits for nobody: a full pipe and a deaf manager hold up no gateway."""

from __future__ import annotations

import io
import logging
import os
import re
import select
import signal
import socket
import sys
import termios
import threading
import time
from contextlib import suppress

import pytest

from cloud.clock import SystemClock
from gocche import child, commands
from gocche.log import Log, Outlet
from gocche.notify import notify
from gocche.supervisor import Supervisor

BOUND_S = 60.0


@pytest.fixture
def pipe():
    """A pipe as a log: where it is read, and what writes to it."""
    out, into = os.pipe()
    with os.fdopen(out, "rb", buffering=0) as reader, os.fdopen(into, "w") as writer:
        os.set_blocking(out, False)
        yield reader, writer


def say(log: Log, words: str, *args: object) -> None:
    log.handle(logging.LogRecord("edge", logging.INFO, "", 0, words, args, None))


def test_a_log_that_nobody_reads_holds_up_nobody_and_says_what_was_lost(pipe):
    reader, writer = pipe
    log = Log(writer)
    threads = [threading.Thread(target=lambda: [say(log, "%s", "x" * 3_000) for _ in range(20)]) for _ in range(2)]
    for thread in threads:
        thread.daemon = True
        thread.start()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive(), "it sleeps in the kernel"
    kept = reader.read(1 << 20).count(b"\n")
    assert 10 <= kept < 40
    say(log, "again")
    assert reader.read(1 << 20) == b"[%d lines before this one found nobody who takes them]\nagain\n" % (40 - kept)


def test_a_line_longer_than_a_pipe_takes_at_once_is_whole_where_there_is_room(pipe):
    reader, writer = pipe
    say(Log(writer), "%s", "đ" * 10_000)
    assert reader.read(1 << 20).decode() == "đ" * 10_000 + "\n"


@pytest.mark.parametrize("how", ["nobody reads it", "halted with Ctrl-S"])
def test_a_terminal_that_takes_nothing_holds_up_nobody_and_says_what_was_lost(how):
    """As of a session whose network is gone. The terminal itself is left alone: to others it is as it was."""
    keyboard, terminal = os.openpty()
    with os.fdopen(keyboard, "rb", buffering=0) as reader, os.fdopen(terminal, "w") as stream:
        os.set_blocking(keyboard, False)
        outlet = Outlet(stream)
        outlet.say("before")
        if how == "halted with Ctrl-S":
            termios.tcflow(terminal, termios.TCOOFF)
        talks = threading.Thread(
            target=lambda: [outlet.say(f"{n} {'x' * (n % 97)}.") for n in range(3_000)], daemon=True
        )
        talks.start()
        talks.join(5)
        held = talks.is_alive()
        termios.tcflow(terminal, termios.TCOON)
        before = everything(reader)  # and lets go of it, so that the test ends
        assert not held, "it sleeps in the kernel"
        assert os.get_blocking(terminal), "whoever shares this terminal does not expect that"
        outlet.say("again")
        after = everything(reader)
    assert before.startswith(b"before\n")
    assert after.endswith(b"\nagain\n")
    whole = re.findall(rb"^\d+ x*\.$", before, re.MULTILINE)
    lost = re.findall(rb"^\[(\d+) lines before this one found nobody who takes them]$", before + after, re.MULTILINE)
    assert len(whole) < 2_000
    assert len(whole) + sum(map(int, lost)) == 3_000
    assert not outlet.gone


def everything(reader):
    """Return all that waits to be read; what was written to a terminal is there a moment later."""
    said = b""
    while select.select([reader], [], [], 0.5)[0]:
        said += reader.read(1 << 16)
    return said.replace(b"\r\n", b"\n")


def test_a_log_whose_reader_has_gone_costs_nothing(pipe):
    reader, writer = pipe
    reader.close()
    say(Log(writer), "nobody")


def test_a_manager_that_does_not_listen_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("gocche.notify.PATIENCE_S", 0.01)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "notify"))
        others = [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(8)]
        for other in others:  # each may only send so much
            other.setblocking(False)
            with other, suppress(BlockingIOError):
                while True:
                    other.sendto(b"x", str(tmp_path / "notify"))
        began = time.monotonic()
        notify("WATCHDOG=1")
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("ignored", [False, True])
def test_a_terminal_that_goes_away_ends_a_gateway_in_order_unless_it_was_told_to_stay(ignored):
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
        stop = commands._stopping()
        if signal.getsignal(signal.SIGHUP) != signal.SIG_DFL:  # else it would end the tests
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.is_set() is not ignored
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def test_a_log_that_nobody_reads_keeps_no_room_from_starting_again_and_nobody_from_ending(tmp_path) -> None:
    """`gocche cloud | less`, a journal whose disk hangs: the supervisor slept in its own line about a dead room."""
    out, into = os.pipe()
    with os.fdopen(into, "w") as deaf, os.fdopen(out, "rb"):
        os.set_blocking(into, False)
        with suppress(BlockingIOError):
            while True:
                os.write(into, b"x")
        os.set_blocking(into, True)
        pids = set[int]()

        def started(told: dict[str, int]) -> None:
            pids.update(told.values())
            if len(pids) > 1:
                supervisor.stop.set()

        room = child.Child("room", [sys.executable, "-c", "print('x' * 10_000); exit(1)"])
        supervisor = Supervisor([room], tmp_path, child.Log(deaf), SystemClock(), started=started)
        ends = threading.Thread(target=supervisor.run, args=(lambda: None, lambda: None, 1.0), daemon=True)
        ends.start()
        ends.join(BOUND_S)
        assert not ends.is_alive(), "it sleeps in the kernel"
        assert len(pids) == 2


def test_a_room_whose_line_never_ends_fills_no_memory(tmp_path) -> None:
    one = child.Life(child.Child("room", [sys.executable, "-c", "print('x' * 300_000, end='')"]), None)
    one.start(0.0, child.Log(io.StringIO()), tmp_path)
    assert one.process
    one.process.wait(BOUND_S)
    one.bury(0.0)
    assert [len(words) for words in one.said] == [65_536] * 4 + [300_000 - 4 * 65_536]
