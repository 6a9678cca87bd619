"""`gocche cloud`: the rooms of the server under one supervisor, which holds the listening socket and answers for all.

`gocche up` starts the same rooms from the same list. A room is started by exec, never by fork: it begins with nothing
of ours but its words, its ear and, where it serves pages, the socket on which visitors already queue.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.clock import SystemClock
from cloud.rooms import ROOMS
from cloud.rooms.listener import url
from gocche.child import Child, Log
from gocche.health import Desk, told
from gocche.notify import notify
from gocche.supervisor import Supervisor

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

GOCCHE = (sys.executable, "-m", "gocche")
ALIVE_S = 5.0
STATUS = 1_000  # characters of `systemctl status`


def rooms(words: Sequence[str], listeners: Mapping[str, socket.socket]) -> list[Child]:
    """Return the rooms, in the order of starting. `words` tell each of them its configuration; some have a listener.

    None waits for another, or for the broker: each says what it lacks, and goes on when it is there.
    """
    numbers = {name: listener.fileno() for name, listener in listeners.items()}
    return [
        Child(
            name,
            [*GOCCHE, "cloud", "--room", name, *words, *(["--http-fd", str(numbers[name])] if name in numbers else [])],
            beats=True,
            fds=(numbers[name],) if name in numbers else (),
        )
        for name in ROOMS
    ]


def serve(words: Sequence[str], listeners: Mapping[str, socket.socket], desk: socket.socket, token: str) -> int:
    """Run the rooms until a signal comes; return the exit status. Call it from the main thread.

    `words` tell each room its configuration, `listeners` are for who visits a room, `desk` for the operator, who shows
    `token` where it is not "".
    """
    log, clock = Log(sys.stderr), SystemClock()
    supervisor = Supervisor(rooms(words, listeners), Path.cwd(), log, clock)

    def ready() -> None:
        for name, listener in listeners.items():
            log.say("door", f"{name} {url(listener)}")
        log.say("door", f"health {url(desk)}/healthz")
        notify("READY=1")

    def tick() -> None:
        ill = told(supervisor.lives, clock.monotonic())["ill"]
        notify(f"STATUS={' '.join('; '.join(ill).split())[:STATUS] or 'well'}")  # a line of its own would be an order
        if supervisor.all_beat():
            notify("READY=1\nWATCHDOG=1")  # the first may have found systemd deaf; said again it means nothing

    with Desk(desk, lambda: told(supervisor.lives, clock.monotonic()), token):
        status = keep(supervisor, ready, tick, ALIVE_S)
    notify("STOPPING=1")
    return status


def keep(supervisor: Supervisor, ready: Callable[[], None], tick: Callable[[], None], tick_s: float) -> int:
    """Run the supervisor until SIGINT, SIGTERM or SIGHUP; a second signal makes it hurry. Return the exit status."""

    def asked_to_end(*_: object) -> None:
        if supervisor.stop.is_set():
            supervisor.hurry.set()
        supervisor.stop.set()

    _on_signals(asked_to_end)
    try:
        return supervisor.run(ready, tick, tick_s)
    except BrokenPipeError:  # whoever read our lines has gone: so do we, with all children
        return 0
    finally:
        _on_signals(signal.SIG_IGN)  # for good: who presses Ctrl-C five times still gets a clean end


def _on_signals(handler: Callable[..., None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup means it
            signal.signal(number, handler)
