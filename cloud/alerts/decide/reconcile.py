"""The journal is made to say what the readings of a series say, and what else they tell of its known incidents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from cloud.alerts.decide.compare import View, compare
from cloud.alerts.incident import Change, Incident, span_of
from cloud.alerts.rules import Rule
from cloud.alerts.spans import BAD, GOOD, scan

if TYPE_CHECKING:
    from cloud.alerts.decide.back import Back
    from cloud.alerts.decide.desk import Desk
    from cloud.alerts.journal import Journal
    from cloud.alerts.spans import Lane, Point, Span


class Case(msgspec.Struct, frozen=True):
    """What is being judged, and when."""

    rule: Rule
    gateway: str
    channel: str
    now_ms: int
    undated: bool = False
    unstored: bool = False


class Reconciler:
    """Writes history, within the caller's transaction."""

    def __init__(self, journal: Journal, desk: Desk) -> None:
        self._journal, self._desk = journal, desk

    def reconcile(self, case: Case, lane: Lane, view: View) -> bool:
        """Make the journal say what the lane says; tell whether an unfinished span was held back."""
        rule, now_ms = case.rule, case.now_ms
        _, spans = scan(lane.base, lane.points, rule.mark, view.patience)
        start_ms = min([span.since_ms for span in spans] + [point[0] for point in lane.points[:1]], default=now_ms)
        known = self._journal.known(rule.name, case.gateway, case.channel, start_ms - view.patience.gap_ms)
        if not view.late:
            known = [one for one in known if not _of_another_clock(one, lane)]
        current: Incident | None = None
        for change in _changes(case, spans, known, view):
            if change.incident:
                current = self._journal.incident(change.incident)
            elif change.event in ("opened", "late") or current is None:
                current = self._desk.draft(rule, case.gateway, case.channel, change.span.since_ms, now_ms)
                current = replace(current, undated=case.undated)
            current = self._desk.write(change, current, now_ms)
        held = bool(spans) and spans[-1].ended_ms is None and spans[-1].until_ms is not None
        return held and not view.announce

    def bring_back(self, case: Case, back: Back, held_ms: int) -> None:
        """Bring what a clock that was ahead has dated to now; nobody is told.

        What was over before the series' readings from `held_ms` on is history and stays: it may be the clock of now
        that is wrong.
        """
        since_ms = max(held_ms, case.now_ms)
        for incident in self._journal.known(case.rule.name, case.gateway, case.channel, since_ms):
            moved = back.incident(incident)
            if moved != incident:
                words = "it was dated by a clock that was ahead, and has been put right since"
                self._desk.note(moved, "corrected", words, case.now_ms)

    def weigh_silence(self, case: Case, points: list[Point]) -> None:
        """Write down that a modem had service while its gateway was silent: then something else was wrong.

        Service proves that only where the silence outlasted it as long as it takes to call a gateway silent: a gateway
        needs some time to come back after its modem did. A hamlet had service where one of its modems had.
        """
        rule = case.rule
        good = [utc_ms for utc_ms, _, value in points if rule.mark(value) == GOOD]
        for incident in self._journal.known(rule.name, case.gateway, case.channel, min(good)) if good else ():
            end_ms = (incident.ended_ms or case.now_ms) - rule.silence.after_ms
            if incident.basis == "silence" and any(incident.opened_ms <= utc_ms < end_ms for utc_ms in good):
                words = "readings that arrived later disagree: the modem had service while the gateway was silent"
                self._desk.note(replace(incident, basis="refuted"), "corrected", words, case.now_ms)
                hamlet = self._journal.incident(incident.head)
                if hamlet.basis in ("silence", "modems"):
                    self._desk.note(replace(hamlet, basis="refuted"), "corrected", words, case.now_ms)

    def weigh_unstored(self, case: Case, points: list[Point]) -> None:
        """Write down that readings came for what had only been told: it is the same incident, and nobody is told."""
        if case.unstored:
            return
        bad = [utc_ms for utc_ms, _, value in points if case.rule.mark(value) == BAD]
        for incident in self._journal.known(case.rule.name, case.gateway, case.channel, min(bad)) if bad else ():
            if incident.basis == "unstored" and max(bad) >= incident.since_ms:
                words = "the values that the gateway told are stored now"
                self._desk.note(replace(incident, basis="readings"), "evidence", words, case.now_ms)

    def end_stale(self, touched_before_ms: int, now_ms: int) -> None:
        """End late incidents whose readings stop without showing an end."""
        for incident in self._journal.stale_late(touched_before_ms):
            span = replace(span_of(incident), ended_ms=incident.bad_ms)
            words = "the end is not known; this is the last reading that shows it"
            change = Change("ended", span, incident.id, words, "late_end", incident.basis, late=True)
            self._desk.write(change, incident, now_ms)


def _of_another_clock(one: Incident, lane: Lane) -> bool:
    """Tell whether an incident was ended by a reading that is newer than all that there are: it hides none of them."""
    if one.ended_ms is None or one.basis not in ("readings", "unstored"):
        return False
    return not lane.points or one.ended_ms > lane.points[-1][0]


def _changes(case: Case, spans: list[Span], known: list[Incident], view: View) -> list[Change]:
    changes = compare(spans, known, view)
    if not case.unstored:
        return changes
    return [replace(one, basis="unstored") if one.basis == "readings" else one for one in changes]
