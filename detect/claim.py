"""What the detector says of a node, and why: level, one reason a line, radius, how old its idea of ordinary is."""

from __future__ import annotations

from itertools import pairwise
from math import exp, log
from typing import Final

import msgspec

from detect.limits import SOURCE

NONE: Final = 0
WATCH: Final = 1
SUSPECTED: Final = 2
PROBABLE: Final = 3

# How far off a fire of ten minutes may be at most that gives so much PM2.5 (µg/m³ → m): a Gaussian ground plume at
# 1.5 m/s, surface fire, on its axis. An upper bound of the smoke, so of the distance; an older fire may be farther.
_PLUME = ((21_600.0, 30.0), (3_150.0, 80.0), (940.0, 150.0), (257.0, 300.0), (31.0, 1_000.0))
PLUME = "plume-10min"
AT_NODE = "at-node"
HEAT_RADIUS_M = 30


# Each has a sentence in cloud/alerts/rules/detect.toml; what is only watched is told to nobody.
REASONS = (
    "smoke-co", "smoke-co-faulty", "strong", "strong-at-start", "two-nodes", "lasting", "heat", "silent-after-smoke",
    "silent-after-heat", "danger", "danger-unknown",
)  # fmt: skip
WATCHED = ("pm-only", "fog", "co-only", "not-lasting", "heat-once")
FAULTS = ("pm-stuck", "co-stuck", "t-stuck", "power", "silent", "pm-silent", "co-silent", "no-pm", "no-co")


class Reason(msgspec.Struct, frozen=True, array_like=True):
    """One line of why: `key` chooses the sentence (docs/detection.md lists them), `figures` stand in it."""

    key: str
    figures: dict[str, float] = {}


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """What is claimed of one node. Times are UTC in ms.

    `level` is none, watch, suspected or probable, since `since_ms`; `first_ms` is the first evidence of this run.
    `faults`, of FAULTS, name what the node cannot do now. The radius is
    within what distance its source may be, None where nothing is claimed; `radius_from` says by what estimate.
    `baseline_ms` is when the node last learned what is ordinary, None where it does not know it yet; `figures_from`
    is what the limits were made by.
    """

    level: int = NONE
    since_ms: int = 0
    utc_ms: int = 0
    first_ms: int | None = None
    reasons: tuple[Reason, ...] = ()
    faults: tuple[str, ...] = ()
    radius_m: int | None = None
    radius_from: str = ""
    baseline_ms: int | None = None
    baseline_n: int = 0
    danger: int | None = None
    figures_from: str = SOURCE

    @property
    def baseline_age_s(self) -> int | None:
        """How many seconds ago the node last learned what is ordinary."""
        return None if self.baseline_ms is None else max(self.utc_ms - self.baseline_ms, 0) // 1000


def radius_m(pm_excess: float) -> int:
    """Return within how many metres a fire of ten minutes gives so much PM2.5; between 30 and 1,000."""
    if pm_excess >= _PLUME[0][0]:
        return 30
    for (more, near), (less, far) in pairwise(_PLUME):
        if pm_excess >= less:
            share = log(more / pm_excess) / log(more / less)
            return 10 * round(exp(log(near) + share * log(far / near)) / 10)
    return 1_000
