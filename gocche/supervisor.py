"""Keeps a handful of child processes running: starts them in order, restarts what dies or is stuck, ends all for sure.

How one child is started, heard and buried stands in gocche/child.py.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from gocche.child import Child, Life, Log, spelled
from gocche.notify import Ear
from gocche.words import LANGUAGES, said

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence

    from cloud.clock import Clock

CONFIG_ERROR = 2  # the exit status by which a child says: no restart will help
LOOK_S, LATER_S = 0.05, 0.25  # between two looks at the children: while they start, and when all are there
GRACE_S = 3.0  # for each child, from SIGTERM to SIGKILL


class Supervisor:
    """Runs children until it is told to stop. One thread; `stop` and `hurry` are set by signal handlers.

    `lives` may be looked at from any thread.
    """

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
        self._ears = tempfile.TemporaryDirectory(prefix="gocche-", ignore_cleanup_errors=True)  # for us alone to enter
        self.lives = {
            child.name: Life(child, Ear(Path(self._ears.name) / child.name) if child.beats else None)
            for child in children
        }
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
            self._ears.cleanup()

    def all_beat(self) -> bool:
        """Tell whether every child lives and makes progress."""
        now = self._clock.monotonic()
        return all(life.beats(now) for life in self.lives.values())

    def _keep(self, ready: Callable[[], None], tick: Callable[[], None], tick_s: float) -> int:
        told, next_tick = False, 0.0
        while not self.stop.is_set():
            for life in self.lives.values():
                if life.ended() == CONFIG_ERROR and not life.proven:
                    self._blame(life)
                    return CONFIG_ERROR
                self._look_after(life)
            now = self._clock.monotonic()
            if not told and all(life.ready for life in self.lives.values()):
                told, next_tick = True, now + tick_s
                ready()
            elif told and now >= next_tick:
                next_tick = now + tick_s
                tick()
            self._clock.wait(self.stop, LATER_S if told else LOOK_S)
        return 0

    def _look_after(self, life: Life) -> None:
        now, name, status = self._clock.monotonic(), life.child.name, life.ended()
        if status is not None:
            wait_s = life.bury(now)
            self._log.say(name, f"{spelled(status)}; starts again in {wait_s:g} s")
        elif life.process is None:
            if now >= life.again_at and all(self.lives[other].ready for other in life.child.after):
                self._start(life, now)
        else:
            life.hear(now)
            life.hurry_up(now, self._log)

    def _start(self, life: Life, now: float) -> None:
        """Start a child. One that there is no room for again (TasksMax, open files) costs no other: later there is."""
        try:
            life.start(now, self._log, self._folder)
        except (OSError, RuntimeError) as error:
            if not life.restarts:
                raise
            life.last_words = f"cannot be started: {error}"
            self._log.say(life.child.name, f"{life.last_words}; again in {life.wait(now):g} s")
        else:
            self._started({name: life.process.pid for name, life in self.lives.items() if life.process})

    def _blame(self, life: Life) -> None:
        life.bury(self._clock.monotonic())
        words = "\n".join(life.said)
        for language in LANGUAGES:
            self._log.say("door", said("up", "refused", language, child=life.child.name))
        self._log.say("door", words)

    def _end(self) -> None:
        """End the children one after another, the last first: the agent still says good-bye through the broker."""
        for life in reversed(self.lives.values()):
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
