"""Every figure that the detector goes by, with where it is from; what a danger level makes of them.

The figures are those of a feasibility study on synthetic data (docs/detection.md), none is from a fire on site:
`SOURCE` says so in every claim.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

SOURCE = "synthetic-2026-11"
MINUTE_MS = 60_000


class Limits(msgspec.Struct, frozen=True):
    """Figures of the detector. Times are in ms, PM2.5 in µg/m³, CO in ppm, temperature in °C, humidity in %RH."""

    # Evidence of a channel: the sum of what exceeds the ordinary, and by how much it must exceed it.
    slack: float = 1.0
    z_low: float = -4.0
    z_high: float = 5.0
    sum_up: float = 6.0
    sum_with_pm: float = 3.5  # of CO, while PM2.5 is evidence already
    sum_most: float = 30.0  # or an hour of smoke would take an hour to be over
    pm_excess: float = 45.0
    pm_share: float = 0.3  # of what is ordinary: in haze 45 µg/m³ is noise
    co_excess: float = 0.8
    common: float = 1.6  # of the smallest excess nearby: haze lifts all, a plume does not
    # Ordinary: what the channel said of late.
    keep: int = 60
    keep_every_ms: int = 54_000  # one a minute, however often it is asked
    ready: int = 30
    ready_ms: int = 45 * MINUTE_MS
    gap_ms: int = 120 * MINUTE_MS  # after so long without values nobody knows what is ordinary
    thaw_ms: int = 360 * MINUTE_MS  # what lasts longer is learned as the new ordinary
    pm_floor: float = 0.12  # of its logarithm
    co_floor: float = 0.15
    # Persistence: minutes with evidence of the last so many, a minute without CO counts half.
    few: float = 1.5  # one whole and another at least
    few_ms: int = 10 * MINUTE_MS
    many: int = 22  # so that a stove or a barbecue of 20 minutes is never enough
    minute_ms: int = 57_000  # from one minute that counts to the next: samples each minute come a little early, too
    many_ms: int = 30 * MINUTE_MS
    puff: float = 1.4  # a plume comes and goes, haze does not: PM2.5 from one minute to the next, so often …
    puffs: int = 3  # … where a node has no two others to tell haze by
    hold_ms: int = 30 * MINUTE_MS
    # What no haze, fog or sun reaches: counts before anything is ordinary.
    pm_strong: float = 250.0
    co_strong: float = 9.0
    t_hot: float = 60.0
    twice_ms: int = 10_000  # twice means so far apart, too: one glitch is read often by a fast sampler
    # Health.
    order_ms: int = 4 * MINUTE_MS  # channels of a node may overtake each other by so much: an urgent one is sent first
    fresh_ms: int = 5 * MINUTE_MS
    humid: float = 96.5
    humid_ms: int = 15 * MINUTE_MS
    silent_ms: int = 5 * MINUTE_MS
    patience: float = 2.5  # times its pace, where a node speaks more seldom: one value may be missing
    after_smoke_ms: int = 60 * MINUTE_MS
    fitted_ms: int = 7 * 1_440 * MINUTE_MS  # a node whose CO was well within a week has a CO sensor


LIMITS = Limits()


_UNKNOWN = replace(LIMITS, pm_excess=30.0, co_excess=0.7)
_RAISED = replace(_UNKNOWN, many_ms=60 * MINUTE_MS)


def at_danger(danger: int | None) -> Limits:
    """Return the limits at a danger level I-V (1-5), None where nobody knows it.

    It fails open: unknown is treated as dangerous, and no level, however low, makes the detector deafer than it is
    by default. Unknown asks for less excess; at IV and V smoke that comes and goes may take an hour for its minutes.
    """
    if danger is None:
        return _UNKNOWN
    return LIMITS if danger < 4 else _RAISED
