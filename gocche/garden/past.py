"""A year that the sample garden never had: hours, invented by the same `climate` that its devices speak from.

A newcomer sees on the first day what a garden looks like after a year. The hours stand behind no reading (`n` is 0, and
pages say so): no ledger row, so the audit knows nothing of them, and nothing is there for a rule to judge. What
is measured later in such an hour takes its place. Who wants more invented (fire, coverage) adds a row to `SERIES`.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cloud.registry.book import NAME as REGISTRY
from cloud.rooms import store_of
from cloud.store import Hour, Past, Retry
from gocche.garden.climate import Weather, rain_total_mm, weather
from gocche.garden.nature import dew_point
from settings.words import Taken
from wire.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cloud.config import CloudConfig
    from cloud.store import Store

GATEWAY = "sg-01"  # of config/devices.toml
HOURS = 365 * 24
HOUR_MS = 3_600_000


def _dew(now: Weather) -> float:
    return dew_point(now.air_c, now.humidity)


# channel, quantity: what it is of the weather, and how far single readings of an hour lie from that
SERIES: dict[tuple[str, str], tuple[Callable[[Weather], float], float]] = {
    ("soil-1", "soil_moisture"): (lambda now: now.soil_moisture, 0.8),
    ("soil-1", "soil_temperature"): (lambda now: now.soil_c, 0.3),
    ("soil-1", "soil_ec"): (lambda now: 60 + 4 * now.soil_moisture, 12),
    ("soil-1", "soil_ph"): (lambda now: 4.9 + now.soil_moisture / 1_000, 0.1),
    ("soil-2", "soil_moisture"): (lambda now: now.soil_moisture - 0.6, 0.8),
    ("soil-2", "soil_temperature"): (lambda now: now.soil_c + 0.2, 0.3),
    ("soil-2", "soil_ec"): (lambda now: 56 + 4 * now.soil_moisture, 12),
    ("soil-2", "soil_ph"): (lambda now: 4.8 + now.soil_moisture / 1_000, 0.1),
    ("air-1", "air_temperature"): (lambda now: now.air_c, 0.4),
    ("air-1", "air_humidity"): (lambda now: now.humidity, 1.5),
    ("weather-1", "air_temperature"): (lambda now: now.air_c, 0.4),
    ("weather-1", "air_humidity"): (lambda now: now.humidity, 1.5),
    ("weather-1", "dew_point"): (_dew, 0.4),
    ("weather-1", "air_pressure"): (lambda now: now.pressure_hpa, 0.4),
    ("weather-1", "wind_speed"): (lambda now: now.wind_ms, 0.5),
    ("smoke-1", "pm2_5"): (lambda now: now.pm2_5, 2.0),
    ("co-1", "co"): (lambda _: 0.25, 0.15),
}


def first_start(folder: Path, config: CloudConfig, now_ms: int) -> None:
    """Invent the year where `gocche up` starts for the first time: no registry, no store in its folder yet.

    Without it the garden is young, not broken: a store that does not answer is passed over.
    """
    if (folder / REGISTRY).exists():
        return
    store = store_of(replace(config, data=replace(config.data, path=str(folder))), writer=True)
    try:
        store.setup()
        invent(store, now_ms)
    except (Retry, Taken):  # whoever else writes there: ingest tells of it, and goes on telling
        return
    finally:
        store.close()


def invent(store: Store, now_ms: int, hours: int = HOURS) -> bool:
    """Write the hours before this one into a store that holds nothing yet; tell whether that was done. Raises Retry.

    Takes about a second for a year.
    """
    if store.latest() or store.statuses():
        return False
    end_ms = now_ms // HOUR_MS * HOUR_MS
    times = [(end_ms - ago * HOUR_MS) / 1000 for ago in range(hours, -1, -1)]
    edges = [weather(time_s) for time_s in times]
    starts = range(end_ms - hours * HOUR_MS, end_ms, HOUR_MS)
    rain = _rows(starts, [rain_total_mm(time_s) for time_s in times], "rain_total", 0.0)
    return store.write_hours(
        [
            Past(GATEWAY, channel, quantity, _hours(starts, edges, quantity, *of))
            for (channel, quantity), of in SERIES.items()
        ]
        + [Past(GATEWAY, "rain-1", "rain_total", rain)]
    )


def _hours(
    starts: range, edges: list[Weather], quantity: str, of: Callable[[Weather], float], spread: float
) -> list[Hour]:
    return _rows(starts, [of(edge) for edge in edges], quantity, spread)


def _rows(starts: range, values: list[float], quantity: str, spread: float) -> list[Hour]:
    row = QUANTITIES[quantity]
    means = [(one + other) / 2 for one, other in itertools.pairwise(values)]
    lows = [round(max(value - spread, row.low), row.decimals) for value in values]
    highs = [round(min(value + spread, row.high), row.decimals) for value in values]
    low, high = map(min, lows, lows[1:]), map(max, highs, highs[1:])
    return list(map(Hour, starts, itertools.repeat(0), means, low, high))
