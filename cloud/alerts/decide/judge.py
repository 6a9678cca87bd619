"""Readings to incidents: each reading once, by its own time, whatever order it arrives in.

A reading younger than 15 min joins the series' live lane, an older one its late lane, which opens *late* incidents and
wakes nobody. A batch is judged in one transaction: processed ranges, states, incidents, events and messages.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections import Counter, defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from cloud.alerts.decide.compare import View, compare
from cloud.alerts.decide.pace import pace_ms, patience_with, with_pace
from cloud.alerts.incident import Change, Incident, span_of
from cloud.alerts.rules import Rule
from cloud.alerts.spans import BAD, GOOD, Lane, Point, Span, Tracker, add, marks, scan, settle
from wire.codec import FUTURE_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cloud.alerts.decide.desk import Desk
    from cloud.alerts.decide.progress import Progress, Series
    from cloud.alerts.decide.sensors import Sensors
    from cloud.alerts.journal import Journal
    from cloud.alerts.spans import Patience
    from cloud.store.intervals import Intervals
    from wire.excerpt import Excerpt

LOG = logging.getLogger(__name__)
_FAULTS = (ArithmeticError, LookupError, TypeError, ValueError)  # of a rule
_VALUES = 4_096  # of which a rule remembers how it marks them


class Evidence(msgspec.Struct, frozen=True):
    """Readings of one range of sequence numbers, dated: (channel, quantity) → points."""

    gateway: str
    epoch: str
    first: int
    n: int
    points: dict[tuple[str, str], list[Point]]
    undated: bool = False
    unstored: bool = False  # told by a gateway that could not keep them: without numbers, and stored some day perhaps

    def leads_to(self, other: Evidence) -> bool:
        """Tell whether the other range is the next one of the same epoch, so that both are judged as one."""
        same = self.gateway == other.gateway and self.epoch == other.epoch
        guessed = self.undated or self.unstored or other.undated or other.unstored
        return same and not guessed and other.first == self.first + self.n


def _joined(run: Sequence[Evidence]) -> Evidence:
    if len(run) == 1:
        return run[0]
    points: dict[tuple[str, str], list[Point]] = defaultdict(list)
    for one in run:
        for key, found in one.points.items():
            points[key] += found
    return replace(run[0], n=sum(one.n for one in run), points=points)


class _Case(msgspec.Struct, frozen=True):
    """What is being judged, and when."""

    rule: Rule
    gateway: str
    channel: str
    now_ms: int
    undated: bool = False
    unstored: bool = False


class Judge:
    """Runs the rules that follow a quantity."""

    def __init__(
        self,
        rules: Sequence[Rule],
        journal: Journal,
        progress: Progress,
        desk: Desk,
        sensors: Sensors,
        late_ms: int,
    ) -> None:
        self._followers: dict[str, list[Rule]] = defaultdict(list)
        for rule in rules:
            if rule.quantity and rule.silence.of != "sensor":  # to that no value is bad
                self._followers[rule.quantity].append(rule)
        self._mark = {rule.name: lru_cache(_VALUES)(rule.mark) for rule in rules}
        self._followed = frozenset(rule.quantity for rule in rules)
        self._rules = {rule.name: rule for rule in rules}
        self._journal = journal
        self._progress = progress
        self._desk = desk
        self._sensors = sensors
        self._late_ms = late_ms
        self.failed: Counter[str] = Counter()
        self.slow: dict[str, float] = {}  # series whose readings are further apart than their rule allows, in seconds

    def follows(self, quantity: str) -> bool:
        """Tell whether any rule needs this quantity."""
        return quantity in self._followed

    def is_calm(self, said: Excerpt) -> bool:
        """Tell, in any thread, whether no rule calls anything in it bad; what cannot be told is not calm."""
        try:
            for (_, quantity), points in said.points.items():
                for rule in self._followers.get(quantity, ()):
                    if BAD in marks(points, self._mark[rule.name]):
                        return False
        except _FAULTS:
            return False
        return True

    def take_all(self, found: Iterable[Evidence], now_ms: int) -> None:
        """Judge within the caller's transaction: what one gateway has sent one after the other at once."""
        runs: dict[str, list[Evidence]] = {}
        for evidence in found:
            run = runs.setdefault(evidence.gateway, [])
            if run and not run[-1].leads_to(evidence):
                self._take(_joined(run), now_ms)
                run.clear()
            run.append(evidence)
        for run in runs.values():
            self._take(_joined(run), now_ms)

    def _take(self, evidence: Evidence, now_ms: int) -> None:
        key = (evidence.gateway, evidence.epoch, evidence.first, evidence.n)
        done = self._progress.processed(*key)
        if self._is_old_news(evidence, done, now_ms):
            return
        maintained = self._desk.registry.now.maintained
        for (channel, quantity), said in evidence.points.items():
            heard = points = sorted(said)
            if periods := maintained.get((evidence.gateway, channel)):
                points = [point for point in heard if not periods.hold(point[0])]
            for rule in self._followers.get(quantity, ()) if points else ():
                case = _Case(rule, evidence.gateway, channel, now_ms, evidence.undated, evidence.unstored)
                self._series(case, points, done)
            self._sensors.note(evidence.gateway, channel, quantity, heard, now_ms)
        self._progress.add_processed(*key, now_ms)

    def look_again(self, now_ms: int) -> None:
        """Open what was held back to be told with its end, but whose end did not come.

        It is never longer held back than it takes: when the server's clock was put back, it is looked at at once.
        """
        for name, gateway, channel, look_ms in self._progress.to_look_at():
            rule = self._rules.get(name)
            state = replace(self._progress.series(name, gateway, channel), look_ms=None)
            if rule is not None:
                patience = patience_with(rule.patience, state)
                if now_ms < look_ms <= now_ms + _held_ms(patience):
                    continue
                view = View(late=False, base_ms=state.live.base_ms, patience=patience, announce=True)
                self._reconcile(_Case(rule, gateway, channel, now_ms), state.live, view)
            self._progress.save_series(name, gateway, channel, state)

    def end_stale(self, now_ms: int) -> None:
        """End late incidents whose readings stop without showing an end."""
        for incident in self._journal.stale_late(now_ms - self._late_ms):
            span = replace(span_of(incident), ended_ms=incident.bad_ms)
            words = "the end is not known; this is the last reading that shows it"
            change = Change("ended", span, incident.id, words, "late_end", incident.basis, late=True)
            self._desk.write(change, incident, now_ms)

    def _is_old_news(self, evidence: Evidence, done: Intervals, now_ms: int) -> bool:
        """Tell whether it is a backlog that is sent again: all of it known, and none of it young."""
        if not evidence.n or not done.covers(evidence.first, evidence.first + evidence.n):
            return False
        return all(utc_ms < now_ms - self._late_ms for points in evidence.points.values() for utc_ms, *_ in points)

    def _series(self, case: _Case, points: list[Point], done: Intervals) -> None:
        """Judge one series by points in order of time.

        A number that was met before is passed over where its time is old or a guess. Where its time is new, it is the
        reading of another gateway with a copied card, or the lane knows it.
        """
        rule, gateway, channel = case.rule, case.gateway, case.channel
        before = _present(self._progress.series(rule.name, gateway, channel), case.now_ms)
        edge = bisect_left(points, (max(case.now_ms - self._late_ms, before.live.base_ms + 1),))
        live, late = points[edge:], points[:edge]
        if done:
            live = [point for point in live if not (case.undated and point[1] in done)]
            late = [point for point in late if point[1] not in done]
        try:
            seen = marks(points, self._mark[rule.name])
            state = self._live(case, before, live, stirs=BAD in seen)
            state = self._late(case, state, late, stirs=BAD in seen)
            if state is before:
                return
            if GOOD in seen:
                self._weigh_silence(case, live + late)
            if BAD in seen:
                self._weigh_unstored(case, live + late)
        except _FAULTS:
            self.failed[rule.name] += 1  # a faulty rule costs only its own verdict
            LOG.exception("rule-failed rule=%s gateway=%s channel=%s", rule.name, gateway, channel)
            return
        self._progress.save_series(rule.name, gateway, channel, state)

    def _live(self, case: _Case, state: Series, points: list[Point], *, stirs: bool) -> Series:
        lane = add(state.live, points, guessed=case.undated and not case.unstored)
        if lane is state.live:
            return state
        state = with_pace(state, points)
        patience = self._patience(case, state)
        lane = replace(lane, stirred=True) if stirs and not lane.stirred else lane
        held = self._reconcile(case, lane, View(late=False, base_ms=lane.base_ms, patience=patience))
        look_ms = case.now_ms + _held_ms(patience) if held else None
        live = settle(lane, case.now_ms - self._late_ms, case.rule.mark, patience)
        return replace(state, live=live, look_ms=look_ms)

    def _late(self, case: _Case, state: Series, points: list[Point], *, stirs: bool) -> Series:
        if not points:
            return state
        rule, lane = case.rule, state.late
        if points[0][0] <= lane.base_ms or not (lane.points or lane.base_ms):
            lane = Lane(base=Tracker(good_seen=_good_seen(rule, state.live)), stirred=False)
        lane, patience = add(lane, points), patience_with(rule.patience, state)
        lane = replace(lane, stirred=True) if stirs and not lane.stirred else lane
        self._reconcile(case, lane, View(late=True, base_ms=lane.base_ms, patience=patience))
        horizon_ms = lane.points[-1][0] - self._late_ms
        return replace(state, late=settle(lane, horizon_ms, rule.mark, patience))

    def _patience(self, case: _Case, state: Series) -> Patience:
        """Return the rule's patience with this series, and remember where it had to be widened."""
        patience = patience_with(case.rule.patience, state)
        if patience is case.rule.patience and not self.slow:
            return patience
        name = f"{case.rule.name}: {case.gateway}/{case.channel}"
        if patience is case.rule.patience:
            self.slow.pop(name, None)
        elif name not in self.slow:
            self.slow[name] = pace_ms(state.intervals) / 1000
            LOG.warning("rule-slower-than-its-gap series=%r pace_s=%g", name, self.slow[name])
        return patience

    def _reconcile(self, case: _Case, lane: Lane, view: View) -> bool:
        """Make the journal say what the lane says; tell whether an unfinished span was held back."""
        if not lane.stirred:
            return False  # as calm as before: the usual case costs nothing
        rule, now_ms = case.rule, case.now_ms
        _, spans = scan(lane.base, lane.points, rule.mark, view.patience)
        start_ms = min([span.since_ms for span in spans] + [point[0] for point in lane.points[:1]], default=now_ms)
        known = self._journal.known(rule.name, case.gateway, case.channel, start_ms - view.patience.gap_ms)
        current: Incident | None = None
        for change in self._changes(case, spans, known, view):
            if change.incident:
                current = self._journal.incident(change.incident)
            elif change.event in ("opened", "late") or current is None:
                current = self._desk.draft(rule, case.gateway, case.channel, change.span.since_ms, now_ms)
                current = replace(current, undated=case.undated)
            current = self._desk.write(change, current, now_ms)
        held = bool(spans) and spans[-1].ended_ms is None and spans[-1].until_ms is not None
        return held and not view.announce

    def _changes(self, case: _Case, spans: list[Span], known: list[Incident], view: View) -> list[Change]:
        changes = compare(spans, known, view)
        if not case.unstored:
            return changes
        return [replace(one, basis="unstored") if one.basis == "readings" else one for one in changes]

    def _weigh_silence(self, case: _Case, points: list[Point]) -> None:
        """Write down that a modem had service while its gateway was silent: then something else was wrong.

        Service proves that only where the silence outlasted it as long as it takes to call a gateway silent: a gateway
        needs some time to come back after its modem did.
        """
        rule = case.rule
        if rule.silence.of != "way_out":
            return
        good = [utc_ms for utc_ms, _, value in points if rule.mark(value) == GOOD]
        for incident in self._journal.known(rule.name, case.gateway, case.channel, min(good)) if good else ():
            end_ms = (incident.ended_ms or case.now_ms) - rule.silence.after_ms
            if incident.basis == "silence" and any(incident.opened_ms <= utc_ms < end_ms for utc_ms in good):
                words = "readings that arrived later disagree: the modem had service while the gateway was silent"
                self._desk.note(replace(incident, basis="refuted"), "corrected", words, case.now_ms)

    def _weigh_unstored(self, case: _Case, points: list[Point]) -> None:
        """Write down that readings came for what had only been told: it is the same incident, and nobody is told."""
        if case.unstored:
            return
        bad = [utc_ms for utc_ms, _, value in points if case.rule.mark(value) == BAD]
        for incident in self._journal.known(case.rule.name, case.gateway, case.channel, min(bad)) if bad else ():
            if incident.basis == "unstored" and max(bad) >= incident.since_ms:
                words = "the values that the gateway told are stored now"
                self._desk.note(replace(incident, basis="readings"), "evidence", words, case.now_ms)


def _held_ms(patience: Patience) -> int:
    return patience.clear_ms + patience.gap_ms


def _present(state: Series, now_ms: int) -> Series:
    """Return the state without what a clock that was ahead has put into the future: it would make all else late."""
    lane, ahead_ms = state.live, now_ms + FUTURE_MS
    if state.newest_ms > ahead_ms:
        state = replace(state, newest_ms=0)
    if lane.base_ms > ahead_ms:
        return replace(state, live=Lane(base=Tracker(good_seen=lane.base.good_seen)))
    if lane.points and lane.points[-1][0] > ahead_ms:
        return replace(state, live=replace(lane, points=[point for point in lane.points if point[0] <= ahead_ms]))
    return state


def _good_seen(rule: Rule, lane: Lane) -> bool:
    return lane.base.good_seen or any(rule.mark(value) == GOOD for _, _, value in lane.points)
