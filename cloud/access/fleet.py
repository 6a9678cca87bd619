"""The fleet of telephones as those who keep it have it: invite, list, revoke; the same for a command and a page."""

from __future__ import annotations

import unicodedata
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from cloud.access import NotInvited, book, heard
from cloud.access.invitation import Invitation, invitation
from cloud.clock import hanoi, midnight_ms
from cloud.registry.alphabet import order, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from cloud.access.book import Account
    from cloud.access.heard import Heard
    from cloud.clock import Clock
    from cloud.config import Coverage
    from cloud.registry.kinds import Team

DAYS, MOST_DAYS = 90, 400  # that an account lasts
MOST = 40  # telephones at once


class Phone(NamedTuple):
    """An account, and what came of it; None while nothing has."""

    account: Account
    heard: Heard | None


class Fleet:
    """The telephones of a server's data folder. `way` is how they reach the broker. From any thread.

    Raises NotInvited for what a person must put right, sqlite3.Error for what the disk refuses.
    """

    def __init__(self, folder: Path, way: Coverage, clock: Clock) -> None:
        self._folder, self._way, self._clock = folder, way, clock

    @property
    def ready(self) -> bool:
        """Tell whether it is configured how telephones reach the broker."""
        return bool(self._way.phone_host)

    def phones(self) -> list[Phone]:
        """Return all that ever were invited, by account."""
        told = heard.heard(self._folder / heard.NAME)
        every = book.accounts(self._folder / book.NAME)
        return [Phone(one, told.get(one.user)) for one in every if one.kind == "team"]

    def invite(self, team: Team, count: int, days: int, *, who: str, taken: Callable[[str], bool]) -> list[Invitation]:
        """Make accounts for telephones of a team, and return what each of them scans: it is seen once.

        `taken` names are gateways'.
        """
        if not self.ready:
            raise NotInvited("no_host")
        if not 1 <= count <= MOST:
            raise NotInvited("count", count=count, limit=MOST)
        if not 1 <= days <= MOST_DAYS:
            raise NotInvited("days", days=days, limit=MOST_DAYS)
        import segno  # noqa: F401, PLC0415 - of the labels' libraries: nothing is made where it could not be shown

        now_ms = self._clock.utc_ms()
        until_ms = midnight_ms(hanoi(now_ms).date() + timedelta(days + 1)) - 1  # to the end of a day, as is written
        with book.Book(self._folder / book.NAME) as accounts:
            made = accounts.invite(team.code, count, until_ms=until_ms, who=who, now_ms=now_ms, taken=taken)
        return [invitation(one, team.name, self._way) for one in made]

    def revoke(self, users: Collection[str], *, who: str) -> list[str]:
        """Let accounts in no more; return those that this ended."""
        if not (self._folder / book.NAME).exists():
            return []
        with book.Book(self._folder / book.NAME) as accounts:
            return accounts.revoke(users, who=who, now_ms=self._clock.utc_ms())


def team_called(teams: Mapping[str, Team], typed: str) -> Team:
    """Return the team of a code or a name, as it is written or without its marks. Raises NotInvited."""
    meant = unicodedata.normalize("NFC", typed.strip()).casefold()
    if meant in teams:
        return teams[meant]
    every = sorted(teams.values(), key=lambda one: order(one.name))
    if not every:
        raise NotInvited("nobody")
    for spelt in (str.casefold, plain):  # as it is written; then whatever its marks
        names = {one.code: spelt(unicodedata.normalize("NFC", one.name)) for one in every}
        for fits in (str.__eq__, _ends):
            found = [one for one in every if fits(names[one.code], spelt(meant))]
            if len(found) == 1:
                return found[0]
            if found:
                raise NotInvited("which", team=typed, known=_listed(found))
    raise NotInvited("no_team", team=typed, known=_listed(every))


def _ends(name: str, typed: str) -> bool:
    """Tell whether a name is what was typed with a word such as Đội before it."""
    return bool(typed) and name.endswith(f" {typed}")


def _listed(teams: Collection[Team]) -> str:
    return ", ".join(f"{one.name} ({one.code})" for one in teams)
