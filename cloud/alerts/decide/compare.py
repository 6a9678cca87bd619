"""How what the readings say now is compared with what the journal already holds. Pure.

Readings come late and out of order, so a series is judged again and again. Each judgement is a list of spans; what is
new, longer, shorter or over compared with the known incidents becomes a `Change`, and only some changes tell people.

What a span means to an incident that it meets depends on three things: what the incident rests on, whether it is only
known late, and whether it is open. `LIVE` and `LATE` say it for each combination that there can be; every row of them
has a case folder in `tests/compare/`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from cloud.alerts.incident import Basis, Change, Incident, span_of
from cloud.alerts.spans import Patience, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.alerts.intent import Tell

NEVER_MS = 2**62


class View(msgspec.Struct, frozen=True):
    """From where a series is looked at: its live lane or the one for late readings, which starts after `base_ms`.

    The patience's gap is how far an unfinished late span may reach to meet others; `announce` lets a span be opened
    although its newest readings are already good.
    """

    late: bool
    base_ms: int
    patience: Patience
    announce: bool = False


Step = Callable[[Span, Incident, View], list[Change]]


def compare(spans: Sequence[Span], known: Sequence[Incident], view: View) -> list[Change]:
    """Return what has to be written so that the known incidents say what the spans say."""
    table = LATE if view.late else LIVE
    changes: list[Change] = []
    matched: set[int] = set()
    for span in spans:
        same = [i for i in known if i.id not in matched and _meet(span, i, view)]
        matched.update(incident.id for incident in same)
        if not same:
            changes += _new(span, view)
            continue
        first = _first(same)
        changes += table[first.basis, first.late, first.open](span, first, view)
        changes += [_merged(span, other, first) for other in same if other.open and other is not first]
    if not view.late:
        changes += [_retracted(i) for i in known if i.id not in matched and _judged_again(i, view)]
    return changes


def _first(same: Sequence[Incident]) -> Incident:
    """Return which of the incidents that are one span it is: the earliest of those that are no other's.

    What was ended as the same as another lies within that, and never opens again; and who was told of one that goes
    on is not told of another that was only known late.
    """
    own = [one for one in same if not any(_holds(other, one) for other in same)]
    known = [one for one in own if not one.late]
    return known[0] if any(one.open for one in known) else own[0]


def _holds(other: Incident, one: Incident) -> bool:
    """Tell whether one is over, and lies within another that lasts longer."""
    if one.ended_ms is None or other is one or other.late > one.late:
        return False
    return other.since_ms < one.ended_ms and (other.ended_ms is None or other.ended_ms > one.ended_ms)


def _meet(span: Span, incident: Incident, view: View) -> bool:
    gap_ms = view.patience.gap_ms
    span_end = span.ended_ms or (span.bad_ms + gap_ms if view.late else NEVER_MS)
    incident_end = incident.ended_ms or (incident.bad_ms + gap_ms if incident.late else NEVER_MS)
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


def _goes_on(span: Span, known: Incident, view: View) -> list[Change]:
    """It is open: end it where the readings do, else let it begin when they say."""
    merged = _joined(span, known, view)
    if span.ended_ms:
        return [Change("ended", merged, known.id, tell="end")]
    if merged.since_ms != known.since_ms:
        return [_corrected(merged, known)]
    return [Change("", merged, known.id)] if span.bad_ms > known.bad_ms else []  # it lasts: kept, not worth a line


def _after_its_end(span: Span, known: Incident, view: View) -> list[Change]:
    """It was ended: bad readings after that open it again, others may move its beginning or its end."""
    if known.ended_ms and span.bad_ms > known.ended_ms:
        return [Change("reopened", span, known.id, "bad again by readings that arrived after the end", "again")]
    merged = _joined(span, known, view)
    moved = span.ended_ms and span.ended_ms != known.ended_ms
    return [_corrected(merged, known)] if moved or merged.since_ms != known.since_ms else []


def _wakes(span: Span, known: Incident, view: View) -> list[Change]:
    """It was only known late and nobody was woken; now it goes on, or has only just passed."""
    del view
    tell: Tell = "was" if span.ended_ms else "onset"
    since = min(span.since_ms, known.since_ms)
    return [
        Change("opened", replace(span, since_ms=since), known.id, f"known late as #{known.id}, and it goes on", tell)
    ]


def _agrees(span: Span, known: Incident, view: View) -> list[Change]:
    """Readings that arrived later say the same as the silence did: same incident, no second alert."""
    del view
    kept = replace(span, opened_ms=known.opened_ms, ended_ms=known.ended_ms)
    words = "readings that arrived later agree with the silence: the modem had no service"
    return [Change("evidence", kept, known.id, words, basis="both", late=known.late)]


def _nothing(span: Span, known: Incident, view: View) -> list[Change]:
    """It rests on silence too, and ends when the gateway is heard."""
    del span, known, view
    return []


def _again_after_silence(span: Span, known: Incident, view: View) -> list[Change]:
    """It rested on silence too and was ended: only what is bad after that opens it again."""
    return _after_its_end(span, known, view) if known.ended_ms and span.bad_ms > known.ended_ms else []


def _late_end(span: Span, known: Incident, view: View) -> list[Change]:
    if span.ended_ms:
        return [Change("ended", _whole(span, known, view), known.id, tell="late_end", late=True)]
    return _lasts(span, known, view)


def _lasts(span: Span, known: Incident, view: View) -> list[Change]:
    """It was known late, and older readings still come: it lasted longer than was known."""
    if span.bad_ms > known.bad_ms:
        return [Change("", _whole(span, known, view), known.id, late=True)]  # kept, not worth a line
    return _began_earlier(span, known, view)


def _began_earlier(span: Span, known: Incident, view: View) -> list[Change]:
    if span.since_ms >= known.since_ms:
        return []
    longer = replace(span_of(known), since_ms=span.since_ms, peak=_worst(span, known, view))
    words = "it began earlier, by readings that arrived later"
    return [Change("corrected", longer, known.id, words, basis=known.basis, late=known.late)]


# what the incident rests on, whether it is known late, whether it is open → what a span that meets it means
Table = dict[tuple[Basis, bool, bool], Step]
LIVE: Table = {
    ("readings", False, True): _goes_on,
    ("readings", False, False): _after_its_end,
    ("readings", True, True): _wakes,
    ("readings", True, False): _wakes,
    ("unstored", False, True): _goes_on,
    ("unstored", False, False): _after_its_end,
    ("silence", False, True): _agrees,
    ("silence", False, False): _agrees,
    ("refuted", False, True): _agrees,
    ("refuted", False, False): _agrees,
    ("both", False, True): _nothing,
    ("both", False, False): _again_after_silence,
}
LATE: Table = {
    ("readings", False, True): _began_earlier,
    ("readings", False, False): _began_earlier,
    ("readings", True, True): _late_end,
    ("readings", True, False): _lasts,
    ("unstored", False, True): _began_earlier,
    ("unstored", False, False): _began_earlier,
    ("silence", False, True): _agrees,
    ("silence", False, False): _agrees,
    ("refuted", False, True): _agrees,
    ("refuted", False, False): _agrees,
    ("both", False, True): _began_earlier,
    ("both", False, False): _began_earlier,
}


def _joined(span: Span, known: Incident, view: View) -> Span:
    """Return the span with what the window no longer holds of the incident."""
    whole = known.since_ms > view.base_ms
    since_ms = span.since_ms if whole else min(span.since_ms, known.since_ms)
    return replace(span, since_ms=since_ms, peak=_worst(span, known, view))


def _whole(span: Span, known: Incident, view: View) -> Span:
    """Return a late span with what is known of the incident from before the readings that were judged."""
    return replace(span, since_ms=min(span.since_ms, known.since_ms), peak=_worst(span, known, view))


def _corrected(merged: Span, known: Incident) -> Change:
    keep = replace(merged, ended_ms=merged.ended_ms or known.ended_ms, until_ms=merged.until_ms or known.until_ms)
    return Change("corrected", keep, known.id, "by readings that arrived later")


def _worst(span: Span, known: Incident, view: View) -> float | None:
    if span.peak is None or known.peak is None:
        return known.peak if span.peak is None else span.peak
    return view.patience.worse(span.peak, known.peak)


def _merged(span: Span, other: Incident, into: Incident) -> Change:
    end = replace(span_of(other), ended_ms=span.bad_ms)
    return Change("ended", end, other.id, f"is the same as #{into.id}, by readings that arrived later", late=other.late)


def _retracted(known: Incident) -> Change:
    words = "readings that arrived later show that it did not last long enough"
    if not known.open:
        return Change("corrected", span_of(known), known.id, words)
    end = replace(span_of(known), ended_ms=known.opened_ms)
    return Change("ended", end, known.id, words, "end")
