"""What an incident is, one step in its life, and the incident after that step. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec.structs import replace

from cloud.alerts.intent import Grade, Tell
from cloud.alerts.spans import Span

Basis = Literal[
    "readings", "unstored", "silence", "both", "refuted", "absence", "modems", "dead", "stuck", "people", "drill"
]  # fmt: skip
Stage = Literal["suspected", "probable", "confirmed", "under-control", "closed"]
STAGES: tuple[Stage, ...] = ("suspected", "probable", "confirmed", "under-control", "closed")
CLOSINGS = ("real", "permitted", "cooking", "sensor-fault", "drill", "unknown")
FALSE = ("permitted", "cooking", "sensor-fault")  # whoever was told of it is told that it was none
TOLD_AS: dict[str, Tell] = {"probable": "probable", "confirmed": "confirmed", "under-control": "controlled"}


class Incident(msgspec.Struct, frozen=True):
    """One suspicion at one place. Times are UTC in ms; `until_ms` is the first good reading, `ended_ms` the decision.

    What its sensor shows is over at `ended_ms`; people are done with it at `closed_ms`, `closed_as` one of CLOSINGS
    with `closed_by` whom, or by itself. Only a person leads a `stage` beyond probable. Where several sensors see the
    same, one incident is the head, and the others are `part_of` it: a part has no stage of its own, and nobody is told
    of it but through its head. `acked_by` has said "I have it"; `muted` says why nobody was told, in Vietnamese and on
    a second line in English.

    `basis` says what it rests on: readings, unstored (values that the gateway told and could not keep), silence (of a
    way out), both, refuted (silence, but the modem had service), absence (of a gateway), modems (all that a hamlet has
    are without service), dead or stuck (a sensor), people (who report a fire;
    `value` is how many), or nothing but a drill. `cause` is why something is silent, as far
    as there is evidence (see causes.py).
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
    grade: Grade = "upkeep"
    stage: Stage = "suspected"
    part_of: int | None = None
    closed_ms: int | None = None
    closed_as: str = ""
    closed_by: str = ""
    acked_ms: int | None = None
    acked_by: str = ""
    assignee: str = ""
    exercise: bool = False
    muted: str = ""
    claim: str = ""  # what the detector saw last, as JSON
    above: str = ""  # what a satellite saw beside it, as JSON
    may_burn: bool = True  # its rule says whether what it finds may be a fire
    cause: str = ""  # why something is silent or worse than before, as JSON

    @property
    def open(self) -> bool:
        """Whether what its sensor shows goes on, as far as is known."""
        return self.ended_ms is None

    @property
    def going(self) -> bool:
        """Whether people are not yet done with it."""
        return self.closed_ms is None

    @property
    def lives(self) -> bool:
        """Whether it may be a fire that is seen now: only that has stages, gathers, and asks for an answer.

        Heavy rain is about life as well, and is no fire: it is told to its role, and ends when it is over.
        """
        return (
            self.may_burn
            and self.grade == "life"
            and not self.late
            and self.basis in ("readings", "unstored", "people", "drill")
        )

    @property
    def head(self) -> int:
        """The number of the incident that people know it by."""
        return self.part_of or self.id

    @property
    def state(self) -> str:
        """Say late (known after the fact, with or without an end), open or ended."""
        if self.late:
            return "late"
        return "open" if self.going else "ended"


def closed(incident: Incident, as_: str, by: str, now_ms: int) -> Incident:
    """Return an incident with which a person is done; what nobody has measured is over by that."""
    over = replace(incident, stage="closed", closed_ms=now_ms, closed_as=as_, closed_by=by, touched_ms=now_ms)
    return replace(over, ended_ms=now_ms, until_ms=now_ms) if over.basis in ("people", "drill") else over


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
