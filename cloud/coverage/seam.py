"""The seam of the store for samples, which are no readings of a binding, and what a judged map is once it is kept.

Samples go in once each; spots come out: what was heard within one H3 cell of resolution `SPOT`, in one month, of one
network. A map is made from spots alone, so it is the same before and after a month is compacted to them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cloud.coverage.sample import Sample

LAYERS = ("phone", "5g")  # any service at all; 5G
STATES = ("good", "fair", "weak", "served", "none", "uncertain", "unmeasured")
COVERED = frozenset(STATES[:4])
MONTH_NOW = 0  # the sheet of now, from the newest months that say enough


class Put(NamedTuple):
    """What became of samples that were put: all are counted, none is dropped in silence."""

    new: int
    known: int  # there already
    late: int  # of a month that was compacted long ago: nobody can tell whether they are known


class Strength(msgspec.Struct, array_like=True):
    """How strong one radio was at a spot: moments with one, sum and sum of squares in dBm, the best.

    `sinr_n` of these moments told a SINR, `sinr_sum` is their sum in dB.
    """

    n: int = 0
    sum: float = 0.0
    squares: float = 0.0
    best: float = -200.0
    sinr_n: int = 0
    sinr_sum: float = 0.0


class Spot(msgspec.Struct, array_like=True):
    """One H3 cell of resolution `SPOT` in one month (year·100+month), of one network; times are UTC ms.

    Of its `moments`, `none` had no service and `limited` emergency calls only. `days` has a bit for each day of the
    month in Vietnam on which somebody was there. `nr_looked` counts moments of devices that can hear 5G, `nr.n` those
    that did. `dead` counts runs of three moments and more, over a minute and longer, all without service.
    """

    cell: int
    month: int
    plmn: int
    moments: int = 0
    none: int = 0
    limited: int = 0
    dead: int = 0
    days: int = 0
    first_ms: int = 0
    last_ms: int = 0
    lte: Strength = msgspec.field(default_factory=Strength)
    nr: Strength = msgspec.field(default_factory=Strength)
    nr_looked: int = 0


class Judged(msgspec.Struct, array_like=True, frozen=True):
    """One H3 cell of a map: its state, on how much it stands (moments, days, newest UTC ms), and a strength in dBm."""

    cell: int
    state: str
    moments: int
    days: int
    last_ms: int
    rsrp_dbm: float | None = None


class Samples(Protocol):
    """Keeps samples; one thread. Raises the store's Retry for what a disk refuses now."""

    def put(self, samples: Sequence[Sample], now_ms: int) -> Put:
        """Keep each once, durably, all or nothing. They are checked already."""

    def spots(self, since: int, until: int) -> Iterator[Spot]:
        """Return what the months from `since` to `until` (both included) have, of every network, by cell."""

    def samples(self, since_ms: int, until_ms: int) -> Iterable[Sample]:
        """Return those of [since, until) that are still kept one by one, by time: for exports."""

    def compact(self, now_ms: int) -> int:
        """Let samples of months go that are over for long; return how many, to be called again until it is none."""
