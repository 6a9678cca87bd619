"""What became of the readings of one epoch: ranges of sequence numbers, small enough to be kept and read at a start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cloud.store.intervals import Intervals
from wire.batch import RENAMED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.store import LedgerRow

DAY_MS = 86_400_000
_Ranges = list[tuple[int, int]]


class _AsText(msgspec.Struct, omit_defaults=True):
    """A tally as text."""

    high: int = 0
    stored: _Ranges = []
    quarantined: _Ranges = []
    declared: _Ranges = []
    expired: _Ranges = []
    renamed: _Ranges = []
    refused: dict[int, int] = {}
    late: dict[int, _Ranges] = {}


class Tally:
    """The same rows in any order and number give the same tally, so it may be added to one that was kept.

    `expired` is a part of `stored`: what retention removed since, or what came later than it keeps. A row expires when
    its arrival is older than what is kept (`expire`); one that came more than a day after its readings lies in `late`
    and expires with the day of the newest of them (`expire_late`). So what is told as stored can be read, to a day.
    `renamed` is a part of `declared`: what came under the id that the gateway had before.
    """

    __slots__ = "_late", "_refused", "declared", "expired", "high", "quarantined", "renamed", "stored"

    def __init__(self) -> None:
        self.high = 0
        self.stored, self.quarantined, self.declared, self.expired = Intervals(), Intervals(), Intervals(), Intervals()
        self.renamed = Intervals()
        self._refused: dict[int, int] = {}  # by the first number of a batch
        self._late: dict[int, Intervals] = {}  # by day since 1970

    @property
    def refused(self) -> int:
        """How many readings of stored batches are in quarantine, because the database would not take them."""
        return sum(self._refused.values())

    def row(self, row: LedgerRow) -> bool:
        """Take a ledger row; tell whether it was news."""
        start, end = row.first, row.first + row.n
        known: Intervals = getattr(self, row.verdict)
        refused = self._refused.get(row.first, 0)
        if row.verdict == "stored":
            if row.end_ns and row.arrival_ms - row.end_ns // 1_000_000 > DAY_MS:
                self._note_late(row.end_ns // 1_000_000 // DAY_MS, start, end)
            if (row.refused or refused) and not self.expired.covers(start, end):
                self._refused[row.first] = row.refused
        if row.verdict == "declared" and row.words == RENAMED:
            self.renamed.add(start, end)
        if known.covers(start, end):
            return refused != self._refused.get(row.first, 0)
        known.add(start, end)
        self.high = max(self.high, end - 1)
        return True

    def ended(self) -> Iterator[tuple[int, int]]:
        """Yield what came to an end under this id: stored, in quarantine, or lost."""
        for part in (self.stored, self.quarantined, self.declared.minus(self.renamed)):
            yield from part

    def _note_late(self, day: int, start: int, end: int) -> None:
        if not self.expired.covers(start, end):
            self._late.setdefault(day, Intervals()).add(start, end)

    def expire(self, row: LedgerRow) -> None:
        """Count the readings of a stored row as expired."""
        if row.verdict == "stored":
            self._expire(row.first, row.first + row.n)

    def expire_late(self, until_ms: int) -> bool:
        """Expire what came late and whose day ended before `until_ms`; tell whether there was any."""
        ripe = [day for day in self._late if (day + 1) * DAY_MS <= until_ms]
        for day in ripe:
            for start, end in self._late.pop(day):
                self._expire(start, end)
        return bool(ripe)

    def _expire(self, start: int, end: int) -> None:
        self.stored.add(start, end)
        self.expired.add(start, end)
        self.high = max(self.high, end - 1)
        for first in [first for first in self._refused if start <= first < end]:
            del self._refused[first]

    def text(self) -> str:
        """Return the tally as it is kept."""
        kept = _AsText(
            high=self.high,
            stored=list(self.stored),
            quarantined=list(self.quarantined),
            declared=list(self.declared),
            expired=list(self.expired),
            renamed=list(self.renamed),
            refused=self._refused,
            late={day: list(late) for day, late in self._late.items()},
        )
        return msgspec.json.encode(kept).decode()

    def add(self, text: str) -> None:
        """Add a tally that was kept, perhaps by somebody who knew less. Raises msgspec.DecodeError for what is none."""
        kept = msgspec.json.decode(text, type=_AsText)
        self.high = max(self.high, kept.high)
        for verdict in ("stored", "quarantined", "declared", "expired", "renamed"):
            own: Intervals = getattr(self, verdict)
            for start, end in getattr(kept, verdict):
                own.add(start, end)
        for first, n in kept.refused.items():
            if first not in self.expired:
                self._refused[first] = min(n, self._refused.get(first, n))
        for day, late in kept.late.items():
            for start, end in late:
                self._note_late(day, start, end)
