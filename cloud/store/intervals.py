"""Sets of sequence numbers as ranges: what is stored, declared, seen."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BEYOND = (2**63, 2**63)  # no sequence number is as high


class Intervals:
    """A set of integers kept as sorted, disjoint, half-open ranges."""

    __slots__ = "_ends", "_starts"  # five for each epoch, of which a year has a hundred thousand

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in ranges:
            self.add(start, end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(zip(self._starts, self._ends, strict=True))

    def __len__(self) -> int:
        return sum(self._ends) - sum(self._starts)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number < self._ends[at]

    def covers(self, start: int, end: int) -> bool:
        """Tell whether all of start, start + 1, … end − 1 is in the set."""
        at = bisect_right(self._starts, start) - 1
        return start >= end or (at >= 0 and end <= self._ends[at])

    def add(self, start: int, end: int) -> None:
        """Add start, start + 1, … end − 1."""
        if start >= end:
            return
        if self._ends and start == self._ends[-1]:  # what comes in order
            self._ends[-1] = end
            return
        low = bisect_left(self._ends, start)
        high = bisect_right(self._starts, end)
        if low < high:
            start = min(start, self._starts[low])
            end = max(end, self._ends[high - 1])
        self._starts[low:high] = [start]
        self._ends[low:high] = [end]

    def minus(self, other: Intervals) -> Intervals:
        """Return what is in this set and not in the other, in one pass over both; the set itself where it is empty."""
        if not self._starts:
            return self
        left = Intervals()
        holes = iter(other)
        hole_start, hole_end = next(holes, _BEYOND)
        for start, end in self:
            at = start
            while hole_end <= at:
                hole_start, hole_end = next(holes, _BEYOND)
            while hole_start < end:
                left._append(at, hole_start)
                at = hole_end
                if hole_end >= end:
                    break
                hole_start, hole_end = next(holes, _BEYOND)
            left._append(at, end)
        return left

    def _append(self, start: int, end: int) -> None:
        """Add a range that lies above all others and touches none."""
        if start < end:
            self._starts.append(start)
            self._ends.append(end)
