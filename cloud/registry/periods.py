"""Times that are told apart from the rest: (start, end) in UTC ms, the end not included, whatever overlaps as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date


class Periods(tuple[tuple[int, int], ...]):
    """Periods in order of time, none of which touches another."""

    __slots__ = ()

    def __new__(cls, spans: Iterable[tuple[int, int]]) -> Self:
        """Join what overlaps or touches."""
        joined: list[tuple[int, int]] = []
        for start_ms, end_ms in sorted(spans):
            if joined and start_ms <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(joined[-1][1], end_ms)
            else:
                joined.append((start_ms, end_ms))
        return super().__new__(cls, joined)

    def hold(self, time_ms: int) -> bool:
        """Tell whether a time lies in one of them."""
        return self.touch(time_ms, time_ms + 1)

    def touch(self, start_ms: int, end_ms: int) -> bool:
        """Tell whether a span, its end not included, has a part in one of them."""
        return any(start_ms < end and start < end_ms for start, end in self)

    def until_ms(self, time_ms: int) -> int | None:
        """Return when the one ends that a time lies in, None outside of all."""
        return next((end for start, end in self if start <= time_ms < end), None)


NEVER = Periods(())


class Timed(Protocol):
    """A row that is true from a day until another, that one not included; None for "still"."""

    @property
    def valid_from(self) -> date: ...  # noqa: D102
    @property
    def valid_to(self) -> date | None: ...  # noqa: D102


def valid_on(row: Timed, day: date) -> bool:
    """Tell whether a row is true on a day."""
    return row.valid_from <= day and (row.valid_to is None or day < row.valid_to)


def together(one: Timed, other: Timed) -> bool:
    """Tell whether there is a day on which both rows are true."""
    first = max(one.valid_from, other.valid_from)
    return valid_on(one, first) and valid_on(other, first)
