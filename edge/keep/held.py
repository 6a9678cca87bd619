"""Readings on their way to the spool: in memory until it has taken them, with a bound for as long as it takes none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.keep.urgency import Urgency, urgent_values
from wire.batch import Unstored

if TYPE_CHECKING:
    from wire.reading import Reading

ROOM = 5_000  # readings
ORDINARY, NOT_CALM, CHANGED = range(3)


class Held:
    """What is held, in the order in which it came. Beyond its room the least urgent goes first, oldest first."""

    def __init__(self, lost: int = 0) -> None:
        self.readings: list[Reading] = []
        self.lost = lost  # readings that are to be declared as soon as the spool takes anything
        self.urgent = False  # something in here cannot wait
        self.alarm_ms = 0  # when an urgent quantity changed its class last
        self._ranks: list[int] = []
        self._urgency = Urgency()

    def put(self, reading: Reading) -> bool:
        """Hold one more; tell whether it cannot wait."""
        changed = self._urgency.of(reading)
        rank = NOT_CALM if any(off for _, _, off in urgent_values(reading)) else ORDINARY
        if changed:
            self.urgent, self.alarm_ms, rank = True, reading.mono_ms, CHANGED
        self.readings.append(reading)
        self._ranks.append(rank)
        if len(self.readings) > ROOM:
            self._drop(self._ranks.index(min(self._ranks)))
        return changed

    def safe(self) -> None:
        """The spool has taken all of them, and declared what was lost."""
        self.readings, self._ranks, self.lost, self.urgent = [], [], 0, False

    def only_urgent(self) -> None:
        """Give up what is ordinary: what is urgent may find room alone."""
        for at in reversed([at for at, rank in enumerate(self._ranks) if rank == ORDINARY]):
            self._drop(at)

    def give_up(self) -> None:
        """Give up everything: it will be declared."""
        self.lost += len(self.readings)
        self.readings, self._ranks = [], []

    def unsafe(self, offset_ms: int | None) -> tuple[Unstored, ...]:
        """Return of each urgent series in here the newest value, and the one that changed its class last.

        `offset_ms` dates them, None where nobody can.
        """
        told: dict[tuple[str, str, bool], Unstored] = {}
        for reading, rank in zip(self.readings, self._ranks, strict=True):
            for name, value, _ in urgent_values(reading):
                utc_ms = None if offset_ms is None else reading.mono_ms + offset_ms
                one = Unstored(reading.channel, name, value, reading.mono_ms, utc_ms)
                told[reading.channel, name, False] = one
                if rank == CHANGED:
                    told[reading.channel, name, True] = one
        return tuple(sorted(dict.fromkeys(told.values()), key=lambda one: one.mono_ms))

    def _drop(self, at: int) -> None:
        del self.readings[at], self._ranks[at]
        self.lost += 1
