"""When a letter is not even tried: in its reader's quiet hours, and when its reader was told of much within the hour.

What is not about life lies in the outbox in quiet hours; what is about mobile service also in the night of who has
none (`signal_night`). One more suspicion for who was told of many lies there, too, and that nobody has answered one
that they know of is not said once more then. What is probable never waits, and nothing does
where the danger of the day is extreme.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.alerts.places import area_of
from cloud.alerts.rules import SIGNAL
from cloud.alerts.tell.paper import BUDGET, HELD, UNSAID
from cloud.alerts.tell.retries import Retries
from cloud.alerts.tell.route import LIFE, rests_until_ms
from cloud.clock import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cloud.alerts.journal import Journal
    from cloud.alerts.rules import Rule
    from cloud.alerts.tell.outbox import Outbox, Row
    from cloud.alerts.tell.readers import Readers
    from cloud.clock import Clock
    from cloud.registry import Current

EXTREME = 5  # of the levels of danger


class Resting:
    """Holds letters back, within transactions of its own."""

    def __init__(
        self,
        journal: Journal,
        outbox: Outbox,
        readers: Readers,
        registry: Current,
        clock: Clock,
        budget: int,
        danger: Callable[[str], int | None],
        night: tuple[int, int] | None = None,
        rules: Mapping[str, Rule] = {},
    ) -> None:
        self._journal, self._outbox, self._readers, self._registry = journal, outbox, readers, registry
        self._clock, self._budget, self._danger = clock, budget, danger
        self._night, self._rules = night, rules
        self.retries = Retries(clock)

    def awake(self, rows: list[Row]) -> list[Row]:
        """Return the letters that may leave now; for the others it is no delay, and nobody stands in for them."""
        quiet = {reader.person: reader.quiet for reader in self._readers.everybody if reader.quiet}
        now_ms = self._clock.utc_ms()
        people = {row.person for row in rows if row.level == LIFE}
        told = {person: self._suspicions(person, now_ms) for person in people}
        awake: list[Row] = []
        held: list[tuple[Row, str]] = []
        for row in rows:
            hours = quiet.get(row.person) or (self._night if self._is_of_signal(row) else None)
            hours = None if row.says else hours  # whoever has just answered is awake
            if rests_until_ms(hours, row.level, now_ms) is not None:
                why = HELD
            elif not (why := self._too_much(row, *told.get(row.person, (0, 0)))):
                awake.append(row)
                continue
            self.retries.rest(row)
            if why == UNSAID or (row.words not in (HELD, BUDGET) and row.attempts == 0):
                held.append((row, why))
        if held:
            with self._journal.transaction():
                for row, why in held:
                    columns = {"state": "overtaken", "done_ms": now_ms} if why == UNSAID else {"state": "waiting"}
                    self._outbox.set(row, words=why, **columns)
        return awake

    def _is_of_signal(self, row: Row) -> bool:
        rule = self._rules.get(row.grp.partition("|")[0])
        return rule is not None and rule.kind in SIGNAL

    def _too_much(self, row: Row, first: int, again: int) -> str:
        """Return why a letter is not sent: its reader was told so much within the hour; "" where it is sent.

        One more mere suspicion has to wait. That one is still unanswered is not said once more: it will be.
        """
        if row.level != LIFE or first + again < self._budget:
            return ""
        if self._is_repeat(row):
            why = UNSAID
        elif first >= self._budget and self._is_mere_suspicion(row):
            why = BUDGET
        else:
            return ""
        return "" if self._is_extreme(row) else why

    def _is_extreme(self, row: Row) -> bool:
        """Tell whether the danger of the day is extreme where a letter tells of something."""
        about = [self._journal.incident(number) for number, _ in self._outbox.about(row)]
        areas = {area_of(self._registry.now, one.place, one.gateway) for one in about}
        return any(self._danger(area) == EXTREME for area in areas)

    def _suspicions(self, person: str, now_ms: int) -> tuple[int, int]:
        """Return in how many letters somebody was told of suspicions within an hour, and that nobody has answered.

        Exercises must not delay true smoke.
        """
        query = (
            "SELECT count(DISTINCT iif(said != 'unanswered', coalesce(copy_of, letter.id), NULL)),"
            " count(DISTINCT iif(said = 'unanswered', coalesce(copy_of, letter.id), NULL))"
            " FROM letter JOIN about ON about.letter = letter.id"
            " JOIN incident ON incident.id = about.incident AND NOT exercise"
            f" WHERE person = ? AND level = {LIFE} AND state = 'told' AND done_ms BETWEEN ? AND ?"
            " AND said IN ('onset', 'again', 'unanswered')"
        )
        first, again = self._journal.db.execute(query, (person, now_ms - HOUR_MS, now_ms)).fetchone()
        return int(first), int(again)

    def _is_mere_suspicion(self, row: Row) -> bool:
        """Tell whether a letter says nothing but that something is suspected."""
        more = (
            "SELECT count(*) FROM about JOIN incident ON incident.id = about.incident"
            " WHERE letter = ? AND (tell NOT IN ('onset', 'again') OR stage != 'suspected')"
        )
        return not self._journal.db.execute(more, (row.id,)).fetchone()[0]

    def _is_repeat(self, row: Row) -> bool:
        """Tell whether a letter only says once more that nobody has answered what is suspected.

        The steps of the chain are none: somebody is told that for the first time.
        """
        return all(
            tell == "unanswered"
            and self._outbox.knows(row.person, number) == tell
            and self._journal.incident(number).stage == "suspected"
            for number, tell in self._outbox.about(row)
        )
