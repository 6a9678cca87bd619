"""Keeps a handful of child processes running: starts them in order, restarts what dies, ends all of them for sure.

Each child has its own process group, so that a Ctrl-C in the terminal reaches only the supervisor, and is held on a
leash (gocche/leash.py), so that it dies with the supervisor whatever kills that. What children say goes to one log,
each line behind the child's name.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from typing import IO, TYPE_CHECKING, TextIO

import msgspec

from gocche import leash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.clock import Clock

CONFIG_ERROR = 2  # the exit status by which a child says: no restart will help
LOOK_S = 0.05
GRACE_S = 3.0  # for each child, from SIGTERM to SIGKILL
BACK_OFF_S = 0.25, 5.0  # first and longest pause before a restart
STEADY_S = 5.0  # who lived so long starts again without a pause
REMEMBERED = 20  # last lines of each child, for the message when everything has to end


class Child(msgspec.Struct, frozen=True):
    """One process to keep: it starts when all of `after` are ready; `ready` is asked often and must answer quickly."""

    name: str
    argv: list[str]
    ready: Callable[[], bool] = lambda: True
    after: tuple[str, ...] = ()


class Log:
    """Where the supervisor and its children speak. A reader who has gone away disturbs nobody."""

    def __init__(self, to: TextIO) -> None:
        self._to = to

    def say(self, name: str, words: str) -> None:
        """Write one line, whole."""
        try:
            self._to.write(f"{name:<8} {words}\n")
            self._to.flush()
        except (OSError, ValueError):
            return


class Life:
    """The present process of one child, and how often it died."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.ready = False
        self.process: subprocess.Popen[bytes] | None = None
        self.deaths = 0  # in a row, each before it was steady
        self.again_at = 0.0
        self.started_at = 0.0
        self.said: deque[str] = deque(maxlen=REMEMBERED)
        self._listener: Thread | None = None

    def start(self, now: float, log: Log, folder: Path) -> None:
        """Start the process in `folder`. Raises OSError where none can be started at all."""
        command = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *self.child.argv]
        self.said.clear()
        self.ready = False
        self.started_at = now
        self.process = subprocess.Popen(  # noqa: S603 - our own command line
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=_environment(),
            process_group=0,
        )
        log.say(self.child.name, f"started pid={self.process.pid}")
        if self.process.stdout:
            self._listener = Thread(
                target=self._listen, args=(self.process.stdout, log), name=f"log {self.child.name}", daemon=True
            )
            self._listener.start()

    def _listen(self, pipe: IO[bytes], log: Log) -> None:
        with pipe:
            for line in pipe:
                words = line.decode("utf-8", "replace").rstrip()
                self.said.append(words)
                log.say(self.child.name, words)

    def ended(self) -> int | None:
        """Return the exit status of a process that has ended (negative: the signal), else None."""
        return self.process.poll() if self.process else None

    def bury(self, now: float) -> float:
        """Forget the ended process; return how many seconds to wait before the next."""
        if self._listener:
            self._listener.join(1.0)
        self.process = None
        self.deaths = 1 if now - self.started_at >= STEADY_S else self.deaths + 1
        first, longest = BACK_OFF_S
        wait_s = min(first * 2.0 ** (self.deaths - 1), longest)
        self.again_at = now + wait_s
        return wait_s


class Supervisor:
    """Runs children until it is told to stop. One thread; `stop` and `hurry` are set by signal handlers."""

    def __init__(
        self,
        children: Sequence[Child],
        folder: Path,
        log: Log,
        clock: Clock,
        *,
        started: Callable[[dict[str, int]], None] = lambda _: None,
    ) -> None:
        self.stop = Event()
        self.hurry = Event()  # set too: do not wait for anybody
        self._lives = {child.name: Life(child) for child in children}
        self._folder = folder
        self._log = log
        self._clock = clock
        self._started = started

    def run(self, ready: Callable[[], None], tick: Callable[[], None], tick_s: float) -> int:
        """Keep the children until `stop`, then end them; return 0, or 2 when one refused its configuration.

        `ready` is called once, when all are; from then on `tick` every `tick_s` seconds. `started` has been told the
        process ids each time a child started.
        """
        try:
            return self._keep(ready, tick, tick_s)
        finally:
            self._end()

    def _keep(self, ready: Callable[[], None], tick: Callable[[], None], tick_s: float) -> int:
        told, next_tick = False, 0.0
        while not self.stop.is_set():
            for life in self._lives.values():
                if life.ended() == CONFIG_ERROR:
                    self._blame(life)
                    return CONFIG_ERROR
                self._look_after(life)
            now = self._clock.monotonic()
            if not told and all(life.ready for life in self._lives.values()):
                told, next_tick = True, now + tick_s
                ready()
            elif told and now >= next_tick:
                next_tick = now + tick_s
                tick()
            self._clock.wait(self.stop, LOOK_S)
        return 0

    def _look_after(self, life: Life) -> None:
        now, name, status = self._clock.monotonic(), life.child.name, life.ended()
        if status is not None:
            wait_s = life.bury(now)
            self._log.say(name, f"ended {_spelled(status)}; starts again in {wait_s:g} s")
        elif life.process is None:
            if now >= life.again_at and all(self._lives[other].ready for other in life.child.after):
                life.start(now, self._log, self._folder)
                self._started({name: life.process.pid for name, life in self._lives.items() if life.process})
        elif not life.ready:
            life.ready = life.child.ready()

    def _blame(self, life: Life) -> None:
        life.bury(self._clock.monotonic())
        words = "\n".join(life.said)
        self._log.say(
            "up", f"{life.child.name} refused its configuration (exit 2), so nothing is left running:\n{words}"
        )

    def _end(self) -> None:
        """End the children one after another, the last first: the agent still says good-bye through the broker."""
        for life in reversed(self._lives.values()):
            if life.process:
                self._end_one(life, life.process)
            life.bury(self._clock.monotonic())

    def _end_one(self, life: Life, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        deadline = self._clock.monotonic() + GRACE_S
        while life.ended() is None and self._clock.monotonic() < deadline:
            if self._clock.wait(self.hurry, LOOK_S / 5):
                break
        if life.ended() is None:
            self._log.say(life.child.name, "did not end in time: killed")
            process.kill()
            process.wait()


def _environment() -> dict[str, str]:
    """Return ours, with this copy of gocche in front: children run in another folder, installed or not."""
    here = str(Path(__file__).resolve().parent.parent)
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return os.environ | {"PYTHONPATH": os.pathsep.join([here, *others]), "PYTHONUNBUFFERED": "1"}


def _spelled(status: int) -> str:
    return f"by signal {-status}" if status < 0 else f"with status {status}"
