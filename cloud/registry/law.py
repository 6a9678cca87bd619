"""What holds for a zone on a day: its own row, else its commune's, else its province's, each in its time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from cloud.registry.periods import Timed, valid_on

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from cloud.registry.kinds import Commune, Zone


class Placed(Timed, Protocol):
    """A row of a table that is about a place of a kind, for a time."""

    @property
    def place(self) -> str:
        """Return the kind of place."""

    @property
    def code(self) -> str:
        """Return which place it is."""


_Row = TypeVar("_Row", bound=Placed)


class Tables(Generic[_Row]):
    """The rows of a registry by which a day of a zone has a level, or that say one."""

    def __init__(self, tables: Iterable[_Row], communes: Mapping[str, Sequence[Commune]]) -> None:
        self._communes = communes
        self._at: dict[tuple[str, str], list[_Row]] = {}
        for one in tables:
            self._at.setdefault((one.place, one.code), []).append(one)

    def on(self, zone: Zone, day: date) -> _Row | None:
        """Return the row that holds for a zone on a day; None where there is none."""
        return next((one for one in self.of(zone) if valid_on(one, day)), None)

    def of(self, zone: Zone) -> tuple[_Row, ...]:
        """Return the rows of every time that a zone has had, its own before those of its commune and its provinces."""
        if not self._at:
            return ()
        provinces = dict.fromkeys(one.province for one in self._communes.get(zone.commune, ()))
        places = [("zone", zone.code), ("commune", zone.commune), *(("province", code) for code in provinces)]
        return tuple([one for place in places for one in self._at.get(place, ())])
