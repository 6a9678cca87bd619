"""Threads under a name that the machine shows too (`top -H` tells which bus or part takes the time), and one heap."""

from __future__ import annotations

import ctypes
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

NO_THREAD = "the machine begins no further thread"  # where `started` has none to return that runs
_COMM = Path("/proc/thread-self/comm")  # proc(5); the kernel keeps 15 bytes
_M_ARENA_MAX = -8  # of malloc.h


def share_heap() -> None:
    """Let all threads begun from now on allocate from one heap: one for each is memory that lies half empty.

    Only one of them runs at a time anyway. Where the C library has no such heaps nothing happens.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def started(run: Callable[[], object], name: str) -> threading.Thread:
    """Begin `run` in a thread of its own, and return that. One that hangs ends with the process.

    One that the machine does not begin (too many tasks, too little memory) has no `ident`, and is not alive: who looks
    after it tries again.
    """
    thread = threading.Thread(target=_named, args=(run, name), name=name, daemon=True)
    with suppress(RuntimeError, MemoryError):
        thread.start()
    return thread


def join(thread: threading.Thread, within_s: float) -> None:
    """Wait for a thread to end, if it ever began."""
    if thread.is_alive():
        thread.join(within_s)


def busy_ms(thread: threading.Thread) -> int:
    """Return how long a thread has had the processor, by proc(5); 0 for one that has ended."""
    try:
        stat = Path(f"/proc/self/task/{thread.native_id}/stat").read_text("ascii", errors="replace")
    except OSError:
        return 0
    ticks = stat.rpartition(")")[2].split()[11:13]  # utime and stime; a name may have blanks and brackets
    return 1000 * sum(map(int, ticks)) // os.sysconf("SC_CLK_TCK")


class Pulse:
    """Whether a thread gets on: works, or has more `turns` than before. One that does neither for `most_s` hangs.

    Seconds are counted between looks: a machine that slept meanwhile hangs nowhere.
    """

    def __init__(self, thread: threading.Thread, most_s: float, turns: Callable[[], int] = lambda: 0) -> None:
        self._thread, self._most_s, self._turns = thread, most_s, turns
        self._last, self._still_s = (0, 0), 0.0
        self.paused = False  # it has hung, though it may have gone on

    def stopped(self, since_s: float) -> bool:
        """Tell whether it hangs now; `since_s` seconds after the last look."""
        at = (self._turns(), busy_ms(self._thread))
        self._still_s = self._still_s + since_s if at == self._last else 0.0
        self._last = at
        stopped = self._still_s >= self._most_s and self._thread.is_alive()
        self.paused |= stopped
        return stopped


def _named(run: Callable[[], object], name: str) -> None:
    with suppress(OSError):
        _COMM.write_text(name, encoding="utf-8")
    run()
