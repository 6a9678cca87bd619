"""The Canadian Forest Fire Weather Index System of 1987: six codes and a rating, from one noon's weather to the next.

Equations are numbered as in Van Wagner, C.E. and Pickett, T.L. (1985), *Equations and FORTRAN program for the Canadian
Forest Fire Weather Index System*, Forestry Technical Report 33 ("VP85"); they are explained in Van Wagner, C.E. (1987),
*Development and structure of the Canadian Forest Fire Weather Index System*, Forestry Technical Report 35 ("VW87").

Definition of this product: the values of the R package cffdrs 1.10.0. Two things differ there from VP85: the constant
of the FF-scale is 250 · 59.5 / 101 = 147.27723 where VP85 prints 147.2, and Equations 12 and 15 of the Duff Moisture
Code are written with other roundings. `constants=OF_1985` takes VP85's own; it is there for tests against old tables.

Units: °C, %, km/h at 10 m above open ground, mm of the 24 hours before noon. Months are 1 to 12.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec


class Constants(NamedTuple):
    """What one family of programs has where another has something else."""

    ff_scale: float  # of Eqs. 1 and 10
    dmc_of_1985: bool  # Eqs. 12 and 15 as they are printed


CFFDRS = Constants(250 * 59.5 / 101, dmc_of_1985=False)
OF_1985 = Constants(147.2, dmc_of_1985=True)

# Effective day length Le of the DMC (VP85 table 1, and cffdrs for latitudes below 46° N), and the day length factor Lf
# of the DC (VP85 Eq. 22, table 2), from January to December.
_LE_46N = (6.5, 7.5, 9.0, 12.8, 13.9, 13.9, 12.4, 10.9, 9.4, 8.0, 7.0, 6.0)
_LE_20N = (7.9, 8.4, 8.9, 9.5, 9.9, 10.2, 10.1, 9.7, 9.1, 8.6, 8.1, 7.8)
_LE_20S = (10.1, 9.6, 9.1, 8.5, 8.1, 7.8, 7.9, 8.3, 8.9, 9.4, 9.9, 10.2)
_LE_40S = (11.5, 10.5, 9.2, 7.9, 6.8, 6.2, 6.5, 7.4, 8.7, 10.0, 11.2, 11.8)
_LE_EQUATOR = (9.0,) * 12
_LF_NORTH = (-1.6, -1.6, -1.6, 0.9, 3.8, 5.8, 6.4, 5.0, 2.4, 0.4, -1.6, -1.6)
_LF_SOUTH = (6.4, 5.0, 2.4, 0.4, -1.6, -1.6, -1.6, -1.6, -1.6, 0.9, 3.8, 5.8)
_LF_EQUATOR = (1.4,) * 12


class Noon(msgspec.Struct, frozen=True):
    """The weather of one noon, local standard time."""

    temp_c: float
    rh_pct: float
    wind_kmh: float
    rain_mm: float


class Codes(msgspec.Struct, frozen=True):
    """The three moisture codes, which are carried from day to day."""

    ffmc: float
    dmc: float
    dc: float


class Indices(msgspec.Struct, frozen=True):
    """What follows from the codes and the wind of one day; nothing of it is carried on."""

    isi: float
    bui: float
    fwi: float
    dsr: float


START = Codes(85.0, 6.0, 15.0)  # VP85: where a season begins that nobody measured before


def day(before: Codes, noon: Noon, month: int, lat: float, constants: Constants = CFFDRS) -> tuple[Codes, Indices]:
    """Return the codes of a day from those of the day before, and its indices."""
    codes = Codes(
        fine_fuel(before.ffmc, noon, constants),
        duff(before.dmc, noon, month, lat, constants),
        drought(before.dc, noon, month, lat),
    )
    return codes, indices(codes, noon.wind_kmh, constants)


def indices(codes: Codes, wind_kmh: float, constants: Constants = CFFDRS) -> Indices:
    """Return the indices of codes and wind."""
    isi = initial_spread(codes.ffmc, wind_kmh, constants)
    bui = buildup(codes.dmc, codes.dc)
    fwi = weather_index(isi, bui)
    return Indices(isi, bui, fwi, severity(fwi))


def fine_fuel(before: float, noon: Noon, constants: Constants = CFFDRS) -> float:
    """Return the Fine Fuel Moisture Code, VP85 Eqs. 1-10: how dry litter and grass are, 0 to 101."""
    moisture = _moisture(before, constants)  # Eq. 1
    if noon.rain_mm > 0.5:
        moisture = _wetted(moisture, noon.rain_mm - 0.5)  # Eqs. 2, 3a, 3b
    drying, wetting = _equilibria(noon)  # Eqs. 4, 5
    warmth = 0.581 * math.exp(0.0365 * noon.temp_c)
    if moisture > drying:
        rate = _rate(noon.rh_pct / 100, noon.wind_kmh) * warmth  # Eqs. 6a, 6b
        moisture = drying + (moisture - drying) / 10**rate  # Eq. 8
    elif moisture < wetting:
        rate = _rate((100 - noon.rh_pct) / 100, noon.wind_kmh) * warmth  # Eqs. 7a, 7b
        moisture = wetting - (wetting - moisture) / 10**rate  # Eq. 9
    return _code(moisture, constants)  # Eq. 10


def hourly_fine_fuel(before: float, hour: Noon, constants: Constants = CFFDRS) -> float:
    """Return the FFMC an hour later. `hour.rain_mm` is the rain of this hour; the canopy keeps none of it back.

    Van Wagner, C.E. (1977), *A method of computing fine fuel moisture content throughout the diurnal cycle*,
    Information Report PS-X-69: its rate is 0.0579 an hour where the daily one is 0.581 a day.
    """
    moisture = _moisture(before, constants)
    if hour.rain_mm > 0:
        moisture = _wetted(moisture, hour.rain_mm)
    drying, wetting = _equilibria(hour)
    warmth = 0.0579 * math.exp(0.0365 * hour.temp_c)
    if moisture > drying:
        moisture = drying + (moisture - drying) * 10 ** (-_rate(hour.rh_pct / 100, hour.wind_kmh) * warmth)
    elif moisture < wetting:
        rate = _rate((100 - hour.rh_pct) / 100, hour.wind_kmh) * warmth
        moisture = wetting - (wetting - moisture) * 10**-rate
    return _code(moisture, constants)


def duff(before: float, noon: Noon, month: int, lat: float, constants: Constants = CFFDRS) -> float:
    """Return the Duff Moisture Code, VP85 Eqs. 11-17: how dry the loose soil under the litter is."""
    kept = before
    if noon.rain_mm > 1.5:
        net = 0.92 * noon.rain_mm - 1.27  # Eq. 11
        if constants.dmc_of_1985:
            moisture = 20 + math.exp(5.6348 - before / 43.43)  # Eq. 12
        else:
            moisture = 20 + 280 / math.exp(0.023 * before)  # Eq. 12 as cffdrs has it
        if before <= 33:
            slope = 100 / (0.5 + 0.3 * before)  # Eq. 13a
        elif before <= 65:
            slope = 14 - 1.3 * math.log(before)  # Eq. 13b
        else:
            slope = 6.2 * math.log(before) - 17.2  # Eq. 13c
        moisture += 1000 * net / (48.77 + slope * net)  # Eq. 14
        if constants.dmc_of_1985:
            kept = 244.72 - 43.43 * math.log(moisture - 20)  # Eq. 15
        else:
            kept = 43.43 * (5.6348 - math.log(moisture - 20))  # Eq. 15 as cffdrs has it
    warm = max(noon.temp_c, -1.1)
    rate = 1.894 * (warm + 1.1) * (100 - noon.rh_pct) * _le(lat)[month - 1] * 1e-4  # Eq. 16
    return max(max(kept, 0.0) + rate, 0.0)  # Eq. 17


def drought(before: float, noon: Noon, month: int, lat: float) -> float:
    """Return the Drought Code, VP85 Eqs. 18-23: how dry deep, compact organic soil is."""
    kept = before
    if noon.rain_mm > 2.8:
        net = 0.83 * noon.rain_mm - 1.27  # Eq. 18
        stored = 800 * math.exp(-before / 400)  # Eq. 19
        kept = max(before - 400 * math.log(1 + 3.937 * net / stored), 0.0)  # Eqs. 20, 21
    warm = max(noon.temp_c, -2.8)
    lost = max((0.36 * (warm + 2.8) + _lf(lat)[month - 1]) / 2, 0.0)  # Eq. 22, and the half of Eq. 23
    return max(kept + lost, 0.0)  # Eq. 23


def initial_spread(ffmc: float, wind_kmh: float, constants: Constants = CFFDRS) -> float:
    """Return the Initial Spread Index, VP85 Eqs. 24-26."""
    moisture = _moisture(ffmc, constants)
    wind = math.exp(0.05039 * wind_kmh)  # Eq. 24
    fine = 91.9 * math.exp(-0.1386 * moisture) * (1 + math.pow(moisture, 5.31) / 4.93e7)  # Eq. 25
    return 0.208 * wind * fine  # Eq. 26


def buildup(dmc: float, dc: float) -> float:
    """Return the Buildup Index, VP85 Eq. 27: how much fuel there is to burn."""
    if dmc <= 0:
        return 0.0
    if dmc <= 0.4 * dc:
        return 0.8 * dmc * dc / (dmc + 0.4 * dc)  # Eq. 27a
    bui = dmc - (1 - 0.8 * dc / (dmc + 0.4 * dc)) * (0.92 + math.pow(0.0114 * dmc, 1.7))  # Eq. 27b
    return max(bui, 0.0)


def weather_index(isi: float, bui: float) -> float:
    """Return the Fire Weather Index, VP85 Eqs. 28-30: how strongly a fire would burn."""
    # Eqs. 28b, 28a
    duff_part: float = 1000 / (25 + 108.64 * math.exp(-0.023 * bui)) if bui > 80 else 0.626 * math.pow(bui, 0.809) + 2
    at = 0.1 * isi * duff_part  # Eq. 29
    return math.exp(2.72 * (0.434 * math.log(at)) ** 0.647) if at > 1 else at  # Eqs. 30a, 30b


def severity(fwi: float) -> float:
    """Return the Daily Severity Rating, VP85 Eq. 31: how hard a fire would be to control; may be averaged."""
    return 0.0272 * math.pow(fwi, 1.77)


def _moisture(ffmc: float, constants: Constants) -> float:
    return constants.ff_scale * (101 - ffmc) / (59.5 + ffmc)


def _code(moisture: float, constants: Constants) -> float:
    return min(max(59.5 * (250 - moisture) / (constants.ff_scale + moisture), 0.0), 101.0)


def _wetted(moisture: float, rain_mm: float) -> float:
    wet = moisture + 42.5 * rain_mm * math.exp(-100 / (251 - moisture)) * (1 - math.exp(-6.93 / rain_mm))
    if moisture > 150:
        wet += 0.0015 * (moisture - 150) ** 2 * math.sqrt(rain_mm)
    return min(wet, 250.0)


def _equilibria(noon: Noon) -> tuple[float, float]:
    """Return the moisture that litter dries to, and the one that it is wetted to (Eqs. 4, 5)."""
    common = 0.18 * (21.1 - noon.temp_c) * (1 - math.exp(-0.115 * noon.rh_pct))
    damp = math.exp((noon.rh_pct - 100) / 10)
    drying = 0.942 * noon.rh_pct**0.679 + 11 * damp + common
    wetting = 0.618 * noon.rh_pct**0.753 + 10 * damp + common
    return drying, wetting


def _rate(part: float, wind_kmh: float) -> float:
    return 0.424 * (1 - math.pow(part, 1.7)) + 0.0694 * math.sqrt(wind_kmh) * (1 - part**8)


def _le(lat: float) -> tuple[float, ...]:
    if lat > 30:
        return _LE_46N
    if lat > 10:
        return _LE_20N
    if lat > -10:
        return _LE_EQUATOR
    return _LE_20S if lat > -30 else _LE_40S


def _lf(lat: float) -> tuple[float, ...]:
    if lat > 20:
        return _LF_NORTH
    return _LF_EQUATOR if lat > -20 else _LF_SOUTH
