"""The figures of a tree: each with its value, time, source, distance and how far it may be trusted now.

Most trees have no sensor of their own. So a figure always says whether it was measured at this tree or by the station
of its zone, and how far away that stands.
"""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING

import msgspec

from cloud.clock import hanoi
from cloud.registry.kinds import Calibration
from cloud.registry.periods import NEVER, Periods
from cloud.registry.scale import AS_TOLD, Scale
from wire.quantities import QUANTITIES, Quantity

if TYPE_CHECKING:
    from cloud.registry import Registry
    from cloud.registry.kinds import Binding, Tree
    from cloud.stream.latest import ChannelNow, Latest

OLD_S = 86_400  # after a day a value is no longer shown as if it told the weather of now
_EARTH_M = 6_371_008.8  # mean radius, IUGG

# Where the equipment stands and how it is found would help a thief, and tells nothing about a tree.
_POSITION = frozenset({"lat", "lon", "alt", "accuracy", "fix_quality", "satellites", "hdop", "ground_speed", "course"})
_IDENTITY = frozenset({"plmn", "tac", "cell", "pci", "nr_pci", "earfcn", "nr_arfcn"})
# A suspicion is for those on watch: the public would take it for a fire.
_SUSPICION = frozenset({"smoke_claim", "siren", "siren_button"})
_SIM = frozenset({"sim_balance", "sim_data_left", "sim_days_left"})
_NOT_PUBLIC = _POSITION | _IDENTITY | _SUSPICION | _SIM | {"supply_voltage", "mains", "clock_uncertainty"}
# Public, but only for those who open the technical table.
_TECHNICAL_KINDS = ("particles_", "lte_", "nr_")
_TECHNICAL = frozenset(
    {"pm1", "pm1_cf1", "pm2_5_cf1", "pm10", "pm10_cf1", "wind_direction", "wind_direction_relative", "dew_point"}
    | {"air_pressure", "soil_ec", "soil_ph", "registration", "radio", "rssi", "rtt", "loss"}
)


class Figure(msgspec.Struct, frozen=True):
    """One figure. `quality` is live, late, old or none; `reason` is why the newest poll gave no value, if so."""

    quantity: Quantity
    place: str  # tree | zone
    source: str
    distance_m: int
    quality: str
    value: float | None = None
    time_ms: int | None = None
    bounded: bool = False
    reason: int | None = None
    height_m: float | None = None  # of the sensor above its place's own point
    calibration: Calibration | None = None
    since: date = date.min  # from which day on its channel hangs at this place
    scale: Scale = AS_TOLD  # what the numbers of its series mean
    rests: Periods = NEVER  # when its channel is under maintenance: nothing of then is shown
    worked_at: bool = False  # its newest value is of such a time

    @property
    def technical(self) -> bool:
        """Tell whether only the technical table shows it."""
        return self.quantity.name in _TECHNICAL or self.quantity.name.startswith(_TECHNICAL_KINDS)


class Silent(msgspec.Struct, frozen=True):
    """A bound channel from which nothing ever came."""

    place: str
    source: str
    distance_m: int
    since: date


def figures(
    registry: Registry, latest: Latest, tree: Tree, now_ms: int, live_s: float
) -> tuple[list[Figure], list[Silent]]:
    """Return the public figures of a tree, its own sensors first; and the channels that never spoke."""
    heard: list[Figure] = []
    silent: list[Silent] = []
    today = hanoi(now_ms).date()
    for place, binding, distance_m in _bound(registry, tree, today):
        now = latest.channel(binding.gateway, binding.channel)
        source = f"{binding.gateway}/{binding.channel}"
        if now is None:
            silent.append(Silent(place, source, distance_m, binding.valid_from))
            continue
        rests = registry.maintenance(binding.gateway, binding.channel)
        heard += [
            _meant(
                msgspec.structs.replace(
                    _figure(QUANTITIES[name], now, (place, source, distance_m), now_ms, live_s, rests),
                    height_m=binding.height_m,
                    since=binding.valid_from,
                    scale=registry.scale(binding.gateway, binding.channel, name),
                    rests=rests,
                ),
                now_ms,
            )
            for name in QUANTITIES
            if (name in now.values or name in now.reasons) and _public(name)
        ]
    return heard, silent


def _meant(told: Figure, now_ms: int) -> Figure:
    """Return a figure as its calibration has it, the one that held when it was measured."""
    if not told.scale:
        return told
    time_ms = told.time_ms or now_ms
    value = None if told.value is None else told.scale.value(told.value, time_ms)
    return msgspec.structs.replace(told, value=value, calibration=told.scale.at(time_ms))


def quality(time_ms: int | None, now_ms: int, live_s: float) -> str:
    """Return live, late, old, or none for what was never measured."""
    if time_ms is None:
        return "none"
    age_s = (now_ms - time_ms) / 1000
    return "live" if age_s <= live_s else "late" if age_s <= OLD_S else "old"


def metres(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Return the great-circle distance of two points in metres (haversine)."""
    a, b = math.radians(lat1), math.radians(lat2)
    half_lat, half_lon = (b - a) / 2, math.radians(lon2 - lon1) / 2
    h = math.sin(half_lat) ** 2 + math.cos(a) * math.cos(b) * math.sin(half_lon) ** 2
    return 2 * _EARTH_M * math.asin(math.sqrt(h))


def _public(name: str) -> bool:
    return name not in _NOT_PUBLIC and QUANTITIES[name].trust != "low"


def _bound(registry: Registry, tree: Tree, today: date) -> list[tuple[str, Binding, int]]:
    """Return (place, binding, metres from the tree). A station's own distance from its zone's point is added.

    It tells no more of where the tree stands than the tree's own coordinates do: of a coarse one, how far at most.
    """
    own = [("tree", hung, round(hung.distance_m)) for hung in registry.bound_to("tree", tree.code, today)]
    zone = registry.zones[tree.zone]
    away = metres(tree.lat, tree.lon, zone.lat, zone.lon)
    shared = [
        ("zone", hung, _at_most(away + hung.distance_m, tree) if tree.coarse else rounded(away + hung.distance_m))
        for hung in registry.bound_to("zone", tree.zone, today)
    ]
    return own + shared


def rounded(distance_m: float) -> int:
    """Return a distance as people say it: to the metre, from 100 m on to ten."""
    return round(distance_m) if distance_m < 100 else round(distance_m, -1).__trunc__()


def _at_most(distance_m: float, tree: Tree) -> int:
    step_m: int = 10 ** (5 - tree.precision)  # three decimals of degrees are 100 m
    return max(1, math.ceil(distance_m / step_m)) * step_m


def _figure(
    quantity: Quantity, now: ChannelNow, where: tuple[str, str, int], now_ms: int, live_s: float, rests: Periods
) -> Figure:
    place, source, distance_m = where
    value = now.values.get(quantity.name)
    if value is not None and rests.hold(value.time_ms):
        return Figure(quantity, place, source, distance_m, "none", worked_at=True)
    if value is None:
        return Figure(quantity, place, source, distance_m, "none", reason=now.reasons.get(quantity.name))
    return Figure(
        quantity=quantity,
        place=place,
        source=source,
        distance_m=distance_m,
        quality=quality(value.time_ms, now_ms, live_s),
        value=value.value,
        time_ms=value.time_ms,
        bounded=value.bounded,
        reason=now.reasons.get(quantity.name) if now.time_ms > value.time_ms else None,
    )
