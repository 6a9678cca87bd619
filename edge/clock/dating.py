"""The one home of the question what time it is: which clock dates this boot, and how far it may be trusted.

Dates that agree within what both allow: the narrower one counts. Dates that contradict each other: one of them is
wrong, and the more trustworthy clock counts, whatever the other claims. What was decided lies with the boot in the
spool, so a worse clock replaces no better one after a restart of the agent either. A battery clock dates only until
any better one speaks: no batch has its date before that (docs/decisions/0013-dates.md).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from edge.board import Dated
from edge.clock import battery
from edge.clock.anchor import Anchor, may_be
from edge.clock.battery import Battery
from edge.due import Due
from wire.batch import Source

if TYPE_CHECKING:
    from edge.board import Board
    from edge.clock.machine import Clock
    from wire.batch import Ack

log = logging.getLogger(__name__)
LOOK_S = 10.0
MAX_TRIP_MS = 60_000  # an answer that took longer dates nothing
SERVER_MS = 100  # how wrong the server's own clock may be
STEP_MS = 600_000  # a device says so long what undoes a date that was confirmed for as long, or longer
GAIN_MS = 1_000  # what a date must be narrower by, to be worth a write
# The kernel's account of NTP is watched all the time; a receiver may have rolled over or lack leap seconds; the server
# is ours and synchronised; networks tell modems another zone's time; a battery dies.
_TOLD = {Source.GNSS, Source.MODEM}  # by a device: some say yesterday's date for a moment after midnight
_TRUST = {Source.NTP: 5, Source.GNSS: 4, Source.ACK: 3, Source.MODEM: 2, Source.RTC: 1}


class Book(battery.Book, Protocol):
    """What is remembered of dates, beyond a restart. Writing may raise SpoolFull: then nothing has changed."""

    def of(self, boot: str) -> Anchor | None:
        """Return what dates a boot."""
        ...

    def anchor(self, boot: str, anchor: Anchor) -> int:
        """Date a boot: what of it is undated, for good, and what will be cut later; by a battery clock nothing yet."""
        ...

    def go_on(self, *, battery: bool = True) -> int:
        """Date some of what is still undated of boots that have a date; return how many batches.

        Those that only the `battery` clock dates, or not these.
        """
        ...

    def bound(self, boot: str, booted_ms: int, *, borne_out: bool = False) -> int:
        """Date boots that died undated; `boot` began at that time (UTC) at the latest. Returns how many.

        Those that only the battery clock dated are among them, unless that was `borne_out` in this boot.
        """
        ...


class Dating:
    """What dates this boot. Belongs to the thread that owns the book. Times are milliseconds of the boot.

    `pace_s`: within that time a running gateway has always kept a reading, unless all its devices are dead.
    """

    def __init__(self, clock: Clock, book: Book, board: Board, pace_s: float = 0.0) -> None:
        self._clock, self._book, self._board = clock, book, board
        self._battery = Battery(clock, book, pace_s)
        self._asked: list[int] = []  # when, of what is not answered yet
        self._sent: dict[int, int] = {}  # the same by the moment that each says of itself, of the last minute
        self._moved: Anchor | None = None  # the first that contradicts, while all do and agree with it
        self._since_ms = self._confirmed_ms = 0
        self.anchor = book.of(clock.boot)
        self.due = Due(LOOK_S)
        self._tell()

    # --- what is heard

    def linked(self) -> None:
        """The connection came or went: what was asked on it is not answered any more."""
        self._asked.clear()
        self._sent.clear()

    def asked(self, now: int, said_ms: int) -> None:
        """Something went out that the cloud answers with its time, and with the moment that it says of itself.

        To a cloud that does not say so, the oldest unanswered one counts: nobody knows which of them an answer is for.
        Beyond one that nobody answers none is kept.
        """
        self._sent = {said: at for said, at in self._sent.items() if now - at <= MAX_TRIP_MS} | {said_ms: now}
        if not self._asked or now - self._asked[0] <= MAX_TRIP_MS:
            self._asked.append(now)

    def answered(self, ack: Ack, now: int, trip_ms: int | None) -> None:
        """Take the time that an answer tells, as far off as it may have been on its way.

        `trip_ms` is known for answers to batches; for one that only tells the time it is counted from `asked`. One
        that came twice, or to what another connection or another life asked, dates nothing.
        """
        if ack.asked is not None:
            self._asked.clear()
            sent_ms = self._sent.pop(ack.asked, None)
            if sent_ms is not None:
                trip_ms = now - sent_ms if trip_ms is None else min(now - sent_ms, trip_ms)
        elif not ack.items and self._asked:
            trip_ms = now - self._asked.pop(0)
            if trip_ms > MAX_TRIP_MS:  # the cloud was away: the others are as lost as this one
                self._asked.clear()
        if trip_ms is not None and trip_ms <= MAX_TRIP_MS and may_be(ack.utc_ms):
            self.hear(Anchor(ack.utc_ms - now, Source.ACK, trip_ms + SERVER_MS, now), now)

    def recall(self, anchor: Anchor, now: int) -> None:
        """Take a date that was believed in this boot already: by the keeper before, or in a file that is away."""
        if self.anchor is None or self.anchor.source is Source.RTC:
            self._moved = anchor
        self.hear(anchor, now)

    def hear(self, anchor: Anchor, now: int) -> None:
        """Take a date for what is cut from now on, and for what is undated, if it is the best there is."""
        contradicts = self.anchor is None or not (self._board.dated.given and _agree(anchor, self.anchor, now))
        if not self._better(anchor, self.anchor, now):
            return
        self._book.anchor(self._clock.boot, anchor)
        if contradicts:
            self._since_ms = self._confirmed_ms = now
        self.anchor, self._moved = anchor, None
        self._tell()
        self.due.hurry()
        log.info("boot dated source=%s uncertainty_ms=%s", anchor.source.name.lower(), anchor.off_ms(now))

    def look(self, now: int) -> None:
        """Ask the machine's clocks; once this boot has a date, date what died undated. Called when `due`."""
        ntp = self._clock.anchor()
        if ntp is not None:
            self.hear(ntp, now)
        rtc = self._battery.date(now) if self.anchor is None else None
        if rtc is not None:
            self.hear(rtc, now)
        if self.anchor is not None and self.anchor.source is not Source.RTC:
            self._battery.compare(self.anchor, now)
        self._tell()
        self.due.rest(now)
        # First: once something newer of this boot was freed, it would pass for what lies before them.
        if self._bound() or self._book.go_on(battery=self._board.dated.given):
            self.due.hurry()

    def _bound(self) -> int:
        anchor = self.anchor
        if anchor is None or anchor.source is Source.RTC:
            return 0
        booted_ms = anchor.offset_ms + anchor.off_ms(0)
        return self._book.bound(self._clock.boot, booted_ms, borne_out=self._battery.borne_out)

    def _tell(self) -> None:
        self._board.dated = Dated(self.anchor, self._battery.why)

    # --- which is better

    def _better(self, new: Anchor, known: Anchor | None, now: int) -> bool:
        above = _TRUST[new.source] - (0 if known is None else _TRUST[known.source])
        if known is None or known.source is Source.RTC:  # whatever both claim: what was read waits for a better one
            return above > 0 and (new.source not in _TOLD or self._said_before(new, now))
        if _agree(new, known, now):
            self._moved, self._confirmed_ms = None, now
            would, was = new.off_ms(now), known.off_ms(now)
            return would <= was if above > 0 else 2 * would <= was - GAIN_MS
        proven_ms = min(self._confirmed_ms - self._since_ms, STEP_MS) if new.source in _TOLD else 0
        if above < 0 or (above > 0 and new.source not in _TOLD):
            return above > 0
        return self._said_before(new, now, proven_ms)

    def _said_before(self, new: Anchor, now: int, before_ms: int = 0) -> bool:
        """Tell whether the same was said so long before: a glitch is not a step, and one sentence no date for ever."""
        moved = self._moved
        if moved is None or moved.source is not new.source or not _agree(moved, new, now):
            self._moved = new
            return False
        return new.heard_ms - moved.heard_ms >= before_ms


def _agree(one: Anchor, other: Anchor, now: int) -> bool:
    return abs(one.offset_ms - other.offset_ms) <= one.off_ms(now) + other.off_ms(now)
