"""What of the registry a zone's days stand on: which sensors hung there, what their numbers mean, when they rested.

Kept beside the days that were made with it. Whoever writes down on Thursday that a thermometer reads low since Monday
changes what Monday was like: what is kept is compared with what the registry says now, and the days that differ are
gathered anew. It does not matter who changed it, how, or whether anybody looked meanwhile.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import msgspec

from cloud.danger.course import day_of
from cloud.danger.drought import RAIN_MM
from cloud.danger.noon import RAIN, WANTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cloud.registry import Registry
    from cloud.registry.kinds import Binding, Zone


class Fact(msgspec.Struct, frozen=True, array_like=True, order=True):
    """What holds from a day until another, that one not included."""

    first: date
    end: date
    what: str


class Limit(msgspec.Struct, frozen=True, array_like=True):
    """The limit of rain that P is summed with from a day until another, that one not included."""

    first: date
    end: date
    mm: float


class Ground(msgspec.Struct, frozen=True, array_like=True):
    """All of a zone. Of several limits the first that holds is the one."""

    lat: float
    facts: tuple[Fact, ...]
    limits: tuple[Limit, ...]


def ground_of(registry: Registry, zone: Zone) -> Ground:
    """Return what a zone's days stand on now."""
    hung = registry.formerly("zone", zone.code, date.max) + registry.bound_to("zone", zone.code, date.max)
    facts = sorted({fact for bound in hung for fact in _facts(registry, bound)})
    return Ground(zone.lat, tuple(facts), limits_of(registry, zone))


def limits_of(registry: Registry, zone: Zone) -> tuple[Limit, ...]:
    """Return the limits of rain of every time that a zone's tables have."""
    tables = registry.danger_tables.of(zone)
    return tuple(Limit(one.valid_from, one.valid_to or date.max, one.rain_mm) for one in tables)


def limit_on(limits: tuple[Limit, ...], day: date) -> float:
    """Return the limit of rain that P of a day is summed with."""
    return next((one.mm for one in limits if one.first <= day < one.end), RAIN_MM)


def shaken(before: Ground, now: Ground, first: date, last: date) -> set[date]:
    """Return the days between two, both included, that other facts hold of now, each with the one that follows it.

    What comes after 18:00 is the next day's, and a total of rain is gone on from until then.
    """
    old, new = set(before.facts) - set(now.facts), set(now.facts) - set(before.facts)
    days: set[date] = set()
    for n in range((last - first).days + 1 if old or new else 0):
        day = first + timedelta(n)
        if _hold(old, day) != _hold(new, day):
            days |= {day, min(day + timedelta(1), last)}
    return days


def _hold(facts: set[Fact], day: date) -> set[str]:
    return {fact.what for fact in facts if fact.first <= day < fact.end}


def _facts(registry: Registry, bound: Binding) -> Iterator[Fact]:
    """Yield what holds of a binding, and of its channel for as long as it hangs here."""
    source, end = f"{bound.gateway}/{bound.channel}", bound.valid_to or date.max
    yield Fact(bound.valid_from, end, f"{source} hangs {bound.distance_m} {bound.above_ground_m}")
    own = [
        (one.valid_from, one.valid_to or date.max, f"{quantity} {one.offset} {one.reads_low} {one.reads_high}")
        for quantity in WANTED
        if quantity != RAIN
        for _, _, one in registry.scale(bound.gateway, bound.channel, quantity)
    ]
    own += [
        (day_of(start_ms), day_of(end_ms - 1) + timedelta(1), f"rests {start_ms} {end_ms}")
        for start_ms, end_ms in registry.maintenance(bound.gateway, bound.channel)
    ]
    for first, last, what in own:
        if max(first, bound.valid_from) < min(last, end):
            yield Fact(max(first, bound.valid_from), min(last, end), f"{source} {what}")
