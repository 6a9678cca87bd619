"""Who is named or seen in what the world sees, and whether they allow it.

Law 91/2025/QH15 and Decree 356/2025/NĐ-CP (Vietnam, in force since 2026-01-01): a name, a face, a household are
personal data. What is published lists the consents that it rests on; with one of them withdrawn or over it is not
shown, whoever forgot it. Names that people write are found by the registry's own list of people.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from cloud.registry.cells import Bad
from cloud.registry.kinds import Consent, Person, Record, Story, Voice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

_Kind = TypeVar("_Kind", bound=Record)
NAMING = frozenset({"name", "story"})  # to what somebody has consented who may be called by their name


def is_public(record: Record) -> bool:
    """Tell whether a record is meant for the world."""
    return bool(record.shown if isinstance(record, Story) else getattr(record, "published", False))


def named(record: Record, people: Iterable[Person]) -> list[Person]:
    """Return whom the words of a record name: a name of several words anywhere, one of one word only by itself."""
    texts = [str(getattr(record, column)) for column in record.tells]
    whole, together = {text.strip().casefold() for text in texts}, "\n".join(texts).casefold()
    found = []
    for one in people:
        name = one.name.casefold()
        apart = " " in name and name in together  # most are not even there: the slow look is for those that are
        if name in whole or (apart and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", together)):
            found.append(one)
    return found


def judge(record: Record, people: Iterable[Person], consents: Mapping[str, Consent]) -> None:
    """Raise Bad where a record is published that names somebody and lists no consent of theirs to be named.

    A voice is somebody's even where it names nobody: it lists a consent to itself.
    """
    if not is_public(record):
        return
    listed = [consents[code] for code in getattr(record, "consents", ()) if code in consents]
    for one in listed:
        if one.what not in record.by_consent:
            wanted = ", ".join(sorted(record.by_consent))
            raise Bad("consent_to_else", column="consents", value=one.code, what=one.what, wanted=wanted)
    if isinstance(record, Voice) and not any(one.what == "voice" for one in listed):
        raise Bad("no_voice_consent", column="consents", value=record.code)
    allowed = {one.person for one in listed if one.what in NAMING}
    missing = [one for one in named(record, people) if one.code not in allowed]
    if missing:
        raise Bad("no_consent", column="consents", value=missing[0].name, person=missing[0].code)


def with_consents(record: _Kind, people: Iterable[Person], consents: Iterable[Consent], day: date) -> _Kind:
    """Return a record that also lists a consent in force of everybody whom it names, as far as there is one."""
    fit = [one for one in consents if one.what in record.by_consent & NAMING and one.in_force(day)]
    listed: tuple[str, ...] = getattr(record, "consents", ())
    has = {one.person for one in fit if one.code in listed}
    added = [
        next((one.code for one in fit if one.person == person.code), "")
        for person in named(record, people)
        if person.code not in has
    ]
    return replace(record, consents=(*listed, *filter(None, added)))


def lapsed(record: Record, consents: Mapping[str, Consent], day: date) -> list[str]:
    """Return which consents that a record lists are not in force on a day."""
    listed: tuple[str, ...] = getattr(record, "consents", ())
    return [code for code in listed if code not in consents or not consents[code].in_force(day)]
