"""One child process: how it is started and heard, how often it died, and what it last said of itself.

It has its own process group, so that a Ctrl-C in the terminal reaches only the supervisor, and is held on a leash
(gocche/leash.py), so that it dies with the supervisor whatever kills that. What it says goes to one log, behind its
name. One that beats is heard by the words of sd_notify(3) on a socket of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING, Any, TextIO

import msgspec

from cloud.rooms.life import BEAT, FAREWELL
from gocche import leash
from gocche.log import Outlet

if TYPE_CHECKING:
    from gocche.notify import Ear

BACK_OFF_S = 0.25, 5.0  # first and longest pause before a restart
STEADY_S = 5.0  # who lived so long starts again without a pause
REMEMBERED = 20  # last lines of each child, for the message when everything has to end
SILENT_S = 15.0  # without a beat a child is stuck
FIRST_S, LONGEST_FIRST_S = 60.0, 960.0  # until it is ready: each time that it was not, it is given twice as long
LONGEST_LINE = 65_536  # bytes of what a child says before its line ends; what follows is another
LAST_WORDS_S = 2.0  # from SIGABRT, which leaves its stacks in the log, to SIGKILL


class Child(msgspec.Struct, frozen=True):
    """One process to keep: it starts when all of `after` are ready.

    One that `beats` is ready when it says so, and is killed when it falls silent; of others `ready` is asked often and
    must answer quickly. `fds` are inherited.
    """

    name: str
    argv: list[str]
    ready: Callable[[], bool] = lambda: True
    after: tuple[str, ...] = ()
    beats: bool = False
    fds: tuple[int, ...] = ()


class Log:
    """Where the supervisor and its children speak. Who reads it, or has gone away, holds up nobody (gocche/log.py)."""

    def __init__(self, to: TextIO) -> None:
        self._outlet = Outlet(to)

    def say(self, name: str, words: str) -> None:
        """Write one line, whole."""
        self._outlet.say(f"{name:<8} {words}")


class Life:
    """The present process of one child, how often it died, and what it last said of itself."""

    def __init__(self, child: Child, ear: Ear | None) -> None:
        self.child = child
        self.ready = False
        self.proven = False  # it was ready once: what refuses its configuration now was written since
        self.process: subprocess.Popen[bytes] | None = None
        self.deaths = 0  # in a row, each before it was steady
        self.restarts = 0
        self.again_at = 0.0
        self.started_at = 0.0
        self.heard_at = 0.0
        self.told: dict[str, Any] = {}
        self.last_words = ""  # of the life before
        self.said: deque[str] = deque(maxlen=REMEMBERED)
        self._ear = ear
        self._first_s = FIRST_S
        self._aborted_at = 0.0
        self._stuck = ""  # what was said when it was ended for that
        self._farewell = ""  # what itself said of its end
        self._listener: Thread | None = None

    def start(self, now: float, log: Log, folder: Path) -> None:
        """Start the process in `folder`. Raises OSError or RuntimeError where there is no room for one more."""
        command = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *self.child.argv]
        self.said.clear()
        self.ready, self._aborted_at, self._stuck, self._farewell = False, 0.0, "", ""
        self.started_at = self.heard_at = now
        if self._ear:
            self._ear.heard()  # the last words of the one before
        self.process = subprocess.Popen(  # noqa: S603 - our own command line
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=_environment(self._ear),
            process_group=0,
            pass_fds=self.child.fds,
        )
        log.say(self.child.name, f"started pid={self.process.pid}")
        if self.process.stdout:
            self._listener = Thread(
                target=self._listen, args=(self.process.stdout, log), name=f"log {self.child.name}", daemon=True
            )
            try:
                self._listener.start()
            except RuntimeError:
                self._abandon(self.process)
                raise

    def _abandon(self, process: subprocess.Popen[bytes]) -> None:
        """End a process that nobody could listen to."""
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
        self.process = self._listener = None

    def _listen(self, pipe: IO[bytes], log: Log) -> None:
        with pipe:
            for line in iter(lambda: pipe.readline(LONGEST_LINE), b""):
                words = line.decode("utf-8", "replace").rstrip()
                self.said.append(words)
                log.say(self.child.name, words)

    def hear(self, now: float) -> None:
        """Take what the child says of itself, or ask whether it is ready."""
        if self._ear is None:
            self.ready = self.ready or self.child.ready()
        for line in self._ear.heard() if self._ear else ():
            if line == "READY=1":
                self.ready, self.heard_at = True, now
            elif line == "WATCHDOG=1":
                self.heard_at = now
            elif line.startswith(FAREWELL):
                self._farewell = line.removeprefix(FAREWELL)
            elif line.startswith(BEAT):
                with suppress(ValueError, RecursionError):  # what is no health changes none
                    self.told = msgspec.json.decode(line.removeprefix(BEAT), type=dict[str, Any])
        self.proven = self.proven or (self.ready and self._ear is not None)

    def hurry_up(self, now: float, log: Log) -> None:
        """End a child that has not been heard for too long."""
        if self.process is None or self.beats(now):
            return
        silent_s = now - self.heard_at
        if not self._aborted_at:
            self._stuck = f"stuck: not heard for {silent_s:.0f} s"
            if not self.ready:
                self._first_s = min(2 * self._first_s, LONGEST_FIRST_S)
                self._stuck = f"not ready after {silent_s:.0f} s; has {self._first_s:g} s the next time"
            log.say(self.child.name, f"{self._stuck}; ended, its stacks follow")
            self._aborted_at = now
            self.process.send_signal(signal.SIGABRT)
        elif now - self._aborted_at > LAST_WORDS_S:
            self.process.kill()

    def beats(self, now: float) -> bool:
        """Tell whether the child lives and makes progress."""
        patience_s = SILENT_S if self.ready else self._first_s
        return self.process is not None and (self._ear is None or now - self.heard_at <= patience_s)

    def ended(self) -> int | None:
        """Return the exit status of a process that has ended (negative: the signal), else None."""
        return self.process.poll() if self.process else None

    def bury(self, now: float) -> float:
        """Forget the ended process; return how many seconds to wait before the next."""
        if self._listener:
            self._listener.join(1.0)
        self.hear(now)
        lines = [words.strip() for words in list(self.said)[-1:]]
        own = self._stuck or self._farewell or ": ".join([spelled(self.ended() or 0), *lines])
        self.process, self.ready, self.told, self.last_words = None, False, {}, own
        return self.wait(now)

    def wait(self, now: float) -> float:
        """Put the next start off; return by how many seconds, more and more of them while none was steady."""
        self.restarts += 1
        self.deaths = 1 if now - self.started_at >= STEADY_S else self.deaths + 1
        first, longest = BACK_OFF_S
        wait_s = min(first * 2.0 ** min(self.deaths - 1, 16), longest)
        self.again_at = now + wait_s
        return wait_s


def spelled(status: int) -> str:
    """Return how a process ended in words."""
    return f"ended by signal {-status}" if status < 0 else f"ended with status {status}"


def _environment(ear: Ear | None) -> dict[str, str]:
    """Return ours, with this copy of gocche in front: children run in another folder, installed or not.

    Our own words to systemd are ours alone: a child speaks to the ear that it is given, or to nobody.
    """
    here = str(Path(__file__).resolve().parent.parent)
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    kept = {name: value for name, value in os.environ.items() if name not in {"NOTIFY_SOCKET", "WATCHDOG_USEC"}}
    told = {"NOTIFY_SOCKET": str(ear.path)} if ear else {}
    return kept | told | {"PYTHONPATH": os.pathsep.join([here, *others]), "PYTHONUNBUFFERED": "1"}
