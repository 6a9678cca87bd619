"""What an incident is, one step in its life, and the incident after that step. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec.structs import replace

from cloud.alerts.intent import Tell
from cloud.alerts.spans import Span

Basis = Literal["readings", "unstored", "silence", "both", "refuted", "absence", "dead", "stuck"]


class Incident(msgspec.Struct, frozen=True):
    """One suspicion at one place. Times are UTC in ms; `until_ms` is the first good reading, `ended_ms` the decision.

    `basis` says what it rests on: readings, unstored (values that the gateway told and could not keep), silence (of a
    way out), both, refuted (silence, but the modem had service), absence (of a gateway), dead or stuck (a sensor).
    `late` means that it was over 15 min old when its readings arrived, and nobody was woken. From `silent_ms` on its
    sensor brings nothing any more: nobody sees whether it lasts. `peak` is the worst value, the lowest where that is.
    """

    id: int
    rule: str
    kind: str
    gateway: str
    channel: str
    quantity: str
    what_vi: str
    what_en: str
    place: str  # kind:code, empty where nothing is bound
    place_vi: str
    place_en: str
    lat: float | None
    lon: float | None
    since_ms: int
    opened_ms: int
    bad_ms: int
    touched_ms: int
    until_ms: int | None = None
    ended_ms: int | None = None
    value: float | None = None
    peak: float | None = None
    late: bool = False
    basis: Basis = "readings"
    undated: bool = False
    untold: bool = False
    silent_ms: int | None = None

    @property
    def open(self) -> bool:
        """Whether it goes on, as far as is known."""
        return self.ended_ms is None

    @property
    def state(self) -> str:
        """Say late (known after the fact, with or without an end), open or ended."""
        if self.late:
            return "late"
        return "open" if self.open else "ended"


class Change(msgspec.Struct, frozen=True):
    """One step in the life of an incident, `incident` = 0 for a new one; `tell` is the message that it causes."""

    event: str  # opened | late | evidence | corrected | reopened | ended
    span: Span
    incident: int = 0
    words: str = ""
    tell: Tell | None = None
    basis: Basis = "readings"
    late: bool = False


def apply(change: Change, incident: Incident, now_ms: int) -> Incident:
    """Return the incident after a change."""
    span = change.span
    return replace(
        incident,
        since_ms=span.since_ms,
        opened_ms=span.opened_ms,
        until_ms=_until(span, late=change.late),
        ended_ms=span.ended_ms,
        bad_ms=span.bad_ms,
        value=span.value,
        peak=span.peak,
        basis=change.basis,
        late=change.late,
        touched_ms=now_ms,
    )


def _until(span: Span, *, late: bool) -> int | None:
    """Return the end as people read it; of something known late, at least the last reading that shows it."""
    if span.ended_ms is None:
        return span.until_ms or span.bad_ms if late else None
    return span.until_ms or span.ended_ms


def span_of(incident: Incident) -> Span:
    """Return an incident's own idea of its span, to be changed in part."""
    return Span(
        since_ms=incident.since_ms,
        opened_ms=incident.opened_ms,
        until_ms=incident.until_ms,
        ended_ms=incident.ended_ms,
        bad_ms=incident.bad_ms,
        value=incident.value,
        peak=incident.peak,
    )
