"""The week of each commune to those who chose it: made and written to them at once, on Monday at 7, or when it can be.

It is no incident: nothing is gathered, answered or escalated, and it goes by the channels that somebody named for it
(`report:` among their chosen channels) and no other. Its words are kept in the journal with the letters, all or none,
so whoever dies in between finds either. A clock that went back finds a week that was told; one that was ahead has told
weeks that are still to come, which are told again when they come. A week that could not be told until the next is over.
"""

from __future__ import annotations

import logging
from datetime import date, timedelta
from typing import TYPE_CHECKING

from at.alphabet import fit
from cloud.alerts.channels import Message
from cloud.alerts.tell.chosen import Chosen
from cloud.alerts.tell.route import LEVELS, REPORT, Letter
from cloud.alerts.week.facts import Span, communes_of, gather, monday_of
from cloud.alerts.week.written import kept_of, letter, pack, written
from cloud.clock import DAY_MS, hanoi, midnight_ms
from cloud.coverage.book import NAME
from cloud.registry.periods import valid_on
from wire.codec import EARLIEST_MS

if TYPE_CHECKING:
    from cloud.alerts.tell.outbox import Row
    from cloud.registry import Registry

LOG = logging.getLogger(__name__)
MEMORY = "report"  # of the journal: the Monday whose letters were written last
DUE_H = 7
SURE_S = 2 * 3_600.0  # that a clock which went back by days is right now


class Reports(Chosen):
    """The report; coverage.db is read for it."""

    book, at, urgency = NAME, "/phu-song", REPORT

    _ahead_s: float | None = None  # since when a week to come was told

    def post(self) -> None:
        """Make the report of last week and write its letters, once it is due: all, and that they are, or none."""
        if not self._looks():
            return
        now_ms = self._clock.utc_ms()
        if now_ms < EARLIEST_MS:  # a clock that was never set knows no Monday
            return
        monday = due(now_ms)
        told = self._journal.meta(MEMORY)
        if not told:  # of the weeks before this server there is nothing to tell
            with self._journal.transaction():
                self._journal.set_meta(MEMORY, monday.isoformat())
        elif told > monday.isoformat():
            self._judge_clock(monday)
        elif told < monday.isoformat():
            self._write(monday, now_ms)

    def _write(self, monday: date, now_ms: int) -> None:
        span, registry = Span(monday), self._registry.now
        made = [
            written(gather(self._journal.db, registry, self._path, commune, span, now_ms), self._page)
            for commune in communes_of(registry, monday - timedelta(1))
        ]
        with self._journal.transaction() as db:
            rows = [(span.label, one.week.commune, now_ms, 1, pack(one)) for one in made]
            db.executemany("INSERT OR IGNORE INTO report VALUES (?, ?, ?, ?, ?)", rows)
            for code, reader in self._readers.who_chose(LEVELS[REPORT]).items() if made else ():
                if ways := reader.by(REPORT):
                    group = " ".join(["report", monday.isoformat(), *communes_for(registry, code, monday)])
                    self._outbox.put(Letter(group, REPORT, DAY_MS / 1000, reader, ()), *ways[0], now_ms)
            self._journal.set_meta(MEMORY, monday.isoformat())
        LOG.info("report-made week=%s communes=%d", span.label, len(made))

    def _judge_clock(self, monday: date) -> None:
        """Find out whether a week to come was told by a clock that was ahead; or this one is behind, for a while."""
        now_s = self._clock.monotonic()
        self._ahead_s = now_s if self._ahead_s is None else self._ahead_s
        if now_s < self._ahead_s + SURE_S:
            return
        self._ahead_s = None
        with self._journal.transaction() as db:
            ahead = "UPDATE report SET week = week || ' ahead ' || at_ms WHERE week > ? AND week NOT LIKE '%ahead%'"
            db.execute(ahead, (Span(monday).label,))
            self._journal.set_meta(MEMORY, monday.isoformat())
        LOG.warning("report-was-ahead now=%s", monday)

    def compose(self, row: Row, waited_s: float) -> Message | None:
        """Put a letter on paper and mark it as being sent; None where the next week's is due, or it cannot be read."""
        _, day, *communes = row.grp.split(" ")
        now_ms, monday = self._clock.utc_ms(), date.fromisoformat(day)
        kept = kept_of(self._journal.db, Span(monday).label, communes)
        fresh = kept and now_ms < midnight_ms(monday + timedelta(7)) + DUE_H * 3_600_000
        with self._journal.transaction():
            if not fresh:
                self._outbox.set(row, "overtaken", done_ms=now_ms)
                return None
            self._outbox.begin(row, {}, waited_s)
        said = letter(kept, row.lang)
        return Message(
            row.name, now_ms, row.address, said.subject, said.text, LEVELS[REPORT], fit(said.sms), self._page
        )


def due(now_ms: int) -> date:
    """Return the last Monday on which a report was due."""
    return monday_of(hanoi(now_ms - DUE_H * 3_600_000).date())


def communes_for(registry: Registry, person: str, day: date) -> list[str]:
    """Return the communes in which somebody is on duty; none where that is everywhere or nowhere."""
    found = set()
    for row in registry.duties:
        if row.person != person or not valid_on(row, day):
            continue
        zone = registry.zones.get(row.zone) if row.zone else None
        at = registry.commune_of(row.hamlet, day) if row.hamlet else zone.commune if zone else ""
        found.add(row.commune or at)
    return [] if "" in found else sorted(found)
