"""Where a change becomes history: the incident, its event in the journal, and the intent to tell it, together.

Everything here happens within the caller's transaction, so nobody can be told what is not in the journal, and nothing
can be in the journal whose telling was forgotten. Whom and how is not known here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from cloud.alerts.decide.exercise import EXERCISE, is_exercise
from cloud.alerts.decide.hamlets import muted
from cloud.alerts.incident import Change, Incident, apply, span_of
from cloud.alerts.places import named_place, place_of
from cloud.clock import hanoi

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloud.alerts.decide.gather import Gatherer
    from cloud.alerts.decide.hamlets import Modems
    from cloud.alerts.incident import Stage
    from cloud.alerts.journal import Journal
    from cloud.alerts.places import Place
    from cloud.alerts.rules import Rule
    from cloud.registry import Current

DRILL, SELF_TEST, REPORT = "drill", "self-test", "report"  # rule and kind of what nobody measured


class Desk:
    """Writes changes down."""

    def __init__(
        self, journal: Journal, registry: Current, rules: Mapping[str, Rule], gatherer: Gatherer, modems: Modems
    ) -> None:
        self._journal, self._gatherer, self._modems = journal, gatherer, modems
        self._rules = rules
        self.registry = registry

    def write(self, change: Change, incident: Incident, now_ms: int) -> Incident:
        """Return the incident as it is now kept: journalled, saved, and its telling intended."""
        if not incident.id and self._modems.shared(incident, now_ms):
            incident = replace(incident, muted=muted())
        incident = self._gatherer.placed(apply(change, incident, now_ms))
        incident = self._journal.save(self._gatherer.settled(incident, now_ms))
        if change.event:
            self._journal.event(
                now_ms,
                incident.id,
                change.event,
                change.words,
                rule=incident.rule,
                device=f"{incident.gateway}/{incident.channel}",
                place=incident.place,
                span=change.span,
                basis=incident.basis,
                late=incident.late,
                undated=incident.undated,
            )
        if change.tell:
            self._gatherer.tell(incident, change.tell, now_ms)
        self._gatherer.heated(incident, now_ms)
        return incident

    def raise_to(self, incident: Incident, stage: Stage, words: str, now_ms: int, claim: str = "") -> None:
        """Lead an incident, or the one that it is a part of, to a higher stage by what was measured; it is told."""
        if claim and claim != incident.claim:
            incident = self._journal.save(replace(incident, claim=claim, touched_ms=now_ms))
        self._gatherer.raise_to(incident, stage, words, now_ms)

    def note(self, incident: Incident, event: str, text: str, now_ms: int, **inputs: Any) -> None:
        """Write one event that tells nobody."""
        self._journal.save(replace(incident, touched_ms=now_ms))
        self._journal.event(now_ms, incident.id, event, text, basis=incident.basis, **inputs)

    def fell_silent(self, incident: Incident, since_ms: int, now_ms: int) -> None:
        """Write that nothing is heard of an open incident's sensor any more, and have it told."""
        words = "nothing is heard of its sensor any more: nobody sees whether it lasts"
        self.note(replace(incident, silent_ms=since_ms), "silent", words, now_ms)
        if incident.lives:  # silence after smoke says more than smoke
            self._gatherer.raise_to(incident, "probable", words, now_ms, "silent")
        else:
            self._gatherer.tell(incident, "silent", now_ms)

    def lose(self, incident: Incident, now_ms: int, why: str = "nothing was heard of it for too long") -> None:
        """End an incident whose end nobody will know, and have that told."""
        span = replace(span_of(incident), until_ms=incident.until_ms or incident.bad_ms, ended_ms=now_ms)
        words = f"the end is not known: {why}"
        self.write(Change("ended", span, incident.id, words, "end_unknown", incident.basis), incident, now_ms)

    def rests(self, gateway: str, channel: str, now_ms: int, since_ms: int = 0) -> bool:
        """Tell whether a channel is under maintenance, or was less than `since_ms` ago: it need not be heard yet."""
        return self.registry.now.maintenance(gateway, channel).touch(now_ms - since_ms, now_ms + 1)

    def draft(self, rule: Rule, gateway: str, channel: str, at_ms: int, now_ms: int) -> Incident:
        """Return a new incident (id 0) at the place where the channel hangs; `write` gives it its span."""
        place = place_of(self.registry.now, gateway, channel, hanoi(at_ms).date())
        return _new(
            place,
            at_ms,
            now_ms,
            rule=rule.name,
            kind=rule.kind,
            gateway=gateway,
            channel=channel,
            quantity=rule.quantity,
            what_vi=rule.what["vi"],
            what_en=rule.what["en"],
            grade=rule.grade,
            may_burn=rule.may_burn,
            exercise=rule.grade == "life" and is_exercise(self._journal.meta(EXERCISE), gateway, now_ms),
        )

    def exercise(self, place: str, now_ms: int) -> Incident:
        """Return a new incident (id 0) that is an exercise, at a place as kind:code; without one, at no place."""
        return _new(
            named_place(self.registry.now, place, hanoi(now_ms).date()),
            now_ms,
            now_ms,
            rule=DRILL,
            kind=DRILL,
            gateway="",
            channel="",
            quantity="",
            what_vi="diễn tập báo cháy",
            what_en="fire drill",
            basis="drill",
            grade="life",
            exercise=True,
        )

    def report(self, name: str, place: str, at: tuple[float, float] | None, at_ms: int, now_ms: int) -> Incident:
        """Return a new incident (id 0) that people report, known by the `name` of their report."""
        where = named_place(self.registry.now, place, hanoi(now_ms).date())
        if not where.key:
            where = replace(where, vi="nơi người báo chưa nói rõ", en="a place that was not named")
        if at is not None:
            where = replace(where, lat=at[0], lon=at[1])
        return _new(
            where,
            at_ms,
            now_ms,
            rule=REPORT,
            kind=REPORT,
            gateway="",
            channel=name,
            quantity="",
            what_vi="người dân báo cháy",
            what_en="fire reported by people",
            basis="people",
            grade="life",
        )


def _new(place: Place, at_ms: int, now_ms: int, **what: Any) -> Incident:
    """Return an incident without a number, at a place, that has just begun."""
    where = {"place": place.key, "place_vi": place.vi, "place_en": place.en, "lat": place.lat, "lon": place.lon}
    when = {"since_ms": at_ms, "opened_ms": at_ms, "bad_ms": at_ms, "touched_ms": now_ms}
    return Incident(id=0, **where, **when, **what)  # type: ignore[arg-type]
