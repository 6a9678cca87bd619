"""What several sensors see of one thing is one incident; and what becomes of it without any person.

A new suspicion about life that is near in place and time to one with which people are not done becomes a part of it:
nobody is told of it on its own. What a sensor shows may end; people are done with an incident only when somebody says
so, or when it was never more than suspected and all that its sensors show is over. Then all of them must be heard: one
that fell silent after it was calm keeps the incident open until it is heard again, or for a day. That it is over by
itself is told when it has been quiet for a while (`quiet_s`): what comes back before then is the same incident, and no
news.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from cloud.alerts.decide.above import Above
from cloud.alerts.decide.mutes import is_hot
from cloud.alerts.incident import STAGES
from cloud.alerts.intent import of_grade
from cloud.alerts.places import area_of
from cloud.clock import DAY_MS
from cloud.registry.map import distance_m

if TYPE_CHECKING:
    from collections.abc import Callable

    from cloud.alerts.decide.alive import Alive
    from cloud.alerts.decide.mutes import Mutes
    from cloud.alerts.decide.steps import Steps
    from cloud.alerts.incident import Incident, Stage
    from cloud.alerts.intent import Tell
    from cloud.alerts.journal import Journal
    from cloud.hotspots.lookout import Sight
    from cloud.registry import Current

NEAR_M, NEAR_MS = 1_500.0, 1_800_000  # evidence of one fire: so far apart in place and time (docs/detection.md)
_BEGINS: tuple[Tell, ...] = ("onset", "again")
_ENDS: tuple[Tell, ...] = ("end", "end_unknown")


class Gatherer:
    """Says what is to be told, within the caller's transaction."""

    def __init__(
        self,
        journal: Journal,
        registry: Current,
        steps: Steps,
        mutes: Mutes,
        alive: Alive,
        sky: Callable[[float, float, int], Sight | None],
        quiet_s: float,
    ) -> None:
        self._journal, self._registry, self._steps, self._mutes = journal, registry, steps, mutes
        self._alive, self._quiet_s = alive, quiet_s
        self._above = Above(journal, self.raise_to, sky)

    def placed(self, incident: Incident) -> Incident:
        """Return a new incident as a part of the one that it belongs to, if there is one."""
        if not incident.lives or incident.id or incident.part_of:
            return incident
        at = None if incident.lat is None or incident.lon is None else (incident.lat, incident.lon)
        heads = (*self._journal.going(at), *self._journal.over(at))
        near = [head for head in heads if self._is_near(head, incident)]
        return replace(incident, part_of=near[0].id) if near else incident

    def settled(self, incident: Incident, now_ms: int) -> Incident:
        """Return an incident after what its sensor shows: it may be over by that, or go on after all."""
        if not incident.lives:
            stage: Stage = "closed" if incident.ended_ms else "suspected"
            return replace(incident, closed_ms=incident.ended_ms, stage=stage)
        if incident.closed_by:
            return incident
        over = incident.ended_ms is not None and (incident.part_of or self._is_over(incident, now_ms))
        if over:
            return replace(incident, closed_ms=incident.ended_ms, stage="closed", closed_as="unknown")
        reopened: Stage = "suspected" if incident.stage == "closed" else incident.stage
        return replace(incident, closed_ms=None, stage=reopened, closed_as="")

    def tell(self, incident: Incident, tell: Tell, now_ms: int) -> None:
        """Have a change told: of a part through its head, and an end only where people are done by it."""
        if not incident.lives:
            if not incident.muted:  # a modem of several in a hamlet
                self._intend(incident, tell, now_ms)
        elif tell in _ENDS:
            self._end(incident, tell, now_ms)
        elif incident.part_of:
            self._of_part(incident, tell, now_ms)
        elif tell in _BEGINS and incident.closed_by:
            return  # what a sensor shows afterwards is no news of it
        elif tell == "again":
            self._again(incident, now_ms)
        elif tell in _BEGINS and (mute := self._mutes.of(incident, now_ms)):
            self._journal.save(replace(incident, muted=f"{mute.vi}\n{mute.en}"))
            self._journal.event(now_ms, incident.id, "muted", mute.en, vi=mute.vi, until_ms=mute.until_ms)
            self._steps.begin(incident.id, now_ms, at_ms=mute.until_ms)
        else:
            self._intend(incident, tell, now_ms)
            if tell in _BEGINS:
                self._steps.begin(incident.id, now_ms)

    def raise_to(self, incident: Incident, stage: Stage, words: str, now_ms: int, tell: Tell = "probable") -> None:
        """Lead an incident, or its head, to a higher stage by what was measured: told at once, answered or not."""
        head = self._journal.incident(incident.head)
        if not head.going or STAGES.index(head.stage) >= STAGES.index(stage):
            return
        self._journal.save(replace(head, stage=stage, acked_ms=None, acked_by="", muted="", touched_ms=now_ms))
        self._journal.event(now_ms, head.id, stage, words, part=incident.id)
        self._intend(head, tell, now_ms)
        self._steps.raised(head.id, now_ms, answered=head.acked_ms is not None)

    def heated(self, incident: Incident, now_ms: int) -> None:
        """Have what is muted told now where one of its thermometers shows heat that nothing mutes."""
        head = self._journal.incident(incident.head)
        if head.muted and head.going and is_hot(incident):
            self._steps.begin(head.id, now_ms, at_ms=now_ms)

    def _of_part(self, part: Incident, tell: Tell, now_ms: int) -> None:
        head = self._journal.incident(part.head)
        if tell in _BEGINS:
            at = f"{part.gateway}/{part.channel} sees it too" if part.gateway else "people report it, too"
            self._journal.event(now_ms, head.id, "joined", at, part=part.id)
            if head.going or head.closed_by:
                self._journal.save(replace(head, touched_ms=now_ms))
            else:
                head = replace(head, closed_ms=None, stage="suspected", closed_as="", touched_ms=now_ms)
                self._again(self._journal.save(head), now_ms)
        elif head.going:
            self._intend(head, tell, now_ms)

    def _again(self, head: Incident, now_ms: int) -> None:
        """Go on with what was over by itself: whoever was not yet told of its end need not know, the chain goes on."""
        self._journal.event(now_ms, head.id, "reopened", "it is seen again")
        unsaid = self._journal.never_mind(head.id, "end") and self._journal.has_letters(head.id)
        if not unsaid and not head.muted:
            self._intend(head, "again", now_ms)
        self._steps.resume(head.id, now_ms, self._quiet_s)

    def left(self, head: int, now_ms: int) -> None:
        """Close an incident by itself where nothing of it goes on, now that something was taken away from it."""
        one = self._journal.incident(head)
        if one.going and self._is_over(one, now_ms):
            self._close(one, "end", now_ms)

    def look_again(self, at_ms: int, now_ms: int) -> None:
        """Close what only waits for a sensor that is heard again, or that nobody has heard for a day; look above.

        `at_ms` is listening time.
        """
        self._above.look(at_ms, now_ms)
        for head in self._journal.suspected(over=True):
            if self._goes_on(head):
                continue
            last_ms = max(one.ended_ms or now_ms for one in self._own(head))
            if not self._unheard(head, now_ms):
                self._close(head, "end", now_ms)
            elif abs(now_ms - last_ms) >= DAY_MS:  # a clock that was put back a little closes nothing
                self._close(head, "end_unknown", now_ms)

    def _end(self, incident: Incident, tell: Tell, now_ms: int) -> None:
        """Close a head by itself where all of it is over; where people have to say so, it is written down alone."""
        head = self._journal.incident(incident.head)
        if head.closed_by:
            return
        if not head.going or (incident.part_of and self._is_over(head, now_ms)) or self._is_lost(head, tell):
            self._close(head, tell, now_ms)
            return
        self._journal.event(now_ms, head.id, "quiet", "what this sensor shows is over", part=incident.id)
        if head.stage == "suspected" and not self._goes_on(head):
            silent = ", ".join(f"{one.gateway}/{one.channel}" for one in self._unheard(head, now_ms))
            self._journal.event(now_ms, head.id, "blind", "nothing is heard of what had seen it", device=silent)

    def _close(self, head: Incident, tell: Tell, now_ms: int) -> None:
        if head.going:
            closed = replace(head, closed_ms=now_ms, stage="closed", closed_as="unknown", touched_ms=now_ms)
            head = self._journal.save(closed)
            words = "all that was suspected is over" if tell == "end" else "nobody knows any more what became of it"
            self._journal.event(now_ms, head.id, "closed", words, closed_as="unknown")
        quiet_s = self._quiet_s if tell == "end" else 0.0
        self._steps.rest(head.id, quiet_s)
        self._intend(head, tell, now_ms, quiet_s)

    def _is_lost(self, head: Incident, tell: Tell) -> bool:
        """Tell whether nobody will ever know what became of it: no sensor has seen it for as long as is waited."""
        return tell == "end_unknown" and head.stage in ("suspected", "probable") and not self._goes_on(head)

    def _is_over(self, head: Incident, now_ms: int) -> bool:
        """Tell whether an incident closes by itself: never more than suspected, nothing goes on, all can be seen."""
        return head.stage in ("suspected", "closed") and not self._goes_on(head) and not self._unheard(head, now_ms)

    def _unheard(self, head: Incident, now_ms: int) -> list[Incident]:
        """Return what of it nobody can see any more."""
        return [one for one in self._own(head) if not self._alive.heard(one, now_ms)]

    def _goes_on(self, head: Incident) -> bool:
        """Tell whether any sensor shows it still."""
        return any(one.open for one in self._own(head))

    def _own(self, head: Incident) -> tuple[Incident, ...]:
        """Return all that is one with it."""
        return (head, *self._journal.parts(head.id))

    def _is_near(self, head: Incident, one: Incident) -> bool:
        if head.exercise != one.exercise or head.stage == "under-control":  # what is new there is not under control
            return False
        if not self._is_at(head, one):
            return False
        own = self._own(head)
        times = (at_ms for each in own for at_ms in (each.since_ms, each.opened_ms, each.bad_ms))
        return any(each.open for each in own) or any(abs(one.since_ms - at_ms) <= NEAR_MS for at_ms in times)

    def _is_at(self, head: Incident, one: Incident) -> bool:
        if head.lat is not None and head.lon is not None and one.lat is not None and one.lon is not None:
            return distance_m((head.lat, head.lon), (one.lat, one.lon)) <= NEAR_M
        if not (one.place or one.gateway):  # people who did not say where are not where others are
            return one.exercise
        registry = self._registry.now
        return area_of(registry, head.place, head.gateway) == area_of(registry, one.place, one.gateway)

    def _intend(self, incident: Incident, tell: Tell, now_ms: int, due_s: float = 0.0) -> None:
        self._journal.intend(of_grade(incident.grade, incident.id, tell, now_ms, due_s=due_s))
