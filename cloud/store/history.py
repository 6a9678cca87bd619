"""What the values were: series, their newest values and hours, and what is missing in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Series = tuple[str, str, str]  # gateway, channel, quantity


class Sample(msgspec.Struct, frozen=True):
    """The newest value of one series."""

    gateway: str
    channel: str
    quantity: str
    time_ns: int
    value: float


class Absent(msgspec.Struct, frozen=True):
    """A value that a poll did not bring: the reason's code, and the number that stood beside it, if one did.

    `raw` is for staff who look for the fault. No page for visitors and no rule may read it: it is no value.
    """

    time_ns: int
    quantity: str
    reason: int
    raw: float | None = None


class Hour(msgspec.Struct, frozen=True, gc=False):
    """One hour of one series; `start_ms` is the full UTC hour.

    `n` is how many readings it was counted from: 0 for one that nobody measured, invented for a sample garden.
    """

    start_ms: int
    n: int
    mean: float
    low: float
    high: float

    def plus(self, other: Hour) -> Hour:
        """Return the hour with what another one counted of other readings in it."""
        n = self.n + other.n
        mean = (self.n * self.mean + other.n * other.mean) / n
        return Hour(self.start_ms, n, mean, min(self.low, other.low), max(self.high, other.high))


class Past(NamedTuple):
    """Hours of one series that come without their readings."""

    gateway: str
    channel: str
    quantity: str
    hours: Sequence[Hour]


class History(Protocol):
    """Where values are read, from any thread."""

    def latest(self) -> list[Sample]:
        """Return the newest value of every series."""

    def series(self, gateway: str, channel: str, quantity: str, start_ns: int, end_ns: int) -> list[tuple[int, float]]:
        """Return (stored time, value) of one series within [start, end), in order of time."""

    def each_series(
        self, wanted: Sequence[Series], start_ns: int, end_ns: int
    ) -> Iterator[tuple[Series, list[tuple[int, float]]]]:
        """Yield each of many series once, in an order of its own, with what `series` says of it.

        Together they take a tenth of the time, and some of them are in memory at a time, however many there are.
        """

    def missing(self, gateway: str, channel: str, start_ns: int, end_ns: int) -> list[Absent]:
        """Return the absent values of a channel within [start, end), in order of time and quantity.

        This is the only method that tells raw numbers.
        """

    def hourly(self, gateway: str, channel: str, quantity: str, start_ms: int, end_ms: int) -> list[Hour]:
        """Return the hours of one series that begin within [start, end), late data included."""

    def each_hourly(self, wanted: Sequence[Series], start_ms: int, end_ms: int) -> Iterator[tuple[Series, list[Hour]]]:
        """Yield each of many series once, with what `hourly` says of it, as `each_series` does."""

    def write_hours(self, past: Sequence[Past]) -> bool:
        """Write hours that no reading stands behind, all or none; one that is there stays as it is.

        They are in no ledger, so no audit counts them and no rule judges them. False where this store keeps no hours
        apart from its readings: nothing was written then. For whoever may commit, from his thread. Raises Retry.
        """

    def last_held(
        self,
        series: Sequence[tuple[str, str]],
        quantity: str,
        values: Sequence[float],
        start_ns: int,
        end_ns: int,
    ) -> dict[tuple[str, str], int]:
        """Return by (gateway, channel) the newest stored time within [start, end) that had one of these values.

        Those that never had one are not in it. One question, whatever the span: the past is passed over by what the
        engine knows of it without reading it all.
        """
