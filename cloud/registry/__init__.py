"""The garden as people know it: places and their names, trees, stories, people, and which channel hangs where.

`book` is the truth, a file with everybody's changes; a `Registry` is what one room has read of it.
"""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, Self, TypeVar, cast

import msgspec

from cloud.registry import codes
from cloud.registry.consent import lapsed
from cloud.registry.kinds import (
    KINDS,
    Binding,
    BurnPermit,
    Calibration,
    Commune,
    Consent,
    DangerTable,
    Duty,
    Hamlet,
    KnownSource,
    Lot,
    LotInput,
    Maintenance,
    OfficialLevel,
    Person,
    Photo,
    Province,
    Record,
    Story,
    Tag,
    Team,
    Tree,
    Voice,
    Zone,
)
from cloud.registry.law import Tables
from cloud.registry.people import ADMIN, OFFICER
from cloud.registry.periods import NEVER, Periods, Timed, valid_on
from cloud.registry.scale import AS_TOLD, Scale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from cloud.registry.sheets import Problem


class HamletNow(msgspec.Struct, frozen=True):
    """A hamlet under the names of a day."""

    code: str
    name: str
    commune: str
    province: str
    lat: float
    lon: float
    households: int | None  # None: nobody has counted yet


class Contact(msgspec.Struct, frozen=True):
    """Somebody who is told about incidents, in one role. `addresses` are those beside the e-mail, by channel.

    `role` is "" of who only stands on the duty list. `quiet` are the minutes of the day in Vietnam from which and until
    which only life wakes them. `ways` are the channels that they chose for a kind of news, dearest first.
    """

    name: str
    role: str
    email: str = ""
    lang: str = "vi"
    addresses: dict[str, str] = {}
    quiet: tuple[int, int] | None = None
    code: str = ""
    ways: dict[str, tuple[str, ...]] = {}


def address(one: Contact | Person, channel: str, kind: str) -> str:
    """Return where a channel of cloud.toml, of a name and a kind, reaches somebody; "" nowhere."""
    book = {"email": one.email} | one.addresses
    return book.get(channel) or book.get(kind, "")


def _contact(one: Person, role: str) -> Contact:
    return Contact(one.name, role, one.email, one.lang, one.addresses, one.quiet, one.code, one.ways)


class _Dated(Timed, Protocol):
    @property
    def code(self) -> str: ...


_Row = TypeVar("_Row", bound=_Dated)


def _by_time(rows: Iterable[_Row]) -> dict[str, list[_Row]]:
    """Return the rows of each code, the oldest first."""
    found: dict[str, list[_Row]] = {}
    for row in sorted(rows, key=lambda row: row.valid_from):
        found.setdefault(row.code, []).append(row)
    return found


def _named(rows: dict[str, list[_Row]], code: str, day: date) -> _Row | None:
    """Return the row that is valid on a day; outside all of their times the newest."""
    of_code = rows.get(code, [])
    return next((row for row in of_code if valid_on(row, day)), of_code[-1] if of_code else None)


class Current(Protocol):
    """Who knows the registry as it is now: a room's `live.Live`, which reads it again when it has changed."""

    @property
    def now(self) -> Registry:
        """Return what was read last. Who asks more than one question about one thing asks the same reading."""


