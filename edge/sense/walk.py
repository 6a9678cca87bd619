"""What a walk has heard so far, and what is worth a sound. Pure, so that it can be tried without a terminal.

The map of the server takes one moment in twenty seconds of a walk, and wants three in a cell; so they are counted here.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from edge.sense.hexes import cell
from wire.quantities import IN_SERVICE

if TYPE_CHECKING:
    from edge.sense.survey import Moment

ENOUGH, APART_MS = 3, 20_000
DONE, LOST, FOUND = "\a", "\a\a\a", "\a\a"


class Walk:
    """What was heard on the way, and in which cells."""

    def __init__(self) -> None:
        self.heard = self.placed = 0
        self.cells: defaultdict[tuple[int, int, int], set[int]] = defaultdict(set)
        self._seen = 0
        self._service: bool | None = None

    @property
    def done(self) -> int:
        """How many cells have enough."""
        return sum(len(moments) >= ENOUGH for moments in self.cells.values())

    def take(self, moment: Moment) -> str | None:
        """Take a moment once; return its sound, None where it was taken before."""
        if moment.number <= self._seen:
            return None
        self._seen = moment.number
        self.heard += 1
        sound = "" if moment.lost else self._changed(moment.values.get("registration") in IN_SERVICE)
        if moment.lost or moment.lat is None or moment.lon is None:
            return sound
        self.placed += 1
        here, done = self.cells[cell(moment.lat, moment.lon)], self.done
        here.add(moment.mono_ms // APART_MS)
        return sound or (DONE if self.done > done else "")

    def _changed(self, service: bool) -> str:
        before, self._service = self._service, service
        return "" if before in {None, service} else FOUND if service else LOST
