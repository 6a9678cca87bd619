"""How far the battery clock may be trusted: never at its word, but by how well it kept time before.

A battery clock dates a boot that nothing better dates. Only a better clock tells what it is worth: how far off it was
is kept, with when; from then on its crystal may drift. One that was caught wrong dates nothing until a later boot
shows it right again. One whose battery is dead stands still while the power is away and looks like a short
interruption, so a battery clock that saw only a short one dates nothing either.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

import msgspec

from edge.clock.anchor import Anchor, drift_ms
from wire.batch import Source

if TYPE_CHECKING:
    from edge.clock.machine import Clock

log = logging.getLogger(__name__)
LOOK_MS = 6 * 3_600_000
GAIN_MS = 2_000  # what a new judgement must be better by, to be worth a write
FIRST_ERROR_MS = 10_000  # one that was never judged and is further off was set by nobody
STOOD_STILL_MS = 120_000


class Judged(msgspec.Struct, frozen=True):
    """What a better clock said of the battery clock last: in which boot, when, and how far off it was at most."""

    boot: str
    utc_ms: int  # 0: it was wrong
    error_ms: int


class Book(Protocol):
    """What is remembered of the battery clock."""

    def judged(self) -> Judged | None:
        """Return the last judgement."""
        ...

    def judge(self, judged: Judged) -> None:
        """Keep a judgement."""
        ...

    def newest_ms(self) -> int:
        """Return the newest date that any reading has."""
        ...


class Battery:
    """The battery clock of this machine, if there is one. Times are milliseconds of the boot."""

    def __init__(self, clock: Clock, book: Book) -> None:
        self._clock, self._book = clock, book
        self._read: Anchor | None = None  # before a better clock could set it
        self._next_ms = 0
        self.why = ""  # it is there and dates nothing

    def date(self, now: int) -> Anchor | None:
        """Return the date that it gives an undated boot, None where there is a reason to doubt it."""
        self._read = read = self._clock.rtc() or self._read
        if read is None:
            return None
        judged = self._book.judged()
        utc_ms = read.offset_ms + now
        error_ms = _claim_ms(judged, utc_ms)
        why = self._doubt(judged, read, error_ms, now)
        if why != self.why:
            log.warning("battery clock dates nothing why=%r", why)
        self.why = why
        return None if why or error_ms is None else Anchor(read.offset_ms, Source.RTC, error_ms + read.off_ms(now), now)

    def _doubt(self, judged: Judged | None, read: Anchor, error_ms: int | None, now: int) -> str:
        if judged is None:
            return "no better clock has confirmed it yet"
        if error_ms is None:
            return "it was wrong when a better clock came last"
        newest_ms = max(self._book.newest_ms(), judged.utc_ms)
        if read.offset_ms + now < newest_ms:
            return "it is behind the newest reading"
        if read.offset_ms - newest_ms < STOOD_STILL_MS + 2 * error_ms:
            return "it cannot be told from one that stood still while the power was away"
        return ""

    def compare(self, better: Anchor, now: int) -> None:
        """Have a better clock judge it, every few hours."""
        if now < self._next_ms:
            return
        self._next_ms = now + LOOK_MS
        read, self._read, self.why = self._read or self._clock.rtc(), None, ""
        judged = self._book.judged()
        if read is None or (judged and judged.boot == self._clock.boot and not judged.utc_ms):
            return
        utc_ms = better.offset_ms + now
        claim_ms = _claim_ms(judged, utc_ms)
        doubt_ms = better.off_ms(now) + read.off_ms(now)
        apart_ms = abs(read.offset_ms - better.offset_ms)
        if apart_ms > doubt_ms + (FIRST_ERROR_MS if claim_ms is None else claim_ms):
            self._book.judge(Judged(self._clock.boot, 0, 0))
            log.warning("battery clock wrong by_s=%s; is its battery empty?", apart_ms // 1000)
        elif claim_ms is None or claim_ms - apart_ms - doubt_ms >= GAIN_MS:
            self._book.judge(Judged(self._clock.boot, utc_ms, apart_ms + doubt_ms))


def _claim_ms(judged: Judged | None, utc_ms: int) -> int | None:
    """Return how wrong it may be by now, None where it was never right."""
    return judged.error_ms + drift_ms(abs(utc_ms - judged.utc_ms)) if judged and judged.utc_ms else None
