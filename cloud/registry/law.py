"""By which table a day of a zone has a level of fire danger: the zone's own, else its province's, each in its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.registry.periods import valid_on

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from cloud.registry.kinds import Commune, DangerTable, Zone


class Tables:
    """The tables of a registry."""

    def __init__(self, tables: Iterable[DangerTable], communes: Mapping[str, Sequence[Commune]]) -> None:
        self._communes = communes
        self._at: dict[tuple[str, str], list[DangerTable]] = {}
        for one in tables:
            self._at.setdefault((one.place, one.code), []).append(one)

    def on(self, zone: Zone, day: date) -> DangerTable | None:
        """Return the table that holds for a zone on a day; None where there is none: then there is no level."""
        return next((one for one in self.of(zone) if valid_on(one, day)), None)

    def of(self, zone: Zone) -> tuple[DangerTable, ...]:
        """Return the tables of every time that a zone has had, its own before those of its provinces."""
        if not self._at:
            return ()
        provinces = dict.fromkeys(one.province for one in self._communes.get(zone.commune, ()))
        places = [("zone", zone.code), *(("province", code) for code in provinces)]
        return tuple([one for place in places for one in self._at.get(place, ())])
