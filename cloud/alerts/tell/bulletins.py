"""The day's bulletin of fire danger to those who chose it: one letter a person and day, after everything else.

It is no incident: nothing is gathered, answered or escalated, and it goes by the channels that somebody named for it
and no other. Its words are those that were kept when it was made (cloud/danger/issued.py). One that has not left when
that of the next day is due is overtaken; where these words cannot be read, it waits until then.
"""

from __future__ import annotations

import logging
import sqlite3
from datetime import date, timedelta
from typing import TYPE_CHECKING

from at.alphabet import fit
from cloud.alerts.channels import Message, Retry
from cloud.alerts.tell.chosen import Chosen
from cloud.alerts.tell.route import DANGER, LEVELS, Letter
from cloud.clock import DAY_MS, hanoi, midnight_ms
from cloud.danger.issued import DUE_H, NAME, of_day
from cloud.danger.letter import letter
from cloud.registry.periods import valid_on
from settings.words import Taken

if TYPE_CHECKING:
    from cloud.alerts.tell.chosen import Desk
    from cloud.alerts.tell.outbox import Row
    from cloud.danger.issued import Issue
    from cloud.registry import Registry

LOG = logging.getLogger(__name__)
MEMORY = "bulletin"  # of the journal: number, time and day of the one whose letters were written last
DUE_MS = DUE_H * 3_600_000
AGAIN_S = 60.0  # between two tries to read it


class Bulletins(Chosen):
    """The bulletin of 14:00."""

    book, at, urgency = NAME, "/nguy-co", DANGER

    unread = ""  # why bulletins cannot be read

    def __init__(self, desk: Desk) -> None:
        super().__init__(desk)
        self._kept: dict[date, Issue | None] = {}  # that of the letters which are on their way, and the day before's

    def post(self) -> None:
        """Write the letters of today's bulletin, once it is there: all of them, and that they are, or none."""
        if not self._looks():
            return
        now_ms = self._clock.utc_ms()
        today = hanoi(now_ms).date()
        if now_ms < midnight_ms(today) + DUE_MS or (issue := self._read(today)) is None or not self._is_new(issue):
            return
        with self._journal.transaction():
            for code, reader in self._readers.who_chose(LEVELS[DANGER]).items():
                if not reader.by(DANGER):
                    continue
                group = " ".join(["danger", today.isoformat(), *_zones(self._registry.now, code, today)])
                number = Letter(group, DANGER, DAY_MS / 1000, reader, ())
                self._outbox.put(number, *reader.by(DANGER)[0], now_ms)
            self._journal.set_meta(MEMORY, f"{issue.number} {issue.at_ms} {issue.day}")
            self._kept = {today: issue}
            self._outbox.prune(now_ms)

    def compose(self, row: Row, waited_s: float) -> Message | None:
        """Put a letter on paper and mark it as being sent; None where it is overtaken.

        Raises Retry where its words cannot be read now.
        """
        _, day, *zones = row.grp.split(" ")
        now_ms, on = self._clock.utc_ms(), date.fromisoformat(day)
        fresh = now_ms < midnight_ms(on) + DUE_MS + DAY_MS
        issue = self._known(on) if fresh else None
        if fresh and issue is None and self.unread:
            raise Retry(self.unread, AGAIN_S)
        with self._journal.transaction():
            if issue is None:
                self._outbox.set(row, "overtaken", done_ms=now_ms)
                return None
            self._outbox.begin(row, {}, waited_s)
        said = letter(issue, zones, self._known(on - timedelta(1)), row.lang, self._page)
        words = said.subject, said.text, LEVELS[DANGER], fit(said.short), self._page
        return Message(row.name, now_ms, row.address, *words, more=said.more)

    def _is_new(self, issue: Issue) -> bool:
        """Tell whether nobody was written to about it, whatever the clock or the file of bulletins went through.

        A clock that goes back finds days again that were told; a file that was lost begins to count anew.
        """
        number, at_ms, day = (self._journal.meta(MEMORY) or "0 0 -").split()
        return issue.number > int(number) or (issue.at_ms > int(at_ms) and issue.day.isoformat() != day)

    def _known(self, day: date) -> Issue | None:
        if self._kept.get(day) is None:
            self._kept[day] = self._read(day)
        return self._kept[day]

    def _read(self, day: date) -> Issue | None:
        """Return what was said of a day; what cannot be read holds up no other letter."""
        try:
            found, why = of_day(self._path, day), ""
        except (sqlite3.Error, OSError, Taken) as error:
            found, why = None, str(error)
        if why and why != self.unread:
            LOG.error("bulletins-unread path=%s why=%r", self._path, why)
        self.unread = why
        return found


def _zones(registry: Registry, person: str, day: date) -> list[str]:
    """Return the zones that lie where somebody is on duty; none where they are on duty nowhere, or there is none."""
    rows = [row for row in registry.duties if row.person == person and valid_on(row, day)]
    found = []
    for zone in registry.zones.values():
        for row in rows:
            at = row.commune, registry.commune_of(row.hamlet, day) if row.hamlet else ""
            if row.zone in ("", zone.code) and all(commune in ("", zone.commune) for commune in at):
                found.append(zone.code)
                break
    return [] if len(found) == len(registry.zones) else found
