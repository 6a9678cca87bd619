"""Words are put on paper when a letter leaves: from the incident as it then is, and from what its reader knows."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from at.alphabet import fit
from cloud.alerts import words
from cloud.alerts.channels import Message
from cloud.alerts.tell.answered import Said
from cloud.alerts.tell.route import LEVELS, say

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cloud.alerts.incident import Incident
    from cloud.alerts.journal import Journal
    from cloud.alerts.rules import Rule
    from cloud.alerts.tell.outbox import Outbox, Row
    from cloud.clock import Clock

LOG = logging.getLogger(__name__)
UNSAID = "not said once more because of how much its reader was told in this hour"
BUDGET = "held because of how much its reader was told in this hour"  # until less was
HELD = "held until the end of quiet hours"  # of a letter that waits, and is told when it leaves


class Paper:
    """Writes letters, within transactions of its own."""

    def __init__(
        self,
        journal: Journal,
        outbox: Outbox,
        rules: Mapping[str, Rule],
        clock: Clock,
        door: Callable[[int], str],
        named: Callable[[str], str],
        about: Callable[[str, int], tuple[str, str]],
        bulletins: Mapping[int, Callable[[Row, float], Message | None]],
    ) -> None:
        self._journal, self._outbox, self._rules, self._clock = journal, outbox, rules, clock
        self._door = door  # where a letter's reader opens its incident; empty where there is no page
        self._bulletins = bulletins  # by level, who puts on paper what is about no incident
        self._about = about  # what a silence is about, as people call it at a time
        self._named = named  # how people call somebody of whom the journal has the code

    def compose(self, row: Row, waited_s: float) -> Message | None:
        """Put a letter on paper and mark it as being sent; None where it says nothing new. Raises Retry."""
        if own := self._bulletins.get(row.level):
            return own(row, waited_s)
        now_ms = self._clock.utc_ms()
        if row.says:
            return self._as_it_stands(row, waited_s, now_ms)
        with self._journal.transaction():
            found = self._items(row)
            if not found:
                self._outbox.set(row, "overtaken", done_ms=now_ms)
                return None
            self._outbox.begin(row, {number: item.tell for number, item in found.items()}, waited_s)
        items = sorted(found.values(), key=lambda item: (words.TELLS.index(item.tell), item.incident.since_ms))
        asks = any(item.incident.going for item in items)
        ways = words.Ways(self._door(row.id), row.code if asks else "")
        subject, text, short = _words(row, items, waited_s, ways)
        first = items[0].incident
        return Message(
            row.name,
            now_ms,
            row.address,
            subject,
            text,
            LEVELS[row.level],
            short,
            ways.link,
            exercise=first.exercise,
            incident=first.id,
            stage=first.stage if first.grade == "life" else "",
            place=first.place_vi,
            lat=first.lat,
            lon=first.lon,
        )

    def _as_it_stands(self, row: Row, waited_s: float, now_ms: int) -> Message:
        """Mark a letter whose words stand already as being sent."""
        with self._journal.transaction():
            self._outbox.begin(row, {}, waited_s)
        said = msgspec.json.decode(row.says, type=Said)
        incident = min((number for number, _ in self._outbox.about(row)), default=0)
        words_ = said.subject, said.text, LEVELS[row.level], said.short
        return Message(row.name, now_ms, row.address, *words_, exercise=said.exercise, incident=incident)

    def _items(self, row: Row) -> dict[int, words.Item]:
        """Return what a letter says, by the incident that it was written about: of each one that is one now, once."""
        found: dict[int, words.Item] = {}
        heads, silences = set[int](), self._silences(self._clock.utc_ms())
        for number, tell in self._outbox.about(row):
            incident = self._journal.incident(number)
            if incident.part_of is not None:
                incident = self._journal.incident(incident.part_of)
            knows = self._outbox.knows(row.person, incident.id)
            if incident.closed_by and not knows:  # better twice told that it was none than never
                knows = self._outbox.on_its_way(row, number)
            said = say(tell, knows, incident)
            if said and incident.id not in heads:
                heads.add(incident.id)
                times = self._outbox.times(incident, self._clock.utc_ms())
                rule, parts = self._rules.get(incident.rule), self._parts(incident)
                named = replace(incident, acked_by=self._named(incident.acked_by))
                found[number] = words.Item(named, rule, said, times, parts, silences)
        return found

    def _parts(self, incident: Incident) -> tuple[str, ...]:
        parts = self._journal.parts(incident.id) if incident.lives or incident.basis == "modems" else ()
        return tuple(f"{one.gateway}/{one.channel}" for one in parts if one.gateway)

    def _silences(self, now_ms: int) -> tuple[words.Hush, ...]:
        return tuple(
            words.Hush(*self._about(scope, now_ms), words.clock(until_ms, now_ms), self._named(author), reason)
            for _, scope, author, reason, until_ms in self._journal.silences(now_ms)
        )


def _words(row: Row, items: list[words.Item], waited_s: float, ways: words.Ways) -> tuple[str, str, str]:
    try:
        text = words.text(items, row.lang, waited_s, held=row.words == HELD, ways=ways)
        return words.subject(items), text, words.short(items, ways.code)
    except Exception:  # a kind of rule whose words are wrong: better bare facts than silence
        LOG.exception("no-words letter=%d", row.id)
        subject, text = words.bare(items)
        return subject, text, fit(subject)
