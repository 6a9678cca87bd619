"""How much the log may say: bounded bytes a day, whatever devices, brokers and networks do.

Whoever logs says each change once; but what changes may be in a stranger's hand, and the log lies on the card. So no
place in the code may say more than BURST lines at once and one an hour in the long run (a channel's own logger counts
as places of its own), no line is longer than LINE bytes and no traceback longer than TRACE. What was held back is said
with the next line of its place that may pass. A process that starts anew begins a new count: the unit's
LogRateLimitBurst is for that.
"""

from __future__ import annotations

import logging
import threading
from typing import Protocol

BURST, EVERY_MS = 8, 3_600_000
LINE, TRACE = 400, 4_096  # bytes
PLACES = 1_024  # known apart; what else there may be (a library that invents names of loggers) shares one


class Timer(Protocol):
    """The part of a clock that counting needs."""

    def mono_ms(self) -> int:
        """Milliseconds of this boot."""
        ...


def bound(timer: Timer) -> None:
    """Bound whatever this process logs from now on."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(Bounded(timer))


class Bounded(logging.Filter):
    """Lets a line pass, shortened, or holds it back. Belongs to a handler; may be used from any thread."""

    def __init__(self, timer: Timer) -> None:
        super().__init__()
        self._timer, self._lock = timer, threading.Lock()
        self._free_ms: dict[tuple[str, int], int] = {}  # by place: when all that it has said is paid for
        self._held: dict[tuple[str, int], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the line may pass. What is only for somebody who looks on, `--verbose`, is not bounded."""
        if record.levelno < logging.INFO:
            return True
        place = (record.name, record.lineno)
        with self._lock:
            if place not in self._free_ms and len(self._free_ms) >= PLACES:
                place = ("", 0)
            now = self._timer.mono_ms()
            free_ms = max(self._free_ms.get(place, now), now)
            if free_ms - now > (BURST - 1) * EVERY_MS:
                self._held[place] = self._held.get(place, 0) + 1
                return False
            self._free_ms[place] = free_ms + EVERY_MS
            held = self._held.pop(place, 0)
        _shorten(record, f" [{held} like it were held back]" if held else "")
        return True


def _shorten(record: logging.LogRecord, note: str) -> None:
    """Make a record say no more than it may, with a note at its end."""
    try:
        said = record.getMessage()
    except (TypeError, ValueError, KeyError):  # else the handler would print a traceback for each
        said = repr(record.msg)
    record.msg, record.args = _cut(said, LINE - len(note), keep_end=False) + note, None
    if record.exc_info and not record.exc_text:
        record.exc_text = logging.Formatter().formatException(record.exc_info)
    if record.exc_text:
        record.exc_text = _cut(record.exc_text, TRACE, keep_end=True)  # where it happened stands last
    record.stack_info = None


def _cut(said: str, limit: int, *, keep_end: bool) -> str:
    raw = said.encode("utf-8", "backslashreplace")
    if len(raw) <= limit:
        return said
    kept = raw[3 - limit :] if keep_end else raw[: limit - 3]
    text = kept.decode("utf-8", "ignore")
    return f"…{text}" if keep_end else f"{text}…"