class Registry:
    """What a room has read, of every kind that it asked for. It does not change; the next reading is another one."""

    def __init__(
        self,
        records: Mapping[str, Sequence[Record]],
        problems: Sequence[Problem] = (),
        gone: frozenset[str] = frozenset(),
    ) -> None:
        self._records = records
        self.gone = gone  # codes that were minted, and whose rows were taken away
        self.problems = list(problems)

    @property
    def now(self) -> Self:
        """Return itself: what was read once is Current for who needs no more."""
        return self

    def public(self, day: date) -> Registry:
        """Return what the world may see on a day: nothing private, and nothing that lacks a consent that it lists."""
        consents = {one.code: one for one in self._of("consent", Consent)}
        return Registry(
            {
                kind: [one for one in rows if not (getattr(one, "consents", ()) and lapsed(one, consents, day))]
                for kind, rows in self._records.items()
                if not KINDS[kind].private
            },
            gone=self.gone,
        )

    @cached_property
    def zones(self) -> dict[str, Zone]:
        """Zones by code."""
        return {zone.code: zone for zone in self._of("zone", Zone)}

    @cached_property
    def trees(self) -> dict[str, Tree]:
        """Trees by code."""
        return {tree.code: tree for tree in self._of("tree", Tree)}

    @cached_property
    def tags(self) -> dict[str, Tag]:
        """Tags by code; a tree's own code need not be among them."""
        return {tag.code: tag for tag in self._of("tag", Tag)}

    def carrier(self, code: str) -> Tree | None:
        """Return the tree that carries a code: as its own, or on a tag that is bound to it."""
        tag = self.tags.get(code)
        return self.trees.get(code) or (self.trees.get(tag.tree) if tag and tag.state == "bound" else None)

    def shown(self, typed: str) -> Tree | None:
        """Return the tree with a page that carries a code, as a person typed it."""
        code = codes.normalise(typed)
        found = self.carrier(code) if code else None
        return found if found and found.published else None

    def state(self, code: str) -> str:
        """Return why a code shows no tree: withheld, blank (or printed), retired (or gone); unknown: never minted."""
        if self.carrier(code) is not None:
            return "withheld"
        tag = self.tags.get(code)
        if tag is None:
            return "retired" if code in self.gone else "unknown"
        return "retired" if tag.state == "retired" else "blank"

    @cached_property
    def stories(self) -> dict[tuple[str, str], Story]:
        """Stories that are told to the world (`Story.shown`), by (tree, language)."""
        return {(one.tree, one.lang): one for one in self._of("story", Story) if one.shown}

    @cached_property
    def hamlets(self) -> list[str]:
        """The codes of all hamlets, each once."""
        return list(self._hamlets)

    def teams(self, on: date) -> dict[str, Team]:
        """Return the teams that there are on a day, by code."""
        return {one.code: one for one in self._of("team", Team) if valid_on(one, on)}

    @cached_property
    def contacts(self) -> list[Contact]:
        """Everybody who is told something, once for each role; who has none and has a duty or answers here, too."""
        on_duty = {one.person for one in self.duties}

        def asked(one: Person) -> bool:  # an incident can be given to them
            return one.code in on_duty or (one.access in (OFFICER, ADMIN) and bool(one.email or one.addresses))

        people = self._of("person", Person)
        return [_contact(one, role) for one in people for role in one.roles or ("",) * asked(one)]

    def chose(self, news: str) -> list[Contact]:
        """Return everybody who named channels for a kind of news, whether or not they are told of anything else."""
        return [_contact(one, "") for one in self._of("person", Person) if one.ways.get(news)]

    @cached_property
    def duties(self) -> tuple[Duty, ...]:
        """Who is on duty where, of every time."""
        return tuple(self._of("duty", Duty))

    @cached_property
    def permits(self) -> tuple[BurnPermit, ...]:
        """Fires that were, are or will be allowed."""
        return tuple(self._of("burn_permit", BurnPermit))

    @cached_property
    def sources(self) -> tuple[KnownSource, ...]:
        """What smokes every day, of every time."""
        return tuple(self._of("known_source", KnownSource))

    def commune_of(self, hamlet: str, on: date) -> str:
        """Return the code of the commune that a hamlet lies in on a day; "" where there is no such hamlet."""
        found = _named(self._hamlets, hamlet, on)
        return found.commune if found else ""

    def unreached(self, ways: Sequence[tuple[str, str]]) -> list[Contact]:
        """Return whom no channel reaches, of which `ways` are the names and kinds."""
        return [one for one in self.contacts if not any(address(one, *way) for way in ways)]

    @cached_property
    def bindings(self) -> list[Binding]:
        """All bindings, of every time."""
        return self._of("binding", Binding)

    def hamlet(self, code: str, on: date) -> HamletNow | None:
        """Return a hamlet under the names of a day; outside all of its times under the newest ones."""
        hamlet = _named(self._hamlets, code, on)
        if hamlet is None:
            return None
        commune = _named(self._communes, hamlet.commune, on)
        province = _named(self._provinces, commune.province, on) if commune else None
        return HamletNow(
            hamlet.code,
            hamlet.name,
            commune.name if commune else "",
            province.name if province else "",
            hamlet.lat,
            hamlet.lon,
            hamlet.households,
        )

    def bound_to(self, place: str, code: str, on: date) -> list[Binding]:
        """Return the bindings of a place that are valid on a day, nearest first."""
        return sorted(
            (bound for bound in self._at.get((place, code), ()) if valid_on(bound, on)),
            key=lambda bound: bound.distance_m,
        )

    def scale(self, gateway: str, channel: str, quantity: str) -> Scale:
        """Return what the numbers of a series mean."""
        return self._scales.get((gateway, channel, quantity), AS_TOLD)

    @cached_property
    def maintained(self) -> dict[tuple[str, str], Periods]:
        """When each (gateway, channel) that ever was is under maintenance."""
        found: dict[tuple[str, str], list[tuple[int, int]]] = {}
        for one in self._of("maintenance", Maintenance):
            span = round(one.starts.timestamp() * 1000), round(one.ends.timestamp() * 1000)
            found.setdefault((one.gateway, one.channel), []).append(span)
        return {channel: Periods(spans) for channel, spans in found.items()}

    def maintenance(self, gateway: str, channel: str) -> Periods:
        """Return when a channel was, is or will be under maintenance: what it says then is not the weather."""
        return self.maintained.get((gateway, channel), NEVER)

    @cached_property
    def danger_tables(self) -> Tables[DangerTable]:
        """The tables by which a day of a zone has a level of fire danger."""
        return Tables(self._of("danger_table", DangerTable), self._communes)

    @cached_property
    def official_levels(self) -> Tables[OfficialLevel]:
        """The levels that forest rangers published."""
        return Tables(self._of("official_level", OfficialLevel), self._communes)

    @cached_property
    def photos(self) -> dict[str, Photo]:
        """The photo of each tree that has one to show, by the tree's code: the one that was taken last."""
        shown = [one for one in self._of("photo", Photo) if one.published]
        return {one.tree: one for one in sorted(shown, key=lambda one: (one.taken_on or date.min, one.code))}

    @cached_property
    def voices(self) -> dict[tuple[str, str], Voice]:
        """The recording of each (tree, language) that has one to hear: the one that was made last."""
        heard = [one for one in self._of("voice", Voice) if one.published]
        return {
            (one.tree, one.lang): one for one in sorted(heard, key=lambda it: (it.recorded_on or date.min, it.code))
        }

    @cached_property
    def lots(self) -> dict[str, Lot]:
        """Lots of tea by code, those that have a page."""
        return {lot.code: lot for lot in self._of("lot", Lot) if lot.published}

    @cached_property
    def lot_inputs(self) -> list[LotInput]:
        """What went into lots, of all of them."""
        return self._of("lot_input", LotInput)

    def inputs(self, lot: str) -> list[LotInput]:
        """Return what went into a lot."""
        return [one for one in self.lot_inputs if one.lot == lot]

    def formerly(self, place: str, code: str, before: date) -> list[Binding]:
        """Return the bindings of a place that had ended by a day, the latest first."""
        ended = [one for one in self._at.get((place, code), ()) if one.valid_to is not None and one.valid_to <= before]
        return sorted(ended, key=lambda one: one.valid_from, reverse=True)

    @cached_property
    def northward(self) -> list[Tree]:
        """The trees that have a page, from south to north."""
        return sorted((tree for tree in self.trees.values() if tree.published), key=lambda tree: tree.lat)

    def places_of(self, gateway: str, channel: str, on: date) -> list[Binding]:
        """Return where a channel hangs on a day."""
        return [bound for bound in self._hung.get((gateway, channel), ()) if valid_on(bound, on)]

    @cached_property
    def _scales(self) -> dict[tuple[str, str, str], Scale]:
        found: dict[tuple[str, str, str], list[Calibration]] = {}
        for one in self._of("calibration", Calibration):
            found.setdefault((one.gateway, one.channel, one.quantity), []).append(one)
        return {series: Scale(own) for series, own in found.items()}

    @cached_property
    def _hamlets(self) -> dict[str, list[Hamlet]]:
        return _by_time(self._of("hamlet", Hamlet))

    @cached_property
    def _communes(self) -> dict[str, list[Commune]]:
        return _by_time(self._of("commune", Commune))

    @cached_property
    def _provinces(self) -> dict[str, list[Province]]:
        return _by_time(self._of("province", Province))

    @cached_property
    def _at(self) -> dict[tuple[str, str], list[Binding]]:
        return _grouped(self.bindings, lambda bound: (bound.place, bound.code))

    @cached_property
    def _hung(self) -> dict[tuple[str, str], list[Binding]]:
        return _grouped(self.bindings, lambda bound: (bound.gateway, bound.channel))

    def _of(self, kind: str, _struct: type[_Kind]) -> list[_Kind]:
        return cast("list[_Kind]", list(self._records.get(kind, ())))


def _grouped(
    bindings: Iterable[Binding], by: Callable[[Binding], tuple[str, str]]
) -> dict[tuple[str, str], list[Binding]]:
    found: dict[tuple[str, str], list[Binding]] = {}
    for bound in bindings:
        found.setdefault(by(bound), []).append(bound)
    return found


_Kind = TypeVar("_Kind", bound=Record)
