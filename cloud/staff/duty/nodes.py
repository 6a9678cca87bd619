"""What watches for smoke, and where: only where PM2.5 and CO are both measured now can anything be suspected early.

A sensor that is stuck, or without power, brings values and sees nothing: what the detector says of it counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cloud.registry.kinds import PLACES, Hamlet, Tree, Zone
from cloud.staff.book.bindings import named
from cloud.staff.duty.seen import Watch

if TYPE_CHECKING:
    from cloud.staff.visit import Visit

WATCH = frozenset({"pm2_5", "co"})
GATHER_MS = 60_000  # until what was heard is gathered
SEES = frozenset({"t-stuck"})  # what ails a node that sees smoke all the same
INPUTS = ("pm2_5", "co", "air_temperature", "air_humidity")  # what is drawn of a node


class Node(NamedTuple):
    """What one gateway measures at one place of what smoke is told by. `lacks` are the quantities that it does not."""

    gateway: str
    place: str  # kind:code
    name: str
    lat: float | None
    lon: float | None
    last_ms: int | None
    lacks: tuple[str, ...]
    channels: dict[str, str]  # by quantity
    ails: Watch = Watch()

    def watches(self, now_ms: int) -> bool:
        """Tell whether fire is seen there: all that is needed is measured, is well, and was just heard."""
        well = not self.lacks and not set(self.ails.faults) - SEES
        return well and self.last_ms is not None and now_ms - self.last_ms <= self.ails.patient_ms + GATHER_MS


def nodes(visit: Visit) -> list[Node]:
    """Return what measures smoke somewhere, first what sees nothing; none while the day's look is not gathered."""
    today, names, found = visit.staff.today(), named(visit), dict[tuple[str, str, str], list[tuple[str, int | None]]]()
    measured: dict[tuple[str, str, str], dict[str, str]] = {}
    for one in today.sensors if today else []:
        if not one.quantities & set(INPUTS):
            continue
        at = (one.gateway, one.place, one.code)
        measured.setdefault(at, {}).update({name: one.channel for name in one.quantities if name in INPUTS})
        if one.quantities & WATCH:
            found.setdefault(at, []).append((one.channel, one.last_ms))
    ill, made, where = visit.staff.duty.nodes(), [], _positions(visit, {(kind, code) for _, kind, code in found})
    for (gateway, kind, code), heard in found.items():
        lat, lon = where.get((kind, code), (None, None))
        own = measured[gateway, kind, code]
        lacks = tuple(sorted(WATCH - own.keys()))
        last_ms = min((last or 0 for _, last in heard), default=0) or None
        keys = [(gateway, f"{kind}:{code}"), *((gateway, channel) for channel in own.values())]
        ails = next((ill[key] for key in keys if key in ill), Watch())
        name = names.get((kind, code), code)
        made.append(Node(gateway, f"{kind}:{code}", name, lat, lon, last_ms, lacks, own, ails))
    return sorted(made, key=lambda one: (one.watches(visit.s.now_ms), one.name, one.gateway))


def _positions(visit: Visit, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], tuple[float, float]]:
    """Return where places are; of a hamlet that had several names where its newest row has it."""
    return {
        (kind, one.code): (one.lat, one.lon)
        for kind in PLACES
        for one in visit.staff.shelf.rows(kind)
        if isinstance(one, Tree | Zone | Hamlet) and (kind, one.code) in wanted
    }
