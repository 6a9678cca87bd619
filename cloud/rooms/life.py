"""How a room lives: its loops in threads, a beat each second while all of them make progress, an end in order.

The beat is the words of sd_notify(3), said to the supervisor at the door or, where a room runs alone, to systemd
itself. What a room knows of its health is gathered in a thread of its own: a store that hangs makes it ill, not dead.
"""

from __future__ import annotations

import faulthandler
import gc
import logging
import signal
import threading
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from cloud.store import Retry
from settings.words import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloud.clock import Clock

log = logging.getLogger(__name__)
BEAT_S = 1.0
FACTS_S = 2.0  # between two looks at what is known of the room's health
STALE_S = 20.0  # without a new look the room is ill: something that it asks does not answer
STUCK_S = 120.0  # the longest that one turn of a loop may take: a database is given up long before
END_S = 2.5  # for all loops together, to end their turn
LONGEST_FACT = 8_000  # bytes
BEAT = "X_GOCCHE="  # sd_notify(3) lets words of one's own begin with X_
FAREWELL = "X_GOCCHE_END="  # why a room ends that should not


class Room(Protocol):
    """One process of the server. `health` may block for as long as what it asks; all else must not."""

    @property
    def loops(self) -> dict[str, Callable[[threading.Event], None]]:
        """Return what runs in threads, by name. Each ends when its event is set, and asks for it at every turn."""

    def start(self) -> None:
        """Let the world in; the loops are running."""

    def health(self) -> dict[str, Any]:
        """Return what an operator must know. `why` says what is wrong ("" well), `look_at` what a person should see."""

    def stop(self) -> None:
        """Let nobody in any more; the loops are told next."""

    def close(self) -> None:
        """Let go of files; the loops have ended."""


class Turns(threading.Event):
    """The stop signal of one loop: asking for it is that loop's progress, and nobody else's."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._owner = 0
        self.asked_s = clock.monotonic()

    def own(self) -> None:
        """Take the caller's thread for the loop."""
        self._owner = threading.get_ident()

    def is_set(self) -> bool:
        """Tell whether to stop, and remember that the loop asked."""
        self._progress(0.0)
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the stop as any event does; both ends of the wait are progress."""
        self._progress(inf if timeout is None else timeout)
        told = super().wait(timeout)
        self._progress(0.0)
        return told

    def _progress(self, for_s: float) -> None:
        if threading.get_ident() == self._owner:
            self.asked_s = self._clock.monotonic() + for_s


class Life:
    """One run of a room, in the main thread of its process."""

    def __init__(self, room: Room, clock: Clock, notify: Callable[[str], object]) -> None:
        self._room, self._clock, self._notify = room, clock, notify
        loops = room.loops | {"health": self._look}
        self._turns = {name: Turns(clock) for name in loops}
        self._threads = [
            threading.Thread(target=self._run, args=(name, run), name=name, daemon=True) for name, run in loops.items()
        ]
        self._facts: dict[str, Any] = {"why": "has just started"}
        self._looked_s = clock.monotonic()
        self._broken = ""  # the loop that ended, and why

    def run(self, stop: threading.Event) -> int:
        """Live until `stop`, or until a loop ends that should not; return the exit status."""
        for thread in self._threads:
            thread.start()
        self._room.start()
        self._notify("READY=1")
        while not self._clock.wait(stop, BEAT_S) and not self._broken:
            self.beat()
        self._notify(f"STOPPING=1\n{FAREWELL}{_bounded(self._broken)}")
        self._end()
        return 1 if self._broken else 0

    def beat(self) -> None:
        """Say that the room lives and how it is; say nothing while one of its loops is stuck."""
        late = self._late()
        if late:
            log.error("stuck loops=%s", ",".join(late))
            return
        told = {name: _bounded(fact) for name, fact in self.facts().items()}
        self._notify(f"WATCHDOG=1\n{BEAT}{msgspec.json.encode(told).decode()}")

    def facts(self) -> dict[str, Any]:
        """Return the newest health."""
        age_s = self._clock.monotonic() - self._looked_s
        if age_s > STALE_S:
            return self._facts | {"why": f"something that it asks has not answered for {age_s:.0f} s"}
        return self._facts

    def _late(self) -> list[str]:
        now = self._clock.monotonic()
        return [name for name, turns in self._turns.items() if name != "health" and now - turns.asked_s > STUCK_S]

    def _run(self, name: str, run: Callable[[threading.Event], None]) -> None:
        turns = self._turns[name]
        turns.own()
        why = "ended by itself"
        try:
            run(turns)
        except Exception as error:
            why = str(error)
            if isinstance(error, Refused):  # said for a person who must act: another server, a newer gocche
                log.error("cannot go on loop=%s why=%r", name, why)  # noqa: TRY400
            else:
                why = f"{type(error).__name__}: {why}"
                log.exception("loop ended by a fault loop=%s", name)
        if not turns.is_set():
            self._broken = f"{name}: {' '.join(why.split())}"

    def _look(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self._facts = self._room.health()
            except Retry as error:
                self._facts = {"why": str(error)}
            except Exception as error:
                log.exception("health cannot be told")
                self._facts = {"why": f"its health cannot be told: {type(error).__name__}: {error}"}
            self._looked_s = self._clock.monotonic()
            self._clock.wait(stop, FACTS_S)

    def _end(self) -> None:
        self._room.stop()
        for turns in self._turns.values():
            turns.set()
        until = self._clock.monotonic() + END_S
        for thread in self._threads:
            thread.join(max(until - self._clock.monotonic(), 0.0))
        if any(thread.is_alive() for thread in self._threads):
            log.warning("not all has ended loops=%s", [thread.name for thread in self._threads if thread.is_alive()])
            return  # its files stay open until the process ends, a moment later: nothing unfinished is acknowledged
        self._room.close()


def _bounded(fact: Any) -> Any:
    """Return a fact as it may stand in a beat: a datagram of 200 kB does not leave, and its room would look stuck."""
    size = len(msgspec.json.encode(fact))
    if size <= LONGEST_FACT:
        return fact
    return fact[: LONGEST_FACT // 4] if isinstance(fact, str) else f"{size} bytes: too long to be told here"


def collect_rarely(each: int = 50_000) -> None:
    """Have Python look rarely for rings of objects nobody holds: messages make none, and a seventh of ingest was that.

    What stands by now stays. Other rings, of exceptions for instance, wait until there are `each` more objects.
    """
    gc.freeze()
    gc.set_threshold(each)


def live(room: Room, clock: Clock, notify: Callable[[str], object]) -> int:
    """Run a room until SIGINT or SIGTERM; return its exit status. Call it from the main thread.

    SIGABRT, the supervisor's and systemd's word for a room that is stuck, leaves the stack of every thread in the log.
    """
    faulthandler.enable()
    collect_rarely()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return Life(room, clock, notify).run(stop)
