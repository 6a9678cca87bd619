"""What is staged in the garden's air: smoke of a young fire, cooking, haze, fog. Physics for all sensors at once.

Figures are those of a surface fire of 0.5 kg/m² that creeps at 0.3 m/min, ten minutes after ignition, 80 m away: some
3,150 µg/m³ of PM2.5 and 28 ppm of CO on the axis of its plume, where the garden's node stands. Both come from one fire
(9.1 g of PM2.5 and 93 g of CO a kilogram), so they rise together and in puffs. What takes ten minutes in the forest
takes seconds here: nobody waits ten minutes for a demonstration. Haze lifts PM2.5 and hardly CO, fog looks like
PM2.5 and is water, a hearth is a fire that nobody need put out.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from gocche.garden.climate import noise
from gocche.garden.nature import dew_point

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["clear", "smoke", "cooking", "haze", "fog"]
KINDS: tuple[Kind, ...] = ("clear", "smoke", "cooking", "haze", "fog")
GROWS_S, SMOKE_GROWS_S = 25.0, 3.0
_CO_OF_PM = 28 / 3_150  # ppm for each µg/m³ of wood smoke
_SMOKE, _HEARTH, _HAZE, _FOG = 3_150.0, 140.0, 110.0, 85.0  # µg/m³ of PM2.5, once it has grown
_HEARTH_CO = 2.6  # a hearth indoors burns badly
_HAZE_CO = 0.35
_FOG_RH = 99.2


class Added(NamedTuple):
    """What is in the air beside what the weather brought: µg/m³, ppm, and the least humidity in %RH."""

    pm2_5: float = 0.0
    co: float = 0.0
    humidity: float = 0.0


def added(kind: Kind, since_s: float, utc_s: float) -> Added:
    """Return what such air has, so many seconds after it began."""
    grown = 1 - math.exp(-max(since_s, 0.0) / (SMOKE_GROWS_S if kind == "smoke" else GROWS_S))
    puff = 1 + 0.35 * noise("puff", utc_s, 7) + 0.15 * noise("eddy", utc_s, 2)
    match kind:
        case "smoke":
            return Added(_SMOKE * grown * puff, _SMOKE * _CO_OF_PM * grown * puff)
        case "cooking":
            stoked = grown * puff * max(0.15, noise("hearth", utc_s, 45))
            return Added(_HEARTH * stoked, _HEARTH_CO * stoked)
        case "haze":
            slow = 1 - math.exp(-max(since_s, 0.0) / (8 * GROWS_S))
            return Added(_HAZE * slow, _HAZE_CO * slow)
        case "fog":
            return Added(_FOG * grown, 0.0, _FOG_RH * min(1.0, 0.9 + 0.1 * max(since_s, 0.0) / GROWS_S))
        case _:
            return Added()


def breathed(values: Mapping[str, float], air: Added) -> dict[str, float]:
    """Return what a sensor that would have told `values` tells in such air."""
    told = dict(values)
    if air.pm2_5 and "pm2_5" in told:
        told["pm2_5"] = round(told["pm2_5"] + air.pm2_5)
        told["particles_0_3"] = max(told["particles_0_3"], round(min(told["pm2_5"] * 30, 60_000)))
    if air.co and "co" in told:
        told["co"] = round(told["co"] + air.co, 1)
    if air.humidity and "air_humidity" in told:
        told["air_humidity"] = round(max(told["air_humidity"], air.humidity), 1)
        if "dew_point" in told:
            told["dew_point"] = round(dew_point(told["air_temperature"], told["air_humidity"]), 1)
    return told
