"""What the detector claims of a node becomes history: an incident opened, led higher, ended, or known late."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import asdict, replace

from cloud.alerts.decide.back import Back
from cloud.alerts.incident import Change, span_of
from cloud.alerts.rules import DAY_MS
from cloud.alerts.rules.detect import reasons
from cloud.alerts.spans import Span
from detect.claim import PROBABLE, SUSPECTED
from detect.state import drilled

if TYPE_CHECKING:
    from cloud.alerts.decide.desk import Desk
    from cloud.alerts.decide.progress import Watched
    from cloud.alerts.incident import Basis, Incident
    from cloud.alerts.journal import Journal
    from cloud.alerts.rules.detect import RULE
    from detect.claim import Claim
    from detect.state import Node

EDGE_MS = 1_800_000  # an edge says what it claims each ten minutes


class Claims:
    """Writes the history of one rule, within the caller's transaction."""

    def __init__(self, rule: RULE, journal: Journal, desk: Desk, late_ms: int) -> None:
        self._rule, self._journal, self._desk, self._late_ms = rule, journal, desk, late_ms

    def decided(
        self, gateway: str, node: Watched, claim: Claim, at_ms: int, now_ms: int, *, unstored: bool = False
    ) -> Watched:
        """Have the journal say what is claimed: open an incident, or lead the one that goes on to a higher stage."""
        told = _as_json(claim)
        words = "; ".join(reasons(told, "en"))
        if at_ms < now_ms - self._late_ms:
            self._known_late(gateway, node, claim, at_ms, now_ms, words)
            return node
        incident = self._going(node, claim)
        if incident is None:
            incident = self._desk.draft(self._rule, gateway, node.channel, claim.first_ms or at_ms, now_ms)
            span = _span(node.live, claim, at_ms)
            basis: Basis = "unstored" if unstored else "readings"
            change = Change("opened", span, words=words, tell="onset", basis=basis)
            incident = self._desk.write(change, replace(incident, claim=told), now_ms)
        if claim.level == PROBABLE:
            self._desk.raise_to(incident, "probable", words, now_ms, claim=told)
        return replace(node, incident=incident.id)

    def answered(self, gateway: str, node: Watched, utc_ms: int) -> bool:
        """Tell whether people are done with what its edge claims of a node: since it does, one has closed it.

        What is over by itself, or was closed before, says nothing of what is claimed now.
        """
        known = self._journal.known(self._rule.name, gateway, node.channel, utc_ms - DAY_MS)
        heads = [self._journal.incident(one.head) for one in known if not one.late]
        closed = any(head.closed_by and (head.closed_ms or 0) >= node.edge_since_ms for head in heads)
        return closed and not any(head.going for head in heads)

    def _known_late(self, gateway: str, node: Watched, claim: Claim, at_ms: int, now_ms: int, words: str) -> None:
        """Write down what was; what is known already, now or late, is the same."""
        if self._journal.known(self._rule.name, gateway, node.channel, claim.first_ms or at_ms):
            return
        incident = self._desk.draft(self._rule, gateway, node.channel, claim.first_ms or at_ms, now_ms)
        change = Change("late", _span(node.back or node.live, claim, at_ms), words=words, tell="late", late=True)
        self._desk.write(change, replace(incident, claim=_as_json(claim)), now_ms)

    def _going(self, node: Watched, claim: Claim) -> Incident | None:
        """Return the node's incident that goes on; what people have closed goes on no more once it gets worse."""
        if not node.incident:
            return None
        incident = self._journal.incident(node.incident)
        head = self._journal.incident(incident.head)
        worse = claim.level == PROBABLE and not head.going
        return incident if incident.open and not worse else None

    def redate(self, node: Watched, by_ms: int, now_ms: int) -> None:
        """Have the node's incident that goes on say its times by the clock of now, which was put back, or right."""
        incident = self._journal.incident(node.incident) if node.incident else None
        if incident is not None and incident.open:
            words = f"the server's clock was put {'back' if by_ms < 0 else 'right'}: its times are by the clock of now"
            self._desk.note(Back(-by_ms, 0).incident(incident), "corrected", words, now_ms)

    def look_after(self, node: Watched, now_ms: int) -> Watched:
        """Write down that a node's incident lasts, or end it when nothing bears it out any more."""
        if not node.incident:
            return node
        incident = self._journal.incident(node.incident)
        if not incident.open:
            return replace(node, incident=0)
        if incident.exercise and not self._journal.incident(incident.head).going:
            return self._drilled(node, incident, now_ms)
        live, claim = node.live, node.live.claim
        edge_bad = node.edge >= SUSPECTED and live.said_ms - node.edge_ms < EDGE_MS
        if claim.level >= SUSPECTED or edge_bad:
            span = replace(_span(live, claim, live.said_ms), since_ms=incident.since_ms, opened_ms=incident.opened_ms)
            lasts = Change("", replace(span, peak=max(span.peak or 0.0, incident.peak or 0.0)), incident.id)
            kept = replace(incident, claim=_as_json(claim) if claim.level >= SUSPECTED else incident.claim)
            self._desk.write(replace(lasts, basis=incident.basis), kept, now_ms)
            return node
        if live.said_ms - max(live.borne_ms, incident.bad_ms) < self._rule.clear_ms or claim.faults == ("silent",):
            return node
        span = replace(span_of(incident), until_ms=max(live.borne_ms, incident.bad_ms), ended_ms=now_ms)
        words = f"nothing has borne it out for {self._rule.clear_ms / 1000:g} s"
        self._desk.write(Change("ended", span, incident.id, words, "end", incident.basis), incident, now_ms)
        return replace(node, incident=0)

    def _drilled(self, node: Watched, incident: Incident, now_ms: int) -> Watched:
        """End what an exercise was: smoke that comes after it is told, as if there had been none before."""
        span = replace(span_of(incident), until_ms=now_ms, ended_ms=now_ms)
        self._desk.write(Change("ended", span, incident.id, "the exercise is over", "end"), incident, now_ms)
        return replace(node, incident=0, live=drilled(node.live))


def _span(state: Node, claim: Claim, at_ms: int) -> Span:
    pm = state.pm.value
    return Span(
        since_ms=claim.first_ms or at_ms,
        opened_ms=at_ms,
        until_ms=None,
        ended_ms=None,
        bad_ms=at_ms,
        value=pm,
        peak=pm,
    )


def _as_json(claim: Claim) -> str:
    return msgspec.json.encode(asdict(claim)).decode()
