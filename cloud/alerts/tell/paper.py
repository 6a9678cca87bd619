"""Words are put on paper when a letter leaves: from the incident as it then is, and from what its reader knows."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from cloud.alerts import words
from cloud.alerts.channels import Message
from cloud.alerts.tell.route import LEVELS, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloud.alerts.journal import Journal
    from cloud.alerts.rules import Rule
    from cloud.alerts.tell.outbox import Outbox, Row
    from cloud.clock import Clock

LOG = logging.getLogger(__name__)
HELD = "held until the end of quiet hours"  # of a letter that waits, and is told when it leaves


class Paper:
    """Writes letters, within transactions of its own."""

    def __init__(self, journal: Journal, outbox: Outbox, rules: Mapping[str, Rule], clock: Clock) -> None:
        self._journal, self._outbox, self._rules, self._clock = journal, outbox, rules, clock

    def compose(self, row: Row, waited_s: float) -> Message | None:
        """Put a letter on paper and mark it as being sent; None where it says nothing new."""
        now_ms = self._clock.utc_ms()
        with self._journal.transaction():
            items = self._items(row)
            if not items:
                self._outbox.set(row, "overtaken", done_ms=now_ms)
                return None
            self._outbox.begin(row, {item.incident.id: item.tell for item in items}, waited_s)
        subject, text = _words(row, items, waited_s)
        return Message(row.name, now_ms, row.address, subject, text, LEVELS[row.level])

    def _items(self, row: Row) -> list[words.Item]:
        items = []
        for incident, tell in ((self._journal.incident(number), tell) for number, tell in self._outbox.about(row)):
            said = say(tell, self._outbox.knows(row.person, incident.id), incident)
            if said:
                times = self._outbox.times(incident, self._clock.utc_ms())
                items.append(words.Item(incident, self._rules.get(incident.rule), said, times))
        order = list(words.TELLS)
        return sorted(items, key=lambda item: (order.index(item.tell), item.incident.since_ms))


def _words(row: Row, items: list[words.Item], waited_s: float) -> tuple[str, str]:
    try:
        return words.subject(items), words.text(items, row.lang, waited_s, held=row.words == HELD)
    except Exception:  # a kind of rule whose words are wrong: better bare facts than silence
        LOG.exception("no-words letter=%d", row.id)
        return words.bare(items)
