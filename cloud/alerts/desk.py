"""Where a change becomes history: the incident, its event in the journal, and the messages that it causes, together.

Everything here happens within the caller's transaction, so nobody can be told what is not in the journal, and nothing
can be in the journal whose telling was forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from cloud.alerts.incident import Change, Incident, apply
from cloud.alerts.places import place_of
from cloud.clock import hanoi

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloud.alerts.journal import Journal
    from cloud.alerts.outbox import Outbox
    from cloud.alerts.rules import Rule
    from cloud.registry import Contact, Registry


class Desk:
    """Writes changes down and posts messages to the contacts of the rule's role."""

    def __init__(
        self, journal: Journal, outbox: Outbox, registry: Registry, rules: Mapping[str, Rule], *, mail_late: bool
    ) -> None:
        self._journal = journal
        self._outbox = outbox
        self._rules = rules
        self._mail_late = mail_late
        self.registry = registry

    def write(self, change: Change, incident: Incident, now_ms: int) -> Incident:
        """Return the incident as it is now kept: journalled, saved, and its messages posted."""
        incident = self._journal.save(apply(change, incident, now_ms))
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
            incident = self._tell(incident, change.tell, now_ms)
        return incident

    def note(self, incident: Incident, event: str, text: str, now_ms: int) -> None:
        """Write one event that tells nobody."""
        self._journal.save(replace(incident, touched_ms=now_ms))
        self._journal.event(now_ms, incident.id, event, text, basis=incident.basis)

    def draft(self, rule: Rule, gateway: str, channel: str, at_ms: int, now_ms: int) -> Incident:
        """Return a new incident (id 0) at the place where the channel hangs; `write` gives it its span."""
        place = place_of(self.registry, gateway, channel, hanoi(at_ms).date())
        return Incident(
            id=0,
            rule=rule.name,
            kind=rule.kind,
            gateway=gateway,
            channel=channel,
            quantity=rule.quantity,
            what_vi=rule.what["vi"],
            what_en=rule.what["en"],
            place=place.key,
            place_vi=place.vi,
            place_en=place.en,
            lat=place.lat,
            lon=place.lon,
            since_ms=at_ms,
            opened_ms=at_ms,
            bad_ms=at_ms,
            touched_ms=now_ms,
        )

    def _tell(self, incident: Incident, tell: str, now_ms: int) -> Incident:
        rule = self._rules.get(incident.rule)
        contacts = self._contacts(rule)
        self._outbox.post_line(incident, tell)
        if tell == "end" or (tell == "late_end" and self._mail_late):
            self._outbox.post_end(incident, rule, self.registry.contacts)
        elif tell in ("onset", "again", "was") or (tell == "late" and self._mail_late):
            self._outbox.post(incident, rule, tell, contacts)
            if not contacts:
                role = rule.role if rule else "?"
                words = f"no contact has the role {role!r}: add one to the garden's contacts"
                self._journal.event(now_ms, incident.id, "tell-failed", words)
                incident = self._journal.save(replace(incident, untold=True))
        return incident

    def _contacts(self, rule: Rule | None) -> list[Contact]:
        return [c for c in self.registry.contacts if rule is not None and c.role == rule.role and c.email]
