"""Intents become letters in the outbox: what `route` decides is looked up before and written down after it, at once.

An intent is struck out in the transaction that writes its letters, so a kill at any point tells nobody twice, and
forgets nobody.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cloud.alerts import words
from cloud.alerts.duty import RUNGS, duties_on, on_duty
from cloud.alerts.places import area_of
from cloud.alerts.tell.bulletins import Bulletins
from cloud.alerts.tell.chosen import Desk
from cloud.alerts.tell.readers import named_in_letters
from cloud.alerts.tell.reports import Reports
from cloud.alerts.tell.route import DANGER, LEVELS, LIFE, PROMPT, REPORT, TEST, Book, Notice, Reader, route
from cloud.clock import hanoi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from cloud.alerts.channels import Message
    from cloud.alerts.intent import Intent
    from cloud.alerts.journal import Journal
    from cloud.alerts.rules import Rule
    from cloud.alerts.tell.apart import Apart
    from cloud.alerts.tell.outbox import Outbox, Row
    from cloud.alerts.tell.readers import Readers
    from cloud.clock import Clock
    from cloud.registry import Current

LOG = logging.getLogger(__name__)
CONSOLE = logging.getLogger("gocche.alerts")  # one key=value line for everything that is told, whoever is told of it
FIRE_WATCH = "fire-watch"  # the role for what no rule has found: an exercise
AT_MOST = 100_000  # intents in one look; held back are at most one for each rule and channel


class Sorter:
    """Sorts what is to be told into letters, within transactions of its own."""

    def __init__(
        self,
        journal: Journal,
        outbox: Outbox,
        registry: Current,
        rules: Mapping[str, Rule],
        readers: Readers,
        clock: Clock,
        *,
        reaches: bool,
        lifetime_s: float,
        mail_late: bool,
        folder: Path,
        pages: str,
        apart: Apart,
    ) -> None:
        self._journal, self._outbox, self._registry, self._rules = journal, outbox, registry, rules
        self._clock, self._readers = clock, readers
        self._reaches = reaches  # without any channel the log is all that was wanted
        self._lifetime_s, self._mail_late = lifetime_s, mail_late
        desk = Desk(folder, journal, outbox, readers, registry, clock, pages)
        self.bulletins, self.reports = Bulletins(desk), Reports(desk)
        self._apart = apart
        self._faulty: set[int] = set()  # intents that fail alone: looked at again at the next start
        self._seen = 0  # the newest intent that was looked at
        self._look_ms: int | None = None  # when something that is held back may go
        self._last_ms = 0

    @property
    def roles_unreached(self) -> list[str]:
        """The roles that a rule wants told, and that no channel reaches: found before anything burns."""
        reached = {role for _, role in self._readers.now}
        return sorted({rule.role for rule in self._rules.values()} - reached) if self._reaches else []

    @property
    def contacts_unreached(self) -> list[str]:
        """The contacts without an address for any channel of cloud.toml: a channel's name is mistyped, perhaps."""
        reached = {reader.person for reader, _ in self._readers.now}
        people_ = [one.name for one, person in named_in_letters(self._registry.now.contacts) if person not in reached]
        return sorted(people_) if self._reaches else []

    @property
    def others(self) -> list[Reader]:
        """Who is told of a fire of which nobody of its role can be told: operators, or whoever there is."""
        of_operator = [reader for reader, role in self._readers.now if role == "operator"]
        return of_operator or list({reader.person: reader for reader, _ in self._readers.now}.values())

    @property
    def composers(self) -> dict[int, Callable[[Row, float], Message | None]]:
        """Return who puts on paper what is about no incident, by its level."""
        return {DANGER: self.bulletins.compose, REPORT: self.reports.compose}

    def sort(self) -> None:
        """Turn what is new, or was held back, into letters; the bulletin of the day and the week's report, too."""
        with self._apart("the bulletin of the day"):
            self.bulletins.post()
        with self._apart("the report of the week"):
            self.reports.post()
        now_ms = self._clock.utc_ms()
        back, self._last_ms = now_ms < self._last_ms, now_ms
        newest = self._journal.newest_intent()
        if newest == self._seen and not back and (self._look_ms is None or now_ms < self._look_ms):
            return
        intents = [one for one in self._journal.intents(0, AT_MOST) if one.id not in self._faulty]
        looks_ms: list[int | None] = []
        with self._apart("sorting", lambda _: looks_ms.extend(self._one_by_one(intents, newest, now_ms))):
            looks_ms.append(self._write(intents, newest, now_ms))
        self._seen, self._look_ms = newest, min((one for one in looks_ms if one is not None), default=None)

    def _one_by_one(self, intents: Sequence[Intent], newest: int, now_ms: int) -> Iterator[int | None]:
        """Do for each alone what fails for all, and pass over those for which it fails."""
        for intent in intents:
            with self._apart(f"sorting intent {intent.id}", partial(self._pass_over, intent, now_ms)):
                yield self._write([intent], newest, now_ms)

    def _pass_over(self, intent: Intent, now_ms: int, why: str) -> None:
        self._faulty.add(intent.id)
        with self._journal.transaction():
            words_ = f"no letter can be written of it ({intent.tell}): {why}"
            self._journal.event(now_ms, intent.incident, "tell-failed", words_)

    def _write(self, intents: Sequence[Intent], newest: int, now_ms: int) -> int | None:
        """Write the letters of what is to be told; return when something that is held back may go."""
        with self._journal.transaction():
            notices = self._notices(intents)
            told = {one.incident.id: self._before(one) for one in notices if not one.incident.going or _prompt(one)}
            readers = self._readers.now
            by_role = {role: [reader for reader, of in readers if of == role] for _, role in readers}
            rungs = {one.incident.id: self._rungs(one, by_role, now_ms) for one in notices if one.incident.lives}
            people_ = self._readers.by_code
            tests = self._tests() if any(one.intent.tell == TEST for one in notices) else ()
            book = Book(by_role, told, self._lifetime_s, self._mail_late, self.others, rungs, people_, tests)
            series = {one.series: self._outbox.series(one, now_ms) for one in notices}
            groups = {name: self._outbox.group(name, now_ms) for name in {one.group for one in notices}}
            routed = route(notices, book, series, groups, now_ms)
            for letter in routed.letters:
                self._outbox.put(letter, *letter.reader.by(letter.level)[0], now_ms)
            for notice in routed.nobody if self._reaches else ():
                self._nobody(notice, now_ms)
            self._journal.dealt_with(routed.done)
            self._journal.set_meta("posted", str(newest))
            self._outbox.prune(now_ms)
        return routed.look_ms

    def _notices(self, intents: Sequence[Intent]) -> list[Notice]:
        """Return what waits to be told; what is new is said on the log, whatever becomes of it."""
        notices, logged = [], int(self._journal.meta("posted", "0"))
        for intent in intents:
            incident = self._journal.incident(intent.incident)
            rule = self._rules.get(incident.rule)
            area = area_of(self._registry.now, incident.place, incident.gateway)
            role = rule.role if rule else FIRE_WATCH if incident.grade == "life" else ""
            notices.append(Notice(intent, incident, role, area))
            if intent.id > logged:
                with self._apart(f"a line of the log on intent {intent.id}"):
                    CONSOLE.warning("%s", words.line(incident, intent.tell))
        return notices

    def _rungs(self, notice: Notice, by_role: Mapping[str, Sequence[Reader]], now_ms: int) -> dict[str, list[Reader]]:
        """Return who is on duty for an incident; who has the role and no duty anywhere is on the first rung."""
        registry, by_code = self._registry.now, self._readers.by_code
        day = hanoi(now_ms).date()
        duty = on_duty(registry, notice.incident.place, notice.area, day)
        today = (row.person for row in duties_on(registry, day))
        bound = {by_code[code].person for code in today if code in by_code}
        first = [reader for reader in by_role.get(notice.role, ()) if reader.person not in bound]
        found = {rung: [by_code[code] for code in duty.get(rung, ()) if code in by_code] for rung in RUNGS}
        found[RUNGS[0]] = [*found[RUNGS[0]], *first]
        return {rung: own for rung, own in found.items() if own}

    def _tests(self) -> list[Reader]:
        """Return one reader for each channel, an operator where one has an address for it, by that channel alone."""
        found: dict[str, Reader] = {}
        everybody = [reader for reader, _ in self._readers.now]
        for reader in (*self.others, *everybody):
            for way in reader.addresses:
                found.setdefault(way[0], replace(reader, addresses=(way,), ways=()))
        return list(found.values())

    def _before(self, notice: Notice) -> list[Reader]:
        """Return who was told of an incident, by the channels that told them, at today's addresses if they have any."""
        today = {reader.person: reader for reader, _ in self._readers.now}
        told = self._outbox.readers(notice.incident.id)
        return [_by_the_same(today[one.person], one) if one.person in today else one for one in told]

    def _nobody(self, notice: Notice, now_ms: int) -> None:
        words_ = (
            f"no contact has the role {notice.role!r} and an address for a channel: add one to the garden's contacts"
        )
        self._journal.event(now_ms, notice.incident.id, "tell-failed", words_)
        self._journal.nobody_told(notice.incident.id)
        LOG.error("nobody-to-tell incident=%d role=%r", notice.incident.id, notice.role)


def _by_the_same(today: Reader, told: Reader) -> Reader:
    """Return a reader who is told first by what told them before: there they look for what becomes of it."""
    life = (*(name for name, _ in told.addresses), *dict(today.ways).get(LEVELS[LIFE], ()))
    return replace(today, ways=(*(way for way in today.ways if way[0] != LEVELS[LIFE]), (LEVELS[LIFE], life)))


def _prompt(notice: Notice) -> bool:
    return notice.intent.tell in (*PROMPT, "silent")
