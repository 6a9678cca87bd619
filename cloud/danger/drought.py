"""Vietnam's index P, "chỉ tiêu tổng hợp": warm and dry afternoons summed since the last day of rain.

P = K · Σ t13 · d13, after Phạm Ngọc Hưng (1988; *Phòng cháy, chữa cháy rừng*), who fitted Nesterov's index to the
pine forests of Quảng Ninh, 1975-1985: t13 is the air's temperature at 13:00 in °C, d13 its saturation deficit at 13:00
in hPa (his mb), and K is 0 on a day whose rain reaches the limit, else 1. The limit is 5 mm unless a province's table
has another one (Bế Minh Châu and Vương Văn Quỳnh, 2009, find 7 mm).

It is not the international Nesterov index, whose T · (T - Td) is in kelvin and whose limit is 3 mm: levels of one
read with the numbers of the other are wrong.
"""

from __future__ import annotations

import math

RAIN_MM = 5.0  # the limit, unless a table has its own


def saturation_deficit(temp_c: float, rh_pct: float) -> float:
    """Return how much water vapour the air could still take up, in hPa (Magnus' formula, WMO guide no. 8)."""
    return 6.112 * math.exp(17.62 * temp_c / (243.12 + temp_c)) * (1 - rh_pct / 100)


def index_p(before: float, temp_c: float, rh_pct: float, rain_mm: float, limit_mm: float = RAIN_MM) -> float:
    """Return P of a day from P of the day before, the air at 13:00 and the rain of the day.

    An afternoon below freezing adds nothing: the formula has no frost, and a sum that shrinks would mean rain.
    """
    if rain_mm >= limit_mm:
        return 0.0
    return before + max(temp_c, 0.0) * saturation_deficit(temp_c, rh_pct)
