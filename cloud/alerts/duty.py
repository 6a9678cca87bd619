"""Who has to answer for a place, rung by rung: hamlet, commune, ranger, province. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.registry.people import RUNGS
from cloud.registry.periods import valid_on

if TYPE_CHECKING:
    from datetime import date

    from cloud.registry import Registry
    from cloud.registry.people import Duty


__all__ = ["RUNGS", "duties_on", "on_duty"]


def duties_on(registry: Registry, day: date) -> list[Duty]:
    """Return the rows of the duty list that are valid on a day.

    A day before all of them is that of a clock which was never set: then the newest are, rather than nobody.
    """
    rows = registry.duties
    if rows and day < min(row.valid_from for row in rows):
        day = max(row.valid_from for row in rows)
    return [row for row in rows if valid_on(row, day)]


def on_duty(registry: Registry, place: str, area: str, day: date) -> dict[str, list[str]]:
    """Return the codes of the people of each rung that has any, for a place and its wider area, both as kind:code.

    A row is of the places that lie in all that it names; one that names nothing is of every place.
    """
    within = _within(registry, {place, area}, day)
    found: dict[str, list[str]] = {}
    for row in duties_on(registry, day):
        named = {f"{kind}:{code}" for kind in ("hamlet", "zone", "commune") if (code := getattr(row, kind))}
        if named <= within:
            found.setdefault(row.rung, []).append(row.person)
    return {rung: list(dict.fromkeys(found[rung])) for rung in RUNGS if rung in found}


def _within(registry: Registry, places: set[str], day: date) -> set[str]:
    """Return places with the commune that each lies in."""
    communes = set()
    for kind, _, code in (place.partition(":") for place in places):
        if kind == "zone" and code in registry.zones:
            communes.add(registry.zones[code].commune)
        elif kind == "hamlet" and (commune := registry.commune_of(code, day)):
            communes.add(commune)
    return places | {f"commune:{code}" for code in communes if code}
