"""Which clock dates this boot, and how far it may be trusted. Pure: it is told what was heard and when.

The first date is taken; later only a better clock, or the same one when it plainly moved, changes what comes. A clock
never gives way to a worse one, whatever that claims: an answer that was long on its way looks just like a step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.clock.machine import BUILT_MS, Anchor
from wire.batch import Source

if TYPE_CHECKING:
    from wire.batch import Ack

MAX_TRIP_MS = 60_000  # an answer that took longer dates nothing
_TRUST = {Source.NTP: 5, Source.GNSS: 4, Source.MODEM: 3, Source.ACK: 2, Source.RTC: 1}


class Almanac:
    """The date of this boot. Times are monotonic milliseconds."""

    def __init__(self) -> None:
        self.anchor: Anchor | None = None
        self._asked_ms: int | None = None

    def linked(self) -> None:
        """The connection came or went: what was asked on it is not answered any more."""
        self._asked_ms = None

    def asked(self, now: int) -> None:
        """A status went out, which the cloud answers with its time.

        The oldest unanswered one counts: nobody knows which of them an answer is for.
        """
        if self._asked_ms is None:
            self._asked_ms = now

    def answered(self, ack: Ack, now: int, trip_ms: int | None) -> Anchor | None:
        """Return the date that an answer gives, as far off as it may have been on its way; None where it gives none.

        `trip_ms` is known for answers to batches; for an answer to a status it is counted from `asked`.
        """
        if not ack.items and self._asked_ms is not None:
            trip_ms, self._asked_ms = now - self._asked_ms, None
        if trip_ms is None or trip_ms > MAX_TRIP_MS or ack.utc_ms < BUILT_MS:
            return None
        return Anchor(ack.utc_ms - now, Source.ACK, trip_ms + 100)

    def better(self, anchor: Anchor) -> bool:
        """Tell whether a date may be taken for what is cut from now on."""
        known = self.anchor
        if known is None:
            return True
        if anchor.source != known.source:
            return _TRUST[anchor.source] > _TRUST[known.source]
        return abs(anchor.offset_ms - known.offset_ms) > anchor.uncertainty_ms + known.uncertainty_ms

    def take(self, anchor: Anchor) -> None:
        """The spool has taken the date."""
        self.anchor = anchor
