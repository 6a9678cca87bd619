"""The garden as people know it: zones, trees, stories, hamlets, contacts, and which channel hangs where.

Names of places are data with dates of validity (Yên Bái became part of Lào Cai in 2025); codes mean nothing.
"""

from __future__ import annotations

from datetime import date

import msgspec


class Problem(msgspec.Struct, frozen=True):
    """One row that could not be used, and what to do about it. The other rows are in use."""

    file: str
    line: int
    words: str


class Zone(msgspec.Struct, frozen=True):
    """A part of the garden with its own weather."""

    code: str
    name_vi: str
    name_en: str
    lat: float
    lon: float


class Tree(msgspec.Struct, frozen=True):
    """One old tree. Its age is a range, with the method and source of the estimate: nobody was there."""

    code: str
    label_no: str
    name_vi: str
    name_en: str
    zone: str
    lat: float
    lon: float
    alt_m: float
    age_low: int
    age_high: int
    age_method_vi: str
    age_method_en: str
    girth_cm: float | None = None


class Story(msgspec.Struct, frozen=True):
    """What the cooperative tells about a tree, in one language."""

    tree: str
    lang: str
    text: str


class Hamlet(msgspec.Struct, frozen=True):
    """A hamlet; its commune and province are names that were valid within the dates."""

    code: str
    name: str
    commune: str
    province: str
    lat: float
    lon: float
    households: int
    valid_from: date
    valid_to: date | None = None


class Contact(msgspec.Struct, frozen=True):
    """Somebody who is told about incidents."""

    name: str
    role: str  # fire-watch | telecom | operator
    email: str
    lang: str = "vi"


class Binding(msgspec.Struct, frozen=True):
    """A channel hangs at a place from a date on. `distance_m` is from the sensor to the place's own point.

    `way_out` marks a modem that is also its gateway's own link: when it loses service, the gateway falls silent.
    """

    gateway: str
    channel: str
    place: str  # tree | zone | hamlet
    code: str
    valid_from: date
    valid_to: date | None = None
    distance_m: float = 0.0
    way_out: bool = False


class Registry(msgspec.Struct, frozen=True):
    """All of it, checked; `problems` are the rows that are not in it."""

    zones: dict[str, Zone]
    trees: dict[str, Tree]
    stories: dict[tuple[str, str], Story]  # (tree, lang)
    hamlets: dict[str, Hamlet]
    contacts: list[Contact]
    bindings: list[Binding]
    problems: list[Problem]

    def bound_to(self, place: str, code: str, on: date) -> list[Binding]:
        """Return the bindings of a place that are valid on a day, nearest first."""
        return sorted(
            (b for b in self.bindings if b.place == place and b.code == code and _valid(b, on)),
            key=lambda binding: binding.distance_m,
        )

    def places_of(self, gateway: str, channel: str, on: date) -> list[Binding]:
        """Return where a channel hangs on a day."""
        return [b for b in self.bindings if b.gateway == gateway and b.channel == channel and _valid(b, on)]


def _valid(binding: Binding, on: date) -> bool:
    return binding.valid_from <= on and (binding.valid_to is None or on < binding.valid_to)
