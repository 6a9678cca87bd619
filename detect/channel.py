"""One channel of a node: is it well, what is ordinary for it, and does it say more than that.

The ordinary is the median and the spread (MAD) of an hour, so that a few odd values move neither; PM2.5 by its
logarithm, because smoke and haze multiply. The sum (CUSUM) adds what exceeds the ordinary. All of it goes by time *and*
samples: one value a minute is kept however often the sensor is asked, and a value adds to the sum by the time that it
stands for. So a probe at 2 s and one at 60 s learn equally long and need smoke to last equally long, and one at ten
minutes still needs its number of values.
"""

from __future__ import annotations

from math import exp, log
from typing import TYPE_CHECKING

import msgspec

from detect.limits import MINUTE_MS, Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

_THOUSAND = 1_000  # what is kept are thousandths: whole numbers take little room
_MAD = 1.4826  # of a normal distribution: from the median deviation to the standard one


class Kind(msgspec.Struct, frozen=True):
    """What differs between channels. Stuck is the same value for so many samples and so long."""

    name: str
    stuck: int
    stuck_ms: int
    quiet: float  # up to here the same value for long is clean air
    logarithm: bool = False


PM = Kind("pm", 15, 15 * MINUTE_MS, 12.0, logarithm=True)
CO = Kind("co", 40, 20 * MINUTE_MS, 1.0)
HEAT = Kind("t", 20, 20 * MINUTE_MS, -273.0)


class Channel(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of one channel. `value` is its newest at `value_ms`; `up` says that it is evidence."""

    value: float | None = None
    value_ms: int = 0
    same: int = 0
    same_ms: int = 0
    up: bool = False
    total: float = 0.0
    kept: tuple[int, ...] = ()
    kept_ms: int = 0
    began_ms: int = 0
    middle: float = 0.0
    spread: float = 0.0
    well_ms: int = 0  # when it last said something that could be used

    def fresh(self, now_ms: int, limits: Limits) -> bool:
        """Tell whether its value is of now."""
        return self.value is not None and now_ms - self.value_ms <= limits.fresh_ms

    def ready(self, limits: Limits) -> bool:
        """Tell whether it is known what is ordinary: by number and by time."""
        return len(self.kept) >= limits.ready and self.value_ms - self.began_ms >= limits.ready_ms

    def stuck(self, kind: Kind) -> bool:
        """Tell whether it says the same for longer than air does."""
        return (
            self.same >= kind.stuck
            and self.value_ms - self.same_ms >= kind.stuck_ms - MINUTE_MS
            and self.value is not None
            and self.value > kind.quiet
        )

    def ordinary(self, kind: Kind) -> float:
        """Return what is ordinary, in the channel's unit."""
        return exp(self.middle) if kind.logarithm else self.middle

    def excess(self, kind: Kind) -> float:
        """Return by how much the newest value exceeds the ordinary, never less than 0."""
        return 0.0 if self.value is None else max(self.value - self.ordinary(kind), 0.0)


def told(channel: Channel, value: float, utc_ms: int) -> Channel:
    """Return the channel after a value of which nothing is asked but whether it moves."""
    same = value == channel.value
    return Channel(
        value,
        utc_ms,
        channel.same + 1 if same else 1,
        channel.same_ms if same else utc_ms,
        channel.up,
        channel.total,
        channel.kept,
        channel.kept_ms,
        channel.began_ms,
        channel.middle,
        channel.spread,
        channel.well_ms,
    )


def judged(before: Channel, now: Channel, kind: Kind, limits: Limits, enough: float, least: float) -> Channel:
    """Return the channel after its newest value is judged, which is well.

    It is evidence where the sum is above `enough` and its excess above `least`.
    """
    utc_ms, value = now.value_ms, now.value or 0.0
    pause_ms = utc_ms - before.value_ms if before.value is not None else 0
    kept, total = now.kept, now.total
    began_ms, kept_ms, middle, spread = now.began_ms, now.kept_ms, now.middle, now.spread
    if pause_ms > limits.gap_ms or (kept and utc_ms - kept_ms > limits.thaw_ms):
        kept, total = (), 0.0  # nobody knows any more what is ordinary, or what lasted so long is
    scaled = log(max(value, 1.0)) if kind.logarithm else value
    up = False
    if len(kept) >= limits.ready and utc_ms - began_ms >= limits.ready_ms:
        z = min(max((scaled - middle) / spread, limits.z_low), limits.z_high)
        total = min(max(total + (z - limits.slack) * min(pause_ms / MINUTE_MS, 1.0), 0.0), limits.sum_most)
        up = total > enough and now.excess(kind) > least
    if not kept or (not up and utc_ms - kept_ms >= limits.keep_every_ms):
        if not kept:
            began_ms = utc_ms
        kept = (*kept[1 - limits.keep :], round(_THOUSAND * scaled))
        kept_ms = utc_ms
        middle, spread = _ordinary(kept, limits.pm_floor if kind.logarithm else limits.co_floor)
    return Channel(
        now.value, utc_ms, now.same, now.same_ms, up, total, kept, kept_ms, began_ms, middle, spread, utc_ms
    )  # fmt: skip


def _ordinary(kept: tuple[int, ...], floor: float) -> tuple[float, float]:
    """Return the median and the spread of what was kept, the spread not under its floor."""
    middle = _median(kept)
    spread = _MAD * _median([abs(one - middle) for one in kept])
    return middle / _THOUSAND, max(spread / _THOUSAND, floor)


def _median(values: Sequence[float]) -> float:
    """Return the middle of some values: `statistics` would cost a gateway 2 MB."""
    rising, half = sorted(values), len(values) // 2
    return rising[half] if len(rising) % 2 else (rising[half - 1] + rising[half]) / 2
