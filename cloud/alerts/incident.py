"""Incidents, and how what the readings say now is compared with what the journal already holds. Pure.

Readings come late and out of order, so a series is judged again and again. Each judgement is a list of spans; what is
new, longer, shorter or over compared with the known incidents becomes a `Change`, and only some changes tell people.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from cloud.alerts.intent import Tell
from cloud.alerts.spans import Span

if TYPE_CHECKING:
    from collections.abc import Sequence


class Incident(msgspec.Struct, frozen=True):
    """One suspicion at one place. Times are UTC in ms; `until_ms` is the first good reading, `ended_ms` the decision.

    `basis` says what it rests on: readings, unstored (values that the gateway told and could not keep), silence (of a
    way out), both, or refuted (silence, but the modem had service). `late` means that it was over 15 min old when its
    readings arrived, and nobody was woken.
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
    basis: str = "readings"
    undated: bool = False
    untold: bool = False

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
    basis: str = "readings"
    late: bool = False


class View(msgspec.Struct, frozen=True):
    """From where a series is looked at: its live lane or the one for late readings, which starts after `base_ms`.

    `gap_ms` is how far an unfinished late span may reach to meet others; `announce` lets a span be opened although
    its newest readings are already good.
    """

    late: bool
    base_ms: int
    gap_ms: int
    announce: bool = False


def compare(spans: Sequence[Span], known: Sequence[Incident], view: View) -> list[Change]:
    """Return what has to be written so that the known incidents say what the spans say."""
    changes: list[Change] = []
    matched: set[int] = set()
    for span in spans:
        same = [i for i in known if i.id not in matched and _overlap(span, i, view)]
        matched.update(incident.id for incident in same)
        if not same:
            changes += _new(span, view)
            continue
        changes += _late_view(span, same[0], view) if view.late else _live_view(span, same[0], view)
        changes += [_merged(span, other, same[0]) for other in same[1:] if other.open]
    if not view.late:
        changes += [_retracted(i) for i in known if i.id not in matched and _judged_again(i, view)]
    return changes


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


def _overlap(span: Span, incident: Incident, view: View) -> bool:
    never = 2**62
    span_end = span.ended_ms or (span.bad_ms + view.gap_ms if view.late else never)
    incident_end = incident.ended_ms or (incident.bad_ms + view.gap_ms if incident.late else never)
    return span.since_ms <= incident_end and incident.since_ms <= span_end


def _judged_again(incident: Incident, view: View) -> bool:
    """Tell whether every reading that the incident rests on lies in the window that was just judged."""
    return incident.basis in ("readings", "unstored") and not incident.late and incident.since_ms > view.base_ms


def _new(span: Span, view: View) -> list[Change]:
    over = span.ended_ms is not None
    if view.late:
        changes = [Change("late", replace(span, ended_ms=None), tell="late", late=True)]
        return [*changes, Change("ended", span, tell="late_end", late=True)] if over else changes
    if span.until_ms is not None and not over and not view.announce:
        return []  # its newest readings are good: wait whether it is over, and then say it in one message
    changes = [Change("opened", replace(span, ended_ms=None), tell=None if over else "onset")]
    return [*changes, Change("ended", span, tell="was")] if over else changes


def _live_view(span: Span, known: Incident, view: View) -> list[Change]:
    if known.basis in ("silence", "refuted"):
        return [_evidence(span, known)]
    if known.late:
        words = f"known late as #{known.id}, and it goes on"
        tell: Tell = "was" if span.ended_ms else "onset"
        since = min(span.since_ms, known.since_ms)
        return [Change("opened", replace(span, since_ms=since), known.id, words, tell)]
    if known.ended_ms and span.bad_ms > known.ended_ms:
        return [Change("reopened", span, known.id, "bad again by readings that arrived after the end", "again")]
    whole = known.since_ms > view.base_ms
    since_ms = span.since_ms if whole else min(span.since_ms, known.since_ms)
    merged = replace(span, since_ms=since_ms, peak=_highest(span, known))
    if known.basis == "both":
        return []
    if known.open and span.ended_ms:
        return [Change("ended", merged, known.id, tell="end")]
    if since_ms != known.since_ms or (known.ended_ms and span.ended_ms and span.ended_ms != known.ended_ms):
        keep = replace(merged, ended_ms=merged.ended_ms or known.ended_ms, until_ms=merged.until_ms or known.until_ms)
        return [Change("corrected", keep, known.id, "by readings that arrived later")]
    return []


def _late_view(span: Span, known: Incident, view: View) -> list[Change]:
    del view
    if known.basis in ("silence", "refuted"):
        return [_evidence(span, known)]
    mine = span_of(known)
    if known.late and known.open and span.ended_ms:
        return [Change("ended", span, known.id, tell="late_end", late=True)]
    if known.late and span.bad_ms > known.bad_ms:
        return [Change("", span, known.id, late=True)]  # it lasts: kept, not worth a line
    if span.since_ms < known.since_ms:
        longer = replace(mine, since_ms=span.since_ms, peak=_highest(span, known))
        words = "it began earlier, by readings that arrived later"
        return [Change("corrected", longer, known.id, words, basis=known.basis, late=known.late)]
    return []


def _evidence(span: Span, known: Incident) -> Change:
    """Readings that arrived later say the same as the silence did: same incident, no second alert."""
    kept = replace(span, opened_ms=known.opened_ms, ended_ms=known.ended_ms)
    words = "readings that arrived later agree with the silence: the modem had no service"
    return Change("evidence", kept, known.id, words, basis="both", late=known.late)


def _highest(span: Span, known: Incident) -> float | None:
    return max((peak for peak in (span.peak, known.peak) if peak is not None), default=None)


def _merged(span: Span, other: Incident, into: Incident) -> Change:
    end = replace(span_of(other), ended_ms=span.bad_ms)
    return Change("ended", end, other.id, f"is the same as #{into.id}, by readings that arrived later", late=other.late)


def _retracted(known: Incident) -> Change:
    words = "readings that arrived later show that it did not last long enough"
    if not known.open:
        return Change("corrected", span_of(known), known.id, words)
    end = replace(span_of(known), ended_ms=known.opened_ms)
    return Change("ended", end, known.id, words, "end")
