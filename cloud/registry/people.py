"""People: who they are and by which way they are told, what they allow, and who is on duty where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from cloud.registry.cells import CODE, Addresses, Bad, Choice, Clock, Mail, Ref, Several, Ways
from cloud.registry.record import Code, Line, Record, Since, Till

if TYPE_CHECKING:
    from datetime import date

LANGUAGES = ("vi", "en")
ROLES = ("fire-watch", "commune", "telecom", "operator")
ADMIN = "admin"  # lets others in: once there is one, no act leaves nobody
OFFICER = "officer"  # answers for incidents
ACCESS = ("viewer", "editor", OFFICER, "moderator", ADMIN)  # what somebody may do on the staff's pages
NEWS = ("life", "service", "upkeep", "danger", "report")  # the kinds of news of which people choose the channels
RUNGS = ("hamlet", "commune", "ranger", "province")  # who is told first, and who is when nobody answers


class Person(Record, frozen=True, kw_only=True):
    """Somebody who is told about incidents, named in a story, seen on a photo or heard.

    `addresses` are those beside the e-mail, by channel of cloud.toml; `ways` which channels they chose for a kind of
    news, dearest first. Within quiet hours only life wakes them. Who has `access` may sign in to the staff's pages, in
    that role; their password is not kept here.
    """

    private: ClassVar = True
    code: Code
    name: Line
    roles: Annotated[tuple[str, ...], Several(ROLES)] = ()
    email: Annotated[str, Mail()] = ""
    addresses: Annotated[dict[str, str], Addresses()] = msgspec.field(default_factory=dict)
    ways: Annotated[dict[str, tuple[str, ...]], Ways(NEWS, kept="life")] = msgspec.field(default_factory=dict)
    lang: Annotated[str, Choice(LANGUAGES)] = "vi"
    quiet_from: Annotated[int | None, Clock()] = None
    quiet_to: Annotated[int | None, Clock()] = None
    access: Annotated[str, Choice(ACCESS)] = ""

    @property
    def quiet(self) -> tuple[int, int] | None:
        """Return their quiet hours, in minutes since midnight."""
        return None if self.quiet_from is None or self.quiet_to is None else (self.quiet_from, self.quiet_to)

    def check(self) -> None:
        """Raise Bad for a role that nobody can be told in, and for half a quiet time."""
        if self.roles and not (self.email or self.addresses):
            raise Bad("unreachable", column="email", value=self.name)
        if (self.quiet_from is None) != (self.quiet_to is None):
            raise Bad("half_quiet", column="quiet_from", value=self.name)


class Consent(Record, frozen=True, kw_only=True):
    """What a person allowed, and until when. Without one in force, what names or shows them is not shown itself."""

    private: ClassVar = True
    code: Code
    person: Annotated[str, Ref("person", CODE)]
    what: Annotated[str, Choice(("name", "photo", "story", "voice"))]
    given_on: Since
    valid_to: Till = None
    withdrawn_on: Till = None
    note: Line = ""

    def in_force(self, day: date) -> bool:
        """Tell whether it holds on a day: a withdrawal counts on the day itself."""
        ends = [end for end in (self.valid_to, self.withdrawn_on) if end is not None]
        return self.given_on <= day and all(day < end for end in ends)


class Duty(Record, frozen=True, kw_only=True):
    """Somebody stands on a rung of the chain that is told of a fire, for a time, at a place or everywhere.

    A place is theirs that lies in one of the three that are filled; with none of them every place is.
    """

    private: ClassVar = True
    key: ClassVar = ("person", "rung", "commune", "hamlet", "zone", "valid_from")
    person: Annotated[str, Ref("person", CODE)]
    rung: Annotated[str, Choice(RUNGS)]
    commune: Annotated[str, Ref("commune", CODE)] = ""
    hamlet: Annotated[str, Ref("hamlet", CODE)] = ""
    zone: Annotated[str, Ref("zone", CODE)] = ""
    valid_from: Since
    valid_to: Till = None
