"""An anchor: what UTC a boot's milliseconds are, who says so, and how wrong that may be, which grows with distance."""

from __future__ import annotations

from datetime import datetime

import msgspec

from wire.batch import Source

BUILT_MS = 1_767_225_600_000  # 2026-01-01: no clock may claim that this program runs before it was written
# A date heard is carried by a crystal. Watch crystals are sold at 20 ppm for 25 °C and lose 0.034 ppm/K² beside it (43
# at -10 or 60 °C); a DS1307 board was measured at 57 ppm (5 s a day), those of boards without temperature care are
# sold up to 50. 100 covers them all: 8.64 s a day.
DRIFT_PPM = 100
# How far a device's date may be off when it is heard: a sentence begins up to a second after the time that it names
# and takes 0.17 s at 4800 baud; until the sky has told the leap seconds (12.5 min) a receiver of 2011 lacks three.
_HEARSAY_MS = {Source.GNSS: 4_500, Source.MODEM: 4_500}
_ROLLOVER_MS = 1024 * 7 * 86_400_000  # GPS weeks are counted in ten bits: a date beyond is as wrong as one before us


class Anchor(msgspec.Struct, frozen=True):
    """UTC minus the boot's milliseconds, where it comes from, and how wrong it was when it was heard."""

    offset_ms: int
    source: Source
    uncertainty_ms: int
    heard_ms: int = 0  # milliseconds of the boot

    def off_ms(self, *at_ms: int) -> int:
        """Return how wrong times of the boot may be, dated by it: the more, the farther from when it was heard."""
        return self.uncertainty_ms + drift_ms(max(abs(at - self.heard_ms) for at in at_ms))


def drift_ms(span_ms: int) -> int:
    """Return how far a crystal may go wrong in that time."""
    return -(-span_ms * DRIFT_PPM // 1_000_000)


def may_be(utc_ms: int) -> bool:
    """Tell whether a date from outside can be true at all: all that is dated in the future is refused for good."""
    return BUILT_MS <= utc_ms < BUILT_MS + _ROLLOVER_MS


def device_date(text: str, heard_ms: int, source: Source) -> Anchor | None:
    """Return the anchor that a device's own date gives (ISO 8601 with offset), heard at that time of the boot.

    None where there is no such date (30 February, second 60), or the receiver's weeks have rolled over.
    """
    try:
        told = datetime.fromisoformat(text)
    except ValueError:
        return None
    if told.tzinfo is None:
        return None
    utc_ms = round(told.timestamp() * 1000)
    if not may_be(utc_ms):
        return None
    return Anchor(utc_ms - heard_ms, source, _HEARSAY_MS[source], heard_ms)
