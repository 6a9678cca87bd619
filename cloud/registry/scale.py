"""What the numbers of a series mean: as the sensor told them, or compared with something, from a day on.

What is stored stays as it came. A calibration is applied when numbers are shown, by the time they were measured at, so
that one that is corrected corrects the past, and one that is new leaves it alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from msgspec.structs import replace

from cloud.clock import midnight_ms
from cloud.registry.kinds import Calibration

if TYPE_CHECKING:
    from collections.abc import Iterable


class Hour(Protocol):
    """An hour of a series, as a store tells it."""

    @property
    def start_ms(self) -> int: ...  # noqa: D102 - cloud.store explains them
    @property
    def mean(self) -> float: ...  # noqa: D102
    @property
    def low(self) -> float: ...  # noqa: D102
    @property
    def high(self) -> float: ...  # noqa: D102


_Hour = TypeVar("_Hour", bound=Hour)


class Scale(tuple[tuple[int, float, Calibration], ...]):
    """The calibrations of one series, each with its (start, end) in ms; empty where nobody has compared it."""

    __slots__ = ()

    def __new__(cls, calibrations: Iterable[Calibration]) -> Self:
        """Take what holds first where several hold at once."""
        return super().__new__(
            cls,
            (
                (midnight_ms(one.valid_from), midnight_ms(one.valid_to) if one.valid_to else math.inf, one)
                for one in calibrations
            ),
        )

    def at(self, time_ms: int) -> Calibration | None:
        """Return which of them holds at a time."""
        for start_ms, end_ms, one in self:
            if start_ms <= time_ms < end_ms:
                return one
        return None

    def value(self, value: float, time_ms: int) -> float:
        """Return what a number of a time means."""
        one = self.at(time_ms)
        return value if one is None else one.meant(value)

    def hour(self, hour: _Hour) -> _Hour:
        """Return what an hour means; a calibration begins at midnight, never within one."""
        one = self.at(hour.start_ms)
        if one is None:
            return hour
        low, high = sorted((one.meant(hour.low), one.meant(hour.high)))
        told: Any = hour
        meant: _Hour = replace(told, mean=one.meant(hour.mean), low=low, high=high)
        return meant

    def hours(self, hours: Iterable[_Hour]) -> Iterable[_Hour]:
        """Return what hours mean."""
        return map(self.hour, hours) if self else hours


AS_TOLD = Scale(())
