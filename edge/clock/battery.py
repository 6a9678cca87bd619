"""How far the battery clock may be trusted: never at its word, but by how well it kept time before.

A battery clock dates a boot that nothing better dates. Only a better clock tells what it is worth: how far off it was
is kept, with when; from then on its crystal may drift. One that was caught wrong dates nothing until a later boot
shows it right. One whose battery is dead stands still while the power is away, which looks like a short interruption:
after a short one, and when it could not be read, it is in doubt until a better clock comes.
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
FIRST_ERROR_MS = 60_000  # one that was never judged and is further off was set by nobody
THERE_MS = 120_000  # by then its driver is loaded
LONG_MS = 366 * 86_400_000  # a gateway is seldom away for so long; a year that jumped is dated in the future for good
SHORT_MS = 900_000  # a gateway whose devices are all dead makes a reading every five minutes


class Judged(msgspec.Struct, frozen=True):
    """What a better clock said of the battery clock last: in which boot, when, and how far off it was at most."""

    boot: str
    utc_ms: int  # 0: it was wrong
    error_ms: int
    doubted: bool = False  # something has happened since that makes it doubtful


class Book(Protocol):
    """What is remembered of the battery clock."""

    def judged(self) -> Judged | None:
        """Return the last judgement."""
        ...

    def judge(self, judged: Judged) -> None:
        """Keep a judgement. May raise SpoolFull."""
        ...

    def newest_ms(self) -> int:
        """Return the newest date that any reading has."""
        ...


class Battery:
    """The battery clock of this machine, if there is one. Times are milliseconds of the boot.

    `pace_s`: within that time a running gateway has always kept a reading.
    """

    def __init__(self, clock: Clock, book: Book, pace_s: float) -> None:
        self._clock, self._book = clock, book
        self._short_ms = SHORT_MS + round(pace_s * 1000)
        self._next_ms = 0
        self.borne_out = False  # a better clock of this boot found it right, before any could set it
        self.why = ""  # it is there and dates nothing

    def date(self, now: int) -> Anchor | None:
        """Return the date that it gives an undated boot, None where there is a reason to doubt it."""
        read = self._clock.rtc()
        judged = self._book.judged()
        if judged is None or not judged.utc_ms or judged.doubted:
            self._say((self.why or _standing(judged)) if read else "")
            return None
        why = "it cannot be read, or the wall clock says otherwise" if now >= THERE_MS else ""
        if read is not None:
            error_ms = _claim_ms(judged, read.offset_ms + now)
            why = self._doubt(judged, read, error_ms, now)
            if not why:
                self._say("")
                return Anchor(read.offset_ms, Source.RTC, error_ms + read.off_ms(now), now)
        if why:
            self._book.judge(msgspec.structs.replace(judged, boot=self._clock.boot, doubted=True))
        self._say(why)
        return None

    def _say(self, why: str) -> None:
        if why and why != self.why:
            log.warning("battery clock dates nothing why=%r", why)
        self.why = why

    def _doubt(self, judged: Judged, read: Anchor, error_ms: int, now: int) -> str:
        newest_ms = max(self._book.newest_ms(), judged.utc_ms)
        if read.offset_ms + now < newest_ms:
            return "it is behind the newest reading"
        if read.offset_ms - newest_ms > LONG_MS:
            return "the power would have been away for more than a year"
        if read.offset_ms - newest_ms < self._short_ms + 2 * error_ms:
            return "it cannot be told from one that stood still while the power was away"
        return ""

    def compare(self, better: Anchor, now: int) -> None:
        """Have a better clock judge it, every few hours."""
        if now < self._next_ms:
            return
        kept = None if self._next_ms else self._clock.kept()
        read, judged = kept or self._clock.rtc(), self._book.judged()
        caught = judged is not None and judged.boot == self._clock.boot and not judged.utc_ms
        if read is not None and not caught:
            right = self._judge(judged, read, better, now)
            self.borne_out = right and (self.borne_out or kept is not None)
        self._next_ms = now + LOOK_MS
        self.why = ""

    def _judge(self, judged: Judged | None, read: Anchor, better: Anchor, now: int) -> bool:
        utc_ms = better.offset_ms + now
        trusted = judged is not None and judged.utc_ms > 0
        claim_ms = _claim_ms(judged, utc_ms) if judged is not None and trusted else FIRST_ERROR_MS
        doubt_ms = better.off_ms(now) + read.off_ms(now)
        apart_ms = abs(read.offset_ms - better.offset_ms)
        if apart_ms > doubt_ms + claim_ms:
            self._book.judge(Judged(self._clock.boot, 0, 0))
            log.warning("battery clock wrong by_s=%s; is its battery empty?", apart_ms // 1000)
            return False
        if not trusted or (judged and judged.doubted) or claim_ms - apart_ms - doubt_ms >= GAIN_MS:
            self._book.judge(Judged(self._clock.boot, utc_ms, apart_ms + doubt_ms))
        return True


def _standing(judged: Judged | None) -> str:
    if judged is None:
        return "no better clock has confirmed it yet"
    return (
        "it is in doubt until a better clock comes" if judged.utc_ms else "it was wrong when a better clock came last"
    )


def _claim_ms(judged: Judged, utc_ms: int) -> int:
    """Return how wrong it may be by now."""
    return judged.error_ms + drift_ms(abs(utc_ms - judged.utc_ms))
