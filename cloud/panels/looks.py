"""How each quantity looks in Grafana: unit, decimals, the words of its codes, the levels that mean something.

Colour is never the only sign: every level has words (shown as a column of its own in tables) and a value beside it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from settings.words import LANGUAGES, why_absent
from wire.quantities import QUANTITIES, Quantity
from wire.reading import Reason

# Unit of wire/quantities.py -> Grafana's id for it; "suffix:" prints a unit that Grafana has no id for.
UNITS = {
    "%": "percent",
    "%RH": "percent",  # Grafana's own "humidity" prints %H
    "Cel": "celsius",
    "uS/cm": "suffix: µS/cm",
    "pH": "suffix: pH",
    "mg/kg": "suffix: mg/kg",
    "hPa": "pressurehpa",
    "m/s": "velocityms",
    "deg": "degree",
    "Bft": "suffix: Bft",
    "mm": "lengthmm",
    "lx": "lux",
    "dB": "dB",
    "dBm": "dBm",
    "cm": "suffix: cm",
    "ug/m3": "con\u03bcgm3",  # Grafana's id has the Greek letter, not the micro sign
    "/dL": "suffix: /dL",
    "mg/m3": "conmgm3",
    "ppb": "conppb",
    "ppm": "ppm",
    "m": "suffix: m",  # Grafana's own "lengthm" makes 1 km of an altitude of 1,371 m
    "s": "s",
    "ms": "ms",
    "d": "suffix: d",  # Grafana's own "d" makes weeks of days
    "MB": "decmbytes",
    "VND": "suffix: VND",
    "V": "volt",
    "1": "none",
}
FAR = 1e12  # stands for "no end" in a range: Grafana 10 takes an open end for zero


class Level(msgspec.Struct, frozen=True):
    """From `at` (None: from below everything) upwards it is called this and looks like that."""

    at: float | None
    colour: str
    vi: str
    en: str


_OK = ("green", "bình thường", "normal")
_RSRP = (
    Level(None, "red", "rất yếu", "very weak"),
    Level(-115, "orange", "yếu", "weak"),
    Level(-105, "yellow", "trung bình", "fair"),
    Level(-95, "green", "tốt", "good"),
    Level(-80, "dark-green", "rất tốt", "very good"),
)
LEVELS: dict[str, tuple[Level, ...]] = {
    "soil_moisture": (
        Level(None, "red", "khô hạn", "dry"),
        Level(15, "yellow", "hơi khô", "rather dry"),
        Level(20, "green", "đủ ẩm", "moist"),
    ),
    "air_temperature": (
        Level(None, "blue", "nguy cơ sương giá", "frost risk"),
        Level(5, *_OK),
        Level(35, "red", "nắng nóng", "hot"),
    ),
    "air_humidity": (Level(None, "orange", "hanh khô", "dry air"), Level(40, *_OK)),
    "pm2_5": (
        Level(None, *_OK),
        Level(55, "orange", "nghi có khói", "suspected smoke"),
        Level(150, "red", "rất cao", "very high"),
    ),
    "co": (
        Level(None, *_OK),
        Level(2, "orange", "cao", "high"),
        Level(20, "red", "rất cao", "very high"),
    ),
    "lte_rsrp": _RSRP,
    "nr_ss_rsrp": _RSRP,
    "oldest_s": (
        Level(None, *_OK),
        Level(3_600, "orange", "chậm trên 1 giờ", "over 1 hour late"),
        Level(21_600, "red", "chậm trên 6 giờ", "over 6 hours late"),
    ),
}
_CODE_COLOURS = {
    "registration": {0: "red", 1: "green", 2: "orange", 3: "red", 5: "green", 8: "red"},
    "radio": {0: "red", 1: "orange", 2: "yellow", 3: "green", 4: "blue", 5: "purple"},
    "fix_quality": {0: "red"},
    "mains": {0: "red", 1: "green"},
    "smoke_claim": {0: "green", 1: "yellow", 2: "orange", 3: "red"},
    "siren": {0: "green", 1: "red", 2: "orange", 3: "purple", 4: "blue"},
}


def both(vi: str, en: str) -> str:
    """Return the Vietnamese words with the English beside them, or one of them where they are the same."""
    return vi if vi == en else f"{vi} · {en}"


def reasons() -> dict[Reason, tuple[str, ...]]:
    """Return the words of each reason."""
    return {reason: tuple(why_absent(reason, language) for language in LANGUAGES) for reason in Reason}


def title(name: str) -> str:
    """Return what people call a quantity."""
    return both(QUANTITIES[name].vi, QUANTITIES[name].en)


def unit(quantity: Quantity) -> str:
    """Return Grafana's unit id; KeyError when the table above lacks the unit."""
    return UNITS[quantity.unit]


def field_look(name: str) -> dict[str, Any]:
    """Return Grafana's `fieldConfig.defaults` of a quantity: unit, decimals, thresholds, words for codes."""
    quantity = QUANTITIES[name]
    look: dict[str, Any] = {
        "unit": unit(quantity),
        "decimals": quantity.shown,
        "thresholds": thresholds(name),
    }
    if quantity.codes:
        colours = _CODE_COLOURS.get(name, {})
        look["mappings"] = [codes(quantity.codes, colours)]
    return look


def thresholds(name: str) -> dict[str, Any]:
    """Return the coloured levels of a quantity or status field; one neutral colour where no level means anything."""
    levels = LEVELS.get(name, (Level(None, "text", "", ""),))
    return {"mode": "absolute", "steps": [{"color": level.colour, "value": level.at} for level in levels]}


def verdicts(name: str) -> list[dict[str, Any]]:
    """Return value mappings that turn a number into the words of its level."""
    levels = LEVELS[name]
    starts = [-FAR if level.at is None else level.at for level in levels]
    ends = [start - 1e-6 for start in starts[1:]] + [FAR]
    return [
        {
            "type": "range",
            "options": {
                "from": start,
                "to": end,
                "result": {"text": both(level.vi, level.en), "color": level.colour, "index": index},
            },
        }
        for index, (level, start, end) in enumerate(zip(levels, starts, ends, strict=True))
    ]


def codes(table: Any, colours: dict[int, str] | None = None) -> dict[str, Any]:
    """Return one value mapping from a table of codes, each (Vietnamese, English)."""
    options = {}
    for index, (code, (vi, en)) in enumerate(table.items()):
        colour = (colours or {}).get(code)
        options[str(int(code))] = {"text": both(vi, en), "index": index} | ({"color": colour} if colour else {})
    return {"type": "value", "options": options}
