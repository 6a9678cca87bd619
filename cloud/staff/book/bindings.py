"""What hangs where, and what people call the places, as a visitor's request needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.clock import hanoi
from cloud.registry.kinds import PLACES, Binding, Hamlet, Tree, Zone
from cloud.registry.periods import valid_on

if TYPE_CHECKING:
    from cloud.staff.visit import Visit


def bindings(visit: Visit) -> list[Binding]:
    """Return what hangs, or hung, where."""
    return [one for one in visit.staff.shelf.rows("binding") if isinstance(one, Binding)]


def hanging(visit: Visit) -> list[Binding]:
    """Return what hangs where today."""
    day = hanoi(visit.s.now_ms).date()
    return [one for one in bindings(visit) if valid_on(one, day)]


def named(visit: Visit) -> dict[tuple[str, str], str]:
    """Return what people call each place that something can hang at, by (place, code)."""
    found = {}
    for kind in PLACES:
        for one in visit.staff.shelf.rows(kind):
            if isinstance(one, Tree | Zone):
                found[kind, one.code] = visit.s.one(one.name_vi, one.name_en)
            elif isinstance(one, Hamlet):
                found[kind, one.code] = one.name
    return found
