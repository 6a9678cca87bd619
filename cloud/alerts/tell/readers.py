"""Everybody whom a channel reaches, as the registry has them now: by role, by code, by address."""

from __future__ import annotations

from typing import TYPE_CHECKING

from at.number import e164
from cloud.alerts.places import named_scope
from cloud.alerts.tell.route import Reader
from cloud.clock import hanoi
from cloud.registry import address

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cloud.alerts.channels import Named
    from cloud.registry import Contact, Current, Registry


BY_CHOICE = ("danger", "report")  # the kinds of news that only who named channels for them is told


class Readers:
    """Everybody whom a channel reaches, as the registry has them now."""

    def __init__(self, registry: Current, channels: Sequence[Named]) -> None:
        self._registry, self._channels = registry, channels
        self._read: tuple[Registry | None, list[tuple[Reader, str]], dict[str, Reader]] = None, [], {}
        self._chose: tuple[Registry | None, dict[str, dict[str, Reader]]] = None, {}

    @property
    def now(self) -> list[tuple[Reader, str]]:
        """Return (reader, role), once for each role; the role is empty for who is only on duty."""
        return self._now()[1]

    def who_chose(self, news: str) -> dict[str, Reader]:
        """Return who named channels for a kind of news, by their codes, whether or not they are told anything else."""
        registry = self._registry.now
        if registry is not self._chose[0]:
            self._chose = registry, {}
        chose = self._chose[1]
        if news not in chose:
            known = registry.chose(news)
            found = {reader.person: reader for reader, _ in people(known, self._channels)}
            chose[news] = {one.code: found[person] for one, person in named_in_letters(known) if person in found}
        return chose[news]

    @property
    def everybody(self) -> list[Reader]:
        """Return all who are told anything, once for each role."""
        beside = [reader for news in BY_CHOICE for reader in self.who_chose(news).values()]
        return [*beside, *(reader for reader, _ in self.now)]

    @property
    def by_code(self) -> dict[str, Reader]:
        """Return the readers by the codes of the people that they are."""
        return self._now()[2]

    def code_of(self, person: str) -> str:
        """Return the code of somebody, by the name that letters know them by; the name itself where there is none."""
        return next((code for code, reader in self.by_code.items() if reader.person == person), person)

    def name_of(self, code: str) -> str:
        """Return how people call somebody by their code; the code where nobody has it."""
        return next((one.name for one in self._registry.now.contacts if one.code == code), code)

    def scope_of(self, scope: str, at_ms: int) -> tuple[str, str]:
        """Return what a silence is about as people call it, in Vietnamese and English."""
        return named_scope(self._registry.now, scope, hanoi(at_ms).date())

    def at(self, channel: str, address_: str) -> list[Reader]:
        """Return whom a channel reaches at an address, however the registry spells a telephone number."""
        here = (channel, _spelled(address_))
        found = {reader.person: reader for reader, _ in self.now if here in _in_one_spelling(reader)}
        return list(found.values())

    def _now(self) -> tuple[Registry | None, list[tuple[Reader, str]], dict[str, Reader]]:
        registry = self._registry.now
        if registry is not self._read[0]:
            found = people(registry.contacts, self._channels)
            by_person = {reader.person: reader for reader, _ in found}
            called = {one.code: person for one, person in named_in_letters(registry.contacts)}
            codes = {code: by_person[person] for code, person in called.items() if person in by_person}
            self._read = registry, found, codes
        return self._read


def people(contacts: Sequence[Contact], channels: Sequence[Named]) -> list[tuple[Reader, str]]:
    """Return (reader, role) of everybody whom a channel reaches; the channel's name or kind names the address."""
    found = []
    for contact, person in named_in_letters(contacts):
        ways = [(one.name, address(contact, one.name, one.kind)) for one in channels]
        reached = tuple(way for way in ways if way[1])
        if reached:
            wanted = tuple(contact.ways.items())
            found.append((Reader(person, contact.lang, reached, contact.quiet, wanted), contact.role))
    return found


def _in_one_spelling(reader: Reader) -> list[tuple[str, str]]:
    return [(channel, _spelled(one)) for channel, one in reader.addresses]


def _spelled(one: str) -> str:
    """Return an address; a telephone number in the spelling of networks."""
    try:
        return e164(one)
    except ValueError:
        return one


def named_in_letters(contacts: Sequence[Contact]) -> Iterator[tuple[Contact, str]]:
    """Yield each contact with how letters know that person: an address or a name with a role that nobody else has.

    A mailbox may be an office's, and two people of a village often have one name.
    """
    named = [(one, one.email or f"{one.name} ({one.role})") for one in contacts]
    owners: dict[str, set[str]] = {}
    for one, name in named:
        owners.setdefault(name, set()).add(one.code)
    for one, name in named:
        yield one, name if len(owners[name]) == 1 else f"{one.name} ({one.code})"
