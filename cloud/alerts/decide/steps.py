"""The chain of those who are told while nobody answers: rows with a time, so that neither restart nor clock loses one.

At first the people of the hamlet, again after `again_s`, then commune, ranger and province, each `…_s` after the
beginning, and then everybody each `repeat_s`, until somebody has it. Whoever acknowledges stops the chain for `ack_s`:
a fire that nobody closes asks again. A rung on which nobody is on duty is passed over at once.

A time is of the server's clock. When that is set, the rows are moved by as much as it jumped, which the monotonic clock
tells; where it was put back while the server was down, which nothing tells the length of, everything is due at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec.structs import replace

from cloud.alerts.decide.exercise import DRILLED_BY, LONGEST_EXERCISE_MS
from cloud.alerts.duty import RUNGS, on_duty
from cloud.alerts.incident import closed
from cloud.alerts.intent import of_grade
from cloud.alerts.places import area_of
from cloud.clock import DAY_MS, hanoi

if TYPE_CHECKING:
    from cloud.alerts.decide.mutes import Mutes
    from cloud.alerts.incident import Incident
    from cloud.alerts.journal import Journal
    from cloud.clock import Clock
    from cloud.registry import Current

JUMP_MS = 500  # of the clock, in one look: less is its own drift
REPEATS, SELDOM = 6, 6  # everybody is told so often, then so many times less often
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]


class Escalation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """In `[alerts]` of cloud.toml, in seconds: who is told while nobody answers what is about life."""

    again_s: Annotated[_Seconds, msgspec.Meta(description="the people of the hamlet are told again")] = 180.0
    commune_s: Annotated[_Seconds, msgspec.Meta(description="after so long the commune's duty is told")] = 480.0
    ranger_s: Annotated[_Seconds, msgspec.Meta(description="after so long the rangers are told")] = 900.0
    province_s: Annotated[_Seconds, msgspec.Meta(description="after so long the province is told")] = 1_800.0
    repeat_s: Annotated[_Seconds, msgspec.Meta(description="then everybody again, each time after so long")] = 600.0
    ack_s: Annotated[_Seconds, msgspec.Meta(description="an answer stops this for so long; then it is asked again")] = (
        1_200.0
    )

    def after_ms(self, rung: int) -> int:
        """Return when each of RUNGS is told, after the beginning; the hamlet again."""
        return round(1000 * (self.again_s, self.commune_s, self.ranger_s, self.province_s)[rung])

    def pause_ms(self, rung: int) -> int:
        """Return how long after a rung the next one is told; beyond RUNGS everybody is, less often in the end."""
        if rung + 1 < len(RUNGS):
            return max(1_000, self.after_ms(rung + 1) - self.after_ms(rung))
        return round(1000 * self.repeat_s * (1 if rung < len(RUNGS) + REPEATS else SELDOM))


class Steps:
    """Writes within the caller's transaction; `tick` has its own."""

    def __init__(self, config: Escalation, journal: Journal, registry: Current, mutes: Mutes, clock: Clock) -> None:
        self._config, self._journal, self._registry, self._clock = config, journal, registry, clock
        self._mutes = mutes
        self._seen: tuple[int, float] | None = None

    def begin(self, incident: int, now_ms: int, *, at_ms: int | None = None) -> None:
        """Begin the chain: the hamlet is being told now; or at a time, when what keeps it from being told is over."""
        first = (-1, at_ms) if at_ms is not None else (0, now_ms + self._config.after_ms(0))
        self._put(incident, *first)

    def adopt(self, now_ms: int) -> None:
        """Begin the chain of what goes on without one: a journal of an earlier gocche knew none."""
        asked = {number for (number,) in self._journal.db.execute("SELECT incident FROM step")}
        for head in self._journal.going():
            if head.id not in asked and (head.stage != "under-control" or head.exercise):
                self.begin(head.id, now_ms)

    def answered(self, incident: int, now_ms: int) -> None:
        """Somebody has it: ask again later, from where the chain stood."""
        rung, _ = self._row(incident) or (0, 0)
        self._put(incident, max(0, rung), now_ms + round(1000 * self._config.ack_s))

    def hurry(self, incident: int, now_ms: int) -> None:
        """Tell the next rung now."""
        rung, _ = self._row(incident) or (1, 0)
        self._put(incident, max(1, rung), now_ms)  # not the hamlet again

    def rest(self, incident: int, quiet_s: float) -> None:
        """Nobody has to answer, unless it comes back within some time: then the chain goes on where it stood."""
        self._journal.db.execute("UPDATE step SET due_ms = due_ms + ? WHERE incident = ?", (1000 * quiet_s, incident))

    def resume(self, incident: int, now_ms: int, quiet_s: float) -> None:
        """Go on where a chain rested."""
        row = self._row(incident)
        if row is None:
            self.begin(incident, now_ms)
        else:
            self._put(incident, row[0], max(now_ms, row[1] - round(1000 * quiet_s)))

    def raised(self, incident: int, now_ms: int, *, answered: bool) -> None:
        """It is surer, and asked anew; a chain that nobody has answered goes on as it went: it is not put off."""
        row = self._row(incident)
        if answered or row is None or row[0] < 0:
            self.begin(incident, now_ms)

    def inherit(self, into: int, head: int) -> None:
        """One becomes part of another: nobody has to answer for it alone, and what kept the other silent does not."""
        kept, its = self._row(into), self._row(head)
        if kept and its and kept[0] < 0 <= its[0]:
            self._put(into, *its)
        self.end(head)

    def end(self, incident: int) -> None:
        """Nobody has to answer any more."""
        self._journal.db.execute("DELETE FROM step WHERE incident = ?", (incident,))

    def tick(self) -> None:
        """Have told what nobody has answered in time."""
        now_ms, now_s = self._clock.utc_ms(), self._clock.monotonic()
        jumped_ms = self._jumped_ms(now_ms, now_s)
        db = self._journal.db
        longest_ms = now_ms + self._longest_ms()
        due = "SELECT count(*) FROM step WHERE due_ms <= ? OR due_ms > ?"
        if jumped_ms or db.execute(due, (now_ms, longest_ms)).fetchone()[0]:
            with self._journal.transaction():
                self._journal.note_clock(now_ms)
                db.execute("UPDATE step SET due_ms = due_ms + ?", (jumped_ms,))
                db.execute("UPDATE step SET due_ms = ? WHERE due_ms > ?", (now_ms, longest_ms))
                query = "SELECT incident, rung FROM step WHERE due_ms <= ? ORDER BY due_ms"
                for number, rung in db.execute(query, (now_ms,)).fetchall():
                    self._take(self._journal.incident(number), rung, now_ms)
        self._seen = now_ms, now_s

    def _take(self, incident: Incident, rung: int, now_ms: int) -> None:
        if incident.going and incident.exercise and abs(now_ms - incident.opened_ms) > LONGEST_EXERCISE_MS:
            self._forgotten(incident, now_ms)
            return
        if not incident.going or (incident.stage == "under-control" and not incident.exercise):
            self.end(incident.id)
            return
        if incident.stage == "under-control":  # an exercise: nobody has to answer, and it ends after its hour
            self._put(incident.id, rung, incident.opened_ms + LONGEST_EXERCISE_MS + 1)
            return
        if rung < 0:
            if mute := self._mutes.of(incident, now_ms):
                self._put(incident.id, rung, mute.until_ms)
                return
            self._journal.event(now_ms, incident.id, "unmuted", "nothing keeps it from being told any more")
            self._journal.save(replace(incident, muted=""))
            self._journal.intend(of_grade(incident.grade, incident.id, "onset", now_ms))
            self.begin(incident.id, now_ms)
            return
        if incident.acked_ms is not None:
            words = f"{incident.acked_by} had it, and has not closed it"
            self._journal.event(now_ms, incident.id, "lapsed", words)
            self._journal.save(replace(incident, acked_ms=None, acked_by=""))
        people = self._on_duty(incident, now_ms)
        while 0 < rung < len(RUNGS) and people and RUNGS[rung] not in people:
            rung += 1
        words = f"nobody has answered: {RUNGS[rung] if rung < len(RUNGS) else 'everybody'} is told"
        self._journal.event(now_ms, incident.id, "escalated", words, rung=rung)
        self._journal.intend(of_grade(incident.grade, incident.id, "unanswered", now_ms, rung))
        self._put(incident.id, rung + 1, now_ms + self._config.pause_ms(rung))

    def _forgotten(self, exercise: Incident, now_ms: int) -> None:
        """Close an exercise that nobody has closed: its command was killed, and it would ask for ever."""
        self._journal.save(closed(exercise, "drill", DRILLED_BY, now_ms))
        words = "an exercise lasts an hour at most"
        self._journal.event(now_ms, exercise.id, "closed", words, who=DRILLED_BY, closed_as="drill")
        self.end(exercise.id)
        self._journal.intend(of_grade(exercise.grade, exercise.id, "closed", now_ms))

    def _on_duty(self, incident: Incident, now_ms: int) -> dict[str, list[str]]:
        registry = self._registry.now
        area = area_of(registry, incident.place, incident.gateway)
        return on_duty(registry, incident.place, area, hanoi(now_ms).date())

    def _row(self, incident: int) -> tuple[int, int] | None:
        """Return (rung, due in UTC ms) of a chain; None where there is none."""
        query = "SELECT rung, due_ms FROM step WHERE incident = ?"
        row: tuple[int, int] | None = self._journal.db.execute(query, (incident,)).fetchone()
        return row

    def _put(self, incident: int, rung: int, due_ms: int) -> None:
        self._journal.db.execute("INSERT OR REPLACE INTO step VALUES (?, ?, ?)", (incident, rung, due_ms))

    def _longest_ms(self) -> int:
        """Return the furthest that anything can be away: a silence lasts a day at most."""
        return max(DAY_MS, *(self._config.pause_ms(rung) for rung in range(len(RUNGS) + REPEATS + 1)))

    def _jumped_ms(self, now_ms: int, now_s: float) -> int:
        """Return by how much the clock was set since the last look.

        At the first look nobody knows for how long we were down; by a clock that is behind what it showed then,
        everything is due.
        """
        if self._seen is None:
            return -self._longest_ms() if now_ms < self._journal.last_ms() - JUMP_MS else 0
        jumped = (now_ms - self._seen[0]) - round(1000 * (now_s - self._seen[1]))
        return jumped if abs(jumped) > JUMP_MS else 0
